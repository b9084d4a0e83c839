// Saving, loading and hashing a whole machine.
#include <cstdio>
#include <cstring>
#include <fstream>

#include <zstd.h>

#include "emu/machine/machine.hpp"

namespace forkscope {

namespace {

constexpr char kMagic[8] = {'F', 'S', 'C', 'P', 'S', 'N', 'A', 'P'};
constexpr u32 kVersion = 1;
constexpr u64 kMostSnapshotBytes = u64{4} << 30;

struct FileHead {
    char magic[8];
    u32 version;
    u32 reserved;
    u64 plain_bytes;
    u64 packed_bytes;
    u64 checksum; // XXH3 of the packed bytes
};

} // namespace

void InputLog::serialize(Archive& ar) {
    std::vector<u64> words;
    for (const InputEvent& event : events_) {
        words.push_back(static_cast<u64>(event.kind) | (u64{event.size} << 8));
        words.push_back(event.data);
        words.push_back(event.cycle);
        words.push_back(event.instructions);
    }
    ar.sequence("words", words, u64{1} << 28);
    if (!ar.loading())
        return;
    events_.clear();
    if (words.size() % 4 != 0)
        return ar.fail("an input event is cut short");
    for (std::size_t i = 0; i < words.size(); i += 4) {
        const u8 kind = static_cast<u8>(words[i]);
        if (kind > static_cast<u8>(InputKind::SerialByte))
            return ar.fail("an input event has an unknown kind");
        events_.push_back(
            {static_cast<InputKind>(kind), static_cast<u8>(words[i] >> 8), words[i + 1], words[i + 2], words[i + 3]});
    }
}

// What a snapshot holds. Configuration comes first: a snapshot fits only the machine it was taken from.
void Machine::serialize(Archive& ar) {
    u64 ram = config_.ram_bytes;
    u64 rate = config_.cycles_per_second;
    ar.field("ram_bytes", ram);
    ar.field("cycles_per_second", rate);
    if (ar.loading() && (ram != config_.ram_bytes || rate != config_.cycles_per_second))
        return ar.fail(
            fmt::format("the snapshot is of a machine with {} MB of RAM and {} cycles a second", ram >> 20, rate));
    u8 model = static_cast<u8>(config_.cpu);
    ar.field("cpu_model", model);
    if (ar.loading() && model != static_cast<u8>(config_.cpu))
        return ar.fail(model < all_models().size()
                           ? fmt::format("the snapshot is of a machine with --cpu {}", all_models()[model]->name)
                           : std::string("the snapshot is of a machine with an unknown processor"));
    u8 clock = static_cast<u8>(config_.clock);
    ar.field("clock", clock);
    if (ar.loading() && clock != static_cast<u8>(config_.clock))
        return ar.fail("the snapshot is of a machine with another --clock");
    u8 study = static_cast<u8>(config_.tlb);
    u64 seed = config_.tlb_seed;
    ar.field("tlb_study", study);
    ar.field("tlb_seed", seed);
    if (ar.loading() && (study != static_cast<u8>(config_.tlb) || seed != config_.tlb_seed))
        return ar.fail(study <= static_cast<u8>(TlbStudy::Fifo)
                           ? fmt::format("the snapshot is of a machine with --tlb {}",
                                         study_text(static_cast<TlbStudy>(study), seed))
                           : std::string("the snapshot is of a machine with an unknown TLB"));
    if (cpu_->cost_model().queues()) {
        u8 bus = static_cast<u8>(config_.bus);
        ar.field("bus", bus);
        if (ar.loading() && bus != static_cast<u8>(config_.bus))
            return ar.fail("the snapshot is of a machine with another --bus");
    }
    ar.nested("cpu", *cpu_);
    // Memory before the Mmu: loading the Mmu marks the frames that serve as page tables.
    ar.nested("memory", *memory_);
    ar.nested("mmu", *mmu_);
    ar.nested("events", events_);
    for (auto& device : devices_)
        ar.nested(device->name(), *device);
    ar.field("exit_requested", exit_requested_);
    ar.field("reset_requested", reset_requested_);
    ar.field("exit_status", exit_status_);
    if (ar.loading()) {
        forget_derived_state();
        Event probe;
        EventQueue copy = events_;
        while (copy.pop_due(kNever, probe))
            if (probe.owner >= devices_.size())
                ar.fail("an event belongs to no device");
    }
}

u64 Machine::hash() {
    HashArchive ar;
    serialize(ar);
    return ar.digest();
}

std::vector<u8> Machine::snapshot() {
    SaveArchive ar;
    serialize(ar);
    return ar.take();
}

// A snapshot that does not fit must leave the machine as it was, so the present state is kept until the end.
Result<void> Machine::restore(std::span<const u8> snapshot) {
    const std::vector<u8> before = this->snapshot();
    LoadArchive ar(snapshot);
    serialize(ar);
    const Result<void> finished = ar.finish();
    if (!finished.ok()) {
        LoadArchive back(before);
        serialize(back);
        EMU_ASSERT(back.finish().ok(), "a snapshot taken a moment ago does not load");
        return Error{"the snapshot cannot be loaded: " + finished.error().message};
    }
    return {};
}

Result<void> Machine::save(const std::string& path) {
    const std::vector<u8> plain = snapshot();
    std::vector<u8> packed(ZSTD_compressBound(plain.size()));
    const std::size_t size = ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 3);
    if (ZSTD_isError(size) != 0)
        return Error{fmt::format("cannot compress the snapshot: {}", ZSTD_getErrorName(size))};
    packed.resize(size);
    FileHead head{};
    std::memcpy(head.magic, kMagic, sizeof kMagic);
    head.version = kVersion;
    head.plain_bytes = plain.size();
    head.packed_bytes = packed.size();
    head.checksum = checksum(packed);
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(&head), sizeof head);
    file.write(reinterpret_cast<const char*>(packed.data()), static_cast<std::streamsize>(packed.size()));
    file.flush();
    if (!file)
        return Error{fmt::format("cannot write the snapshot '{}': {}; is the disk full?", path, std::strerror(errno))};
    return {};
}

Result<void> Machine::load(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    FileHead head{};
    if (!file)
        return Error{fmt::format("cannot open the snapshot '{}': {}", path, std::strerror(errno))};
    file.read(reinterpret_cast<char*>(&head), sizeof head);
    if (!file || std::memcmp(head.magic, kMagic, sizeof kMagic) != 0)
        return Error{fmt::format("'{}' is no Forkscope snapshot", path)};
    if (head.version != kVersion)
        return Error{fmt::format("'{}' is a snapshot of version {}, this program reads version {}", path, head.version,
                                 kVersion)};
    file.seekg(0, std::ios::end);
    const u64 rest = static_cast<u64>(file.tellg()) - sizeof head;
    file.seekg(sizeof head);
    if (head.packed_bytes != rest || head.plain_bytes > kMostSnapshotBytes)
        return Error{fmt::format("the snapshot '{}' is cut short or damaged", path)};
    std::vector<u8> packed(head.packed_bytes);
    file.read(reinterpret_cast<char*>(packed.data()), static_cast<std::streamsize>(packed.size()));
    if (!file || checksum(packed) != head.checksum)
        return Error{fmt::format("the snapshot '{}' is damaged: its checksum does not fit", path)};
    if (ZSTD_getFrameContentSize(packed.data(), packed.size()) != head.plain_bytes)
        return Error{fmt::format("the snapshot '{}' is damaged: its size does not fit", path)};
    std::vector<u8> plain(head.plain_bytes);
    const std::size_t size = ZSTD_decompress(plain.data(), plain.size(), packed.data(), packed.size());
    if (ZSTD_isError(size) != 0 || size != plain.size())
        return Error{fmt::format("the snapshot '{}' is damaged: it does not decompress", path)};
    return restore(plain);
}

} // namespace forkscope
