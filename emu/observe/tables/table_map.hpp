// Owns: which frames are directories and tables now, and whose page a page-table entry maps.
// Callers: fork tracer; a recorder that wants the writes to tables that no walk has used yet. Promises: learns from the
// hardware's events alone (tracepoints only make it earlier); every answer is checked against memory.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "emu/base/shared/shared_map.hpp"
#include "emu/base/trace.hpp"
#include "emu/observe/tables/frame_owners.hpp"
#include "emu/observe/tables/page_table_view.hpp"

namespace forkscope {

// Where an entry belongs.
struct EntryOwner {
    AddressSpace space;   // none = unknown
    LinearAddress linear; // the first address that the entry maps
    u8 level = 0;         // 1 = table entry, 2 = directory entry
};

class TableMap : public TraceSink {
  public:
    // `watch` is asked to make stores into the frame at a physical address visible as PteWrite events: a table of
    // another space is written before any walk uses it. Mmu::flag_frame(frame >> 12, kFramePageTable) does so. May be
    // empty.
    using Watch = std::function<void(u32 frame_address)>;
    // A frame became known as a directory or as a table.
    using Found = std::function<void(u32 frame_address, const EntryOwner& first_entry, const TraceEvent& event)>;

    // `control`: what the registers hold now; events tell of changes.
    explicit TableMap(const PhysicalMemory& memory, Watch watch = {},
                      const PagingControl& control = AddressSpaceReader::assumed());

    void on_event(const TraceEvent& event) override;
    void set_found(Found found) { found_ = std::move(found); }
    // A directory that nobody said was freed holds something else now.
    using Lost = std::function<void(AddressSpace space)>;
    void set_lost(Lost lost) { lost_ = std::move(lost); }
    // A space has turned out to be another, which was loaded.
    using Renamed = std::function<void(AddressSpace from, AddressSpace to)>;
    void set_renamed(Renamed renamed) { renamed_ = std::move(renamed); }

    // Whether the store of a PteWrite event went into a table that is in use. The hardware reports stores into frames
    // that were tables once, until it notices that they hold data again: those are no entries.
    bool is_entry(const TraceEvent& event);
    void add_space(AddressSpace space, const TraceEvent& event);
    std::vector<u64> directories() const; // frame addresses
    bool is_directory(u32 frame_address) const { return kind_of(frame_address) == Kind::Directory; }
    EntryOwner locate(u32 entry_address) const;
    const AddressSpaceReader& reader() const { return reader_; }
    // Who maps a frame, in all these spaces.
    const FrameOwners& owners() const { return owners_; }

    struct DirectoryUse {
        AddressSpace space;
        u32 linear = 0;     // the first address that it maps
        u32 self_slot = 0;  // where it maps itself, or as many as there are
        bool loaded = true; // its space was in CR3; else a table of pointers was found that leads to it
        void serialize(Archive& ar);
    };
    struct TableUse {
        AddressSpace space;
        u32 linear = 0;
        u64 entry_address = 0; // of the directory entry that leads to it
        void serialize(Archive& ar);
    };
    // What the events have told. Everything else follows from it and from memory.
    struct State {
        PagingControl control;
        AddressSpace active;
        SharedMap<u32, DirectoryUse> directories; // by frame address
        SharedMap<u32, TableUse> tables;
        void serialize(Archive& ar);
        auto held() const { return std::tie(directories, tables); }
    };
    State state() const { return {reader_.control(), active_, directories_, tables_}; }
    // Memory has been put back already.
    void restore(const State& state);

  private:
    enum class Kind : u8 { Data, Table, Directory };
    Kind kind_of(u64 frame_address) const {
        const u64 frame = frame_address >> kPageShift;
        return frame < kinds_.size() ? kinds_[frame] : Kind::Data;
    }
    void add_directory(u64 frame_address, AddressSpace space, u32 linear, const TraceEvent& event);
    void on_entry(const TraceEvent& event);
    bool maps_running_code(const DirectoryUse& use, const TraceEvent& event) const;
    void own_by_loaded(u32 directory, AddressSpace space);
    void forget_all();
    void add_table(u64 frame_address, u32 directory, u32 slot, const TraceEvent& event);
    bool leads_to(u64 entry_address, u64 frame_address) const;
    void forget(u32 frame_address);
    void forget_with_tables(u32 directory);
    bool looks_like_directory(u64 frame_address, u32 of_directory) const;
    void ask(u32 frame_address) const;

    AddressSpaceReader reader_;
    FrameOwners owners_;
    Watch watch_;
    Found found_;
    Lost lost_;
    Renamed renamed_;
    AddressSpace active_;
    std::vector<Kind> kinds_; // by frame: in which of the maps below it is
    SharedMap<u32, DirectoryUse> directories_;
    SharedMap<u32, TableUse> tables_;
};

} // namespace forkscope
