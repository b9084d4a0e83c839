#include "foreign_run.hpp"
#include "emu/report/fork_report.hpp"
#include "emu/session/session.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

namespace forkscope {

namespace {

constexpr Cycles kMostCycles = 2'000'000'000;

std::vector<u8> image_bytes(const std::string& image) {
    std::ifstream file(std::string(FOREIGN_IMAGES "/") + image + ".elf", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

} // namespace

std::string line_difference(const std::string& told, const std::string& traced) {
    const std::vector<std::string> a = split(told);
    const std::vector<std::string> b = split(traced);
    // Of what is left of both from a line on: the longest that they have in common.
    std::vector<std::vector<std::size_t>> common(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = a.size(); i-- > 0;)
        for (std::size_t j = b.size(); j-- > 0;)
            common[i][j] = a[i] == b[j] ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
    std::string text;
    for (std::size_t i = 0, j = 0; i < a.size() || j < b.size();) {
        if (i < a.size() && j < b.size() && a[i] == b[j]) {
            text += "         " + a[i] + "\n";
            ++i, ++j;
        } else if (j == b.size() || (i < a.size() && common[i + 1][j] >= common[i][j + 1])) {
            text += "missing: " + a[i++] + "\n";
        } else {
            text += "wrong:   " + b[j++] + "\n";
        }
    }
    return text;
}

ForeignRun::ForeignRun(const std::string& image, const std::string& words, EngineKind engine, Traced traced) {
    MachineConfig config;
    config.ram_bytes = u64{16} << 20;
    config.engine = engine;
    config.kernel = image_bytes(image);
    config.kernel_name = image;
    config.command_line = words;
    config.direct = true;
    auto kernel = ElfImage::from_bytes(image, config.kernel);
    EXPECT_TRUE(kernel.ok());
    symbols_.add_kernel(std::move(kernel).value());
    machine_ = std::move(Machine::create(std::move(config))).value();
    machine_->set_output([this](std::string_view channel, u8 byte) {
        if (channel == "debug")
            console_ += static_cast<char>(byte);
    });
    ForkTracerOptions options = tracer_options_for(*machine_);
    tracer_ = std::make_unique<ForkTracer>(machine_->mmu().memory(), &symbols_, options);
    tracer_->set_fault_listener([this](const FaultRef& fault) { faults_.push_back(fault); });
    if (traced == Traced::Yes)
        machine_->set_trace_sink(tracer_.get());
    EXPECT_EQ(machine_->run({.cycle = kMostCycles}).kind, StopKind::Exit) << console_;
    EXPECT_EQ(machine_->exit_status(), 0u) << console_;
    machine_->set_trace_sink(nullptr);
    tracer_->guest_ended();
}

std::vector<std::string> ForeignRun::lines(const std::string& word) const {
    std::vector<std::string> found = split(console_);
    std::erase_if(found, [&](const std::string& line) { return line.rfind(word + " ", 0) != 0; });
    return found;
}

std::string ForeignRun::values() const {
    std::string text;
    const char* separator = "";
    std::string last;
    for (const std::string& line : split(console_)) {
        const std::size_t space = line.find(" space=");
        if (line.rfind("exit ", 0) == 0)
            last.clear(); // the next process may have its directory in the same frame
        if (line.rfind("value ", 0) != 0)
            continue;
        if (line.substr(space) != last && !text.empty())
            separator = ", ";
        text += separator + line.substr(6, space - 6);
        last = line.substr(space);
        separator = " ";
    }
    return text;
}

std::string ForeignRun::joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines)
        text += line + "\n";
    return text;
}

std::string ForeignRun::told() const { return joined(lines("fork")) + joined(lines("fault")); }

std::string ForeignRun::traced() const {
    std::vector<std::string> forks;
    std::multimap<u64, std::string> faults;
    for (const ForkRecord& fork : tracer_->forks()) {
        const u64 copied = fork.counts.frames_copied;
        u64 shared = 0;
        for (const auto& [page, left] : fork.shared)
            shared += left.left_inside ? 0 : left.pages();
        forks.push_back(fmt::format("fork parent={:x} child={:x} pages={} copied={} shared={}", fork.parent_directory,
                                    fork.child_directory, copied + shared, copied, shared));
        for (const ForkFault& fault : fork.faults)
            if (fault.belongs && fault.record->is_cow())
                faults.emplace(fault.record->number,
                               fmt::format("fault space={:x} page={:x} {}", fault.record->address_space,
                                           fault.record->page_address(),
                                           fault.record->page == FaultClass::CowCopy ? "copy" : "reuse"));
    }
    std::string text = joined(forks);
    for (const auto& [number, line] : faults)
        text += line + "\n";
    return text;
}

std::string ForeignRun::growth_traced() const {
    std::string text;
    for (const FaultRef& fault : faults_)
        if (fault->resolved && !fault->before.present)
            text += fmt::format("grown space={:x} page={:x} {}\n", fault->address_space, fault->page_address(),
                                fault->page == FaultClass::Stack ? "stack" : "heap");
    return text;
}

std::vector<std::string> ForeignRun::cow_names() const {
    std::vector<std::string> names;
    for (const ForkRecord& fork : tracer_->forks())
        for (const ForkFault& fault : fork.faults)
            if (fault.belongs && fault.record->is_cow())
                names.push_back(fmt::format("fault space={:x} page={:x} {}", fault.record->address_space,
                                            fault.record->page_address(), memory_name(fork, *fault.record, {})));
    return names;
}

std::string ForeignRun::tables_told() const { return joined(lines("tables")); }

std::string ForeignRun::tables_traced() const {
    std::string text;
    for (const ForkRecord& fork : tracer_->forks()) {
        std::set<u32> entries;
        std::set<u32> protects;
        for (const PteChange& change : fork.ptes) {
            const bool present = (change.new_value & kPtePresent) != 0;
            const bool lost = (change.old_value & ~change.new_value & kPteWritable) != 0;
            if (change.level == 1 && present && change.directory == fork.child_directory)
                entries.insert(change.linear);
            if (change.level == 1 && present && lost && change.directory == fork.parent_directory)
                protects.insert(change.linear);
        }
        text += fmt::format("tables child={:x} entries={} protects={}\n", fork.child_directory, entries.size(),
                            protects.size());
    }
    return text;
}

std::string ForeignRun::console_of_qemu(const std::string& image, const std::string& words) {
    const std::string command = fmt::format(
        "timeout 60 qemu-system-i386 -cpu pentium3 -m 16 -display none -serial none -monitor none -no-reboot "
        "-debugcon stdio -device isa-debug-exit,iobase=0xf4,iosize=1 -kernel '{}/{}.elf' -append '{}' "
        "2>/dev/null",
        FOREIGN_IMAGES, image, words);
    std::FILE* pipe = popen(command.c_str(), "r");
    EXPECT_NE(pipe, nullptr);
    std::string text;
    for (int byte = std::fgetc(pipe); byte != EOF; byte = std::fgetc(pipe))
        text += static_cast<char>(byte);
    pclose(pipe);
    return text;
}

std::vector<std::string> ForeignRun::misplaced_faults() const {
    std::vector<std::string> found;
    for (const ForkRecord& fork : tracer_->forks())
        for (const ForkFault& fault : fork.faults) {
            const u32 side = fault.side == ForkSide::Child    ? fork.child_directory
                             : fault.side == ForkSide::Parent ? fork.parent_directory
                                                              : 0;
            if (fault.belongs && fault.record->address_space != side)
                found.push_back(fmt::format("fork {}: a fault of space {:x} is the {}'s", fork.number,
                                            fault.record->address_space, fork_side_name(fault.side)));
        }
    return found;
}

std::vector<std::string> ForeignRun::findings() const {
    std::vector<std::string> found;
    for (const ForkRecord& fork : tracer_->forks())
        for (const std::string& finding : fork.findings)
            found.push_back(fmt::format("fork {}: {}", fork.number, finding));
    return found;
}

} // namespace forkscope
