// Owns: Why, what made the things that one sees at a linear address: entries, translations, the frame, a byte.
// Callers: the stepper's commands, gdb's monitor, panels. Promises: each answer is the last act of its kind, found by
// running the past again, and a place to go to; afterwards the machine is where it was, bit for bit.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emu/session/session.hpp"

namespace forkscope {

enum class WhyPart : u8 { Entry, Directory, Tlb, Frame, Byte };
// "entry", "directory", "tlb", "frame", "byte".
std::string_view why_part_name(WhyPart part);
std::optional<WhyPart> why_part_named(std::string_view name);

// What the guest did at one moment.
struct Act {
    enum class Kind : u8 { Store, Walk, Fill, Allocation }; // Walk: the processor set A or D
    Kind kind = Kind::Store;
    Position at; // before the instruction, or the delivery, that did it
    u32 eip = 0;
    u32 address_space = 0;
    u64 before = 0, after = 0;    // of a store and a walk
    std::string instruction = {}; // "set_pte+0x7 (pmap.c:16)"
    std::string who = {};         // whose line it is: "region_maybe_cow (fork.c:31)"; empty: the instruction's own
    u64 fork = 0;                 // inside of which it was; 0: of none
    std::string stop = {};        // of the fork: "2b"; empty: before the first
};

// One part of an answer.
struct Reason {
    WhyPart part{};
    u64 address = 0;            // physical: of the entry, the frame, the byte; linear: of the translation's page
    u64 value = 0;              // now
    std::string array = {};     // of the TLB
    std::vector<Act> acts = {}; // the last one first
    std::string unknown = {};   // why there is none, or none before them
};

class Why {
  public:
    // The session has a history. `interrupted` is asked now and then: true ends the search with what is known.
    Why(Session& session, std::function<bool()> interrupted);
    ~Why();

    // All parts, or one. Error: no history, or re-execution fails.
    Result<std::vector<Reason>> explain(LinearAddress address, AddressSpace space,
                                        std::optional<WhyPart> part = std::nullopt);

  private:
    struct Hit; // why.cpp
    class Lookout;
    enum class Want : u8 { Writes, Changes };

    std::vector<Reason> look(LinearAddress address, AddressSpace space) const;
    Result<void> explain(Reason& reason, Position now);
    Result<void> explain_stores(Reason& reason, Position now);
    Result<void> explain_frame(Reason& reason, Position now);
    Result<void> explain_fill(Reason& reason);
    Result<std::optional<Hit>> look_through(Timeline::Stretch stretch);
    Result<std::optional<Hit>> last_store(Reason& reason, Position before, Want want);
    Result<bool> add(Reason& reason, const Hit& hit, Act::Kind kind);
    Result<std::optional<Position>> place_of(const Hit& hit);
    Act act_here(const Hit& hit, Act::Kind kind, WhyPart part) const;

    Timeline& timeline() { return *session_.timeline(); }
    Machine& machine() { return session_.machine(); }
    u32 entry_bytes() const { return session_.machine().mmu().paging().control().geometry().entry_bytes; }

    Session& session_;
    std::function<bool()> interrupted_;
    std::unique_ptr<Lookout> lookout_;
};

} // namespace forkscope
