#include "emu/session/options/option_help.hpp"

#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/base/text/nearest.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kHelpColumn = 30;

bool takes(const CommandRow& command, const OptionRow& row) { return (row.commands & of(command.command)) != 0; }

// Backquotes are for README.
std::string plain(std::string_view text) {
    std::string out(text);
    std::erase(out, '`');
    return out;
}

// Characters, not bytes.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// Breaks text into lines; `column` is where the first begins, `indent` where the others do.
std::string wrapped(const std::string& text, std::size_t column, std::size_t indent) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::string word = text.substr(at, text.find(' ', at) - at);
        if (at != 0 && column + 1 + width(word) > kWidth) {
            out += "\n" + std::string(indent, ' ');
            column = indent;
        } else if (at != 0) {
            out += ' ';
            ++column;
        }
        out += word;
        column += width(word);
        at += word.size() + 1;
    }
    return out + "\n";
}

// An entry of a list: its name, and its text beside it, or below a long name.
std::string entry(const std::string& name, const std::string& text) {
    const std::string left = "  " + name;
    const bool fits = width(left) + 2 <= kHelpColumn;
    return left + (fits ? "" : "\n") + std::string(kHelpColumn - (fits ? width(left) : 0), ' ') +
           wrapped(text, kHelpColumn, kHelpColumn);
}

std::string names_of(const OptionRow& row) {
    std::string name(row.name);
    if (const std::size_t comma = name.find(','); comma != std::string::npos)
        name.insert(comma + 1, " ");
    const std::string value = value_name(row);
    return value.empty() ? name : name + " " + value;
}

std::string help_of_command(const CommandRow& command) {
    std::string text = fmt::format("Usage: {}\n\n{}", usage_line(command), wrapped(plain(command.help), 0, 0));
    OptionGroup group = OptionGroup::Hidden;
    for (const OptionRow& row : option_table()) {
        if (!takes(command, row) || row.group == OptionGroup::Hidden)
            continue;
        if (row.group != group)
            text += fmt::format("\n{}:\n", group_name(group = row.group));
        const std::string initial = default_text(row);
        text += entry(names_of(row), plain(row.help) + (initial.empty() ? "" : fmt::format(" [{}]", plain(initial))));
    }
    return text + "\n" + entry("-h, --help", "print this");
}

std::string help_of_program() {
    std::string text = "Forkscope: a full-system x86 emulator in which one can see a fork happen\n\n"
                       "Usage: forkscope COMMAND [OPTION…]\n"
                       "       forkscope [OPTION…]     the same as forkscope run, for those who know QEMU's options\n"
                       "       forkscope               run where there is a display, else fork\n\nCommands:\n";
    for (const CommandRow& command : command_table())
        text += entry(std::string(command.words), plain(command.help));
    return text + "\nOptions:\n" + entry("-h, --help", "print this; behind a command: its options") +
           entry("--version", "print the version");
}

std::vector<std::string> names_known(const CommandRow* command, bool options) {
    std::vector<std::string> names;
    if (options && command == nullptr)
        names = {"--help", "--version"};
    else if (options)
        names = {"--help"};
    for (const OptionRow& row : option_table())
        if (options && command != nullptr && takes(*command, row) && !is_operand(row) &&
            row.group != OptionGroup::Hidden)
            for (const std::string_view name : {long_name(row), row.qemu})
                if (!name.empty())
                    names.emplace_back(name);
    for (const CommandRow& row : command_table())
        if (!options)
            names.emplace_back(row.words.substr(0, row.words.find(' ')));
    return names;
}

std::string commands_with(const OptionRow& row) {
    std::vector<std::string> words;
    for (const CommandRow& command : command_table())
        if (takes(command, row))
            words.emplace_back(command.words);
    return fmt::format("{}", fmt::join(words, ", "));
}

// `|` ends a cell of a table, and files are links.
std::string markdown(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find_first_of(" ,;:()", at), text.size());
        const std::string word(text.substr(at, end - at));
        out += word.ends_with(".md") ? fmt::format("[{0}]({0})", word) : word;
        if (end < text.size())
            out += text[end];
        at = end + 1;
    }
    for (std::size_t at = out.find('|'); at != std::string::npos; at = out.find('|', at + 2))
        out.insert(at, "\\");
    return out;
}

} // namespace

std::string usage_line(const CommandRow& command) {
    std::string line = fmt::format("forkscope {}", command.words);
    for (const OptionRow& row : option_table())
        if (takes(command, row) && row.required)
            line += fmt::format(" {}{}", first_name(row), is_operand(row) ? "" : " " + value_name(row));
    return line + " [OPTION…]";
}

std::string help_text(const std::string& words) {
    std::string text;
    for (const CommandRow& command : command_table())
        if (command.words == words || command.words.starts_with(words + " "))
            text += (text.empty() ? "" : "\n") + help_of_command(command);
    return text.empty() ? help_of_program() : text;
}

std::string unknown_word(const std::string& word, const CommandRow* command) {
    const std::string name = word.substr(0, word.find('='));
    const bool option = name.size() > 1 && name[0] == '-';
    const std::string of_command = command == nullptr ? "" : fmt::format("{} ", command->words);
    const std::string see = fmt::format("see forkscope {}--help", of_command);
    if (option && command != nullptr)
        for (const OptionRow& row : option_table())
            if (has_name(row, name) && row.group != OptionGroup::Hidden)
                return fmt::format("{} is no option of `{}` but of {}; {}", name, command->words, commands_with(row),
                                   see);
    const std::string meant = nearest(name, names_known(command, option));
    const std::string what = option ? fmt::format("there is no option {}", name.substr(0, 80))
                             : command == nullptr
                                 ? fmt::format("there is no command '{}'", name.substr(0, 80))
                                 : fmt::format("`{}` cannot use '{}'", command->words, word.substr(0, 80));
    if (meant.empty() || (!option && command != nullptr))
        return fmt::format("{}; {}", what, see);
    return fmt::format("{}; did you mean {}? {}", what, meant, "S" + see.substr(1));
}

std::string missing_option(const Options& options, const CommandRow& command) {
    for (const OptionRow& row : option_table())
        if (takes(command, row) && row.required && !options.given(row.name))
            return fmt::format("`{}` needs {}: {}", command.words, is_operand(row) ? row.name : names_of(row),
                               row.help);
    return {};
}

std::string commands_markdown() {
    std::string text = "| command | does |\n|---|---|\n| (none) | with a display `run`, without one `fork` |\n";
    for (const CommandRow& row : command_table())
        text += fmt::format("| `{}` | {} |\n", markdown(usage_line(row).substr(10, usage_line(row).find(" [") - 10)),
                            markdown(row.help));
    return text;
}

std::string options_markdown() {
    std::string text = "| option | means | default |\n|---|---|---|\n";
    OptionGroup group = OptionGroup::Hidden;
    for (const OptionRow& row : option_table()) {
        if (row.group == OptionGroup::Hidden || row.required)
            continue;
        if (group != row.group)
            text += fmt::format("| **{}** | | |\n", group_name(group = row.group));
        // What every command that runs one machine has is not said again and again.
        constexpr u32 kUsual = of(Command::Run) | of(Command::Fork) | of(Command::Step);
        const bool usual = (row.commands & kUsual) == kUsual;
        const std::string where = usual ? "" : fmt::format(" ({})", commands_with(row));
        text += fmt::format("| `{}` | {}{} | {} |\n", markdown(names_of(row)), markdown(row.help), where,
                            markdown(default_text(row)));
    }
    return text;
}

std::string qemu_markdown() {
    std::vector<std::string> names;
    for (const OptionRow& row : option_table())
        if (!row.qemu.empty() && row.group != OptionGroup::Hidden &&
            std::find(names.begin(), names.end(), row.qemu) == names.end())
            names.emplace_back(row.qemu);
    return fmt::format("QEMU's spellings are accepted: `{}`.\n", fmt::join(names, " "));
}

} // namespace forkscope
