// Owns: handlers of string and port instructions, with their repeated forms.
// Callers: dispatch.cpp through opcodes.def. Promises: every iteration commits as one instruction would, so that a
// fault or an interrupt between two leaves a state the guest can continue from; long runs over plain memory go by
// whole page pieces.
#pragma once

#include "cpu/engine/fetch.hpp"
#include "cpu/execute/operands.hpp"
#include "cpu/protection/segments.hpp"

namespace forkscope::handlers {

// Runs `body` until the counter is zero, `stop` says so, or the time is up. The counter moves with each iteration.
// `bulk` may do many iterations at once: it gets the number allowed and returns the number done (0 = cannot).
template <class Body, class Bulk, class Stop>
Step repeat(Context& cpu, const Instruction& in, Body body, Bulk bulk, Stop stop) {
    const u32 mask = counter_mask(in);
    const Cycles cost = cpu.meter().iteration_cost(in);
    u32 count = static_cast<u32>(cpu.regs().gpr[kEcx]) & mask;
    cpu.meter().begin_repeat(count);
    bool may_start = true; // the first iteration, whatever it costs
    while (count != 0) {
        if ((!may_start && cpu.meter().iterations_left(cost) == 0) || cpu.progress().leave)
            return Step::Repeat;
        if (!may_start)
            if (const Step step = fetch_iteration(cpu, in); step != Step::Next)
                return step;
        may_start = false;
        // The first iteration always goes the slow way: it brings the pages in and their TLB order to where further
        // iterations leave it (mmu/README.md, string fixpoint).
        if (const Step step = body(cpu, in); step != Step::Next)
            return step;
        count = (count - 1) & mask;
        set_by_address_size(cpu, in, kEcx, count);
        cpu.charge(cost);
        if (stop(cpu))
            break;
        const u64 most = std::min<u64>(count, cpu.meter().iterations_left(cost));
        bool stopped = false;
        const u64 done = most == 0 || cpu.progress().leave || !bulk_fetch(cpu, in)
                             ? 0
                             : bulk(cpu, in, static_cast<u32>(most), stopped);
        count = (count - static_cast<u32>(done)) & mask;
        set_by_address_size(cpu, in, kEcx, count);
        cpu.charge(cost * done);
        if (stopped)
            break;
    }
    cpu.meter().end_repeat(in);
    return Step::Next;
}

inline bool never(Context&) { return false; }
inline u64 no_bulk(Context&, const Instruction&, u32, bool&) { return 0; }

template <class T> u32 stride(Context& cpu) { return cpu.regs().flag(kFlagD) ? 0u - u32{sizeof(T)} : u32{sizeof(T)}; }
inline u32 source_offset(Context& cpu, const Instruction& in) {
    return static_cast<u32>(cpu.regs().gpr[kEsi]) & counter_mask(in);
}
inline u32 target_offset(Context& cpu, const Instruction& in) {
    return static_cast<u32>(cpu.regs().gpr[kEdi]) & counter_mask(in);
}

// How many elements of T lie upwards from `offset` within this page of a flat segment; 0 if a bulk run is not possible.
template <class T> u32 elements_in_page(Context& cpu, const Instruction& in, bool flat, u32 linear) {
    if (!flat || in.address_size != 4 || cpu.state().flag(kFlagD))
        return 0;
    if (linear % sizeof(T) != 0 && cpu.mmu().reports_misaligned())
        return 0;
    return (kPageSize - (linear & kPageMask)) / u32{sizeof(T)};
}

template <class T, bool> Step movs(Context& cpu, const Instruction& in) {
    const auto body = [](Context& c, const Instruction& i) {
        TRY(value, c.read<T>(i.segment, source_offset(c, i)));
        TRY_VOID(c.write<T>(kEs, target_offset(c, i), value));
        set_by_address_size(c, i, kEsi, source_offset(c, i) + stride<T>(c));
        set_by_address_size(c, i, kEdi, target_offset(c, i) + stride<T>(c));
        return Step::Next;
    };
    if (!in.repeats())
        return body(cpu, in);
    const auto bulk = [](Context& c, const Instruction& i, u32 most, bool&) -> u64 {
        const SegmentCache& from = c.regs().segments[i.segment];
        const SegmentCache& to = c.regs().segments[kEs];
        const u32 source = from.base + source_offset(c, i);
        const u32 target = to.base + target_offset(c, i);
        const u32 n = std::min({most, elements_in_page<T>(c, i, from.flat_read, source),
                                elements_in_page<T>(c, i, to.flat_write, target)});
        if (n == 0)
            return 0;
        const u8* read_at = c.mmu().bulk_read(LinearAddress(source), c.privilege());
        u8* write_at = read_at != nullptr ? c.mmu().bulk_write(LinearAddress(target), c.privilege()) : nullptr;
        if (write_at == nullptr)
            return 0;
        const std::size_t bytes = std::size_t{n} * sizeof(T);
        // An overlap with the target ahead of the source repeats a pattern: only element order gives that.
        if (write_at > read_at && write_at < read_at + bytes)
            for (u32 k = 0; k < n; ++k)
                std::memcpy(write_at + k * sizeof(T), read_at + k * sizeof(T), sizeof(T));
        else
            std::memmove(write_at, read_at, bytes);
        c.regs().set_reg<u32>(kEsi, static_cast<u32>(c.regs().gpr[kEsi] + bytes));
        c.regs().set_reg<u32>(kEdi, static_cast<u32>(c.regs().gpr[kEdi] + bytes));
        return n;
    };
    return repeat(cpu, in, body, bulk, never);
}

template <class T, bool> Step stos(Context& cpu, const Instruction& in) {
    const auto body = [](Context& c, const Instruction& i) {
        TRY_VOID(c.write<T>(kEs, target_offset(c, i), c.regs().reg<T>(kEax)));
        set_by_address_size(c, i, kEdi, target_offset(c, i) + stride<T>(c));
        return Step::Next;
    };
    if (!in.repeats())
        return body(cpu, in);
    const auto bulk = [](Context& c, const Instruction& i, u32 most, bool&) -> u64 {
        const SegmentCache& to = c.regs().segments[kEs];
        const u32 target = to.base + target_offset(c, i);
        const u32 n = std::min(most, elements_in_page<T>(c, i, to.flat_write, target));
        u8* write_at = n != 0 ? c.mmu().bulk_write(LinearAddress(target), c.privilege()) : nullptr;
        if (write_at == nullptr)
            return 0;
        const T value = c.regs().reg<T>(kEax);
        for (u32 k = 0; k < n; ++k)
            std::memcpy(write_at + k * sizeof(T), &value, sizeof(T));
        c.regs().set_reg<u32>(kEdi, static_cast<u32>(c.regs().gpr[kEdi] + n * sizeof(T)));
        return n;
    };
    return repeat(cpu, in, body, bulk, never);
}

template <class T, bool> Step lods(Context& cpu, const Instruction& in) {
    const auto body = [](Context& c, const Instruction& i) {
        TRY(value, c.read<T>(i.segment, source_offset(c, i)));
        c.regs().set_reg<T>(kEax, value);
        set_by_address_size(c, i, kEsi, source_offset(c, i) + stride<T>(c));
        return Step::Next;
    };
    if (!in.repeats())
        return body(cpu, in);
    const auto bulk = [](Context& c, const Instruction& i, u32 most, bool&) -> u64 {
        const SegmentCache& from = c.regs().segments[i.segment];
        const u32 source = from.base + source_offset(c, i);
        const u32 n = std::min(most, elements_in_page<T>(c, i, from.flat_read, source));
        const u8* read_at = n != 0 ? c.mmu().bulk_read(LinearAddress(source), c.privilege()) : nullptr;
        if (read_at == nullptr)
            return 0;
        T value;
        std::memcpy(&value, read_at + (n - 1) * sizeof(T), sizeof(T));
        c.regs().set_reg<T>(kEax, value);
        c.regs().set_reg<u32>(kEsi, static_cast<u32>(c.regs().gpr[kEsi] + n * sizeof(T)));
        return n;
    };
    return repeat(cpu, in, body, bulk, never);
}

// At least so many of `count` pairs of elements are equal, from the first on.
template <class T> u32 equal_pairs(const u8* left, const u8* right, u32 count) {
    constexpr u32 kStep = sizeof(u64) / sizeof(T);
    u32 equal = 0;
    for (; equal + kStep <= count; equal += kStep)
        if (std::memcmp(left + equal * sizeof(T), right + equal * sizeof(T), sizeof(u64)) != 0)
            break;
    return equal;
}

// At least so many of `count` elements differ from `value`.
template <class T> u32 different_elements(const u8* elements, T value, u32 count) {
    if constexpr (sizeof(T) != 1)
        return 0;
    const void* const found = std::memchr(elements, value, count);
    return found == nullptr ? count : static_cast<u32>(static_cast<const u8*>(found) - elements);
}

template <class T, bool> Step cmps(Context& cpu, const Instruction& in) {
    const auto body = [](Context& c, const Instruction& i) {
        TRY(a, c.read<T>(i.segment, source_offset(c, i)));
        TRY(b, c.read<T>(kEs, target_offset(c, i)));
        Sub::apply<T>(c.regs().flags, a, b);
        set_by_address_size(c, i, kEsi, source_offset(c, i) + stride<T>(c));
        set_by_address_size(c, i, kEdi, target_offset(c, i) + stride<T>(c));
        return Step::Next;
    };
    if (!in.repeats())
        return body(cpu, in);
    const bool while_equal = (in.flags & kHasRep) != 0;
    const auto bulk = [while_equal](Context& c, const Instruction& i, u32 most, bool& stopped) -> u64 {
        const SegmentCache& from = c.regs().segments[i.segment];
        const SegmentCache& to = c.regs().segments[kEs];
        const u32 source = from.base + source_offset(c, i);
        const u32 target = to.base + target_offset(c, i);
        const u32 n = std::min(
            {most, elements_in_page<T>(c, i, from.flat_read, source), elements_in_page<T>(c, i, to.flat_read, target)});
        const u8* left = n != 0 ? c.mmu().bulk_read(LinearAddress(source), c.privilege()) : nullptr;
        const u8* right = left != nullptr ? c.mmu().bulk_read(LinearAddress(target), c.privilege()) : nullptr;
        if (right == nullptr)
            return 0;
        T a = 0;
        T b = 0;
        u32 done = while_equal ? equal_pairs<T>(left, right, n - 1) : 0; // the last one gives the flags
        while (done < n && !stopped) {
            std::memcpy(&a, left + done * sizeof(T), sizeof(T));
            std::memcpy(&b, right + done * sizeof(T), sizeof(T));
            stopped = (a == b) != while_equal;
            ++done;
        }
        Sub::apply<T>(c.regs().flags, a, b);
        c.regs().set_reg<u32>(kEsi, static_cast<u32>(c.regs().gpr[kEsi] + done * sizeof(T)));
        c.regs().set_reg<u32>(kEdi, static_cast<u32>(c.regs().gpr[kEdi] + done * sizeof(T)));
        return done;
    };
    const auto stop = [while_equal](Context& c) { return c.regs().flags.z() != while_equal; };
    return repeat(cpu, in, body, bulk, stop);
}

template <class T, bool> Step scas(Context& cpu, const Instruction& in) {
    const auto body = [](Context& c, const Instruction& i) {
        TRY(b, c.read<T>(kEs, target_offset(c, i)));
        Sub::apply<T>(c.regs().flags, c.regs().reg<T>(kEax), b);
        set_by_address_size(c, i, kEdi, target_offset(c, i) + stride<T>(c));
        return Step::Next;
    };
    if (!in.repeats())
        return body(cpu, in);
    const bool while_equal = (in.flags & kHasRep) != 0;
    const auto bulk = [while_equal](Context& c, const Instruction& i, u32 most, bool& stopped) -> u64 {
        const SegmentCache& to = c.regs().segments[kEs];
        const u32 target = to.base + target_offset(c, i);
        const u32 n = std::min(most, elements_in_page<T>(c, i, to.flat_read, target));
        const u8* right = n != 0 ? c.mmu().bulk_read(LinearAddress(target), c.privilege()) : nullptr;
        if (right == nullptr)
            return 0;
        const T a = c.regs().reg<T>(kEax);
        T b = 0;
        u32 done = while_equal ? 0 : different_elements<T>(right, a, n - 1);
        while (done < n && !stopped) {
            std::memcpy(&b, right + done * sizeof(T), sizeof(T));
            stopped = (a == b) != while_equal;
            ++done;
        }
        Sub::apply<T>(c.regs().flags, a, b);
        c.regs().set_reg<u32>(kEdi, static_cast<u32>(c.regs().gpr[kEdi] + done * sizeof(T)));
        return done;
    };
    const auto stop = [while_equal](Context& c) { return c.regs().flags.z() != while_equal; };
    return repeat(cpu, in, body, bulk, stop);
}

template <class T, bool> Step ins(Context& cpu, const Instruction& in) {
    const u16 port = cpu.regs().reg<u16>(kEdx);
    if (!protection::io_allowed(cpu, port, sizeof(T)))
        return Step::Fault;
    // The destination is checked before the port is read: a fault must not lose a byte of the device.
    const auto body = [port](Context& c, const Instruction& i) {
        TRY_VOID(c.probe_write(kEs, target_offset(c, i), sizeof(T)));
        const T value = static_cast<T>(c.bus().read_port(port, sizeof(T)));
        c.port_accessed(port, sizeof(T));
        TRY_VOID(c.write<T>(kEs, target_offset(c, i), value));
        set_by_address_size(c, i, kEdi, target_offset(c, i) + stride<T>(c));
        return Step::Next;
    };
    const Step step = in.repeats() ? repeat(cpu, in, body, no_bulk, never) : body(cpu, in);
    return step == Step::Next ? cpu.leave_block(in) : step;
}

template <class T, bool> Step outs(Context& cpu, const Instruction& in) {
    const u16 port = cpu.regs().reg<u16>(kEdx);
    if (!protection::io_allowed(cpu, port, sizeof(T)))
        return Step::Fault;
    const auto body = [port](Context& c, const Instruction& i) {
        TRY(value, c.read<T>(i.segment, source_offset(c, i)));
        c.bus().write_port(port, sizeof(T), value);
        c.port_accessed(port, sizeof(T));
        set_by_address_size(c, i, kEsi, source_offset(c, i) + stride<T>(c));
        return Step::Next;
    };
    const Step step = in.repeats() ? repeat(cpu, in, body, no_bulk, never) : body(cpu, in);
    return step == Step::Next ? cpu.leave_block(in) : step;
}

template <class T> Step in_port(Context& cpu, const Instruction& in, u16 port) {
    if (!protection::io_allowed(cpu, port, sizeof(T)))
        return Step::Fault;
    cpu.regs().set_reg<T>(kEax, static_cast<T>(cpu.bus().read_port(port, sizeof(T))));
    cpu.port_accessed(port, sizeof(T));
    return cpu.leave_block(in);
}

template <class T> Step out_port(Context& cpu, const Instruction& in, u16 port) {
    if (!protection::io_allowed(cpu, port, sizeof(T)))
        return Step::Fault;
    cpu.bus().write_port(port, sizeof(T), cpu.regs().reg<T>(kEax));
    cpu.port_accessed(port, sizeof(T));
    return cpu.leave_block(in);
}

template <class T, bool> Step in_imm(Context& cpu, const Instruction& in) {
    return in_port<T>(cpu, in, static_cast<u16>(in.immediate & 0xFF));
}
template <class T, bool> Step in_dx(Context& cpu, const Instruction& in) {
    return in_port<T>(cpu, in, cpu.regs().reg<u16>(kEdx));
}
template <class T, bool> Step out_imm(Context& cpu, const Instruction& in) {
    return out_port<T>(cpu, in, static_cast<u16>(in.immediate & 0xFF));
}
template <class T, bool> Step out_dx(Context& cpu, const Instruction& in) {
    return out_port<T>(cpu, in, cpu.regs().reg<u16>(kEdx));
}

} // namespace forkscope::handlers
