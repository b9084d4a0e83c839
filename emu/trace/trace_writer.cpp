#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "emu/base/archive.hpp"
#include "emu/base/log.hpp"
#include "emu/trace/trace_columns.hpp"
#include "emu/trace/trace_file.hpp"

namespace forkscope {

using namespace trace_layout;

namespace {

template <class T> void put(std::vector<u8>& out, const T& value) {
    const auto* bytes = reinterpret_cast<const u8*>(&value);
    out.insert(out.end(), bytes, bytes + sizeof value);
}

void put_text(std::vector<u8>& out, std::string_view text) {
    put(out, static_cast<u32>(text.size()));
    out.insert(out.end(), text.begin(), text.end());
}

std::vector<u8> header_bytes(const TraceHeader& header) {
    std::vector<u8> payload;
    put(payload, static_cast<u32>(header.fields.size()));
    for (const auto& [key, value] : header.fields) {
        put_text(payload, key);
        put_text(payload, value);
    }
    std::vector<u8> bytes;
    for (char letter : kFileMagic)
        bytes.push_back(static_cast<u8>(letter));
    put(bytes, kTraceVersion);
    put(bytes, static_cast<u32>(payload.size()));
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    put(bytes, checksum(payload));
    return bytes;
}

} // namespace

std::string trace_schema() {
    std::string text;
    for (u8 i = 0; i < static_cast<u8>(TraceKind::Count); ++i) {
        const TraceKindInfo& info = trace_kind_info(static_cast<TraceKind>(i));
        text += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", i, info.name, info.linux_name, info.a, info.b, info.c,
                            info.d, info.text);
    }
    return text;
}

void TraceHeader::set(std::string key, std::string value) {
    for (auto& field : fields) {
        if (field.first == key) {
            field.second = std::move(value);
            return;
        }
    }
    fields.emplace_back(std::move(key), std::move(value));
}

const std::string* TraceHeader::get(std::string_view key) const {
    for (const auto& field : fields)
        if (field.first == key)
            return &field.second;
    return nullptr;
}

Result<std::unique_ptr<TraceFileWriter>> TraceFileWriter::create(const std::string& path, TraceHeader header,
                                                                 TraceKinds kinds) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0)
        return Error{
            fmt::format("cannot create the trace file {}: {}; choose another place", path, std::strerror(errno))};
    std::unique_ptr<TraceFileWriter> writer(new TraceFileWriter(path, file));
    writer->kinds_ = kinds;
    header.set("schema", trace_schema());
    if (!writer->write_all(header_bytes(header))) {
        writer->finished_ = true;
        return Error{writer->error_};
    }
    writer->buffer_.reserve(kTraceEventsPerChunk);
    return writer;
}

TraceFileWriter::~TraceFileWriter() {
    if (!finished_) {
        if (const Result<void> end = finish(); !end)
            spdlog::error("{}", end.error().message);
    }
    if (file_ >= 0)
        ::close(file_);
}

void TraceFileWriter::on_event(const TraceEvent& event) {
    if (failed() || finished_) {
        ++lost_;
        return;
    }
    buffer_.push_back(event);
    if (buffer_.size() == kTraceEventsPerChunk)
        write_chunk();
}

bool TraceFileWriter::write_all(std::span<const u8> bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count = ::write(file_, bytes.data() + done, bytes.size() - done);
        if (count > 0) {
            done += static_cast<std::size_t>(count);
        } else if (count == 0 || errno != EINTR) {
            const char* why = count == 0 ? "nothing could be written" : std::strerror(errno);
            error_ =
                fmt::format("cannot write the trace file {}: {}; make room or record to another place", path_, why);
            // Half a chunk is of no use. Where it cannot be cut off (a pipe, a device) the reader skips it.
            if (::ftruncate(file_, static_cast<off_t>(good_bytes_)) != 0)
                error_ += " (the file ends with an incomplete chunk)";
            return false;
        }
    }
    good_bytes_ += bytes.size();
    return true;
}

void TraceFileWriter::write_chunk() {
    if (buffer_.empty())
        return;
    const std::vector<u8> body = pack_events(buffer_);
    PartHead head;
    head.magic = kChunkMagic;
    head.body_bytes = static_cast<u32>(body.size());
    head.events = static_cast<u32>(buffer_.size());
    head.columns = kColumns;
    head.first_event = written_;
    head.first_instructions = buffer_.front().instructions;
    head.last_instructions = buffer_.back().instructions;
    head.first_cycle = buffer_.front().cycle;
    head.last_cycle = buffer_.back().cycle;
    head.hash = part_hash(head, body);
    std::vector<u8> bytes;
    put(bytes, head);
    bytes.insert(bytes.end(), body.begin(), body.end());
    const u64 offset = good_bytes_;
    if (write_all(bytes)) {
        chunks_.push_back({offset, head.body_bytes, head.events, head.first_event, head.first_instructions,
                           head.last_instructions, head.first_cycle, head.last_cycle});
        written_ += buffer_.size();
    } else {
        lost_ += buffer_.size();
    }
    buffer_.clear();
}

void TraceFileWriter::write_index() {
    std::vector<u8> body;
    for (const TraceChunk& chunk : chunks_)
        put(body, IndexEntry{chunk.offset, chunk.body_bytes, chunk.events, chunk.first_instructions,
                             chunk.last_instructions, chunk.first_cycle, chunk.last_cycle});
    PartHead head;
    head.magic = kIndexMagic;
    head.body_bytes = static_cast<u32>(body.size());
    head.events = static_cast<u32>(chunks_.size());
    head.first_event = written_;
    head.hash = part_hash(head, body);
    std::vector<u8> bytes;
    put(bytes, head);
    bytes.insert(bytes.end(), body.begin(), body.end());
    put(bytes, good_bytes_);
    for (char letter : kEndMagic)
        bytes.push_back(static_cast<u8>(letter));
    write_all(bytes);
}

Result<void> TraceFileWriter::finish() {
    if (!finished_) {
        finished_ = true;
        if (!failed())
            write_chunk();
        if (!failed())
            write_index();
        if (::close(file_) != 0 && !failed())
            error_ = fmt::format("cannot finish the trace file {}: {}", path_, std::strerror(errno));
        file_ = -1;
    }
    if (failed())
        return Error{
            fmt::format("{}. {} events are in the file and can be read, {} are lost", error_, written_, lost_)};
    return {};
}

} // namespace forkscope
