// Owns: the table of commands and options: what options.def declares, as data, and how an option is set from text.
// Callers: emu/cli parses with it, option_help writes from it. Promises: a mistake is answered with the option, what
// was given and what would fit.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/session/options/options.hpp"

namespace forkscope {

struct CommandRow {
    Command command{};
    std::string_view words; // as typed: "trace info"
    std::string_view help;
};

// Headings of the help.
enum class OptionGroup : u8 { Guest, Machine, Host, Run, Stepper, Workload, Output, Trace, Hidden };
const char* group_name(OptionGroup group);

struct OptionRow {
    enum class Kind : u8 { Value, List, Flag };

    // From the type of what is set.
    Kind kind{};
    std::string (*set)(Options& options, const std::string& text) = nullptr; // "", or what would fit
    std::string (*initial)() = nullptr;                                      // the default; "": none
    std::vector<std::string> (*type_words)() = nullptr;                      // what may be chosen; none: anything

    std::string_view name = {};  // "--append", or with a short one before it: "-m,--memory"; without a dash: an operand
    std::string_view value = {}; // how the value is written
    OptionGroup group{};
    u32 commands = 0; // bits of of(Command)
    std::string_view help = {};

    std::vector<std::string> (*words)() = nullptr; // what may be chosen, if the type does not say
    std::string_view by_default = {};              // in words
    std::string_view qemu = {};                    // QEMU's spelling
    bool may_be_empty = false;                     // '' is a value; elsewhere it is a slip of the shell
    bool commas_are_text = false;                  // of a list: commas do not divide what is given
    bool required = false;
    bool takes_none = false;                                // ACTION as a flag
    std::string (*check)(const Options& options) = nullptr; // once all are set; "": it fits
};

constexpr u32 of(Command command) { return 1u << static_cast<u8>(command); }

std::span<const CommandRow> command_table();
std::span<const OptionRow> option_table();

bool is_flag(const OptionRow& row);
bool is_operand(const OptionRow& row);
// "--memory" and "-m"; the same where there is one name.
std::string_view long_name(const OptionRow& row);
std::string_view first_name(const OptionRow& row);
// Whether it is one of the option's names, QEMU's included.
bool has_name(const OptionRow& row, std::string_view name);
// "FILE", "interp|block"; empty: a flag, an operand.
std::string value_name(const OptionRow& row);
std::string default_text(const OptionRow& row);
std::vector<std::string> words_of(const OptionRow& row);

Result<void> set_option(Options& options, const OptionRow& row, const std::string& text);
// What no option can judge alone.
Result<void> check_options(const Options& options);

} // namespace forkscope
