#include "emu/session/recording/recording_format.hpp"

#include <fmt/format.h>

#include "emu/base/archive/containers.hpp"
#include "emu/machine/images.hpp"

namespace forkscope {

RecordedRun RecordedRun::of(const MachineConfig& machine, std::string os, TraceKinds kinds) {
    RecordedRun run;
    run.program = "forkscope 0.1.0";
    run.firmware = checksum(embedded_firmware());
    run.kinds = kinds;
    run.os = std::move(os);
    run.machine = machine;
    run.machine.kernel = {};
    run.machine.modules.clear();
    run.images.push_back(checksum(machine.kernel));
    for (const BootModule& module : machine.modules) {
        run.modules.push_back(module.command_line);
        run.images.push_back(checksum(module.bytes));
    }
    return run;
}

// Engine and fast table are left out: any will do.
void RecordedRun::serialize(Archive& ar) {
    constexpr u64 kMostModules = 1000;
    ar.text("program", program);
    ar.field("cost_version", cost_version);
    ar.field("hash_version", hash_version);
    ar.field("firmware", firmware);
    ar.field("kinds", kinds);
    ar.text("os", os);
    ar.field("ram_bytes", machine.ram_bytes);
    ar.field("cycles_per_second", machine.cycles_per_second);
    archive_enum(ar, "cpu_model", machine.cpu, static_cast<CpuModel>(all_models().size() - 1));
    archive_enum(ar, "clock", machine.clock, CostModelKind::Cache);
    archive_enum(ar, "bus", machine.bus, BusWidth::Bits16);
    archive_enum(ar, "tlb", machine.tlb, TlbStudy::Fifo);
    ar.field("tlb_seed", machine.tlb_seed);
    ar.text("kernel_name", machine.kernel_name);
    ar.text("command_line", machine.command_line);
    ar.field("direct", machine.direct);
    ar.field("rtc_start", machine.rtc_start);
    ar.sequence("modules", modules, kMostModules);
    ar.sequence("images", images, kMostModules + 1);
    if (!ar.loading())
        return;
    if (images.size() != modules.size() + 1)
        ar.fail("another number of images");
    if (machine.cycles_per_second == 0)
        ar.fail("a machine without a clock");
    if (!os.empty() && !embedded_kernel(os))
        os.clear();
}

std::string RecordedRun::refusal() const {
    if (cost_version != kCostVersion)
        return fmt::format("it was recorded with version {} of the cost model by {}; this program has version {}",
                           cost_version, program, kCostVersion);
    if (hash_version != kHashVersion)
        return fmt::format("its hashes are of version {}, made by {}; this program's are of version {}", hash_version,
                           program, kHashVersion);
    if (firmware != checksum(embedded_firmware()))
        return fmt::format("it was recorded with another firmware, that of a build of {}", program);
    return {};
}

namespace recording_layout {

void serialize_log(Archive& ar, std::vector<InputEvent>& inputs, std::vector<HashMark>& marks) {
    constexpr std::size_t kWords = 4;
    constexpr u64 kMost = u64{1} << 24;
    serialize_inputs(ar, "inputs", inputs);
    std::vector<u64> words;
    for (const HashMark& mark : marks)
        words.insert(words.end(), {mark.at.instructions, mark.at.deliveries, mark.at.cycle, mark.hash});
    ar.sequence("marks", words, kMost);
    if (!ar.loading())
        return;
    if (words.size() % kWords != 0)
        return ar.fail("a hash is cut short");
    marks.clear();
    for (std::size_t at = 0; at < words.size(); at += kWords)
        marks.push_back({{words[at], static_cast<u32>(words[at + 1]), words[at + 2]}, words[at + 3]});
}

void serialize_sections(Archive& ar, std::vector<SnapshotSection>& sections) {
    constexpr u64 kMost = 256;
    archive_elements(ar, "sections", sections, kMost, [&](SnapshotSection& section) {
        ar.text("name", section.name);
        ar.field("version", section.version);
        ar.sequence("bytes", section.bytes, kMostSectionBytes);
    });
}

} // namespace recording_layout
} // namespace forkscope
