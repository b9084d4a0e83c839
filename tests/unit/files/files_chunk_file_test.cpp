// The container of traces and snapshots: whole, cut off, damaged, and lying with right checksums.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <sys/resource.h>

#include "emu/base/archive.hpp"
#include "emu/base/random.hpp"
#include "emu/files/chunk_layout.hpp"
#include "peak_memory.hpp"

namespace forkscope {
namespace {

using namespace chunk_layout;

constexpr u32 kType = chunk_type("TEST");
constexpr u64 kMost = u64{8} << 20;

std::string path_of(const std::string& name) {
    return ::testing::TempDir() + std::to_string(::getpid()) + "_chunks_" + name;
}

std::vector<u8> contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct Written {
    u32 type;
    u32 version;
    ChunkLabel label;
    std::vector<u8> body;
    Packing packing;
};

std::vector<Written> some_chunks() {
    Random random(5);
    std::vector<Written> chunks;
    for (const std::size_t size : {0u, 1u, 300u, 5000u, 3u << 20}) {
        Written chunk{kType, static_cast<u32>(chunks.size()), {}, std::vector<u8>(size), Packing::Zstd};
        for (u8& byte : chunk.body)
            byte = static_cast<u8>(random.below(4));
        chunk.label[0] = static_cast<u8>(size);
        chunk.packing = chunks.size() % 2 == 0 ? Packing::Zstd : Packing::None;
        chunks.push_back(std::move(chunk));
    }
    return chunks;
}

FileHeader some_header() {
    FileHeader header;
    header.set("machine", "pentium");
    header.set("note", "first");
    header.set("note", "second\nline");
    return header;
}

Result<void> write_file(const std::string& path, const std::vector<Written>& chunks) {
    auto writer = ChunkFileWriter::create(path, kTraceFile, some_header());
    if (!writer.ok())
        return writer.error();
    for (const Written& chunk : chunks)
        if (auto appended = writer->append(chunk.type, chunk.version, chunk.label, chunk.body, chunk.packing);
            !appended.ok())
            return appended;
    return writer->finish();
}

std::vector<u8> file_of(const std::vector<Written>& chunks) {
    const std::string path = path_of("made");
    EXPECT_TRUE(write_file(path, chunks).ok());
    std::vector<u8> bytes = contents(path);
    std::filesystem::remove(path);
    return bytes;
}

Result<ChunkFileReader> opened(std::vector<u8> bytes, const FileKind& kind = kTraceFile) {
    return ChunkFileReader::from_bytes(std::move(bytes), kind, "F");
}

// Each chunk that can be read is one that was written, in order; returns how many were.
std::size_t expect_only_written(const ChunkFileReader& reader, const std::vector<Written>& chunks) {
    std::size_t at = 0;
    std::size_t read = 0;
    for (const Chunk& chunk : reader.chunks()) {
        const auto same_head = [&](const Written& w) {
            return w.type == chunk.type && w.version == chunk.version && w.label == chunk.label;
        };
        while (at < chunks.size() && !same_head(chunks[at]))
            ++at;
        if (at == chunks.size()) {
            ADD_FAILURE() << "a chunk that nobody wrote";
            break;
        }
        const auto body = reader.read(chunk, kMost);
        EXPECT_TRUE(!body || *body == chunks[at].body);
        read += body ? 1 : 0;
    }
    return read;
}

} // namespace

TEST(ChunkFile, GivesBackHeaderAndChunks) {
    const auto chunks = some_chunks();
    const std::string path = path_of("round_trip");
    ASSERT_TRUE(write_file(path, chunks).ok());
    auto reader = ChunkFileReader::open(path, kTraceFile);
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    EXPECT_TRUE(reader->complete());
    EXPECT_TRUE(reader->damage().empty());
    EXPECT_EQ(reader->header().fields, some_header().fields);
    EXPECT_EQ(*reader->header().get("note"), "second\nline");
    EXPECT_EQ(reader->header().get("absent"), nullptr);
    ASSERT_EQ(reader->chunks().size(), chunks.size());
    EXPECT_EQ(expect_only_written(*reader, chunks), chunks.size());
    for (std::size_t i = 0; i < chunks.size(); ++i) {
        EXPECT_EQ(reader->chunks()[i].packing, chunks[i].packing);
        EXPECT_EQ(reader->chunks()[i].plain_bytes, chunks[i].body.size());
    }
    EXPECT_LT(reader->chunks().back().stored_bytes, chunks.back().body.size() / 2);
    EXPECT_FALSE(reader->read(reader->chunks().back(), chunks.back().body.size() - 1)) << "more than the caller bears";
    std::filesystem::remove(path);
}

TEST(ChunkFile, OpensUpToTheLastWholeChunkWhereverItWasCut) {
    auto chunks = some_chunks();
    chunks.pop_back();
    const auto bytes = file_of(chunks);
    const auto whole = opened(bytes);
    ASSERT_TRUE(whole.ok());
    const u64 first = whole->chunks().front().offset;
    for (u64 size = 0; size < bytes.size(); ++size) {
        const auto reader = opened({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)});
        ASSERT_EQ(reader.ok(), size >= first) << size;
        if (!reader.ok())
            continue;
        std::size_t expected = 0;
        for (const Chunk& chunk : whole->chunks())
            expected += chunk.offset + sizeof(ChunkHead) + chunk.stored_bytes <= size ? 1 : 0;
        ASSERT_EQ(reader->chunks().size(), expected) << size;
        EXPECT_EQ(expect_only_written(*reader, chunks), expected);
        EXPECT_FALSE(reader->complete());
        EXPECT_NE(reader->damage().find("cut off"), std::string::npos);
    }
}

TEST(ChunkFile, NeverTakesDamagedBytesForGoodOnes) {
    auto chunks = some_chunks();
    chunks.pop_back();
    const auto bytes = file_of(chunks);
    Random random(3);
    std::size_t refused = 0;
    std::size_t lost = 0;
    for (u64 bit = 0; bit < bytes.size() * 8; bit += 1 + random.below(9)) {
        auto damaged = bytes;
        damaged[bit / 8] = static_cast<u8>(damaged[bit / 8] ^ (1u << (bit % 8)));
        const auto reader = opened(damaged);
        if (!reader.ok()) {
            ++refused;
            continue;
        }
        const std::size_t read = expect_only_written(*reader, chunks);
        // A chunk that is damaged itself is lost alone, as long as the index is there.
        EXPECT_GE(read + (reader->complete() ? 1 : chunks.size()), chunks.size());
        lost += read < chunks.size() ? 1 : 0;
    }
    EXPECT_GT(refused, 0u);
    EXPECT_GT(lost, 0u);
}

TEST(ChunkFile, RefusesOtherFilesByName) {
    const auto message = [](std::vector<u8> bytes, const FileKind& kind) {
        const auto reader = opened(std::move(bytes), kind);
        EXPECT_FALSE(reader.ok());
        return reader.ok() ? "" : reader.error().message;
    };
    auto bytes = file_of(some_chunks());
    EXPECT_EQ(message(bytes, kSnapshotFile), "'F' is a trace, not a snapshot; give a snapshot");
    bytes[8] = 1;
    EXPECT_EQ(message(bytes, kTraceFile), "'F' is a trace of version 1; this program reads version 2; record it again");
    EXPECT_NE(message({1, 2, 3}, kTraceFile).find("not a Forkscope trace"), std::string::npos);
    EXPECT_NE(message(std::vector<u8>(200, 'x'), kTraceFile).find("not a Forkscope trace"), std::string::npos);
    EXPECT_FALSE(ChunkFileReader::open("/no/such/file", kTraceFile).ok());
    EXPECT_FALSE(ChunkFileReader::open(::testing::TempDir(), kTraceFile).ok());
}

TEST(ChunkFile, ThatIsDroppedLeavesTheOlderFile) {
    const std::string path = path_of("older");
    ASSERT_TRUE(write_file(path, {}).ok());
    const auto before = contents(path);
    {
        auto writer = ChunkFileWriter::create(path, kTraceFile, {});
        ASSERT_TRUE(writer.ok());
        ASSERT_TRUE(writer->append(kType, 1, {}, std::vector<u8>(1000, 1), Packing::None).ok());
    }
    EXPECT_EQ(contents(path), before);
    std::filesystem::remove(path);
}

TEST(ChunkFile, OfAKilledWriterOpensUpToItsLastChunk) {
    const std::string path = path_of("killed");
    const pid_t child = ::fork();
    if (child == 0) {
        auto writer = ChunkFileWriter::create(path, kTraceFile, some_header());
        static_cast<void>(writer->append(kType, 1, {}, std::vector<u8>(1000, 1), Packing::Zstd));
        static_cast<void>(writer->take_name());
        static_cast<void>(writer->append(kType, 2, {}, std::vector<u8>(1000, 2), Packing::Zstd));
        ::raise(SIGKILL);
    }
    ::waitpid(child, nullptr, 0);
    const auto reader = ChunkFileReader::open(path, kTraceFile);
    ASSERT_TRUE(reader.ok());
    EXPECT_FALSE(reader->complete());
    ASSERT_EQ(reader->chunks().size(), 2u);
    EXPECT_EQ(*reader->read(reader->chunks()[1], kMost), std::vector<u8>(1000, 2));
    std::filesystem::remove(path);
}

TEST(ChunkFile, EndsWithAWholeChunkWhenTheSpaceRunsOut) {
    std::signal(SIGXFSZ, SIG_IGN);
    const std::string path = path_of("full");
    auto writer = ChunkFileWriter::create(path, kTraceFile, {});
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->take_name().ok());
    ASSERT_TRUE(writer->append(kType, 1, {}, std::vector<u8>(1000, 1), Packing::None).ok());
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{2000, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    const auto appended = writer->append(kType, 2, {}, std::vector<u8>(1000, 2), Packing::None);
    ::setrlimit(RLIMIT_FSIZE, &before);
    ASSERT_FALSE(appended.ok());
    EXPECT_NE(appended.error().message.find(path), std::string::npos);
    const auto reader = ChunkFileReader::open(path, kTraceFile);
    ASSERT_TRUE(reader.ok());
    EXPECT_EQ(reader->chunks().size(), 1u);
    EXPECT_EQ(reader->file_bytes(), reader->chunks()[0].offset + sizeof(ChunkHead) + 1000);
    std::filesystem::remove(path);
}

namespace {

// Files made by hand, so that they lie with right checksums.
class Forged {
  public:
    Forged() {
        FilePreamble preamble;
        std::copy(kTraceFile.magic.begin(), kTraceFile.magic.end(), preamble.magic.begin());
        preamble.version = kTraceFile.version;
        put(bytes_of(preamble));
        const u32 no_fields = 0;
        add(kHeaderType, bytes_of(no_fields), 4, Packing::None);
    }
    u64 add(u32 type, std::span<const u8> stored, u64 plain_bytes, Packing packing, u64 claimed = 0) {
        IndexEntry entry;
        entry.offset = bytes.size();
        entry.head.type = type;
        entry.head.packing = static_cast<u32>(packing);
        entry.head.stored_bytes = claimed != 0 ? claimed : stored.size();
        entry.head.plain_bytes = plain_bytes;
        entry.head.body_hash = checksum(stored);
        entry.head.head_hash = head_hash(entry.head);
        put(bytes_of(entry.head));
        put(stored);
        if (type == kType)
            entries.push_back(entry);
        return entry.offset;
    }
    void end(const std::vector<IndexEntry>& named) {
        std::vector<u8> body;
        for (const IndexEntry& entry : named)
            body.insert(body.end(), bytes_of(entry).begin(), bytes_of(entry).end());
        std::vector<u8> packed;
        Packer(3).append(packed, body);
        FileEnd end;
        end.index_offset = add(kIndexType, packed, body.size(), Packing::Zstd);
        put(bytes_of(end));
    }
    void put(std::span<const u8> more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

    std::vector<u8> bytes;
    std::vector<IndexEntry> entries;
};

std::vector<u8> packed_zeros(u64 size) {
    std::vector<u8> packed;
    Packer(3).append(packed, std::vector<u8>(size));
    return packed;
}

// A frame of `size` zeros, at least 64 KB of them, that says that they are `claimed` (RFC 8878, 3.1.1.1: the size has
// four bytes, after the descriptor and, where there is one, the window).
std::vector<u8> frame_that_says(u64 claimed, u64 size) {
    constexpr u8 kSingleSegment = 0x20;
    std::vector<u8> packed = packed_zeros(size);
    const auto field = static_cast<u32>(claimed);
    std::memcpy(packed.data() + ((packed[4] & kSingleSegment) != 0 ? 5 : 6), &field, sizeof field);
    return packed;
}

// What opening and reading all of it takes.
i64 megabytes_to_read(const std::vector<u8>& bytes, u64 most) {
    return peak_megabytes([&] {
        const auto reader = opened(bytes);
        if (reader.ok())
            for (const Chunk& chunk : reader->chunks())
                static_cast<void>(reader->read(chunk, most));
    });
}

} // namespace

TEST(ChunkFile, ThatLiesAboutItsSizesTakesNoMemory) {
    constexpr u64 kLimit = u64{32} << 20;
    const std::vector<u8> little(100, 1);
    Forged file;
    file.add(kType, little, u64{4} << 30, Packing::Zstd);
    file.add(kType, little, kLimit, Packing::Zstd);
    file.add(kType, packed_zeros(1000), kLimit, Packing::Zstd);
    file.add(kType, frame_that_says(kLimit, u64{4} << 20), kLimit, Packing::Zstd);
    auto reader = opened(file.bytes);
    ASSERT_TRUE(reader.ok());
    ASSERT_EQ(reader->chunks().size(), 4u);
    for (const Chunk& chunk : reader->chunks())
        EXPECT_FALSE(reader->read(chunk, kLimit));
    const i64 taken = megabytes_to_read(file.bytes, kLimit);
    EXPECT_GE(taken, 4);
    EXPECT_LE(taken, 16);

    file.add(kType, little, 100, Packing::None, u64{1} << 60);
    reader = opened(file.bytes);
    ASSERT_TRUE(reader.ok());
    EXPECT_EQ(reader->chunks().size(), 4u) << "a chunk that is longer than the file";
}

TEST(ChunkFile, ThatHoldsMoreThanItSaysIsReadNoFurther) {
    constexpr u64 kLimit = u64{32} << 20;
    Forged file;
    file.add(kType, frame_that_says(kLimit, u64{300} << 20), kLimit, Packing::Zstd);
    const auto reader = opened(file.bytes);
    ASSERT_TRUE(reader.ok());
    EXPECT_FALSE(reader->read(reader->chunks().at(0), kLimit));
    const i64 taken = megabytes_to_read(file.bytes, kLimit);
    EXPECT_GE(taken, 30);
    EXPECT_LE(taken, 48);
}

TEST(ChunkFile, ThatUnpacksToMuchIsReadInPiecesUpToTheLimit) {
    Forged file;
    const u64 size = u64{30} << 20;
    file.add(kType, packed_zeros(size), size, Packing::Zstd);
    file.end(file.entries);
    EXPECT_LT(file.bytes.size(), 10000u);
    const auto reader = opened(file.bytes);
    ASSERT_TRUE(reader.ok());
    EXPECT_TRUE(reader->complete());
    const auto body = reader->read(reader->chunks()[0], size);
    ASSERT_TRUE(body);
    EXPECT_EQ(*body, std::vector<u8>(size));
    EXPECT_FALSE(reader->read(reader->chunks()[0], size - 1));
    EXPECT_LE(megabytes_to_read(file.bytes, size), 48);
}

TEST(ChunkFile, WithAnIndexThatLiesIsReadWithoutIt) {
    const std::vector<u8> body(1000, 7);
    const auto complete_with = [&](const std::function<void(Forged&, std::vector<IndexEntry>&)>& change) {
        Forged file;
        file.add(kType, body, body.size(), Packing::None);
        file.add(kType, body, body.size(), Packing::None);
        std::vector<IndexEntry> named = file.entries;
        change(file, named);
        file.end(named);
        const auto reader = opened(file.bytes);
        EXPECT_TRUE(reader.ok());
        EXPECT_EQ(reader->chunks().size(), 2u);
        return reader.ok() && reader->complete();
    };
    EXPECT_TRUE(complete_with([](auto&, auto&) {}));
    EXPECT_FALSE(complete_with([](auto&, auto& named) { named[1] = named[0]; })) << "one chunk named twice";
    EXPECT_FALSE(complete_with([](auto&, auto& named) { std::swap(named[0], named[1]); }));
    EXPECT_FALSE(complete_with([](auto&, auto& named) { named[0].offset = 0; }));
    EXPECT_FALSE(complete_with([](auto&, auto& named) { named[1].offset = ~u64{0} - 8; }));
    EXPECT_FALSE(complete_with([](auto&, auto& named) {
        named[0].head.stored_bytes = ~u64{0} - 100;
        named[0].head.head_hash = head_hash(named[0].head);
    }));
    EXPECT_FALSE(complete_with([](auto&, auto& named) { named[0].head.head_hash ^= 1; }));
    EXPECT_FALSE(complete_with([](auto&, auto& named) { named.resize(100'000, named[0]); })) << "more than fit";
}

TEST(ChunkFile, OfAnySizesWithRightChecksumsHarmsNobody) {
    Random random(11);
    for (int round = 0; round < 3000; ++round) {
        Forged file;
        const u64 chunks = random.below(5);
        for (u64 i = 0; i < chunks; ++i) {
            std::vector<u8> stored =
                random.below(2) == 0 ? packed_zeros(random.below(100'000)) : std::vector<u8>(random.below(400));
            if (!stored.empty() && random.below(2) == 0)
                stored[random.below(stored.size())] = static_cast<u8>(random.next());
            file.add(kType, stored, random.next() >> random.below(64), static_cast<Packing>(random.below(4)),
                     random.below(4) == 0 ? random.next() >> random.below(64) : 0);
        }
        std::vector<IndexEntry> named = file.entries;
        for (IndexEntry& entry : named)
            if (random.below(4) == 0)
                entry.offset = random.next() >> random.below(64);
        if (random.below(3) != 0)
            file.end(named);
        const auto reader = opened(file.bytes);
        if (!reader.ok())
            continue;
        for (const Chunk& chunk : reader->chunks()) {
            const auto body = reader->read(chunk, kMost);
            EXPECT_TRUE(!body || body->size() <= kMost);
        }
    }
}

} // namespace forkscope
