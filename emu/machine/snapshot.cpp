// What is hashed of a machine, what is saved, and how it comes back.
#include "emu/machine/snapshot.hpp"

#include <algorithm>
#include <map>

#include "emu/base/log.hpp"
#include "emu/machine/images.hpp"
#include "emu/machine/machine.hpp"
#include "emu/machine/memory_pieces.hpp"

namespace forkscope {

namespace {

// A stranger's text, fit for a message.
std::string quoted(const std::string& text) {
    constexpr std::size_t kMost = 200;
    std::string shown = "'";
    for (const char c : text.substr(0, kMost)) {
        const auto byte = static_cast<u8>(c);
        shown += byte < 0x20 || byte == 0x7F ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
    }
    return shown + (text.size() > kMost ? "'..." : "'");
}

// An image as a message names it: the option that chooses it, and its contents.
std::string kernel_text(u64 hash) {
    for (const std::string& os : embedded_kernel_names())
        if (checksum(*embedded_kernel(os)) == hash)
            return "--os " + os;
    return fmt::format("a --kernel with the XXH3 {:016x}", hash);
}

// Of one module its bytes, of several all that the kernel is told.
u64 checksum_of(const std::vector<BootModule>& modules) {
    if (modules.size() <= 1)
        return checksum(modules.empty() ? std::span<const u8>{} : modules.front().bytes);
    std::vector<u64> sums;
    for (const BootModule& module : modules) {
        const auto* text = reinterpret_cast<const u8*>(module.command_line.data());
        sums.insert(sums.end(), {checksum(module.bytes), checksum({text, module.command_line.size()})});
    }
    return checksum({reinterpret_cast<const u8*>(sums.data()), sums.size() * sizeof(u64)});
}

std::string initrd_text(u64 hash) {
    return hash == checksum({})                  ? "no --initrd"
           : hash == checksum(embedded_initrd()) ? "the built-in initrd"
                                                 : fmt::format("an --initrd with the XXH3 {:016x}", hash);
}

std::string model_text(CpuModel model) {
    const auto number = static_cast<std::size_t>(model);
    return number < all_models().size() ? fmt::format("--cpu {}", all_models()[number]->name) : "an unknown --cpu";
}

std::string clock_text(CostModelKind clock) {
    constexpr std::string_view kNames[] = {"flat", "model", "cache"};
    const auto number = static_cast<std::size_t>(clock);
    return number < std::size(kNames) ? fmt::format("--clock {}", kNames[number]) : "an unknown --clock";
}

// Two fields that one option gives.
struct TlbChoice {
    TlbStudy study;
    u64 seed;
    bool operator==(const TlbChoice&) const = default;
    void serialize(Archive& ar) {
        ar.field("study", study);
        ar.field("seed", seed);
    }
};

std::string tlb_text(const TlbChoice& choice) {
    return choice.study <= TlbStudy::Fifo ? "--tlb " + study_text(choice.study, choice.seed) : "an unknown --tlb";
}

std::string memory_text(u64 bytes) {
    return bytes % (u64{1} << 20) == 0 ? fmt::format("-m {}M", bytes >> 20) : fmt::format("-m {}K", bytes >> 10);
}

} // namespace

// A snapshot fits only the machine it was taken from. The first six are part of every hash.
void Machine::serialize_configuration(Archive& ar) {
    ar.expect("ram_bytes", config_.ram_bytes, memory_text);
    ar.expect("cycles_per_second", config_.cycles_per_second,
              [](u64 rate) { return fmt::format("a clock of {} Hz", rate); });
    ar.expect("cpu_model", config_.cpu, model_text);
    ar.expect("clock", config_.clock, clock_text);
    ar.expect("tlb", TlbChoice{config_.tlb, config_.tlb_seed}, tlb_text);
    if (cpu_->cost_model().queues() || !ar.hashing())
        ar.expect("bus", config_.bus, [](BusWidth bus) {
            return bus == BusWidth::Bits16 ? std::string("--bus 16") : std::string("--bus 32");
        });
    if (ar.hashing())
        return;
    ar.expect("kernel", checksum(config_.kernel), kernel_text);
    ar.expect("initrd", checksum_of(config_.modules), initrd_text);
    ar.expect("command_line", config_.command_line, [](const std::string& text) { return "--append " + quoted(text); });
    ar.expect("firmware", checksum(embedded_firmware()),
              [](u64 hash) { return fmt::format("the firmware of a build with the XXH3 {:016x}", hash); });
}

void Machine::serialize_requests(Archive& ar) {
    ar.field("exit_requested", exit_requested_);
    ar.field("reset_requested", reset_requested_);
    ar.field("exit_status", exit_status_);
}

void Machine::serialize_typing(Archive& ar) {
    serialize_inputs(ar, "keys", pending_keys_);
    ar.field("next_key", next_key_);
    ar.field("touched", touched_);
}

void Machine::serialize_events(Archive& ar) {
    events_.serialize(ar);
    if (!ar.loading())
        return;
    EventQueue copy = events_;
    Event event;
    while (copy.pop_due(kNever, event))
        if (event.owner >= devices_.size())
            return ar.fail("an event belongs to no device");
}

// In the order that hashes are made in. Loading the Mmu marks the frames that serve as page tables.
std::vector<Machine::Section> Machine::sections() {
    std::vector<Section> list;
    const auto add = [&list](std::string_view name, SectionKind kind, std::function<void(Archive&)> serialize,
                             u32 version = 1) {
        list.push_back({std::string(name), version, kind, std::move(serialize)});
    };
    add("configuration", SectionKind::Configuration, [this](Archive& ar) { serialize_configuration(ar); });
    add(
        "cpu", SectionKind::Hashed, [this](Archive& ar) { cpu_->serialize(ar); }, 2);
    add("memory", SectionKind::Memory, [this](Archive& ar) { memory_->serialize(ar); });
    add("mmu", SectionKind::Hashed, [this](Archive& ar) { mmu_->serialize(ar); });
    add("events", SectionKind::Hashed, [this](Archive& ar) { serialize_events(ar); });
    for (auto& device : devices_)
        add(device->name(), SectionKind::Hashed, [&device](Archive& ar) { device->serialize(ar); });
    add("requests", SectionKind::Hashed, [this](Archive& ar) { serialize_requests(ar); });
    add("typing", SectionKind::Saved, [this](Archive& ar) { serialize_typing(ar); });
    add(
        "inputs", SectionKind::Inputs, [this](Archive& ar) { inputs_.serialize(ar); }, kInputsVersion);
    return list;
}

u64 Machine::hash() {
    HashArchive ar;
    for (const Section& section : sections())
        if (section.kind != SectionKind::Saved && section.kind != SectionKind::Inputs)
            section.serialize(ar);
    return ar.digest();
}

Snapshot Machine::state(Inputs inputs) {
    Snapshot snapshot;
    for (const Section& section : sections()) {
        if (section.kind == SectionKind::Memory || (section.kind == SectionKind::Inputs && inputs == Inputs::Without))
            continue;
        SaveArchive ar;
        section.serialize(ar);
        snapshot.add({section.name, section.version, ar.take()});
    }
    return snapshot;
}

void Machine::save_checkpoint(const std::function<void(std::span<const u8>)>& done) {
    for (const Section& section : sections()) {
        if (!in_checkpoints(section))
            continue;
        checkpoint_archive_.clear();
        section.serialize(checkpoint_archive_);
        done(checkpoint_archive_.bytes());
    }
}

std::vector<std::shared_ptr<PartState>> Machine::part_states() const {
    std::vector<std::shared_ptr<PartState>> states;
    for (const CheckpointPart& part : parts_)
        states.push_back(part.save());
    return states;
}

// Nobody watches: what is put back happens to nobody.
void Machine::put_back(const Past& past) {
    EMU_ASSERT(past.parts.size() <= parts_.size(), "a checkpoint of {} observers, where {} watch", past.parts.size(),
               parts_.size());
    TraceSink* const sink = tracer_.sink();
    tracer_.set_sink(nullptr);
    for (const Section& section : sections()) {
        if (!in_checkpoints(section))
            continue;
        LoadArchive ar(past.next_section());
        section.serialize(ar);
        const auto loaded = ar.finish();
        EMU_ASSERT(loaded.ok(), "a checkpoint does not load: {}", loaded.ok() ? "" : loaded.error().message);
    }
    past.put_back_memory();
    mmu_->forget_derived_state(); // code that is the same stays decoded
    watchpoints_->restored();
    inputs_.truncate(past.inputs);
    replay({});
    stop_requested_.reset();
    paused_ = true;
    for (std::size_t i = 0; i < parts_.size(); ++i)
        parts_[i].restore(i < past.parts.size() ? past.parts[i].get() : nullptr);
    absent_parts_ = past.absent_parts;
    tracer_.set_sink(sink);
}

Result<void> Machine::save(const SectionWriter& write) {
    Snapshot kept = state();
    for (SnapshotSection& section : kept.sections()) {
        if (section.bytes.size() > kMostSectionBytes)
            return Error{fmt::format("the state of '{}' takes {} MB, more than a snapshot's section holds; --tlb "
                                     "infinite keeps an entry for each page that was ever used",
                                     section.name, section.bytes.size() >> 20)};
        if (auto written = write(std::move(section)); !written.ok())
            return written;
    }
    for (u32 piece = 0; piece < memory_pieces::piece_count(*memory_); ++piece) {
        std::vector<u8> bytes = memory_pieces::save_piece(*memory_, piece);
        if (bytes.empty())
            continue;
        if (auto written = write({memory_pieces::piece_name(piece), memory_pieces::kVersion, std::move(bytes)});
            !written.ok())
            return written;
    }
    return save_parts(write);
}

Result<void> Machine::save_parts(const SectionWriter& write) {
    for (const CheckpointPart& part : parts_) {
        SaveArchive ar;
        part.save()->serialize(ar);
        SnapshotSection section{kPartPrefix + part.name, part.version, ar.take()};
        if (section.bytes.size() > kMostSectionBytes) {
            log_warning_once(
                "part-too-large-" + part.name,
                fmt::format("the snapshot goes without '{}': it takes {} MB", part.name, section.bytes.size() >> 20));
            continue;
        }
        if (auto written = write(std::move(section)); !written.ok())
            return written;
    }
    return {};
}

Snapshot Machine::snapshot() {
    Snapshot snapshot;
    const auto saved = save([&snapshot](SnapshotSection section) {
        snapshot.add(std::move(section));
        return Result<void>{};
    });
    EMU_ASSERT(saved.ok(), "{}", saved.ok() ? "" : saved.error().message);
    return snapshot;
}

namespace {

using Contents = std::map<std::string, std::size_t>; // the number of each section, by name

Result<Contents> contents_of(const SnapshotSource& source) {
    Contents contents;
    for (std::size_t i = 0; i < source.count(); ++i) {
        std::string name = source.entry(i).name;
        if (!contents.emplace(name, i).second)
            return Error{fmt::format("it has two sections {}", quoted(name))};
    }
    return contents;
}

constexpr std::string_view kMemoryPrefix = "memory.";

Result<void> check_version(const SnapshotSource& source, std::size_t number, u32 version) {
    const auto [name, its] = source.entry(number);
    if (its != version)
        return Error{fmt::format("its section {} has version {}; this program reads version {}; save it again",
                                 quoted(name), its, version)};
    return {};
}

Result<void> check_memory_versions(const SnapshotSource& source, const Contents& contents) {
    for (const auto& [name, number] : contents)
        if (name.starts_with(kMemoryPrefix))
            if (auto checked = check_version(source, number, memory_pieces::kVersion); !checked.ok())
                return checked;
    return {};
}

// Reads a section that is there, in a version that was checked, and hands it to `load`.
Result<void> load_section(const SnapshotSource& source, const Contents& contents, const std::string& name,
                          const std::function<void(Archive&)>& load) {
    auto bytes = source.read(contents.at(name));
    if (!bytes.ok())
        return bytes.error();
    LoadArchive ar(*bytes);
    load(ar);
    if (auto finished = ar.finish(); !finished.ok())
        return Error{fmt::format("section '{}': {}", name, finished.error().message)};
    return {};
}

Result<void> check_memory(const PhysicalMemory& memory, const SnapshotSource& source, const Contents& contents) {
    for (const auto& [name, number] : contents) {
        const auto piece = memory_pieces::piece_named(memory, name);
        if (!piece && name.starts_with(kMemoryPrefix))
            return Error{fmt::format("{} lies outside this machine's memory", quoted(name))};
        if (!piece)
            continue;
        auto bytes = source.read(number);
        if (!bytes.ok())
            return bytes.error();
        if (auto checked = memory_pieces::check_piece(memory, *piece, *bytes); !checked.ok())
            return checked;
    }
    return {};
}

void load_memory(PhysicalMemory& memory, const SnapshotSource& source, const Contents& contents) {
    for (u32 piece = 0; piece < memory_pieces::piece_count(memory); ++piece) {
        const auto found = contents.find(memory_pieces::piece_name(piece));
        std::vector<u8> bytes;
        if (found != contents.end()) {
            auto read = source.read(found->second);
            EMU_ASSERT(read.ok(), "a section reads once and not twice: {}", read.ok() ? "" : read.error().message);
            bytes = std::move(read).value();
        }
        memory_pieces::load_piece(memory, piece, bytes);
    }
}

} // namespace

// All of it but memory and the configuration, which was compared before.
Result<void> Machine::load_state(const SnapshotSource& source) {
    const auto contents = contents_of(source);
    if (!contents.ok())
        return contents.error();
    for (const Section& section : sections())
        if (section.kind != SectionKind::Memory)
            if (auto loaded = load_section(source, *contents, section.name, section.serialize); !loaded.ok())
                return loaded;
    return {};
}

// All of them before one is looked into: what differs between versions may look like another machine.
Result<void> Machine::check_sections(const SnapshotSource& source) {
    const auto contents = contents_of(source);
    if (!contents.ok())
        return contents.error();
    for (const Section& section : sections()) {
        if (section.kind == SectionKind::Memory)
            continue;
        const auto found = contents->find(section.name);
        if (found == contents->end())
            return Error{fmt::format("it has no section '{}'; save it again", section.name)};
        if (auto checked = check_version(source, found->second, section.version); !checked.ok())
            return checked;
    }
    return check_memory_versions(source, *contents);
}

// Observers' states, read before anything is touched; nullptr for those that the snapshot has not, or of another
// version.
Result<std::vector<std::shared_ptr<PartState>>> Machine::read_parts(const SnapshotSource& source) const {
    const auto contents = contents_of(source);
    std::vector<std::shared_ptr<PartState>> states;
    for (const CheckpointPart& part : parts_) {
        const std::string name = kPartPrefix + part.name;
        const auto found = contents->find(name);
        std::shared_ptr<PartState>& state = states.emplace_back();
        if (found == contents->end() || source.entry(found->second).version != part.version)
            continue;
        state = part.make();
        if (auto loaded = load_section(source, *contents, name, [&](Archive& ar) { state->serialize(ar); });
            !loaded.ok())
            return loaded.error();
    }
    return states;
}

// What can fail comes first. State is loaded in place and put back where it does not fit; memory is checked, then
// loaded.
Result<void> Machine::restore(const SnapshotSource& source) {
    if (auto checked = check_sections(source); !checked.ok())
        return checked;
    const auto contents = contents_of(source);
    if (auto compared =
            load_section(source, *contents, "configuration", [this](Archive& ar) { serialize_configuration(ar); });
        !compared.ok())
        return compared;
    const auto states = read_parts(source);
    if (!states.ok())
        return states.error();
    if (auto checked = check_memory(*memory_, source, *contents); !checked.ok())
        return checked;
    const Snapshot before = state();
    if (auto loaded = load_state(source); !loaded.ok()) {
        const auto back = load_state(before);
        EMU_ASSERT(back.ok(), "a state saved a moment ago does not load: {}", back.ok() ? "" : back.error().message);
        return loaded;
    }
    load_memory(*memory_, source, *contents);
    watchpoints_->restored();
    forget_derived_state();
    absent_parts_.clear();
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        if ((*states)[i] == nullptr)
            absent_parts_.push_back(parts_[i].name);
        parts_[i].restore((*states)[i].get());
    }
    return {};
}

bool Machine::restored_without(std::string_view part) const {
    return std::find(absent_parts_.begin(), absent_parts_.end(), part) != absent_parts_.end();
}

std::vector<std::string> Machine::differences(const Snapshot& saved) {
    std::vector<std::string> lines;
    for (const Section& section : sections()) {
        const SnapshotSection* was = saved.find(section.name);
        if (section.kind == SectionKind::Memory)
            continue;
        if (was == nullptr) {
            lines.push_back(section.name + ": not in the saved state");
            continue;
        }
        DiffArchive ar(was->bytes);
        section.serialize(ar);
        for (const std::string& difference : ar.differences())
            lines.push_back(section.name + "." + difference);
    }
    for (u32 piece = 0; piece < memory_pieces::piece_count(*memory_); ++piece) {
        const SnapshotSection* was = saved.find(memory_pieces::piece_name(piece));
        memory_pieces::list_differences(
            *memory_, piece, was != nullptr ? std::span<const u8>(was->bytes) : std::span<const u8>{}, lines);
    }
    return lines;
}

} // namespace forkscope
