// Owns: the list of fuzz targets and what they read their decisions from.
// Callers: libfuzzer_entry.cpp (one target, by libFuzzer), corpus_test.cpp (all, over the kept corpus).
// Promises: each takes any bytes; a finding ends the process with a message, as does any sanitizer.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "emu/base/types.hpp"

namespace forkscope::fuzz {

void decoder(std::span<const u8> input);
void machine(std::span<const u8> input);
void snapshot(std::span<const u8> input);
void multiboot(std::span<const u8> input);
void trace(std::span<const u8> input);
void recording(std::span<const u8> input);
void gdb(std::span<const u8> input);
void conditions(std::span<const u8> input);
void elf(std::span<const u8> input);
void tar(std::span<const u8> input);

// Says what is wrong and aborts.
[[noreturn]] void report(const char* what);

// Takes the input apart from its beginning; zeroes follow its end.
class InputReader {
  public:
    explicit InputReader(std::span<const u8> bytes) : bytes_(bytes) {}

    template <class T> T take() {
        T value{};
        const std::size_t size = std::min(sizeof(T), bytes_.size());
        std::memcpy(&value, bytes_.data(), size);
        bytes_ = bytes_.subspan(size);
        return value;
    }
    // A reader of the next `size` bytes alone.
    InputReader part(std::size_t size) {
        const std::span<const u8> bytes = bytes_.first(std::min(size, bytes_.size()));
        bytes_ = bytes_.subspan(bytes.size());
        return InputReader(bytes);
    }
    bool empty() const { return bytes_.empty(); }
    std::span<const u8> rest() const { return bytes_; }

  private:
    std::span<const u8> bytes_;
};

} // namespace forkscope::fuzz
