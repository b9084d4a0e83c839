// What is done to page tables and to cached translations inside a fork.
#include "emu/base/trace_vocabulary.hpp"
#include "emu/observe/forks/fork_tracer.hpp"

namespace forkscope {

namespace {

constexpr u32 kFrameMask = ~kPageMask;
constexpr u64 kMayWrite = kPtePresent | kPteUser | kPteWritable;

bool takes_write_right(u64 old_value, u64 new_value) {
    return (old_value & kPtePresent) != 0 && (new_value & kPtePresent) != 0 && (old_value & kPteWritable) != 0 &&
           (new_value & kPteWritable) == 0 && ((old_value ^ new_value) & kPteFrame) == 0;
}

// A fresh table is cleared entry by entry: counted, not listed.
bool is_listed(const PteChange& change) {
    const bool clears = change.new_value == 0 && (change.old_value & kPtePresent) == 0;
    return change.old_value != change.new_value && !clears;
}

} // namespace

void ForkTracer::add_pte(u64 open, PteChange change) {
    change.stop = static_cast<int>(record(open).stops.size()) - 1;
    const bool protects = change.written && takes_write_right(change.old_value, change.new_value);
    count_in(open, [&](ForkCounts& counts) {
        counts.pte_writes += change.written ? 1 : 0;
        counts.pte_found += change.written ? 0 : 1;
        counts.pte_protects += protects ? 1 : 0;
    });
    const u32 own = state_.open.at(open).directory;
    const bool page = change.level == 1 || (change.level == 2 && tables_.reader().is_large(change.old_value));
    if (protects && page && (change.old_value & kPteUser) != 0 && change.directory == own) {
        state_.open.edit(open).protects.insert(change.linear);
        // Where another space is loaded, the parent's translations went when it was.
        if (now_->address_space == own)
            state_.open.await_flush(open, change.linear);
    }
    if (change.written && change.directory == own)
        protect_by_split(open, change);
    if (!is_listed(change))
        return;
    ForkRecord& fork = edit_record(open);
    if (fork.ptes.size() < options_.most_entries)
        fork.ptes.push_back(change);
    else
        fork.trimmed = true;
}

// A large page of the parent's becomes a table of its pieces. Those that do not allow what it allowed are
// write-protected, whether they were there before the directory's entry led to the table or come afterwards.
void ForkTracer::protect_by_split(u64 open, const PteChange& change) {
    const AddressSpaceReader& reader = tables_.reader();
    if (change.level == 1)
        return protect_piece(open, change.linear, change.new_value);
    const bool may_write = (change.old_value & kMayWrite) == kMayWrite;
    if (reader.is_large(change.old_value) && (may_write || state_.open.at(open).protects.count(change.linear) != 0))
        state_.open.edit(open).were_large[change.linear] = change.old_value & kPteFrame & ~u64{change.bytes - 1};
    if (state_.open.at(open).were_large.empty() || (change.new_value & kPtePresent) == 0 ||
        reader.is_large(change.new_value))
        return;
    const std::vector<u64> pieces = reader.table(change.new_value & kPteFrame);
    for (u32 i = 0; i < pieces.size(); ++i)
        protect_piece(open, change.linear + i * kPageSize, pieces[i]);
}

void ForkTracer::protect_piece(u64 open, u32 linear, u64 entry) {
    const SharedMap<u32, u64>& were_large = state_.open.at(open).were_large;
    if (were_large.empty())
        return;
    const u32 large = linear & ~(large_bytes() - 1);
    const auto whole = were_large.find(large);
    if (whole != were_large.end() &&
        (entry & (kMayWrite | kPteFrame)) == (kPtePresent | kPteUser | (whole->second + (linear - large))))
        state_.open.edit(open).protects.insert(linear);
}

// Follows the chain of saved frame pointers: {saved EBP, return address} at each. The kernel's lie in pages that no
// program may touch, and a program's in its own.
std::array<u32, 3> ForkTracer::callers(const TraceEvent& event) const {
    std::array<u32, 3> found{};
    const AddressSpaceReader& reader = tables_.reader();
    u32 frame = options_.frame_pointer ? options_.frame_pointer() : 0;
    for (u32& caller : found) {
        const u32 offset = frame & kPageMask;
        std::array<u32, 2> words;
        if (frame % 4 != 0 || offset > kPageSize - sizeof words)
            break;
        const WalkView walk = reader.walk(AddressSpace(event.address_space), LinearAddress(frame));
        if (!walk.present || walk.user() != (event.cpl == 3) ||
            !reader.memory().read(PhysicalAddress(walk.frame + offset),
                                  {reinterpret_cast<u8*>(words.data()), sizeof words}) ||
            words[0] <= frame)
            break;
        caller = words[1];
        frame = words[0];
    }
    return found;
}

void ForkTracer::on_pte_write(const TraceEvent& event, const EntryOwner& owner) {
    const u64 open = working();
    if (open == kNone)
        return;
    PteChange change;
    change.instructions = event.instructions;
    change.cycle = event.cycle;
    change.entry_address = static_cast<u32>(event.a);
    change.old_value = event.b;
    change.new_value = event.c;
    change.eip = event.eip;
    if (is_listed(change))
        change.callers = callers(event);
    change.directory = owner.space.root;
    change.linear = static_cast<u32>(owner.linear.value);
    change.level = owner.space != AddressSpace() ? owner.level : static_cast<u8>(event.d);
    change.bytes = bytes_at(change.level);
    // It has run, and the guest says who runs there: a server that resolves a fault for that process builds nothing.
    const auto lives = [&](u32 space) { return state_.loaded.count(space) != 0 && state_.context.pid_of(space) != 0; };
    if (change.directory != 0 && change.directory != state_.open.at(open).directory && !lives(change.directory)) {
        // Who gives it pages or clears its directory builds a space; who only takes from it may be wait(), which frees
        // a dead child's.
        constexpr u64 kUsable = kPtePresent | kPteUser;
        if ((change.new_value & kUsable) == kUsable || (change.level == 2 && change.new_value == 0))
            state_.open.built(open, change.directory);
        // It becomes another, or somebody builds one there: its next load counts as its first.
        state_.loaded.erase(change.directory);
    }
    add_pte(open, change);
}

// Whoever was there has ended, though the guest did not say so: who gets the directory next is not the child of its
// maker.
void ForkTracer::on_space_lost(u32 directory) {
    if (state_.guest_states_forks)
        return;
    space_ended(directory);
    state_.loaded.erase(directory);
    const u64 maker = state_.forks.maker_of_directory(directory);
    if (state_.forks.find(maker) == nullptr)
        return;
    ForkRecord& fork = state_.forks.edit(maker);
    fork.child_ended = true;
    if (fork.followed)
        followed_.child_ended(fork);
}

// A table that becomes known in the middle of a fork: what it holds already was written before anybody looked.
void ForkTracer::on_table_found(u32 frame, const EntryOwner& owner, const TraceEvent& event) {
    const u64 open = working();
    if (open == kNone || owner.space.root == state_.open.at(open).directory)
        return;
    if (owner.level == 2)
        state_.open.found(open, owner.space.root);
    const AddressSpaceReader& reader = tables_.reader();
    const u32 width = reader.geometry().entry_bytes;
    const std::vector<u64> entries = reader.table(frame);
    for (u32 i = 0; i < entries.size(); ++i) {
        PteChange change;
        change.new_value = entries[i];
        if ((change.new_value & kPtePresent) == 0)
            continue;
        change.instructions = event.instructions;
        change.cycle = event.cycle;
        change.entry_address = frame + i * width;
        change.directory = owner.space.root;
        change.bytes = bytes_at(owner.level);
        change.linear = static_cast<u32>(owner.linear.value) + i * change.bytes;
        change.level = owner.level;
        change.written = false;
        add_pte(open, change);
    }
}

void ForkTracer::on_flush(const TraceEvent& event) {
    const auto reason = static_cast<TlbFlushReason>(event.a);
    const u64 open = working();
    if (open == kNone || reason == TlbFlushReason::PageFault)
        return;
    const bool one_page = reason == TlbFlushReason::Invlpg;
    if (one_page)
        state_.open.flushed(open, static_cast<u32>(event.b) & kFrameMask);
    else
        state_.open.flushed_all(open);
    count_in(open, [&](ForkCounts& counts) {
        ++counts.flushes;
        counts.entries_dropped += event.c;
    });
    ForkRecord& fork = edit_record(open);
    if (fork.flushes.size() < options_.most_entries)
        fork.flushes.push_back({event.instructions, event.cycle, static_cast<u32>(event.a),
                                one_page ? static_cast<u32>(event.b) : 0, static_cast<u32>(event.c), event.eip,
                                static_cast<int>(fork.stops.size()) - 1});
    else
        fork.trimmed = true;
}

void ForkTracer::on_cr3(const TraceEvent& event) {
    const u32 directory = space_of(event.b);
    // Whoever is in the middle of a fork loses its cached translations when another space is loaded.
    state_.open.flushed_elsewhere(directory);
    if (space_of(event.a) != directory)
        end_if_empty(space_of(event.a));
    if (const u64 open = working(); open != kNone) {
        count_in(open, [&](ForkCounts& counts) {
            ++counts.cr3_loads;
            counts.space_switches += space_of(event.a) != directory ? 1 : 0;
        });
        ForkRecord& fork = edit_record(open);
        if (fork.cr3_loads.size() < options_.most_entries)
            fork.cr3_loads.push_back({event.instructions, event.cycle, space_of(event.a), directory,
                                      static_cast<int>(fork.stops.size()) - 1});
        else
            fork.trimmed = true;
    }
    if (directory != 0)
        for (const u64 open : state_.open.forks_with_child(directory))
            if (!record(open).settled)
                child_runs_early(open, event);
    for (const u64 number : followed_.of_child(directory))
        if (state_.forks.find(number)->child_first_run == 0)
            state_.forks.edit(number).child_first_run = event.cycle;
    if (state_.loaded.size() >= kMostLoaded)
        state_.loaded.clear();
    if (state_.loaded.insert(directory)) {
        // Whose stacks were seen there before has ended without a word.
        if (!state_.guest_states_forks)
            state_.stacks.forget(directory);
        first_load(directory, event);
    }
    see_alive(directory);
}

} // namespace forkscope
