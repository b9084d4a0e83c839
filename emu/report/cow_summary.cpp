#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <tuple>

#include "emu/report/fork_report.hpp"

namespace forkscope {

namespace {

// How many neighbouring pages around the page were left shared: tells the workload's region from a lone stack page.
u64 run_of_shared_pages(const ForkRecord& fork, u32 page) {
    u64 count = 0;
    for (auto place = fork.shared.find(page); place != fork.shared.end(); ++place, ++count)
        if (place->first != page + count * kPageSize)
            break;
    for (auto place = fork.shared.find(page); place != fork.shared.begin() && place != fork.shared.end();) {
        const u32 above = place->first;
        --place;
        if (place->first + kPageSize != above)
            break;
        ++count;
    }
    return count;
}

// One instruction of one side.
struct Writer {
    bool of_parent = false;
    u32 eip = 0;

    auto operator<=>(const Writer&) const = default;
};

Writer writer_of(const ForkFault& fault) { return {fault.side == ForkSide::Parent, fault.record->eip}; }

// Pages of one kind are written by one instruction, of the child or else of the parent; of several such instructions,
// by the one with the right number of pages, then by the one in the largest shared region.
std::optional<Writer> writer_of_pages(const ForkRecord& fork,
                                      const std::map<Writer, std::vector<const ForkFault*>>& by_writer, u64 pages) {
    std::tuple<bool, u64, u64> best{false, 0, 0};
    std::optional<Writer> chosen;
    for (const auto& [writer, faults] : by_writer) {
        const std::tuple<bool, u64, u64> score{
            faults.size() == pages, run_of_shared_pages(fork, faults.front()->record->page_address()), faults.size()};
        if (pages != 0 && score > best) {
            best = score;
            chosen = writer;
        }
    }
    return chosen;
}

u32 rights_of(u64 entry) {
    return (entry & kPtePresent) != 0 ? static_cast<u32>(entry) & (kPtePresent | kPteWritable | kPteUser) : 0;
}

} // namespace

CowSummary cow_summary(const ForkRecord& fork, const ParentPages& parent_pages) {
    CowSummary summary;
    summary.pages_named = fork.pages_named;
    summary.parent_pages = parent_pages.of(fork);
    summary.cow_faults = fork.cow_faults();
    summary.constant = static_cast<i64>(summary.cow_faults - summary.pages_named - summary.parent_pages);
    std::map<Writer, std::vector<const ForkFault*>> by_writer;
    for (const ForkFault& fault : fork.faults)
        if (fault.belongs && fault.record->cpl == 3)
            by_writer[writer_of(fault)].push_back(&fault);
    std::map<Writer, u64> named; // how many pages each may write by name
    if (const auto writer = writer_of_pages(fork, by_writer, summary.pages_named))
        named[*writer] = summary.pages_named;
    std::erase_if(by_writer, [&](const auto& one) { return !one.first.of_parent || named.count(one.first) != 0; });
    if (const auto writer = writer_of_pages(fork, by_writer, summary.parent_pages))
        named[*writer] = summary.parent_pages;
    for (const ForkFault& fault : fork.faults) {
        if (!fault.belongs)
            continue;
        const auto left = fault.record->cpl == 3 ? named.find(writer_of(fault)) : named.end();
        const bool is_named = left != named.end() && left->second != 0;
        if (is_named)
            --left->second;
        (is_named ? summary.named : summary.rest).push_back(&fault);
    }
    return summary;
}

ParentPages::ParentPages(std::string_view command_line) {
    constexpr std::string_view kProgram = "forkdemo";
    constexpr u64 kPages = 8; // where forkdemo is told nothing
    const auto number = [](std::string_view words, std::string_view option, u64 value) {
        if (const std::size_t at = words.find(option); at != words.npos)
            std::from_chars(words.data() + at + option.size(), words.data() + words.size(), value);
        return value;
    };
    for (std::size_t at = command_line.find(kProgram); at != command_line.npos; at = command_line.find(kProgram, at)) {
        at += kProgram.size();
        const std::string_view words = command_line.substr(at, command_line.find_first_of(";&|()'\"", at) - at);
        told_.push_back({number(words, " --pages ", kPages), number(words, " --parent ", 0)});
    }
}

u64 ParentPages::of(const ForkRecord& fork) const {
    std::optional<u64> pages;
    for (const Forkdemo& one : told_) {
        if (!fork.in_workload || one.pages != fork.pages_named)
            continue;
        if (pages && *pages != one.parent)
            return 0;
        pages = one.parent;
    }
    return pages.value_or(0);
}

std::vector<PteRange> pte_ranges(const ForkRecord& fork) {
    std::vector<const PteChange*> changes;
    for (const PteChange& change : fork.ptes)
        changes.push_back(&change);
    // By place, and changes of one entry in the order of time: a range is one act on neighbouring entries.
    std::stable_sort(changes.begin(), changes.end(), [](const PteChange* a, const PteChange* b) {
        return std::tie(a->stop, a->side, a->level, a->linear) < std::tie(b->stop, b->side, b->level, b->linear);
    });
    std::vector<PteRange> ranges;
    for (const PteChange* change : changes) {
        const bool moved = (change->old_value & change->new_value & kPtePresent) != 0 &&
                           ((change->old_value ^ change->new_value) & kPteFrame) != 0;
        const bool marked = (change->new_value & kPtePresent) == 0 && change->new_value != 0;
        PteRange range{change->side,
                       change->level,
                       change->linear,
                       change->linear + u64{change->bytes},
                       1,
                       rights_of(change->old_value),
                       rights_of(change->new_value),
                       moved,
                       marked,
                       change->written,
                       change->eip,
                       change->callers,
                       change->stop};
        if (!ranges.empty()) {
            PteRange& last = ranges.back();
            if (last.side == range.side && last.level == range.level && last.end == range.start &&
                last.old_flags == range.old_flags && last.new_flags == range.new_flags && last.moved == moved &&
                last.marked == marked && last.written == range.written && last.stop == range.stop) {
                last.end = range.end;
                ++last.entries;
                continue;
            }
        }
        ranges.push_back(range);
    }
    return ranges;
}

Cycles elapsed_cycles(const ForkStop& stop) { return stop.end_cycle - std::min(stop.begin_cycle, stop.end_cycle); }

Cycles elapsed_cycles(const ForkRecord& fork) { return fork.left ? fork.left_cycle - fork.begin_cycle : 0; }

bool private_at_once(const ForkRecord& fork) {
    return fork.copied_pages != 0 && fork.private_cycle != 0 && fork.leaked_pages == 0 && fork.cow_faults() == 0 &&
           !fork.trimmed && std::none_of(fork.shared.begin(), fork.shared.end(), [](const auto& page) {
               return page.second.copy_on_write;
           });
}

Cycles cycles_until_private(const ForkRecord& fork) {
    return private_at_once(fork) ? 0 : fork.private_cycle - std::min(fork.private_cycle, fork.left_cycle);
}

std::string place_text(const FaultRecord& fault, const ForkReportOptions& options) {
    return options.symbols != nullptr ? options.symbols->lookup_in(fault.program, fault.eip).text()
                                      : fmt::format("{:#010x}", fault.eip);
}

// What a symbol or a program's segments say.
static std::string linked_name(const ForkRecord& fork, u32 address, const ForkReportOptions& options) {
    if (options.symbols == nullptr)
        return {};
    const Location location = options.symbols->lookup(fork.parent_directory, address);
    if (location.known())
        return location.name();
    // The parent may have ended since: its program's name is kept in the record.
    const ElfImage* image = options.symbols->program(fork.parent_program);
    const Symbol* symbol = image == nullptr ? nullptr : image->symbol_at(address);
    if (symbol != nullptr)
        return address == symbol->start ? std::string(symbol->name)
                                        : fmt::format("{}+0x{:x}", symbol->name, address - symbol->start);
    return image != nullptr && image->covers(address) ? "program data" : "";
}

std::string memory_name(const ForkRecord& fork, u32 address, const ForkReportOptions& options) {
    const std::string linked = linked_name(fork, address, options);
    if (!linked.empty())
        return linked;
    return in_stack(fork.stacks, address) ? "stack" : "mapped memory";
}

std::string memory_name(const ForkRecord& fork, const FaultRecord& fault, const ForkReportOptions& options) {
    const WalkView& walk = fault.after.present ? fault.after : fault.before;
    const std::string linked = linked_name(fork, fault.address, options);
    if (!linked.empty())
        return linked;
    if (walk.present && !walk.user())
        return "supervisor memory";
    return fault.in_stack ? "stack" : memory_name(fork, fault.address, options);
}

} // namespace forkscope
