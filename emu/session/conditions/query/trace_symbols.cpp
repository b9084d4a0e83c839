#include "emu/session/conditions/query/trace_symbols.hpp"

#include <fmt/format.h>

#include "emu/machine/images.hpp"
#include "emu/session/recording/recording_format.hpp"

namespace forkscope {

namespace {

void add_kernel(Symbolizer& symbols, const std::string& name, std::span<const u8> bytes) {
    if (auto kernel = ElfImage::from_bytes(name, bytes); kernel.ok())
        symbols.add_kernel(std::move(kernel).value());
}

// "lunaix xxh3:752f889a763f935a"
bool is_image(const FileHeader& header, std::string_view field, std::span<const u8> bytes) {
    const std::string* value = header.get(field);
    return value != nullptr && value->ends_with(fmt::format(" xxh3:{:016x}", checksum(bytes)));
}

} // namespace

void add_symbols_of_trace(Symbolizer& symbols, const TraceFileReader& trace) {
    constexpr u64 kMostImages = u64{16} << 20;
    u64 room = kMostImages;
    bool recorded = false;
    for (const Chunk& chunk : trace.file().chunks()) {
        if (chunk.type != recording_layout::kImageType)
            continue;
        const auto body = trace.file().read(chunk, room);
        if (!body)
            return;
        room -= body->size();
        if (std::exchange(recorded, true))
            return static_cast<void>(symbols.add_programs_of_initrd(*body)); // the second one
        add_kernel(symbols, "kernel", *body);
    }
    for (const std::string& name : embedded_kernel_names())
        if (const auto kernel = *embedded_kernel(name); !recorded && is_image(trace.header(), "image.kernel", kernel)) {
            add_kernel(symbols, name, kernel);
            if (is_image(trace.header(), "image.initrd", embedded_initrd()))
                static_cast<void>(symbols.add_programs_of_initrd(embedded_initrd()));
        }
}

} // namespace forkscope
