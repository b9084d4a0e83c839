#include "emu/observe/forks/fork_workload.hpp"

namespace forkscope {

namespace {

constexpr int kGenerations = 2; // of forks before the command runs: init's and the shell's

// Whether a process that this fork made has so many forks behind it. Only old ones are forgotten, and init never ends.
bool made_late(const ForkStore& forks, u64 maker) {
    int generations = 0;
    while (maker != 0 && ++generations < kGenerations) {
        const ForkRecord* fork = forks.find(maker);
        if (fork == nullptr)
            return true;
        maker = fork->made_parent;
    }
    return generations == kGenerations;
}

} // namespace

bool in_command(const ForkStore& forks, u32 pid) { return made_late(forks, forks.maker_of_pid(pid)); }
bool in_command(const ForkStore& forks, const ForkRecord& fork) { return made_late(forks, fork.made_parent); }

} // namespace forkscope
