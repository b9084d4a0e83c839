// The 386's prefetch queue against the bus of a real 386EX, and against the manual's clocks.
#include <algorithm>
#include <array>
#include <iostream>
#include <random>
#include <string_view>

#include <gtest/gtest.h>

#include "cpu/cost/prefetch_queue.hpp"
#include "cpu/decode/decoder.hpp"
#include "moo_file.hpp"

namespace forkscope::test {
namespace {

// What the captures need besides the model's constants.
struct Fit {
    QueueConstants queue;
    u32 halt = 7;       // HLT's clocks up to and with that of its bus cycle
    u32 exception = 55; // clocks of #UD's delivery in real mode, without m
};

QueuedInstruction queued(std::span<const u8> bytes, const Instruction& instruction) {
    QueuedInstruction result;
    result.shape = code_shape(bytes, instruction);
    result.stops = stops_prefetch(form_at(instruction.form).transfer);
    result.base_and_index = instruction.base != kNoRegister && instruction.index != kNoRegister;
    result.locked = (instruction.flags & kHasLock) != 0;
    return result;
}

// All instructions from where the test starts to where its bytes in memory end.
std::vector<QueuedInstruction> code_of(const MooTest& test) {
    const u32 address = test.before[kMooCs] * 16 + test.before[kMooEip];
    std::vector<u8> bytes;
    const auto& memory = test.memory_before;
    const auto is_next = [&](const MooByte& byte) { return byte.address == address + bytes.size(); };
    for (auto at = memory.begin(); (at = std::find_if(memory.begin(), memory.end(), is_next)) != memory.end();)
        bytes.push_back(at->value);
    std::vector<QueuedInstruction> code;
    for (std::size_t at = 0; at < bytes.size();) {
        const std::span<const u8> rest = std::span(bytes).subspan(at);
        Instruction instruction;
        if (decode(rest, {}, instruction) == DecodeStatus::Truncated)
            break;
        code.push_back(queued(rest, instruction));
        at += std::max<u32>(instruction.length, 1);
    }
    return code;
}

bool writes(const MooTest& test) {
    const auto is_write = [](const MooClock& clock) { return clock.starts(MooClock::kWrite); };
    return !test.exception && std::any_of(test.clocks.begin(), test.clocks.end(), is_write);
}

struct Capture {
    MooTest test;
    std::vector<QueuedInstruction> code;
    bool memory = false; // of the ADD
};

const std::vector<Capture>& captures() {
    static const std::vector<Capture> all = [] {
        std::vector<Capture> result;
        for (const MooTest& test : read_moo_file(FORKSCOPE_TEST_DATA "/386ex-00.MOO"))
            result.push_back({test, code_of(test), writes(test)});
        return result;
    }();
    return all;
}

// Clocks from the first code fetch: to HALT, and to the end of the ADD; code fetches that began before that.
struct Clocks {
    i64 total = 0, add = 0, fetches = 0;
};

// Where nothing but the model says when the ADD ended, `end` does: those without a write.
Clocks measured(const MooTest& test, i64 end) {
    const auto first = test.clocks.begin();
    const auto is_write = [](const MooClock& clock) { return clock.starts(MooClock::kWrite); };
    const auto is_fetch = [](const MooClock& clock) { return clock.starts(MooClock::kFetch); };
    const i64 write = std::find_if(first, test.clocks.end(), is_write) - first;
    const bool has_write = write < std::ssize(test.clocks) && !test.exception;
    const i64 add = has_write ? write : end;
    return {std::ssize(test.clocks), add, std::count_if(first, first + add, is_fetch)};
}

// Bytes of `ahead` that have been fetched or are on their way.
u32 fetched_of(const PrefetchQueue& queue, std::span<const QueuedInstruction> ahead) {
    const auto length = [](const CodeShape& shape) {
        return u32{shape.singles} + shape.displacement + shape.immediate;
    };
    u32 bytes = queue.complete + queue.latched + queue.bus_bytes;
    const u32 whole = queue.decoded + (queue.held ? 1u : 0u);
    for (u32 i = 0; i < whole; ++i)
        bytes += length(ahead[i].shape);
    if (queue.held || queue.part == 0)
        return bytes;
    const CodeShape& shape = ahead[whole].shape;
    bytes += std::min<u32>(queue.part, shape.singles);
    return bytes + (queue.part > shape.singles ? shape.displacement : 0);
}

constexpr i64 kFetchesUnknown = -1; // an exception has emptied the queue

Clocks modelled(const Capture& capture, const Fit& fit) {
    std::vector<QueuedInstruction> code = capture.code;
    QueuedInstruction& add = code.at(0);
    QueuedInstruction& halt = code.at(1);
    halt.clocks = static_cast<u16>(fit.halt);
    PrefetchQueue queue;
    flush(queue, capture.test.clocks.at(0).address);
    if (capture.test.exception) {
        add.taken = true;
        add.stops = true;
        add.clocks = static_cast<u16>(fit.exception);
        const u32 delivery = advance(queue, kBus386Ex, code, fit.queue);
        flush(queue, 0);
        return {delivery + advance(queue, kBus386Ex, {&halt, 1}, fit.queue), delivery, kFetchesUnknown};
    }
    const bool memory = capture.memory;
    add.clocks = memory ? 7 : 2; // the manual's
    add.reads = add.read_cycles = add.writes = add.write_cycles = memory ? 1 : 0;
    const u32 clocks = advance(queue, kBus386Ex, code, fit.queue); // the write starts as the next instruction does
    const auto rest = std::span(code).subspan(1);
    const u32 fetched = fetched_of(queue, rest) + add.shape.singles + add.shape.displacement;
    return {clocks + advance(queue, kBus386Ex, rest, fit.queue), clocks, fetched / kBus386Ex.bytes_per_cycle};
}

struct Score {
    u32 tests = 0, exact = 0, off_by_one = 0, worse = 0; // in the total
    u32 add_exact = 0;                                   // start of the write, or no write
    u32 fetches_exact = 0;                               // until then
    bool passes() const { return exact * 100 >= tests * 92 && worse == 0; }
};

enum class Half : u8 { Even, Odd }; // by the test's number: constants were fitted to the even ones

Score score(Half half, const Fit& fit) {
    Score result;
    for (const Capture& capture : captures()) {
        if (capture.test.number % 2 != static_cast<u32>(half))
            continue;
        const Clocks ours = modelled(capture, fit), real = measured(capture.test, ours.add);
        const i64 off = ours.total - real.total;
        ++result.tests;
        ++(off == 0 ? result.exact : off == 1 || off == -1 ? result.off_by_one : result.worse);
        result.add_exact += ours.add == real.add;
        result.fetches_exact += ours.fetches == real.fetches || ours.fetches == kFetchesUnknown;
    }
    return result;
}

std::ostream& operator<<(std::ostream& out, const Score& score) {
    return out << score.tests << " tests, " << score.exact << " exact, " << score.off_by_one << " off by one, "
               << score.worse << " worse; its write starts right in " << score.add_exact
               << ", code fetches until then in " << score.fetches_exact;
}

TEST(PrefetchQueue, TakesTheClocksThatA386ExTook) {
    ASSERT_EQ(captures().size(), 500u);
    const Score fitted = score(Half::Even, {}), other = score(Half::Odd, {});
    std::cout << "fitted half: " << fitted << "\nother half: " << other << "\n";
    EXPECT_EQ(fitted.tests + other.tests, 500u);
    EXPECT_TRUE(fitted.passes()) << fitted;
    EXPECT_TRUE(other.passes()) << other;
}

TEST(PrefetchQueue, HasTheConstantsThatFitHalfOfTheCapturesBest) {
    const auto points_of = [](const Fit& fit) {
        const Score result = score(Half::Even, fit);
        return result.exact + result.add_exact + result.fetches_exact;
    };
    const u32 ours = points_of({});
    u32 points = 0, as_good = 0;
    for (u32 issue = 0; issue <= 4; ++issue)
        for (u32 operand = 0; operand <= 4; ++operand)
            for (u32 reserve = 0; reserve <= 2; ++reserve)
                for (u32 base_and_index = 0; base_and_index <= 2; ++base_and_index)
                    for (u32 halt = 5; halt <= 9; ++halt) {
                        Fit fit{{issue, operand, reserve, base_and_index}};
                        fit.halt = halt;
                        const u32 theirs = points_of(fit);
                        EXPECT_LE(theirs, ours) << issue << operand << reserve << base_and_index << halt;
                        as_good += theirs == ours;
                        ++points;
                        if (theirs == ours)
                            std::cout << "issue " << issue << ", operand " << operand << ", reserve " << reserve
                                      << ", base and index " << base_and_index << ", HLT " << halt << "\n";
                    }
    std::cout << as_good << " of " << points << " settings are the best\n";
}

TEST(PrefetchQueue, MissesTheCapturesWithOtherConstants) {
    const auto fails = [](const QueueConstants& constants) {
        return !score(Half::Even, {constants}).passes() && !score(Half::Odd, {constants}).passes();
    };
    EXPECT_FALSE(fails({}));
    const QueueConstants right;
    for (const u32 change : {1u, ~0u}) {
        EXPECT_TRUE(fails({right.issue + change})) << change;
        EXPECT_TRUE(fails({right.issue, right.operand + change})) << change;
        EXPECT_TRUE(fails({right.issue, right.operand, right.reserve, right.base_and_index + change})) << change;
    }
    EXPECT_TRUE(fails({right.issue, right.operand, right.reserve + 1}));
}

// An instruction of 32-bit code and what the manual says of it (386 DX, zero wait states).
struct Row {
    std::string_view name;
    std::vector<u8> bytes;
    u16 clocks;
    u8 reads = 0, writes = 0;
};

QueuedInstruction queued(const Row& row) {
    Instruction instruction;
    EXPECT_EQ(decode(row.bytes, {true}, instruction), DecodeStatus::Ok) << row.name;
    EXPECT_EQ(instruction.length, row.bytes.size()) << row.name;
    QueuedInstruction result = queued(row.bytes, instruction);
    result.clocks = row.clocks;
    result.locked |= row.name.starts_with("xchg");
    result.reads = result.read_cycles = row.reads;
    result.writes = result.write_cycles = row.writes;
    return result;
}

// Clocks of `count` repetitions of `loop`, after some to settle.
u32 steady(const std::vector<QueuedInstruction>& loop, u32 count) {
    constexpr u32 kSettle = 12, kAhead = 6;
    std::vector<QueuedInstruction> code;
    for (u32 i = 0; i < kSettle + count + kAhead; ++i)
        code.insert(code.end(), loop.begin(), loop.end());
    PrefetchQueue queue;
    flush(queue, 0);
    u32 clocks = 0;
    for (std::size_t i = 0; i < (kSettle + count) * loop.size(); ++i) {
        const u32 taken = advance(queue, kBus386Dx, std::span(code).subspan(i, kAhead));
        clocks += i >= kSettle * loop.size() ? taken : 0;
    }
    return clocks;
}

// What a loop of nothing else asks of the bus.
enum class Loop : u8 { BusHasTime, BusIsShort };

const std::vector<std::pair<Loop, Row>> kRows = {
    {Loop::BusHasTime, {"nop", {0x90}, 3}},
    {Loop::BusHasTime, {"inc eax", {0x40}, 2}},
    {Loop::BusHasTime, {"add eax, ecx", {0x01, 0xC8}, 2}},
    {Loop::BusHasTime, {"add eax, 5", {0x83, 0xC0, 5}, 2}},
    {Loop::BusHasTime, {"lea eax, [ebx+8]", {0x8D, 0x43, 8}, 2}},
    {Loop::BusHasTime, {"shl eax, 3", {0xC1, 0xE0, 3}, 3}},
    {Loop::BusHasTime, {"movzx eax, bl", {0x0F, 0xB6, 0xC3}, 3}},
    {Loop::BusHasTime, {"mul ecx", {0xF7, 0xE1}, 38}},
    {Loop::BusHasTime, {"add eax, [ebx]", {0x03, 0x03}, 6, 1}},
    {Loop::BusHasTime, {"cmp [ebx+8], eax", {0x39, 0x43, 8}, 5, 1}},
    {Loop::BusHasTime, {"movzx eax, byte [ebx]", {0x0F, 0xB6, 0x03}, 6, 1}},
    {Loop::BusHasTime, {"mov eax, [ebx]", {0x8B, 0x03}, 4, 1}},
    {Loop::BusHasTime, {"pop eax", {0x58}, 4, 1}},
    {Loop::BusHasTime, {"popa", {0x61}, 24, 8}},
    {Loop::BusHasTime, {"add [ebx], eax", {0x01, 0x03}, 7, 1, 1}},
    {Loop::BusHasTime, {"inc dword [ebx+8]", {0xFF, 0x43, 8}, 6, 1, 1}},
    {Loop::BusHasTime, {"movsd", {0xA5}, 7, 1, 1}},
    {Loop::BusHasTime, {"pusha", {0x60}, 18, 0, 8}},
    {Loop::BusIsShort, {"mov eax, 12345678", {0xB8, 0x78, 0x56, 0x34, 0x12}, 2}},
    {Loop::BusIsShort, {"mov [ebx], eax", {0x89, 0x03}, 2, 0, 1}},
    {Loop::BusIsShort, {"push eax", {0x50}, 2, 0, 1}},
    {Loop::BusIsShort, {"push dword [ebx]", {0xFF, 0x33}, 5, 1, 1}},
    {Loop::BusIsShort, {"xchg [ebx], eax", {0x87, 0x03}, 5, 1, 1}},
    {Loop::BusIsShort, {"add dword [ebx+1234], 1234", {0x81, 0x83, 4, 3, 2, 1, 4, 3, 2, 1}, 7, 1, 1}},
};

TEST(PrefetchQueue, AddsNothingToTheManualsClocksWhenTheBusHasTime) {
    constexpr u32 kCount = 100;
    const QueuedInstruction rest = queued({"mul ecx", {0xF7, 0xE1}, 38});
    for (const auto& [loop, row] : kRows) {
        EXPECT_EQ(steady({queued(row), rest}, kCount), kCount * (row.clocks + rest.clocks)) << row.name;
        if (loop == Loop::BusHasTime) {
            EXPECT_EQ(steady({queued(row)}, kCount), kCount * row.clocks) << row.name;
        }
    }
}

TEST(PrefetchQueue, AddsAtMostTheFetchOfTheCodeWhenTheBusIsShort) {
    constexpr u32 kCount = 100;
    for (const auto& [loop, row] : kRows) {
        if (loop == Loop::BusHasTime)
            continue;
        const double clocks = steady({queued(row)}, kCount) / double{kCount};
        const double fetch =
            static_cast<double>(row.bytes.size()) / kBus386Dx.bytes_per_cycle * kBus386Dx.clocks_per_cycle;
        EXPECT_GT(clocks, row.clocks) << row.name;
        EXPECT_LE(clocks, row.clocks + fetch) << row.name;
    }
}

TEST(PrefetchQueue, AddsAClockForBaseAndIndex) {
    const Row row{"add eax, [ebx+ecx]", {0x03, 0x04, 0x0B}, 6, 1};
    EXPECT_EQ(steady({queued(row)}, 100), 700u);
}

// Clocks of a taken jump that the manual gives as 7 + m, and of the instruction that it goes to.
u32 jump_and_target(const BusParameters& bus, const Row& target, u32 address) {
    QueuedInstruction jump = queued({"jmp", {0xEB, 0}, 7});
    jump.taken = true;
    const std::vector<QueuedInstruction> before{queued({"mul ecx", {0xF7, 0xE1}, 38}), jump};
    const std::vector<QueuedInstruction> after{queued(target), queued({"nop", {0x90}, 3})};
    PrefetchQueue queue;
    flush(queue, 0);
    advance(queue, bus, before);
    const u32 clocks = advance(queue, bus, std::span(before).subspan(1));
    flush(queue, address);
    return clocks + advance(queue, bus, after);
}

TEST(PrefetchQueue, MakesATakenJumpCostSevenAndTheComponentsOfItsTarget) {
    for (const auto& [loop, row] : kRows) {
        const u32 manual = 7 + queued(row).shape.components() + row.clocks;
        EXPECT_GE(jump_and_target(kBus386Dx, row, 0x1000), manual) << row.name;
        if (loop == Loop::BusIsShort)
            continue;
        EXPECT_EQ(jump_and_target(kBus386Dx, row, 0x1000), manual) << row.name;
        EXPECT_EQ(jump_and_target(kBus386Ex, row, 0x1000), manual + 2) << row.name; // a doubleword in two cycles
        for (u32 address = 0x1001; address < 0x1004; ++address) {
            const u32 clocks = jump_and_target(kBus386Dx, row, address);
            EXPECT_GE(clocks, manual) << row.name;
            EXPECT_LE(clocks, manual + 1) << row.name; // the next doubleword comes a clock late
        }
    }
}

TEST(PrefetchQueue, RunsALoopWithATakenBranchInTheManualsClocks) {
    const QueuedInstruction body = queued({"add eax, ecx", {0x01, 0xC8}, 2});
    QueuedInstruction branch = queued({"jnz", {0x75, 0xFC}, 7});
    branch.taken = true;
    const std::vector<QueuedInstruction> loop{body, branch, body, body};
    PrefetchQueue queue;
    u32 clocks = 0;
    for (u32 i = 0; i < 110; ++i) {
        flush(queue, 0x1000);
        const u32 once = advance(queue, kBus386Dx, loop);
        clocks += (once + advance(queue, kBus386Dx, std::span(loop).subspan(1))) * (i >= 10 ? 1 : 0);
    }
    EXPECT_EQ(clocks, 100u * (2 + 7 + 2));
}

TEST(PrefetchQueue, ChargesTheBusCyclesThatWideAndMisalignedReadsTake) {
    EXPECT_EQ(bus_cycles(kBus386Dx, 4), 1u);
    EXPECT_EQ(bus_cycles(kBus386Dx, 4, 1), 2u);
    EXPECT_EQ(bus_cycles(kBus386Dx, 2, 3), 2u);
    EXPECT_EQ(bus_cycles(kBus386Ex, 4), 2u);
    EXPECT_EQ(bus_cycles(kBus386Ex, 4, 1), 3u);
    QueuedInstruction read = queued({"mov eax, [ebx]", {0x8B, 0x03}, 4, 1});
    EXPECT_EQ(steady({read}, 100), 400u);
    read.read_cycles = static_cast<u8>(bus_cycles(kBus386Dx, 4, 1));
    EXPECT_EQ(steady({read}, 100), 600u);
}

TEST(PrefetchQueue, SplitsEveryInstructionIntoComponents) {
    const auto shape = [](const std::vector<u8>& bytes, CodeMode mode) {
        Instruction instruction;
        EXPECT_EQ(decode(bytes, mode, instruction), DecodeStatus::Ok);
        const CodeShape found = code_shape(bytes, instruction);
        return std::array<u32, 3>{found.singles, found.displacement, found.immediate};
    };
    using Shape = std::array<u32, 3>;
    EXPECT_EQ(shape({0x90}, {true}), (Shape{1, 0, 0}));
    EXPECT_EQ(shape({0x66, 0x2E, 0x81, 0x44, 0x8B, 8, 1, 2}, {true}), (Shape{5, 1, 2}));
    EXPECT_EQ(shape({0x8B, 0x05, 1, 2, 3, 4}, {true}), (Shape{2, 4, 0}));
    EXPECT_EQ(shape({0x8B, 0x04, 0x25, 1, 2, 3, 4}, {true}), (Shape{3, 4, 0}));
    EXPECT_EQ(shape({0x8B, 0x06, 1, 2}, {false}), (Shape{2, 2, 0}));
    EXPECT_EQ(shape({0x0F, 0xA4, 0xC8, 3}, {true}), (Shape{3, 0, 1}));
    EXPECT_EQ(shape({0xA1, 1, 2, 3, 4}, {true}), (Shape{1, 4, 0}));
    EXPECT_EQ(shape({0x0F, 0x84, 1, 2, 3, 4}, {true}), (Shape{2, 0, 4}));
    EXPECT_EQ(shape({0xC8, 1, 2, 3}, {true}), (Shape{1, 0, 3}));
    EXPECT_EQ(shape({0x9A, 1, 2, 3, 4, 5, 6}, {true}), (Shape{1, 0, 6}));
}

// Any code: ends, is the same again, never holds more than the queue has room for.
TEST(PrefetchQueue, RunsAnyCodeFromAnyAddress) {
    std::mt19937 random(4);
    const auto below = [&](u32 limit) { return static_cast<u8>(random() % limit); };
    for (u32 round = 0; round < 2000; ++round) {
        const BusParameters& bus = round % 2 == 0 ? kBus386Dx : kBus386Ex;
        constexpr u8 kSizes[] = {0, 1, 2, 4};
        constexpr u8 kImmediates[] = {0, 1, 2, 3, 4, 6};
        std::vector<QueuedInstruction> code(30);
        for (QueuedInstruction& one : code) {
            one.shape = {static_cast<u8>(1 + below(5)), kSizes[below(4)], kImmediates[below(6)]};
            const u32 transfer = below(3); // none, one that may be, one that is
            one.stops = transfer == 2;
            one.taken = transfer != 0 && below(2) != 0;
            one.locked = below(8) == 0;
            one.base_and_index = below(4) == 0;
            one.clocks = static_cast<u16>(2 + below(100));
            one.reads = below(3);
            one.writes = below(3);
            one.read_cycles = static_cast<u8>(one.reads * (1 + below(3)));
            one.write_cycles = static_cast<u8>(one.writes * (1 + below(3)));
        }
        PrefetchQueue queue;
        flush(queue, random());
        for (std::size_t i = 0; i < code.size(); ++i) {
            const auto ahead = std::span(code).subspan(i, std::min<std::size_t>(1 + below(6), code.size() - i));
            PrefetchQueue again = queue;
            const u32 clocks = advance(queue, bus, ahead);
            ASSERT_EQ(advance(again, bus, ahead), clocks);
            ASSERT_EQ(again, queue);
            ASSERT_LE(clocks, 400u);
            ASSERT_LE(u32{queue.complete} + queue.latched + queue.bus_bytes, bus.queue_bytes);
            if (code[i].taken)
                flush(queue, random());
        }
    }
}

} // namespace
} // namespace forkscope::test
