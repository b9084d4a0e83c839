#include "emu/report/counter_report.hpp"

#include "emu/trace/trace_text.hpp"

namespace forkscope {

namespace {

void add_cpu(Object& data, const CpuCounts& cpu) {
    data.count("instructions", cpu.instructions).count("cycles", cpu.cycles);
    data.count("halted_cycles", cpu.halted_cycles).count("interrupts", cpu.interrupts);
    data.count("branches", cpu.branches).count("mispredictions", cpu.mispredictions);
    data.count("data_cache_misses", cpu.data_cache_misses).count("code_cache_misses", cpu.code_cache_misses);
    data.count("misaligned_accesses", cpu.misaligned_accesses);
}

void add_mmu(Object& data, const Mmu& mmu) {
    const MmuCounters& counters = mmu.counters();
    // The fast path counts no hits: they are known only where it was left out.
    const auto hits = [&](u32 side) { return mmu.count_hits() ? Cell::count(counters.tlb_hits[side]) : Cell(); };
    data.add("data_tlb_hits", hits(0)).add("code_tlb_hits", hits(1));
    data.count("data_tlb_misses", counters.tlb_misses[0]).count("code_tlb_misses", counters.tlb_misses[1]);
    data.count("dirty_walks", counters.dirty_walks).count("permission_walks", counters.permission_walks);
    data.count("accessed_dirty_writes", counters.accessed_dirty_writes).count("page_faults", counters.page_faults);
}

// The figures of `data` from its member number `from` on, a row each.
Rows figures(const Object& data, std::size_t from = 0) {
    Rows rows;
    for (std::size_t i = from; i < data.members().size(); ++i) {
        const auto& [key, cell] = data.members()[i];
        const bool known = cell.kind() != Cell::Kind::Absent;
        rows.emplace_back().text("name", key).add("value", known ? cell : Cell::text("with --count-hits"));
    }
    return rows;
}

} // namespace

Document counter_document(const CpuCounts& cpu, const Mmu& mmu) {
    Document document;
    const auto section = [&document](const char* title, const char* key, Rows rows) {
        document.shown.rows(key, std::move(rows));
        Section& part = document.section("");
        part.blocks.push_back(Line{{}, title, Line::Place::Margin});
        part.blocks.push_back(
            Table{key, {{.key = "name", .width = 26}, {.key = "value", .width = 20, .align = Column::Align::Right}}});
    };
    Object& data = document.data;
    add_cpu(data, cpu);
    section("Counters since power-on", "cpu", figures(data));
    Object causes;
    for (std::size_t cause = 0; cause < cpu.by_cause.size(); ++cause)
        causes.count(std::string(cycle_cause_name(static_cast<CycleCause>(cause))), cpu.by_cause[cause]);
    section("Cycles by cause", "by_cause", figures(causes));
    data.object("cycles_by_cause", std::move(causes));
    const std::size_t translation = data.members().size();
    add_mmu(data, mmu);
    section("Translation", "translation", figures(data, translation));
    Object flushes;
    for (u32 reason = 0; reason < std::size(mmu.counters().flushes); ++reason)
        flushes.count(flush_reason_name(reason), mmu.counters().flushes[reason]);
    section("Flushes by cause", "by_reason", figures(flushes));
    data.object("flushes", std::move(flushes));
    return document;
}

Document unmapped_document(const UnmappedTouches::State& touches,
                           const std::function<std::string(u32 space, u32 address)>& name) {
    using enum Column::Align;
    Document document;
    Rows data;
    Rows shown;
    for (const UnmappedTouch& touch : touches.places) {
        Object row;
        row.text("kind", touch.is_port ? "port" : "memory").word("address", touch.address);
        row.count("reads", touch.reads).count("writes", touch.writes);
        row.word("first_by", touch.eip).text("first_in", name(touch.address_space, touch.eip));
        row.count("first_at", touch.instructions);
        data.push_back(row);
        row.text("place", touch.is_port ? fmt::format("{:04x}", touch.address) : fmt::format("{:08x}", touch.address));
        shown.push_back(std::move(row));
    }
    document.data.rows("unmapped", std::move(data)).count("further", touches.further);
    document.shown.rows("rows", std::move(shown));
    Section& section = document.section("");
    if (touches.places.empty()) {
        section.blocks.push_back(Line{{}, "Something answered each access.", Line::Place::Margin});
        return document;
    }
    section.blocks.push_back(
        Line{{}, "Ports and pages that were touched and that nothing answers at", Line::Place::Margin});
    if (touches.further != 0)
        section.blocks.push_back(Line{{}, "{further} accesses to further ones", Line::Place::Margin});
    section.blocks.push_back(Table{.rows = "rows",
                                   .columns = {{.key = "kind", .title = "what", .width = 6},
                                               {.key = "place", .title = "address", .width = 10, .align = Right},
                                               {.key = "reads", .title = "reads", .width = 12, .align = Right},
                                               {.key = "writes", .title = "writes", .width = 12, .align = Right},
                                               {.key = "first_at", .title = "first at", .width = 14, .align = Right},
                                               {.key = "first_in", .title = "by", .lead = "  "}},
                                   .indent = ""});
    return document;
}

} // namespace forkscope
