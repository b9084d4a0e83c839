#include "emu/machine/multiboot_info.hpp"

#include <cstring>

namespace forkscope {

namespace {

constexpr u32 kInfoMemory = 1u << 0;
constexpr u32 kInfoCommandLine = 1u << 2;
constexpr u32 kInfoModules = 1u << 3;
constexpr u32 kInfoElfSections = 1u << 5;
constexpr u32 kInfoMemoryMap = 1u << 6;
constexpr u32 kInfoLoaderName = 1u << 9;
constexpr u32 kInfoDisplay = 1u << 12;

class Writer {
  public:
    Writer(const BootFacts& facts, u32 base) : facts_(facts), base_(base) {}

    std::vector<u8> write() {
        u32 flags = kInfoMemory | kInfoCommandLine | kInfoMemoryMap | kInfoLoaderName;
        put_word(4, static_cast<u32>(kExtendedDataArea / 1024));
        put_word(8, static_cast<u32>((facts_.ram_bytes - kHighStart) / 1024));
        put_word(16, base_ + append_text(facts_.command_line));
        flags |= write_modules();
        if (facts_.section_count != 0) {
            flags |= kInfoElfSections;
            const u32 at = align();
            info_.insert(info_.end(), facts_.sections.begin(), facts_.sections.end());
            put_word(28, facts_.section_count);
            put_word(32, facts_.section_bytes);
            put_word(36, base_ + at);
            put_word(40, facts_.section_names);
        }
        const u32 map = append_memory_map();
        put_word(44, static_cast<u32>(info_.size()) - map);
        put_word(48, base_ + map);
        put_word(64, base_ + append_text("Forkscope"));
        flags |= write_display();
        put_word(0, flags);
        return std::move(info_);
    }

  private:
    u32 write_modules() {
        if (facts_.modules.empty())
            return 0;
        std::vector<u32> words;
        for (const PlacedModule& module : facts_.modules)
            words.insert(words.end(), {module.start, module.end, base_ + append_text(module.command_line), 0});
        put_word(20, static_cast<u32>(facts_.modules.size()));
        put_word(24, base_ + append_words(words));
        return kInfoModules;
    }

    // The one display there is: 80 by 25 characters with attributes (type 2, "EGA text").
    u32 write_display() {
        if (!facts_.tell_display)
            return 0;
        constexpr u32 kColumns = 80;
        constexpr u32 kRows = 25;
        put_word(88, 0xB8000);
        put_word(96, kColumns * 2);
        put_word(100, kColumns);
        put_word(104, kRows);
        put_word(108, 16 | 2 << 8); // bits of a cell, type
        return kInfoDisplay;
    }

    u32 append_memory_map() {
        constexpr u32 kUsable = 1;
        constexpr u32 kReserved = 2;
        const u32 at = align();
        const auto entry = [this](u64 start, u64 length, u32 type) {
            append_words({20, static_cast<u32>(start), static_cast<u32>(start >> 32), static_cast<u32>(length),
                          static_cast<u32>(length >> 32), type});
        };
        entry(0, kExtendedDataArea, kUsable);
        entry(kExtendedDataArea, kLowMemory - kExtendedDataArea, kReserved);
        entry(0xF0000, 0x10000, kReserved);
        entry(kHighStart, facts_.ram_bytes - kHighStart, kUsable);
        entry(0xFFFF0000, 0x10000, kReserved);
        return at;
    }

    void put_word(u64 at, u32 value) { std::memcpy(info_.data() + at, &value, 4); }
    u32 align() {
        info_.resize((info_.size() + 3) & ~std::size_t{3}, 0);
        return static_cast<u32>(info_.size());
    }
    u32 append_text(const std::string& text) {
        const u32 at = align();
        info_.insert(info_.end(), text.begin(), text.end());
        info_.push_back(0);
        return at;
    }
    u32 append_words(const std::vector<u32>& words) {
        const u32 at = align();
        for (const u32 word : words) {
            info_.resize(info_.size() + 4);
            put_word(info_.size() - 4, word);
        }
        return at;
    }

    const BootFacts& facts_;
    u32 base_;
    std::vector<u8> info_ = std::vector<u8>(128, 0);
};

} // namespace

std::vector<u8> boot_information(const BootFacts& facts, u32 base) { return Writer(facts, base).write(); }

} // namespace forkscope
