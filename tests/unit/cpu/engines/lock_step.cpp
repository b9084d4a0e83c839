#include "tests/unit/cpu/engines/lock_step.hpp"

#include <fmt/format.h>

#include <optional>

#include "tests/eager_translator.hpp"
#include "tests/unit/cpu/engines/listener.hpp"
#ifdef FORKSCOPE_TRANSLATOR
#include "cpu/engine/translator/translator_engine.hpp"
#endif

namespace forkscope::test {

namespace {

constexpr u32 kMostCuts = 400;

} // namespace

u32 TroubleDevice::io_read(u32 address, u32 size) {
    disturb(address, size, 0);
    return static_cast<u32>(cpu_.now()) ^ static_cast<u32>(cpu_.instructions() << 12);
}

void TroubleDevice::io_write(u32 address, u32 size, u32 value) { disturb(address, size, value); }

void TroubleDevice::disturb(u32 address, u32 size, u32 value) {
    heard.push_back({cpu_.now(), cpu_.instructions(), address, size, value});
    // Which of these decides the address; so a program meets them all.
    const u32 which = address / 4 % 5;
    if (which == 1 || which == 4)
        cpu_.set_line(0, true);
    if (which == 2 || which == 4)
        cpu_.shorten_deadline(cpu_.now() + address / 16);
}

std::vector<Contender> every_contender() {
    return {{"reference", EngineKind::Interpreter, false},
            {"interpreter", EngineKind::Interpreter},
            {"block", EngineKind::Block},
            {"translator", EngineKind::Translator},
            {"translator, full model", EngineKind::Translator, false},
            {"translator, little memory", EngineKind::Translator, true, u64{40} << 10},
            {"translator, no links", EngineKind::Translator, true, u64{4} << 20, false},
            {"translator, forgetful", EngineKind::Translator, true, u64{4} << 20, true, true}};
}

struct LockStep::Machine {
    Machine(const Contender& contender, u64 seed)
        : what(contender),
          runner({what.engine == EngineKind::Translator ? EngineKind::Block : what.engine, what.fast_table}),
          controller(runner.cpu, 0x31), device(runner.cpu) {
        runner.bus().map_memory(PhysicalAddress(kDeviceAddress), kPageSize, device, 4);
        if (const EngineFactory factory = eager_translator(what.code_bytes, what.links);
            what.engine == EngineKind::Translator && factory)
            runner.cpu.set_engine([&](Context& cpu, Interpreter& interpreter) {
                auto made = factory(cpu, interpreter);
                engine = made.get();
                return made;
            });
        RandomCode(seed).load(runner);
        listener.emplace(runner.cpu, Listener::wishes_of(seed));
    }
    u64 entries() const {
#ifdef FORKSCOPE_TRANSLATOR
        if (const auto* translator = dynamic_cast<const translator::TranslatorEngine*>(engine))
            return translator->entries();
#endif
        return 0;
    }
    std::string text() const {
        const CpuState& r = runner.cpu.state();
        std::string line = fmt::format(
            "{} cycles, {} instructions, eip {:08X}, eflags {:08X}, cr2 {:08X}, heard {}:", runner.cpu.now(),
            runner.cpu.instructions(), r.eip, r.eflags(), r.cr2, device.heard.size());
        for (u8 reg = 0; reg < 8; ++reg)
            line += fmt::format(" {:08X}", static_cast<u32>(r.gpr[reg]));
        return line;
    }

    Contender what;
    CodeRunner runner;
    OneVector controller;
    TroubleDevice device;
    std::optional<Listener> listener; // once all is loaded
    Engine* engine = nullptr;
};

LockStep::LockStep(u64 seed, const std::vector<Contender>& contenders)
    : random_(seed + 1), breakpoint_random_(~seed), seed_(seed) {
    for (const Contender& contender : contenders)
        machines_.push_back(std::make_unique<Machine>(contender, seed));
}

LockStep::~LockStep() = default;

u64 LockStep::entries() const {
    u64 sum = 0;
    for (const auto& machine : machines_)
        sum += machine->entries();
    return sum;
}

u64 LockStep::instructions() const { return machines_.front()->runner.cpu.instructions(); }

u64 LockStep::events() const { return machines_.front()->listener->count(); }

std::string LockStep::run() {
    for (cuts_ = 0; cuts_ < kMostCuts && !ended_; ++cuts_) {
        const bool soon = random_.chance(4);
        const Cycles cycles = random_.chance(2) ? 1 + random_.below(soon ? 8 : 400) : 100'000;
        const u64 instructions = random_.chance(2) ? 1 + random_.below(soon ? 8 : 300) : 5'000;
        if (std::string difference = cut(cycles, instructions); !difference.empty())
            return difference;
        disturb();
        change_breakpoints();
    }
    return {};
}

std::string LockStep::cut(Cycles cycles, u64 instructions) {
    const Machine& first = *machines_.front();
    const Cycles deadline = first.runner.cpu.now() + cycles;
    const u64 limit = first.runner.cpu.instructions() + instructions;
    CpuStop expected{};
    u64 hash = 0;
    for (const auto& machine : machines_) {
        machine->listener->forget();
        const CpuStop stop = machine->runner.cpu.run_until(deadline, limit);
        machine->listener->run_ended(stop);
        const u64 own = machine->runner.hash();
        if (machine == machines_.front()) {
            expected = stop;
            hash = own;
        } else if (const std::string heard = Listener::difference(*machine->listener, *first.listener);
                   !heard.empty()) {
            return fmt::format("program {}, cut {}: {} {}", seed_, cuts_, machine->what.name, heard);
        } else if (stop != expected || own != hash || machine->device.heard != first.device.heard) {
            return fmt::format("program {}, cut {} ({} cycles, {} instructions): {} stops by {}, the reference by {}\n"
                               "  {}\n  {}",
                               seed_, cuts_, cycles, instructions, machine->what.name, static_cast<int>(stop),
                               static_cast<int>(expected), machine->text(), first.text());
        }
    }
    ended_ = expected == CpuStop::Halted || expected == CpuStop::Shutdown;
    return {};
}

// Between two cuts: an interrupt, code written with what is there already, nothing derived any more.
void LockStep::disturb() {
    const bool interrupt = random_.chance(4);
    const bool kill = random_.chance(6);
    const u32 at = machines_.front()->runner.cpu.linear_eip();
    const u32 from = at + static_cast<u32>(random_.below(16));
    const bool in_memory = from + 4 < machines_.front()->runner.memory().frame_count() * kPageSize;
    const bool forget = random_.chance(3), reload = random_.chance(20);
    for (const auto& machine : machines_) {
        CodeRunner& runner = machine->runner;
        if (interrupt)
            runner.cpu.set_line(0, true);
        if (kill && in_memory) {
            const u8* const bytes = runner.memory().host(PhysicalAddress(from));
            runner.mmu.poke_physical(PhysicalAddress(from), std::vector<u8>(bytes, bytes + 4));
        }
        if (machine->what.forgetful && forget)
            runner.cpu.forget_derived_state();
        if (machine->what.forgetful && reload) {
            runner.reload();
            machine->listener->loaded();
        }
    }
}

// A debugger's and one of the guest's, near where the program is: set and taken away again, as loops run through them.
void LockStep::change_breakpoints() {
    Random& random = breakpoint_random_;
    if (!random.chance(breakpoints_ != 0 ? 3 : 12))
        return;
    breakpoints_ = breakpoints_ != 0 ? 0 : static_cast<u32>(1 + random.below(3));
    const u32 eip = machines_.front()->runner.cpu.linear_eip();
    std::vector<u32> places;
    while (places.size() < breakpoints_)
        places.push_back(eip - 64 + static_cast<u32>(random.below(192)));
    const bool guest = breakpoints_ != 0 && random.chance(3);
    const u32 of_guest = eip + static_cast<u32>(random.below(48));
    for (const auto& machine : machines_) {
        CodeRunner& runner = machine->runner;
        runner.cpu.set_breakpoints(places);
        runner.edit().dr[0] = of_guest;
        runner.edit().dr[7] = guest ? 0x402 : 0x400;
        runner.apply();
    }
}

} // namespace forkscope::test
