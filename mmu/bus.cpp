#include "mmu/bus.hpp"

#include <algorithm>
#include <utility>

#include "emu/base/assert.hpp"

namespace forkscope {

namespace {

// The widest access that the device takes at `address`, is naturally aligned, and fits into what is left.
u32 piece_size(u64 address, u32 left, u32 widest) {
    u32 size = widest;
    while (size > left || (address & (size - 1)) != 0)
        size /= 2;
    return size;
}

u32 all_ones(u32 size) { return size == 4 ? ~0u : (1u << (8 * size)) - 1; }

void check_widest(u8 widest) {
    EMU_ASSERT(widest == 1 || widest == 2 || widest == 4, "a device declared accesses of {} bytes", widest);
}

} // namespace

void Bus::map_ports(u16 first, u16 count, IoHandler& handler, u8 widest) {
    check_widest(widest);
    EMU_ASSERT(u32{first} + count <= 0x10000, "ports {:#x}+{} end above 0xFFFF", first, count);
    EMU_ASSERT(ports_.size() < 256, "more than 255 port ranges");
    const auto index = static_cast<u8>(ports_.size());
    ports_.push_back({first, count, &handler, widest});
    for (u32 port = first; port < u32{first} + count; ++port) {
        EMU_ASSERT(port_owner_[port] == 0, "port {:#x} already has a device", port);
        port_owner_[port] = index;
    }
}

void Bus::map_memory(PhysicalAddress start, u64 size, IoHandler& handler, u8 widest) {
    check_widest(widest);
    EMU_ASSERT(start.offset() == 0 && size % kPageSize == 0, "device memory is mapped in whole frames");
    const auto overlaps = [&](const Range& other) {
        return start.value < other.start + other.size && other.start < start.value + size;
    };
    EMU_ASSERT(std::none_of(memory_.begin(), memory_.end(), overlaps), "device memory at {:#x} already has a device",
               start.value);
    memory_.push_back({start.value, size, &handler, widest});
}

const Bus::Range* Bus::find_memory(u64 address) const {
    for (const Range& range : memory_) {
        if (address - range.start < range.size)
            return &range;
    }
    return nullptr;
}

u32 Bus::read_port(u16 port, u32 size) {
    u32 value = 0;
    bool answered = true;
    for (u32 done = 0; done < size;) {
        const u32 at = (u32{port} + done) & 0xFFFF;
        const Range& range = ports_[port_owner_[at]];
        const u32 piece = piece_size(at, size - done, range.widest);
        if (range.handler == nullptr && std::exchange(answered, false))
            tell(BusAccess::ReadPort, at);
        const u32 part = range.handler != nullptr ? range.handler->io_read(at, piece) : ~0u;
        value |= (part & all_ones(piece)) << (8 * done);
        done += piece;
    }
    return value;
}

void Bus::write_port(u16 port, u32 size, u32 value) {
    bool answered = true;
    for (u32 done = 0; done < size;) {
        const u32 at = (u32{port} + done) & 0xFFFF;
        const Range& range = ports_[port_owner_[at]];
        const u32 piece = piece_size(at, size - done, range.widest);
        if (range.handler != nullptr)
            range.handler->io_write(at, piece, (value >> (8 * done)) & all_ones(piece));
        else if (std::exchange(answered, false))
            tell(BusAccess::WritePort, at);
        done += piece;
    }
}

u32 Bus::read_memory(PhysicalAddress address, u32 size) {
    u32 value = 0;
    bool answered = true;
    for (u32 done = 0; done < size;) {
        const u64 at = address.value + done;
        const Range* range = find_memory(at);
        const u32 piece = piece_size(at, size - done, range != nullptr ? range->widest : 1);
        if (range == nullptr && std::exchange(answered, false))
            tell(BusAccess::ReadMemory, at);
        const u32 part = range != nullptr ? range->handler->io_read(static_cast<u32>(at - range->start), piece) : ~0u;
        value |= (part & all_ones(piece)) << (8 * done);
        done += piece;
    }
    return value;
}

std::optional<u8> Bus::peek_memory(PhysicalAddress address) const {
    const Range* range = find_memory(address.value);
    return range != nullptr ? range->handler->io_peek(static_cast<u32>(address.value - range->start)) : std::nullopt;
}

void Bus::write_memory(PhysicalAddress address, u32 size, u32 value) {
    bool answered = true;
    for (u32 done = 0; done < size;) {
        const u64 at = address.value + done;
        const Range* range = find_memory(at);
        const u32 piece = piece_size(at, size - done, range != nullptr ? range->widest : 1);
        if (range != nullptr)
            range->handler->io_write(static_cast<u32>(at - range->start), piece,
                                     (value >> (8 * done)) & all_ones(piece));
        else if (std::exchange(answered, false))
            tell(BusAccess::WriteMemory, at);
        done += piece;
    }
}

} // namespace forkscope
