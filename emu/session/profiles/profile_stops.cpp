#include "emu/session/profiles/profile_stops.hpp"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "emu/base/log.hpp"
#include "emu/observe/tables/page_table_view.hpp"
#include "emu/session/guest_state_of.hpp"
#include "emu/symbols/inspect/expression.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

std::string at(const ForkProfile& profile, ProfilePlace place) {
    return fmt::format("{}:{}:{}", profile.file, place.line, place.column);
}

std::string named(const ProfileStop& stop) {
    std::vector<std::string> names;
    for (const ProfileFunction& function : stop.functions)
        names.push_back("'" + function.name + "'");
    return fmt::format("{}", fmt::join(names, " nor "));
}

} // namespace

ProfileStops::ProfileStops(ForkProfile profile, Machine& machine, Symbolizer& symbols, Listener listener)
    : profile_(std::move(profile)), machine_(machine), symbols_(symbols), listener_(std::move(listener)) {}

ProfileStops::~ProfileStops() { machine_.breakpoints().set_passed({}, {}); }

Result<std::unique_ptr<ProfileStops>> ProfileStops::create(ForkProfile profile, Machine& machine, Symbolizer& symbols,
                                                           Listener listener) {
    std::unique_ptr<ProfileStops> stops(new ProfileStops(std::move(profile), machine, symbols, std::move(listener)));
    if (auto found = stops->find_functions(); !found.ok())
        return found.error();
    std::vector<u32> addresses;
    for (const auto& [address, begin] : stops->begins_)
        addresses.push_back(address);
    machine.breakpoints().set_passed(std::move(addresses), [&raw = *stops](u32 linear) { raw.passed(linear); });
    return stops;
}

// The later fault has its name only: page faults show themselves.
Result<void> ProfileStops::find_functions() {
    for (const ProfileStop& stop : profile_.stops) {
        bool found = false;
        for (const ProfileFunction& function : stop.functions) {
            const std::size_t colon = function.name.find(':');
            const std::string program = colon == std::string::npos ? "" : function.name.substr(0, colon);
            for (const u32 address : symbols_.places_of(function.name)) {
                found = true;
                if (stop.id != TP_FAULT_ENTER)
                    begins_.emplace(address, Begin{stop.id, program});
            }
        }
        if (!found)
            return Error{fmt::format("{}: the kernel has no function {} for stop {}; correct the name, leave out the "
                                     "stop, or give the kernel's symbols with --symbols",
                                     at(profile_, stop.functions.front().place), named(stop), stop.number),
                         ExitCode::Usage};
    }
    return {};
}

std::string ProfileStops::first_program() const {
    for (const auto& [address, begin] : begins_)
        if (!begin.program.empty())
            return begin.program;
    return "";
}

void ProfileStops::passed(u32 linear) {
    TraceEvent event;
    const Moment moment = machine_.cpu().moment();
    event.instructions = machine_.instructions();
    event.cycle = machine_.now();
    event.eip = linear;
    event.address_space = machine_.mmu().control().space_of(machine_.registers().cr3).root;
    event.cpl = moment.cpl;
    event.kind = TraceKind::Tracepoint;
    const auto [first, last] = begins_.equal_range(linear);
    for (auto begin = first; begin != last; ++begin) {
        const std::string& program = begin->second.program;
        if (program.empty() != (event.cpl == 0))
            continue;
        if (!program.empty()) {
            symbols_.identify(AddressSpaceReader(machine_.mmu().paging()).memory_reader(), event.address_space, linear);
            if (symbols_.program_of(event.address_space) != program)
                continue;
        }
        event.a = begin->second.id;
        listener_(event);
    }
}

std::optional<u32> ProfileStops::number(const std::string& expression, ProfilePlace place) {
    const CallStack stack(symbols_, guest_state_of(machine_), 1);
    if (stack.rows().empty())
        return std::nullopt;
    const Result<GuestValue> value = evaluate(stack, stack.rows().front(), expression);
    const Result<i64> found = value.ok() ? value->number(stack.state().memory) : value.error();
    if (found.ok())
        return static_cast<u32>(*found);
    log_warning_once("profile-" + expression,
                     fmt::format("{}: processes have no pid: {}", at(profile_, place), found.error().message));
    return std::nullopt;
}

std::optional<u32> ProfileStops::current_pid() {
    if (profile_.pid.empty())
        return std::nullopt;
    if (!profile_.root.empty()) {
        const u32 space = machine_.mmu().control().space_of(machine_.registers().cr3).root;
        const std::optional<u32> root = number(profile_.root, profile_.root_place);
        if (!root)
            return std::nullopt;
        const WalkView mapped =
            AddressSpaceReader(machine_.mmu().paging()).walk(AddressSpace(space), LinearAddress(*root));
        const u64 behind = mapped.present ? mapped.frame + (*root & kPageMask) : *root;
        if (*root != space && behind != space)
            return std::nullopt;
    }
    return number(profile_.pid, profile_.pid_place);
}

} // namespace forkscope
