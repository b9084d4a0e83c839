#include "emu/symbols/tar.hpp"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

namespace forkscope {

namespace {

constexpr std::size_t kBlock = 512;

// A numeric field: octal digits, or base 256 where the top bit of the first byte is set.
std::optional<u64> number(std::span<const u8> field) {
    u64 value = 0;
    if ((field[0] & 0x80) != 0) {
        for (std::size_t i = 0; i < field.size(); ++i) {
            if (value >> 55 != 0)
                return std::nullopt;
            value = value << 8 | (i == 0 ? field[i] & 0x7Fu : field[i]);
        }
        return value;
    }
    for (u8 byte : field) {
        if (byte == 0 || byte == ' ') {
            if (value != 0)
                break;
            continue;
        }
        if (byte < '0' || byte > '7' || value >> 60 != 0)
            return std::nullopt;
        value = value << 3 | (byte - '0');
    }
    return value;
}

std::string text(std::span<const u8> field) {
    const auto end = std::find(field.begin(), field.end(), u8{0});
    return {field.begin(), end};
}

bool is_zero(std::span<const u8> block) {
    return std::all_of(block.begin(), block.end(), [](u8 byte) { return byte == 0; });
}

bool checksum_fits(std::span<const u8> head) {
    u64 sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i)
        sum += i >= 148 && i < 156 ? ' ' : head[i];
    return number(head.subspan(148, 8)) == sum;
}

// The value of a key in the records "LENGTH KEY=VALUE\n" of a pax header; the last one wins.
std::string pax_value(std::span<const u8> data, std::string_view key, std::string otherwise) {
    std::string_view rest(reinterpret_cast<const char*>(data.data()), data.size());
    while (!rest.empty()) {
        std::size_t length = 0;
        std::size_t at = 0;
        while (at < rest.size() && rest[at] >= '0' && rest[at] <= '9' && length < data.size())
            length = length * 10 + static_cast<std::size_t>(rest[at++] - '0');
        if (length <= at + 1 || length > rest.size() || rest[at] != ' ')
            break;
        const std::string_view record = rest.substr(at + 1, length - at - 2);
        if (record.size() > key.size() && record.substr(0, key.size()) == key && record[key.size()] == '=') {
            const std::string_view value = record.substr(key.size() + 1);
            otherwise = value.substr(0, value.find('\0'));
        }
        rest.remove_prefix(length);
    }
    return otherwise;
}

std::string prefix_of(std::span<const u8> head) {
    const bool ustar = text(head.subspan(257, 6)).compare(0, 5, "ustar") == 0;
    // GNU tar's own format uses the prefix field for other things; it marks itself with "ustar  ".
    return ustar && head[262] == 0 ? text(head.subspan(345, 155)) : "";
}

// Before ustar, a directory was a file whose name ends with a slash; a prefix alone makes none.
bool is_directory(u8 type, const std::string& name) {
    return type == '5' || ((type == 0 || type == '0') && !name.empty() && name.back() == '/');
}

// Adds entries to a list; a hard link gets the bytes of the latest file of the name that it gives.
class Entries {
  public:
    void add(u8 type, const std::string& prefix, const std::string& name, const std::string& link,
             std::span<const u8> data) {
        const bool directory = is_directory(type, name);
        const std::string path = plain_tar_name(prefix.empty() ? name : prefix + "/" + name);
        if (directory || type == 0 || type == '0' || type == '7') {
            put({path, directory, data});
        } else if (type == '1') {
            const auto target = files_.find(plain_tar_name(link));
            if (target != files_.end())
                put({path, false, target->second});
        }
    }

    std::vector<TarEntry> take() { return std::move(list_); }

  private:
    void put(TarEntry entry) {
        if (!entry.directory)
            files_[entry.name] = entry.data;
        list_.push_back(std::move(entry));
    }

    std::vector<TarEntry> list_;
    std::unordered_map<std::string, std::span<const u8>> files_;
};

} // namespace

std::string plain_tar_name(std::string name) {
    std::size_t start = 0;
    while (name.compare(start, 1, "/") == 0 || name.compare(start, 2, "./") == 0)
        start += name[start] == '/' ? 1 : 2;
    std::size_t end = name.size();
    while (end > start && name[end - 1] == '/')
        --end;
    return name.substr(start, end - start);
}

Result<std::vector<TarEntry>> read_tar(std::span<const u8> bytes) {
    Entries entries;
    std::string long_name;
    std::string long_link;
    std::size_t at = 0;
    while (bytes.size() - at >= kBlock) {
        const auto head = bytes.subspan(at, kBlock);
        if (is_zero(head))
            return entries.take();
        if (!checksum_fits(head))
            return Error{fmt::format("not a tar archive, or damaged: bad header checksum at offset {}", at)};
        const std::optional<u64> size = number(head.subspan(124, 12));
        at += kBlock;
        if (!size || *size > bytes.size() - at)
            return Error{
                fmt::format("tar archive is cut off: the entry at offset {} is longer than the rest", at - kBlock)};
        const auto data = bytes.subspan(at, static_cast<std::size_t>(*size));
        const u64 padded = (*size + kBlock - 1) / kBlock * kBlock;
        at = padded > bytes.size() - at ? bytes.size() : at + static_cast<std::size_t>(padded);
        const u8 type = head[156];
        if (type == 'L') {
            long_name = text(data);
        } else if (type == 'K') {
            long_link = text(data);
        } else if (type == 'x') {
            long_name = pax_value(data, "path", std::move(long_name));
            long_link = pax_value(data, "linkpath", std::move(long_link));
        } else {
            entries.add(type, long_name.empty() ? prefix_of(head) : "",
                        long_name.empty() ? text(head.subspan(0, 100)) : long_name,
                        long_link.empty() ? text(head.subspan(157, 100)) : long_link, data);
            long_name.clear();
            long_link.clear();
        }
    }
    if (at != bytes.size())
        return Error{fmt::format("tar archive is cut off in the header at offset {}", at)};
    return entries.take();
}

} // namespace forkscope
