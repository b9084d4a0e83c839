#include "emu/observe/fault_record.hpp"

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

// Whether the walk would let the access of the fault through.
bool permits(const WalkView& walk, u32 error_code) {
    return walk.present && ((error_code & kFaultWrite) == 0 || walk.writable()) &&
           ((error_code & kFaultUser) == 0 || walk.user());
}

} // namespace

FaultTracker::FaultTracker(const ProcessContext& context, FaultTrackerOptions options)
    : context_(context), options_(options) {}

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
        if (event.a != kPageFaultVector || (event.c & 0xFF) != static_cast<u64>(InterruptCause::Fault)) {
            Stack& frames = stack(context_.current());
            if (frames.size() >= kMostOpen)
                frames.pop_front();
            frames.push_back({static_cast<u32>(event.d), nullptr, {}});
        }
        return;
    case TraceKind::Tracepoint:
    case TraceKind::PteWrite:
    case TraceKind::TlbFlush:
        break;
    default:
        return;
    }
    const auto found = stacks_.find(context_.current());
    if (found == stacks_.end())
        return;
    if (event.kind == TraceKind::Tracepoint)
        return on_tracepoint(event, found->second);
    for (Frame& frame : found->second) {
        if (frame.fault == nullptr)
            continue;
        frame.fault->pte_writes += event.kind == TraceKind::PteWrite ? 1 : 0;
        frame.fault->flushes +=
            event.kind == TraceKind::TlbFlush && event.a != static_cast<u64>(TlbFlushReason::PageFault) ? 1 : 0;
    }
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
    fault->before = reader.walk(event.address_space, address);
    fault->depth = depth;
    frames.push_back({event.eip, std::move(fault), context_.run_time(context_.current(), event)});
}

void FaultTracker::on_tracepoint(const TraceEvent& event, Stack& frames) {
    // The innermost fault is the one whose handler runs.
    for (auto frame = frames.rbegin(); frame != frames.rend(); ++frame) {
        if (frame->fault == nullptr)
            continue;
        FaultRecord& fault = *frame->fault;
        if (event.a == TP_FRAME_ALLOC)
            fault.frames_taken.push_back(static_cast<u32>(event.b));
        else if (event.a == TP_FAULT_ENTER && fault.pid == 0)
            fault.pid = static_cast<u32>(event.b);
        else if (event.a == TP_FAULT_LEAVE && ((event.c ^ fault.address) & ~u64{kPageMask}) == 0)
            fault.stated = stated_fault_class(event.d);
        return;
    }
}

void FaultTracker::on_return(const TraceEvent& event, const AddressSpaceReader& reader) {
    const auto found = stacks_.find(context_.current());
    if (found == stacks_.end())
        return;
    Stack& frames = found->second;
    const auto to = static_cast<u32>(event.a);
    const auto returns_to = [&](const Frame& frame) {
        return frame.fault != nullptr ? frame.eip == to && frame.fault->cpl == event.c
                                      : to - frame.eip <= kLongestInstruction;
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
    fault.after = reader.walk(fault.address_space, fault.address);
    fault.where = locate(fault.address_space, fault.eip, reader);
    classify(fault, reader, retried);
    compare_with_guest(fault);
    if (closed_)
        closed_(fault);
}

// From the hardware alone: entries before and after, contents of the frames, who accessed.
void FaultTracker::classify(FaultRecord& fault, const AddressSpaceReader& reader, bool retried) const {
    fault.resolved = retried && permits(fault.after, fault.error_code);
    Page now;
    const bool readable = fault.after.present && read_frame(reader, fault.after.frame, now);
    if (!fault.resolved) {
        fault.page = FaultClass::Protection;
    } else if (permits(fault.before, fault.error_code)) {
        fault.page = FaultClass::Spurious;
    } else if (!fault.before.present) {
        const bool in_stack = fault.address >= options_.stack_low && fault.address < options_.stack_high;
        const bool zero = readable && is_zero(now);
        fault.page = !zero ? FaultClass::File : in_stack ? FaultClass::Stack : FaultClass::DemandZero;
    } else if (fault.before.frame == fault.after.frame) {
        fault.page = FaultClass::CowReuse;
    } else {
        fault.page = FaultClass::CowCopy;
        Page old;
        if (readable && read_frame(reader, fault.before.frame, old) && old != now)
            fault.findings.push_back(fmt::format("the copy of frame {:#x} in frame {:#x} does not hold the same bytes",
                                                 fault.before.frame, fault.after.frame));
    }
    const bool new_frame = fault.page == FaultClass::CowCopy || (fault.resolved && !fault.before.present);
    const auto taken = static_cast<u32>(fault.after.frame);
    if (new_frame && fault.frames_taken.empty())
        fault.frames_taken.push_back(taken);
    const bool kernel_access = fault.cpl < 3 && fault.address < options_.kernel_base;
    fault.fault_class = kernel_access && fault.resolved ? FaultClass::KernelCopy : fault.page;
}

void FaultTracker::compare_with_guest(FaultRecord& fault) const {
    if (fault.stated == FaultClass::Unknown || fault.stated == fault.page || fault.stated == fault.fault_class)
        return;
    // Why a page was filled in is the guest's to say: the hardware shows only whether it is zero. A file's page may be.
    const bool filled = fault.page == FaultClass::DemandZero || fault.page == FaultClass::Stack;
    const bool says_filled =
        fault.stated == FaultClass::DemandZero || fault.stated == FaultClass::Stack || fault.stated == FaultClass::File;
    if (filled && says_filled) {
        fault.page = fault.stated;
        if (fault.fault_class != FaultClass::KernelCopy)
            fault.fault_class = fault.stated;
        return;
    }
    fault.findings.push_back(fmt::format("the guest calls the fault at {:#010x} {}, the hardware shows {}",
                                         fault.address, fault_class_name(fault.stated), fault_class_name(fault.page)));
}

std::shared_ptr<const Location> FaultTracker::locate(u32 address_space, u32 eip, const AddressSpaceReader& reader) {
    const auto key = std::make_pair(eip >= options_.kernel_base ? 0 : address_space, eip);
    if (const auto found = locations_.find(key); found != locations_.end())
        return found->second;
    auto location = std::make_shared<Location>();
    location->address = eip;
    if (symbols_ != nullptr) {
        if (eip < options_.kernel_base && symbols_->program_of(address_space).empty())
            symbols_->identify(reader, address_space, eip);
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
