#include "emu/report/json_writer.hpp"

#include <fmt/format.h>

namespace forkscope {

namespace {

// Length of the well-formed UTF-8 sequence at `at`, or 0.
std::size_t sequence_length(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<u8>(text[i]) : u8{0}; };
    const u8 first = byte(at);
    const std::size_t length = first < 0x80                    ? 1
                               : first >= 0xC2 && first < 0xE0 ? 2
                               : first >= 0xE0 && first < 0xF0 ? 3
                               : first >= 0xF0 && first < 0xF5 ? 4
                                                               : 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(at + i) & 0xC0) != 0x80)
            return 0;
    const u8 second = byte(at + 1);
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) ||
        (first == 0xF4 && second > 0x8F))
        return 0;
    return length;
}

} // namespace

void JsonWriter::new_line() {
    if (one_line_ == 0 && !out_.empty())
        out_ += "\n" + std::string(has_members_.size() * 2, ' ');
}

void JsonWriter::lead(std::string_view key) {
    if (!has_members_.empty()) {
        if (has_members_.back())
            out_ += one_line_ != 0 ? ", " : ",";
        has_members_.back() = true;
    }
    new_line();
    if (!key.empty()) {
        quote(key);
        out_ += ": ";
    }
}

void JsonWriter::quote(std::string_view text) {
    out_ += '"';
    for (std::size_t at = 0; at < text.size();) {
        const char letter = text[at];
        const std::size_t length = sequence_length(text, at);
        if (letter == '"' || letter == '\\')
            out_ += {'\\', letter};
        else if (letter == '\n')
            out_ += "\\n";
        else if (letter == '\t')
            out_ += "\\t";
        else if (length == 1 && static_cast<u8>(letter) < 0x20)
            out_ += fmt::format("\\u{:04x}", static_cast<u8>(letter));
        else if (length == 0)
            out_ += "\\ufffd";
        else
            out_ += text.substr(at, length);
        at += length == 0 ? 1 : length;
    }
    out_ += '"';
}

JsonWriter& JsonWriter::open(std::string_view key, char bracket) {
    lead(key);
    out_ += bracket;
    has_members_.push_back(false);
    return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
    const bool had_members = has_members_.back();
    has_members_.pop_back();
    if (had_members)
        new_line();
    out_ += bracket;
    return *this;
}

JsonWriter& JsonWriter::end_row() {
    close('}');
    --one_line_;
    return *this;
}

JsonWriter& JsonWriter::text(std::string_view key, std::string_view value) {
    lead(key);
    quote(value);
    return *this;
}

JsonWriter& JsonWriter::hex(std::string_view key, u64 value) { return plain(key, fmt::format("\"0x{:08x}\"", value)); }

JsonWriter& JsonWriter::plain(std::string_view key, std::string_view value) {
    lead(key);
    out_ += value;
    return *this;
}

} // namespace forkscope
