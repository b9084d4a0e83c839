#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <fcntl.h>

#include "emu/base/archive.hpp"
#include "emu/files/chunk_layout.hpp"

namespace forkscope {

using namespace chunk_layout;

namespace {

constexpr u64 kMostHeaderBytes = u64{16} << 20;
constexpr u32 kMostFields = 65536;
constexpr FileKind kKinds[] = {kTraceFile, kSnapshotFile, kRecordingFile};

template <class T> std::span<u8> room_of(T& value) { return {reinterpret_cast<u8*>(&value), sizeof value}; }

bool take_u32(std::span<const u8> bytes, std::size_t& at, u32& value) {
    if (bytes.size() - at < sizeof value)
        return false;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    at += sizeof value;
    return true;
}

bool take_text(std::span<const u8> bytes, std::size_t& at, std::string& text) {
    u32 size = 0;
    if (!take_u32(bytes, at, size) || size > bytes.size() - at)
        return false;
    text.assign(reinterpret_cast<const char*>(bytes.data()) + at, size);
    at += size;
    return true;
}

bool parse_header(std::span<const u8> body, FileHeader& header) {
    std::size_t at = 0;
    u32 count = 0;
    if (!take_u32(body, at, count) || count > kMostFields)
        return false;
    for (u32 i = 0; i < count; ++i) {
        std::string key;
        std::string value;
        if (!take_text(body, at, key) || !take_text(body, at, value))
            return false;
        header.fields.emplace_back(std::move(key), std::move(value));
    }
    return at == body.size();
}

Result<void> check_preamble(const FilePreamble& preamble, const FileKind& kind, const std::string& name) {
    const std::string_view magic(preamble.magic.data(), preamble.magic.size());
    for (const FileKind& other : kKinds)
        if (magic == other.magic && other.magic != kind.magic)
            return Error{fmt::format("'{}' is a {}, not a {}; give a {}", name, other.name, kind.name, kind.name)};
    if (magic != kind.magic)
        return Error{fmt::format("'{}' is not a Forkscope {}; check the path", name, kind.name)};
    if (preamble.version != kind.version)
        return Error{fmt::format("'{}' is a {} of version {}; this program reads version {}; {}", name, kind.name,
                                 preamble.version, kind.version, kind.refresh)};
    return {};
}

} // namespace

Result<ChunkFileReader> ChunkFileReader::open(const std::string& path, const FileKind& kind, const FileKind* kin) {
    // Without O_NONBLOCK a FIFO that nobody writes to would block for ever.
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    std::shared_ptr<std::FILE> file(descriptor < 0 ? nullptr : ::fdopen(descriptor, "rb"), [](std::FILE* f) {
        if (f != nullptr)
            std::fclose(f);
    });
    if (!file)
        return Error{fmt::format("cannot open the {} '{}': {}; check the path", kind.name, path, std::strerror(errno))};
    if (fseeko(file.get(), 0, SEEK_END) != 0)
        return Error{fmt::format("cannot read the {} '{}': it is not a plain file; give one", kind.name, path)};
    const auto size = ftello(file.get());
    if (size < 0)
        return Error{fmt::format("cannot read the {} '{}': {}; check the path", kind.name, path, std::strerror(errno))};
    return open_source(
        [file](u64 offset, std::span<u8> bytes) {
            return fseeko(file.get(), static_cast<off_t>(offset), SEEK_SET) == 0 &&
                   std::fread(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
        },
        static_cast<u64>(size), kind, kin, path);
}

Result<ChunkFileReader> ChunkFileReader::from_bytes(std::vector<u8> bytes, const FileKind& kind,
                                                    const std::string& name, const FileKind* kin) {
    const auto kept = std::make_shared<const std::vector<u8>>(std::move(bytes));
    return open_source(
        [kept](u64 offset, std::span<u8> out) {
            if (offset > kept->size() || out.size() > kept->size() - offset)
                return false;
            std::copy_n(kept->data() + offset, out.size(), out.data());
            return true;
        },
        kept->size(), kind, kin, name);
}

Result<ChunkFileReader> ChunkFileReader::open_source(ReadAt read_at, u64 size, const FileKind& asked,
                                                     const FileKind* kin, const std::string& name) {
    ChunkFileReader reader;
    reader.read_at_ = std::move(read_at);
    reader.size_ = size;
    FilePreamble preamble;
    if (size < sizeof preamble || !reader.read_at_(0, room_of(preamble)))
        return Error{fmt::format("'{}' is not a Forkscope {}: it is too short; check the path", name, asked.name)};
    const std::string_view magic(preamble.magic.data(), preamble.magic.size());
    const FileKind& kind = kin != nullptr && magic == kin->magic ? *kin : asked;
    reader.kind_ = &kind;
    if (auto checked = check_preamble(preamble, kind, name); !checked.ok())
        return checked.error();
    const auto header = reader.chunk_at(sizeof preamble);
    if (!header || header->type != kHeaderType)
        return Error{fmt::format("the {} '{}' is cut off or damaged in its header: nothing can be read; {}", kind.name,
                                 name, kind.refresh)};
    const auto body = reader.read(*header, kMostHeaderBytes);
    if (!body || !parse_header(*body, reader.header_))
        return Error{
            fmt::format("the {} '{}' has a damaged header: nothing can be read; {}", kind.name, name, kind.refresh)};
    const u64 first = header->offset + sizeof(ChunkHead) + header->stored_bytes;
    reader.complete_ = reader.read_index(first);
    if (!reader.complete_) {
        reader.chunks_.clear();
        reader.scan(first);
    }
    return reader;
}

static Chunk chunk_of(u64 offset, const ChunkHead& head) {
    return {offset,           head.type,  head.version,  static_cast<Packing>(head.packing), head.stored_bytes,
            head.plain_bytes, head.label, head.body_hash};
}

// Whether the head is sound and its body ends at `end` or before.
static bool fits(const ChunkHead& head, u64 offset, u64 end) {
    return head.magic == kChunkMagic && head.head_hash == head_hash(head) &&
           head.packing <= static_cast<u32>(Packing::Zstd) && head.stored_bytes <= end - offset - sizeof head &&
           (head.packing != static_cast<u32>(Packing::None) || head.stored_bytes == head.plain_bytes);
}

std::optional<Chunk> ChunkFileReader::chunk_at(u64 offset) const {
    ChunkHead head;
    if (offset > size_ || size_ - offset < sizeof head || !read_at_(offset, room_of(head)) ||
        !fits(head, offset, size_))
        return std::nullopt;
    return chunk_of(offset, head);
}

// The index knows the chunks even where the head of one is damaged. They follow each other, so that none is named
// twice.
bool ChunkFileReader::read_index(u64 first_chunk) {
    FileEnd end;
    if (size_ < first_chunk + sizeof end || !read_at_(size_ - sizeof end, room_of(end)) || end.magic != kEndMagic ||
        end.index_offset < first_chunk)
        return false;
    const auto index = chunk_at(end.index_offset);
    if (!index || index->type != kIndexType ||
        index->offset + sizeof(ChunkHead) + index->stored_bytes != size_ - sizeof end)
        return false;
    const u64 most_chunks = (index->offset - first_chunk) / sizeof(ChunkHead);
    const auto body = read(*index, most_chunks * sizeof(IndexEntry));
    if (!body || body->size() % sizeof(IndexEntry) != 0)
        return false;
    u64 free_from = first_chunk;
    for (std::size_t at = 0; at < body->size(); at += sizeof(IndexEntry)) {
        IndexEntry entry;
        std::memcpy(&entry, body->data() + at, sizeof entry);
        if (entry.offset < free_from || entry.offset > index->offset ||
            index->offset - entry.offset < sizeof(ChunkHead) || !fits(entry.head, entry.offset, index->offset))
            return false;
        chunks_.push_back(chunk_of(entry.offset, entry.head));
        free_from = entry.offset + sizeof(ChunkHead) + entry.head.stored_bytes;
    }
    return true;
}

// Without an index: from head to head up to the last whole chunk.
void ChunkFileReader::scan(u64 offset) {
    for (auto chunk = chunk_at(offset); chunk && chunk->type != kIndexType; chunk = chunk_at(offset)) {
        offset += sizeof(ChunkHead) + chunk->stored_bytes;
        chunks_.push_back(*chunk);
    }
    damage_ = fmt::format("the file has no sound index: the recording was cut off, or bytes from offset {} on are "
                          "damaged; {} whole chunks were found",
                          offset, chunks_.size());
}

std::optional<std::vector<u8>> ChunkFileReader::read(const Chunk& chunk, u64 most) const {
    // What zstd adds to bytes that it cannot press is less than this.
    const u64 most_stored = most + most / 128 + 1024;
    if (chunk.plain_bytes > most || chunk.stored_bytes > most_stored)
        return std::nullopt;
    std::vector<u8> stored(chunk.stored_bytes);
    if (!read_at_(chunk.offset + sizeof(ChunkHead), stored) || checksum(stored) != chunk.body_hash)
        return std::nullopt;
    if (chunk.packing == Packing::None)
        return stored;
    std::vector<u8> plain;
    if (!Unpacker().unpack(stored, chunk.plain_bytes, plain))
        return std::nullopt;
    return plain;
}

} // namespace forkscope
