#include "emu/base/archive.hpp"
#include "emu/files/chunk_layout.hpp"

namespace forkscope {

using namespace chunk_layout;

namespace {

void put(std::vector<u8>& out, std::span<const u8> bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

void put_text(std::vector<u8>& out, std::string_view text) {
    put(out, bytes_of(static_cast<u32>(text.size())));
    out.insert(out.end(), text.begin(), text.end());
}

std::vector<u8> header_body(const FileHeader& header) {
    std::vector<u8> body;
    put(body, bytes_of(static_cast<u32>(header.fields.size())));
    for (const auto& [key, value] : header.fields) {
        put_text(body, key);
        put_text(body, value);
    }
    return body;
}

} // namespace

u64 chunk_layout::head_hash(const ChunkHead& head) {
    return checksum(bytes_of(head).first(sizeof head - sizeof head.head_hash));
}

void FileHeader::set(std::string key, std::string value) {
    for (auto& field : fields) {
        if (field.first == key) {
            field.second = std::move(value);
            return;
        }
    }
    fields.emplace_back(std::move(key), std::move(value));
}

const std::string* FileHeader::get(std::string_view key) const {
    for (const auto& field : fields)
        if (field.first == key)
            return &field.second;
    return nullptr;
}

Result<ChunkFileWriter> ChunkFileWriter::create(const std::string& path, const FileKind& kind, const FileHeader& header,
                                                int level) {
    auto file = WholeFile::create(path, fmt::format("the {}", kind.name));
    if (!file.ok())
        return file.error();
    ChunkFileWriter writer(std::move(file).value(), level);
    FilePreamble preamble;
    std::copy(kind.magic.begin(), kind.magic.end(), preamble.magic.begin());
    preamble.version = kind.version;
    if (auto written = writer.file_.write(bytes_of(preamble)); !written.ok())
        return written.error();
    if (auto written = writer.write_chunk(kHeaderType, 1, {}, header_body(header), Packing::None); !written.ok())
        return written.error();
    writer.index_.clear();
    return writer;
}

Result<void> ChunkFileWriter::write_chunk(u32 type, u32 version, const ChunkLabel& label, std::span<const u8> body,
                                          Packing packing) {
    std::span<const u8> stored = body;
    if (packing == Packing::Zstd) {
        packed_.clear();
        packer_.append(packed_, body);
        stored = packed_;
    }
    IndexEntry entry;
    entry.offset = file_.bytes_written();
    ChunkHead& head = entry.head;
    head.type = type;
    head.version = version;
    head.packing = static_cast<u32>(packing);
    head.stored_bytes = stored.size();
    head.plain_bytes = body.size();
    head.label = label;
    head.body_hash = checksum(stored);
    head.head_hash = head_hash(head);
    Result<void> written = file_.write(bytes_of(head));
    if (written.ok())
        written = file_.write(stored);
    if (!written.ok()) {
        // Half a chunk is of no use. Where it cannot be cut off, the reader skips it.
        static_cast<void>(file_.truncate(entry.offset));
        return written;
    }
    put(index_, bytes_of(entry));
    return {};
}

Result<void> ChunkFileWriter::append(u32 type, u32 version, const ChunkLabel& label, std::span<const u8> body,
                                     Packing packing) {
    return write_chunk(type, version, label, body, packing);
}

Result<void> ChunkFileWriter::finish() {
    FileEnd end;
    end.index_offset = file_.bytes_written();
    const std::vector<u8> index = std::move(index_);
    index_.clear();
    if (auto written = write_chunk(kIndexType, 1, {}, index, Packing::Zstd); !written.ok())
        return written;
    if (auto written = file_.write(bytes_of(end)); !written.ok()) {
        static_cast<void>(file_.truncate(end.index_offset));
        return written;
    }
    return file_.commit();
}

} // namespace forkscope
