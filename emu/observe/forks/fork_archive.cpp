#include "emu/observe/forks/fork_archive.hpp"

#include "emu/base/archive/containers.hpp"
#include "emu/base/archive/table.hpp"

namespace forkscope {

namespace {

constexpr u64 kMostRows = u64{1} << 20; // of a list of one fork
constexpr u64 kMostTexts = u64{1} << 18;

template <class Member> auto part(Member member) {
    return [member](auto& row) -> auto& { return row.*member; };
}

void archive_counts(Archive& ar, ForkCounts& counts) {
    ar.begin("counts");
    ar.field("pte_writes", counts.pte_writes);
    ar.field("pte_protects", counts.pte_protects);
    ar.field("pte_found", counts.pte_found);
    ar.field("frames_allocated", counts.frames_allocated);
    ar.field("frames_freed", counts.frames_freed);
    ar.field("frames_shared", counts.frames_shared);
    ar.field("frames_released", counts.frames_released);
    ar.field("frames_copied", counts.frames_copied);
    ar.field("flushes", counts.flushes);
    ar.field("entries_dropped", counts.entries_dropped);
    ar.field("cr3_loads", counts.cr3_loads);
    ar.field("space_switches", counts.space_switches);
    ar.field("privilege_switches", counts.privilege_switches);
    ar.field("system_calls", counts.system_calls);
    ar.field("messages", counts.messages);
    ar.field("tracepoints", counts.tracepoints);
    ar.field("heap_objects", counts.heap_objects);
    ar.field("heap_bytes", counts.heap_bytes);
    ar.field("heap_bytes_freed", counts.heap_bytes_freed);
    ar.end();
}

void archive_shadows(Archive& ar, std::string_view name, ShadowCounts& counts) {
    ar.begin(name);
    ar.field("created", counts.created);
    ar.field("collapsed", counts.collapsed);
    ar.field("bypassed", counts.bypassed);
    ar.field("longest_chain", counts.longest_chain);
    ar.end();
}

void archive_stop(Archive& ar, ForkStop& stop) {
    ar.begin("stop");
    ar.field("id", stop.id);
    ar.field("begin_instructions", stop.begin_instructions);
    ar.field("end_instructions", stop.end_instructions);
    ar.field("begin_cycle", stop.begin_cycle);
    ar.field("end_cycle", stop.end_cycle);
    ar.field("reached_instructions", stop.reached_instructions);
    ar.nested("spent", stop.spent);
    archive_counts(ar, stop.counts);
    ar.field("eip", stop.eip);
    ar.field("callers", stop.callers);
    ar.text("program", stop.program);
    ar.end();
}

// The stop that a change belongs to is an index.
template <class Row> void check_stops(Archive& ar, const SharedVector<Row>& rows, const ForkRecord& fork) {
    const auto stops = static_cast<int>(fork.stops.size());
    for (const Row& row : rows)
        if (ar.loading() && (row.stop < kNoStop || row.stop >= stops))
            return ar.fail("no such stop");
}

// `columns` names those of a table of rows.
template <class Row, class Columns>
void archive_list(Archive& ar, std::string_view name, SharedVector<Row>& list, Columns columns) {
    std::vector<Row> rows = list.to_vector();
    {
        ArchiveTable<Row> table(ar, name, rows, kMostRows);
        columns(table);
    }
    if (ar.loading())
        list = SharedVector<Row>(rows);
}

void archive_changes(Archive& ar, ForkRecord& fork) {
    archive_list<PteChange>(ar, "ptes", fork.ptes, [](ArchiveTable<PteChange>& table) {
        table.column("instructions", part(&PteChange::instructions))
            .column("cycle", part(&PteChange::cycle))
            .column("entry_address", part(&PteChange::entry_address))
            .column("old_value", part(&PteChange::old_value))
            .column("new_value", part(&PteChange::new_value))
            .column("directory", part(&PteChange::directory))
            .column("linear", part(&PteChange::linear))
            .column("bytes", part(&PteChange::bytes))
            .column("level", part(&PteChange::level))
            .column("written", part(&PteChange::written))
            .column("side", part(&PteChange::side), ForkSide::Unknown)
            .column("eip", part(&PteChange::eip))
            .column("callers", part(&PteChange::callers))
            .column("stop", part(&PteChange::stop));
    });
    archive_list<FrameChange>(ar, "frames", fork.frames, [](ArchiveTable<FrameChange>& table) {
        table.column("instructions", part(&FrameChange::instructions))
            .column("cycle", part(&FrameChange::cycle))
            .column("act", part(&FrameChange::act), FrameAct::Copied)
            .column("frame", part(&FrameChange::frame))
            .column("copy", part(&FrameChange::copy))
            .column("references", part(&FrameChange::references))
            .column("use", part(&FrameChange::use))
            .column("stop", part(&FrameChange::stop));
    });
    archive_list<FlushChange>(ar, "flushes", fork.flushes, [](ArchiveTable<FlushChange>& table) {
        table.column("instructions", part(&FlushChange::instructions))
            .column("cycle", part(&FlushChange::cycle))
            .column("reason", part(&FlushChange::reason))
            .column("address", part(&FlushChange::address))
            .column("dropped", part(&FlushChange::dropped))
            .column("eip", part(&FlushChange::eip))
            .column("stop", part(&FlushChange::stop));
    });
    archive_list<Cr3Change>(ar, "cr3_loads", fork.cr3_loads, [](ArchiveTable<Cr3Change>& table) {
        table.column("instructions", part(&Cr3Change::instructions))
            .column("cycle", part(&Cr3Change::cycle))
            .column("old_directory", part(&Cr3Change::old_directory))
            .column("new_directory", part(&Cr3Change::new_directory))
            .column("stop", part(&Cr3Change::stop));
    });
    check_stops(ar, fork.ptes, fork);
    check_stops(ar, fork.frames, fork);
    check_stops(ar, fork.flushes, fork);
    check_stops(ar, fork.cr3_loads, fork);
}

void archive_fault_list(Archive& ar, ForkRecord& fork, const FaultPool& faults) {
    struct Row {
        u64 number = 0;
        ForkSide side{};
        bool belongs = false, in_fork = false;
    };
    std::vector<Row> rows;
    for (const ForkFault& fault : fork.faults)
        rows.push_back({fault.record->number, fault.side, fault.belongs, fault.in_fork});
    ArchiveTable(ar, "faults", rows, kMostRows)
        .column("number", part(&Row::number))
        .column("side", part(&Row::side), ForkSide::Unknown)
        .column("belongs", part(&Row::belongs))
        .column("in_fork", part(&Row::in_fork));
    if (!ar.loading())
        return;
    fork.faults.clear();
    for (const Row& row : rows) {
        const auto found = faults.find(row.number);
        if (found == faults.end())
            return ar.fail("no such fault");
        fork.faults.push_back({found->second, row.side, row.belongs, row.in_fork});
    }
}

void archive_shared(Archive& ar, ForkRecord& fork) {
    struct Row {
        u32 page = 0;
        SharedPage shared;
    };
    std::vector<Row> rows;
    for (const auto& [page, shared] : fork.shared)
        rows.push_back({page, shared});
    ArchiveTable(ar, "shared", rows, kMostRows)
        .column("page", part(&Row::page))
        .column("frame", [](Row& row) -> u32& { return row.shared.frame; })
        .column("bytes", [](Row& row) -> u32& { return row.shared.bytes; })
        .column("copy_on_write", [](Row& row) -> bool& { return row.shared.copy_on_write; })
        .column("parent_settled", [](Row& row) -> bool& { return row.shared.parent_settled; })
        .column("child_settled", [](Row& row) -> bool& { return row.shared.child_settled; })
        .column("left_inside", [](Row& row) -> bool& { return row.shared.left_inside; })
        .column("writable", [](Row& row) -> bool& { return row.shared.writable; })
        .column("doubt", [](Row& row) -> u8& { return row.shared.doubt; });
    if (!ar.loading())
        return;
    fork.shared.clear();
    for (const Row& row : rows) {
        const u32 bytes = row.shared.bytes;
        const bool known = bytes == kPageSize || bytes == 2u << 20 || bytes == 4u << 20;
        if (!known || ((row.page | row.shared.frame) & (bytes - 1)) != 0)
            return ar.fail("no such page");
        fork.shared.emplace(row.page, row.shared);
    }
}

void archive_profile(Archive& ar, ForkRecord& fork) {
    struct Row {
        u32 space = 0, eip = 0;
        RunTime spent;
    };
    std::vector<Row> rows;
    for (const auto& [place, spent] : fork.by_instruction)
        rows.push_back({place.first, place.second, spent});
    ArchiveTable(ar, "by_instruction", rows, kMostRows)
        .column("space", part(&Row::space))
        .column("eip", part(&Row::eip))
        .column("instructions", [](Row& row) -> u64& { return row.spent.instructions; })
        .column("cycles", [](Row& row) -> Cycles& { return row.spent.cycles; })
        .column("by_cause", [](Row& row) -> CycleCounters& { return row.spent.by_cause; });
    if (!ar.loading())
        return;
    fork.by_instruction.clear();
    for (const Row& row : rows)
        fork.by_instruction[{row.space, row.eip}] = row.spent;
}

} // namespace

void archive_fork(Archive& ar, ForkRecord& fork, const FaultPool& faults) {
    ar.begin("fork");
    ar.field("number", fork.number);
    ar.field("made_parent", fork.made_parent);
    ar.field("stated", fork.stated);
    ar.field("in_workload", fork.in_workload);
    ar.field("parent_pid", fork.parent_pid);
    ar.field("child_pid", fork.child_pid);
    ar.field("parent_thread", fork.parent_thread);
    ar.field("parent_directory", fork.parent_directory);
    ar.field("child_directory", fork.child_directory);
    ar.text("parent_program", fork.parent_program);
    ar.field("pages_named", fork.pages_named);
    ar.field("result", fork.result);
    ar.field("left", fork.left);
    ar.field("failed", fork.failed);
    ar.field("settled", fork.settled);
    ar.field("begin_instructions", fork.begin_instructions);
    ar.field("left_instructions", fork.left_instructions);
    ar.field("begin_cycle", fork.begin_cycle);
    ar.field("left_cycle", fork.left_cycle);
    ar.nested("spent", fork.spent);
    ar.field("child_first_run", fork.child_first_run);
    ar.field("private_cycle", fork.private_cycle);
    ar.field("parent_ended", fork.parent_ended);
    ar.field("child_ended", fork.child_ended);
    ar.field("followed", fork.followed);
    std::vector<ForkStop> stops = fork.stops.to_vector();
    archive_elements(ar, "stops", stops, kMostRows, [&](ForkStop& stop) { archive_stop(ar, stop); });
    fork.stops = SharedVector<ForkStop>(stops);
    archive_changes(ar, fork);
    archive_fault_list(ar, fork, faults);
    archive_counts(ar, fork.counts);
    ar.field("fault_counts", fork.fault_counts);
    ar.field("other_faults", fork.other_faults);
    archive_shadows(ar, "shadows_inside", fork.shadows_inside);
    archive_shadows(ar, "shadows_after", fork.shadows_after);
    archive_profile(ar, fork);
    ar.field("trimmed", fork.trimmed);
    archive_shared(ar, fork);
    ar.sequence("stacks", fork.stacks, ProgramStacks::kMostStacks);
    ar.field("still_shared", fork.still_shared);
    ar.field("leaked_pages", fork.leaked_pages);
    ar.field("copied_pages", fork.copied_pages);
    archive_list<DifferenceRange>(ar, "differences", fork.differences, [](ArchiveTable<DifferenceRange>& table) {
        table.column("start", part(&DifferenceRange::start))
            .column("end", part(&DifferenceRange::end))
            .column("difference", part(&DifferenceRange::difference), PageDifference::OnlyInB)
            .column("flags_a", part(&DifferenceRange::flags_a))
            .column("flags_b", part(&DifferenceRange::flags_b));
    });
    ar.sequence("findings", fork.findings, kMostTexts);
    ar.end();
}

void archive_open_fork(Archive& ar, OpenFork& fork, const FaultPool& faults) {
    ar.begin("open_fork");
    archive_enum(ar, "kind", fork.kind, OpenKind::Fork);
    archive_fork(ar, fork.record, faults);
    ar.field("published", fork.published);
    ar.field("key", fork.key);
    ar.field("helper", fork.helper);
    ar.field("pid", fork.pid);
    ar.field("child_pid", fork.child_pid);
    ar.field("directory", fork.directory);
    ar.field("child_directory", fork.child_directory);
    ar.nested("begun", fork.begun);
    archive_set(ar, "unflushed", fork.unflushed, kMostRows);
    archive_set(ar, "protects", fork.protects, kMostRows);
    ar.sequence("new_directories", fork.new_directories, kMostRows);
    archive_set(ar, "foreign", fork.foreign, kMostRows);
    ar.field("many_calls", fork.many_calls);
    archive_set(ar, "returns", fork.returns, kMostReturns);
    ar.field("pending_child", fork.pending_child);
    ar.field("pending_eip", fork.pending_eip);
    archive_map(ar, "were_large", fork.were_large, kMostRows);
    ar.field("kept_child", fork.kept_child);
    ar.field("kept_shares", fork.kept_shares);
    ar.field("looked_at", fork.looked_at);
    ar.field("maker_ended", fork.maker_ended);
    ar.end();
}

void collect_faults(const ForkRecord& fork, FaultPool& faults) {
    for (const ForkFault& fault : fork.faults)
        faults.emplace(fault.record->number, fault.record);
}

} // namespace forkscope
