#include "emu/machine/multiboot.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

namespace forkscope {

namespace {

constexpr u32 kHeaderMagic = 0x1BADB002;
constexpr u32 kHeaderSearchBytes = 8192;
constexpr u32 kFlagAddresses = 1u << 16;
constexpr u32 kMandatoryUnknown = 0xFFF8; // bits 3..15: what we do not know and must

constexpr u32 kInfoMemory = 1u << 0;
constexpr u32 kInfoCommandLine = 1u << 2;
constexpr u32 kInfoModules = 1u << 3;
constexpr u32 kInfoElfSections = 1u << 5;
constexpr u32 kInfoMemoryMap = 1u << 6;
constexpr u32 kInfoLoaderName = 1u << 9;

constexpr u64 kLowMemory = 640 * 1024;
constexpr u64 kHighStart = 0x100000;

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
void put_word(std::vector<u8>& bytes, u64 at, u32 value) { std::memcpy(bytes.data() + at, &value, 4); }

u32 page_up(u64 value) { return static_cast<u32>((value + kPageMask) & ~u64{kPageMask}); }

std::optional<u64> find_header(std::span<const u8> image) {
    const u64 end = std::min<u64>(image.size(), kHeaderSearchBytes);
    for (u64 at = 0; at + 12 <= end; at += 4)
        if (word_at(image, at) == kHeaderMagic &&
            word_at(image, at) + word_at(image, at + 4) + word_at(image, at + 8) == 0)
            return at;
    return std::nullopt;
}

bool is_elf(std::span<const u8> image) { return image.size() >= 4 && std::memcmp(image.data(), "\177ELF", 4) == 0; }

struct ElfSections {
    u32 count = 0, entry_bytes = 0, names = 0;
    std::vector<u8> headers; // with sh_addr set for those that lie in memory
};

class Planner {
  public:
    Planner(std::span<const u8> kernel, const std::string& name, u64 ram_bytes)
        : image_(kernel), name_(name), ram_bytes_(ram_bytes) {}

    Result<void> load_kernel() {
        const auto header = find_header(image_);
        if (is_elf(image_) && image_.size() > 4 && image_[4] == 2)
            return refuse("is a 64-bit ELF file: compile it with -m32");
        if (!header)
            return refuse(is_elf(image_) ? "is an ELF file without a multiboot header in its first 8 KB; link the "
                                           "header first, aligned to 4 bytes"
                                         : "is no multiboot kernel: no header in its first 8 KB");
        const u32 flags = word_at(image_, *header + 4);
        if ((flags & kMandatoryUnknown) != 0)
            return refuse(
                fmt::format("asks for multiboot features {:#x} that no loader knows", flags & kMandatoryUnknown));
        if ((flags & kFlagAddresses) != 0)
            return load_by_addresses(*header);
        if (is_elf(image_))
            return load_elf();
        return refuse("is neither ELF nor does its multiboot header say where to load it");
    }

    // The entry must lie in what was loaded.
    Result<void> check_entry() const {
        for (const BootSegment& segment : plan_.segments)
            if (plan_.entry >= segment.address && plan_.entry - segment.address < segment.memory_bytes)
                return {};
        return refuse(fmt::format("starts at {:#x}, which is outside everything it loads", plan_.entry));
    }

    // Everything but the kernel goes to page-aligned places above it.
    Result<void> add_module(std::span<const u8> module, const std::string& module_name) {
        if (module.empty())
            return {};
        module_start_ = next_free();
        module_name_ = module_name;
        module_bytes_ = static_cast<u32>(module.size());
        return add(module_start_, {module.begin(), module.end()}, module_bytes_,
                   fmt::format("the initrd '{}'", module_name));
    }

    Result<BootPlan> finish(const std::string& command_line) {
        const u32 base = next_free();
        std::vector<u8> info(128, 0);
        u32 flags = kInfoMemory | kInfoCommandLine | kInfoMemoryMap | kInfoLoaderName;
        put_word(info, 4, static_cast<u32>(std::min(ram_bytes_, kLowMemory) / 1024));
        put_word(info, 8, ram_bytes_ > kHighStart ? static_cast<u32>((ram_bytes_ - kHighStart) / 1024) : 0);
        put_word(info, 16, base + append_text(info, name_ + (command_line.empty() ? "" : " " + command_line)));
        if (module_bytes_ != 0) {
            flags |= kInfoModules;
            const u32 name = append_text(info, module_name_);
            const u32 entry = append_words(info, {module_start_, module_start_ + module_bytes_, base + name, 0});
            put_word(info, 20, 1);
            put_word(info, 24, base + entry);
        }
        if (sections_.count != 0) {
            flags |= kInfoElfSections;
            const u32 at = align(info);
            info.insert(info.end(), sections_.headers.begin(), sections_.headers.end());
            put_word(info, 28, sections_.count);
            put_word(info, 32, sections_.entry_bytes);
            put_word(info, 36, base + at);
            put_word(info, 40, sections_.names);
        }
        const u32 map = append_memory_map(info);
        put_word(info, 44, static_cast<u32>(info.size()) - map);
        put_word(info, 48, base + map);
        put_word(info, 64, base + append_text(info, "Forkscope"));
        put_word(info, 0, flags);
        const u32 size = static_cast<u32>(info.size());
        if (auto added = add(base, std::move(info), size, "the boot information"); !added.ok())
            return added.error();
        plan_.info_address = base;
        return std::move(plan_);
    }

  private:
    Error refuse(const std::string& why) const {
        return Error{fmt::format("the kernel '{}' {}; give a 32-bit multiboot kernel with --kernel", name_, why)};
    }

    u32 next_free() const {
        u64 end = kHighStart;
        for (const BootSegment& segment : plan_.segments)
            end = std::max<u64>(end, u64{segment.address} + segment.memory_bytes);
        return page_up(end);
    }

    Result<void> add(u32 address, std::vector<u8> bytes, u32 memory_bytes, const std::string& what) {
        const u64 end = u64{address} + memory_bytes;
        const bool low = end <= kLowMemory;
        const bool high = address >= kHighStart && end <= ram_bytes_;
        if (memory_bytes == 0)
            return refuse("asks for an empty piece of memory");
        if (!low && !high)
            return Error{fmt::format("{} needs physical memory {:#x} to {:#x}, but this machine has {} KB of RAM; give "
                                     "it more with -m",
                                     what, address, end, ram_bytes_ / 1024)};
        plan_.segments.push_back({address, memory_bytes, std::move(bytes)});
        return {};
    }

    Result<void> load_by_addresses(u64 header) {
        const u32 header_address = word_at(image_, header + 12);
        const u32 load_address = word_at(image_, header + 16);
        const u32 load_end = word_at(image_, header + 20);
        const u32 bss_end = word_at(image_, header + 24);
        plan_.entry = word_at(image_, header + 28);
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
        const auto first = image_.begin() + static_cast<std::ptrdiff_t>(start);
        return add(load_address, {first, first + static_cast<std::ptrdiff_t>(bytes)}, static_cast<u32>(memory),
                   fmt::format("the kernel '{}'", name_));
    }

    Result<void> load_elf() {
        constexpr u16 kMachine386 = 3;
        if (image_.size() < 52 || half_at(image_, 18) != kMachine386)
            return refuse(image_.size() < 52 ? "is cut short: it ends in its ELF header"
                                             : "is an ELF file for another machine than the i386");
        constexpr u8 kLittleEndian = 1;
        constexpr u16 kExecutable = 2;
        if (image_[5] != kLittleEndian || half_at(image_, 16) != kExecutable)
            return refuse("is an ELF file, but no little-endian executable: link it");
        plan_.entry = word_at(image_, 24);
        const u64 table = word_at(image_, 28);
        const u32 entry_bytes = half_at(image_, 42);
        const u32 count = half_at(image_, 44);
        if (entry_bytes < 32 || table + u64{entry_bytes} * count > image_.size())
            return refuse("is cut short: its program headers lie outside the file");
        bool entry_translated = false;
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
            if (!entry_translated && plan_.entry >= virtual_address && plan_.entry - virtual_address < memory_bytes &&
                virtual_address != address) {
                plan_.entry = plan_.entry - virtual_address + address;
                entry_translated = true;
            }
            const auto first = image_.begin() + offset;
            if (auto added =
                    add(address, {first, first + file_bytes}, memory_bytes, fmt::format("the kernel '{}'", name_));
                !added.ok())
                return added;
        }
        if (plan_.segments.empty())
            return refuse("has no segment to load");
        return load_sections();
    }

    // The section headers, with the symbol and string tables loaded above the kernel (multiboot flag 5).
    Result<void> load_sections() {
        const u64 table = word_at(image_, 32);
        const u32 entry_bytes = half_at(image_, 46);
        const u32 count = half_at(image_, 48);
        if (count == 0 || entry_bytes != 40 || table + u64{entry_bytes} * count > image_.size())
            return {}; // no sections, or damaged ones: the kernel boots without symbols
        sections_.headers.assign(image_.begin() + static_cast<std::ptrdiff_t>(table),
                                 image_.begin() + static_cast<std::ptrdiff_t>(table + u64{entry_bytes} * count));
        constexpr u32 kSymbols = 2;
        constexpr u32 kStrings = 3;
        for (u32 i = 0; i < count; ++i) {
            const u64 at = u64{entry_bytes} * i;
            const u32 type = word_at(sections_.headers, at + 4);
            const u32 address = word_at(sections_.headers, at + 12);
            const u32 offset = word_at(sections_.headers, at + 16);
            const u32 size = word_at(sections_.headers, at + 20);
            if ((type != kSymbols && type != kStrings) || address != 0 || size == 0 ||
                u64{offset} + size > image_.size())
                continue;
            const u32 place = next_free();
            const auto first = image_.begin() + offset;
            if (!add(place, {first, first + size}, size, "the kernel's symbols").ok())
                return {};
            put_word(sections_.headers, at + 12, place);
        }
        sections_.count = count;
        sections_.entry_bytes = entry_bytes;
        sections_.names = half_at(image_, 50);
        return {};
    }

    static u32 align(std::vector<u8>& info) {
        info.resize((info.size() + 3) & ~std::size_t{3}, 0);
        return static_cast<u32>(info.size());
    }
    static u32 append_text(std::vector<u8>& info, const std::string& text) {
        const u32 at = align(info);
        info.insert(info.end(), text.begin(), text.end());
        info.push_back(0);
        return at;
    }
    static u32 append_words(std::vector<u8>& info, std::initializer_list<u32> words) {
        const u32 at = align(info);
        for (const u32 word : words) {
            info.resize(info.size() + 4);
            put_word(info, info.size() - 4, word);
        }
        return at;
    }
    u32 append_memory_map(std::vector<u8>& info) const {
        constexpr u32 kUsable = 1;
        constexpr u32 kReserved = 2;
        const u32 at = align(info);
        const auto entry = [&](u64 base, u64 length, u32 type) {
            append_words(info, {20, static_cast<u32>(base), static_cast<u32>(base >> 32), static_cast<u32>(length),
                                static_cast<u32>(length >> 32), type});
        };
        entry(0, std::min(ram_bytes_, kLowMemory), kUsable);
        entry(0xF0000, 0x10000, kReserved);
        if (ram_bytes_ > kHighStart)
            entry(kHighStart, ram_bytes_ - kHighStart, kUsable);
        entry(0xFFFF0000, 0x10000, kReserved);
        return at;
    }

    std::span<const u8> image_;
    std::string name_;
    u64 ram_bytes_;
    BootPlan plan_;
    ElfSections sections_;
    u32 module_start_ = 0;
    u32 module_bytes_ = 0;
    std::string module_name_;
};

} // namespace

Result<BootPlan> plan_multiboot(std::span<const u8> kernel, const std::string& kernel_name, std::span<const u8> module,
                                const std::string& module_name, const std::string& command_line, u64 ram_bytes) {
    Planner planner(kernel, kernel_name, ram_bytes);
    if (auto loaded = planner.load_kernel(); !loaded.ok())
        return loaded.error();
    if (auto checked = planner.check_entry(); !checked.ok())
        return checked.error();
    if (auto added = planner.add_module(module, module_name); !added.ok())
        return added.error();
    return planner.finish(command_line);
}

} // namespace forkscope
