#include "emu/observe/forks/fork_profile.hpp"

namespace forkscope {

namespace {

// In the order in which each system goes.
const std::vector<ForkProfile>& profiles() {
    static const std::vector<ForkProfile> kProfiles = {
        {"lunaix",
         "LunaixOS",
         {{"0", "dup_proc"},
          {"1", "alloc_process"},
          {"4", "__dup_fdtable"},
          {"2", "procvm_dupvms_mount"},
          {"3", "dup_active_thread"},
          {"2b", "region_maybe_cow"},
          {"5", "commit_process, commit_thread"},
          {"F", "handle_page_fault"}}},
        {"minix",
         "MINIX 3",
         {{"0", "sendrec(PM, PM_FORK)"},
          {"1", "PM do_fork"},
          {"2", "VM do_fork, map_proc_copy"},
          {"3", "sys_fork, pt_bind"},
          {"2b", "handle_memory"},
          {"4", "PM get_free_pid, tell_vfs; VFS pm_fork"},
          {"5", "PM sched_start_user, reply"},
          {"F", "VM do_pagefaults"}}},
        {"freebsd",
         "FreeBSD",
         {{"0", "fork1"},
          {"1", "uma_zalloc, thread_alloc"},
          {"2", "vmspace_fork"},
          {"2b", "vm_map_copy_entry, pmap_protect"},
          {"1b", "fork_findpid, sched_fork"},
          {"4", "do_fork, fdcopy"},
          {"3", "vm_forkproc, cpu_fork"},
          {"5", "sched_add"},
          {"F", "vm_fault"}}},
    };
    return kProfiles;
}

// outl(), trace(), trace_stop() and their like.
bool only_writes_the_tracepoint(const std::string& function) {
    return function == "outl" || function.rfind("trace", 0) == 0;
}

} // namespace

std::string_view ForkProfile::functions_at(std::string_view stop) const {
    for (const StopFunctions& known : stops)
        if (known.stop == stop)
            return known.functions;
    return {};
}

const ForkProfile* find_fork_profile(std::string_view name) {
    for (const ForkProfile& profile : profiles())
        if (profile.name == name)
            return &profile;
    return nullptr;
}

Location stop_location(const ForkStop& stop, const Symbolizer& symbols) {
    std::vector<u32> addresses{stop.eip};
    for (const u32 caller : stop.callers)
        if (caller != 0)
            addresses.push_back(caller - 1); // a return address is the instruction after the call
    Location first;
    for (const u32 address : addresses) {
        for (Location& place : symbols.inline_chain(stop.program, address)) {
            if (!place.known())
                continue;
            if (!only_writes_the_tracepoint(place.symbol))
                return place;
            if (!first.known())
                first = std::move(place);
        }
    }
    return first;
}

} // namespace forkscope
