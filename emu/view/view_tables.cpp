#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "emu/base/log.hpp"
#include "emu/view/view.hpp"

namespace forkscope {

namespace {

constexpr u32 kHeapReach = 64u << 20; // above a program's last byte
constexpr u64 kRowBytes = u64{kRowPages} * kPageSize;
constexpr u64 kSupervisorRowBytes = u64{kRowPages} << 22;
constexpr std::size_t kMostWrites = 200;

// The child's directory of a fork that has not named it yet: the foreign one that it wrote to.
u32 child_directory(const ForkRecord& fork) {
    if (fork.child_directory != 0)
        return fork.child_directory;
    for (auto change = fork.ptes.rbegin(); change != fork.ptes.rend(); ++change)
        if (change->directory != 0 && change->directory != fork.parent_directory)
            return change->directory;
    return 0;
}

bool side_lives(const ForkTracer& tracer, u32 directory, u32 pid, bool ended) {
    const u32 owner = tracer.context().pid_of(directory);
    return directory != 0 && tracer.tables().owners().is_known(AddressSpace(directory)) &&
           (owner == 0 ? !ended : owner == pid);
}

// A child that has called exec since has another directory than fork gave it.
u32 present_directory(const ForkTracer& tracer, u32 directory, u32 pid, bool ended) {
    if (side_lives(tracer, directory, pid, ended))
        return directory;
    const AddressSpace present(pid != 0 ? tracer.context().space_of(pid) : 0);
    return tracer.tables().owners().is_known(present) ? present.root : 0;
}

u32 present_parent(const ForkTracer& tracer, const ForkRecord& fork) {
    return present_directory(tracer, fork.parent_directory, fork.parent_pid, fork.parent_ended);
}

u32 present_child(const ForkTracer& tracer, const ForkRecord& fork) {
    return present_directory(tracer, fork.child_directory, fork.child_pid, fork.child_ended);
}

} // namespace

const ForkRecord* shown_fork(const ForkTracer& tracer) {
    if (const ForkRecord* current = tracer.current())
        return current;
    return tracer.last();
}

namespace {

std::string fork_note(const ForkRecord& fork, bool running, u32 child) {
    if (!running)
        return fmt::format("both sides of fork {}, which has {}{}", fork.number, fork.failed ? "failed" : "returned",
                           child == 0 || child == fork.child_directory ? "" : "; the child runs another program now");
    if (fork.stops.empty())
        return fmt::format("inside fork {}", fork.number);
    const u32 id = fork.stops.back().id;
    return fmt::format("inside fork {}, at stop {}: {}", fork.number, fork_stop_name(id).number,
                       fork_stop_name(id).name);
}

// Where the running program's stack is: in ESP, or where the processor has saved it when the program was left by a gate
// (SDM 3A 6.12.1).
std::optional<u32> program_stack_pointer(const Machine& machine) {
    constexpr u32 kTssEsp0 = 4, kFrameBytes = 20, kSavedCs = 4, kSavedEsp = 12;
    constexpr u32 kRpl = 3;
    const CpuState& state = machine.registers();
    if (state.cpl == kRpl)
        return state.linear_esp();
    const auto word = [&](u32 address) {
        std::array<u8, 4> bytes{};
        if (!machine.mmu().peek(LinearAddress(address), bytes))
            bytes = {};
        return u32{bytes[0]} | u32{bytes[1]} << 8 | u32{bytes[2]} << 16 | u32{bytes[3]} << 24;
    };
    const u32 frame = word(state.tr.base + kTssEsp0) - kFrameBytes;
    if ((word(frame + kSavedCs) & kRpl) != kRpl)
        return std::nullopt;
    return word(frame + kSavedEsp);
}

class TablesObserver {
  public:
    explicit TablesObserver(const Observed& from)
        : machine_(from.machine), tracer_(from.tracer), symbols_(from.symbols), choices_(from.choices),
          since_snapshot_(from.since_snapshot()) {}

    TablesView view() {
        if (!machine_.mmu().control().paging()) {
            view_.note = "paging is off";
            for (SpaceView& side : view_.sides)
                side.title = "paging is off";
            return std::move(view_);
        }
        if (!take_chosen_sides())
            choose_sides();
        collect_writes();
        collect_rows();
        collect_ranges();
        return std::move(view_);
    }

  private:
    u32 pid_of(u32 space) const { return tracer_ != nullptr ? tracer_->context().pid_of(space) : 0; }

    // What the person asked for; false: nothing.
    bool take_chosen_sides() {
        if (choices_ == nullptr || !(choices_->followed || choices_->spaces || choices_->then))
            return false;
        const u32 present = machine_.mmu().control().space_of(machine_.registers().cr3).root;
        view_.chosen = true;
        if (choices_->spaces) {
            const std::array spaces = {choices_->spaces->first.now(tracer_), choices_->spaces->second.now(tracer_)};
            view_.names = {"one", "other"};
            view_.note = "two spaces that were asked for; 'show fork' leads back";
            for (std::size_t side = 0; side < 2; ++side)
                read(side, spaces[side], pid_of(spaces[side]));
        } else if (choices_->then) {
            const ThenSpace& then = *choices_->then;
            view_.names = {"then", "now"};
            view_.note = fmt::format("instruction {} and now; 'show fork' leads back", then.at.instructions);
            view_.sides[0].present = true;
            view_.sides[0].table = then.table;
            view_.sides[0].title = fmt::format("instruction {}", then.at.instructions);
            read(1, then.space, pid_of(then.space));
            compare_ = true;
        } else {
            const u32 followed = choices_->followed->now(tracer_);
            view_.names = {"followed", ""};
            view_.note = followed == present ? "the process that is followed; it runs" : "the process that is followed";
            read(0, followed, pid_of(followed));
            view_.sides[1].title = "'show process' or 'show fork' leads back";
            return true;
        }
        if (!compare_) {
            const std::array<PageTableView*, 2> both = {&view_.sides[0].table, &view_.sides[1].table};
            PageTableView::classify(both);
        }
        for (SpaceView& side : view_.sides)
            count(side);
        return true;
    }

    void choose_sides() {
        const u32 present = machine_.mmu().control().space_of(machine_.registers().cr3).root;
        const ForkRecord* fork = tracer_ != nullptr ? shown_fork(*tracer_) : nullptr;
        if (fork == nullptr) {
            read(0, present, tracer_ != nullptr ? tracer_->context().pid_of(present) : 0);
            view_.note = "the present address space";
            view_.sides[1].title =
                since_snapshot_ ? "no fork since the snapshot, which was saved without those before" : "no child yet";
            return;
        }
        fork_ = fork;
        view_.fork = fork->number;
        const bool running = fork == tracer_->current();
        const u32 child = running ? child_directory(*fork) : present_child(*tracer_, *fork);
        const u32 parent = running ? fork->parent_directory : present_parent(*tracer_, *fork);
        view_.trimmed = fork->trimmed;
        if (parent == 0 && child == 0) {
            view_.fork = 0;
            read(0, present, tracer_->context().pid_of(present));
            view_.sides[1].title = "both have ended";
            view_.note = fmt::format("the present address space; both sides of fork {} have ended", fork->number);
            return;
        }
        read_side(0, parent, fork->parent_pid, "has ended");
        read_side(1, child, fork->child_pid, running ? "no page directory yet" : fork->failed ? "none" : "has ended");
        view_.note = fork_note(*fork, running, child);
        const std::array<PageTableView*, 2> both = {&view_.sides[0].table, &view_.sides[1].table};
        PageTableView::classify(both);
        for (SpaceView& side : view_.sides)
            count(side);
    }

    // `absent`: what is said of a side that has no space.
    void read_side(std::size_t number, u32 directory, u32 pid, const char* absent) {
        if (directory != 0)
            return read(number, directory, pid);
        view_.sides[number].title = pid != 0 ? fmt::format("pid {} {}", pid, absent) : absent;
    }

    void read(std::size_t number, u32 directory, u32 pid) {
        SpaceView& side = view_.sides[number];
        PageTableViewOptions options;
        options.control = machine_.mmu().control();
        if (tracer_ != nullptr)
            options.directories = tracer_->tables().directories();
        side.present = true;
        side.table = PageTableView::read(machine_.mmu().memory(), AddressSpace(directory), options);
        count(side);
        const bool process = std::any_of(side.pages.begin(), side.pages.end(), [](u64 pages) { return pages != 0; });
        side.title = pid != 0                       ? fmt::format("pid {}", pid)
                     : !process                     ? "supervisor's pages only"
                     : number == 1 && fork_->stated ? "no pid yet,"
                                                    : "a process";
        if (const std::string name = program_name(tracer_, symbols_, directory); !name.empty())
            side.title += " " + name;
    }

    void count(SpaceView& side) const {
        side.pages = {};
        for (const PageEntry& entry : side.table.entries())
            if (entry.user())
                side.pages[static_cast<std::size_t>(entry.state)] += entry.bytes() / kPageSize;
    }

    // Of the stop that wrote last.
    void collect_writes() {
        if (fork_ == nullptr)
            return;
        const auto& ptes = fork_->ptes;
        const int stop = ptes.empty() ? kNoStop : ptes.back().stop;
        for (auto change = ptes.rbegin(); change != ptes.rend(); ++change) {
            if (change->stop == stop && change->written) {
                ++view_.written_now;
                written_.insert({change->directory, change->level == 2 ? change->linear | 1 : change->linear});
            }
            if (view_.writes.size() < kMostWrites)
                view_.writes.push_back(write_row(*change));
        }
    }

    WriteRow write_row(const PteChange& change) const {
        WriteRow row;
        row.change = change;
        if (change.directory != 0)
            row.side = change.directory == fork_->parent_directory ? ForkSide::Parent : ForkSide::Child;
        const auto stop = static_cast<std::size_t>(change.stop);
        row.stop = stop < fork_->stops.size() ? fork_stop_name(fork_->stops[stop].id).number : "-";
        row.name = change.written ? symbols_.lookup(fork_->parent_directory, change.eip).symbol : "(found)";
        return row;
    }

    // Of then and now: whether the entry is another.
    bool differs(u32 linear) const {
        const PageEntry* then = view_.sides[0].table.find(linear);
        const PageEntry* now = view_.sides[1].table.find(linear);
        return (then == nullptr) != (now == nullptr) || (then != nullptr && then->entry != now->entry);
    }

    bool was_written(const SpaceView& side, u32 linear, u32 level) const {
        if (compare_)
            return level == 1 && differs(linear);
        return written_.count({side.table.space().root, level == 2 ? linear | 1 : linear}) != 0;
    }

    void collect_rows() {
        std::map<u64, MapRow> user, supervisor;
        const u32 slot_shift = machine_.mmu().control().large_shift();
        for (std::size_t number = 0; number < 2; ++number) {
            const SpaceView& side = view_.sides[number];
            for (const PageEntry& entry : side.table.entries()) {
                if (!entry.user()) {
                    mark(supervisor[entry.linear / kSupervisorRowBytes], number, entry.linear >> 22, entry.state,
                         was_written(side, entry.linear >> slot_shift << slot_shift, 2));
                    continue;
                }
                const u64 pages = std::min<u64>(entry.bytes() / kPageSize, 1024);
                for (u64 page = 0; page < pages; ++page) {
                    const u64 linear = entry.linear + page * kPageSize;
                    mark(user[linear / kRowBytes], number, static_cast<u32>(linear >> kPageShift), entry.state,
                         was_written(side, static_cast<u32>(linear), 1));
                }
            }
        }
        for (auto& [place, row] : user) {
            row.linear = static_cast<u32>(place * kRowBytes);
            row.name = row_name(row);
            view_.rows.push_back(std::move(row));
        }
        for (auto& [place, row] : supervisor) {
            row.linear = static_cast<u32>(place * kSupervisorRowBytes);
            row.supervisor = true;
            row.name = "4 MB each";
            view_.rows.push_back(std::move(row));
        }
    }

    static void mark(MapRow& row, std::size_t side, u32 number, PageState state, bool written) {
        PageCell& cell = row.cells[side][number % kRowPages];
        // A directory entry that leads to a table counts as supervisor even where another of its pages is a window.
        if (cell.state == PageState::Absent || state == PageState::Kernel || state == PageState::Supervisor)
            cell.state = state;
        cell.written = cell.written || written;
    }

    std::string row_name(const MapRow& row) {
        for (u32 i = 0; i < kRowPages; ++i)
            if (row.cells[0][i].state != PageState::Absent || row.cells[1][i].state != PageState::Absent)
                return region_name(row.linear + i * kPageSize);
        return {};
    }

    std::string region_name(u32 address) {
        const u32 space = view_.sides[0].table.space().root;
        const ElfImage* image = symbols_.program(symbols_.program_of(space));
        u32 end = 0;
        if (image != nullptr) {
            for (const ElfSegment& segment : image->segments()) {
                const u32 last = (segment.start + segment.memory_bytes - 1) | kPageMask;
                if (address >= (segment.start & ~kPageMask) && address <= last)
                    return segment.executable ? "text" : segment.writable ? "data" : "constants";
                end = std::max(end, last);
            }
        }
        if (in_stack(address))
            return "stack";
        return end != 0 && address > end && address - end < kHeapReach ? "heap" : "mapped";
    }

    // Neighbours of the page that the running program's stack pointer lies in; and what the tracer has seen of others.
    bool in_stack(u32 address) {
        if (!stack_)
            stack_ = running_stack();
        const auto seen = [&](const SpaceView& side) {
            return tracer_ != nullptr && side.present &&
                   forkscope::in_stack(tracer_->stacks().of(side.table.space().root), address);
        };
        return (address >= stack_->first && address < stack_->second) ||
               std::any_of(view_.sides.begin(), view_.sides.end(), seen);
    }

    std::pair<u64, u64> running_stack() const {
        const u32 running = machine_.mmu().control().space_of(machine_.registers().cr3).root;
        const std::optional<u32> pointer = program_stack_pointer(machine_);
        for (const SpaceView& side : view_.sides) {
            if (!side.present || side.table.space().root != running || !pointer)
                continue;
            // Of an empty stack the pointer is just above its last page.
            const u32 top = *pointer - 1;
            const auto mapped = [&](u64 page) {
                const PageEntry* entry = side.table.find(static_cast<u32>(page));
                return entry != nullptr && entry->user() && (entry->large ? page == (top & ~kPageMask) : true);
            };
            u64 first = top & ~kPageMask, end = first;
            while (mapped(end) && end >> 32 == 0)
                end += kPageSize;
            while (first != 0 && end != (top & ~kPageMask) && mapped(first - kPageSize))
                first -= kPageSize;
            return {first, end};
        }
        return {0, 0};
    }

    void collect_ranges() {
        std::set<u32> pages;
        for (const SpaceView& side : view_.sides)
            for (const PageEntry& entry : side.table.entries())
                if (entry.user())
                    pages.insert(entry.linear);
        for (const u32 page : pages) {
            RangeRow row{page, 0, region_name(page), {}, {}, false};
            u64 bytes = kPageSize;
            std::array<u64, 2> frames{};
            for (std::size_t number = 0; number < 2; ++number) {
                if (const PageEntry* entry = view_.sides[number].table.find(page)) {
                    row.states[number] = entry->state;
                    row.flags[number] = kPtePresent | (entry->rights & (kPteWritable | kPteUser));
                    frames[number] = entry->physical;
                    bytes = entry->bytes();
                }
            }
            row.end = row.start + bytes;
            row.same_frames = frames[0] == frames[1];
            row.space = view_.sides[row.states[0] != PageState::Absent ? 0 : 1].table.space().root;
            add_range(row);
        }
    }

    void add_range(const RangeRow& row) {
        if (!view_.ranges.empty()) {
            RangeRow& last = view_.ranges.back();
            if (last.end == row.start && last.name == row.name && last.states == row.states &&
                last.flags == row.flags && last.same_frames == row.same_frames) {
                last.end = row.end;
                return;
            }
        }
        view_.ranges.push_back(row);
    }

    const Machine& machine_;
    const ForkTracer* tracer_;
    const Symbolizer& symbols_;
    const Choices* choices_;
    std::optional<std::pair<u64, u64>> stack_; // of the running program, when somebody has asked for it
    bool since_snapshot_;
    const ForkRecord* fork_ = nullptr;
    bool compare_ = false; // then and now
    TablesView view_;
    std::set<std::pair<u32, u32>> written_; // directory, linear address | 1 for directory entries
};

} // namespace

TablesView observe_tables(const Observed& from) { return TablesObserver(from).view(); }

} // namespace forkscope
