// Owns: hexadecimal digits as gdb's remote protocol has them: numbers highest digit first, memory byte by byte.
// Callers: this room. Promises: what is malformed, or does not fit, is no value; nothing is read past the end.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

std::string hex_of_bytes(std::span<const u8> bytes);
std::string hex_of_text(std::string_view text);
std::optional<std::vector<u8>> bytes_of_hex(std::string_view digits);

// Takes a packet's payload apart from its beginning.
class PayloadReader {
  public:
    explicit PayloadReader(std::string_view text) : rest_(text) {}

    bool take(std::string_view expected) {
        if (!rest_.starts_with(expected))
            return false;
        rest_.remove_prefix(expected.size());
        return true;
    }
    // One hexadecimal digit at least.
    std::optional<u64> number();
    // The same, of 32 bits at most.
    std::optional<u32> word();
    std::string_view until(char end); // not including it, which is taken, too
    std::string_view rest() const { return rest_; }
    bool done() const { return rest_.empty(); }

  private:
    std::string_view rest_;
};

} // namespace forkscope
