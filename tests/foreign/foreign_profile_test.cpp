// A fork profile names the stops of a small kernel that states nothing; what the kernel prints says whether it is
// right.
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

#include <unistd.h>

#include <gtest/gtest.h>

#include "emu/session/session.hpp"

namespace forkscope {
namespace {

std::string text_of_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct ProfiledRun {
    explicit ProfiledRun(const std::string& words, const std::string& profile = FOREIGN_PROFILES "/cow.toml") {
        const std::string out = ::testing::TempDir() + std::to_string(::getpid()) + "_console";
        Options options;
        options.command = Command::Fork;
        options.display = Display::None;
        options.serial = "none";
        options.debug_console = "file:" + out;
        options.kernel_path = FOREIGN_IMAGES "/cow.elf";
        options.profile = profile;
        options.machine.command_line = words;
        options.machine.ram_bytes = u64{16} << 20;
        options.trace_forks = true;
        auto created = Session::create(options);
        if (!created.ok()) {
            error = created.error();
            return;
        }
        session = std::move(created).value();
        EXPECT_EQ(session->run_to_end().code, ExitCode::Ok);
        EXPECT_TRUE(session->finish().ok());
        console = text_of_file(out);
        std::remove(out.c_str());
    }

    // The numbers behind `names` in each line that begins with `word`, as the kernel prints them.
    std::vector<std::vector<u32>> told(const std::string& word, const std::vector<std::string>& names, int base) const {
        std::vector<std::vector<u32>> all;
        std::istringstream stream(console);
        for (std::string line; std::getline(stream, line);) {
            if (line.rfind(word + " ", 0) != 0)
                continue;
            std::vector<u32>& row = all.emplace_back();
            for (const std::string& name : names)
                row.push_back(static_cast<u32>(std::stoul(line.substr(line.find(name) + name.size()), nullptr, base)));
        }
        return all;
    }
    // By space, of the process that was made last with it.
    std::map<u32, u32> pids() const {
        std::map<u32, u32> pids;
        const auto numbers = told("process", {"process "}, 10), spaces = told("process", {"space="}, 16);
        for (std::size_t i = 0; i < numbers.size(); ++i)
            pids[spaces[i][0]] = numbers[i][0] + 1;
        return pids;
    }

    std::unique_ptr<Session> session;
    Error error;
    std::string console;
};

TEST(ForeignProfiles, NameTheStopsPidsAndFaultsThatTheKernelPrints) {
    for (const std::string words : {"plain", "plain first=child", "chain"}) {
        const ProfiledRun run(words);
        ASSERT_NE(run.session, nullptr) << run.error.message;
        const auto forks = run.told("fork", {"parent=", "child="}, 16);
        const auto protects = run.told("tables", {"protects="}, 10);
        const auto pids = run.pids();
        ASSERT_FALSE(forks.empty()) << run.console;
        ASSERT_EQ(run.session->tracer()->forks().size(), forks.size()) << words;
        u64 faults = 0;
        std::size_t number = 0;
        for (const ForkRecord& fork : run.session->tracer()->forks()) {
            std::vector<std::string> stops;
            for (const ForkStop& stop : fork.stops)
                stops.emplace_back(fork_stop_name(stop.id).number);
            EXPECT_EQ(stops, (std::vector<std::string>{"0", "2", "1"})) << words;
            EXPECT_FALSE(fork.stated);
            EXPECT_EQ(fork.parent_pid, pids.at(forks[number][0])) << words << run.console;
            EXPECT_EQ(fork.child_pid, pids.at(forks[number][1])) << words << run.console;
            faults += fork.cow_faults();
            // fork_space() alone takes rights away.
            for (const ForkStop& stop : fork.stops)
                EXPECT_EQ(stop.counts.pte_protects, stop.id == fork.stops[1].id ? protects[number][0] : 0)
                    << words << " " << fork_stop_name(stop.id).number << " of fork " << number;
            ++number;
        }
        EXPECT_EQ(faults, run.told("fault", {"page="}, 16).size()) << words << run.console;
    }
}

TEST(ForeignProfiles, WhoseFunctionsAreMissingAreRefusedByPlaceAndName) {
    const std::string path = ::testing::TempDir() + std::to_string(::getpid()) + "_missing.toml";
    std::ofstream(path) << "system = \"cow\"\n[[stop]]\nnumber = \"0\"\nfunctions = [\"fork\"]\n"
                           "[[stop]]\nnumber = \"2\"\nfunctions = [\"copyuvm\", \"vmspace_fork\"]\n";
    const ProfiledRun run("plain", path);
    std::remove(path.c_str());
    ASSERT_EQ(run.session, nullptr);
    EXPECT_EQ(run.error.code, ExitCode::Usage);
    EXPECT_EQ(run.error.message.find(path + ":7:"), 0u) << run.error.message;
    EXPECT_NE(run.error.message.find("no function 'copyuvm' nor 'vmspace_fork' for stop 2"), std::string::npos)
        << run.error.message;
}

} // namespace
} // namespace forkscope
