// Owns: writing JSON text: nesting, commas, indentation, escaping.
// Callers: reports. Promises: the output is always well-formed UTF-8 JSON, whatever bytes the strings hold.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

class JsonWriter {
  public:
    JsonWriter& begin_object(std::string_view key = {}) { return open(key, '{'); }
    JsonWriter& end_object() { return close('}'); }
    JsonWriter& begin_array(std::string_view key = {}) { return open(key, '['); }
    JsonWriter& end_array() { return close(']'); }

    // Inside an object with a key, inside an array without.
    JsonWriter& text(std::string_view key, std::string_view value);
    JsonWriter& boolean(std::string_view key, bool value) { return plain(key, value ? "true" : "false"); }
    template <std::integral T> JsonWriter& number(std::string_view key, T value) {
        return plain(key, std::to_string(value));
    }
    // "0x0040a000": addresses and entries, as people read them.
    JsonWriter& hex(std::string_view key, u64 value);
    JsonWriter& null(std::string_view key) { return plain(key, "null"); }

    // An object within an array, on one line.
    JsonWriter& begin_row() {
        open({}, '{');
        ++one_line_;
        return *this;
    }
    JsonWriter& end_row();

    std::string take() { return std::move(out_) + "\n"; }

  private:
    JsonWriter& open(std::string_view key, char bracket);
    JsonWriter& close(char bracket);
    JsonWriter& plain(std::string_view key, std::string_view value);
    void lead(std::string_view key);
    void quote(std::string_view text);
    void new_line();

    std::string out_;
    std::vector<bool> has_members_;
    int one_line_ = 0;
};

} // namespace forkscope
