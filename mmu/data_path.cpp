#include "mmu/data_path.hpp"

#include <algorithm>

namespace forkscope {

DataPath::DataPath(PhysicalMemory& memory, Bus& bus, TableMarks& marks) : memory_(memory), bus_(bus), marks_(marks) {
    nobodys_loads_.fill(0xFF);
}

u64 DataPath::read(const Span& span) {
    report_transfer(span, AccessKind::Read);
    u64 value = read_piece(span.linear, span.low, span.low_size);
    if (span.two_pages())
        value |= read_piece(span.high_linear(), span.high, span.size - span.low_size) << (8 * span.low_size);
    return value;
}

void DataPath::write(const Span& span, u64 value) {
    report_transfer(span, AccessKind::Write);
    write_piece(span.linear, span.low, span.low_size, value);
    if (span.two_pages())
        write_piece(span.high_linear(), span.high, span.size - span.low_size, value >> (8 * span.low_size));
}

u64 DataPath::read_piece(LinearAddress linear, PhysicalAddress physical, u32 size) {
    u64 value = 0;
    const u8 flags = memory_.flags(physical.page());
    if ((flags & kFrameDevice) == 0) {
        std::memcpy(&value, memory_.host(physical), size);
    } else {
        for (u32 done = 0; done < size; done += 4)
            value |= u64{bus_.read_memory(physical + done, std::min(size - done, 4u))} << (8 * done);
    }
    tell_watcher(linear, physical, size, AccessKind::Read, flags);
    return value;
}

void DataPath::write_piece(LinearAddress linear, PhysicalAddress physical, u32 size, u64 value) {
    const u8 flags = memory_.flags(physical.page());
    if ((flags & kFrameDevice) != 0) {
        for (u32 done = 0; done < size; done += 4)
            bus_.write_memory(physical + done, std::min(size - done, 4u), static_cast<u32>(value >> (8 * done)));
    } else if ((flags & kFrameReadOnly) == 0) {
        if ((flags & kFramePageTable) != 0)
            marks_.store(physical, size, reinterpret_cast<const u8*>(&value));
        else
            std::memcpy(memory_.host(physical), &value, size);
        tell_code(physical, size, flags);
    }
    tell_watcher(linear, physical, size, AccessKind::Write, flags);
}

void DataPath::fetched(LinearAddress linear, PhysicalAddress physical) const {
    tell_watcher(linear, physical, 1, AccessKind::Fetch, memory_.flags(physical.page()));
}

bool DataPath::poke(PhysicalAddress address, std::span<const u8> bytes) {
    if (!memory_.write(address, bytes))
        return false;
    for (std::size_t done = 0; done < bytes.size();) {
        const PhysicalAddress at = address + done;
        const auto piece = static_cast<u32>(std::min<std::size_t>(bytes.size() - done, kPageSize - at.offset()));
        tell_code(at, piece, memory_.flags(at.page()));
        done += piece;
    }
    return true;
}

u8* DataPath::nobodys(PhysicalAddress address, AccessKind kind) {
    if (memory_.flags(address.page()) != kFrameDevice || !bus_.nobody_at(address))
        return nullptr;
    return (kind == AccessKind::Write ? nobodys_stores_ : nobodys_loads_).data() + address.offset();
}

// --- Who is told of it

void DataPath::tell_code(PhysicalAddress physical, u32 size, u8 frame_flags) const {
    if ((frame_flags & kFrameCode) != 0 && listener_ != nullptr)
        listener_->code_changed(physical, size);
}

void DataPath::tell_watcher(LinearAddress linear, PhysicalAddress physical, u32 size, AccessKind kind,
                            u8 frame_flags) const {
    if ((frame_flags & kFrameWatched) != 0 && watcher_)
        watcher_(linear, physical, size, kind);
}

// For the cost meter. An update's load and store are each reported.
void DataPath::report_transfer(const Span& span, AccessKind kind) const {
    if (listener_ == nullptr)
        return;
    if (misaligned_mask_ != 0 && is_misaligned(span))
        listener_->misaligned_access();
    if (!reports_accesses_)
        return;
    listener_->memory_accessed(span.low, span.low_size, kind);
    if (span.two_pages())
        listener_->memory_accessed(span.high, span.size - span.low_size, kind);
}

// Does the bus need a further cycle? Two bytes wide: from any odd address. Else across an aligned doubleword, and for 8
// bytes as the mask says.
bool DataPath::is_misaligned(const Span& span) const {
    const auto linear = static_cast<u32>(span.linear.value);
    if (narrow_bus_)
        return (linear & 1) != 0 && span.size > 1;
    return span.size == 8 ? (linear & misaligned_mask_) != 0 : (linear & 3) + span.size > 4;
}

} // namespace forkscope
