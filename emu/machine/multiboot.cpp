#include "emu/machine/multiboot.hpp"

#include <algorithm>
#include <cstring>

#include "emu/machine/multiboot_image.hpp"
#include "emu/machine/multiboot_info.hpp"

namespace forkscope {

namespace {

u32 page_up(u64 value) { return static_cast<u32>((value + kPageMask) & ~u64{kPageMask}); }

// Where QEMU's firmware has them, too.
constexpr u32 kStack = 0x6000;
constexpr u32 kInfo = 0x9000;

class Planner {
  public:
    Planner(const SharedBytes& file, const KernelImage& kernel, const std::string& name, u64 ram_bytes)
        : file_(file), kernel_(kernel), name_(name) {
        facts_.ram_bytes = ram_bytes;
    }

    Result<void> place_kernel() {
        for (const ImagePiece& piece : kernel_.pieces)
            if (auto placed = place_piece(piece); !placed.ok())
                return placed;
        plan_.entry = kernel_.entry;
        const bool loaded =
            std::any_of(plan_.segments.begin(), plan_.segments.end(), [this](const BootSegment& segment) {
                return plan_.entry >= segment.address && plan_.entry - segment.address < segment.memory_bytes;
            });
        if (!loaded)
            return refuse_kernel(name_,
                                 fmt::format("starts at {:#x}, which is outside everything it loads", plan_.entry));
        if (kernel_.entry_is_physical)
            warn(fmt::format(
                "gives its entry {:#x} as a physical address; GRUB looks for it among the segments' virtual "
                "addresses and refuses such a kernel",
                plan_.entry));
        place_sections();
        answer_video_request();
        return {};
    }

    // Everything but the kernel goes to page-aligned places above it.
    Result<void> place_module(const BootModule& module) {
        const u32 start = next_free();
        const u32 bytes = static_cast<u32>(module.bytes.size());
        facts_.modules.push_back({start, start + bytes, module.command_line});
        if (bytes == 0)
            return {};
        return add(start, module.bytes, bytes, fmt::format("the initrd '{}'", module.command_line));
    }

    Result<BootPlan> finish(const std::string& command_line) {
        facts_.command_line = name_ + (command_line.empty() ? "" : " " + command_line);
        const u32 size = static_cast<u32>(boot_information(facts_, 0).size());
        const u32 base = low_gap(size, kInfo);
        plan_.info_address = base != 0 ? base : next_free();
        if (auto added =
                add(plan_.info_address, boot_information(facts_, plan_.info_address), size, "the boot information");
            !added.ok())
            return added.error();
        place_stack();
        return std::move(plan_);
    }

  private:
    void warn(const std::string& what) { plan_.warnings.push_back(fmt::format("the kernel '{}' {}", name_, what)); }

    u32 next_free() const {
        u64 end = kHighStart;
        for (const BootSegment& segment : plan_.segments)
            end = std::max<u64>(end, u64{segment.address} + segment.memory_bytes);
        return page_up(end);
    }

    // The first free place from `from` on for so many bytes below the firmware's data at the end of low memory, where
    // kernels do not look for free memory before they have read them; 0: there is none.
    u32 low_gap(u32 bytes, u32 from) const {
        u64 at = from;
        for (bool moved = true; moved && at + bytes <= kExtendedDataArea;) {
            moved = false;
            for (const BootSegment& segment : plan_.segments)
                if (at < u64{segment.address} + segment.memory_bytes && segment.address < at + bytes) {
                    at = page_up(u64{segment.address} + segment.memory_bytes);
                    moved = true;
                }
        }
        return at + bytes <= kExtendedDataArea ? static_cast<u32>(at) : 0;
    }

    // A page below the information, or wherever no segment lies. An image over all of low memory has one above all.
    void place_stack() {
        const u32 base = low_gap(kPageSize, kStack);
        plan_.stack_top = (base != 0 ? base : next_free()) + static_cast<u32>(kPageSize);
        if (plan_.stack_top > facts_.ram_bytes)
            plan_.stack_top = kStack + static_cast<u32>(kPageSize); // its own to overwrite
    }

    Result<void> add(u32 address, SharedBytes bytes, u32 memory_bytes, const std::string& what) {
        const u64 end = u64{address} + memory_bytes;
        if (end > facts_.ram_bytes)
            return Error{fmt::format("{} needs physical memory {:#x} to {:#x}, but this machine has {} KB of RAM; give "
                                     "it more with -m",
                                     what, address, end, facts_.ram_bytes / 1024)};
        plan_.segments.push_back({address, memory_bytes, std::move(bytes)});
        return {};
    }

    // The parts of a piece that lie in RAM, below 640 KB and above 1 MB. Between them ROM and display stay as they are.
    Result<void> place_piece(const ImagePiece& piece) {
        const u64 end = piece.address + piece.memory_bytes;
        asked_ += piece.memory_bytes;
        if (auto low = place_part(piece, 0, kLowMemory); !low.ok())
            return low;
        if (auto high = place_part(piece, kHighStart, end); !high.ok())
            return high;
        if (asked_ > facts_.ram_bytes + (kHighStart - kLowMemory))
            return refuse_kernel(name_, "has segments that overlap, together larger than this machine's memory");
        const u64 from = std::max<u64>(piece.address, kLowMemory);
        const u64 to = std::min<u64>(piece.address + piece.bytes.size(), kHighStart);
        u64 lost = 0;
        for (u64 at = from; at < to; ++at)
            lost += at - piece.address >= piece.header_bytes && piece.bytes[at - piece.address] != 0 ? 1 : 0;
        if (lost != 0)
            warn(fmt::format("has {} bytes between {:#x} and {:#x}, where there is no RAM: they are not loaded", lost,
                             from, to));
        return {};
    }

    Result<void> place_part(const ImagePiece& piece, u64 from, u64 to) {
        const u64 start = std::max<u64>(piece.address, from);
        const u64 end = std::min(piece.address + piece.memory_bytes, to);
        if (start >= end)
            return {};
        const u64 skipped = std::min<u64>(start - piece.address, piece.bytes.size());
        const auto bytes = piece.bytes.subspan(skipped, std::min(piece.bytes.size() - skipped, end - start));
        if (end > u64{1} << 32)
            return refuse_kernel(name_, "wants to lie beyond 4 GB");
        return add(static_cast<u32>(start), file_.part(bytes), static_cast<u32>(end - start),
                   fmt::format("the kernel '{}'", name_));
    }

    // Symbols and strings are loaded above the kernel; where there is no room, it gets none.
    void place_sections() {
        const ImageSections& sections = kernel_.sections;
        facts_.sections.assign(sections.headers.begin(), sections.headers.end());
        for (const ImageSections::Table& table : sections.tables) {
            const u32 place = next_free();
            if (!add(place, file_.part(table.bytes), static_cast<u32>(table.bytes.size()), "").ok())
                return;
            std::memcpy(facts_.sections.data() + u64{sections.entry_bytes} * table.header + 12, &place, sizeof place);
        }
        facts_.section_count = sections.count;
        facts_.section_bytes = sections.entry_bytes;
        facts_.section_names = sections.names;
    }

    void answer_video_request() {
        facts_.tell_display = kernel_.video.has_value();
        if (kernel_.video && kernel_.video->graphics)
            warn(fmt::format(
                "asks for graphics of {} x {} with {} bits a pixel; this machine's firmware has text of 80 x "
                "25 alone, and the boot information says so",
                kernel_.video->width, kernel_.video->height, kernel_.video->depth));
    }

    const SharedBytes& file_;
    const KernelImage& kernel_; // of it
    const std::string& name_;
    BootFacts facts_;
    BootPlan plan_;
    u64 asked_ = 0; // bytes of all pieces
};

} // namespace

Result<BootPlan> plan_multiboot(const SharedBytes& kernel, const std::string& kernel_name,
                                std::span<const BootModule> modules, const std::string& command_line, u64 ram_bytes) {
    const auto image = read_kernel_image(kernel, kernel_name);
    if (!image.ok())
        return image.error();
    Planner planner(kernel, *image, kernel_name, ram_bytes);
    if (auto placed = planner.place_kernel(); !placed.ok())
        return placed.error();
    for (const BootModule& module : modules)
        if (auto placed = planner.place_module(module); !placed.ok())
            return placed.error();
    return planner.finish(command_line);
}

} // namespace forkscope
