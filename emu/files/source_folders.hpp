// Owns: SourceFolders, where on the host source text may be read from.
// Callers: Session. Promises: a path, which comes from anybody's image, opens nothing outside of the folders.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace forkscope {

class SourceFolders {
  public:
    // False if it is no folder.
    bool add(const std::filesystem::path& folder);
    // Of the first folder that has the file: under the path itself, or under the most of its last parts that name one.
    std::optional<std::string> read(const std::string& path) const;

  private:
    std::vector<std::filesystem::path> folders_; // canonical
};

} // namespace forkscope
