#include "emu/debug/dap/framing.hpp"

#include <charconv>

#include <fmt/format.h>

#include "emu/base/text/words.hpp"

namespace forkscope {

namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";

bool same_letters(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return lower(x) == lower(y); });
}

// The length that a head states. Fields that are not known are allowed, as in HTTP's.
Result<std::size_t> body_length(std::string_view head) {
    std::optional<std::size_t> length;
    while (!head.empty()) {
        const std::string_view line = head.substr(0, head.find("\r\n"));
        head.remove_prefix(std::min(head.size(), line.size() + 2));
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos)
            return Error{"a message's head has a line without a colon"};
        if (!same_letters(line.substr(0, colon), "Content-Length"))
            continue;
        const std::string_view digits = trimmed(line.substr(colon + 1));
        std::size_t value = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (error != std::errc() || end != digits.data() + digits.size() || length)
            return Error{"a message's head has a Content-Length that is no number, or two of them"};
        length = value;
    }
    if (!length)
        return Error{"a message's head has no Content-Length"};
    if (*length > DapFrames::kMostBody)
        return Error{fmt::format("a message of {} bytes; at most {} are read", *length, DapFrames::kMostBody)};
    return *length;
}

} // namespace

Result<std::optional<std::string>> DapFrames::next() {
    const std::size_t head = waiting_.substr(0, kMostHead).find(kHeadEnd);
    if (head == std::string::npos) {
        if (waiting_.size() >= kMostHead)
            return Error{fmt::format("no head of a message ends within {} bytes", kMostHead)};
        return std::optional<std::string>();
    }
    const auto length = body_length(std::string_view(waiting_).substr(0, head));
    if (!length.ok())
        return length.error();
    const std::size_t begin = head + kHeadEnd.size();
    if (waiting_.size() - begin < *length)
        return std::optional<std::string>();
    std::optional<std::string> body(waiting_.substr(begin, *length));
    waiting_.erase(0, begin + *length);
    return body;
}

std::string dap_frame(std::string_view json) { return fmt::format("Content-Length: {}\r\n\r\n{}", json.size(), json); }

} // namespace forkscope
