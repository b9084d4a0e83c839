// Prints what must come out the same on every target, a line each: state hashes by (kernel, processor, clock, number of
// instructions), snapshots, event streams, what observers make of them, names of addresses, random programs.
#include <array>
#include <cstdio>
#include <memory>
#include <string>

#include <spdlog/spdlog.h>

#include "emu/base/archive.hpp"
#include "emu/base/sinks.hpp"
#include "emu/machine/images.hpp"
#include "emu/machine/machine.hpp"
#include "emu/observe/forks/fork_tracer.hpp"
#include "emu/symbols/symbolizer.hpp"
#include "tests/differential/comparison.hpp"
#include "tests/differential/program_generator.hpp"

namespace forkscope::test {
namespace {

// Boots, forks, copies on write, pipes, execs through the shell, exits; the second one forks many times more.
constexpr const char* kWorkload = "run=forkdemo --child 20 --parent 3; ls bin | wc; cowtest";
constexpr const char* kLongWorkload = "run=forkstorm 60; usertests";
constexpr u64 kStep = 500'000;
constexpr u64 kLongStep = 5'000'000;
constexpr u64 kLongEnd = 30'000'000;

template <class... Parts> void print(const char* format, Parts... parts) {
    std::fputs(fmt::format(fmt::runtime(format), parts...).c_str(), stdout);
    std::fputc('\n', stdout);
    std::fflush(stdout);
}

u64 digest_of(const std::string& text) { return checksum({reinterpret_cast<const u8*>(text.data()), text.size()}); }

std::unique_ptr<Machine> machine_with(const std::string& os, const char* workload, MachineConfig config) {
    const auto kernel = embedded_kernel(os).value();
    const auto initrd = embedded_initrd();
    config.kernel_name = os;
    config.kernel = SharedBytes::copy_of(kernel);
    config.modules = {{"initrd.tar", SharedBytes::copy_of(initrd)}};
    config.command_line = workload;
    auto machine = Machine::create(std::move(config));
    EMU_ASSERT(machine.ok(), "no machine: {}", machine.error().message);
    return std::move(machine).value();
}

// Runs to `end` instructions, or to where the guest ends the machine.
template <class Visit> void run_in_steps(Machine& machine, u64 step, u64 end, Visit visit) {
    for (u64 next = step; next <= end; next += step) {
        StopKind cause = StopKind::Requested;
        while (cause == StopKind::Requested)
            cause = machine.run({kNever, next}).kind;
        visit();
        if (cause != StopKind::Limit)
            return;
    }
}

void report_hashes(const std::string& os, const char* workload, const MachineConfig& config, u64 step, u64 end) {
    constexpr const char* kClocks[] = {"flat", "model", "cache"};
    const auto machine = machine_with(os, workload, config);
    run_in_steps(*machine, step, end, [&] {
        print("hash {} {} {} {} {} {:016x}", os, model_of(config.cpu).name,
              kClocks[static_cast<std::size_t>(config.clock)],
              config.engine == EngineKind::Block ? "blocks" : "interpreter", machine->instructions(), machine->hash());
    });
}

void report_every_hash() {
    MachineConfig config;
    for (const std::string& os : embedded_kernel_names())
        for (const CpuModel cpu : {CpuModel::I486, CpuModel::Pentium, CpuModel::P6})
            for (const CostModelKind clock : {CostModelKind::Flat, CostModelKind::Model, CostModelKind::Cache}) {
                config.cpu = cpu;
                config.clock = clock;
                report_hashes(os, kWorkload, config, kStep, kNever - kStep);
            }
    report_hashes("lunaix", kLongWorkload, {}, kLongStep, kLongEnd);
    config.engine = EngineKind::Interpreter;
    report_hashes("minix", kWorkload, config, kStep, kNever - kStep);
}

void report_snapshot(const std::string& os) {
    const auto first = machine_with(os, kWorkload, {});
    run_in_steps(*first, kStep, 2 * kStep, [] {});
    const Snapshot snapshot = first->snapshot();
    for (const SnapshotSection& section : snapshot.sections())
        print("section {} {} {} bytes {:016x}", os, section.name, section.bytes.size(), checksum(section.bytes));
    const auto second = machine_with(os, kWorkload, {});
    const bool restored = second->restore(snapshot).ok();
    print("snapshot {} {} {:016x}", os, restored ? "restored" : "refused", second->hash());
}

// The whole stream, and what a tracer makes of it.
class EventDigest final : public TraceSink {
  public:
    void on_event(const TraceEvent& event) override {
        const std::array<u64, 8> words = {event.instructions,
                                          event.cycle,
                                          static_cast<u64>(event.kind),
                                          event.address_space,
                                          event.a,
                                          event.b,
                                          event.c,
                                          event.d};
        for (const u64 word : words)
            digest_ = (digest_ ^ word) * 0x9E3779B97F4A7C15ull + (digest_ >> 29);
        ++count_;
    }
    u64 count() const { return count_; }
    u64 digest() const { return digest_; }

  private:
    u64 count_ = 0;
    u64 digest_ = 0;
};

void report_forks(const std::string& os) {
    Symbolizer symbols;
    symbols.add_kernel(ElfImage::from_bytes(os, embedded_kernel(os).value()).value());
    static_cast<void>(symbols.add_programs_of_initrd(embedded_initrd()));
    const auto machine = machine_with(os, kWorkload, {});
    ForkTracerOptions options;
    options.watch = [&](u32 frame) { machine->mmu().flag_frame(frame >> kPageShift, kFramePageTable); };
    options.frame_pointer = [&] { return machine->registers().reg<u32>(kEbp); };
    ForkTracer tracer(machine->mmu().memory(), &symbols, options);
    EventDigest events;
    SinkList sinks;
    sinks.add(events);
    sinks.add(tracer);
    machine->set_trace_sink(&sinks);
    run_in_steps(*machine, kStep, kNever - kStep, [] {});
    print("events {} {} {:016x}", os, events.count(), events.digest());
    std::string stops;
    for (const ForkRecord& fork : tracer.forks())
        for (const ForkStop& stop : fork.stops)
            stops += fmt::format("{} {} {}\n", stop.id, stop.begin_instructions, stop.end_cycle);
    print("forks {} {} {:016x}", os, tracer.forks().size(), digest_of(stops));
    machine->set_trace_sink(nullptr);
}

// Every function of the kernel, with file, line and what is inlined there.
void report_names(const std::string& os) {
    Symbolizer symbols;
    symbols.add_kernel(ElfImage::from_bytes(os, embedded_kernel(os).value()).value());
    auto programs = symbols.add_programs_of_initrd(embedded_initrd());
    std::string text;
    u32 lines = 0;
    for (const Symbol& symbol : symbols.kernel()->symbols())
        for (u32 at = symbol.start; symbol.function && at < symbol.start + symbol.size; at += 16) {
            const Location location = symbols.lookup(0, at);
            lines += location.line != 0;
            text += location.text() + '\n';
        }
    print("names {} {} programs, {} lines {:016x}", os, programs.ok() ? *programs : 0, lines, digest_of(text));
}

// User-mode programs of all integer, x87, MMX, SSE and SSE2 instructions: what they leave in registers and memory.
void report_programs(const char* name, const ProgramStyle& style, u64 seed, u32 programs) {
    auto shared = std::make_unique<SharedMemory>();
    Random random(1);
    shared->has_ldt = 1;
    for (auto& image : shared->images)
        for (u8& byte : image)
            byte = static_cast<u8>(random.next());
    BareMachine machine(EngineKind::Interpreter, *shared);
    ProgramGenerator generator(seed, machine);
    TestCase test;
    u64 digest = 0;
    u64 instructions = 0;
    for (u32 i = 1; i <= programs; ++i) {
        generator.make(style, test);
        instructions += run_reference(machine, test).instructions;
        digest = (digest ^ machine.state_hash() ^ machine.memory_hash()) * 0x9E3779B97F4A7C15ull;
        if (i % (programs / 4) == 0)
            print("programs {} {} {} instructions {:016x}", name, i, instructions, digest);
    }
}

void report_all() {
    spdlog::set_level(spdlog::level::err); // random programs have many opcodes that no processor has
    report_programs("flat", {}, 11, 4'000);
    report_programs("segments", {.segments = true}, 12, 2'000);
    report_programs("16-bit", {.segments = true, .code_16 = true}, 13, 2'000);
    for (const std::string& os : embedded_kernel_names()) {
        report_names(os);
        report_forks(os);
        report_snapshot(os);
    }
    report_every_hash();
}

} // namespace
} // namespace forkscope::test

int main() {
    forkscope::test::report_all();
    return 0;
}
