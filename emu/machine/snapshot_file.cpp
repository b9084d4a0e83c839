// Snapshots in files: not on targets that have none.
#include <cerrno>
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
