// Owns: DwarfEntries, the units, abbreviations and entries of .debug_info (DWARF 5 standard, chapter 7; versions 2 to
// 5). Callers: DebugInfo and what it is made of. Promises: any bytes are accepted; reading an entry takes constant
// time, going through a tree time linear in its bytes; no other file is opened, entries there are unknown.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "emu/symbols/dwarf/byte_reader.hpp"

namespace forkscope {

// Sections of an image, unpacked.
struct DwarfSections {
    std::span<const u8> info, abbreviations, strings, line_strings, string_offsets, addresses;
    std::span<const u8> ranges, range_lists, locations, location_lists;
    std::span<const u8> frames, eh_frames;
    u64 eh_frames_address = 0;
    u8 address_bytes = 4;
};

struct DwarfUnit {
    u64 offset = 0, end = 0, first = 0; // of its head, behind it, of its first entry
    u64 abbreviations = 0;
    u16 version = 0;
    u8 kind = 0;
    u8 address_bytes = 4;
    u8 offset_bytes = 4;
    // From its first entry.
    u64 low = 0, string_offsets = 0, addresses = 0, range_lists = 0, location_lists = 0;
};

struct DwarfAttribute {
    u16 name = 0, form = 0;
    u64 value = 0; // a number, an offset, or an entry's offset in the section
    std::span<const u8> block;
    const DwarfUnit* unit = nullptr;
};

struct DwarfRange {
    u64 start = 0, end = 0;
    bool operator==(const DwarfRange&) const = default;
};

struct DwarfEntry {
    u64 offset = 0;
    const DwarfUnit* unit = nullptr;
    u32 tag = 0;
    bool has_children = false;
    u64 next = 0; // behind its attributes
    std::vector<DwarfAttribute> attributes;

    const DwarfAttribute* find(u16 name) const;
};

class DwarfEntries {
  public:
    explicit DwarfEntries(const DwarfSections& sections);

    const DwarfSections& sections() const { return sections_; }
    const std::vector<DwarfUnit>& units() const { return units_; }
    const DwarfUnit* unit_at(u64 offset) const;

    // The entry at an offset; false: there is none.
    bool read(u64 offset, DwarfEntry& entry) const;
    // Calls `visit` with each child, until it says false.
    template <class Visit> void for_children(const DwarfEntry& parent, Visit visit) const {
        DwarfEntry child;
        if (!parent.has_children)
            return;
        for (u64 at = parent.next; read(at, child) && visit(child);)
            at = behind(child);
    }
    // Where the entry after this one and its children begins.
    u64 behind(const DwarfEntry& entry) const;

    // An attribute by name, from the entry itself or from the one that it is an instance or the definition of.
    std::optional<DwarfAttribute> attribute(const DwarfEntry& entry, u16 name) const;
    std::string_view text(const DwarfEntry& entry, u16 name) const;
    std::string_view name(const DwarfEntry& entry) const;
    std::optional<u64> number(const DwarfEntry& entry, u16 name) const;
    std::optional<i64> signed_number(const DwarfEntry& entry, u16 name) const;
    std::optional<u64> reference(const DwarfEntry& entry, u16 name) const; // another entry's offset
    bool flag(const DwarfEntry& entry, u16 name) const;
    // What addresses the entry's code has.
    std::vector<DwarfRange> ranges(const DwarfEntry& entry) const;
    std::optional<u64> address_of(const DwarfAttribute& attribute) const;
    // An address of a unit's table.
    std::optional<u64> address_of_index(const DwarfUnit& unit, u64 index) const;

  private:
    struct Spec {
        u16 name = 0, form = 0;
        i64 constant = 0;
    };
    struct Abbreviation {
        u32 tag = 0;
        bool has_children = false;
        std::vector<Spec> specs;
    };
    using Abbreviations = std::unordered_map<u64, Abbreviation>;

    void read_units();
    void read_bases(DwarfUnit& unit);
    const Abbreviations* abbreviations_at(u64 offset) const;
    bool read_attribute(ByteReader& in, const DwarfUnit& unit, u64 form, i64 constant, DwarfAttribute& out) const;
    bool read_block(ByteReader& in, u64 form, DwarfAttribute& out) const;
    bool read_reference(ByteReader& in, const DwarfUnit& unit, u64 form, DwarfAttribute& out) const;
    bool read_number(ByteReader& in, const DwarfUnit& unit, u64 form, DwarfAttribute& out) const;
    bool read_index(ByteReader& in, u64 form, DwarfAttribute& out) const;
    void old_ranges(const DwarfUnit& unit, u64 offset, std::vector<DwarfRange>& out) const;
    void range_list(const DwarfUnit& unit, const DwarfAttribute& attribute, std::vector<DwarfRange>& out) const;

    DwarfSections sections_;
    std::vector<DwarfUnit> units_;
    mutable std::unordered_map<u64, Abbreviations> abbreviations_;
    mutable std::unordered_map<u64, u64> ends_; // of entries without a sibling, once looked for
    mutable Budget abbreviation_bytes_;         // of memory
    std::unordered_map<u64, u64> signatures_;   // of type units: their types' offsets
};

} // namespace forkscope
