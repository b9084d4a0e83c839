// Owns: SharedBytes, bytes that never change, and that all copies share: images of up to hundreds of megabytes.
// Callers: the machine's configuration, its boot plan, symbols. Promises: a copy or a part takes no memory of its own;
// each keeps the bytes alive.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

class SharedBytes {
  public:
    using value_type = u8;
    using const_iterator = const u8*;

    SharedBytes() = default;
    SharedBytes(std::vector<u8> bytes)
        : owner_(std::make_shared<const std::vector<u8>>(std::move(bytes))), bytes_(*owner_) {}
    static SharedBytes copy_of(std::span<const u8> bytes) { return std::vector<u8>(bytes.begin(), bytes.end()); }

    const u8* data() const { return bytes_.data(); }
    std::size_t size() const { return bytes_.size(); }
    bool empty() const { return bytes_.empty(); }
    const u8* begin() const { return data(); }
    const u8* end() const { return data() + size(); }
    u8 operator[](std::size_t at) const { return bytes_[at]; }
    // `within` is a piece of these bytes.
    SharedBytes part(std::span<const u8> within) const {
        SharedBytes part(*this);
        part.bytes_ = within;
        return part;
    }

    friend bool operator==(const SharedBytes& a, const SharedBytes& b) {
        return std::equal(a.begin(), a.end(), b.begin(), b.end());
    }

  private:
    std::shared_ptr<const std::vector<u8>> owner_;
    std::span<const u8> bytes_;
};

} // namespace forkscope
