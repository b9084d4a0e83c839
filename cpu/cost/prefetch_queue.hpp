// Owns: the 386's instruction supply in clocks: bus, prefetch queue, decoder and the two decoded instructions ahead.
// Callers: CostModel, when it binds code for the 386; instruction by instruction, in order.
// Promises: pure functions of plain data; a PrefetchQueue is small and may be saved, compared and hashed.
// Sources: captures of a 386EX (docs/prefetch-queue.md says what they showed), Intel's 386 manuals (m, 16 bytes).
#pragma once

#include <span>

#include "cpu/decode/instruction.hpp"
#include "emu/base/archive.hpp"

namespace forkscope {

struct BusParameters {
    u32 bytes_per_cycle;
    u32 clocks_per_cycle;
    u32 queue_bytes;
};
inline constexpr BusParameters kBus386Dx{4, 2, 16};
inline constexpr BusParameters kBus386Ex{2, 2, 12}; // 12 is what the captures show
enum class BusWidth : u8 { Bits32, Bits16 };        // 386 DX, 386EX
constexpr const BusParameters& bus_parameters(BusWidth width) {
    return width == BusWidth::Bits32 ? kBus386Dx : kBus386Ex;
}

// Clocks that were fitted to captures; other values are for tests.
struct QueueConstants {
    u32 issue = 2;          // from the decoder's last component to the earliest start
    u32 operand = 2;        // from the start to the bus cycle of the first operand read
    u32 reserve = 1;        // from the start to when no new fetch may begin before that read
    u32 base_and_index = 1; // more before the read
};
inline constexpr QueueConstants kQueueConstants;

// An instruction's bytes as the decoder takes them: a clock for each single byte (prefixes, opcode, ModRM, SIB), one
// for the displacement, one for each four bytes of the immediate; the sum of these is the manual's m.
struct CodeShape {
    u8 singles = 1;
    u8 displacement = 0; // bytes
    u8 immediate = 0;    // bytes

    constexpr u32 components() const { return singles + (displacement != 0) + (immediate != 0) + (immediate > 4); }
};
CodeShape code_shape(std::span<const u8> bytes, const Instruction& instruction);

// Once such a transfer is decoded, nothing behind it is fetched: LOOP, too, but no conditional jump.
constexpr bool stops_prefetch(Transfer transfer) {
    return transfer != Transfer::None && transfer != Transfer::Branch && transfer != Transfer::Overflow;
}

// What the queue must know of one instruction. Accesses: `reads` operands in `read_cycles` bus cycles, likewise writes.
struct QueuedInstruction {
    CodeShape shape;
    bool stops = false;          // stops_prefetch()
    bool taken = false;          // a transfer that is: flush() follows
    bool locked = false;         // nothing is fetched between its read and its write
    bool base_and_index = false; // of the memory operand
    u16 clocks = 2;              // the manual's, without m: prefetched, zero wait, aligned, one cycle for each access
    u8 reads = 0, read_cycles = 0;
    u8 writes = 0, write_cycles = 0;
};

// Bus cycles of one access of `bytes` at `address`: one if aligned and not wider than the bus.
u32 bus_cycles(const BusParameters& bus, u32 bytes, u32 address = 0);

struct PrefetchQueue {
    u8 complete = 0;      // bytes waiting, up to the last whole doubleword that came in
    u8 latched = 0;       // bytes of the doubleword that is still coming in
    u8 fetch_phase = 0;   // address of the next fetch, modulo 4
    u8 bus_clocks = 0;    // until the bus is free
    u8 bus_bytes = 0;     // code bytes that the cycle on the bus brings
    u8 decoded = 0;       // instructions waiting to start
    u8 age[2] = {0, 0};   // clocks since each was decoded, up to 255
    u8 part = 0;          // components taken of the one after these
    bool held = false;    // all of them are taken, and it waits for a place
    bool stopped = false; // a certain transfer has been decoded: nothing behind it is

    bool operator==(const PrefetchQueue&) const = default;
    void serialize(Archive& ar);
    // Whether code can lead to it; from any other state advance() might not end.
    bool possible(const BusParameters& bus) const;
};
static_assert(sizeof(PrefetchQueue) <= 16);

// A taken transfer: the queue is empty, and the bus free to fetch from `target` once its running cycle ends.
void flush(PrefetchQueue& queue, u32 target);

// Runs ahead[0] to its end: clocks from the end of the instruction before it, waiting for its bytes included. What
// follows it is decoded and fetched meanwhile; instructions that are not known yet are decoded when they are
// given. More than kMostAhead change nothing. A taken transfer ends early by the clocks that flush() and the next call
// will take without its components, refill_clocks() (7 + m in sum).
inline constexpr u32 kMostAhead = 4;
u32 advance(PrefetchQueue& queue, const BusParameters& bus, std::span<const QueuedInstruction> ahead,
            const QueueConstants& constants = kQueueConstants);
u32 refill_clocks(const BusParameters& bus, const QueueConstants& constants = kQueueConstants);
// How many of them pass before ahead[0] starts.
u32 clocks_to_start(PrefetchQueue queue, const BusParameters& bus, std::span<const QueuedInstruction> ahead,
                    const QueueConstants& constants = kQueueConstants);

} // namespace forkscope
