#include "emu/session/snapshot_file.hpp"

#include <algorithm>

#include "emu/files/read_file.hpp"

namespace forkscope {

namespace {

constexpr u32 kSectionType = chunk_type("SECT");
constexpr u64 kMostPlainFile = u64{64} << 20; // besides what a machine's memory takes uncompressed

ChunkLabel label_of(const std::string& name) {
    ChunkLabel label{};
    EMU_ASSERT(name.size() < label.size(), "the name of the section '{}' is too long", name);
    std::copy(name.begin(), name.end(), label.begin());
    return label;
}

// Sections of a file whose bytes are kept, so that they read the same at any time.
class FileSections final : public SnapshotSource {
  public:
    explicit FileSections(const ChunkFileReader& file) : file_(file) {
        for (const Chunk& chunk : file.chunks())
            if (chunk.type == kSectionType)
                chunks_.push_back(&chunk);
    }
    std::size_t count() const override { return chunks_.size(); }
    Entry entry(std::size_t number) const override {
        const ChunkLabel& label = chunks_[number]->label;
        return {{label.begin(), std::find(label.begin(), label.end(), 0)}, chunks_[number]->version};
    }
    Result<std::vector<u8>> read(std::size_t number) const override {
        auto bytes = file_.read(*chunks_[number], kMostSectionBytes);
        if (!bytes)
            return Error{fmt::format("its section '{}' is damaged; save it again", entry(number).name)};
        return std::move(*bytes);
    }

  private:
    const ChunkFileReader& file_;
    std::vector<const Chunk*> chunks_;
};

} // namespace

FileHeader machine_header(const MachineConfig& config) {
    FileHeader header;
    header.set("machine", fmt::format("{} {} MB {} Hz", model_of(config.cpu).name, config.ram_bytes >> 20,
                                      config.cycles_per_second));
    header.set("tlb", study_text(config.tlb, config.tlb_seed));
    header.set("command_line", config.command_line);
    header.set("image.kernel", fmt::format("{} xxh3:{:016x}", config.kernel_name, checksum(config.kernel)));
    for (std::size_t i = 0; i < config.modules.size(); ++i)
        header.set(i == 0 ? "image.initrd" : fmt::format("image.module{}", i + 1),
                   fmt::format("{} xxh3:{:016x}", config.modules[i].command_line, checksum(config.modules[i].bytes)));
    return header;
}

Result<void> save_snapshot(Machine& machine, const std::string& path) {
    FileHeader header = machine_header(machine.config());
    header.set("instructions", fmt::format("{}", machine.instructions()));
    header.set("cycles", fmt::format("{}", machine.now()));
    auto file = ChunkFileWriter::create(path, kSnapshotFile, header);
    if (!file.ok())
        return file.error();
    const auto saved = machine.save([&](const SnapshotSection& section) {
        return file->append(kSectionType, section.version, label_of(section.name), section.bytes, Packing::Zstd);
    });
    if (!saved.ok())
        return saved;
    return file->finish();
}

Result<SnapshotFile> SnapshotFile::open(const std::string& path, u64 ram_bytes) {
    auto bytes = read_file(path, "the snapshot", ram_bytes + kMostPlainFile);
    if (!bytes.ok())
        return bytes.error();
    return from_bytes(std::move(bytes).value(), path);
}

Result<SnapshotFile> SnapshotFile::from_bytes(std::vector<u8> bytes, const std::string& name) {
    auto file = ChunkFileReader::from_bytes(std::move(bytes), kSnapshotFile, name);
    if (!file.ok())
        return file.error();
    if (!file->complete())
        return Error{
            fmt::format("the snapshot '{}' is cut short or damaged: it has no sound index; save it again", name)};
    return SnapshotFile(std::move(file).value(), name);
}

std::string SnapshotFile::command_line() const {
    const std::string* line = file_.header().get("command_line");
    return line != nullptr ? *line : std::string();
}

Result<void> SnapshotFile::load(Machine& machine) const {
    if (auto restored = machine.restore(FileSections(file_)); !restored.ok())
        return Error{fmt::format("the snapshot '{}' cannot be loaded: {}", name_, restored.error().message)};
    return {};
}

} // namespace forkscope
