// What the pipelines, the branch target buffer and the caches cost: by the 386 and 486 manuals and AP-500.
#include <string>

#include <gtest/gtest.h>

#include "cost_bench.hpp"

namespace forkscope::test {
namespace {

using B = CostBench;
using Code = std::initializer_list<int>;

class PipelineBench {
  public:
    explicit PipelineBench(CpuModel model, CostModelKind kind = CostModelKind::Model) : bench(model, kind) {
        bench.enter(BenchMode::Protected);
        CpuState& state = bench.runner.edit();
        state.set_reg<u32>(kEcx, B::kData);
        state.set_reg<u32>(kEdx, B::kData);
        state.set_reg<u32>(kEdi, 0);
    }
    Cycles operator()(Code code) { return bench.cost(code); }

    B bench;
};

// --- 386

TEST(Pipeline386, AddsOneForBaseAndIndexTogether) {
    PipelineBench cost(CpuModel::I386);
    EXPECT_EQ(cost({0x8B, 0x03}), 4u) << "MOV EAX, [EBX]";
    EXPECT_EQ(cost({0x8B, 0x43, 0x04}), 4u) << "MOV EAX, [EBX + 4]";
    EXPECT_EQ(cost({0x8B, 0x04, 0x3B}), 5u) << "MOV EAX, [EBX + EDI]"; // as a 386EX does; the manual: with displacement
    EXPECT_EQ(cost({0x8B, 0x44, 0x3B, 0x04}), 5u) << "MOV EAX, [EBX + EDI + 4]";
    EXPECT_EQ(cost({0x8B, 0x04, 0xBD, 0x00, 0x80, 0x00, 0x00}), 4u) << "MOV EAX, [EDI * 4 + 8000]";
    EXPECT_EQ(cost({0x89, 0xCB, 0x8B, 0x03}), 6u) << "no interlock: MOV EBX, ECX; MOV EAX, [EBX]";
    EXPECT_EQ(cost({0x66, 0x8B, 0x03}), 4u) << "prefixes are free";
}

TEST(Pipeline386, WaitsForTheComponentsOfAJumpsTarget) {
    PipelineBench cost(CpuModel::I386);
    EXPECT_EQ(cost({0xEB, 0x00, 0x90}), 7u + 1 + 3) << "NOP";
    EXPECT_EQ(cost({0xEB, 0x00, 0x8B, 0x03}), 7u + 2 + 4) << "opcode, ModRM";
    EXPECT_EQ(cost({0xEB, 0x00, 0x8B, 0x43, 0x04}), 7u + 3 + 4) << "opcode, ModRM, displacement";
    EXPECT_EQ(cost({0xEB, 0x00, 0xC6, 0x43, 0x04, 0x01}), 7u + 4 + 2) << "and an immediate";
    EXPECT_EQ(cost({0xEB, 0x00, 0x8B, 0x44, 0x3B, 0x04}), 7u + 4 + 5) << "opcode, ModRM, SIB, displacement";
    EXPECT_EQ(cost({0xEB, 0x00, 0x0F, 0xBE, 0xC0}), 7u + 3 + 3) << "two bytes of opcode, ModRM";
    EXPECT_EQ(cost({0xEB, 0x00, 0x66, 0x90}), 7u + 2 + 3) << "prefix, opcode";
}

// --- 486

TEST(Pipeline486, WaitsForAnAddressRegisterJustWritten) {
    PipelineBench cost(CpuModel::I486);
    EXPECT_EQ(cost({0x89, 0xCB, 0x8B, 0x03}), 3u) << "MOV EBX, ECX; MOV EAX, [EBX]";
    EXPECT_EQ(cost({0x89, 0xCB, 0x90, 0x8B, 0x03}), 3u) << "with NOP between";
    EXPECT_EQ(cost({0x89, 0xCB, 0x8B, 0x01}), 2u) << "another register";
    EXPECT_EQ(cost({0xB3, 0x00, 0x8B, 0x03}), 3u) << "part of it: MOV BL, 0; MOV EAX, [EBX]";
    EXPECT_EQ(cost({0x8B, 0x3B, 0x8B, 0x04, 0x3B}), 1u + 1 + 1 + 1)
        << "the index: MOV EDI, [EBX]; MOV EAX, [EBX + EDI]";
    EXPECT_EQ(cost({0x89, 0xEC, 0x50}), 3u) << "MOV ESP, EBP; PUSH EAX";
    EXPECT_EQ(cost({0x50, 0x51}), 2u) << "PUSH EAX; PUSH ECX";
    EXPECT_EQ(cost({0x50, 0x8B, 0x04, 0x24}), 2u) << "PUSH EAX; MOV EAX, [ESP]";
    EXPECT_EQ(cost({0x43, 0x8D, 0x03}), 3u) << "LEA, too: INC EBX; LEA EAX, [EBX]";
    EXPECT_EQ(cost({0x39, 0xCB, 0x8B, 0x03}), 2u) << "CMP writes nothing: CMP EBX, ECX; MOV EAX, [EBX]";
}

TEST(Pipeline486, AddsOneForIndexPrefixesAndDisplacementWithImmediate) {
    PipelineBench cost(CpuModel::I486);
    EXPECT_EQ(cost({0x8B, 0x04, 0x3B}), 2u) << "MOV EAX, [EBX + EDI]";
    EXPECT_EQ(cost({0x8D, 0x04, 0x3B}), 2u) << "LEA EAX, [EBX + EDI]";
    EXPECT_EQ(cost({0x8B, 0x44, 0x3B, 0x04}), 2u) << "MOV EAX, [EBX + EDI + 4]";
    EXPECT_EQ(cost({0x66, 0x8B, 0x03}), 2u) << "66";
    EXPECT_EQ(cost({0x26, 0x8B, 0x03}), 2u) << "26";
    EXPECT_EQ(cost({0x26, 0x66, 0x8B, 0x03}), 3u) << "26 66";
    EXPECT_EQ(cost({0xF0, 0x01, 0x0B}), 4u) << "LOCK ADD [EBX], ECX";
    EXPECT_EQ(cost({0xC7, 0x03, 1, 0, 0, 0}), 1u) << "MOV [EBX], 1";
    EXPECT_EQ(cost({0xC7, 0x43, 0x04, 1, 0, 0, 0}), 2u) << "MOV [EBX + 4], 1";
    EXPECT_EQ(cost({0x83, 0x7B, 0x04, 0x05}), 3u) << "CMP [EBX + 4], 5";
}

// --- Pentium

TEST(PipelinePentium, PairsSimpleInstructionsThatDoNotDependOnEachOther) {
    PipelineBench cost(CpuModel::Pentium);
    EXPECT_EQ(cost({0x89, 0xC8, 0x89, 0xCA}), 1u) << "MOV EAX, ECX; MOV EDX, ECX";
    EXPECT_EQ(cost({0x89, 0xC8, 0x89, 0xCA, 0x89, 0xC8, 0x89, 0xCA}), 2u) << "two pairs";
    EXPECT_EQ(cost({0x89, 0xC8, 0x89, 0xCA, 0x89, 0xC8}), 2u) << "a pair and one";
    EXPECT_EQ(cost({0x89, 0xC8, 0x89, 0xC2}), 2u) << "read after write";
    EXPECT_EQ(cost({0x89, 0xC8, 0x89, 0xD0}), 2u) << "write after write";
    EXPECT_EQ(cost({0x89, 0xC8, 0x89, 0xD1}), 1u) << "write after read";
    EXPECT_EQ(cost({0x88, 0xC8, 0x88, 0xD4}), 2u) << "AL and AH are one register";
    EXPECT_EQ(cost({0x01, 0xC8, 0x01, 0xCA}), 1u) << "flags do not count";
}

TEST(PipelinePentium, PairsByTheClassesOfAp500) {
    PipelineBench cost(CpuModel::Pentium);
    EXPECT_EQ(cost({0xF7, 0xD8, 0x89, 0xCA}), 2u) << "NP: NEG EAX; MOV EDX, ECX";
    EXPECT_EQ(cost({0x89, 0xCA, 0xF7, 0xD8}), 2u) << "MOV EDX, ECX; NEG EAX";
    EXPECT_EQ(cost({0x83, 0xD0, 0x01, 0x89, 0xCA}), 1u) << "PU first: ADC EAX, 1; MOV EDX, ECX";
    EXPECT_EQ(cost({0x89, 0xCA, 0x83, 0xD0, 0x01}), 2u) << "PU second";
    EXPECT_EQ(cost({0xC1, 0xE0, 0x02, 0x89, 0xCA}), 1u) << "SHL EAX, 2; MOV EDX, ECX";
    EXPECT_EQ(cost({0x89, 0xCA, 0xEB, 0x00}), 1u) << "PV second: MOV EDX, ECX; JMP";
    EXPECT_EQ(cost({0xEB, 0x00, 0x89, 0xCA}), 2u) << "PV first";
    EXPECT_EQ(cost({0x39, 0xC8, 0x74, 0x00}), 1u) << "CMP EAX, ECX; JE";
    EXPECT_EQ(cost({0x89, 0xCA, 0x0F, 0x84, 0, 0, 0, 0}), 1u) << "0F is no prefix to Jcc";
    EXPECT_EQ(cost({0x50, 0x51}), 1u) << "PUSH EAX; PUSH ECX";
    EXPECT_EQ(cost({0x58, 0x59}), 1u) << "POP EAX; POP ECX";
    EXPECT_EQ(cost({0x50, 0xE8, 0, 0, 0, 0}), 1u) << "PUSH EAX; CALL";
    EXPECT_EQ(cost({0x50, 0x8B, 0x54, 0x24, 0x04}), 2u) << "PUSH EAX; MOV EDX, [ESP + 4]";
    EXPECT_EQ(cost({0x83, 0xC4, 0x04, 0x50}), 3u) << "ADD ESP, 4; PUSH EAX: no pair, and an interlock";
}

TEST(PipelinePentium, DoesNotPairDisplacementWithImmediateNorPrefixesInV) {
    PipelineBench cost(CpuModel::Pentium);
    EXPECT_EQ(cost({0x89, 0xC8, 0xC7, 0x43, 0x04, 1, 0, 0, 0}), 2u) << "MOV EAX, ECX; MOV [EBX + 4], 1";
    EXPECT_EQ(cost({0xC7, 0x43, 0x04, 1, 0, 0, 0, 0x89, 0xC8}), 2u) << "the other way round";
    EXPECT_EQ(cost({0xC7, 0x03, 1, 0, 0, 0, 0x89, 0xC8}), 1u) << "MOV [EBX], 1; MOV EAX, ECX";
    EXPECT_EQ(cost({0x66, 0x89, 0xC8}), 2u) << "a prefix takes a clock";
    EXPECT_EQ(cost({0x66, 0x89, 0xC8, 0x89, 0xCA}), 2u) << "in U, and pairs";
    EXPECT_EQ(cost({0x89, 0xCA, 0x66, 0x89, 0xC8}), 3u) << "but not in V";
}

TEST(PipelinePentium, TakesAp500sTimesForPairsThatUseMemory) {
    PipelineBench cost(CpuModel::Pentium);
    EXPECT_EQ(cost({0x01, 0xC8, 0x03, 0x16}), 2u) << "register, load: ADD EAX, ECX; ADD EDX, [ESI]";
    EXPECT_EQ(cost({0x01, 0xC8, 0x01, 0x16}), 3u) << "register, modify: ADD EAX, ECX; ADD [ESI], EDX";
    EXPECT_EQ(cost({0x03, 0x03, 0x01, 0xCA}), 2u) << "load, register: ADD EAX, [EBX]; ADD EDX, ECX";
    EXPECT_EQ(cost({0x03, 0x03, 0x03, 0x56, 0x04}), 2u) << "load, load: ADD EAX, [EBX]; ADD EDX, [ESI + 4]";
    EXPECT_EQ(cost({0x03, 0x03, 0x01, 0x16}), 3u) << "load, modify: ADD EAX, [EBX]; ADD [ESI], EDX";
    EXPECT_EQ(cost({0x01, 0x03, 0x01, 0xCA}), 3u) << "modify, register: ADD [EBX], EAX; ADD EDX, ECX";
    EXPECT_EQ(cost({0x01, 0x03, 0x03, 0x16}), 4u) << "modify, load: ADD [EBX], EAX; ADD EDX, [ESI]";
    EXPECT_EQ(cost({0x01, 0x03, 0x01, 0x16}), 5u) << "modify, modify: ADD [EBX], EAX; ADD [ESI], EDX";
}

TEST(PipelinePentium, PairsFloatingPointWithFxchAlone) {
    PipelineBench cost(CpuModel::Pentium);
    EXPECT_EQ(cost({0xD8, 0xC1}), 3u) << "FADD";
    EXPECT_EQ(cost({0xD9, 0xC9}), 1u) << "FXCH";
    EXPECT_EQ(cost({0xD8, 0xC1, 0xD9, 0xC9}), 3u) << "FADD; FXCH";
    EXPECT_EQ(cost({0xD9, 0xC9, 0xD8, 0xC1}), 4u) << "FXCH; FADD";
    EXPECT_EQ(cost({0xD8, 0xC1, 0x89, 0xC8}), 4u) << "FADD; MOV EAX, ECX";
    EXPECT_EQ(cost({0x89, 0xC8, 0xD9, 0xC9}), 2u) << "MOV EAX, ECX; FXCH";
}

TEST(PipelinePentium, WaitsOnceForAddressesThatThePairBeforeWrote) {
    PipelineBench cost(CpuModel::Pentium);
    EXPECT_EQ(cost({0x89, 0xCB, 0x8B, 0x03}), 3u) << "MOV EBX, ECX; MOV EAX, [EBX]";
    EXPECT_EQ(cost({0x89, 0xC8, 0x89, 0xCB, 0x8B, 0x13}), 3u) << "written in V";
    EXPECT_EQ(cost({0x89, 0xCB, 0x90, 0x89, 0xC8, 0x8B, 0x13}), 3u) << "used in V";
    EXPECT_EQ(cost({0x89, 0xCB, 0x90, 0x90, 0x90, 0x8B, 0x13}), 3u) << "a pair between";
    EXPECT_EQ(cost({0x89, 0xCB, 0x89, 0xCE, 0x8B, 0x03, 0x8B, 0x16}), 3u) << "U and V wait together";
    EXPECT_EQ(cost({0x89, 0xCB, 0x89, 0xCE, 0x89, 0xC8, 0x8B, 0x16, 0x8B, 0x13}), 4u) << "only V waits";
}

// --- Branches

Cycles of_cause(const Cpu& cpu, CycleCause cause) { return cpu.cycles_by_cause()[static_cast<std::size_t>(cause)]; }

// A processor with this code and registers, run up to the last byte again and again, without forgetting branches and
// lines.
class Restarted {
  public:
    Restarted(CpuModel model, CostModelKind kind, const std::vector<int>& code)
        : runner({EngineKind::Block, true}, model) {
        runner.cpu.set_model(model, kind);
        runner.enter_protected_mode();
        runner.cpu.set_breakpoints({runner.code(code) - 1});
        start_ = runner.cpu.state();
    }
    CpuState& registers() { return start_; }
    // What the cause took this time.
    Cycles run(CycleCause cause) {
        runner.cpu.set_state(start_);
        const Cycles before = of_cause(runner.cpu, cause);
        EXPECT_EQ(runner.run(), CpuStop::Breakpoint);
        return of_cause(runner.cpu, cause) - before;
    }

    CodeRunner runner;

  private:
    CpuState start_;
};

TEST(BranchTargetBuffer, ForetellsLoopsButForTheFirstAndTheLastTurn) {
    // MOV ECX, 10; again: CLD; DEC ECX; CLD; JNZ again; HLT
    Restarted loop(CpuModel::Pentium, CostModelKind::Model, {0xB9, 10, 0, 0, 0, 0xFC, 0x49, 0xFC, 0x75, 0xFB, 0xF4});
    EXPECT_EQ(loop.run(CycleCause::Branch), 6u) << "not known yet, then it ends";
    EXPECT_EQ(loop.run(CycleCause::Branch), 3u) << "still predicted as taken";
    // The same with JNZ in V, beside DEC.
    Restarted paired(CpuModel::Pentium, CostModelKind::Model, {0xB9, 10, 0, 0, 0, 0xFC, 0x49, 0x75, 0xFC, 0xF4});
    EXPECT_EQ(paired.run(CycleCause::Branch), 8u);
    EXPECT_EQ(paired.run(CycleCause::Branch), 4u);
}

TEST(BranchTargetBuffer, MissesHalfOfAnAlternatingBranch) {
    // MOV ECX, 20; again: MOV EAX, ECX; AND EAX, 1; CLD; JZ over; NOP; over: CLD; DEC ECX; CLD; JNZ again; HLT
    Restarted both(
        CpuModel::Pentium, CostModelKind::Model,
        {0xB9, 20, 0, 0, 0, 0x89, 0xC8, 0x83, 0xE0, 0x01, 0xFC, 0x74, 0x01, 0x90, 0xFC, 0x49, 0xFC, 0x75, 0xF2, 0xF4});
    both.run(CycleCause::Branch);
    // Taken with ECX even: strength 3, 2, 3, …: always predicted as taken, ten times wrongly; and the loop's end.
    EXPECT_EQ(both.run(CycleCause::Branch), 10u * 3 + 3);
}

TEST(BranchTargetBuffer, ForetellsTheTargetOfIndirectJumpsAsTheLast) {
    // MOV ECX, 10; again: XOR EAX, EDX; CLD; JMP EAX; a: NOP; b: CLD; DEC ECX; CLD; JNZ again; HLT
    const std::vector<int> code{0xB9, 10,   0,    0,    0,    0x31, 0xD0, 0xFC, 0xFF,
                                0xE0, 0x90, 0xFC, 0x49, 0xFC, 0x75, 0xF5, 0xF4};
    Restarted same(CpuModel::Pentium, CostModelKind::Model, code);
    same.registers().set_reg<u32>(kEax, CodeRunner::kStart + 10);
    same.registers().set_reg<u32>(kEdx, 0);
    same.run(CycleCause::Branch);
    EXPECT_EQ(same.run(CycleCause::Branch), 3u) << "only the loop's end";
    same.registers().set_reg<u32>(kEdx, 1); // 10010 = …1010, 1001B differs in bit 0
    EXPECT_EQ(same.run(CycleCause::Branch), 10u * 3 + 3) << "never where it went last";
}

TEST(BranchTargetBuffer, KeepsWhatIsNeverTakenOut) {
    // CMP EAX, EAX; CLD; JNE; HLT
    Restarted never(CpuModel::Pentium, CostModelKind::Model, {0x39, 0xC0, 0xFC, 0x75, 0x02, 0xF4});
    EXPECT_EQ(never.run(CycleCause::Branch), 0u);
}

// --- Caches

TEST(FirstLevelCaches, OfThe486HoldCodeAndDataInFourWays) {
    PipelineBench cost(CpuModel::I486, CostModelKind::Cache);
    EXPECT_EQ(cost({0x8B, 0x03}), 1u) << "held";
    // MOV EAX, [EBX + i * 2048] for i = 0 … 3: one set
    const Code four{0x8B, 0x03, 0x8B, 0x83, 0, 8, 0, 0, 0x8B, 0x83, 0, 16, 0, 0, 0x8B, 0x83, 0, 24, 0, 0};
    cost.bench.runner.edit().set_reg<u32>(kEbx, B::kData + 0x200); // not the code's set
    EXPECT_EQ(cost(four), 4u) << "as many as there are ways";
    Restarted code(CpuModel::I486, CostModelKind::Cache, std::vector<int>(65, 0x90));
    EXPECT_EQ(code.run(CycleCause::Cache), 4u * 2) << "64 bytes of code: four lines of 16";
    EXPECT_EQ(code.run(CycleCause::Cache), 0u);
}

TEST(FirstLevelCaches, OfThePentiumHoldTwoLinesASet) {
    PipelineBench cost(CpuModel::Pentium, CostModelKind::Cache);
    EXPECT_EQ(cost({0x8B, 0x03}), 1u) << "held";
    EXPECT_EQ(cost({0x8B, 0x03, 0xFC, 0x8B, 0x83, 0, 16, 0, 0}), 1u + 2 + 1) << "two lines, 4096 bytes apart";
    // A third: each is gone when its turn comes. Eight clocks for the first doubleword; six more until the line is in,
    // of which NOPs and the miss itself take some.
    const Cycles three = cost({0x8B, 0x03, 0xFC, 0xFC, 0xFC, 0xFC, 0x8B, 0x83, 0, 16,   0,    0,    0xFC,
                               0xFC, 0xFC, 0xFC, 0x8B, 0x83, 0,    32,   0,    0, 0xFC, 0xFC, 0xFC, 0xFC});
    EXPECT_EQ(three, 3u * (1 + 8) + 12 * 2);
}

TEST(FirstLevelCaches, MakeAMissWaitForTheLineThatIsComingIn) {
    // MOV EAX, [EBX]; MOV EDX, [EBX + n]
    Restarted two(CpuModel::Pentium, CostModelKind::Cache, {0xFC, 0x8B, 0x03, 0xFC, 0x8B, 0x53, 0x20, 0xF4});
    two.registers().set_reg<u32>(kEbx, B::kData);
    // The line of code; the first line of data, when six clocks less CLD's two have passed; the second, when six less
    // those of MOV and CLD have.
    EXPECT_EQ(two.run(CycleCause::Cache), 8u + (4 + 8) + (3 + 8));
    EXPECT_EQ(two.run(CycleCause::Cache), 0u);
}

TEST(FirstLevelCaches, BringNothingInForAWrite) {
    for (const CpuModel model : {CpuModel::I486, CpuModel::Pentium}) {
        // CLD; MOV [EBX], EAX; CLD…; MOV EAX, [EBX]; HLT
        Restarted write(model, CostModelKind::Cache, {0xFC, 0x89, 0x03, 0xFC, 0xFC, 0xFC, 0xFC, 0xF4});
        write.registers().set_reg<u32>(kEbx, B::kData);
        const Cycles lines = write.run(CycleCause::Cache);
        EXPECT_EQ(lines, model == CpuModel::I486 ? 2u : 8u) << "the line of code";
        write.runner.put(CodeRunner::kStart + 1, {0x8B});
        write.runner.cpu.forget_derived_state();
        EXPECT_EQ(write.run(CycleCause::Cache), model == CpuModel::I486 ? 2u : 8u) << "the read misses all the same";
    }
}

TEST(FirstLevelCaches, OfThePentiumHaveEightBanks) {
    PipelineBench cost(CpuModel::Pentium, CostModelKind::Cache);
    EXPECT_EQ(cost({0x8B, 0x03, 0x8B, 0x53, 0x04}), 1u) << "MOV EAX, [EBX]; MOV EDX, [EBX + 4]";
    EXPECT_EQ(cost({0x8B, 0x03, 0x8B, 0x53, 0x20}), 2u) << "MOV EAX, [EBX]; MOV EDX, [EBX + 32]";
    EXPECT_EQ(cost({0x8B, 0x03, 0xFC, 0x8B, 0x53, 0x20}), 1u + 2 + 1) << "no pair, no conflict";
    PipelineBench uncached(CpuModel::Pentium, CostModelKind::Model);
    EXPECT_EQ(uncached({0x8B, 0x03, 0x8B, 0x53, 0x20}), 1u) << "--clock model has no banks";
}

TEST(FirstLevelCaches, AreEmptiedByInvdAndWbinvd) {
    for (const int opcode : {0x08, 0x09}) {
        PipelineBench cost(CpuModel::I486, CostModelKind::Cache);
        const Cycles alone = cost({0x0F, opcode});
        EXPECT_EQ(cost({0x0F, opcode, 0x8B, 0x03}), alone + 3 + 2 + 1) << "the read, too, waits for its line";
    }
}

} // namespace
} // namespace forkscope::test
