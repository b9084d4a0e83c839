#include "emu/observe/faults/fault_tracker.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "emu/base/archive/containers.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "emu/observe/faults/fault_archive.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr std::size_t kMostOpen = 64;        // in one context
constexpr std::size_t kMostContexts = 65536; // with something open
constexpr std::size_t kMostFrames = 4096;    // named by one fault
constexpr u32 kLongestInstruction = 15;
constexpr u32 kPageFaultVector = 14;

using Page = std::array<u8, kPageSize>;

bool read_frame(const AddressSpaceReader& reader, u64 frame, Page& bytes) {
    return reader.memory().read(PhysicalAddress(frame), bytes);
}

// Each byte equals the one before it, and the first is 0: compared in bulk.
bool is_zero(const Page& page) {
    return page.front() == 0 && std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0;
}

// False only where both can be read and differ.
bool holds_the_same(const AddressSpaceReader& reader, u64 old_frame, u64 new_frame) {
    Page old_bytes;
    Page new_bytes;
    return !read_frame(reader, old_frame, old_bytes) || !read_frame(reader, new_frame, new_bytes) ||
           old_bytes == new_bytes;
}

// Whether the walk would let the access of the fault through.
bool permits(const WalkView& walk, u32 error_code) {
    return walk.present && ((error_code & kFaultWrite) == 0 || walk.writable()) &&
           ((error_code & kFaultUser) == 0 || walk.user());
}

// Tracepoints that a fault's record has a use for.
bool concerns_faults(u64 tracepoint) {
    return tracepoint == TP_FRAME_ALLOC || tracepoint == TP_FRAME_COPY || tracepoint == TP_FAULT_ENTER ||
           tracepoint == TP_FAULT_LEAVE;
}

// Whose code lies there. A program not known yet is looked for in memory.
std::string program_of(const FaultRecord& fault, const FaultTracker::Scene& scene) {
    if (scene.symbols == nullptr || fault.cpl != 3)
        return {};
    if (scene.symbols->program_of(fault.address_space).empty())
        scene.symbols->identify(scene.reader.memory_reader(), fault.address_space, fault.eip);
    return scene.symbols->program_of(fault.address_space);
}

} // namespace

// Frames that are given up take their faults with them.
void FaultTracker::drop(const Stack& frames) {
    for (const Frame& frame : frames)
        open_.erase(frame.fault);
}

FaultTracker::Stack& FaultTracker::stack(ProcessContext::Key key) {
    if (stacks_.size() > kMostContexts) {
        drop(stacks_.begin()->second);
        stacks_.erase(stacks_.begin()->first);
    }
    return stacks_[key];
}

void FaultTracker::push(Stack& frames, Frame frame) {
    if (frames.size() >= kMostOpen) {
        open_.erase(frames.front().fault);
        frames.erase(frames.begin());
    }
    frames.push_back(frame);
}

// All that stands open in a range of contexts.
void FaultTracker::drop_all(ProcessContext::Key first, ProcessContext::Key end) {
    const auto take_out = [&](auto& places, const auto& drop_value) {
        for (auto place = places.lower_bound(first); place != places.end() && place->first < end;
             place = places.lower_bound(first)) {
            drop_value(place->second);
            places.erase(place->first);
        }
    };
    take_out(stacks_, [this](const Stack& frames) { drop(frames); });
    take_out(delivered_, [this](u64 fault) { open_.erase(fault); });
}

void FaultTracker::process_ended(u32 pid) { drop_all(ProcessContext::first_key(pid), ProcessContext::end_key(pid)); }

void FaultTracker::space_ended(u32 address_space) {
    const ProcessContext::Key key = ProcessContext::space_key(address_space);
    drop_all(key, key + 1);
}

bool FaultTracker::waits_in(u32 address_space) const {
    const ProcessContext::Key key = ProcessContext::space_key(address_space);
    return stacks_.count(key) != 0 || delivered_.count(key) != 0;
}

std::vector<const FaultRecord*> FaultTracker::all_open() const {
    std::vector<const FaultRecord*> faults;
    for (const auto& [number, open] : open_)
        faults.push_back(&open.record);
    return faults;
}

std::vector<const FaultRecord*> FaultTracker::open_in(u32 address_space) const {
    std::vector<const FaultRecord*> faults;
    for (const auto& [number, open] : open_)
        if (open.record.address_space == address_space)
            faults.push_back(&open.record);
    return faults;
}

// The kernel returns to the program elsewhere: to a handler of its own, which may resolve the fault by system calls.
void FaultTracker::deliver(u64 number, const TraceEvent& event, const Scene& scene, std::vector<FaultRef>& closed) {
    const ProcessContext::Key key = scene.context.current();
    if (const auto before = delivered_.find(key); before != delivered_.end()) {
        const u64 unresolved = before->second;
        delivered_.erase(key);
        closed.push_back(close(unresolved, event, scene, false));
    }
    if (delivered_.size() >= kMostContexts) {
        open_.erase(delivered_.begin()->second);
        delivered_.erase(delivered_.begin()->first);
    }
    delivered_[key] = number;
}

// Once the program's handler has had the page mapped as the access needs it, the fault is resolved: the way back to the
// access may be the program's alone.
void FaultTracker::on_program_work(const TraceEvent& event, const Scene& scene, std::vector<FaultRef>& closed) {
    const auto delivered = delivered_.find(scene.context.current());
    if (delivered == delivered_.end())
        return;
    const u64 number = delivered->second;
    const FaultRecord& fault = open_.at(number).record;
    const WalkView now = scene.reader.walk(AddressSpace(fault.address_space), LinearAddress(fault.address));
    if (!permits(now, fault.error_code))
        return;
    delivered_.erase(scene.context.current());
    closed.push_back(close(number, event, scene, true));
}

std::vector<FaultRef> FaultTracker::on_event(const TraceEvent& event, const Scene& scene) {
    std::vector<FaultRef> closed;
    switch (event.kind) {
    case TraceKind::PageFault:
        open(event, scene, closed);
        break;
    case TraceKind::InterruptReturn:
        on_return(event, scene, closed);
        break;
    case TraceKind::Interrupt:
        // The delivery of a page fault is the fault that is open already.
        if (event.a != kPageFaultVector || interrupt_cause(event) != InterruptCause::Fault)
            push(stack(scene.context.current()),
                 {static_cast<u32>(event.d), 0, interrupt_cause(event) == InterruptCause::Sysenter,
                  static_cast<u8>(kInterruptFromCpl(event))});
        break;
    case TraceKind::PteWrite:
        on_work(event, scene);
        on_program_work(event, scene, closed);
        break;
    case TraceKind::Tracepoint:
        if (concerns_faults(event.a))
            on_work(event, scene);
        break;
    case TraceKind::TlbFlush:
        on_work(event, scene);
        break;
    default:
        break;
    }
    return closed;
}

// What handlers do belongs to the faults of their own context, or else to that of the process they work for.
void FaultTracker::on_work(const TraceEvent& event, const Scene& scene) {
    OpenFault* innermost = nullptr;
    const bool tracepoint = event.kind == TraceKind::Tracepoint;
    const auto count = [&](FaultRecord& fault) {
        fault.pte_writes += event.kind == TraceKind::PteWrite ? 1 : 0;
        fault.flushes +=
            event.kind == TraceKind::TlbFlush && event.a != static_cast<u64>(TlbFlushReason::PageFault) ? 1 : 0;
    };
    if (const auto found = stacks_.find(scene.context.current()); found != stacks_.end()) {
        for (const Frame& frame : found->second) {
            if (frame.fault == 0)
                continue;
            innermost = &open_.edit(frame.fault);
            if (!tracepoint)
                count(innermost->record);
        }
    }
    if (innermost == nullptr) {
        innermost = served_fault(scene.context);
        if (innermost != nullptr && !tracepoint)
            count(innermost->record);
    }
    if (!tracepoint)
        return;
    // A server, or the kernel on its behalf, states the end of another process's fault.
    const bool states = event.a == TP_FAULT_ENTER || event.a == TP_FAULT_LEAVE;
    const auto pid = static_cast<u32>(event.b);
    if (states && pid != 0 && (innermost == nullptr || (innermost->record.pid != 0 && innermost->record.pid != pid)))
        innermost = fault_of(pid);
    if (innermost != nullptr)
        on_tracepoint(event, scene, *innermost);
}

FaultTracker::OpenFault* FaultTracker::fault_of(u32 pid) {
    for (auto place = stacks_.lower_bound(ProcessContext::first_key(pid));
         place != stacks_.end() && ProcessContext::is_of(place->first, pid); ++place) {
        const Stack& frames = place->second;
        const auto innermost =
            std::find_if(frames.rbegin(), frames.rend(), [](const Frame& frame) { return frame.fault != 0; });
        if (innermost != frames.rend())
            return &open_.edit(innermost->fault);
    }
    return nullptr;
}

FaultTracker::OpenFault* FaultTracker::served_fault(const ProcessContext& context) {
    for (const u32 client : context.clients())
        if (OpenFault* fault = fault_of(client); fault != nullptr)
            return fault;
    return nullptr;
}

void FaultTracker::add_time(const ProcessContext& context, const RunTime& spent) {
    if (open_.empty())
        return;
    if (const auto found = stacks_.find(context.current()); found != stacks_.end())
        for (const Frame& frame : found->second)
            if (frame.fault != 0)
                open_.edit(frame.fault).record.spent += spent;
    if (const auto found = delivered_.find(context.current()); found != delivered_.end())
        open_.edit(found->second).record.spent += spent;
    for (const u32 client : context.clients())
        if (OpenFault* fault = fault_of(client); fault != nullptr)
            fault->record.spent += spent;
}

void FaultTracker::count_message(const ProcessContext& context, u32 sender) {
    if (OpenFault* fault = fault_of(sender); fault != nullptr)
        ++fault->record.messages;
    for (const u32 client : context.clients_of(sender))
        if (OpenFault* fault = client != sender ? fault_of(client) : nullptr; fault != nullptr)
            ++fault->record.messages;
}

void FaultTracker::open(const TraceEvent& event, const Scene& scene, std::vector<FaultRef>& closed) {
    Stack& frames = stack(scene.context.current());
    const auto address = static_cast<u32>(event.a);
    u32 depth = 0;
    for (auto frame = frames.begin(); frame != frames.end();) {
        const FaultRecord* fault = frame->fault != 0 ? &open_.at(frame->fault).record : nullptr;
        if (fault != nullptr && frame->eip == event.eip && fault->cpl == event.cpl && fault->address == address) {
            // The same access faults again although no return was seen: the guest came back by another way.
            const u64 again = frame->fault;
            frame = frames.erase(frame);
            closed.push_back(close(again, event, scene, true));
        } else {
            depth += fault != nullptr ? 1 : 0;
            ++frame;
        }
    }
    FaultRecord fault;
    fault.number = ++count_;
    fault.begin_instructions = event.instructions;
    fault.begin_cycle = event.cycle;
    fault.address = address;
    fault.error_code = static_cast<u32>(event.b);
    fault.eip = event.eip;
    fault.cpl = event.cpl;
    fault.address_space = event.address_space;
    fault.pid = scene.context.pid_of(event.address_space);
    fault.thread = scene.context.current_thread();
    fault.before = scene.reader.faulting_walk(event);
    fault.in_stack = fault.before.present ? in_stack(scene.stacks.of(fault.address_space), address)
                                          : scene.stacks.reaches(fault.address_space, address);
    fault.depth = depth;
    push(frames, {event.eip, fault.number, false, event.cpl});
    open_[fault.number].record = std::move(fault);
}

void FaultTracker::on_tracepoint(const TraceEvent& event, const Scene& scene, OpenFault& open) {
    FaultRecord& fault = open.record;
    switch (event.a) {
    case TP_FRAME_ALLOC:
        if (fault.frames_taken.size() < kMostFrames)
            fault.frames_taken.push_back(static_cast<u32>(event.b));
        break;
    case TP_FRAME_COPY:
        ++fault.frames_copied;
        if (event.b == fault.before.frame && holds_the_same(scene.reader, event.b, event.c))
            open.true_copy = static_cast<u32>(event.c);
        break;
    case TP_FAULT_ENTER:
        if (fault.pid == 0)
            fault.pid = static_cast<u32>(event.b);
        break;
    case TP_FAULT_LEAVE:
        if (((event.c ^ fault.address) & ~u64{kPageMask}) != 0)
            break;
        fault.stated = stated_fault_class(event.d);
        compare_copy(open, scene);
        break;
    default:
        break;
    }
}

// A page moved to another frame must hold what the old one held.
void FaultTracker::compare_copy(OpenFault& open, const Scene& scene) const {
    FaultRecord& fault = open.record;
    const WalkView now = scene.reader.walk(AddressSpace(fault.address_space), LinearAddress(fault.address));
    if (open.compared || !fault.before.present || !now.present || now.frame == fault.before.frame)
        return;
    open.compared = true;
    if (now.frame != open.true_copy && !holds_the_same(scene.reader, fault.before.frame, now.frame))
        fault.findings.push_back(fmt::format("the copy of frame {:#x} in frame {:#x} does not hold the same bytes",
                                             fault.before.frame, now.frame));
}

void FaultTracker::on_return(const TraceEvent& event, const Scene& scene, std::vector<FaultRef>& closed) {
    const auto found = stacks_.find(scene.context.current());
    if (found == stacks_.end())
        return;
    const ProcessContext::Key key = found->first;
    Stack& frames = stacks_.edit(key);
    const auto to = static_cast<u32>(event.a);
    const auto of_privilege = [&](const Frame& frame) { return frame.fault != 0 && frame.from_cpl == event.c; };
    const auto returns_to = [&](const Frame& frame) {
        if (frame.fault != 0)
            return frame.eip == to && frame.from_cpl == event.c;
        // SYSENTER keeps no return address: its kernel returns where it likes.
        return frame.by_sysenter ? frame.from_cpl == event.c : scene.return_offset - frame.eip <= kLongestInstruction;
    };
    auto match = std::find_if(frames.rbegin(), frames.rend(), returns_to);
    const bool retried = match != frames.rend();
    // Somewhere else: to a signal handler, a fix-up, another program. The innermost fault of that privilege ends.
    if (!retried)
        match = std::find_if(frames.rbegin(), frames.rend(), of_privilege);
    if (match == frames.rend())
        return;
    const auto keep = static_cast<std::size_t>(frames.rend() - match) - 1;
    while (frames.size() > keep) {
        const u64 fault = frames.back().fault;
        frames.pop_back();
        if (fault == 0)
            continue;
        const bool innermost = frames.size() == keep;
        const bool to_program = event.c == 3 && open_.at(fault).record.cpl == 3;
        const WalkView now = scene.reader.walk(AddressSpace(open_.at(fault).record.address_space),
                                               LinearAddress(open_.at(fault).record.address));
        if (!retried && innermost && to_program && !scene.stated && !permits(now, open_.at(fault).record.error_code))
            deliver(fault, event, scene, closed);
        else
            closed.push_back(close(fault, event, scene, retried && innermost));
    }
    if (frames.empty())
        stacks_.erase(key);
}

FaultRef FaultTracker::close(u64 number, const TraceEvent& event, const Scene& scene, bool retried) {
    OpenFault open = std::move(open_.edit(number));
    open_.erase(number);
    FaultRecord& fault = open.record;
    fault.end_instructions = event.instructions;
    fault.end_cycle = event.cycle;
    fault.after = scene.reader.walk(AddressSpace(fault.address_space), LinearAddress(fault.address));
    fault.program = program_of(fault, scene);
    classify(open, scene, retried);
    compare_with_guest(fault);
    if (fault.resolved)
        overtake(fault);
    return std::make_shared<const FaultRecord>(std::move(fault));
}

// Other threads of the process that wait in a fault on the same page find it as this one has left it.
void FaultTracker::overtake(const FaultRecord& resolved) {
    for (auto place = stacks_.lower_bound(ProcessContext::first_key(resolved.pid));
         place != stacks_.end() && ProcessContext::is_of(place->first, resolved.pid); ++place)
        for (const Frame& frame : place->second) {
            const FaultRecord* other = frame.fault != 0 ? &open_.at(frame.fault).record : nullptr;
            if (other != nullptr && other->address_space == resolved.address_space &&
                other->page_address() == resolved.page_address())
                open_.edit(frame.fault).record.before = resolved.after;
        }
}

// From the hardware alone: entries before and after, contents of the frames, who accessed.
void FaultTracker::classify(OpenFault& open, const Scene& scene, bool retried) const {
    FaultRecord& fault = open.record;
    fault.resolved = retried && permits(fault.after, fault.error_code);
    Page now;
    const bool readable = fault.after.present && read_frame(scene.reader, fault.after.frame, now);
    if (!fault.resolved) {
        fault.page = FaultClass::Protection;
    } else if (permits(fault.before, fault.error_code)) {
        fault.page = FaultClass::Spurious;
    } else if (!fault.before.present) {
        const bool zero = readable && is_zero(now);
        fault.page = !zero ? FaultClass::File : fault.in_stack ? FaultClass::Stack : FaultClass::DemandZero;
    } else if (fault.before.frame == fault.after.frame) {
        fault.page = FaultClass::CowReuse;
    } else {
        fault.page = FaultClass::CowCopy;
        compare_copy(open, scene);
    }
    const bool new_frame = fault.page == FaultClass::CowCopy || (fault.resolved && !fault.before.present);
    const auto taken = static_cast<u32>(fault.after.frame);
    if (new_frame && fault.frames_taken.empty())
        fault.frames_taken.push_back(taken);
    const bool kernel_access = fault.cpl < 3 && fault.after.user();
    fault.fault_class = kernel_access && fault.resolved ? FaultClass::KernelCopy : fault.page;
}

void FaultTracker::compare_with_guest(FaultRecord& fault) const {
    if (fault.stated == FaultClass::Unknown || fault.stated == fault.page || fault.stated == fault.fault_class)
        return;
    // Why it was refused is the guest's to say, too.
    if (fault.stated == FaultClass::NoMemory && fault.page == FaultClass::Protection) {
        fault.page = fault.fault_class = fault.stated;
        return;
    }
    // Why a page was filled in is the guest's to say: the hardware shows only whether it is zero. A file's page may be,
    // and so may one that others had in memory already, which was mapped or copied.
    const bool zero = fault.page == FaultClass::DemandZero || fault.page == FaultClass::Stack;
    const bool says_zero = fault.stated == FaultClass::DemandZero || fault.stated == FaultClass::Stack;
    const bool says_any = fault.stated == FaultClass::File || fault.stated == FaultClass::Resident ||
                          (fault.stated == FaultClass::CowCopy && !fault.before.present);
    // A dirty entry: another thread of the process has written there before this one came back, so it held zeroes or
    // not.
    const bool unknown = fault.page == FaultClass::File && (fault.after.leaf() & kPteDirty) != 0;
    if (((zero || unknown) && says_zero) || ((zero || fault.page == FaultClass::File) && says_any)) {
        fault.page = fault.stated;
        if (fault.fault_class != FaultClass::KernelCopy)
            fault.fault_class = fault.stated;
        return;
    }
    fault.findings.push_back(fmt::format("the guest calls the fault at {:#010x} {}, the hardware shows {}",
                                         fault.address, fault_class_name(fault.stated), fault_class_name(fault.page)));
}

void FaultTracker::Frame::serialize(Archive& ar) {
    ar.field("eip", eip);
    ar.field("fault", fault);
    ar.field("by_sysenter", by_sysenter);
    ar.field("from_cpl", from_cpl);
}

void FaultTracker::serialize(Archive& ar) {
    ar.field("count", count_);
    archive_map(ar, "stacks", stacks_, kMostContexts + 1,
                [&](Stack& frames) { ar.sequence("frames", frames, kMostOpen); });
    archive_map(ar, "delivered", delivered_, kMostContexts);
    std::vector<FaultRecord> faults;
    std::vector<u8> compared;
    std::vector<u32> copies;
    for (const auto& [number, open] : open_) {
        faults.push_back(open.record);
        compared.push_back(open.compared ? 1 : 0);
        copies.push_back(open.true_copy);
    }
    archive_faults(ar, "open", faults);
    ar.sequence("compared", compared, faults.size());
    ar.sequence("true_copies", copies, faults.size());
    if (!ar.loading())
        return;
    open_.clear();
    if (compared.size() != faults.size() || copies.size() != faults.size())
        return ar.fail("a list of another length");
    for (std::size_t i = 0; i < faults.size(); ++i) {
        const u64 number = faults[i].number;
        open_[number] = {std::move(faults[i]), compared[i] != 0, copies[i]};
    }
    check_stacks(ar);
}

// Each open fault stands in one stack, and each that stands in one is open.
void FaultTracker::check_stacks(Archive& ar) {
    std::set<u64> placed;
    bool sound = true;
    for (const auto& [key, frames] : stacks_)
        for (const Frame& frame : frames)
            sound = sound && (frame.fault == 0 || (open_.count(frame.fault) != 0 && placed.insert(frame.fault).second));
    for (const auto& [key, fault] : delivered_)
        sound = sound && open_.count(fault) != 0 && placed.insert(fault).second;
    if (!sound || placed.size() != open_.size())
        ar.fail("open faults and those who stand in them disagree");
}

} // namespace forkscope
