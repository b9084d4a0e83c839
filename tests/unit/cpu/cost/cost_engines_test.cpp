// Every engine counts the same cycles: random programs, cut at random cycles, interrupted, saved and loaded.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "emu/base/random.hpp"
#include "tests/parameter_names.hpp"
#include "tests/unit/cpu/code_runner.hpp"
#include "tests/unit/cpu/third_engine.hpp"

namespace forkscope::test {
namespace {

using R = CodeRunner;
using Bytes = std::vector<int>;

constexpr CpuModel kEveryModel[] = {CpuModel::I386, CpuModel::I486, CpuModel::Pentium, CpuModel::P6};
constexpr u32 kFunction = R::kStart + 0x2000, kHot = 0x20000;

// Pieces of programs: EBX, ESI and EDI point into kHot, some of it misaligned; ECX counts the turns and is kept.
const Bytes kPieces[] = {
    {0x89, 0xC2},                                                          // MOV EDX, EAX
    {0x01, 0xD0},                                                          // ADD EAX, EDX
    {0x83, 0xD0, 0x03},                                                    // ADC EAX, 3
    {0x40},                                                                // INC EAX
    {0x4A},                                                                // DEC EDX
    {0x90},                                                                // NOP
    {0xFC},                                                                // CLD
    {0x8B, 0x03},                                                          // MOV EAX, [EBX]
    {0x8B, 0x53, 0x04},                                                    // MOV EDX, [EBX + 4]
    {0x8B, 0x56, 0x20},                                                    // MOV EDX, [ESI + 32]
    {0x8B, 0x86, 0x00, 0x10, 0x00, 0x00},                                  // MOV EAX, [ESI + 4096]
    {0x8B, 0x86, 0x00, 0x20, 0x00, 0x00},                                  // MOV EAX, [ESI + 8192]
    {0x01, 0x13},                                                          // ADD [EBX], EDX
    {0x03, 0x46, 0x07},                                                    // ADD EAX, [ESI + 7]
    {0x29, 0x57, 0x0D},                                                    // SUB [EDI + 13], EDX
    {0xC7, 0x43, 0x08, 0x05, 0x00, 0x00, 0x00},                            // MOV [EBX + 8], 5
    {0x66, 0x8B, 0x43, 0x03},                                              // MOV AX, [EBX + 3]
    {0x8D, 0x5B, 0x00},                                                    // LEA EBX, [EBX]
    {0x89, 0xF7},                                                          // MOV EDI, ESI
    {0x50, 0x5A},                                                          // PUSH EAX; POP EDX
    {0x50, 0x52, 0x58, 0x5A},                                              // PUSH EAX; PUSH EDX; POP EAX; POP EDX
    {0x0F, 0xAF, 0xC2},                                                    // IMUL EAX, EDX
    {0xF7, 0xE2},                                                          // MUL EDX
    {0x0F, 0xBC, 0xD0},                                                    // BSF EDX, EAX
    {0xC1, 0xD0, 0x05},                                                    // RCL EAX, 5
    {0x0F, 0x94, 0xC2},                                                    // SETE DL
    {0x39, 0xD0, 0x74, 0x01, 0x40},                                        // CMP EAX, EDX; JE over; INC EAX
    {0xA8, 0x01, 0x75, 0x02, 0x01, 0xC2},                                  // TEST AL, 1; JNZ over; ADD EDX, EAX
    {0xEB, 0x01, 0x90},                                                    // JMP over; NOP
    {0xCD, 0x30},                                                          // INT 30
    {0x1E, 0x1F},                                                          // PUSH DS; POP DS
    {0x9C, 0x9D},                                                          // PUSHF; POPF
    {0xE4, R::kLogPort},                                                   // IN AL, port
    {0x51, 0x57, 0xB9, 0x25, 0, 0, 0, 0xF3, 0xAA, 0x5F, 0x59},             // 37 times STOSB
    {0x51, 0x57, 0x56, 0xB9, 0x50, 0, 0, 0, 0xF3, 0xA5, 0x5E, 0x5F, 0x59}, // 80 times MOVSD
    {0x51, 0x57, 0x56, 0xB9, 0x01, 0, 0, 0, 0xF3, 0xA4, 0x5E, 0x5F, 0x59}, // MOVSB once
    {0x51, 0x57, 0xB9, 0x00, 0, 0, 0, 0xF3, 0xAB, 0x5F, 0x59},             // STOSD never
    {0x51, 0x57, 0x56, 0xB9, 0x40, 0, 0, 0, 0xF3, 0xA6, 0x5E, 0x5F, 0x59}, // CMPSB while equal
    {0xD9, 0x03, 0xD8, 0xC0, 0xD9, 0xC9, 0xDD, 0xD8},                      // FLD, FADD, FXCH, FSTP
    {0xFF, 0xD5},                                                          // CALL EBP
    {0x80, 0x75, 0x03, 0x08, 0xFF, 0xD5}, // XOR BYTE [EBP + 3], 8: its INC becomes DEC, and back; CALL EBP
};

// A loop of random pieces, with a function in another page and two handlers.
u32 put_program(R& runner, u64 seed) {
    Random random(seed);
    Bytes code;
    const u64 pieces = 20 + random.below(60);
    for (u64 i = 0; i < pieces; ++i) {
        const Bytes& piece = kPieces[random.below(std::size(kPieces))];
        code.insert(code.end(), piece.begin(), piece.end());
    }
    code.insert(code.end(), {0x49, 0x0F, 0x85}); // DEC ECX; JNZ start
    const u32 back = 0u - static_cast<u32>(code.size() + 4);
    for (u32 i = 0; i < 4; ++i)
        code.push_back(static_cast<int>(back >> 8 * i & 0xFF));
    code.push_back(0xF4);
    runner.handler(0x30, {0x89, 0xC2, 0xCF}); // MOV EDX, EAX; IRET
    runner.handler(0x31, {0x50, 0x8B, 0x03, 0x58, 0xCF});
    runner.put(kFunction, {0x8B, 0x04, 0x24, 0x40, 0xC3}); // MOV EAX, [ESP]; INC EAX; RET
    return runner.put(R::kStart, code) - 1;
}

// A processor that runs one program behind another, with paging and a stack for interrupts. Cycles and memory continue,
// so those that are to be compared must have run the same programs.
struct Player {
    Player(Way way, CpuModel model, CostModelKind kind)
        : runner(way, model), controller(runner.cpu, 0x31), clock(kind) {}
    void load(u64 seed) {
        runner.cpu.set_model(runner.cpu.model().number, clock);
        runner.enter_protected_mode(seed % 2 == 0 ? 0 : 3);
        runner.enable_paging();
        const u32 end = put_program(runner, seed);
        CpuState& state = runner.edit();
        Random random(seed + 1);
        state.set_reg<u32>(kEbx, kHot + static_cast<u32>(random.below(64)));
        state.set_reg<u32>(kEsi, kHot + 0x400 + static_cast<u32>(random.below(4)));
        state.set_reg<u32>(kEdi, kHot + 0x800 + static_cast<u32>(random.below(4)));
        state.set_reg<u32>(kEbp, kFunction);
        state.set_reg<u32>(kEcx, 30);
        state.x87.control = X87State::kInitialControl;
        state.set_eflags(kFlagI | kFlagIopl | 2);
        runner.apply();
        runner.cpu.set_line(0, false);
        runner.cpu.set_breakpoints({end}); // HLT would be #GP in ring 3
    }
    CpuStop run_until(Cycles deadline) { return runner.cpu.run_until(deadline, ~u64{0}); }
    // Cycles that no cause may hold more of than there are.
    bool causes_add_up() const {
        Cycles sum = 0;
        for (const Cycles cycles : runner.cpu.cycles_by_cause()) {
            if (cycles > runner.cpu.now())
                return false;
            sum += cycles;
        }
        return sum == runner.cpu.now();
    }

    R runner;
    OneVector controller;
    CostModelKind clock;
};

struct Ending {
    u64 hash = 0;
    Cycles cycles = 0;
    u64 instructions = 0;
    CycleCounters causes{};
    bool operator==(const Ending&) const = default;
};

Ending ending_of(Player& player) {
    return {player.runner.hash(), player.runner.cpu.now(), player.runner.cpu.instructions(),
            player.runner.cpu.cycles_by_cause()};
}

// Cuts at cycles that `seed` alone decides; every third cut raises INTR. The states at all cuts.
std::vector<Ending> run_in_slices(Player& player, u64 seed, bool interrupts) {
    Random random(seed + 2);
    std::vector<Ending> states;
    for (u32 cut = 0;; ++cut) {
        const Cycles slice = random.below(4) == 0 ? 1 + random.below(6) : 1 + random.below(400);
        const CpuStop reason = player.run_until(player.runner.cpu.now() + slice);
        states.push_back(ending_of(player));
        if (reason == CpuStop::Breakpoint)
            return states;
        EXPECT_EQ(reason, CpuStop::Deadline);
        if (reason != CpuStop::Deadline || cut > 100'000)
            return states;
        if (interrupts && cut % 3 == 0)
            player.runner.cpu.set_line(0, true);
    }
}

struct Setting {
    CpuModel model;
    CostModelKind kind;
};
void PrintTo(const Setting& setting, std::ostream* out) {
    *out << testing::PrintToString(setting.model) << '_' << testing::PrintToString(setting.kind);
}

class CostEngines : public ::testing::TestWithParam<Setting> {
  protected:
    CostEngines() : reference({EngineKind::Interpreter, false}, GetParam().model, GetParam().kind) {
        for (const Way way : every_way())
            others.push_back(std::make_unique<Player>(way, GetParam().model, GetParam().kind));
        others.push_back(std::make_unique<Player>(Way{EngineKind::Block, true}, GetParam().model, GetParam().kind));
        others.back()->runner.cpu.set_engine(ThirdEngine::factory(7));
    }

    const u64 programs = std::getenv("FORKSCOPE_LONG") != nullptr ? 300 : 8;
    Player reference;
    std::vector<std::unique_ptr<Player>> others; // in each way, and with an engine from outside
};

TEST_P(CostEngines, CountTheSameAtEveryCut) {
    for (u64 seed = 0; seed < programs; ++seed) {
        reference.load(seed);
        const auto expected = run_in_slices(reference, seed, true);
        EXPECT_GT(expected.size(), 5u);
        EXPECT_TRUE(reference.causes_add_up());
        for (const auto& other : others) {
            other->load(seed);
            const auto found = run_in_slices(*other, seed, true);
            ASSERT_TRUE(found == expected) << "program " << seed;
            EXPECT_TRUE(other->causes_add_up());
        }
    }
}

TEST_P(CostEngines, CountTheSameHoweverTheRunIsCut) {
    for (u64 seed = 0; seed < programs; ++seed) {
        reference.load(seed);
        ASSERT_EQ(reference.run_until(kNever), CpuStop::Breakpoint);
        const Ending expected = ending_of(reference);
        for (const auto& other : others) {
            other->load(seed);
            ASSERT_TRUE(run_in_slices(*other, seed, false).back() == expected) << "program " << seed;
        }
    }
}

TEST_P(CostEngines, GoOnFromASnapshotAsIfNothingHadBeen) {
    for (u64 seed = 0; seed < programs; ++seed) {
        reference.load(seed);
        const Cycles half = reference.runner.cpu.now() + 1 + Random(seed).below(3000);
        ASSERT_EQ(reference.run_until(half), CpuStop::Deadline);
        const u64 hash = reference.runner.hash();
        SaveArchive archive;
        archive.nested("cpu", reference.runner.cpu);
        archive.nested("mmu", reference.runner.mmu);
        archive.nested("memory", reference.runner.memory());
        const std::vector<u8> saved = archive.take();
        ASSERT_EQ(reference.run_until(kNever), CpuStop::Breakpoint);
        for (const auto& other : others) {
            other->load(seed);
            LoadArchive loaded(saved);
            loaded.nested("cpu", other->runner.cpu);
            loaded.nested("mmu", other->runner.mmu);
            loaded.nested("memory", other->runner.memory());
            ASSERT_TRUE(loaded.finish().ok());
            EXPECT_EQ(other->runner.hash(), hash);
            ASSERT_EQ(other->run_until(kNever), CpuStop::Breakpoint);
            ASSERT_TRUE(ending_of(*other) == ending_of(reference)) << "program " << seed;
        }
    }
}

std::vector<Setting> every_setting() {
    std::vector<Setting> settings;
    for (const CpuModel model : kEveryModel)
        for (const CostModelKind kind : {CostModelKind::Flat, CostModelKind::Model, CostModelKind::Cache})
            settings.push_back({model, kind});
    return settings;
}

INSTANTIATE_TEST_SUITE_P(EachModelAndKind, CostEngines, ::testing::ValuesIn(every_setting()),
                         ::testing::PrintToStringParamName());

} // namespace
} // namespace forkscope::test
