#include "emu/observe/faults/fault_archive.hpp"

#include "emu/base/archive/containers.hpp"
#include "emu/base/archive/table.hpp"

namespace forkscope {

namespace {

constexpr u64 kMostFaults = u64{1} << 20;
constexpr u64 kMostTexts = 4096; // of one fault

using Table = ArchiveTable<FaultRecord>;

template <class Which> void add_walk(Table& table, const std::string& name, Which walk) {
    const auto part = [walk](auto member) {
        return [ walk, member ](FaultRecord & fault) -> auto& { return walk(fault).*member; };
    };
    table.column(
        name + ".directory_entry_address", [walk](FaultRecord & fault) -> auto& {
            return walk(fault).directory_entry_address.value;
        });
    table.column(
        name + ".table_entry_address", [walk](FaultRecord & fault) -> auto& {
            return walk(fault).table_entry_address.value;
        });
    table.column(name + ".directory_entry", part(&WalkView::directory_entry));
    table.column(name + ".table_entry", part(&WalkView::table_entry));
    table.column(name + ".present", part(&WalkView::present));
    table.column(name + ".large", part(&WalkView::large));
    table.column(name + ".no_execute", part(&WalkView::no_execute));
    table.column(name + ".rights", part(&WalkView::rights));
    table.column(name + ".frame", part(&WalkView::frame));
}

void add_columns(Table& table) {
    const auto part = [](auto member) {
        return [member](FaultRecord & fault) -> auto& { return fault.*member; };
    };
    const FaultClass last = static_cast<FaultClass>(static_cast<u8>(FaultClass::Count) - 1);
    table.column("number", part(&FaultRecord::number));
    table.column("begin_instructions", part(&FaultRecord::begin_instructions));
    table.column("end_instructions", part(&FaultRecord::end_instructions));
    table.column("begin_cycle", part(&FaultRecord::begin_cycle));
    table.column("end_cycle", part(&FaultRecord::end_cycle));
    table.column(
        "spent.instructions", [](FaultRecord & fault) -> auto& { return fault.spent.instructions; });
    table.column(
        "spent.cycles", [](FaultRecord & fault) -> auto& { return fault.spent.cycles; });
    table.column(
        "spent.by_cause", [](FaultRecord & fault) -> auto& { return fault.spent.by_cause; });
    table.column("address", part(&FaultRecord::address));
    table.column("error_code", part(&FaultRecord::error_code));
    table.column("eip", part(&FaultRecord::eip));
    table.column("cpl", part(&FaultRecord::cpl));
    table.column("address_space", part(&FaultRecord::address_space));
    table.column("pid", part(&FaultRecord::pid));
    table.column("thread", part(&FaultRecord::thread));
    table.column("class", part(&FaultRecord::fault_class), last);
    table.column("page_class", part(&FaultRecord::page), last);
    table.column("stated_class", part(&FaultRecord::stated), last);
    table.column("resolved", part(&FaultRecord::resolved));
    table.column("in_stack", part(&FaultRecord::in_stack));
    table.column("depth", part(&FaultRecord::depth));
    table.column("pte_writes", part(&FaultRecord::pte_writes));
    table.column("flushes", part(&FaultRecord::flushes));
    table.column("messages", part(&FaultRecord::messages));
    table.column("frames_copied", part(&FaultRecord::frames_copied));
}

} // namespace

void archive_faults(Archive& ar, std::string_view name, std::vector<FaultRecord>& faults) {
    ar.begin(name);
    {
        Table table(ar, "table", faults, kMostFaults);
        add_columns(table);
        add_walk(table, "before", [](FaultRecord& fault) -> WalkView& { return fault.before; });
        add_walk(table, "after", [](FaultRecord& fault) -> WalkView& { return fault.after; });
    }
    for (FaultRecord& fault : faults) {
        ar.text("program", fault.program);
        ar.sequence("frames_taken", fault.frames_taken, kMostTexts);
        ar.sequence("findings", fault.findings, kMostTexts);
        if (!ar.good())
            break;
    }
    ar.end();
}

void archive_faults(Archive& ar, std::string_view name, FaultPool& faults) {
    std::vector<FaultRecord> list;
    for (const auto& [number, fault] : faults)
        list.push_back(*fault);
    archive_faults(ar, name, list);
    if (!ar.loading())
        return;
    faults.clear();
    for (FaultRecord& fault : list)
        faults.emplace(fault.number, std::make_shared<const FaultRecord>(std::move(fault)));
    if (faults.size() != list.size())
        ar.fail("a fault comes twice");
}

void archive_fault_number(Archive& ar, std::string_view name, FaultRef& fault, const FaultPool& pool) {
    u64 number = fault != nullptr ? fault->number : 0;
    ar.field(name, number);
    if (!ar.loading())
        return;
    const auto found = pool.find(number);
    if (found == pool.end())
        ar.fail("no such fault");
    else
        fault = found->second;
}

} // namespace forkscope
