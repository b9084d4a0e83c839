// The table of options: each can be set from text, refuses what does not fit, and stands in README as it is.
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "emu/session/options/option_help.hpp"

namespace forkscope {
namespace {

const OptionRow& row_of(std::string_view name, Command command) {
    for (const OptionRow& row : option_table())
        if (long_name(row) == name && (row.commands & of(command)) != 0)
            return row;
    ADD_FAILURE() << "no option " << name;
    return option_table().front();
}

Result<Options> set(std::initializer_list<std::pair<const char*, const char*>> given, Command command = Command::Run) {
    Options options;
    options.command = command;
    for (const auto& [name, text] : given)
        if (auto done = set_option(options, row_of(name, command), text); !done.ok())
            return done.error();
    if (auto checked = check_options(options); !checked.ok())
        return checked.error();
    return options;
}

TEST(Options, AreDeclaredOnceForEachCommand) {
    for (const CommandRow& command : command_table()) {
        std::set<std::string> names;
        std::set<std::string_view> qemu;
        for (const OptionRow& row : option_table()) {
            if ((row.commands & of(command.command)) == 0)
                continue;
            EXPECT_TRUE(names.insert(std::string(long_name(row))).second) << command.words << " " << row.name;
            EXPECT_TRUE(row.qemu.empty() || qemu.insert(row.qemu).second) << row.qemu;
            EXPECT_TRUE(row.group == OptionGroup::Hidden || !row.help.empty()) << row.name;
            EXPECT_NE(row.help.substr(row.help.empty() ? 0 : row.help.size() - 1), ".") << row.name;
            EXPECT_TRUE(is_flag(row) || is_operand(row) || !value_name(row).empty()) << row.name;
        }
        // An editor's launch request says what `dap` runs: the command line has nothing to add.
        EXPECT_EQ(names.empty(), command.command == Command::Dap) << command.words;
    }
}

TEST(Options, TakeEachWordThatTheyOffer) {
    for (const OptionRow& row : option_table()) {
        for (const std::string& word : words_of(row)) {
            Options options;
            EXPECT_TRUE(set_option(options, row, word).ok()) << row.name << " " << word;
            EXPECT_TRUE(options.given(row.name));
        }
        if (words_of(row).empty())
            continue;
        Options options;
        const auto refused = set_option(options, row, "plan9");
        ASSERT_FALSE(refused.ok()) << row.name;
        EXPECT_EQ(refused.error().code, ExitCode::Usage);
        for (const std::string& part : {std::string(first_name(row)), std::string("'plan9'"), words_of(row).back()})
            EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
    }
}

TEST(Options, AreInitiallyWhatTheTableSays) {
    for (const OptionRow& row : option_table()) {
        const std::string text = default_text(row);
        if (row.initial == nullptr || row.kind != OptionRow::Kind::Value || !row.by_default.empty() || text.empty())
            continue;
        Options options;
        ASSERT_TRUE(set_option(options, row, text).ok()) << row.name << " " << text;
        EXPECT_EQ(row.initial(), text);
    }
}

TEST(Options, RefuseAnEmptyWordButWhereItIsAValue) {
    for (const OptionRow& row : option_table()) {
        Options options;
        if (!is_flag(row) && row.group != OptionGroup::Hidden) {
            EXPECT_EQ(set_option(options, row, "").ok(), row.may_be_empty) << row.name;
        }
    }
}

TEST(Options, ReachTheMachinesConfiguration) {
    const auto options = set({{"--memory", "48M"},
                              {"--cpu", "i386"},
                              {"--clock", "cache"},
                              {"--bus", "16"},
                              {"--tlb", "random:7"},
                              {"--engine", "interp"},
                              {"--no-fast-table", ""},
                              {"--direct", ""},
                              {"--append", ""},
                              {"--append", "quiet"}});
    ASSERT_TRUE(options.ok()) << options.error().message;
    const MachineConfig& machine = options->machine;
    EXPECT_EQ(machine.ram_bytes, u64{48} << 20);
    EXPECT_EQ(machine.cpu, CpuModel::I386);
    EXPECT_EQ(machine.clock, CostModelKind::Cache);
    EXPECT_EQ(machine.bus, BusWidth::Bits16);
    EXPECT_EQ(machine.tlb, TlbStudy::Random);
    EXPECT_EQ(machine.tlb_seed, 7u);
    EXPECT_EQ(machine.engine, EngineKind::Interpreter);
    EXPECT_FALSE(machine.fast_table);
    EXPECT_TRUE(machine.direct);
    EXPECT_EQ(machine.command_line, "quiet");
}

TEST(Options, AreCheckedTogether) {
    EXPECT_FALSE(set({{"--bus", "32"}}).ok());
    EXPECT_FALSE(set({{"--bus", "16"}, {"--cpu", "i386"}}).ok());
    EXPECT_TRUE(set({{"--bus", "16"}, {"--cpu", "i386"}, {"--clock", "model"}}).ok());
}

TEST(Options, ReadSizesAndLimits) {
    const auto bytes = [](const char* text) {
        const auto options = set({{"--memory", text}});
        return options.ok() ? options->machine.ram_bytes : 0;
    };
    EXPECT_EQ(bytes("64"), u64{64} << 20);
    EXPECT_EQ(bytes("65536"), 65536u);
    EXPECT_EQ(bytes("1.5GiB"), u64{3} << 29);
    EXPECT_EQ(bytes("512k"), u64{512} << 10);
    for (const char* none : {"abc", "M", "64X", "-5", "0", "1e", "64MM", "nan", "1e30"})
        EXPECT_EQ(bytes(none), 0u) << none;
    const auto limit = [](const char* text) {
        const auto options = set({{"--limit", text}});
        return options.ok() ? options->limit : RunLimit{1, 1};
    };
    EXPECT_EQ(limit("3e3i").instructions, 3000u);
    EXPECT_EQ(limit("3e3i").cycle, kNever);
    EXPECT_EQ(limit("1e9c").cycle, 1'000'000'000u);
    EXPECT_EQ(limit("10s").cycle, 10 * MachineConfig{}.cycles_per_second);
    EXPECT_EQ(limit("500ms").cycle, MachineConfig{}.cycles_per_second / 2);
    for (const char* none : {"abc", "10x", "-1i", "1e999i", "i", "s", "nan", "infi", "10"})
        EXPECT_EQ(limit(none).cycle, 1u) << none;
    EXPECT_FALSE(set({{"--pages", "4294967296"}}, Command::Fork).ok());
    EXPECT_FALSE(set({{"--pages", "-1"}}, Command::Fork).ok());
}

TEST(Options, RefuseAWorkloadThatWouldBeIgnored) {
    const auto error = [](std::initializer_list<std::pair<const char*, const char*>> given) {
        const auto options = set(given, Command::Record);
        return options.ok() ? "" : options.error().message;
    };
    EXPECT_EQ(error({{"--append", "quiet"}, {"--pages", "3"}}), "");
    EXPECT_EQ(error({{"--append", "run=forktree"}}), "");
    EXPECT_NE(error({{"--append", "quiet run=forktree"}, {"--pages", "3"}}).find("--append"), std::string::npos);
    EXPECT_NE(error({{"--append", "run=forktree"}, {"--workload", "ls"}}).find("run="), std::string::npos);
    EXPECT_NE(error({{"--workload", "ls"}, {"--parent-pages", "1"}}).find("--workload"), std::string::npos);
}

const CommandRow& command_row(Command command) {
    for (const CommandRow& row : command_table())
        if (row.command == command)
            return row;
    return command_table().front();
}

TEST(Help, ListsEachOptionOfACommandOnceUnderItsGroup) {
    for (const CommandRow& command : command_table()) {
        const std::string text = help_text(std::string(command.words));
        EXPECT_EQ(text.find("Usage: forkscope " + std::string(command.words) + " "), 0u) << text;
        for (const OptionRow& row : option_table()) {
            const std::string name = fmt::format("\n  {}", first_name(row));
            const std::size_t at = text.find(name);
            const bool wanted = (row.commands & of(command.command)) != 0 && row.group != OptionGroup::Hidden;
            if (wanted) {
                EXPECT_NE(at, std::string::npos) << command.words << " " << row.name;
                EXPECT_LT(text.find(fmt::format("\n{}:\n", group_name(row.group))), at) << row.name;
            }
        }
        for (std::size_t start = 0; start < text.size(); start = text.find('\n', start) + 1)
            EXPECT_LE(text.find('\n', start) - start, 104u) << text.substr(start, 120);
        EXPECT_EQ(text.find('`'), std::string::npos);
    }
    EXPECT_EQ(help_text("run").find("--pages"), std::string::npos);
    EXPECT_EQ(help_text("run").find("--hda"), std::string::npos);
    EXPECT_NE(help_text("trace").find("forkscope trace stat FILE"), std::string::npos);
    EXPECT_EQ(usage_line(command_row(Command::Record)), "forkscope record -o FILE [OPTION…]");
}

TEST(Help, GuessesWhatWasMeant) {
    const CommandRow& run = command_row(Command::Run);
    for (const auto& [typed, meant] :
         {std::pair{"--limt", "--limit"}, std::pair{"--kernal=x", "--kernel"}, std::pair{"--screen", "--screenshot"},
          std::pair{"--haedless", "--headless"}, std::pair{"-kernl", "-kernel"}, std::pair{"--halp", "--help"}})
        EXPECT_NE(unknown_word(typed, &run).find(fmt::format("did you mean {}?", meant)), std::string::npos)
            << unknown_word(typed, &run);
    for (const auto& [typed, meant] :
         {std::pair{"frok", "fork"}, std::pair{"rnu", "run"}, std::pair{"compre", "compare"},
          std::pair{"rec", "record"}, std::pair{"traces", "trace"}})
        EXPECT_NE(unknown_word(typed, nullptr).find(fmt::format("did you mean {}?", meant)), std::string::npos)
            << unknown_word(typed, nullptr);
    EXPECT_EQ(unknown_word("--weather-report", &run), "there is no option --weather-report; see forkscope run --help");
    EXPECT_EQ(unknown_word("--pages", &run),
              "--pages is no option of `run` but of fork, step, record; see forkscope run --help");
}

// README's tables. FORKSCOPE_UPDATE=1 writes them anew.
TEST(Help, StandsInReadmeAsItIs) {
    const std::string path = FORKSCOPE_README;
    std::stringstream read;
    read << std::ifstream(path).rdbuf();
    std::string wanted = read.str();
    for (const auto& [head, part] : {std::pair{"| command | does |", commands_markdown()},
                                     std::pair{"| option | means | default |", options_markdown()},
                                     std::pair{"QEMU's spellings are accepted:", qemu_markdown()}}) {
        const std::size_t start = wanted.find(head);
        ASSERT_NE(start, std::string::npos) << head;
        wanted.replace(start, wanted.find("\n\n", start) + 1 - start, part);
    }
    if (std::getenv("FORKSCOPE_UPDATE") != nullptr)
        std::ofstream(path) << wanted;
    else
        EXPECT_TRUE(read.str() == wanted) << "README.md is not up to date: FORKSCOPE_UPDATE=1 test_session "
                                             "--gtest_filter=Help.StandsInReadmeAsItIs";
}

} // namespace
} // namespace forkscope
