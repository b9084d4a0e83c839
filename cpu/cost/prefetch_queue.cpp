#include "cpu/cost/prefetch_queue.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace forkscope {

namespace {

constexpr u32 kDoubleword = 4;

bool is_prefix(u8 byte) {
    switch (byte) {
    case 0x26:
    case 0x2E:
    case 0x36:
    case 0x3E:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xF0:
    case 0xF2:
    case 0xF3:
        return true;
    default:
        return false;
    }
}

u32 displacement_bytes(u32 modrm, u32 sib, u32 address_size) {
    const u32 mod = modrm >> 6, rm = modrm & 7;
    if (mod == 3)
        return 0;
    if (mod == 1)
        return 1;
    if (address_size == 2)
        return mod == 2 || rm == 6 ? 2 : 0;
    const bool no_base = rm == 5 || (rm == 4 && (sib & 7) == 5);
    return mod == 2 || no_base ? 4 : 0;
}

// One instruction's run through the queue, clock by clock.
class Runner {
  public:
    Runner(PrefetchQueue& queue, const BusParameters& bus, std::span<const QueuedInstruction> ahead,
           const QueueConstants& constants)
        : queue_(queue), bus_(bus), ahead_(ahead), constants_(constants), now_(ahead[0]) {}

    u32 run() {
        for (u32 clock = 0;; ++clock) {
            finish_bus_cycle();
            seen_ = queue_.complete;
            const bool decoded = decode();
            if (!started_ && can_start())
                start(clock);
            if (started_ && execute(clock))
                return clock;
            fetch(clock);
            if (!decoded && is_still(clock))
                clock = std::max(clock + 1, next_event()) - 1;
            else
                tick();
        }
    }

  private:
    // Code becomes visible to the decoder by whole doublewords.
    void finish_bus_cycle() {
        if (queue_.bus_clocks != 0 || queue_.bus_bytes == 0)
            return;
        queue_.latched = static_cast<u8>(queue_.latched + queue_.bus_bytes);
        queue_.fetch_phase = static_cast<u8>((queue_.fetch_phase + queue_.bus_bytes) % kDoubleword);
        queue_.bus_bytes = 0;
        if (queue_.fetch_phase == 0) {
            queue_.complete = static_cast<u8>(queue_.complete + queue_.latched);
            queue_.latched = 0;
        }
    }

    // A component a clock; together with an instruction's last one, if that is no single byte, the next one's first.
    // False if there was none.
    bool decode() {
        finished_now_ = false;
        const Taken taken = take_component();
        if (taken == Taken::LastOfMany)
            take_component();
        return taken != Taken::None;
    }

    enum class Taken : u8 { None, One, LastOfMany }; // LastOfMany: of its instruction, and no single byte

    Taken take_component() {
        // The instruction in execution has left the places where decoded ones wait.
        const u32 next = queue_.decoded + (started_ ? 1u : 0u);
        if (queue_.held || queue_.stopped || next >= ahead_.size())
            return Taken::None;
        const CodeShape& shape = ahead_[next].shape;
        const bool single = queue_.part < shape.singles;
        const bool is_displacement = !single && queue_.part == shape.singles && shape.displacement != 0;
        const u32 bytes = single ? 1 : is_displacement ? shape.displacement : immediate_bytes(shape);
        if (queue_.complete < bytes)
            return Taken::None;
        queue_.complete = static_cast<u8>(queue_.complete - bytes);
        if (++queue_.part < shape.components())
            return Taken::One;
        queue_.stopped = ahead_[next].stops;
        if (queue_.decoded < std::size(queue_.age)) {
            admit(kJustDecoded);
        } else {
            queue_.held = true;
            finished_now_ = true;
        }
        return single ? Taken::One : Taken::LastOfMany;
    }

    // A far pointer of six bytes comes as offset and selector.
    u32 immediate_bytes(const CodeShape& shape) const {
        if (shape.immediate <= kDoubleword)
            return shape.immediate;
        return queue_.part + 1u == shape.components() ? shape.immediate - kDoubleword : kDoubleword;
    }

    void admit(u8 age) {
        queue_.part = 0;
        queue_.held = false;
        queue_.age[queue_.decoded++] = age;
    }

    bool can_start() const {
        return queue_.decoded != 0 && queue_.age[0] != kJustDecoded && queue_.age[0] >= constants_.issue;
    }

    void start(u32 clock) {
        started_ = true;
        --queue_.decoded;
        queue_.age[0] = queue_.age[1];
        if (queue_.held)
            admit(finished_now_ ? kJustDecoded : 0);
        // LOOP that will not jump lets decoding go on, and a transfer that has been overwritten since it was decoded.
        if (queue_.decoded == 0 && (!now_.stops || !now_.taken))
            queue_.stopped = false;
        start_ = clock;
        const u32 address = now_.base_and_index ? constants_.base_and_index : 0;
        next_read_ = clock + constants_.operand + address;
        reads_left_ = now_.read_cycles;
        writes_left_ = now_.write_cycles;
        // Reads beyond one cycle for each operand are time that the manual's clocks have not.
        end_ = clock + now_.clocks + address + (now_.read_cycles - now_.reads) * bus_.clocks_per_cycle;
        if (now_.taken)
            end_ -= std::min(end_ - clock, refill());
        next_write_ = end_ - std::min(end_ - clock, before_the_end());
    }

    // The last write goes out as the instruction ends, and the next one starts meanwhile; a transfer needs the bus
    // then.
    u32 before_the_end() const {
        if (now_.writes == 0)
            return 0;
        if (now_.writes > 1 && now_.reads == 0 && !now_.taken)
            return end_ - start_ - std::min(end_ - start_, constants_.operand);
        return (now_.writes - (now_.taken ? 0u : 1u)) * bus_.clocks_per_cycle;
    }

    // From flush() to the start of an instruction of no components, on a bus that brings a doubleword in one cycle.
    u32 refill() const { return refill_clocks(bus_, constants_); }

    // Puts the operands' cycles on the bus; true if the instruction has ended.
    bool execute(u32 clock) {
        if (reads_left_ != 0) {
            if (clock >= next_read_ && use_bus()) {
                const u32 late = clock - next_read_; // for a cycle on the bus
                end_ += late;
                next_write_ += late;
                next_read_ = last_read_end_ = clock + bus_.clocks_per_cycle;
                --reads_left_;
            }
        } else if (writes_left_ != 0 && clock >= next_write_ && use_bus()) {
            --writes_left_;
            if (clock >= end_) { // the bus transfers the rest alone
                queue_.bus_clocks = static_cast<u8>(queue_.bus_clocks + writes_left_ * bus_.clocks_per_cycle);
                writes_left_ = 0;
            }
        }
        return clock >= end_ && reads_left_ == 0 && writes_left_ == 0;
    }

    // For an operand's cycle, if it is free.
    bool use_bus() {
        if (queue_.bus_clocks != 0)
            return false;
        queue_.bus_clocks = static_cast<u8>(bus_.clocks_per_cycle);
        return true;
    }

    // Whether no fetch may begin, though the bus is free.
    bool reserved(u32 clock) const {
        if (started_ && now_.taken)
            return true;
        if (!started_ || clock < start_ + constants_.reserve)
            return false;
        // Between a read and a write that leave no time for a fetch there is none.
        const bool together = now_.reads != 0 && next_write_ < last_read_end_ + bus_.clocks_per_cycle;
        return reads_left_ != 0 || (writes_left_ != 0 && (now_.locked || together));
    }

    // Prefetching stops when the transfer could start, not when it is decoded.
    bool fetch_stopped() const {
        if (!queue_.stopped || queue_.held)
            return false;
        if (queue_.decoded == 0)
            return true;
        const u8 age = queue_.age[queue_.decoded - 1];
        return age != kJustDecoded && age >= constants_.issue;
    }

    // A doubleword is asked for when there is room for it, and its second half when there is room for the next one,
    // too.
    void fetch(u32 clock) {
        if (queue_.bus_clocks != 0 || reserved(clock) || fetch_stopped())
            return;
        const bool second_half = queue_.fetch_phase >= bus_.bytes_per_cycle;
        const u32 room = second_half ? 2 * kDoubleword : kDoubleword;
        if (seen_ + room > bus_.queue_bytes)
            return;
        queue_.bus_clocks = static_cast<u8>(bus_.clocks_per_cycle);
        queue_.bus_bytes = static_cast<u8>(bus_.bytes_per_cycle - queue_.fetch_phase % bus_.bytes_per_cycle);
    }

    // Whether decoder, which did nothing, and bus have nothing to do until the instruction needs the bus or ends.
    bool is_still(u32 clock) const {
        if (!started_ || clock == start_ || clock < start_ + constants_.reserve)
            return false;
        for (u32 i = 0; i < queue_.decoded; ++i)
            if (queue_.age[i] == kJustDecoded || queue_.age[i] < constants_.issue)
                return false;
        return queue_.bus_clocks == 0;
    }

    u32 next_event() const { return reads_left_ != 0 ? next_read_ : writes_left_ != 0 ? next_write_ : end_; }

    void tick() {
        if (queue_.bus_clocks != 0)
            --queue_.bus_clocks;
        for (u32 i = 0; i < queue_.decoded; ++i)
            if (queue_.age[i] == kJustDecoded || queue_.age[i] < constants_.issue)
                ++queue_.age[i];
    }

    static constexpr u8 kJustDecoded = 0xFF; // becomes 0 with the clock

    PrefetchQueue& queue_;
    const BusParameters& bus_;
    std::span<const QueuedInstruction> ahead_;
    const QueueConstants& constants_;
    const QueuedInstruction& now_;
    bool started_ = false, finished_now_ = false;
    u32 seen_ = 0, start_ = 0, end_ = 0, next_read_ = 0, next_write_ = 0, last_read_end_ = 0, reads_left_ = 0,
        writes_left_ = 0;
};

} // namespace

CodeShape code_shape(std::span<const u8> bytes, const Instruction& instruction) {
    const u32 length = std::min<u32>(instruction.length, static_cast<u32>(bytes.size()));
    u32 singles = 0, displacement = 0;
    while (singles + 1 < length && is_prefix(bytes[singles]))
        ++singles;
    const bool two_bytes = singles + 1 < length && bytes[singles] == 0x0F;
    singles += two_bytes ? 2 : 1;
    if ((instruction.flags & kHasModRm) != 0 && singles < length) {
        const u32 modrm = bytes[singles++];
        const bool has_sib = instruction.address_size == 4 && modrm < 0xC0 && (modrm & 7) == 4 && singles < length;
        const u32 sib = has_sib ? bytes[singles++] : 0;
        displacement = displacement_bytes(modrm, sib, instruction.address_size);
    } else if (instruction.has_memory()) {
        displacement = instruction.address_size; // moffs
    }
    singles = std::min(singles, length);
    displacement = std::min(displacement, length - singles);
    return {static_cast<u8>(singles), static_cast<u8>(displacement), static_cast<u8>(length - singles - displacement)};
}

u32 bus_cycles(const BusParameters& bus, u32 bytes, u32 address) {
    return (address % bus.bytes_per_cycle + bytes + bus.bytes_per_cycle - 1) / bus.bytes_per_cycle;
}

void PrefetchQueue::serialize(Archive& ar) {
    ar.field("complete", complete);
    ar.field("latched", latched);
    ar.field("fetch_phase", fetch_phase);
    ar.field("bus_clocks", bus_clocks);
    ar.field("bus_bytes", bus_bytes);
    ar.field("decoded", decoded);
    ar.field("age", age);
    ar.field("part", part);
    ar.field("held", held);
    ar.field("stopped", stopped);
}

bool PrefetchQueue::possible(const BusParameters& bus) const {
    const u32 bytes = u32{complete} + latched + bus_bytes;
    return decoded <= std::size(age) && (!held || decoded == std::size(age)) && (!stopped || decoded != 0) &&
           bytes <= bus.queue_bytes && fetch_phase < kDoubleword && bus_bytes <= kDoubleword - fetch_phase;
}

u32 refill_clocks(const BusParameters& bus, const QueueConstants& constants) {
    return bus.clocks_per_cycle + constants.issue;
}

u32 clocks_to_start(PrefetchQueue queue, const BusParameters& bus, std::span<const QueuedInstruction> ahead,
                    const QueueConstants& constants) {
    std::array<QueuedInstruction, kMostAhead> code;
    const std::size_t count = std::min(ahead.size(), code.size());
    std::copy_n(ahead.begin(), count, code.begin());
    QueuedInstruction& now = code[0];
    now.taken = true; // ends as it starts
    now.base_and_index = false;
    now.reads = now.read_cycles = now.writes = now.write_cycles = 0;
    now.clocks = static_cast<u16>(refill_clocks(bus, constants));
    return advance(queue, bus, std::span(code).first(count), constants);
}

void flush(PrefetchQueue& queue, u32 target) {
    const u8 busy = queue.bus_clocks;
    queue = {};
    queue.bus_clocks = busy;
    queue.fetch_phase = static_cast<u8>(target % kDoubleword);
}

u32 advance(PrefetchQueue& queue, const BusParameters& bus, std::span<const QueuedInstruction> ahead,
            const QueueConstants& constants) {
    return Runner(queue, bus, ahead, constants).run();
}

} // namespace forkscope
