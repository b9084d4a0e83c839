// Owns: the monitor: commands that a person types to Forkscope from within a debugger, and their answers in text.
// Callers: GdbStub (`monitor`). Promises: the machine is where it was, so the debugger's picture stays true; `stop` and
// `step-stop` arm what the next `continue` runs to.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emu/debug/debug_target.hpp"
#include "emu/session/stepper/why.hpp"

namespace forkscope {

class Monitor {
  public:
    // `interrupted` is asked now and then on a long search.
    Monitor(DebugTarget& target, std::function<bool()> interrupted)
        : target_(target), why_(target.session(), std::move(interrupted)) {}

    // Whole lines. `thread`: the one that the person looks at.
    std::string answer(std::string_view line, const GuestThread& thread);
    static std::string help();
    // Takes back what `stop` and `step-stop` armed: whoever waited for it has gone.
    void disarm();

  private:
    std::string page_tables(const std::string& words, const GuestThread& thread) const;
    std::string tlb() const;
    std::string why(const std::string& words, const GuestThread& thread);
    std::string fork(const std::string& words) const;
    std::string when() const;
    std::string stop_at(const std::string& words);
    std::string next_stop();
    bool arm(Condition condition, ConditionUse use);
    std::string branch(const std::string& words);
    std::string info(const std::string& words, const GuestThread& thread);

    DebugTarget& target_;
    Why why_;
    std::vector<u32> armed_; // numbers of conditions
};

} // namespace forkscope
