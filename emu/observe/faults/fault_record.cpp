#include "emu/observe/faults/fault_record.hpp"

#include <algorithm>
#include <array>

#include "emu/base/trace_vocabulary.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr std::size_t kMostOpen = 64;        // in one context
constexpr std::size_t kMostContexts = 65536; // with something open
constexpr std::size_t kMostLocations = 65536;
constexpr u32 kLongestInstruction = 15;
constexpr u32 kPageFaultVector = 14;

using Page = std::array<u8, kPageSize>;

bool read_frame(const AddressSpaceReader& reader, u64 frame, Page& bytes) {
    return reader.memory().read(PhysicalAddress(frame), bytes);
}

bool is_zero(const Page& page) {
    return std::all_of(page.begin(), page.end(), [](u8 byte) { return byte == 0; });
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

} // namespace

FaultTracker::FaultTracker(const ProcessContext& context, const GuestLayout& layout)
    : context_(context), layout_(layout) {}

std::size_t FaultTracker::open_count() const {
    std::size_t count = 0;
    for (const auto& [key, frames] : stacks_)
        for (const Frame& frame : frames)
            count += frame.fault != nullptr ? 1 : 0;
    return count;
}

FaultTracker::Stack& FaultTracker::stack(ProcessContext::Key key) {
    if (stacks_.size() > kMostContexts)
        stacks_.erase(stacks_.begin());
    return stacks_[key];
}

void FaultTracker::on_event(const TraceEvent& event, const AddressSpaceReader& reader) {
    switch (event.kind) {
    case TraceKind::PageFault:
        return open(event, reader);
    case TraceKind::InterruptReturn:
        return on_return(event, reader);
    case TraceKind::Interrupt:
        // The delivery of a page fault is the fault that is open already.
        if (event.a != kPageFaultVector || interrupt_cause(event) != InterruptCause::Fault) {
            Stack& frames = stack(context_.current());
            if (frames.size() >= kMostOpen)
                frames.pop_front();
            frames.emplace_back().eip = static_cast<u32>(event.d);
            frames.back().by_sysenter = interrupt_cause(event) == InterruptCause::Sysenter;
            frames.back().from_cpl = static_cast<u8>(kInterruptFromCpl(event));
        }
        return;
    case TraceKind::Tracepoint:
    case TraceKind::PteWrite:
    case TraceKind::TlbFlush:
        break;
    default:
        return;
    }
    on_work(event, reader);
}

// What handlers do belongs to the faults of their own context, or else to that of the process they work for.
void FaultTracker::on_work(const TraceEvent& event, const AddressSpaceReader& reader) {
    Frame* innermost = nullptr;
    const bool tracepoint = event.kind == TraceKind::Tracepoint;
    const auto count = [&](Frame& frame) {
        frame.fault->pte_writes += event.kind == TraceKind::PteWrite ? 1 : 0;
        frame.fault->flushes +=
            event.kind == TraceKind::TlbFlush && event.a != static_cast<u64>(TlbFlushReason::PageFault) ? 1 : 0;
    };
    if (const auto found = stacks_.find(context_.current()); found != stacks_.end()) {
        for (Frame& frame : found->second) {
            if (frame.fault == nullptr)
                continue;
            innermost = &frame;
            if (!tracepoint)
                count(frame);
        }
    }
    if (innermost == nullptr) {
        innermost = served_fault();
        if (innermost != nullptr && !tracepoint)
            count(*innermost);
    }
    if (!tracepoint)
        return;
    // A server, or the kernel on its behalf, states the end of another process's fault.
    const bool states = event.a == TP_FAULT_ENTER || event.a == TP_FAULT_LEAVE;
    const auto pid = static_cast<u32>(event.b);
    if (states && pid != 0 && (innermost == nullptr || (innermost->fault->pid != 0 && innermost->fault->pid != pid)))
        innermost = fault_of(pid);
    if (innermost != nullptr)
        on_tracepoint(event, reader, *innermost);
}

FaultTracker::Frame* FaultTracker::fault_of(u32 pid) {
    for (auto place = stacks_.lower_bound(ProcessContext::first_key(pid));
         place != stacks_.end() && ProcessContext::is_of(place->first, pid); ++place) {
        Stack& frames = place->second;
        const auto innermost =
            std::find_if(frames.rbegin(), frames.rend(), [](const Frame& frame) { return frame.fault != nullptr; });
        if (innermost != frames.rend())
            return &*innermost;
    }
    return nullptr;
}

FaultTracker::Frame* FaultTracker::served_fault() {
    for (const u32 client : context_.clients())
        if (Frame* frame = fault_of(client); frame != nullptr)
            return frame;
    return nullptr;
}

void FaultTracker::add_service(const std::vector<u32>& clients, const RunTime& spent) {
    for (const u32 client : clients)
        if (Frame* frame = fault_of(client); frame != nullptr)
            frame->service += spent;
}

void FaultTracker::count_message(u32 sender) {
    if (Frame* frame = fault_of(sender); frame != nullptr)
        ++frame->fault->messages;
    for (const u32 client : context_.clients_of(sender))
        if (Frame* frame = client != sender ? fault_of(client) : nullptr; frame != nullptr)
            ++frame->fault->messages;
}

void FaultTracker::open(const TraceEvent& event, const AddressSpaceReader& reader) {
    Stack& frames = stack(context_.current());
    const auto address = static_cast<u32>(event.a);
    u32 depth = 0;
    for (auto frame = frames.begin(); frame != frames.end();) {
        if (frame->fault == nullptr) {
            ++frame;
        } else if (frame->eip == event.eip && frame->fault->cpl == event.cpl && frame->fault->address == address) {
            // The same access faults again although no return was seen: the guest came back by another way.
            Frame again = std::move(*frame);
            frame = frames.erase(frame);
            close(again, event, reader, true);
        } else {
            ++depth;
            ++frame;
        }
    }
    if (frames.size() >= kMostOpen)
        frames.pop_front();
    auto fault = std::make_unique<FaultRecord>();
    fault->number = ++count_;
    fault->begin_instructions = event.instructions;
    fault->begin_cycle = event.cycle;
    fault->address = address;
    fault->error_code = static_cast<u32>(event.b);
    fault->eip = event.eip;
    fault->cpl = event.cpl;
    fault->address_space = event.address_space;
    fault->pid = context_.pid_of(event.address_space);
    fault->thread = context_.current_thread();
    fault->before = reader.faulting_walk(event);
    fault->depth = depth;
    Frame& frame = frames.emplace_back();
    frame.eip = event.eip;
    frame.fault = std::move(fault);
    frame.begin = context_.run_time(context_.current(), event);
}

void FaultTracker::on_tracepoint(const TraceEvent& event, const AddressSpaceReader& reader, Frame& frame) {
    FaultRecord& fault = *frame.fault;
    switch (event.a) {
    case TP_FRAME_ALLOC:
        fault.frames_taken.push_back(static_cast<u32>(event.b));
        break;
    case TP_FRAME_COPY:
        ++fault.frames_copied;
        if (event.b == fault.before.frame && holds_the_same(reader, event.b, event.c))
            frame.true_copy = static_cast<u32>(event.c);
        break;
    case TP_FAULT_ENTER:
        if (fault.pid == 0)
            fault.pid = static_cast<u32>(event.b);
        break;
    case TP_FAULT_LEAVE:
        if (((event.c ^ fault.address) & ~u64{kPageMask}) != 0)
            break;
        fault.stated = stated_fault_class(event.d);
        compare_copy(frame, reader);
        break;
    default:
        break;
    }
}

// A page moved to another frame must hold what the old one held.
void FaultTracker::compare_copy(Frame& frame, const AddressSpaceReader& reader) const {
    FaultRecord& fault = *frame.fault;
    const WalkView now = reader.walk(AddressSpace(fault.address_space), LinearAddress(fault.address));
    if (frame.compared || !fault.before.present || !now.present || now.frame == fault.before.frame)
        return;
    frame.compared = true;
    if (now.frame != frame.true_copy && !holds_the_same(reader, fault.before.frame, now.frame))
        fault.findings.push_back(fmt::format("the copy of frame {:#x} in frame {:#x} does not hold the same bytes",
                                             fault.before.frame, now.frame));
}

void FaultTracker::on_return(const TraceEvent& event, const AddressSpaceReader& reader) {
    const auto found = stacks_.find(context_.current());
    if (found == stacks_.end())
        return;
    Stack& frames = found->second;
    const auto to = static_cast<u32>(event.a);
    const auto returns_to = [&](const Frame& frame) {
        if (frame.fault != nullptr)
            return frame.eip == to && frame.fault->cpl == event.c;
        // SYSENTER keeps no return address: its kernel returns where it likes.
        return frame.by_sysenter ? frame.from_cpl == event.c : to - frame.eip <= kLongestInstruction;
    };
    auto match = std::find_if(frames.rbegin(), frames.rend(), returns_to);
    bool retried = true;
    if (match == frames.rend()) {
        // Somewhere else: to a signal handler, a fix-up, another program. The innermost frame of that privilege ends.
        retried = false;
        match = std::find_if(frames.rbegin(), frames.rend(),
                             [&](const Frame& frame) { return frame.fault != nullptr && frame.fault->cpl == event.c; });
        if (match == frames.rend())
            return;
    }
    const auto keep = static_cast<std::size_t>(frames.rend() - match) - 1;
    while (frames.size() > keep) {
        Frame frame = std::move(frames.back());
        frames.pop_back();
        if (frame.fault != nullptr)
            close(frame, event, reader, retried && frames.size() == keep);
    }
    if (frames.empty())
        stacks_.erase(found);
}

void FaultTracker::close(Frame& frame, const TraceEvent& event, const AddressSpaceReader& reader, bool retried) {
    FaultRecord& fault = *frame.fault;
    fault.end_instructions = event.instructions;
    fault.end_cycle = event.cycle;
    fault.spent = context_.run_time(context_.current(), event) - frame.begin;
    fault.spent += frame.service;
    fault.after = reader.walk(AddressSpace(fault.address_space), LinearAddress(fault.address));
    fault.where = locate(fault.address_space, fault.eip, reader);
    classify(frame, reader, retried);
    compare_with_guest(fault);
    if (fault.resolved)
        overtake(fault);
    if (closed_)
        closed_(fault);
}

// Other threads of the process that wait in a fault on the same page find it as this one has left it.
void FaultTracker::overtake(const FaultRecord& resolved) {
    for (auto place = stacks_.lower_bound(ProcessContext::first_key(resolved.pid));
         place != stacks_.end() && ProcessContext::is_of(place->first, resolved.pid); ++place)
        for (Frame& frame : place->second)
            if (frame.fault != nullptr && frame.fault->address_space == resolved.address_space &&
                frame.fault->page_address() == resolved.page_address())
                frame.fault->before = resolved.after;
}

// From the hardware alone: entries before and after, contents of the frames, who accessed.
void FaultTracker::classify(Frame& frame, const AddressSpaceReader& reader, bool retried) const {
    FaultRecord& fault = *frame.fault;
    fault.resolved = retried && permits(fault.after, fault.error_code);
    Page now;
    const bool readable = fault.after.present && read_frame(reader, fault.after.frame, now);
    if (!fault.resolved) {
        fault.page = FaultClass::Protection;
    } else if (permits(fault.before, fault.error_code)) {
        fault.page = FaultClass::Spurious;
    } else if (!fault.before.present) {
        const bool in_stack = layout_.in_stack(fault.address);
        const bool zero = readable && is_zero(now);
        fault.page = !zero ? FaultClass::File : in_stack ? FaultClass::Stack : FaultClass::DemandZero;
    } else if (fault.before.frame == fault.after.frame) {
        fault.page = FaultClass::CowReuse;
    } else {
        fault.page = FaultClass::CowCopy;
        compare_copy(frame, reader);
    }
    const bool new_frame = fault.page == FaultClass::CowCopy || (fault.resolved && !fault.before.present);
    const auto taken = static_cast<u32>(fault.after.frame);
    if (new_frame && fault.frames_taken.empty())
        fault.frames_taken.push_back(taken);
    const bool kernel_access = fault.cpl < 3 && layout_.is_user(fault.address);
    fault.fault_class = kernel_access && fault.resolved ? FaultClass::KernelCopy : fault.page;
}

void FaultTracker::compare_with_guest(FaultRecord& fault) const {
    if (fault.stated == FaultClass::Unknown || fault.stated == fault.page || fault.stated == fault.fault_class)
        return;
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

std::shared_ptr<const Location> FaultTracker::locate(u32 address_space, u32 eip, const AddressSpaceReader& reader) {
    const auto key = std::make_pair(layout_.is_kernel(eip) ? 0 : address_space, eip);
    if (const auto found = locations_.find(key); found != locations_.end())
        return found->second;
    auto location = std::make_shared<Location>();
    location->address = eip;
    if (symbols_ != nullptr) {
        if (layout_.is_user(eip) && symbols_->program_of(address_space).empty())
            symbols_->identify(reader.memory_reader(), address_space, eip);
        *location = symbols_->lookup(address_space, eip);
    }
    if (location->known()) {
        if (locations_.size() >= kMostLocations)
            locations_.clear();
        locations_[key] = location;
    }
    return location;
}

void FaultTracker::forget_locations(u32 address_space) {
    const auto first = locations_.lower_bound({address_space, 0});
    const auto last = locations_.upper_bound({address_space, ~u32{0}});
    locations_.erase(first, last);
}

} // namespace forkscope
