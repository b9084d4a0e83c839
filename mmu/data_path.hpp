// Owns: the moving of bytes, once their addresses are translated, to and from memory, devices and page-table frames.
// Callers: the Mmu's slow paths. Promises: each access is reported once to who asked for it: transfers before the
// bytes move, stores into code afterwards; ROM ignores stores.
#pragma once

#include <array>
#include <functional>

#include "mmu/bus.hpp"
#include "mmu/listeners.hpp"
#include "mmu/mutant.hpp"
#include "mmu/physical_memory.hpp"
#include "mmu/table_marks.hpp"

namespace forkscope {

// One access that may lie in two pages, translated: `low` and `high` are on the bus.
struct Span {
    LinearAddress linear;
    u32 size = 0;
    u32 low_size = 0; // bytes in the first page
    PhysicalAddress low, high;

    bool two_pages() const { return low_size < size; }
    LinearAddress high_linear() const { return LinearAddress((linear.value + low_size) & 0xFFFFFFFF); }
};

class DataPath {
  public:
    using Watcher = std::function<void(LinearAddress, PhysicalAddress, u32 size, AccessKind)>;

    DataPath(PhysicalMemory& memory, Bus& bus, TableMarks& marks);

    u64 read(const Span& span);
    void write(const Span& span, u64 value);
    // Within one page, where a page table is and nothing else is to be told. False: it is not so, nothing was written.
    bool write_table(PhysicalAddress physical, u32 size, u64 value) {
        const u8 flags = memory_.flags(physical.page());
        if (flags != kFramePageTable && !((flags & kFramePageTable) != 0 && MMU_MUTANT(TableStoreIgnoresFlags)))
            return false;
        marks_.store(physical, size, reinterpret_cast<const u8*>(&value));
        return true;
    }
    // A fetch reads nothing here; a watcher of the frame is told.
    void fetched(LinearAddress linear, PhysicalAddress physical) const;
    // As Mmu::poke_physical.
    bool poke(PhysicalAddress address, std::span<const u8> bytes);

    // As many bytes as the page has left: of a frame that nobody answers at, what a load gets and where stores vanish;
    // nullptr where somebody does. The next call gives the same place.
    u8* nobodys(PhysicalAddress address, AccessKind kind);

    void set_listener(AccessListener* listener) { listener_ = listener; }
    AccessListener* listener() const { return listener_; }
    void set_watcher(Watcher watcher) { watcher_ = std::move(watcher); }
    void report_accesses(bool enabled) { reports_accesses_ = enabled; }
    void report_misaligned(u32 mask, u32 bus_bytes) {
        misaligned_mask_ = mask;
        narrow_bus_ = bus_bytes == 2;
    }
    // Low address bits that keep an access off the fast path.
    u32 misaligned_mask() const { return misaligned_mask_; }

  private:
    u64 read_piece(LinearAddress linear, PhysicalAddress physical, u32 size);
    void write_piece(LinearAddress linear, PhysicalAddress physical, u32 size, u64 value);
    void tell_code(PhysicalAddress physical, u32 size, u8 frame_flags) const;
    void tell_watcher(LinearAddress linear, PhysicalAddress physical, u32 size, AccessKind kind, u8 frame_flags) const;
    void report_transfer(const Span& span, AccessKind kind) const;
    bool is_misaligned(const Span& span) const;

    PhysicalMemory& memory_;
    Bus& bus_;
    TableMarks& marks_;
    AccessListener* listener_ = nullptr;
    Watcher watcher_;
    std::array<u8, kPageSize> nobodys_loads_; // all ones
    std::array<u8, kPageSize> nobodys_stores_{};
    bool reports_accesses_ = false;
    bool narrow_bus_ = false;
    u32 misaligned_mask_ = 0;
};

} // namespace forkscope
