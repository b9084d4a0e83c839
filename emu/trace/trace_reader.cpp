#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "emu/base/archive.hpp"
#include "emu/trace/trace_columns.hpp"
#include "emu/trace/trace_file.hpp"

namespace forkscope {

using namespace trace_layout;

namespace {

constexpr u32 kMostHeaderBytes = 16u << 20;
constexpr u32 kMostFields = 65536;
constexpr u64 kEndBytes = 16; // offset of the index, end magic

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

bool parse_fields(std::span<const u8> payload, TraceHeader& header) {
    std::size_t at = 0;
    u32 count = 0;
    if (!take_u32(payload, at, count) || count > kMostFields)
        return false;
    for (u32 i = 0; i < count; ++i) {
        std::string key;
        std::string value;
        if (!take_text(payload, at, key) || !take_text(payload, at, value))
            return false;
        header.fields.emplace_back(std::move(key), std::move(value));
    }
    return at == payload.size();
}

// The second field of every line of the schema, at the place that the first one says.
std::vector<std::string> parse_schema(const std::string* schema) {
    std::vector<std::string> names(256);
    std::size_t line = 0;
    while (schema != nullptr && line < schema->size()) {
        const std::size_t end = std::min(schema->find('\n', line), schema->size());
        u32 number = 0;
        std::size_t at = line;
        while (at < end && (*schema)[at] >= '0' && (*schema)[at] <= '9' && number < 256)
            number = number * 10 + static_cast<u32>((*schema)[at++] - '0');
        if (at < end && (*schema)[at] == '\t' && number < 256)
            names[number] = schema->substr(at + 1, std::min(schema->find('\t', at + 1), end) - at - 1);
        line = end + 1;
    }
    return names;
}

} // namespace

Result<TraceFileReader> TraceFileReader::open(const std::string& path) {
    std::shared_ptr<std::FILE> file(std::fopen(path.c_str(), "rb"), [](std::FILE* f) {
        if (f != nullptr)
            std::fclose(f);
    });
    if (!file)
        return Error{fmt::format("cannot open the trace file {}: {}; check the path", path, std::strerror(errno))};
    if (fseeko(file.get(), 0, SEEK_END) != 0)
        return Error{fmt::format(
            "cannot read the trace file {}: it is not a plain file; name one that `record -o` wrote", path)};
    const auto size = ftello(file.get());
    if (size < 0)
        return Error{fmt::format("cannot read the trace file {}: {}; check the path", path, std::strerror(errno))};
    return open_source(
        [file](u64 offset, std::span<u8> bytes) {
            return fseeko(file.get(), static_cast<off_t>(offset), SEEK_SET) == 0 &&
                   std::fread(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
        },
        static_cast<u64>(size), path);
}

Result<TraceFileReader> TraceFileReader::from_bytes(std::vector<u8> bytes) {
    const auto kept = std::make_shared<const std::vector<u8>>(std::move(bytes));
    return open_source(
        [kept](u64 offset, std::span<u8> out) {
            if (offset > kept->size() || out.size() > kept->size() - offset)
                return false;
            std::copy_n(kept->data() + offset, out.size(), out.data());
            return true;
        },
        kept->size(), "the trace");
}

Result<TraceFileReader> TraceFileReader::open_source(ReadAt read_at, u64 size, const std::string& name) {
    TraceFileReader reader;
    reader.read_at_ = std::move(read_at);
    reader.size_ = size;
    Result<u64> first = reader.read_header(name);
    if (!first)
        return first.error();
    reader.schema_names_ = parse_schema(reader.header_.get("schema"));
    reader.complete_ = reader.read_index(*first);
    if (!reader.complete_) {
        reader.chunks_.clear();
        reader.scan(*first);
    }
    return reader;
}

// Returns the offset of the first chunk.
Result<u64> TraceFileReader::read_header(const std::string& name) {
    struct {
        char magic[8];
        u32 version;
        u32 bytes;
    } head;
    if (size_ < sizeof head || !read_at_(0, {reinterpret_cast<u8*>(&head), sizeof head}) ||
        std::memcmp(head.magic, kFileMagic, sizeof kFileMagic) != 0)
        return Error{fmt::format("{} is not a Forkscope trace: make one with `forkscope record -o FILE`", name)};
    if (head.version != kTraceVersion)
        return Error{
            fmt::format("{} has trace format {}; this program reads format {}", name, head.version, kTraceVersion)};
    if (head.bytes > kMostHeaderBytes || size_ - sizeof head < u64{head.bytes} + sizeof(u64))
        return Error{fmt::format("{} is cut off in its header: nothing can be read", name)};
    std::vector<u8> payload(head.bytes);
    u64 hash = 0;
    if (!read_at_(sizeof head, payload) ||
        !read_at_(sizeof head + head.bytes, {reinterpret_cast<u8*>(&hash), sizeof hash}) || hash != checksum(payload) ||
        !parse_fields(payload, header_))
        return Error{fmt::format("{} has a damaged header: nothing can be read", name)};
    version_ = head.version;
    return u64{sizeof head} + head.bytes + sizeof hash;
}

std::optional<TraceChunk> TraceFileReader::chunk_at(u64 offset) const {
    PartHead head;
    if (size_ - offset < sizeof head || !read_at_(offset, {reinterpret_cast<u8*>(&head), sizeof head}) ||
        head.magic != kChunkMagic || head.columns != kColumns || head.events == 0 || head.events > kMostEvents ||
        head.body_bytes > size_ - offset - sizeof head)
        return std::nullopt;
    return TraceChunk{offset,           head.body_bytes,         head.events,
                      head.first_event, head.first_instructions, head.last_instructions,
                      head.first_cycle, head.last_cycle};
}

// The index knows the chunks even where the head of one is damaged.
bool TraceFileReader::read_index(u64 first_chunk) {
    PartHead head;
    u64 offset = 0;
    char magic[8];
    if (size_ < first_chunk + sizeof head + kEndBytes ||
        !read_at_(size_ - kEndBytes, {reinterpret_cast<u8*>(&offset), sizeof offset}) ||
        !read_at_(size_ - sizeof magic, {reinterpret_cast<u8*>(magic), sizeof magic}) ||
        std::memcmp(magic, kEndMagic, sizeof magic) != 0 || offset < first_chunk ||
        offset > size_ - sizeof head - kEndBytes || !read_at_(offset, {reinterpret_cast<u8*>(&head), sizeof head}) ||
        head.magic != kIndexMagic || head.body_bytes != size_ - offset - sizeof head - kEndBytes ||
        head.body_bytes != u64{head.events} * sizeof(IndexEntry))
        return false;
    std::vector<u8> body(head.body_bytes);
    if (!read_at_(offset + sizeof head, body) || head.hash != part_hash(head, body))
        return false;
    u64 events = 0;
    for (u32 i = 0; i < head.events; ++i) {
        IndexEntry entry;
        std::memcpy(&entry, body.data() + i * sizeof entry, sizeof entry);
        if (entry.events == 0 || entry.events > kMostEvents || entry.offset < first_chunk || entry.offset > offset ||
            offset - entry.offset < sizeof head + u64{entry.body_bytes})
            return false;
        chunks_.push_back({entry.offset, entry.body_bytes, entry.events, events, entry.first_instructions,
                           entry.last_instructions, entry.first_cycle, entry.last_cycle});
        events += entry.events;
    }
    return true;
}

// Without an index: walks from head to head up to the last whole chunk.
void TraceFileReader::scan(u64 offset) {
    while (const std::optional<TraceChunk> chunk = chunk_at(offset)) {
        if (chunk->first_event != event_count())
            break;
        chunks_.push_back(*chunk);
        offset += sizeof(PartHead) + chunk->body_bytes;
    }
    damage_ = fmt::format("the file has no sound index: the recording was cut off, or bytes from offset {} on are "
                          "damaged; {} whole chunks were found",
                          offset, chunks_.size());
}

Result<std::vector<TraceEvent>> TraceFileReader::read_chunk(std::size_t number) const {
    if (number >= chunks_.size())
        return Error{fmt::format("the trace has no chunk {}: it has {}", number, chunks_.size())};
    const TraceChunk& chunk = chunks_[number];
    PartHead head;
    std::vector<u8> body(chunk.body_bytes);
    std::optional<std::vector<TraceEvent>> events;
    if (read_at_(chunk.offset, {reinterpret_cast<u8*>(&head), sizeof head}) &&
        read_at_(chunk.offset + sizeof head, body) && head.hash == part_hash(head, body))
        events = unpack_events(body, chunk.events);
    if (!events)
        return Error{fmt::format("chunk {} (events {} to {}) is damaged", number, chunk.first_event,
                                 chunk.first_event + chunk.events - 1)};
    return std::move(*events);
}

Result<void> TraceFileReader::for_each(const std::function<bool(const TraceEvent&)>& visit) const {
    std::string damaged;
    for (std::size_t i = 0; i < chunks_.size(); ++i) {
        Result<std::vector<TraceEvent>> events = read_chunk(i);
        if (!events) {
            damaged += (damaged.empty() ? "" : "; ") + events.error().message;
            continue;
        }
        for (const TraceEvent& event : *events)
            if (!visit(event))
                return {};
    }
    if (!damaged.empty())
        return Error{damaged + "; all other events were read"};
    return {};
}

std::string TraceFileReader::kind_name(u8 kind) const {
    if (kind < schema_names_.size() && !schema_names_[kind].empty())
        return schema_names_[kind];
    return fmt::format("kind{}", kind);
}

} // namespace forkscope
