// The tracer against the guest kernel that is built into the program: what it says about a fork must be so.
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include <gtest/gtest.h>

#include "emu/base/sinks.hpp"
#include "emu/machine/images.hpp"
#include "emu/machine/machine.hpp"
#include "emu/observe/forks/fork_tracer.hpp"
#include "emu/report/fork_report.hpp"
#include "emu/report/json_writer.hpp"
#include "emu/report/text_writer.hpp"
#include "emu/session/profiles/profile_file.hpp"
#include "emu/session/session.hpp"
#include "emu/trace/trace_file.hpp"
#include "emu/trace/trace_text.hpp"
#include "guest/abi/tracepoints.h"
#include "sinks_for_tests.hpp"

using namespace forkscope;

namespace {

// A machine with the built-in guest that runs one command, and a tracer that gets what the filter passes.
struct Guest {
    explicit Guest(const std::string& command, bool with_tracepoints = true, bool traced = true) {
        MachineConfig config;
        const auto kernel = embedded_kernel("lunaix").value();
        const auto initrd = embedded_initrd();
        config.kernel = SharedBytes::copy_of(kernel);
        config.modules = {{"initrd.tar", SharedBytes::copy_of(initrd)}};
        config.command_line = "run=" + command;
        config.direct = true;
        symbols.add_kernel(ElfImage::from_bytes("kernel", kernel).value());
        EXPECT_TRUE(symbols.add_programs_of_initrd(initrd).ok());
        machine = std::move(Machine::create(std::move(config))).value();
        tracer = std::make_unique<ForkTracer>(machine->mmu().memory(), &symbols, tracer_options_for(*machine));
        filter = std::make_unique<FilterSink>(*tracer, [with_tracepoints](const TraceEvent& event) {
            return with_tracepoints || event.kind != TraceKind::Tracepoint;
        });
        sinks.add(*filter);
        machine->set_output([this](std::string_view channel, u8 byte) {
            if (channel == "com1")
                console += static_cast<char>(byte);
        });
        if (traced)
            machine->set_trace_sink(&sinks);
    }
    StopKind run() { return machine->run({.cycle = 4'000'000'000}).kind; }
    const ForkRecord* workload_fork() const {
        for (const ForkRecord& fork : tracer->forks())
            if (fork.in_workload)
                return &fork;
        return nullptr;
    }

    std::string console;
    Symbolizer symbols;
    std::unique_ptr<Machine> machine;
    std::unique_ptr<ForkTracer> tracer;
    std::unique_ptr<FilterSink> filter;
    SinkList sinks;
};

std::string forkdemo(u32 pages) { return fmt::format("forkdemo --pages {0} --child {0}", pages); }

} // namespace

TEST(GuestFork, NamesTheStopsByTheOriginalAndShowsWhereTheyAreStated) {
    Guest guest("forkdemo --pages 2");
    ASSERT_EQ(guest.run(), StopKind::Exit);
    const ForkRecord* fork = guest.workload_fork();
    ASSERT_NE(fork, nullptr);
    ForkReportOptions options;
    options.symbols = &guest.symbols;
    options.profile = find_fork_profile("lunaix");
    ASSERT_NE(options.profile, nullptr);
    for (const ForkStop& stop : fork->stops) {
        const Location place = stop_location(stop, guest.symbols);
        EXPECT_EQ(place.symbol, stop.id == TP_FORK_ENTER ? "fork_process" : "dup_proc");
        EXPECT_EQ(place.source().rfind("fork.c:", 0), 0u) << place.source();
        EXPECT_FALSE(options.profile->functions_at(fork_stop_name(stop.id).number).empty());
    }
    const std::string text = document_text(fork_document(*fork, options));
    EXPECT_NE(text.find("region_maybe_cow; stated in dup_proc (fork.c:"), std::string::npos) << text;
    EXPECT_NE(text.find("F: handle_page_fault"), std::string::npos);
    EXPECT_NE(document_json(fork_document(*fork, options)).find("\"original\": \"__dup_fdtable\""), std::string::npos);
}

TEST(GuestFork, FaultsAreThePagesThatTheChildWritesPlusAConstant) {
    std::vector<i64> constants;
    for (u32 pages : {0u, 1u, 7u, 64u, 1000u}) {
        Guest guest(forkdemo(pages));
        ASSERT_EQ(guest.run(), StopKind::Exit) << guest.console;
        const ForkRecord* fork = guest.workload_fork();
        ASSERT_NE(fork, nullptr);
        const CowSummary summary = cow_summary(*fork);
        EXPECT_EQ(summary.pages_named, pages);
        EXPECT_EQ(summary.named.size(), pages);
        EXPECT_EQ(summary.named.size() + summary.rest.size(), summary.cow_faults);
        constants.push_back(summary.constant);
        for (const ForkFault* fault : summary.named)
            EXPECT_EQ(guest.symbols.lookup_in(fault->record->program, fault->record->eip).text().substr(0, 11),
                      "write_pages");
        EXPECT_EQ(fork->findings, std::vector<std::string>{});
        EXPECT_FALSE(fork->trimmed);
        const std::string text = document_text(fork_document(*fork, {.symbols = &guest.symbols}));
        if (pages == 7)
            std::puts(text.c_str());
    }
    for (i64 constant : constants)
        EXPECT_EQ(constant, constants[0]);
}

TEST(GuestFork, EveryEntryThatForkWroteHasAnOwnerAWriterAndALine) {
    Guest guest(forkdemo(7));
    ASSERT_EQ(guest.run(), StopKind::Exit) << guest.console;
    const ForkRecord* fork = guest.workload_fork();
    ASSERT_NE(fork, nullptr);
    ASSERT_FALSE(fork->ptes.empty());
    u64 child_pages = 0;
    for (const PteChange& change : fork->ptes) {
        EXPECT_NE(change.side, ForkSide::Unknown) << fmt::format("{:#x}", change.entry_address);
        if (change.written) {
            const Location who = guest.symbols.lookup(0, change.eip);
            EXPECT_TRUE(who.known());
            EXPECT_NE(who.line, 0u);
        }
        child_pages += change.side == ForkSide::Child && change.level == 1 && change.linear < 0xC0000000u &&
                               (change.old_value & kPtePresent) == 0
                           ? 1
                           : 0;
    }
    EXPECT_GE(child_pages, 64u);
    EXPECT_FALSE(fork->stops.empty());
    EXPECT_NE(fork->private_cycle, 0u);
}

TEST(GuestFork, TheHardwareAloneTellsOfTheSameForks) {
    Guest stated(forkdemo(7));
    Guest silent(forkdemo(7), false);
    ASSERT_EQ(stated.run(), StopKind::Exit);
    ASSERT_EQ(silent.run(), StopKind::Exit);
    EXPECT_EQ(stated.machine->hash(), silent.machine->hash());
    ASSERT_EQ(silent.tracer->forks().size(), stated.tracer->forks().size());
    auto other = silent.tracer->forks().begin();
    for (const ForkRecord& fork : stated.tracer->forks()) {
        EXPECT_EQ(other->parent_directory, fork.parent_directory);
        EXPECT_EQ(other->child_directory, fork.child_directory);
        EXPECT_EQ(other->counts.pte_protects, fork.counts.pte_protects);
        EXPECT_EQ(other->cow_faults(), fork.cow_faults());
        EXPECT_FALSE(other->stated);
        ++other;
    }
}

TEST(GuestFork, TracingChangesNothing) {
    Guest traced(forkdemo(64));
    Guest plain(forkdemo(64), true, false);
    ASSERT_EQ(traced.run(), StopKind::Exit);
    ASSERT_EQ(plain.run(), StopKind::Exit);
    EXPECT_EQ(traced.machine->hash(), plain.machine->hash());
    EXPECT_EQ(traced.machine->instructions(), plain.machine->instructions());
}

TEST(GuestFork, AStormOfForksHasNoFindings) {
    for (const char* command : {"forkstorm", "forktree", "cowtest"}) {
        Guest guest(command);
        ASSERT_EQ(guest.run(), StopKind::Exit) << command;
        EXPECT_GT(guest.tracer->forks().size(), 1u) << command;
        for (const ForkRecord& fork : guest.tracer->forks())
            EXPECT_EQ(fork.findings, std::vector<std::string>{}) << command << " fork " << fork.number;
    }
}

TEST(GuestFork, ARecordedRunReadsBackWhole) {
    const std::string path = ::testing::TempDir() + std::to_string(::getpid()) + "_forkscope_guest.trace";
    Guest guest(forkdemo(7));
    auto writer = TraceFileWriter::create(path, {});
    ASSERT_TRUE(writer.ok());
    EventCounts counts;
    guest.sinks.add(**writer);
    guest.sinks.add(counts);
    ASSERT_EQ(guest.run(), StopKind::Exit) << guest.console;
    ASSERT_TRUE((*writer)->finish().ok());
    auto reader = TraceFileReader::open(path);
    ASSERT_TRUE(reader.ok());
    EventCounts read;
    ASSERT_TRUE(reader
                    ->for_each([&](const TraceEvent& event) {
                        read.on_event(event);
                        return true;
                    })
                    .ok());
    EXPECT_EQ(read.total(), counts.total());
    EXPECT_EQ(read.of(TraceKind::PageFault), counts.of(TraceKind::PageFault));
    std::string stat;
    EXPECT_TRUE(trace_stat(
                    *reader, [&](std::string_view part) { stat += part; },
                    [&](u32 eip) { return guest.symbols.lookup(0, eip).text(); })
                    .ok());
    EXPECT_NE(stat.find("cow-copy"), std::string::npos);
    std::remove(path.c_str());
}
