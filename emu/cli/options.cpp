#include "emu/cli/options.hpp"

#include <algorithm>
#include <optional>

#include <CLI/CLI.hpp>

#include "emu/session/conditions/help.hpp"
#include "emu/session/options/option_help.hpp"

namespace forkscope {

namespace {

constexpr const char* kVersion = "forkscope 0.1.0";

const OptionRow* row_named(const std::string& word) {
    for (const OptionRow& row : option_table())
        if (has_name(row, word))
            return &row;
    return nullptr;
}

// QEMU spells long options with one dash, and gives no command: options alone mean `run`.
std::vector<std::string> normalised(int argc, char** argv) {
    std::vector<std::string> words(argv + 1, argv + argc);
    for (std::size_t i = 0; i < words.size(); ++i)
        if (const OptionRow* row = row_named(words[i]); row != nullptr && !is_operand(*row)) {
            if (words[i] == row->qemu)
                words[i] = first_name(*row);
            i += is_flag(*row) ? 0 : 1; // its value is taken as it is
        }
    const bool only_options = !words.empty() && words[0].size() > 1 && words[0][0] == '-' && words[0] != "--help" &&
                              words[0] != "-h" && words[0] != "--version";
    if (only_options)
        words.insert(words.begin(), "run");
    return words;
}

Error usage(const std::string& text) { return Error{text, ExitCode::Usage}; }

class Parser {
  public:
    Parser() {
        app_.set_version_flag("--version", kVersion);
        app_.require_subcommand(0, 1);
        for (const CommandRow& row : command_table())
            add_command(row);
    }

    Result<Options> parse(std::vector<std::string> words) {
        if (words == std::vector<std::string>{"help", "conditions"})
            return printing(Command::Help, conditions_help());
        std::reverse(words.begin(), words.end()); // CLI11 takes them from the back
        try {
            app_.parse(words);
        } catch (const CLI::CallForHelp&) {
            return printing(Command::Help, help_text(words_given()));
        } catch (const CLI::CallForVersion&) {
            return printing(Command::Version, std::string(kVersion) + "\n");
        } catch (const CLI::ExtrasError&) {
            return trouble_ ? *trouble_ : usage(unknown_word(first_unknown(), row_given()));
        } catch (const CLI::ParseError& error) {
            return mistake(error);
        }
        if (trouble_)
            return *trouble_;
        if (auto checked = check_options(options_); !checked.ok())
            return checked.error();
        return std::move(options_);
    }

  private:
    void add_command(const CommandRow& row) {
        const std::string words(row.words);
        const std::size_t blank = words.find(' ');
        CLI::App* parent = blank == std::string::npos ? &app_ : family(words.substr(0, blank));
        CLI::App* command = parent->add_subcommand(blank == std::string::npos ? words : words.substr(blank + 1));
        command->callback([this, &row] { options_.command = row.command; });
        for (const OptionRow& option : option_table())
            if ((option.commands & of(row.command)) != 0)
                add_option(*command, option);
    }

    // The command of which `trace info` and its like are parts.
    CLI::App* family(const std::string& word) {
        for (CLI::App* known : app_.get_subcommands([](const CLI::App*) { return true; }))
            if (known->get_name() == word)
                return known;
        CLI::App* fresh = app_.add_subcommand(word);
        fresh->require_subcommand(1);
        return fresh;
    }

    void add_option(CLI::App& command, const OptionRow& row) {
        const auto set = [this, &row](const std::string& text) {
            if (auto done = set_option(options_, row, text); !done.ok() && !trouble_)
                trouble_ = done.error();
        };
        if (is_flag(row)) {
            command.add_flag_callback(std::string(row.name), [set] { set(""); });
            return;
        }
        const CLI::callback_t each = [set](const CLI::results_t& texts) {
            for (const std::string& text : texts)
                set(text);
            return true;
        };
        CLI::Option* option = command.add_option(std::string(row.name), each);
        option->type_name(value_name(row))->expected(1)->required(row.required);
        if (row.kind == OptionRow::Kind::List)
            option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        if (row.kind == OptionRow::Kind::List && !row.commas_are_text)
            option->delimiter(',');
    }

    // "trace info", as far as it was given.
    std::string words_given() const {
        std::string words;
        for (const CLI::App* app = &app_; !app->get_subcommands().empty();) {
            app = app->get_subcommands().front();
            words += (words.empty() ? "" : " ") + app->get_name();
        }
        return words;
    }

    const CommandRow* row_given() const {
        for (const CommandRow& row : command_table())
            if (row.words == words_given())
                return &row;
        return nullptr;
    }

    // An option that is not known leaves its value behind, too.
    std::string first_unknown() const {
        const std::vector<std::string> words = app_.remaining(true);
        const auto option = std::find_if(words.begin(), words.end(), [](const auto& word) { return word[0] == '-'; });
        return option != words.end() ? *option : words.front();
    }

    // What CLI11 finds wrong besides words that it does not know.
    Error mistake(const CLI::ParseError& error) {
        const CommandRow* command = row_given();
        const std::string words = words_given();
        std::string text = error.what();
        if (command == nullptr && !words.empty()) { // `trace` alone, or with a word that is none of its
            std::vector<std::string> parts;
            for (const CommandRow& part : command_table())
                if (part.words.starts_with(words + " "))
                    parts.emplace_back(part.words.substr(words.size() + 1));
            text = fmt::format("`{}` needs one of {}", words, fmt::join(parts, ", "));
        } else if (command != nullptr && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
            text = missing_option(options_, *command);
        } else if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
            // "--limit: 1 required N missing", "--limit: At Most 1 required but received 2"
            const OptionRow* row = row_named(text.substr(0, text.find(':')));
            const bool many = text.find("received") != std::string::npos;
            if (row != nullptr)
                text = many ? fmt::format("{} is given more than once", first_name(*row))
                            : fmt::format("{} needs a value: {}", first_name(*row), value_name(*row));
        }
        return usage(fmt::format("{}; see forkscope {}--help", text, words.empty() ? "" : words + " "));
    }

    Result<Options> printing(Command command, std::string text) {
        options_.command = command;
        options_.help_text = std::move(text);
        return std::move(options_);
    }

    CLI::App app_{"", "forkscope"};
    Options options_;
    std::optional<Error> trouble_; // with an option's value, the first one
};

} // namespace

Result<Options> parse_options(int argc, char** argv) { return Parser().parse(normalised(argc, argv)); }

} // namespace forkscope
