// The 386's prefetch queue in the processor: what the captures of a 386EX took, what the manual says, and that both
// engines count the same however a run is cut.
#include <algorithm>
#include <functional>
#include <iostream>

#include <gtest/gtest.h>

#include "emu/base/random.hpp"
#include "moo_file.hpp"
#include "tests/parameter_names.hpp"
#include "tests/unit/cpu/code_runner.hpp"

namespace forkscope::test {
namespace {

// --- Captures

constexpr u32 kShift = 0x200000; // all of it plain memory, where our first MB has a gap
constexpr u32 kHaltCycle = 2;    // HLT's clocks after its five, up to the end of its bus cycle

// The handler's segment is loaded anew, so it cannot lie where the test's memory has been moved to; that it does not
// lie in our gap either, the vector is changed.
void put_exception_handler(CodeRunner& runner, const MooTest& test) {
    constexpr u32 kHandler = 0x10000;
    const u32 vector = kShift + *test.exception * 4u;
    const u32 alignment = runner.get16(vector) % 4;
    runner.put16(vector, static_cast<u16>(alignment));
    runner.put16(vector + 2, kHandler >> 4);
    runner.put8(kHandler + alignment, 0xF4);
}

// Clocks up to the HALT cycle.
u64 clocks_of(CodeRunner& runner, const MooTest& test) {
    for (const MooByte& byte : test.memory_before)
        runner.put8(kShift + byte.address, byte.value);
    runner.cpu.reset();
    if (test.exception)
        put_exception_handler(runner, test);
    CpuState& state = runner.edit();
    constexpr MooRegister kGeneral[] = {kMooEax, kMooEcx, kMooEdx, kMooEbx, kMooEsp, kMooEbp, kMooEsi, kMooEdi};
    for (u8 i = 0; i < 8; ++i)
        state.set_reg<u32>(i, test.before[kGeneral[i]]);
    constexpr MooRegister kSegments[] = {kMooEs, kMooCs, kMooSs, kMooDs, kMooFs, kMooGs};
    for (u8 i = 0; i < kSegmentCount; ++i) {
        const u32 selector = test.before[kSegments[i]];
        state.segments[i] = SegmentCache::at_reset(static_cast<u16>(selector), kShift + (selector << 4));
    }
    state.idtr.base = kShift;
    state.eip = test.before[kMooEip];
    state.set_eflags(test.before[kMooEflags] & runner.cpu.model().eflags);
    runner.apply();
    const Cycles before = runner.cpu.now();
    EXPECT_EQ(runner.run(10), CpuStop::Halted) << test.name;
    const Cycles took = runner.cpu.now() - before;
    for (const MooByte& byte : test.memory_before)
        runner.put8(kShift + byte.address, 0);
    return took + kHaltCycle;
}

TEST(CpuQueue, TakesTheClocksThatA386ExTook) {
    const std::vector<MooTest> tests = read_moo_file(FORKSCOPE_TEST_DATA "/386ex-00.MOO");
    ASSERT_EQ(tests.size(), 500u);
    for (const Way way : every_way()) {
        CodeRunner runner(way, CpuModel::I386, CostModelKind::Model, BusWidth::Bits16, u64{4} << 20);
        u32 exact = 0;
        for (const MooTest& test : tests) {
            const u64 ours = clocks_of(runner, test), real = test.clocks.size();
            exact += ours == real;
            EXPECT_LE(std::max(ours, real) - std::min(ours, real), 1u) << test.number << ": " << test.name;
        }
        EXPECT_GE(exact, 498u);
    }
}

// --- Loops

struct Row {
    std::string_view name;
    std::vector<int> bytes;
    u32 clocks; // the manual's
};

// An instruction's clocks and those of a loop of nothing else, a hundred times, on buses of 32 and 16 bits.
struct ShortOfBus {
    Row row;
    u32 hundred_32, hundred_16;
};

// Clocks of a hundred in a row, in 32-bit code; EBX points to memory, and the stack is deep.
u32 hundred_of(Way way, BusWidth bus, const std::vector<int>& bytes) {
    constexpr u32 kSettle = 20, kCount = 100;
    CodeRunner runner(way, CpuModel::I386, CostModelKind::Model, bus);
    runner.enter_protected_mode();
    CpuState& state = runner.edit();
    state.set_reg<u32>(kEbx, 0x14000);
    state.set_reg<u32>(kEsi, 0x15000);
    state.set_reg<u32>(kEdi, 0x16000);
    state.set_reg<u32>(kEcx, 0xFFFFFFFF);
    runner.apply();
    std::vector<int> code;
    for (u32 i = 0; i < kSettle + kCount + 8; ++i)
        code.insert(code.end(), bytes.begin(), bytes.end());
    runner.code(code);
    runner.cpu.run_until(kNever, kSettle);
    const Cycles before = runner.cpu.now();
    runner.cpu.run_until(kNever, kSettle + kCount);
    return static_cast<u32>(runner.cpu.now() - before);
}

TEST(CpuQueue, CostsTheManualsClocksInARowAsLongAsTheBusHasTime) {
    const std::vector<Row> rows = {
        {"nop", {0x90}, 3},
        {"inc eax", {0x40}, 2},
        {"add eax, ecx", {0x01, 0xC8}, 2},
        {"add eax, 5", {0x83, 0xC0, 5}, 2},
        {"lea eax, [ebx+8]", {0x8D, 0x43, 8}, 2},
        {"shl eax, 3", {0xC1, 0xE0, 3}, 3},
        {"movzx eax, bl", {0x0F, 0xB6, 0xC3}, 3},
        {"mul ecx", {0xF7, 0xE1}, 38},
        {"add eax, [ebx]", {0x03, 0x03}, 6},
        {"cmp [ebx+8], eax", {0x39, 0x43, 8}, 5},
        {"mov eax, [ebx]", {0x8B, 0x03}, 4},
        {"pop eax", {0x58}, 4},
        {"add [ebx], eax", {0x01, 0x03}, 7},
        {"inc dword [ebx+8]", {0xFF, 0x43, 8}, 6},
        {"movsd", {0xA5}, 7},
        {"cmpsd", {0xA7}, 10},
        {"xlatb", {0xD7}, 5},
        {"bt [ebx], eax", {0x0F, 0xA3, 0x03}, 12},
        {"jmp", {0xEB, 0}, 9}, // 7 + m
    };
    for (const Row& row : rows)
        for (const Way way : every_way())
            EXPECT_EQ(hundred_of(way, BusWidth::Bits32, row.bytes), 100 * row.clocks) << row.name;
}

TEST(CpuQueue, WaitsForTheBusWhereItIsShort) {
    const std::vector<ShortOfBus> all = {
        {{"mov eax, 12345678", {0xB8, 0x78, 0x56, 0x34, 0x12}, 2}, 250, 500},
        {{"mov [ebx], eax", {0x89, 0x03}, 2}, 296, 600},
        {{"push eax", {0x50}, 2}, 248, 496},
        {{"push dword [ebx]", {0xFF, 0x33}, 5}, 596, 1100},
        {{"xchg [ebx], eax", {0x87, 0x03}, 5}, 596, 1100},
        {{"add dword [ebx+1234], 1234", {0x81, 0x83, 4, 3, 0, 0, 4, 3, 2, 1}, 7}, 1000, 1900},
    };
    for (const ShortOfBus& one : all)
        for (const Way way : every_way()) {
            const u32 wide = hundred_of(way, BusWidth::Bits32, one.row.bytes);
            EXPECT_EQ(wide, one.hundred_32) << one.row.name;
            EXPECT_GT(wide, 100 * one.row.clocks) << one.row.name;
            EXPECT_EQ(hundred_of(way, BusWidth::Bits16, one.row.bytes), one.hundred_16) << one.row.name;
        }
}

// --- The engines

constexpr u32 kCodeBytes = 400, kData = 0x12000;

// Instructions that write near the code that runs, that transfer, that take their clocks from their operands, that
// repeat, and that fault; 16- and 32-bit code alike, so some mean something else there.
const std::vector<std::vector<int>> kPieces = {
    {0x90},
    {0x40},
    {0x01, 0xC8},
    {0x83, 0xC0, 5},
    {0xB8, 0x78, 0x56, 0x34, 0x12},
    {0x89, 0x07}, // stores to where EDI (BX) points: code or data
    {0x89, 0x47, 6},
    {0xC7, 0x47, 1, 0x90, 0x90, 0x90, 0x40},
    {0xC6, 0x47, 3, 0x48},
    {0x01, 0x07},
    {0xFE, 0x47, 2},
    {0x8B, 0x07},
    {0x8B, 0x44, 0x1E, 1},
    {0x66, 0x03, 0x47, 3},
    {0xF7, 0xE1}, // MUL, IMUL, BSF, BSR, DIV
    {0x0F, 0xAF, 0xC1},
    {0x0F, 0xBC, 0xC1},
    {0x0F, 0xBD, 0xC8},
    {0x6B, 0xC1, 0x15},
    {0x50},
    {0x58},
    {0x60},
    {0x61},
    {0x9C},
    {0x9D},
    {0x53, 0x5F}, // EDI = EBX: into the code
    {0xAA},
    {0xA4},
    {0xA7},
    {0xF3, 0xAA},
    {0xF3, 0xA4},
    {0xF3, 0xA5},
    {0xF2, 0xAE},
    {0xF3, 0xA7},
    {0xB9, 5, 0, 0, 0},
    {0xB1, 40},
    {0x74, 4}, // transfers
    {0x75, 7},
    {0x72, 0xF4},
    {0xE3, 3},
    {0xE2, 0xFB},
    {0xE2, 0xE0},
    {0xEB, 3},
    {0xE8, 2, 0, 0, 0},
    {0xC3},
    {0xFF, 0x17},
    {0xCD, 0x20},
    {0xCE},
    {0xCC},
    {0x1E, 0x1F},
    {0x8E, 0xC0},
    {0xE6, CodeRunner::kLogPort},
    {0xEC},
    {0xF0, 0x01, 0x07},
    {0x87, 0x07},
    {0x0F, 0x0B}, // undefined
    {0xF0, 0x90},
    {0x2E, 0x66, 0x67, 0x36, 0x8B, 0x07},
    {0xFA},
    {0xD9, 0xE8},
    {0x0F, 0x94, 0xC0},
    {0xC8, 8, 0, 2},
    {0xC9},
    {0xEA, 0, 0, 1, 0, 8, 0},
};

enum class Mode : u8 { Real, Protected, Paged };

void set_scene(CodeRunner& runner, Mode mode, u64 seed) {
    Random random(seed);
    if (mode == Mode::Real)
        runner.enter_real_mode();
    else
        runner.enter_protected_mode();
    if (mode == Mode::Paged)
        runner.enable_paging();
    for (u32 vector = 0; vector < 0x30; ++vector)
        runner.handler(static_cast<u8>(vector), {0x40, 0xCF}); // INC EAX; IRET
    // Sometimes across the end of a page.
    const u32 start = CodeRunner::kStart + (random.below(3) == 0 ? 0xF00 + random.below(256) : random.below(64));
    std::vector<int> code;
    while (code.size() < kCodeBytes) {
        const std::vector<int>& piece = kPieces[random.below(kPieces.size())];
        code.insert(code.end(), piece.begin(), piece.end());
    }
    code.insert(code.end(), {0xEB, 0x80}); // back into it
    runner.put(start, code);
    CpuState& state = runner.edit();
    state.eip = start - (mode == Mode::Real ? CodeRunner::kStart : 0);
    for (const u8 number : {kEax, kEcx, kEdx})
        state.set_reg<u32>(number, random.below(2) == 0 ? random.below(20) : static_cast<u32>(random.next()));
    const auto place = [&](u32 at) { return at - (mode == Mode::Real ? CodeRunner::kStart : 0); };
    for (const u8 number : {kEbx, kEsi, kEdi, kEbp})
        state.set_reg<u32>(number, place(random.below(3) != 0 ? start + random.below(kCodeBytes) : kData));
    for (const u8 segment : {kEs, kDs})
        if (mode == Mode::Real)
            state.segments[segment] = SegmentCache::at_reset(0x1000, CodeRunner::kStart);
    runner.apply();
}

void save_and_load(CodeRunner& runner) {
    SaveArchive save;
    save.nested("cpu", runner.cpu);
    save.nested("mmu", runner.mmu);
    const std::vector<u8> bytes = save.take();
    runner.cpu.reset();
    LoadArchive load(bytes);
    load.nested("cpu", runner.cpu);
    load.nested("mmu", runner.mmu);
    ASSERT_TRUE(load.finish().ok());
}

// Up to `end` instructions, in parts; between them nothing changes that the guest could see.
CpuStop run_in_parts(CodeRunner& runner, u64 end, Random& random) {
    while (runner.cpu.instructions() < end) {
        const u64 most = random.below(4) == 0 ? runner.cpu.instructions() + 1 + random.below(9) : end;
        const Cycles deadline = runner.cpu.now() + 1 + random.below(300);
        runner.cpu.run_until(deadline, std::min(end, most));
        if (random.below(3) == 0)
            runner.cpu.forget_derived_state();
        else if (random.below(8) == 0)
            save_and_load(runner);
    }
    return CpuStop::Instructions;
}

constexpr u64 kInstructions = 300, kStep = 100;

// Clocks after each step, and the hash at the end; nothing if the scene does not come so far.
std::vector<u64> outcome(Way way, BusWidth bus, u64 round, const std::function<CpuStop(CodeRunner&, u64 end)>& run) {
    CodeRunner runner(way, CpuModel::I386, CostModelKind::Model, bus);
    set_scene(runner, static_cast<Mode>(round % 3), round);
    std::vector<u64> result;
    for (u64 end = kStep; end <= kInstructions; end += kStep) {
        if (run(runner, end) != CpuStop::Instructions)
            return {};
        result.push_back(runner.cpu.now());
    }
    result.push_back(runner.hash());
    return result;
}

class QueueEngines : public testing::TestWithParam<BusWidth> {};

TEST_P(QueueEngines, CountTheSameClocksHoweverARunIsCut) {
    constexpr Cycles kMost = 100'000; // a fault in the handler of a fault retires nothing
    const u32 rounds = std::getenv("FORKSCOPE_LONG") != nullptr ? 20'000 : 150;
    u32 compared = 0;
    for (u32 round = 0; round < rounds; ++round) {
        const auto at_once = [](CodeRunner& runner, u64 end) { return runner.cpu.run_until(kMost, end); };
        const auto expected = outcome({EngineKind::Interpreter, true}, GetParam(), round, at_once);
        if (expected.empty())
            continue; // it halts, shuts down, or does not come back from a fault
        ++compared;
        ASSERT_EQ(outcome({EngineKind::Block, true}, GetParam(), round, at_once), expected) << "round " << round;
        for (const Way way : every_way()) {
            Random random(round * 7 + 1);
            const auto in_parts = [&](CodeRunner& runner, u64 end) { return run_in_parts(runner, end, random); };
            ASSERT_EQ(outcome(way, GetParam(), round, in_parts), expected) << "round " << round;
        }
    }
    EXPECT_GT(compared, rounds / 2);
    std::cout << compared << " of " << rounds << " scenes compared\n";
}

INSTANTIATE_TEST_SUITE_P(Buses, QueueEngines, testing::Values(BusWidth::Bits32, BusWidth::Bits16),
                         testing::PrintToStringParamName());

} // namespace
} // namespace forkscope::test
