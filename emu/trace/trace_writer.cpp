#include <cstring>

#include "emu/base/log.hpp"
#include "emu/trace/trace_columns.hpp"
#include "emu/trace/trace_file.hpp"

namespace forkscope {

using namespace trace_layout;

std::string trace_schema() {
    std::string text;
    for (u8 i = 0; i < static_cast<u8>(TraceKind::Count); ++i) {
        const TraceKindInfo& info = trace_kind_info(static_cast<TraceKind>(i));
        text += fmt::format("{}\t{}", i, info.name);
        for (const TraceArgument& argument : info.arguments)
            text += fmt::format("\t{}", argument.name);
        text += fmt::format("\t{}\n", info.text);
    }
    return text;
}

TraceFileWriter::TraceFileWriter(ChunkFileWriter file, TraceKinds kinds) : file_(std::move(file)), kinds_(kinds) {
    buffer_.reserve(kTraceEventsPerChunk);
}

Result<std::unique_ptr<TraceFileWriter>> TraceFileWriter::create(const std::string& path, TraceHeader header,
                                                                 TraceKinds kinds, const FileKind& kind) {
    constexpr int kFast = 1; // zstd's level
    header.set("schema", trace_schema());
    auto file = ChunkFileWriter::create(path, kind, header, kFast);
    if (!file.ok())
        return file.error();
    return std::unique_ptr<TraceFileWriter>(new TraceFileWriter(std::move(file).value(), kinds));
}

TraceFileWriter::~TraceFileWriter() {
    const bool begun = act_at_ == kTraceEventsPerChunk;
    if (finished_ || !begun)
        return;
    if (const Result<void> end = finish(); !end.ok())
        tell(end.error().message);
}

void TraceFileWriter::on_event(const TraceEvent& event) {
    if (failed() || finished_) {
        ++lost_;
        return;
    }
    buffer_.push_back(event);
    if (buffer_.size() == act_at_)
        on_buffer();
}

void TraceFileWriter::on_buffer() {
    if (act_at_ == kTraceEventsPerChunk)
        return write_chunk();
    act_at_ = kTraceEventsPerChunk;
    if (const Result<void> named = file_.take_name(); !named.ok())
        error_ = named.error().message;
}

// A file that has no event yet has no name either: nothing of it is of use then.
void TraceFileWriter::flush() {
    if (!failed() && !finished_)
        write_chunk();
}

void TraceFileWriter::append(u32 type, u32 version, const ChunkLabel& label, std::span<const u8> body,
                             Packing packing) {
    if (failed() || finished_)
        return;
    if (const Result<void> appended = file_.append(type, version, label, body, packing); !appended.ok())
        error_ = appended.error().message;
}

void TraceFileWriter::write_chunk() {
    if (buffer_.empty())
        return;
    EventSpan span;
    span.events = static_cast<u32>(buffer_.size());
    span.first_event = written_;
    span.first_instructions = buffer_.front().instructions;
    span.last_instructions = buffer_.back().instructions;
    span.first_cycle = buffer_.front().cycle;
    span.last_cycle = buffer_.back().cycle;
    ChunkLabel label;
    std::memcpy(label.data(), &span, sizeof span);
    const Result<void> appended =
        file_.append(kEventsType, kEventsVersion, label, pack_events(packer_, buffer_), Packing::None);
    (appended.ok() ? written_ : lost_) += buffer_.size();
    if (!appended.ok())
        error_ = appended.error().message;
    buffer_.clear();
}

Result<void> TraceFileWriter::finish() {
    if (!finished_) {
        finished_ = true;
        if (!failed())
            write_chunk();
        if (!failed())
            if (const Result<void> end = file_.finish(); !end.ok())
                error_ = end.error().message;
    }
    if (failed())
        return Error{
            fmt::format("{}. {} events are in the file and can be read, {} are lost", error_, written_, lost_)};
    return {};
}

} // namespace forkscope
