// Owns: the Debug Adapter Protocol's frames: "Content-Length: N", an empty line, N bytes of JSON.
// Callers: DapServer. Promises: takes bytes in any pieces; memory is bounded by the longest message that is allowed;
// where the next message begins is never guessed.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "emu/base/result.hpp"

namespace forkscope {

class DapFrames {
  public:
    static constexpr std::size_t kMostHead = 4096;
    static constexpr std::size_t kMostBody = std::size_t{4} << 20;

    void feed(std::string_view bytes) { waiting_ += bytes; }
    // The next message, whole; nothing: it is not here yet. Error: nobody can tell where messages begin any more.
    Result<std::optional<std::string>> next();

  private:
    std::string waiting_;
};

std::string dap_frame(std::string_view json);

} // namespace forkscope
