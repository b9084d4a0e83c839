// Owns: writing a canvas as a PNG file.
// Callers: picture.cpp, tests. Promises: an error names the path, the reason and what to do; a file is whole or an
// error.
#pragma once

#include <string>

#include "emu/base/result.hpp"
#include "emu/ui/rasterizer.hpp"

namespace forkscope::ui {

Result<void> write_png(const Canvas& canvas, const std::string& path);

} // namespace forkscope::ui
