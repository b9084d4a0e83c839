// Owns: looking at address spaces: a peeking walk, all entries of a space as a list and as ranges, the difference of
// two. Callers: tracer, window, terminal, tests, GDB. Promises: reads physical memory only; nothing is changed, no A or
// D bit, no TLB; any contents of the tables, also hostile ones, give a bounded answer.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "emu/base/trace.hpp"
#include "emu/base/types.hpp"
#include "mmu/page_walk.hpp"
#include "mmu/paging_state.hpp"
#include "mmu/physical_memory.hpp"

namespace forkscope {

// What a record keeps of a walk.
struct WalkView {
    static WalkView of(const Walk& walk);

    PhysicalAddress directory_entry_address;
    PhysicalAddress table_entry_address; // 0 where the walk did not get there
    u64 directory_entry = 0;
    u64 table_entry = 0;
    bool present = false; // at every level, and without a reserved bit
    bool large = false;
    bool no_execute = false;
    u32 rights = 0; // if present: kPteWritable | kPteUser as all levels grant them, kPteGlobal of the leaf
    u64 frame = 0;  // physical address of the 4 KB frame, if present

    u64 leaf() const { return large ? directory_entry : table_entry; }
    bool writable() const { return present && (rights & kPteWritable) != 0; }
    bool user() const { return present && (rights & kPteUser) != 0; }
};

// Reads through page tables without the Mmu, by the walk that the Mmu has.
class AddressSpaceReader {
  public:
    // What an observer assumes until it is told: 32-bit paging is on, and entries mean all that any processor lets
    // them mean.
    static PagingControl assumed();

    explicit AddressSpaceReader(const PhysicalMemory& memory, const PagingControl& control = assumed())
        : paging_(memory, control) {}
    // As things stand in a machine now.
    explicit AddressSpaceReader(const PagingState& paging) : paging_(paging) {}

    WalkView walk(AddressSpace space, LinearAddress address) const;
    // The walk that ended in a page_fault event, which carries the entries; no table is read again.
    WalkView faulting_walk(const TraceEvent& event) const;
    // Fills `bytes` from the address on; false if a page is absent. Rights are not asked.
    bool read(AddressSpace space, LinearAddress address, std::span<u8> bytes) const;
    // read() as a function, for those who know no page tables (Symbolizer::MemoryReader).
    auto memory_reader() const {
        return [reader = *this](u32 address_space, u32 address, std::span<u8> bytes) {
            return reader.read(AddressSpace(address_space), LinearAddress(address), bytes);
        };
    }
    // The 32-bit word at a physical address; 0 outside of RAM.
    u32 word(u64 physical) const;
    // One entry, as wide as the mode has them; 0 outside of RAM.
    u64 entry(u64 physical) const;
    // All entries of a table, 1024 or 512; empty outside of RAM.
    std::vector<u64> table(u64 frame_address) const;
    // The directories of an address space, lowest addresses first; 0 where there is none.
    std::vector<u64> directories(AddressSpace space) const;

    const PhysicalMemory& memory() const { return paging_.memory(); }
    const PagingControl& control() const { return paging_.control(); }
    const PagingGeometry& geometry() const { return control().geometry(); }
    AddressSpace space_of(u64 cr3) const { return control().space_of(static_cast<u32>(cr3)); }
    bool is_large(u64 directory_entry) const { return forkscope::is_large(directory_entry, 2, control()); }
    // Follows the control registers: cr3_load, control_register and tlb_flush events.
    void on_event(const TraceEvent& event);

  private:
    PagingState paging_;
};

// Supervisor: no program may touch it. Kernel: so, and the same in both spaces that are looked at.
enum class PageState : u8 { Absent, Private, SharedReadOnly, SharedWritable, Kernel, Window, Supervisor };
inline constexpr std::size_t kPageStates = 7;
const char* page_state_name(PageState state);

// One present leaf, or one window.
struct PageEntry {
    u32 linear = 0;
    u32 entry_address = 0;
    u64 entry = 0;  // the leaf as it stands
    u32 rights = 0; // as in WalkView
    bool no_execute = false;
    bool large = false;
    PageState state = PageState::Private;
    u64 physical = 0;
    u64 size = kPageSize;

    u64 bytes() const { return size; }
    bool user() const { return (rights & kPteUser) != 0; }
    // The 4 KB of it that hold an address.
    PageEntry piece_at(u32 address) const;
};

// Two spaces have the page by one and the same entry, and may write it: their kernel gives it to all.
inline bool is_common(const PageEntry& a, const PageEntry& b) {
    return a.entry_address == b.entry_address && (a.rights & b.rights & kPteWritable) != 0;
}

// Neighbouring entries with the same flags and state. Physical addresses run on, unless `scattered`.
struct PageRange {
    u64 start = 0;
    u64 end = 0; // exclusive; may be 4 GiB
    u64 physical = 0;
    u32 flags = 0; // P, W, U, G as effective
    u8 level = 1;  // 1 = table entries, 2 = directory entries
    bool large = false;
    bool scattered = false;
    PageState state = PageState::Private;

    u64 pages() const { return (end - start) / kPageSize; }
};

struct PageTableViewOptions {
    PagingControl control = AddressSpaceReader::assumed();
    bool user_only = false; // only what a program may touch
    // Other directories: an entry of one directory that points to another is a window on it, not a table.
    std::vector<u64> directories = {};
    // An entry that was written just now is read as it was: its address, and its value before.
    std::optional<std::pair<u64, u64>> before = {};

    std::vector<u64> table(const AddressSpaceReader& reader, u64 frame) const;
};

// Everything that one address space maps.
class PageTableView {
  public:
    static PageTableView read(const PhysicalMemory& memory, AddressSpace space,
                              const PageTableViewOptions& options = {});

    AddressSpace space() const { return space_; }
    const std::vector<PageEntry>& entries() const { return entries_; } // sorted by linear address
    const PageEntry* find(u32 address) const;
    // The page at an address, as a walk found it before; a large one in place of all that its bytes hold.
    void put_back(u32 address, const WalkView& before, u32 large_bytes);
    // With `by_frame`, entries join only where their frames run on; else `scattered` says that they do not.
    std::vector<PageRange> ranges(bool by_frame = false) const;
    // Tables (level 1) that the space uses, windows not counted.
    const std::vector<u32>& tables() const { return tables_; }

    // Sets the states as they follow from several views: a program's page is shared if its frame is mapped more than
    // once among them; what all of them hold alike and no program may touch is the kernel's.
    static void classify(std::span<PageTableView* const> views);

  private:
    void add_directory(const AddressSpaceReader& reader, const PageTableViewOptions& options, u64 directory, u32 first);
    void add_table(const AddressSpaceReader& reader, const PageTableViewOptions& options, u32 linear,
                   u64 directory_entry);
    PageEntry& add_entry(const AddressSpaceReader& reader, u32 linear, u64 entry, u64 entry_address,
                         u64 directory_entry, u8 level);

    AddressSpace space_;
    std::vector<PageEntry> entries_;
    std::vector<u32> tables_;
};

enum class PageDifference : u8 { Same, RightsDiffer, DifferentFrame, OnlyInA, OnlyInB };
const char* page_difference_name(PageDifference difference);

struct DifferenceRange {
    u64 start = 0;
    u64 end = 0;
    PageDifference difference{};
    u32 flags_a = 0; // P, W, U as effective; 0 = absent
    u32 flags_b = 0;

    u64 pages() const { return (end - start) / kPageSize; }
};

// What the programs of two spaces may touch, compared page by page.
class AddressSpaceDiff {
  public:
    AddressSpaceDiff(const PageTableView& a, const PageTableView& b);

    const std::vector<DifferenceRange>& ranges() const { return ranges_; }
    u64 pages(PageDifference difference) const;

  private:
    void add(u64 start, u64 bytes, PageDifference difference, u32 flags_a, u32 flags_b);

    std::vector<DifferenceRange> ranges_;
};

// "rw-", "r--", "r-k": readable, writable, user or kernel only.
std::string rights_text(u32 flags);

} // namespace forkscope
