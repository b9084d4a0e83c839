// Owns: DebugTarget, what a debugger does with a session's machine, in no protocol's words: breakpoints, watchpoints,
// memory, registers, threads. Callers: GdbStub and the monitor. Promises: looking changes nothing; points are the
// debugger's own, never the guest's debug registers; what is written becomes an input of the run.
#pragma once

#include <optional>
#include <vector>

#include "emu/debug/gdb_registers.hpp"
#include "emu/debug/guest_threads.hpp"
#include "emu/session/session.hpp"

namespace forkscope {

// As Z0 to Z4 number them.
enum class PointKind : u8 { Software, Hardware, Write, Read, Access };

class DebugTarget {
  public:
    explicit DebugTarget(Session& session);
    ~DebugTarget();
    DebugTarget(const DebugTarget&) = delete;
    DebugTarget& operator=(const DebugTarget&) = delete;

    // False: too many, or nothing that can be watched. Inserting what is there already changes nothing.
    bool insert(PointKind kind, u32 address, u32 size);
    bool remove(PointKind kind, u32 address, u32 size);
    void remove_all();
    // Whether the instruction that is next has one of the debugger's, and which.
    std::optional<PointKind> breakpoint_here() const;
    struct Hit {
        PointKind kind{};
        u32 address = 0; // the first watched byte that was touched
    };
    // The first one since it was asked last.
    std::optional<Hit> take_hit();

    // As far as it is there: linear in the space, or physical. Device memory is not.
    std::vector<u8> read(u32 address, u32 size, AddressSpace space) const;
    // False, and nothing written, if a byte is outside of RAM and ROM.
    bool write(u32 address, std::span<const u8> bytes, AddressSpace space);
    // In the past nothing is written, unless somebody has said that it may start a branch.
    bool may_write() const;
    void allow_branch() { branch_allowed_ = true; }
    void set_physical(bool physical) { physical_ = physical; }
    bool physical() const { return physical_; }

    const std::vector<GdbRegister>& registers() const { return registers_; }
    // Empty: not known of that thread.
    std::vector<u8> read_register(u32 number, const GuestThread& thread) const;
    // Of the thread that runs. Error: why the processor does not take this value, or nobody may write it.
    Result<void> write_register(u32 number, std::span<const u8> bytes);

    GuestThreads& threads() { return threads_; }
    const GuestThreads& threads() const { return threads_; }
    // The space of a thread: of the running one as it is.
    AddressSpace space_of(const GuestThread& thread) const;
    // "pid 3 bin/sh, directory 003e1000".
    std::string describe(const GuestThread& thread) const;

    Session& session() { return session_; }
    Machine& machine() { return machine_; }
    const Machine& machine() const { return machine_; }

  private:
    struct Point {
        PointKind kind{};
        u32 address = 0, size = 0;
        bool physical = false;
        u32 id = 0; // of its breakpoint or watchpoint
    };
    static constexpr std::size_t kMostPoints = 1024;
    static constexpr u32 kMostWatched = 1u << 20; // bytes of one watchpoint

    std::vector<Point>::iterator find(PointKind kind, u32 address, u32 size);
    bool is_memory(u32 address, u32 size) const;
    bool peek_device(PhysicalAddress from, std::span<u8> to) const;
    bool drop(const Point& point);
    void accessed(const WatchHit& hit);
    void inject(const InputEvent& event);

    Session& session_;
    Machine& machine_;
    std::vector<GdbRegister> registers_;
    GuestThreads threads_;
    OwnedBreakpoints::Owner breakpoints_{};
    OwnedWatchpoints::Owner watchpoints_{};
    std::vector<Point> points_;
    std::optional<Hit> hit_;
    bool physical_ = false;
    bool branch_allowed_ = false;
};

} // namespace forkscope
