// Snapshots, kernel images and traces from any source: damaged ones are refused or read as far as they go.
#include <filesystem>
#include <fstream>
#include <memory>

#include <fmt/format.h>
#include <unistd.h>

#include "emu/base/random.hpp"
#include "emu/machine/machine.hpp"
#include "emu/machine/multiboot.hpp"
#include "emu/trace/trace_columns.hpp"
#include "emu/trace/trace_file.hpp"
#include "targets.hpp"

namespace forkscope::fuzz {

namespace {

// Damage to good bytes: where (scaled to their size), and by what. Then perhaps an end that comes early.
std::vector<u8> damaged(std::vector<u8> bytes, InputReader input) {
    const u16 cut = input.take<u16>();
    while (!input.empty() && !bytes.empty()) {
        const u64 where = input.take<u32>();
        const u8 with = input.take<u8>();
        bytes[where % bytes.size()] ^= with;
    }
    if (cut != 0)
        bytes.resize(bytes.size() * cut >> 16);
    return bytes;
}

std::unique_ptr<Machine> small_machine() {
    MachineConfig config;
    config.ram_bytes = u64{2} << 20;
    auto machine = Machine::create(std::move(config));
    if (!machine.ok())
        report("no machine of 2 MB can be made");
    return std::move(machine).value();
}

// A machine that is in the middle of its firmware, and that is being typed at.
Snapshot good_snapshot() {
    const auto machine = small_machine();
    if (!machine->type("ls\n").ok())
        report("no keys for a letter");
    machine->run({kNever, 20'000});
    return machine->snapshot();
}

// A trace of some chunks; its file is gone at once.
std::vector<u8> good_trace() {
    const std::string path =
        (std::filesystem::temp_directory_path() / fmt::format("forkscope-fuzz-{}.trace", ::getpid())).string();
    TraceHeader header;
    header.set("machine", "none");
    auto writer = TraceFileWriter::create(path, header);
    if (!writer.ok())
        report("no trace can be written");
    Random random(1);
    for (u32 i = 0; i < kTraceEventsPerChunk + 1000; ++i) {
        TraceEvent event;
        event.instructions = i * 3;
        event.cycle = i * 7;
        event.kind = static_cast<TraceKind>(i % static_cast<u64>(TraceKind::Count));
        event.a = i % 5 == 0 ? random.next() : i;
        (*writer)->on_event(event);
    }
    if (!(*writer)->finish().ok())
        report("no trace can be finished");
    std::ifstream file(path, std::ios::binary);
    std::vector<u8> bytes{std::istreambuf_iterator<char>(file), {}};
    std::filesystem::remove(path);
    return bytes;
}

} // namespace

// Damage behind the checksums: the first byte says to which section, or to several.
void snapshot(std::span<const u8> input) {
    static const Snapshot good = good_snapshot();
    static const auto machine = small_machine(); // refused snapshots leave it alone, and others set all of it
    const u64 before = machine->hash();
    InputReader reader(input);
    Snapshot bad = good;
    for (bool more = true; more;) {
        const u8 choice = reader.take<u8>();
        more = (choice & 0x80) != 0 && !reader.empty();
        SnapshotSection& section = bad.sections()[(choice & 0x7Fu) % bad.sections().size()];
        section.bytes = damaged(std::move(section.bytes), more ? reader.part(7) : reader);
    }
    const auto restored = machine->restore(bad);
    if (!restored.ok() && machine->hash() != before)
        report("a snapshot that was refused has changed the machine");
    machine->run({machine->now() + 20'000, machine->instructions() + 1000});
}

void multiboot(std::span<const u8> input) {
    InputReader reader(input);
    const u64 ram = u64{2 + reader.take<u8>() % 30u} << 20;
    const std::span<const u8> kernel = reader.rest();
    const std::span<const u8> part = kernel.first(std::min<std::size_t>(kernel.size(), 100));
    const BootModule modules[] = {{"module and words", SharedBytes::copy_of(part)}, {"empty", {}}};
    auto plan = plan_multiboot(SharedBytes::copy_of(kernel), "kernel", modules, "a command line", ram);
    if (!plan.ok())
        return;
    for (const BootSegment& segment : plan->segments)
        if (segment.bytes.size() > segment.memory_bytes || u64{segment.address} + segment.memory_bytes > ram)
            report("a boot segment lies outside memory");
}

// The first byte decides whether the rest is damage, a whole file, or what stands behind the checksum of a chunk.
void trace(std::span<const u8> input) {
    static const std::vector<u8> good = good_trace();
    InputReader reader(input);
    const u8 choice = reader.take<u8>();
    if ((choice & 2) != 0) {
        Unpacker unpacker;
        const u32 events = reader.take<u32>() % (2 * trace_layout::kMostEvents);
        const auto unpacked = trace_layout::unpack_events(unpacker, reader.rest(), events);
        if (unpacked && unpacked->size() != events)
            report("a chunk has another number of events than its label says");
        return;
    }
    const bool whole = (choice & 1) != 0;
    const std::span<const u8> rest = reader.rest();
    auto file = TraceFileReader::from_bytes(whole ? std::vector<u8>(rest.begin(), rest.end()) : damaged(good, reader));
    if (!file.ok())
        return;
    u64 events = 0;
    const auto read = file->for_each([&](const TraceEvent& event) {
        events += file->kind_name(static_cast<u8>(event.kind)).empty() ? 0 : 1;
        return true;
    });
    if (read.ok() && file->damage().empty() && events > file->event_count())
        report("more events are read than the file says it has");
}

} // namespace forkscope::fuzz
