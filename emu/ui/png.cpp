#include "emu/ui/png.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <stb/stb_image_write.h>

#include "emu/base/log.hpp"

namespace forkscope::ui {

static void append(void* bytes, void* data, int size) {
    const auto* first = static_cast<const u8*>(data);
    auto& all = *static_cast<std::vector<u8>*>(bytes);
    all.insert(all.end(), first, first + size);
}

Result<void> write_png(const Canvas& canvas, const std::string& path) {
    const auto failed = [&](int reason) {
        return Error{fmt::format("cannot write the screenshot '{}': {}; free some space or choose another place", path,
                                 std::strerror(reason))};
    };
    std::vector<u8> bytes;
    if (stbi_write_png_to_func(append, &bytes, canvas.width, canvas.height, 4, canvas.pixels.data(),
                               canvas.width * 4) == 0)
        return failed(ENOMEM);
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr)
        return failed(errno);
    const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() && std::fflush(file) == 0;
    const int write_error = errno;
    if (std::fclose(file) != 0 && written)
        return failed(errno);
    if (!written)
        return failed(write_error);
    return {};
}

} // namespace forkscope::ui
