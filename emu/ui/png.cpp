#include "emu/ui/png.hpp"

#include <stb/stb_image_write.h>

#include "emu/files/whole_file.hpp"

namespace forkscope::ui {

static void append(void* bytes, void* data, int size) {
    const auto* first = static_cast<const u8*>(data);
    auto& all = *static_cast<std::vector<u8>*>(bytes);
    all.insert(all.end(), first, first + size);
}

Result<void> write_png(const Canvas& canvas, const std::string& path) {
    std::vector<u8> bytes;
    if (stbi_write_png_to_func(append, &bytes, canvas.width, canvas.height, 4, canvas.pixels.data(),
                               canvas.width * 4) == 0)
        return Error{fmt::format("cannot write the screenshot '{}': there is no memory to compress it", path)};
    return write_whole_file(path, "the screenshot", bytes);
}

} // namespace forkscope::ui
