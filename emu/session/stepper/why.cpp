#include "emu/session/stepper/why.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include <fmt/format.h>

#include "emu/observe/tables/page_table_view.hpp"
#include "emu/observe/tables/tlb_view.hpp"
#include "emu/session/guest_state_of.hpp"
#include "emu/symbols/decider.hpp"
#include "emu/symbols/inspect/unwinder.hpp"
#include "emu/trace/tracepoints.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr std::string_view kParts[] = {"entry", "directory", "tlb", "frame", "byte"};

constexpr std::size_t kMostFrames = 8;

} // namespace

std::string_view why_part_name(WhyPart part) { return kParts[static_cast<std::size_t>(part)]; }

std::optional<WhyPart> why_part_named(std::string_view name) {
    const auto* at = std::find(std::begin(kParts), std::end(kParts), name);
    return at == std::end(kParts) ? std::nullopt : std::optional(static_cast<WhyPart>(at - std::begin(kParts)));
}

struct Why::Hit {
    u64 instructions = 0;
    Cycles cycle = 0;
    u32 eip = 0;
    u32 address_space = 0;
    u64 before = 0, after = 0;
    bool by_walker = false;
};

// --- What is looked for, and the last time that it was met

class Why::Lookout final : public TraceSink {
  public:
    explicit Lookout(Session& session)
        : session_(session), memory_(session.machine().mmu().memory()),
          owner_(session.machine().watchpoints().new_owner([this](const WatchHit&) { stored(); })) {}
    ~Lookout() override { leave(); }
    Lookout(const Lookout&) = delete;
    Lookout& operator=(const Lookout&) = delete;

    // Stores into bytes, at most eight; `walks`: and the bits that page walks set there.
    void watch_bytes(u64 physical, u32 size, bool walks, Want want) {
        enter(trace_kinds({TraceKind::AccessedDirty}));
        walks_count_ = walks;
        address_ = physical;
        size_ = size;
        want_ = want;
        session_.machine().watchpoints().add(owner_, {WatchSpace::Physical, physical, size});
    }
    void watch_frame(u64 frame) {
        enter(trace_kinds({TraceKind::Tracepoint}));
        address_ = frame;
    }
    void watch_fill(u32 page, Cycles cycle) {
        enter(trace_kinds({TraceKind::TlbFill}));
        address_ = page;
        cycle_ = cycle;
    }
    void leave() {
        session_.machine().watchpoints().remove_all(owner_);
        session_.detach(*this);
        listens_ = false;
    }

    void begin() {
        value_ = read();
        last_.reset();
        freed_ = false;
        listens_ = true;
    }
    const std::optional<Hit>& end() {
        listens_ = false;
        return last_;
    }
    bool freed() const { return freed_; } // after the last allocation

    TraceKinds kinds() const override { return kinds_; }
    void on_event(const TraceEvent& event) override {
        if (!listens_)
            return;
        if (event.kind == TraceKind::Tracepoint && event.b == address_) {
            if (event.a == TP_FRAME_ALLOC || event.a == TP_FRAME_FREE)
                freed_ = event.a == TP_FRAME_FREE;
            if (event.a == TP_FRAME_ALLOC)
                last_ = Hit{event.instructions, event.cycle, event.eip, event.address_space};
        } else if (event.kind == TraceKind::TlbFill && event.a == address_ && event.cycle == cycle_) {
            last_ = Hit{event.instructions, event.cycle, event.eip, event.address_space};
        } else if (event.kind == TraceKind::AccessedDirty && event.a < address_ + size_ &&
                   event.a + sizeof(u64) > address_) {
            met({event.instructions, event.cycle, event.eip, event.address_space, 0, 0, true});
        }
    }

  private:
    void enter(TraceKinds kinds) {
        leave();
        kinds_ = kinds;
        size_ = 0;
        want_ = Want::Writes;
        session_.attach(*this);
    }
    u64 read() const {
        u64 value = 0;
        std::array<u8, sizeof value> bytes{};
        static_cast<void>(memory_.read(PhysicalAddress(address_), std::span(bytes).first(size_)));
        std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }
    void stored() {
        if (!listens_)
            return;
        const Moment now = session_.machine().cpu().moment();
        met({now.instructions, now.cycle, now.eip, now.address_space});
    }
    void met(Hit hit) {
        hit.before = std::exchange(value_, read());
        hit.after = value_;
        if (hit.by_walker && (!walks_count_ || hit.before == hit.after)) // or of another entry
            return;
        if (want_ == Want::Writes || hit.before != hit.after)
            last_ = hit;
    }

    Session& session_;
    const PhysicalMemory& memory_;
    OwnedWatchpoints::Owner owner_;
    TraceKinds kinds_ = 0;
    u64 address_ = 0;
    u32 size_ = 0;
    Cycles cycle_ = 0;
    Want want_ = Want::Writes;
    bool walks_count_ = false;
    u64 value_ = 0;
    bool listens_ = false;
    bool freed_ = false;
    std::optional<Hit> last_;
};

Why::Why(Session& session, std::function<bool()> interrupted)
    : session_(session), interrupted_(std::move(interrupted)), lookout_(std::make_unique<Lookout>(session)) {}

Why::~Why() = default;

// --- What there is to explain

std::vector<Reason> Why::look(LinearAddress address, AddressSpace space) const {
    const Machine& machine = session_.machine();
    const PagingState& paging = machine.mmu().paging();
    const auto byte = [&](u64 physical) {
        u8 value = 0;
        static_cast<void>(machine.mmu().memory().read(PhysicalAddress(physical), {&value, 1}));
        return Reason{.part = WhyPart::Byte, .address = physical, .value = value};
    };
    if (!paging.control().paging())
        return {byte(paging.on_bus(address.value).value)};
    std::vector<Reason> all;
    const WalkView walk = AddressSpaceReader(paging).walk(space, address);
    if (walk.table_entry_address.value != 0)
        all.push_back({.part = WhyPart::Entry, .address = walk.table_entry_address.value, .value = walk.table_entry});
    all.push_back(
        {.part = WhyPart::Directory, .address = walk.directory_entry_address.value, .value = walk.directory_entry});
    if (space == paging.control().space_of(machine.registers().cr3))
        for (const TlbRow& row : tlb_view(machine.mmu()).rows) {
            const u32 bytes = Tlb::is_large(row.array) ? paging.control().geometry().large_bytes() : kPageSize;
            if (row.entry.tag == (static_cast<u32>(address.value) & ~(bytes - 1)))
                all.push_back(
                    {.part = WhyPart::Tlb,
                     .address = row.entry.tag,
                     .value = row.entry.entry,
                     .array = tlb_array_name(row.array),
                     .acts = {Act{
                         .kind = Act::Kind::Fill, .at = {.cycle = row.entry.filled_at}, .eip = row.entry.filled_by}}});
        }
    if (walk.present) {
        all.push_back({.part = WhyPart::Frame, .address = walk.frame, .value = walk.frame});
        all.push_back(byte(walk.frame + address.offset()));
    }
    return all;
}

Result<std::vector<Reason>> Why::explain(LinearAddress address, AddressSpace space, std::optional<WhyPart> part) {
    if (session_.timeline() == nullptr)
        return Error{"no past is kept, so that nothing is known of what made this", ExitCode::Usage};
    const Position now = timeline().position();
    std::vector<Reason> all = look(address, space);
    if (part)
        std::erase_if(all, [&](const Reason& reason) { return reason.part != *part; });
    Result<void> explained;
    for (Reason& reason : all)
        if (explained.ok())
            explained = explain(reason, now);
    lookout_->leave();
    if (auto back = timeline().go_to(now); !back.ok())
        return back.error();
    session_.stops().pass_over({});
    if (!explained.ok())
        return explained.error();
    return all;
}

Result<void> Why::explain(Reason& reason, Position now) {
    switch (reason.part) {
    case WhyPart::Tlb:
        return explain_fill(reason);
    case WhyPart::Frame:
        return explain_frame(reason, now);
    default:
        return explain_stores(reason, now);
    }
}

// --- Searches

// The last write; the last change, if that is another; of an entry the change before, too: what a fault's handler
// granted, fork had taken.
Result<void> Why::explain_stores(Reason& reason, Position now) {
    const bool byte = reason.part == WhyPart::Byte;
    Position before = now;
    std::size_t changes = 0;
    const std::size_t most_changes = reason.part == WhyPart::Entry ? 2 : 1;
    for (Want want = Want::Writes; changes < most_changes; want = Want::Changes) {
        lookout_->watch_bytes(reason.address, byte ? 1 : entry_bytes(), byte, want);
        const auto hit = last_store(reason, before, want);
        if (!hit.ok())
            return hit.error();
        if (!*hit)
            return {};
        const auto added = add(reason, **hit, (*hit)->by_walker ? Act::Kind::Walk : Act::Kind::Store);
        if (!added.ok())
            return added.error();
        if (!*added)
            return {};
        before = reason.acts.back().at;
        changes += (*hit)->before != (*hit)->after ? 1 : 0;
    }
    return {};
}

Result<std::optional<Why::Hit>> Why::last_store(Reason& reason, Position before, Want want) {
    Position end = before;
    while (const auto stretch = timeline().writes_before(end, reason.address >> kPageShift)) {
        if (interrupted_ && interrupted_()) {
            reason.unknown = fmt::format("interrupted: behind instruction {} there is no {}", end.instructions,
                                         want == Want::Writes ? "write" : "change");
            return std::optional<Hit>{};
        }
        auto hit = look_through(*stretch);
        if (!hit.ok() || *hit)
            return hit;
        end = stretch->begin;
    }
    reason.unknown = "as it was at the beginning of history";
    return std::optional<Hit>{};
}

// A frame is written soon after it is taken: it was taken in a stretch in which it was written, or in the one before.
Result<void> Why::explain_frame(Reason& reason, Position now) {
    lookout_->watch_frame(reason.address);
    reason.unknown = "the guest states no allocation of it in this history";
    Position end = now;
    while (const auto written = timeline().writes_before(end, reason.address >> kPageShift)) {
        for (std::optional<Timeline::Stretch> stretch = written; stretch;) {
            if (interrupted_ && interrupted_()) {
                reason.unknown =
                    fmt::format("interrupted: behind instruction {} it was not allocated", stretch->end.instructions);
                return {};
            }
            const auto hit = look_through(*stretch);
            if (!hit.ok())
                return hit.error();
            if (lookout_->freed()) {
                reason.unknown = "the guest states that it is free";
                return {};
            }
            if (*hit) {
                reason.unknown.clear();
                const auto added = add(reason, **hit, Act::Kind::Allocation);
                return added.ok() ? Result<void>{} : added.error();
            }
            end = stretch->begin;
            const auto before = timeline().checkpoint_before(end);
            stretch = before && stretch->begin == written->begin ? std::optional(Timeline::Stretch{*before, end})
                                                                 : std::nullopt;
        }
    }
    return {};
}

// The TLB itself knows when it took a translation.
Result<void> Why::explain_fill(Reason& reason) {
    const Cycles cycle = reason.acts.front().at.cycle;
    reason.acts.clear();
    if (cycle < timeline().beginning().cycle) {
        reason.unknown = "filled before the beginning of history";
        return {};
    }
    lookout_->watch_fill(static_cast<u32>(reason.address), cycle);
    if (auto gone = timeline().go_to_cycle(cycle); !gone.ok())
        return gone;
    constexpr u64 kBefore = 2; // the instruction that filled may have ended there
    const u64 first = timeline().beginning().instructions;
    const u64 here = timeline().position().instructions;
    if (auto gone = timeline().go_to(here > first + kBefore ? here - kBefore : first); !gone.ok())
        return gone;
    while (machine().now() <= cycle) {
        const Position before = timeline().position();
        lookout_->begin();
        if (machine().cpu().halted() && machine().now() < cycle)
            timeline().run({cycle, ~u64{0}});
        else
            timeline().step();
        if (const auto& hit = lookout_->end()) {
            const Hit found = *hit;
            if (auto gone = timeline().go_to(before); !gone.ok())
                return gone;
            reason.acts.push_back(act_here(found, Act::Kind::Fill, reason.part));
            return {};
        }
        if (timeline().position() == before)
            break;
    }
    reason.unknown = fmt::format("filled at cycle {}, which this history does not show", cycle);
    return {};
}

// Stops of every kind are passed over.
Result<std::optional<Why::Hit>> Why::look_through(Timeline::Stretch stretch) {
    if (auto gone = timeline().go_to(stretch.begin); !gone.ok())
        return gone.error();
    lookout_->begin();
    while (timeline().position() < stretch.end) {
        const Position before = timeline().position();
        RunLimit limit;
        if (before.instructions < stretch.end.instructions)
            limit.instructions = stretch.end.instructions;
        else
            limit.cycle = stretch.end.cycle;
        const StopReason reason = timeline().run(limit);
        if (timeline().position() == before && reason.kind != StopKind::Breakpoint &&
            reason.kind != StopKind::Requested)
            break;
    }
    return lookout_->end();
}

// --- Places

// Leaves the machine there. False: its place was not found, and the reason says so.
Result<bool> Why::add(Reason& reason, const Hit& hit, Act::Kind kind) {
    const auto place = place_of(hit);
    if (!place.ok())
        return place.error();
    if (!*place) {
        reason.unknown = fmt::format("done at instruction {}, which was not found again", hit.instructions);
        return false;
    }
    if (auto gone = timeline().go_to(**place); !gone.ok())
        return gone.error();
    reason.acts.push_back(act_here(hit, kind, reason.part));
    return true;
}

// Of all boundaries with so many instructions the one before the step that does it.
Result<std::optional<Position>> Why::place_of(const Hit& hit) {
    if (auto gone = timeline().go_to(hit.instructions); !gone.ok())
        return gone.error();
    std::optional<Position> found;
    while (!found && machine().instructions() == hit.instructions) {
        const Position here = timeline().position();
        lookout_->begin();
        if (machine().cpu().halted() && machine().now() < hit.cycle)
            timeline().run({hit.cycle, ~u64{0}});
        else
            timeline().step();
        if (const auto& last = lookout_->end(); last && last->cycle == hit.cycle && last->eip == hit.eip)
            found = here;
        if (timeline().position() == here)
            break;
    }
    return found;
}

// The machine stands before it: the stack is whole, and the tracer knows what the fork has come to.
Act Why::act_here(const Hit& hit, Act::Kind kind, WhyPart part) const {
    const Symbolizer& symbols = session_.symbols();
    Act act{.kind = kind,
            .at = session_.machine().position(),
            .eip = hit.eip,
            .address_space = hit.address_space,
            .before = hit.before,
            .after = hit.after};
    act.instruction = symbols.lookup(hit.address_space, hit.eip).text();
    // A byte is its instruction's own; entries are written, and frames taken, by helpers.
    if (kind == Act::Kind::Allocation || (kind == Act::Kind::Store && part != WhyPart::Byte)) {
        std::vector<u32> callers;
        for (const Frame& frame : unwind(symbols, guest_state_of(session_.machine()), kMostFrames).list)
            if (frame.called_out)
                callers.push_back(frame.eip());
        std::span<const u32> outer = callers;
        u32 by = hit.eip;
        if (kind == Act::Kind::Allocation) { // it is the allocator that states it: its caller is meant
            const std::string statement = symbols.lookup(hit.address_space, hit.eip).file;
            while (!outer.empty() && symbols.lookup(hit.address_space, by).file == statement) {
                by = outer.front() - 1;
                outer = outer.subspan(1);
            }
        }
        if (const auto decider = decider_of(symbols, hit.address_space, by, outer))
            act.who = function_and_line(*decider);
    }
    const ForkTracer* tracer = session_.tracer();
    if (const ForkRecord* fork = tracer != nullptr ? tracer->current() : nullptr; fork != nullptr) {
        act.fork = fork->number;
        if (!fork->stops.empty())
            act.stop = fork_stop_name(fork->stops.back().id).number;
    }
    return act;
}

} // namespace forkscope
