// Owns: Options, what the person asked for, as plain data; its members are the rows of options.def.
// Callers: emu/cli fills it in; sessions and faces read it. Promises: values are checked when they get here.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "emu/machine/machine.hpp"

namespace forkscope {

enum class Command : u8 {
    Default, // `run` where there is a display, else `fork`
    Help,
    Version,
#define COMMAND(value, words, help) value,
#include "emu/session/options/options.def"
};
enum class Display : u8 { Automatic, Window, Terminal, None };
inline constexpr u64 kNoPlace = ~u64{0};
enum class InfoKind : u8 { None, Tlb, Counters, Unmapped, Code };
struct Info {
    InfoKind kind = InfoKind::None;
    std::string address; // Code: of what, as the person has written it

    bool operator==(const Info&) const = default;
};

class Recording;

// What a session runs where nobody says otherwise.
inline MachineConfig usual_machine() {
    MachineConfig config;
    config.engine = EngineKind::Automatic;
    return config;
}

struct Options {
    Command command = Command::Default;
    std::string help_text;                   // Command::Help and Version: what to print
    MachineConfig machine = usual_machine(); // the session loads its images
#define OPTION(type, member, initial, ...) type member = initial;
#define FLAG(member, ...) bool member = false;
#include "emu/session/options/options.def"
    std::vector<std::string_view> given_names; // as options.def has them
    // With `recording_path`: the file, open; `machine` is its.
    std::shared_ptr<const Recording> recording;
    bool recorded_own_kernel = false;
    // What the command needs.
    bool trace_forks = false;           // the face shows forks
    u64 history = 0;                    // bytes for checkpoints; 0: there is no way back
    std::size_t forks_kept_whole = 256; // of those that are over: so many keep their lists

    bool given(std::string_view name) const;
    // The kernel is the person's, not a built-in one.
    bool own_kernel() const { return !kernel_path.empty() || recorded_own_kernel; }
};

// Whether a kernel command line says what the guest is to run: run=…, to its end.
bool names_workload(const std::string& command_line);
// The escapes \n, \t and \\ that a person types in --type and --until.
std::string unescape(const std::string& text);

} // namespace forkscope
