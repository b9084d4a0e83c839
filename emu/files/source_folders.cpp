#include "emu/files/source_folders.hpp"

#include <algorithm>
#include <array>
#include <fstream>

namespace forkscope {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostSourceBytes = 16u << 20;

std::optional<std::string> read_source(const fs::path& path) {
    // It may be a pipe or a device, which could block for ever.
    std::error_code error;
    if (!fs::is_regular_file(path, error))
        return std::nullopt;
    std::ifstream file(path, std::ios::binary);
    if (!file)
        return std::nullopt;
    std::string text;
    std::array<char, 65536> part;
    while (text.size() < kMostSourceBytes && (file.read(part.data(), part.size()) || file.gcount() > 0))
        text.append(part.data(), static_cast<std::size_t>(file.gcount()));
    return text;
}

bool lies_in(const fs::path& path, const fs::path& folder) {
    return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

// The file of `folder` that a path from an image means: the path itself, or the most of its last parts that name a file
// there. Symbolic links and ".." lead to nothing outside.
std::optional<fs::path> place_in(const fs::path& folder, const fs::path& wanted) {
    constexpr std::ptrdiff_t kMostParts = 64;
    const auto inside = [&](const fs::path& candidate) -> std::optional<fs::path> {
        std::error_code error;
        fs::path place = fs::canonical(candidate, error);
        return !error && lies_in(place, folder) ? std::optional(std::move(place)) : std::nullopt;
    };
    if (wanted.is_absolute())
        if (auto place = inside(wanted))
            return place;
    const fs::path relative = wanted.relative_path();
    auto first = relative.begin();
    for (std::ptrdiff_t parts = std::distance(first, relative.end()); parts > 0; --parts, ++first) {
        if (parts > kMostParts)
            continue;
        fs::path rest;
        for (auto part = first; part != relative.end(); ++part)
            rest /= *part;
        if (auto place = inside(folder / rest))
            return place;
    }
    return std::nullopt;
}

} // namespace

bool SourceFolders::add(const fs::path& folder) {
    std::error_code error;
    fs::path place = fs::canonical(folder, error);
    if (error || !fs::is_directory(place, error))
        return false;
    folders_.push_back(std::move(place));
    return true;
}

std::optional<std::string> SourceFolders::read(const std::string& path) const {
    for (const fs::path& folder : folders_)
        if (const auto place = place_in(folder, path))
            if (auto text = read_source(*place))
                return text;
    return std::nullopt;
}

} // namespace forkscope
