#include "emu/report/counter_report.hpp"

#include <vector>

#include "emu/base/log.hpp"
#include "emu/report/json_writer.hpp"
#include "emu/report/report_text.hpp"
#include "emu/trace/trace_text.hpp"

namespace forkscope {

namespace {

struct Counter {
    std::string_view key;
    u64 value;
};

std::vector<Counter> cpu_counters(const CpuCounts& cpu) {
    return {{"instructions", cpu.instructions},
            {"cycles", cpu.cycles},
            {"halted_cycles", cpu.halted_cycles},
            {"interrupts", cpu.interrupts},
            {"branches", cpu.branches},
            {"mispredictions", cpu.mispredictions},
            {"data_cache_misses", cpu.data_cache_misses},
            {"code_cache_misses", cpu.code_cache_misses},
            {"misaligned_accesses", cpu.misaligned_accesses}};
}

std::vector<Counter> mmu_counters(const MmuCounters& mmu) {
    return {{"data_tlb_misses", mmu.tlb_misses[0]},
            {"code_tlb_misses", mmu.tlb_misses[1]},
            {"dirty_walks", mmu.dirty_walks},
            {"permission_walks", mmu.permission_walks},
            {"accessed_dirty_writes", mmu.accessed_dirty_writes},
            {"page_faults", mmu.page_faults}};
}

} // namespace

std::string counter_report_text(const CpuCounts& cpu, const Mmu& mmu) {
    std::string out = "Counters since power-on\n";
    const auto add = [&out](std::string_view name, const std::string& value) {
        out += fmt::format("  {:<26}{:>20}\n", name, value);
    };
    for (const Counter& counter : cpu_counters(cpu))
        add(counter.key, grouped(counter.value));
    out += "Cycles by cause\n";
    for (std::size_t cause = 0; cause < cpu.by_cause.size(); ++cause)
        add(cycle_cause_name(static_cast<CycleCause>(cause)), grouped(cpu.by_cause[cause]));
    out += "Translation\n";
    // The fast path counts no hits: they are known only where it was left out.
    const bool counted = mmu.count_hits();
    add("data_tlb_hits", counted ? grouped(mmu.counters().tlb_hits[0]) : "with --count-hits");
    add("code_tlb_hits", counted ? grouped(mmu.counters().tlb_hits[1]) : "with --count-hits");
    for (const Counter& counter : mmu_counters(mmu.counters()))
        add(counter.key, grouped(counter.value));
    out += "Flushes by cause\n";
    for (u32 reason = 0; reason < std::size(mmu.counters().flushes); ++reason)
        add(flush_reason_name(reason), grouped(mmu.counters().flushes[reason]));
    return out;
}

std::string counter_report_json(const CpuCounts& cpu, const Mmu& mmu) {
    JsonWriter json;
    json.begin_object();
    for (const Counter& counter : cpu_counters(cpu))
        json.number(counter.key, counter.value);
    json.begin_object("cycles_by_cause");
    for (std::size_t cause = 0; cause < cpu.by_cause.size(); ++cause)
        json.number(cycle_cause_name(static_cast<CycleCause>(cause)), cpu.by_cause[cause]);
    json.end_object();
    for (const u32 side : {0u, 1u}) {
        const char* key = side == 0 ? "data_tlb_hits" : "code_tlb_hits";
        mmu.count_hits() ? json.number(key, mmu.counters().tlb_hits[side]) : json.null(key);
    }
    for (const Counter& counter : mmu_counters(mmu.counters()))
        json.number(counter.key, counter.value);
    json.begin_object("flushes");
    for (u32 reason = 0; reason < std::size(mmu.counters().flushes); ++reason)
        json.number(flush_reason_name(reason), mmu.counters().flushes[reason]);
    json.end_object().end_object();
    return json.take();
}

} // namespace forkscope
