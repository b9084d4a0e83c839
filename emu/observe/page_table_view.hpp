// Owns: looking at address spaces: a peeking walk, all entries of a space as a list and as ranges, the difference of
// two. Callers: tracer, window, terminal, tests, GDB. Promises: reads physical memory only; nothing is changed, no A or
// D bit, no TLB; any contents of the tables, also hostile ones, give a bounded answer.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "emu/base/types.hpp"
#include "mmu/paging.hpp"
#include "mmu/physical_memory.hpp"

namespace forkscope {

// What one walk read; plain data, kept in fault records.
struct WalkView {
    PhysicalAddress directory_entry_address;
    PhysicalAddress table_entry_address; // 0 where the walk did not get there
    u32 directory_entry = 0;
    u32 table_entry = 0;
    bool present = false;
    bool large = false;
    u32 rights = 0; // kPteWritable | kPteUser as both levels grant them, kPteGlobal of the leaf
    u64 frame = 0;  // physical address of the 4 KB frame, if present

    u32 leaf() const { return large ? directory_entry : table_entry; }
    bool writable() const { return present && (rights & kPteWritable) != 0; }
    bool user() const { return present && (rights & kPteUser) != 0; }
};

// Reads through page tables without the Mmu. `address_space` is CR3's directory base.
class AddressSpaceReader {
  public:
    explicit AddressSpaceReader(const PhysicalMemory& memory, bool large_pages = true)
        : memory_(&memory), large_pages_(large_pages) {}

    WalkView walk(u32 address_space, u32 address) const;
    // Fills `bytes` from the address on; false if a page is absent. Rights are not asked.
    bool read(u32 address_space, u32 address, std::span<u8> bytes) const;
    // The 32-bit word at a physical address; 0 outside of RAM.
    u32 word(u64 physical) const;
    // All 1024 entries of a table; false outside of RAM.
    bool table(u64 frame_address, std::span<u32> entries) const;
    const PhysicalMemory& memory() const { return *memory_; }
    bool large_pages() const { return large_pages_; }
    void set_large_pages(bool on) { large_pages_ = on; }

  private:
    const PhysicalMemory* memory_;
    bool large_pages_;
};

enum class PageState : u8 { Absent, Private, SharedReadOnly, SharedWritable, Kernel, Window };
const char* page_state_name(PageState state);

// One present leaf, or one window.
struct PageEntry {
    u32 linear = 0;
    u32 entry = 0; // the leaf as it stands
    u32 entry_address = 0;
    u32 rights = 0; // as in WalkView
    u64 physical = 0;
    bool large = false;
    PageState state = PageState::Private;

    u64 bytes() const { return large || state == PageState::Window ? u64{4} << 20 : u64{kPageSize}; }
};

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
    u32 kernel_base = 0xC0000000u;
    bool large_pages = true;
    bool kernel_half = true;
    // Other directories: an entry of one directory that points to another is a window on it, not a table.
    std::vector<u32> directories = {};
};

// Everything that one directory maps.
class PageTableView {
  public:
    static PageTableView read(const PhysicalMemory& memory, u32 address_space,
                              const PageTableViewOptions& options = {});

    u32 address_space() const { return address_space_; }
    const std::vector<PageEntry>& entries() const { return entries_; } // sorted by linear address
    const PageEntry* find(u32 address) const;
    // With `by_frame`, entries join only where their frames run on; else `scattered` says that they do not.
    std::vector<PageRange> ranges(bool by_frame = false) const;
    // Tables (level 1) that the directory uses, windows not counted.
    const std::vector<u32>& tables() const { return tables_; }

    // Sets the state of user pages: shared means that the frame is mapped more than once within `views`.
    static void classify(std::span<PageTableView* const> views);

  private:
    void add_table(const AddressSpaceReader& reader, u32 slot, u32 directory_entry);
    void add_entry(u32 linear, u32 entry, u32 entry_address, u32 directory_entry, bool large);

    u32 address_space_ = 0;
    u32 kernel_base_ = 0;
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

// The user halves of two spaces compared page by page.
class AddressSpaceDiff {
  public:
    AddressSpaceDiff(const PageTableView& a, const PageTableView& b, u32 kernel_base = 0xC0000000u);

    const std::vector<DifferenceRange>& ranges() const { return ranges_; }
    u64 pages(PageDifference difference) const;

  private:
    void add(u64 start, u64 bytes, PageDifference difference, u32 flags_a, u32 flags_b);

    std::vector<DifferenceRange> ranges_;
};

// "rw-", "r--", "r-k": readable, writable, user or kernel only.
std::string rights_text(u32 flags);

} // namespace forkscope
