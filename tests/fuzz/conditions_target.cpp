// Conditions as anybody may write them: refused with a mark in the text, or armed on a machine that runs on unchanged.
#include <memory>

#include "emu/machine/images.hpp"
#include "emu/session/conditions/stop_conditions.hpp"
#include "targets.hpp"

namespace forkscope::fuzz {

namespace {

Symbolizer& kernel_symbols() {
    static Symbolizer symbols = [] {
        const auto kernel = *embedded_kernel("lunaix");
        auto image = ElfImage::from_bytes("lunaix", kernel);
        if (!image.ok())
            report("the built-in kernel is no ELF image");
        Symbolizer made;
        made.add_kernel(std::move(image).value());
        return made;
    }();
    return symbols;
}

// In its firmware, where every kind of register and memory is in use, but no paging.
std::unique_ptr<Machine> small_machine() {
    MachineConfig config;
    config.ram_bytes = u64{2} << 20;
    auto machine = Machine::create(std::move(config));
    if (!machine.ok())
        report("no machine of 2 MB can be made");
    return std::move(machine).value();
}

constexpr u64 kInstructions = 300;

} // namespace

void conditions(std::span<const u8> input) {
    const std::string text(input.begin(), input.end());
    auto condition = compile_condition(text, kernel_symbols());
    if (!condition.ok()) {
        if (condition.error().code != ExitCode::Usage)
            report("a condition is refused as something else than a mistake");
        return;
    }
    for (const Node& node : condition->expression.nodes)
        if (node.begin > node.end || node.end > text.size())
            report("a part of a condition lies outside of its text");
    static const u64 plain = [] {
        const auto machine = small_machine();
        machine->run({kNever, kInstructions});
        return machine->hash();
    }();
    const auto machine = small_machine();
    {
        StopConditions stops(*machine, kernel_symbols());
        machine->set_trace_sink(&stops);
        stops.add(std::move(condition).value(), {.keep = Keep::Stay});
        const auto run = [&](const RunLimit& limit) { return machine->run(limit); };
        while (machine->instructions() < kInstructions)
            static_cast<void>(stops.ended(stops.run({kNever, kInstructions}, run), StopConditions::After::Slice));
        machine->set_trace_sink(nullptr);
    }
    if (machine->hash() != plain)
        report("a condition has changed what the machine does");
}

} // namespace forkscope::fuzz
