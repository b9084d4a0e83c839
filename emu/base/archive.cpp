#include "emu/base/archive.hpp"

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace forkscope {

namespace {

// Record layout: tag, name length (u8), name, and for values a u64 size and the bytes.
constexpr u8 kValue = 'v';
constexpr u8 kBegin = '{';
constexpr u8 kEnd = '}';

void append(std::vector<u8>& out, const void* data, std::size_t size) {
    const auto* bytes = static_cast<const u8*>(data);
    out.insert(out.end(), bytes, bytes + size);
}

void append_head(std::vector<u8>& out, u8 tag, std::string_view name) {
    EMU_ASSERT(name.size() < 256, "field name '{}' is too long", name);
    out.push_back(tag);
    out.push_back(static_cast<u8>(name.size()));
    append(out, name.data(), name.size());
}

// Reads a record's head at `at`; moves past it only if tag and name are as expected.
bool match_head(std::span<const u8> bytes, std::size_t& at, u8 tag, std::string_view name) {
    if (bytes.size() - at < 2 + name.size() || bytes[at] != tag || bytes[at + 1] != name.size() ||
        std::memcmp(bytes.data() + at + 2, name.data(), name.size()) != 0)
        return false;
    at += 2 + name.size();
    return true;
}

std::string join(const std::vector<std::string>& path, std::string_view leaf) {
    std::string text;
    for (const std::string& part : path)
        text += part + ".";
    return text + std::string(leaf);
}

std::string hex(const u8* data, std::size_t size) {
    std::string text;
    constexpr std::size_t kMost = 16;
    for (std::size_t i = 0; i < size && i < kMost; ++i)
        text += fmt::format("{:02x}", data[i]);
    return size > kMost ? text + "..." : text;
}

} // namespace

void Archive::text(std::string_view name, std::string& value) {
    std::vector<char> characters(value.begin(), value.end());
    sequence(name, characters, u64{1} << 20);
    if (loading())
        value.assign(characters.begin(), characters.end());
}

u64 Archive::held(u64 count, u64 most, u64 bytes) {
    if (!good())
        return 0;
    if (count <= most && count <= remaining() / bytes)
        return count;
    fail(count > most ? fmt::format("{} elements where there can be {} at most", count, most)
                      : fmt::format("{} elements of {} bytes or more where {} bytes are left; the file is damaged",
                                    count, bytes, remaining()));
    return 0;
}

std::span<const u8> Archive::words_in_place(std::string_view name, u64 most) {
    begin(name);
    u64 count = 0;
    field("count", count);
    count = held(count, most, sizeof(u64));
    const auto words = count == 0 ? std::span<const u8>() : view("elements", count * sizeof(u64));
    end();
    return good() ? words : std::span<const u8>();
}

void SaveArchive::raw(std::string_view name, void* data, std::size_t size) {
    append_head(bytes_, kValue, name);
    const u64 length = size;
    append(bytes_, &length, sizeof length);
    append(bytes_, data, size);
}

void SaveArchive::begin(std::string_view name) { append_head(bytes_, kBegin, name); }
void SaveArchive::end() { append_head(bytes_, kEnd, ""); }

bool LoadArchive::record(u8 tag, std::string_view name) {
    if (!good())
        return false;
    if (match_head(bytes_, at_, tag, name))
        return true;
    fail(fmt::format("expected '{}' here; the snapshot was made by another version or is damaged", name));
    return false;
}

std::string LoadArchive::path() const { return join(path_, ""); }

void LoadArchive::raw(std::string_view name, void* data, std::size_t size) {
    if (const std::span<const u8> bytes = view(name, size); !bytes.empty())
        std::memcpy(data, bytes.data(), size);
}

std::span<const u8> LoadArchive::view(std::string_view name, std::size_t size) {
    if (!record(kValue, name))
        return {};
    u64 length = 0;
    const std::size_t left = bytes_.size() - at_;
    if (left >= sizeof length)
        std::memcpy(&length, bytes_.data() + at_, sizeof length);
    if (left >= sizeof length && length != size)
        fail(fmt::format("'{}' has {} bytes where {} are expected", name, length, size));
    else if (left < sizeof length || left - sizeof length < size)
        fail("the data ends too early");
    if (!good())
        return {};
    at_ += sizeof length + size;
    return bytes_.subspan(at_ - size, size);
}

void LoadArchive::begin(std::string_view name) {
    record(kBegin, name);
    path_.emplace_back(name);
}

void LoadArchive::end() {
    record(kEnd, "");
    path_.pop_back();
}

void LoadArchive::fail(std::string_view why) {
    if (good())
        error_ = fmt::format("{}: {}", path(), why);
}

void LoadArchive::mismatch(std::string saved, std::string here) {
    saved_.push_back(std::move(saved));
    here_.push_back(std::move(here));
}

Result<void> LoadArchive::finish() const {
    if (!error_.empty())
        return Error{error_};
    if (!saved_.empty())
        return Error{fmt::format("the saved machine has {}, this one has {}: give it the same", fmt::join(saved_, ", "),
                                 fmt::join(here_, ", "))};
    if (at_ != bytes_.size())
        return Error{fmt::format("{} bytes are left over at the end", bytes_.size() - at_)};
    return {};
}

struct HashArchive::State {
    XXH3_state_t xxh;
};

HashArchive::HashArchive() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->xxh); }
HashArchive::~HashArchive() = default;
void HashArchive::raw(std::string_view, void* data, std::size_t size) { XXH3_64bits_update(&state_->xxh, data, size); }
u64 HashArchive::digest() const { return XXH3_64bits_digest(&state_->xxh); }

bool DiffArchive::record(u8 tag, std::string_view name) {
    if (lost_)
        return false;
    if (match_head(saved_, at_, tag, name))
        return true;
    // Sequences of another length end up here: after that the two lists of fields no longer run in step.
    differences_.push_back(path(name) + ": the saved state has another structure from here on");
    lost_ = true;
    return false;
}

std::string DiffArchive::path(std::string_view leaf) const { return join(path_, leaf); }

void DiffArchive::raw(std::string_view name, void* data, std::size_t size) {
    if (!record(kValue, name))
        return;
    u64 length = 0;
    if (saved_.size() - at_ >= sizeof length)
        std::memcpy(&length, saved_.data() + at_, sizeof length);
    at_ += sizeof length;
    if (at_ > saved_.size() || saved_.size() - at_ < length) {
        differences_.push_back(path(name) + ": the saved state ends here");
        lost_ = true;
        return;
    }
    const u8* was = saved_.data() + at_;
    const auto* is = static_cast<const u8*>(data);
    if (length != size || std::memcmp(was, is, size) != 0)
        differences_.push_back(fmt::format("{}: {} -> {}", path(name), hex(was, length), hex(is, size)));
    at_ += length;
}

void DiffArchive::begin(std::string_view name) {
    record(kBegin, name);
    path_.emplace_back(name);
}

void DiffArchive::end() {
    path_.pop_back();
    record(kEnd, "");
}

u64 checksum(std::span<const u8> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

} // namespace forkscope
