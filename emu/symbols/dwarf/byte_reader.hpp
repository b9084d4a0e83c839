// Owns: Budget, what may still be spent on a file of nobody's making; ByteReader, a cursor over its bytes.
// Callers: whoever reads DWARF. Promises: beyond the end zeros come, and the reader is broken from then on.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>

#include "emu/base/types.hpp"

namespace forkscope {

class Budget {
  public:
    explicit Budget(u64 left) : left_(left) {}
    // False if there is not so much left; then nothing is left.
    bool take(u64 amount) {
        const bool enough = amount <= left_;
        left_ -= enough ? amount : left_;
        return enough;
    }
    void give_back(u64 amount) { left_ += amount; }
    bool spent() const { return left_ == 0; }

  private:
    u64 left_;
};

class ByteReader {
  public:
    ByteReader() = default;
    explicit ByteReader(std::span<const u8> bytes, u64 at = 0)
        : bytes_(bytes), at_(std::min<u64>(at, bytes.size())), broken_(at > bytes.size()) {}

    u64 at() const { return at_; }
    u64 left() const { return bytes_.size() - at_; }
    bool done() const { return at_ == bytes_.size() || broken_; }
    bool broken() const { return broken_; }
    void fail() { broken_ = true; }
    std::span<const u8> bytes() const { return bytes_; }
    // Forgets what lies at `end` and behind it.
    void end_at(u64 end) { end > bytes_.size() ? fail() : void(bytes_ = bytes_.first(end)); }
    void go_to(u64 at) {
        broken_ = broken_ || at > bytes_.size();
        at_ = std::min<u64>(at, bytes_.size());
    }

    u64 fixed(u32 size) {
        u64 value = 0;
        if (size > left() || size > sizeof value) {
            broken_ = true;
            at_ = bytes_.size();
            return 0;
        }
        std::memcpy(&value, bytes_.data() + at_, size);
        at_ += size;
        return value;
    }
    i64 signed_fixed(u32 size) {
        const u64 value = fixed(size);
        const u32 unused = size == 0 || size > 8 ? 0 : 64 - 8 * size;
        return static_cast<i64>(value << unused) >> unused;
    }
    u64 unsigned_leb() {
        u64 value = 0;
        for (u32 shift = 0; at_ < bytes_.size(); shift += 7) {
            const u8 byte = bytes_[at_++];
            value |= shift < 64 ? u64{byte & 0x7Fu} << shift : 0;
            if ((byte & 0x80) == 0)
                return value;
        }
        broken_ = true;
        return 0;
    }
    i64 signed_leb() {
        const u64 start = at_;
        u64 value = unsigned_leb();
        const u64 bits = 7 * (at_ - start);
        if (!broken_ && bits < 64 && (bytes_[at_ - 1] & 0x40) != 0)
            value |= ~u64{0} << bits;
        return static_cast<i64>(value);
    }
    std::string_view text() {
        const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + at_, left());
        const std::size_t end = rest.find('\0');
        if (end == std::string_view::npos) {
            broken_ = true;
            return {};
        }
        at_ += end + 1;
        return rest.substr(0, end);
    }
    std::span<const u8> block(u64 size) {
        if (size > left()) {
            skip(size);
            return {};
        }
        at_ += size;
        return bytes_.subspan(at_ - size, size);
    }
    void skip(u64 size) {
        broken_ = broken_ || size > left();
        at_ += std::min<u64>(size, left());
    }

  private:
    std::span<const u8> bytes_;
    u64 at_ = 0;
    bool broken_ = false;
};

// Text at an offset of a section of strings, at most `most` bytes of it; empty beyond its end.
inline std::string_view text_in(std::span<const u8> section, u64 offset, u64 most = 4096) {
    if (offset >= section.size())
        return {};
    const auto* start = reinterpret_cast<const char*>(section.data()) + offset;
    return {start, ::strnlen(start, std::min<u64>(section.size() - offset, most))};
}

} // namespace forkscope
