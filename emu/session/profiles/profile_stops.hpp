// Owns: ProfileStops, a fork profile at work: it tells when a machine is about to run one of the profile's functions,
// and which process is current. Callers: Session. Promises: never stops a run and never touches the guest; a function
// that the symbols do not have is an Error at its place in the file.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "emu/machine/machine.hpp"
#include "emu/observe/forks/fork_profile.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

class ProfileStops {
  public:
    // A stop begins; the event is the tracepoint that a guest would have written there, without arguments.
    using Listener = std::function<void(const TraceEvent&)>;

    // Neither knows names that the symbols get later.
    static Result<std::unique_ptr<ProfileStops>> create(ForkProfile profile, Machine& machine, Symbolizer& symbols,
                                                        Listener listener);
    ~ProfileStops();
    ProfileStops(const ProfileStops&) = delete;
    ProfileStops& operator=(const ProfileStops&) = delete;

    const ForkProfile& profile() const { return profile_; }
    // A program, not the kernel, that has functions of the profile; empty: there is none.
    std::string first_program() const;
    // The pid of the process whose root is in CR3, as the profile finds it. Nothing: it does not, or that is another's.
    std::optional<u32> current_pid();

  private:
    struct Begin {
        u32 id = 0;
        std::string program; // empty: the kernel
    };

    ProfileStops(ForkProfile profile, Machine& machine, Symbolizer& symbols, Listener listener);
    Result<void> find_functions();
    void passed(u32 linear);
    std::optional<u32> number(const std::string& expression, ProfilePlace place);

    ForkProfile profile_;
    Machine& machine_;
    Symbolizer& symbols_;
    Listener listener_;
    std::multimap<u32, Begin> begins_; // by linear address
};

} // namespace forkscope
