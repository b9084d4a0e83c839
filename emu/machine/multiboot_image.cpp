#include "emu/machine/multiboot_image.hpp"

#include <algorithm>
#include <cstring>

namespace forkscope {

namespace {

constexpr u32 kHeaderMagic = 0x1BADB002;
constexpr u32 kHeaderSearchBytes = 8192;
constexpr u32 kFlagVideo = 1u << 2;
constexpr u32 kFlagAddresses = 1u << 16;
constexpr u32 kMandatoryUnknown = 0xFFF8; // bits 3..15: what we do not know and must

constexpr u32 kHeaderMagic2 = 0xE85250D6; // of multiboot 2
constexpr u32 kHeaderSearchBytes2 = 32768;

u32 word_at(std::span<const u8> bytes, u64 at) {
    u32 value = 0;
    if (at + 4 <= bytes.size())
        std::memcpy(&value, bytes.data() + at, 4);
    return value;
}
u16 half_at(std::span<const u8> bytes, u64 at) {
    u16 value = 0;
    if (at + 2 <= bytes.size())
        std::memcpy(&value, bytes.data() + at, 2);
    return value;
}

std::optional<u64> find_header(std::span<const u8> image) {
    const u64 end = std::min<u64>(image.size(), kHeaderSearchBytes);
    for (u64 at = 0; at + 12 <= end; at += 4)
        if (word_at(image, at) == kHeaderMagic &&
            word_at(image, at) + word_at(image, at + 4) + word_at(image, at + 8) == 0)
            return at;
    return std::nullopt;
}

// Magic, architecture, length and checksum sum up to zero.
bool has_multiboot2_header(std::span<const u8> image) {
    const u64 end = std::min<u64>(image.size(), kHeaderSearchBytes2);
    for (u64 at = 0; at + 16 <= end; at += 8)
        if (word_at(image, at) == kHeaderMagic2 &&
            word_at(image, at) + word_at(image, at + 4) + word_at(image, at + 8) + word_at(image, at + 12) == 0)
            return true;
    return false;
}

bool is_elf(std::span<const u8> image) { return image.size() >= 4 && std::memcmp(image.data(), "\177ELF", 4) == 0; }
bool is_elf64(std::span<const u8> image) { return is_elf(image) && image.size() > 4 && image[4] == 2; }

class Reader {
  public:
    Reader(std::span<const u8> image, const std::string& name) : image_(image), name_(name) {}

    Result<KernelImage> read() {
        const auto header = find_header(image_);
        const u32 flags = header ? word_at(image_, *header + 4) : 0;
        if (!header && has_multiboot2_header(image_))
            return refuse(
                "has a multiboot 2 header and none of multiboot 1, which is what this machine's firmware loads");
        if ((flags & kFlagAddresses) == 0 && is_elf64(image_))
            return refuse("is a 64-bit ELF file: compile it with -m32");
        if (!header)
            return refuse(is_elf(image_) ? "is an ELF file without a multiboot header in its first 8 KB; link the "
                                           "header first, aligned to 4 bytes"
                                         : "is no multiboot kernel: no header in its first 8 KB");
        if ((flags & kMandatoryUnknown) != 0)
            return refuse(
                fmt::format("asks for multiboot features {:#x} that no loader knows", flags & kMandatoryUnknown));
        if ((flags & kFlagVideo) != 0)
            kernel_.video = VideoRequest{word_at(image_, *header + 32) == 0, word_at(image_, *header + 36),
                                         word_at(image_, *header + 40), word_at(image_, *header + 44)};
        const bool by_addresses = (flags & kFlagAddresses) != 0;
        if (!by_addresses && !is_elf(image_))
            return refuse("is neither ELF nor does its multiboot header say where to load it");
        if (auto loaded = by_addresses ? read_addresses(*header) : read_elf(); !loaded.ok())
            return loaded.error();
        return std::move(kernel_);
    }

  private:
    Error refuse(const std::string& why) const { return refuse_kernel(name_, why); }

    Result<void> read_addresses(u64 header) {
        const u32 header_address = word_at(image_, header + 12);
        const u32 load_address = word_at(image_, header + 16);
        const u32 load_end = word_at(image_, header + 20);
        const u32 bss_end = word_at(image_, header + 24);
        kernel_.entry = word_at(image_, header + 28);
        if (load_address > header_address || header_address - load_address > header)
            return refuse("has a multiboot header whose load address does not fit its place in the file");
        const u64 start = header - (header_address - load_address);
        const u64 bytes = load_end != 0 ? u64{load_end} - load_address : image_.size() - start;
        if ((load_end != 0 && load_end < load_address) || start + bytes > image_.size())
            return refuse(
                fmt::format("is cut short: it has {} bytes, its header asks for {}", image_.size(), start + bytes));
        if (bytes == 0 || load_address + bytes > u64{1} << 32)
            return refuse("has a multiboot header that loads nothing, or beyond 4 GB");
        if (bss_end != 0 && bss_end < load_address + bytes)
            return refuse("has a multiboot header whose bss ends before its data");
        const u64 memory = bss_end > load_address ? std::max<u64>(bytes, u64{bss_end} - load_address) : bytes;
        kernel_.pieces.push_back({load_address, memory, image_.subspan(start, bytes)});
        return {};
    }

    Result<void> read_elf() {
        constexpr u16 kMachine386 = 3;
        if (image_.size() < 52 || half_at(image_, 18) != kMachine386)
            return refuse(image_.size() < 52 ? "is cut short: it ends in its ELF header"
                                             : "is an ELF file for another machine than the i386");
        constexpr u8 kLittleEndian = 1;
        constexpr u16 kExecutable = 2;
        if (image_[5] != kLittleEndian || half_at(image_, 16) != kExecutable)
            return refuse("is an ELF file, but no little-endian executable: link it");
        const u64 table = word_at(image_, 28);
        const u32 entry_bytes = half_at(image_, 42);
        const u32 count = half_at(image_, 44);
        if (entry_bytes < 32 || table + u64{entry_bytes} * count > image_.size())
            return refuse("is cut short: its program headers lie outside the file");
        const u64 headers_end = std::max<u64>(half_at(image_, 40), table + u64{entry_bytes} * count);
        const u32 entry = word_at(image_, 24);
        kernel_.entry = entry;
        bool entry_found = false;
        for (u32 i = 0; i < count; ++i) {
            const u64 at = table + u64{entry_bytes} * i;
            const u32 offset = word_at(image_, at + 4);
            const u32 virtual_address = word_at(image_, at + 8);
            const u32 address = word_at(image_, at + 12);
            const u32 file_bytes = word_at(image_, at + 16);
            const u32 memory_bytes = word_at(image_, at + 20);
            if (word_at(image_, at) != 1 || memory_bytes == 0) // PT_LOAD
                continue;
            if (u64{offset} + file_bytes > image_.size() || file_bytes > memory_bytes)
                return refuse(fmt::format("is cut short: segment {} needs bytes {} to {}, the file has {}", i, offset,
                                          u64{offset} + file_bytes, image_.size()));
            // An entry given as a virtual address is translated through its segment, as other loaders do.
            if (!entry_found && entry >= virtual_address && entry - virtual_address < memory_bytes) {
                kernel_.entry = entry - virtual_address + address;
                entry_found = true;
            }
            const u64 headers = offset < headers_end ? headers_end - offset : 0;
            kernel_.pieces.push_back({address, memory_bytes, image_.subspan(offset, file_bytes), headers});
        }
        if (kernel_.pieces.empty())
            return refuse("has no segment to load");
        kernel_.entry_is_physical = !entry_found;
        read_sections();
        return {};
    }

    // The section headers (multiboot flag 5). A kernel with none, or with damaged ones, boots without symbols.
    void read_sections() {
        const u64 table = word_at(image_, 32);
        const u32 entry_bytes = half_at(image_, 46);
        const u32 count = half_at(image_, 48);
        if (count == 0 || entry_bytes != 40 || table + u64{entry_bytes} * count > image_.size())
            return;
        constexpr u32 kSymbols = 2;
        constexpr u32 kStrings = 3;
        ImageSections& sections = kernel_.sections;
        sections.headers = image_.subspan(table, u64{entry_bytes} * count);
        for (u32 i = 0; i < count; ++i) {
            const u64 at = u64{entry_bytes} * i;
            const u32 type = word_at(sections.headers, at + 4);
            const u32 address = word_at(sections.headers, at + 12);
            const u32 offset = word_at(sections.headers, at + 16);
            const u32 size = word_at(sections.headers, at + 20);
            if ((type == kSymbols || type == kStrings) && address == 0 && size != 0 &&
                u64{offset} + size <= image_.size())
                sections.tables.push_back({i, image_.subspan(offset, size)});
        }
        sections.count = count;
        sections.entry_bytes = entry_bytes;
        sections.names = half_at(image_, 50);
    }

    std::span<const u8> image_;
    const std::string& name_;
    KernelImage kernel_;
};

} // namespace

Error refuse_kernel(const std::string& name, const std::string& why) {
    return Error{fmt::format("the kernel '{}' {}; give a 32-bit multiboot kernel with --kernel", name, why)};
}

Result<KernelImage> read_kernel_image(std::span<const u8> image, const std::string& name) {
    return Reader(image, name).read();
}

} // namespace forkscope
