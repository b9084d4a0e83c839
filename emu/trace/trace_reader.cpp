#include <algorithm>
#include <cstring>

#include "emu/trace/trace_columns.hpp"
#include "emu/trace/trace_file.hpp"

namespace forkscope {

using namespace trace_layout;

namespace {

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

// A program that makes other events makes all of its chunks so.
Result<void> check_versions(const ChunkFileReader& file, const std::string& name) {
    for (const Chunk& chunk : file.chunks())
        if (chunk.type == kEventsType && chunk.version != kEventsVersion)
            return Error{fmt::format("'{}' has events of version {}; this program reads version {}; {}", name,
                                     chunk.version, kEventsVersion, kTraceFile.refresh)};
    return {};
}

} // namespace

TraceFileReader::TraceFileReader(ChunkFileReader file) : file_(std::move(file)), damage_(file_.damage()) {
    schema_names_ = parse_schema(header().get("schema"));
    list_chunks();
}

Result<TraceFileReader> TraceFileReader::open(const std::string& path) {
    return of(ChunkFileReader::open(path, kTraceFile, &kRecordingFile), path);
}

Result<TraceFileReader> TraceFileReader::from_bytes(std::vector<u8> bytes) {
    const std::string name = "the trace";
    return of(ChunkFileReader::from_bytes(std::move(bytes), kTraceFile, name, &kRecordingFile), name);
}

Result<TraceFileReader> TraceFileReader::of(Result<ChunkFileReader> file, const std::string& name) {
    if (!file.ok())
        return file.error();
    if (auto checked = check_versions(*file, name); !checked.ok())
        return checked.error();
    return TraceFileReader(std::move(file).value());
}

// Chunks of other types, which a newer program may add, are passed over.
void TraceFileReader::list_chunks() {
    u64 events = 0;
    for (const Chunk& chunk : file_.chunks()) {
        if (chunk.type != kEventsType)
            continue;
        EventSpan span;
        std::memcpy(&span, chunk.label.data(), sizeof span);
        if (span.columns != kColumns || span.events == 0 || span.events > kMostEvents || span.first_event != events) {
            damage_ = fmt::format("the chunk at offset {} and all after it do not follow those before", chunk.offset);
            return;
        }
        chunks_.push_back({chunk, span.events, events, span.first_instructions, span.last_instructions,
                           span.first_cycle, span.last_cycle});
        events += span.events;
    }
}

Result<std::vector<TraceEvent>> TraceFileReader::read_chunk(std::size_t number) const {
    if (number >= chunks_.size())
        return Error{fmt::format("the trace has no chunk {}: it has {}", number, chunks_.size())};
    const TraceChunk& chunk = chunks_[number];
    Unpacker unpacker;
    std::optional<std::vector<TraceEvent>> events;
    if (const auto body = file_.read(chunk.chunk, most_body_bytes(chunk.events)))
        events = unpack_events(unpacker, *body, chunk.events);
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
    if (kind < static_cast<u8>(TraceKind::Count))
        return std::string(trace_kind_info(static_cast<TraceKind>(kind)).name);
    if (kind < schema_names_.size() && !schema_names_[kind].empty())
        return schema_names_[kind];
    return fmt::format("kind{}", kind);
}

} // namespace forkscope
