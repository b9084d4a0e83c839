// Owns: Options, what the person asked for, as plain data.
// Callers: emu/cli fills it in; sessions and faces read it. Promises: values are checked when they get here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/machine/machine.hpp"

namespace forkscope {

enum class Command : u8 { Default, Run, Fork, Compare, Step, Record, TraceInfo, TraceDump, TraceStat, Help, Version };
enum class Display : u8 { Automatic, Window, Terminal, None };

struct Options {
    Command command = Command::Default;
    std::string help_text; // Command::Help and Version: what to print

    // Machine.
    std::string os = "lunaix";
    std::string kernel_path, append;
    std::vector<std::string> initrds; // boot_modules.hpp
    u64 ram_bytes = u64{64} << 20;
    EngineKind engine = EngineKind::Block;
    CpuModel cpu = kDefaultCpuModel;
    CostModelKind clock = CostModelKind::Flat;
    BusWidth bus = BusWidth::Bits32;
    bool fast_table = true;
    TlbStudy tlb = TlbStudy::Model;
    u64 tlb_seed = 0;
    bool direct = false;

    // Run.
    Display display = Display::Automatic;
    std::string type_text;
    std::string until;
    std::string serial; // empty: by display
    std::string debug_console = "none";
    std::string trace_path;  // --trace F, record -o F
    bool all_events = false; // record translations entering and leaving the TLB, too
    std::string screenshot_path;
    std::string load_path, save_path;
    RunLimit limit;
    bool hash = false;
    std::string info; // what to print when the run ends: "", "tlb" or "counters"
    bool count_hits = false;
    u64 hash_every = 0; // instructions; 0 = only at the end
    u64 seed = 0;

    // Fork.
    u32 pages = 8;
    u32 parent_pages = 0;
    bool pages_given = false;
    std::string workload; // command line for the guest's sh; empty: forkdemo
    bool json = false;
    std::vector<std::string> systems; // compare: the built-in kernels, in the order of the columns
    bool functions = false;           // cycles by function: every instruction is looked at

    // Trace.
    std::string trace_file;
    std::vector<std::string> kinds;
    u64 most_lines = ~u64{0};
};

// The escapes \n, \t and \\ that a person types in --type and --until.
std::string unescape(const std::string& text);

} // namespace forkscope
