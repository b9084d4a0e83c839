// Owns: who maps a frame: for each frame of memory the page-table entries that lead to it, in all known address spaces.
// Callers: TableMap feeds it; tracer, maps(frame) and reports ask. Promises: an event costs O(1); an answer costs what
// it lists, and once for each table that came into use since the last one; each mapping is checked against memory;
// memory is bounded, and whole() says whether a table had to be left out.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <vector>

#include "mmu/paging.hpp"
#include "mmu/physical_memory.hpp"

namespace forkscope {

// One place where a frame appears.
struct FrameMapping {
    AddressSpace space;
    LinearAddress linear;  // of the frame's first byte
    u64 entry_address = 0; // of the leaf entry
    u32 rights = 0;        // kPteWritable | kPteUser as all levels grant them, kPteGlobal of the leaf
    bool no_execute = false;
    u8 level = 1;        // of the leaf: 1 = table entry, 2 = directory entry of a large page
    bool window = false; // the table is a directory as well, which maps itself or is shown by another

    bool operator==(const FrameMapping&) const = default;
};

class FrameOwners {
  public:
    using Visit = std::function<bool(const FrameMapping&)>;

    explicit FrameOwners(const PhysicalMemory& memory, std::size_t most_tables = std::size_t{1} << 14);

    // --- What happened.
    // A change of paging mode drops all known tables. If only the large-page bit changes its meaning, they are reread.
    void set_control(const PagingControl& control);
    // A space exists, or CR3 was loaded with it again: under PAE that reads its four directories again.
    void add_space(AddressSpace space);
    void remove_space(AddressSpace space);
    void entry_written(PhysicalAddress entry);
    // Stores into a table may have gone unseen.
    void table_changed(PhysicalAddress table);

    // --- Questions. A frame is named by any address in it; what is no RAM or ROM has no owners here.
    bool is_known(AddressSpace space) const { return roots_.count(space) != 0; }
    std::vector<AddressSpace> spaces() const;
    // Visits each mapping, in no promised order, until `visit` returns false.
    void visit(PhysicalAddress frame, const Visit& visit) const;
    // By space, then linear address.
    std::vector<FrameMapping> mappings(PhysicalAddress frame) const;
    u64 count(PhysicalAddress frame) const;
    // Whether anything but (space, page) maps it.
    bool is_shared(PhysicalAddress frame, AddressSpace space, LinearAddress page) const;
    // Leaf entries that lead to it, in O(1); one in a table that several spaces use counts once.
    u32 entries(PhysicalAddress frame) const;
    // False once most_tables were not enough.
    bool whole() const { return whole_; }
    std::size_t tables() const { return tables_.size() - free_.size(); }

  private:
    static constexpr u32 kNone = ~u32{0};
    static constexpr u32 kSlotBits = 10; // 1024 entries at most
    static constexpr u32 kSlotMask = (1u << kSlotBits) - 1;
    static constexpr u32 kLevels = 3; // table, directory, and PAE's four pointers

    // An entry in the list of what it leads to. `target` is a frame: of level 1 the page's, else the lower table's; of
    // a large page its number, counted in large pages, with kLarge.
    static constexpr u32 kLarge = 1u << 31;
    struct Link {
        u32 target = kNone;
        u32 next = kNone, previous = kNone;
    };
    // Its uses by level: a directory that maps itself serves as a table, too.
    struct Table {
        u64 address = 0;
        bool is_root = false;
        std::array<bool, kLevels> pending{}; // in use at that level, but not read yet,
        std::array<bool, kLevels> listed{};  // and in unread_: outlives the table
        std::array<u32, kLevels> users{};    // upper entries that lead here
        std::array<u32, kLevels> first_user{kNone, kNone, kNone};
        std::array<std::vector<Link>, kLevels> links; // empty: not read at that level
    };
    struct Use { // of a directory
        AddressSpace space;
        u32 first; // linear address that it maps
    };

    u32 root_level() const { return control_.pae() ? 3 : 2; }
    u32 slots(u32 level) const { return level == 3 ? control_.geometry().directories : control_.geometry().entries(); }
    u32 pages_shift() const { return control_.geometry().large_shift - kPageShift; } // of a large page
    u64 read(u32 table, u32 slot) const;
    u32 target_of(u32 level, u64 entry) const;
    Link& link(u32 level, u32 id) const { return tables_[id >> kSlotBits].links[level - 1][id & kSlotMask]; }
    u32& first(u32 level, u32 target) const;
    u32& counter(u32 level, u32 target) const;

    // Keeps the lists. All of it is derived from memory, so that questions may bring it up to date.
    void settle() const;
    void update(u32 level, u32 table, u32 slot) const;
    void connect(u32 level, u32 id, u32 target) const;
    void disconnect(u32 level, u32 id) const;
    u32 place_for(u32 frame) const;
    u32 new_place(u64 address) const;
    void use(u32 level, u32 table) const;
    void leave(u32 level, u32 table) const;
    void free_unused(u32 table) const;
    void forget_tables();

    bool visit_small(u32 id, u64 frame, const Visit& visit) const;
    bool visit_large(u32 id, u64 frame, const Visit& visit) const;
    template <class Act> bool each_use(u32 directory, Act act) const;

    const PhysicalMemory& memory_;
    std::size_t most_tables_;
    PagingControl control_;
    std::map<AddressSpace, u32> roots_;
    mutable std::vector<Table> tables_;
    mutable std::vector<u32> free_;
    mutable std::vector<u32> place_;                  // in tables_, by frame; not of PAE's pointers
    mutable std::vector<std::pair<u32, u32>> unread_; // level, place
    mutable std::vector<u32> pages_, page_count_;     // by frame: the first entry that leads there, and how many do
    mutable std::vector<u32> large_pages_, large_count_;
    mutable bool whole_ = true;
};

} // namespace forkscope
