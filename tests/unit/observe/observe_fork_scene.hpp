// Owns: a guest played by hand: a parent with pages, a fork as a monolithic kernel does it, faults on either side.
#pragma once

#include <vector>

#include "emu/observe/forks/fork_tracer.hpp"
#include "observe_space.hpp"

namespace forkscope::testing {

inline constexpr u32 kPages = 0x40000000u;
inline constexpr u32 kStack = 0xBFFFE000u;
inline constexpr u32 kText = 0x00010000u;
inline constexpr u32 kWriteInstruction = 0x00010123u;
inline constexpr u32 kForkInstruction = 0x00010456u;

class ForkScene : public SyntheticMachine {
  public:
    explicit ForkScene(u32 page_count, ForkTracerOptions options = {}) : pages(page_count) {
        parent = frame();
        map(parent, kText, fresh(0x90), kUser);
        for (u32 i = 0; i < pages; ++i)
            map(parent, kPages + i * kPageSize, fresh(static_cast<u8>(i + 1)), kUserWrite);
        map(parent, kStack, fresh(0x55), kUserWrite);
        tracer = another_tracer(std::move(options));
        sink = tracer.get();
    }
    // One more that asks the same machine.
    std::unique_ptr<ForkTracer> another_tracer(ForkTracerOptions options = {}) const {
        options.stack_pointer = [this] { return stack_pointer; };
        return std::make_unique<ForkTracer>(memory, nullptr, std::move(options));
    }

    u32 fresh(u8 value) {
        const u32 address = frame();
        fill(address, value);
        return address;
    }
    std::vector<u32> writable_pages() const {
        std::vector<u32> list;
        for (u32 i = 0; i < pages; ++i)
            list.push_back(kPages + i * kPageSize);
        list.push_back(kStack);
        return list;
    }

    void start() {
        tracepoint(TP_PROCESS_START, 3, 1, parent);
        switch_to(3, parent);
        return_to(kForkInstruction, 3);
    }

    // The system call in the parent's context. Returns the child's directory.
    u32 fork(u32 parent_directory, u32 parent_pid, u32 child_pid, bool flush = true) {
        enter_system_call(kForkInstruction);
        tracepoint(TP_FORK_ENTER, parent_pid, 0, 0);
        tracepoint(TP_FORK_CHILD_SLOT, parent_pid, 0, 0);
        const u32 child = frame();
        tracepoint(TP_FORK_ADDRESS_SPACE, parent_pid, child_pid, child);
        tracepoint(TP_FRAME_ALLOC, child, 1, FRAME_PAGE_DIRECTORY);
        for (u32 slot = 0; slot < 768; ++slot)
            copy_table(parent_directory, child, slot);
        tracepoint(TP_FORK_REGISTERS, parent_pid, child_pid);
        tracepoint(TP_FORK_PROTECT, parent_pid, child_pid);
        protect(parent_directory, child, flush);
        tracepoint(TP_FORK_RUNNABLE, parent_pid, child_pid, child);
        tracepoint(TP_PROCESS_START, child_pid, parent_pid, child);
        tracepoint(TP_FORK_LEAVE, parent_pid, child_pid, child_pid);
        return_to(kForkInstruction, 3);
        return child;
    }

    // What a kernel does about a write fault on a page that it shares: copy, or reuse.
    void cow_fault(u32 directory, u32 pid, u32 page, bool copy = true, u32 stated = 0, u8 from_cpl = 3) {
        const u32 at = from_cpl == 3 ? kWriteInstruction : 0xC0103000u;
        fault(page + 4, kFaultProtection | kFaultWrite | (from_cpl == 3 ? u32{kFaultUser} : 0u), at, from_cpl);
        tracepoint(TP_FAULT_ENTER, pid, page + 4, 7);
        const u32 entry = entry_address(directory, page);
        u32 target = get(entry) & ~kPageMask;
        if (copy) {
            const u32 taken = frame();
            tracepoint(TP_FRAME_ALLOC, taken, 1, FRAME_USER);
            std::memcpy(memory.host(PhysicalAddress(taken)), memory.host(PhysicalAddress(target)), kPageSize);
            target = taken;
        }
        write_entry(entry, target | kUserWrite);
        emit(TraceKind::TlbFlush, static_cast<u64>(TlbFlushReason::Invlpg), page, 1);
        tracepoint(TP_FAULT_LEAVE, pid, page + 4, stated != 0 ? stated : u32{copy ? FAULT_COW_COPY : FAULT_COW_REUSE});
        return_to(at, from_cpl);
    }

    u32 pages;
    u32 parent = 0;
    u32 stack_pointer = kStack + 0xF00;
    std::unique_ptr<ForkTracer> tracer;

  private:
    void copy_table(u32 parent_directory, u32 child, u32 slot) {
        const u32 entry = get(parent_directory + slot * 4);
        if ((entry & kPtePresent) == 0)
            return;
        const u32 table = frame();
        write_entry(child + slot * 4, table | kUserWrite, 2);
        for (u32 i = 0; i < 1024; ++i) {
            const u32 page = get((entry & ~kPageMask) + i * 4);
            if ((page & kPtePresent) == 0)
                continue;
            write_entry(table + i * 4, page);
            tracepoint(TP_FRAME_SHARE, page & ~kPageMask, 2, FRAME_USER);
        }
    }
    void protect(u32 parent_directory, u32 child, bool flush) {
        for (u32 page : writable_pages()) {
            for (u32 directory : {parent_directory, child}) {
                const u32 entry = entry_address(directory, page);
                write_entry(entry, get(entry) & ~u32{kPteWritable});
            }
            if (flush)
                emit(TraceKind::TlbFlush, static_cast<u64>(TlbFlushReason::Invlpg), page, 1);
        }
    }
};

} // namespace forkscope::testing
