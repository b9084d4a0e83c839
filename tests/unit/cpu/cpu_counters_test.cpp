// The guest's performance counters: RDPMC and their MSRs against counts known from the code.
#include <gtest/gtest.h>

#include "code_runner.hpp"

namespace forkscope::test {
namespace {

// MOV ECX, msr; MOV EAX, low; MOV EDX, high; WRMSR
std::vector<int> write_msr(u32 msr, u32 low, u32 high = 0) {
    std::vector<int> bytes;
    const auto put = [&](int opcode, u32 value) {
        bytes.push_back(opcode);
        for (u32 i = 0; i < 4; ++i)
            bytes.push_back(static_cast<int>(value >> (8 * i) & 0xFF));
    };
    put(0xB9, msr);
    put(0xB8, low);
    put(0xBA, high);
    bytes.insert(bytes.end(), {0x0F, 0x30});
    return bytes;
}

// MOV ECX, number; RDPMC
std::vector<int> read_counter(u32 number) { return {0xB9, static_cast<int>(number), 0, 0, 0, 0x0F, 0x33}; }

std::vector<int> operator+(std::vector<int> a, const std::vector<int>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}
std::vector<int> times(int count, const std::vector<int>& bytes) {
    std::vector<int> all;
    for (int i = 0; i < count; ++i)
        all = all + bytes;
    return all;
}

constexpr u32 kEnabled = 1u << 22, kUser = 1u << 16, kSupervisor = 1u << 17;
const std::vector<int> kHalt = {0xF4};
const std::vector<int> kToEbx = {0x89, 0xC3}; // MOV EBX, EAX

struct Counters : ::testing::Test {
    // EBX: the first reading, EAX: the second; both engines must agree.
    u64 difference(CpuModel model, CostModelKind clock, const std::vector<int>& code, bool paging = false) {
        std::optional<u64> first;
        for (const Way way : every_way()) {
            CodeRunner runner(way, model);
            runner.cpu.set_model(model, clock);
            runner.enter_protected_mode();
            if (paging)
                runner.enable_paging();
            runner.code(code + kHalt);
            runner.run();
            const u64 counted = u64{runner.eax()} - runner.reg(kEbx);
            if (!first)
                first = counted;
            EXPECT_EQ(counted, *first);
        }
        return first.value_or(~u64{0});
    }
};

TEST_F(Counters, CountInstructionsBetweenTwoReadings) {
    const std::vector<int> code = write_msr(0x186, 0xC0 | kEnabled | kSupervisor) + read_counter(0) + kToEbx +
                                  times(10, {0x90}) + read_counter(0);
    EXPECT_EQ(difference(CpuModel::P6, CostModelKind::Flat, code), 13u); // RDPMC, MOV, ten NOPs, MOV
}

TEST_F(Counters, CountUnhaltedCyclesAsTheTimeStampDoes) {
    const std::vector<int> code = write_msr(0x186, 0x79 | kEnabled | kSupervisor) + read_counter(0) + kToEbx +
                                  times(10, {0x90}) + read_counter(0);
    EXPECT_EQ(difference(CpuModel::P6, CostModelKind::Flat, code), 22u); // RDPMC costs 10, the others 1
}

TEST_F(Counters, LeaveOutThePrivilegeThatIsNotAskedFor) {
    const std::vector<int> code =
        write_msr(0x186, 0xC0 | kEnabled | kUser) + read_counter(0) + kToEbx + times(10, {0x90}) + read_counter(0);
    EXPECT_EQ(difference(CpuModel::P6, CostModelKind::Flat, code), 0u);
}

TEST_F(Counters, StandStillUntilTheFirstSelectorEnablesBoth) {
    const std::vector<int> idle =
        write_msr(0x187, 0xC0 | kSupervisor) + read_counter(1) + kToEbx + times(5, {0x90}) + read_counter(1);
    EXPECT_EQ(difference(CpuModel::P6, CostModelKind::Flat, idle), 0u);
    const std::vector<int> enabled = write_msr(0x186, kEnabled) + idle;
    EXPECT_EQ(difference(CpuModel::P6, CostModelKind::Flat, enabled), 8u);
}

TEST_F(Counters, TakeThirtyTwoBitsAndTheirSignOnTheP6) {
    CodeRunner runner;
    runner.enter_protected_mode();
    runner.code(write_msr(0xC1, 0xFFFFFFFE) + read_counter(0) + kHalt);
    runner.run();
    EXPECT_EQ(runner.eax(), 0xFFFFFFFEu);
    EXPECT_EQ(runner.reg(kEdx), 0xFFu);
}

// MOV EAX, [100000h + n * 4096]: each page's first access misses.
TEST_F(Counters, CountTlbMissesOfThePentiumsDataSide) {
    std::vector<int> loads;
    for (int page = 0; page < 6; ++page)
        loads = loads + std::vector<int>{0x8B, 0x15, 0, page << 4, 0x08, 0};
    const std::vector<int> read = {0xB9, 0x12, 0, 0, 0, 0x0F, 0x32}; // RDMSR 12h
    const std::vector<int> code = write_msr(0x11, 0x02 | 0x40) + read + kToEbx + loads + loads + read;
    EXPECT_EQ(difference(CpuModel::Pentium, CostModelKind::Flat, code, true), 6u);
}

TEST_F(Counters, CountBranchesAndThoseForetoldWrongly) {
    // MOV EDX, 10; DEC EDX; JNZ: taken nine times; the first is not predicted, and neither is the end.
    const std::vector<int> loop = {0xBA, 10, 0, 0, 0, 0x4A, 0x75, 0xFD};
    const std::vector<int> read = {0xB9, 0x12, 0, 0, 0, 0x0F, 0x32};
    const std::vector<int> branches = write_msr(0x11, 0x12 | 0xC0) + read + kToEbx + loop + read;
    EXPECT_EQ(difference(CpuModel::Pentium, CostModelKind::Model, branches), 10u);
    const std::vector<int> wrong = write_msr(0x11, 0x15 | 0xC0) + read + kToEbx + loop + read;
    EXPECT_EQ(difference(CpuModel::Pentium, CostModelKind::Model, wrong), 2u);
}

TEST_F(Counters, CountMisalignedAccesses) {
    // MOV EDX, [8001h], [8003h], [8004h]; MOV DX, [8001h], [8003h]: a word within a doubleword is aligned enough.
    const std::vector<int> loads = {0x8B, 0x15, 0x01, 0x80, 0,    0,    0x8B, 0x15, 0x03, 0x80, 0,
                                    0,    0x8B, 0x15, 0x04, 0x80, 0,    0,    0x66, 0x8B, 0x15, 0x01,
                                    0x80, 0,    0,    0x66, 0x8B, 0x15, 0x03, 0x80, 0,    0};
    const std::vector<int> read = {0xB9, 0x12, 0, 0, 0, 0x0F, 0x32};
    const std::vector<int> code = write_msr(0x11, 0x0B | 0xC0) + read + kToEbx + loads + read;
    EXPECT_EQ(difference(CpuModel::Pentium, CostModelKind::Model, code), 3u);
}

TEST_F(Counters, CountCacheMissesWhereTheClockHasCaches) {
    // MOV EDX, [8000h]; [8010h]; [8020h]: two lines of 32 bytes; then the first again.
    const std::vector<int> loads = {0x8B, 0x15, 0,    0x80, 0, 0, 0x8B, 0x15, 0x10, 0x80, 0, 0,
                                    0x8B, 0x15, 0x20, 0x80, 0, 0, 0x8B, 0x15, 0,    0x80, 0, 0};
    const std::vector<int> read = {0xB9, 0x12, 0, 0, 0, 0x0F, 0x32};
    const std::vector<int> code = write_msr(0x11, 0x03 | 0xC0) + read + kToEbx + loads + read;
    EXPECT_EQ(difference(CpuModel::Pentium, CostModelKind::Cache, code), 2u);
    EXPECT_EQ(difference(CpuModel::Pentium, CostModelKind::Model, code), 0u);
}

TEST_F(Counters, GoOnWhereASnapshotWasTaken) {
    const std::vector<int> code = write_msr(0x186, 0xC0 | kEnabled | kSupervisor) + read_counter(0) + kToEbx +
                                  times(10, {0x90}) + read_counter(0) + kHalt;
    CodeRunner whole;
    whole.enter_protected_mode();
    whole.code(code);
    whole.run();
    for (int steps = 1; steps < 20; ++steps) {
        CodeRunner part;
        part.enter_protected_mode();
        part.code(code);
        for (int i = 0; i < steps; ++i)
            part.step();
        part.reload();
        part.run();
        EXPECT_EQ(part.eax() - part.reg(kEbx), 13u) << steps;
        EXPECT_EQ(part.hash(), whole.hash()) << steps;
    }
}

} // namespace
} // namespace forkscope::test
