// Steps of source: by line, over calls, out of a function; what interrupts them is stepped over.
#include <algorithm>

#include <fmt/format.h>

#include "emu/session/guest_state_of.hpp"
#include "emu/session/stepper/stepper.hpp"
#include "emu/symbols/inspect/unwinder.hpp"
#include "emu/symbols/line_places.hpp"

namespace forkscope {

namespace {

constexpr u32 kSameStack = 64 << 10; // frames farther apart are on two stacks
constexpr u64 kLongestLine = 2'000'000;

} // namespace

// Where the next instruction is, as source has it.
struct Stepper::Place {
    u32 eip = 0, stack_pointer = 0;
    u32 space = 0;
    std::string file; // empty: code without lines
    u32 line = 0;
    std::string function; // what is inlined there counts
    bool statement = false;
    std::optional<u32> frame; // the stack pointer before the call

    bool same_line(const Place& other) const {
        return file == other.file && line == other.line && function == other.function;
    }
    // Deeper in calls, on the same stack.
    bool called_from(const Place& other) const {
        return frame && other.frame && *frame < *other.frame && *other.frame - *frame < kSameStack;
    }
};

Stepper::Place Stepper::place() {
    Place place;
    const GuestState state = guest_state_of(session_.machine());
    const Symbolizer& symbols = session_.symbols();
    place.eip = session_.machine().cpu().linear_eip();
    place.stack_pointer = session_.machine().registers().esp();
    place.space = state.address_space;
    const Location location = symbols.lookup(place.space, place.eip);
    place.file = location.file;
    place.line = location.line;
    place.function = location.inlined.empty() ? location.symbol : location.inlined;
    if (const ElfImage* image = symbols.image_at(place.space, place.eip); image != nullptr && location.line != 0)
        place.statement = statement_begins(*image, place.eip);
    if (const Frames frames = unwind(symbols, state, 1); !frames.list.empty())
        place.frame = frames.list.front().frame_address;
    return place;
}

// Until the code there is next on this stack, or above it: whatever runs meanwhile.
Result<Arrival> Stepper::run_to_return(u32 address, u32 stack_pointer) {
    return travel(fmt::format("{:#x} && esp >= {:#x}", address, stack_pointer), Way::Forwards);
}

namespace {

// What one instruction led to.
enum class Led { Next, Call, Delivery };

Led led_to(u32 eip, u32 esp, const Machine& machine) {
    if (machine.position().deliveries != 0)
        return Led::Delivery;
    const u32 now = machine.registers().esp();
    const auto pushed = guest_state_of(machine).word(now);
    if (now != esp - sizeof(u32) || !pushed)
        return Led::Next;
    constexpr u32 kLongestCall = 7;
    const bool behind = *pushed > eip && *pushed - eip <= kLongestCall;
    return behind && machine.cpu().linear_eip() != *pushed ? Led::Call : Led::Next;
}

} // namespace

Result<Arrival> Stepper::line_forwards(Grain grain) {
    const Place start = place();
    const Machine& machine = session_.machine();
    for (u64 i = 0; i < kLongestLine; ++i) {
        const u32 eip = machine.cpu().linear_eip();
        const u32 esp = machine.registers().esp();
        if (!session_.step())
            return ended();
        const Led led = led_to(eip, esp, machine);
        Place now = place();
        const bool into = led == Led::Call && grain == Grain::Line && now.line != 0;
        if (led == Led::Delivery || (led == Led::Call && !into)) {
            const u32 back = led == Led::Call ? guest_state_of(machine).word(now.stack_pointer).value_or(eip) : eip;
            auto returned = run_to_return(back, esp);
            if (!returned.ok() || returned->end != Arrival::End::Met || machine.cpu().linear_eip() != back)
                return returned;
            now = place();
        }
        if (now.line != 0 && (into || (now.statement && (!now.same_line(start) || now.frame != start.frame))))
            return Arrival{};
        if (interrupted())
            return Arrival{Arrival::End::Interrupted, "interrupted", ExitCode::Ok};
    }
    return Arrival{Arrival::End::Interrupted, "no other line was reached in 2,000,000 instructions", ExitCode::Ok};
}

// The last place before this one at which a line began. Looks at a little, then at more.
Result<Arrival> Stepper::line_backwards(Grain grain) {
    const Place start = place();
    const Position origin = timeline().position();
    const Machine& machine = session_.machine();
    const u64 first = timeline().beginning().instructions;
    for (u64 window = 1'000;; window *= 8) {
        const u64 from = origin.instructions > first + window ? origin.instructions - window : first;
        if (auto gone = timeline().go_to(from); !gone.ok())
            return gone.error();
        std::optional<Position> found;
        std::optional<std::pair<u32, u32>> interrupted_at; // eip and esp where an interrupt came
        Place before = place();
        while (timeline().position() < origin) {
            const Position here = timeline().position();
            const Place now = place();
            const bool counts = !interrupted_at && (grain == Grain::Line || !now.called_from(start));
            if (counts && now.line != 0 && now.statement && (!now.same_line(before) || now.frame != before.frame))
                found = here;
            before = now;
            timeline().step();
            if (interrupted_at && *interrupted_at == std::pair(machine.cpu().linear_eip(), machine.registers().esp()))
                interrupted_at.reset();
            else if (!interrupted_at && machine.position().deliveries > here.deliveries)
                interrupted_at.emplace(now.eip, now.stack_pointer);
            if (timeline().position() == here)
                break;
        }
        session_.stops().pass_over({});
        const bool all = from == first || window > kLongestLine;
        if (!found && !all && !interrupted())
            continue;
        if (auto gone = timeline().go_to(found.value_or(all ? timeline().beginning() : origin)); !gone.ok())
            return gone.error();
        session_.stops().pass_over({});
        if (found)
            return Arrival{};
        return all ? Arrival{Arrival::End::Beginning, "the beginning of history", ExitCode::Ok}
                   : Arrival{Arrival::End::Interrupted, "interrupted", ExitCode::Ok};
    }
}

Result<Arrival> Stepper::out(Way way) {
    const GuestState state = guest_state_of(session_.machine());
    const Frames frames = unwind(session_.symbols(), state, 2);
    if (frames.list.size() < 2 || !frames.list.front().frame_address)
        return Error{
            fmt::format("nobody is known to have called this code{}{}", frames.end.empty() ? "" : ": ", frames.end),
            ExitCode::Usage};
    const u32 frame = *frames.list.front().frame_address;
    const u32 back = frames.list[1].eip();
    if (way == Way::Forwards)
        return run_to_return(back, frame);
    const u32 inside = frames.list.front().place();
    const Location location = session_.symbols().lookup(state.address_space, inside);
    if (!location.known())
        return Error{"the function's beginning is not known here", ExitCode::Usage};
    const u32 entry = inside - location.offset;
    auto arrival = travel(fmt::format("{:#x} && esp == {:#x}", entry, frame - 4), Way::Backwards);
    const bool at_entry =
        arrival.ok() && arrival->end == Arrival::End::Met && session_.machine().cpu().linear_eip() == entry;
    return at_entry ? one_instruction(Way::Backwards) : arrival;
}

} // namespace forkscope
