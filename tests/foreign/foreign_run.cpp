#include "foreign_run.hpp"

#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

namespace forkscope {

namespace {

constexpr Cycles kMostCycles = 2'000'000'000;

std::vector<u8> image_bytes(const std::string& image) {
    std::ifstream file(std::string(FOREIGN_IMAGES "/") + image + ".elf", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines)
        text += line + "\n";
    return text;
}

} // namespace

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
    symbols_.set_layout(GuestLayout::of_kernel(**kernel));
    symbols_.add_kernel(std::move(kernel).value());
    machine_ = std::move(Machine::create(std::move(config))).value();
    machine_->set_output([this](std::string_view channel, u8 byte) {
        if (channel == "debug")
            console_ += static_cast<char>(byte);
    });
    ForkTracerOptions options;
    options.layout = symbols_.layout();
    options.watch = [this](u32 frame) { machine_->mmu().flag_frame(frame >> kPageShift, kFramePageTable); };
    options.paging = [this] { return machine_->mmu().control(); };
    options.account = [this] { return machine_->cpu().cycles_by_cause(); };
    options.frame_pointer = [this] { return machine_->registers().reg<u32>(kEbp); };
    tracer_ = std::make_unique<ForkTracer>(machine_->mmu().memory(), &symbols_, options);
    if (traced == Traced::Yes)
        machine_->set_trace_sink(tracer_.get());
    EXPECT_EQ(machine_->run({.cycle = kMostCycles}).kind, StopKind::Exit) << console_;
    EXPECT_EQ(machine_->exit_status(), 0u) << console_;
    machine_->set_trace_sink(nullptr);
}

std::vector<std::string> ForeignRun::lines(const std::string& word) const {
    std::vector<std::string> found;
    std::istringstream text(console_);
    for (std::string line; std::getline(text, line);)
        if (line.rfind(word + " ", 0) == 0)
            found.push_back(line);
    return found;
}

std::string ForeignRun::values() const {
    std::string text;
    std::string last;
    for (const std::string& line : lines("value")) {
        const std::size_t end = line.find(" space=");
        const std::string space = line.substr(end);
        if (!text.empty())
            text += space == last ? " " : ", ";
        text += line.substr(6, end - 6);
        last = space;
    }
    return text;
}

std::string ForeignRun::told() const { return joined(lines("fork")) + joined(lines("fault")); }

std::string ForeignRun::traced() const {
    std::vector<std::string> forks;
    std::multimap<u64, std::string> faults;
    for (const ForkRecord& fork : tracer_->forks()) {
        const u64 copied = fork.counts.frames_copied;
        const u64 shared = fork.shared.size();
        forks.push_back(fmt::format("fork parent={:x} child={:x} pages={} copied={} shared={}", fork.parent_directory,
                                    fork.child_directory, copied + shared, copied, shared));
        for (const ForkFault& fault : fork.faults)
            if (fault.belongs)
                faults.emplace(fault.record->number,
                               fmt::format("fault space={:x} page={:x} {}", fault.record->address_space,
                                           fault.record->page_address(),
                                           fault.record->page == FaultClass::CowCopy    ? "copy"
                                           : fault.record->page == FaultClass::CowReuse ? "reuse"
                                                                                        : "neither"));
    }
    std::string text = joined(forks);
    for (const auto& [number, line] : faults)
        text += line + "\n";
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
