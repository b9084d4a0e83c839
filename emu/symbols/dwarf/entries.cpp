#include "emu/symbols/dwarf/entries.hpp"

#include "emu/symbols/dwarf/constants.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kMostUnits = 1 << 18;
constexpr std::size_t kMostAttributes = 128; // of one abbreviation: compilers write 20
constexpr std::size_t kMostRanges = 4096;    // of one entry
constexpr u64 kAbbreviationBytes = 96;
constexpr std::size_t kMostEnds = 1 << 19; // remembered
constexpr int kMostOrigins = 4;            // from an instance to its function, and to that one's declaration

u64 all_ones(u8 bytes) { return bytes >= 8 ? ~u64{0} : (u64{1} << 8 * bytes) - 1; }

} // namespace

const DwarfAttribute* DwarfEntry::find(u16 name) const {
    for (const DwarfAttribute& attribute : attributes)
        if (attribute.name == name)
            return &attribute;
    return nullptr;
}

DwarfEntries::DwarfEntries(const DwarfSections& sections)
    : sections_(sections),
      abbreviation_bytes_(2 * (sections.abbreviations.size() + sections.info.size()) + (u64{16} << 20)) {
    read_units();
    for (DwarfUnit& unit : units_)
        read_bases(unit);
}

void DwarfEntries::read_units() {
    ByteReader in(sections_.info);
    while (!in.done() && units_.size() < kMostUnits) {
        DwarfUnit unit;
        unit.offset = in.at();
        u64 length = in.fixed(4);
        if (length == 0xFFFFFFFF) {
            unit.offset_bytes = 8;
            length = in.fixed(8);
        }
        if (in.broken() || length > in.left())
            return;
        unit.end = in.at() + length;
        unit.version = static_cast<u16>(in.fixed(2));
        unit.kind = dw::kUnitCompile;
        if (unit.version >= 5) {
            unit.kind = static_cast<u8>(in.fixed(1));
            unit.address_bytes = static_cast<u8>(in.fixed(1));
        }
        unit.abbreviations = in.fixed(unit.offset_bytes);
        if (unit.version < 5)
            unit.address_bytes = static_cast<u8>(in.fixed(1));
        if (unit.kind == dw::kUnitSkeleton || unit.kind == dw::kUnitSplit)
            in.skip(8);
        if (unit.kind == dw::kUnitType || unit.kind == dw::kUnitSplitType) {
            const u64 signature = in.fixed(8);
            signatures_[signature] = unit.offset + in.fixed(unit.offset_bytes);
        }
        unit.first = in.at();
        const bool readable = unit.version >= 2 && unit.version <= 5 && unit.first <= unit.end &&
                              (unit.address_bytes == 4 || unit.address_bytes == 8);
        if (!in.broken() && readable)
            units_.push_back(unit);
        in.go_to(unit.end);
    }
}

// A unit's first entry says where its parts of other sections begin. What it does not say is behind their heads.
void DwarfEntries::read_bases(DwarfUnit& unit) {
    const u64 head = unit.offset_bytes == 8 ? 16 : 8;
    unit.string_offsets = unit.addresses = head;
    unit.range_lists = unit.location_lists = unit.offset_bytes == 8 ? 20 : 12;
    DwarfEntry first;
    if (!read(unit.first, first))
        return;
    const auto base = [&](u16 name, u64& where) {
        if (const DwarfAttribute* attribute = first.find(name); attribute != nullptr)
            where = attribute->value;
    };
    base(dw::kStringOffsetsBase, unit.string_offsets);
    base(dw::kAddressBase, unit.addresses);
    base(dw::kRangeListsBase, unit.range_lists);
    base(dw::kLocationListsBase, unit.location_lists);
    if (const DwarfAttribute* low = first.find(dw::kLow); low != nullptr)
        unit.low = address_of(*low).value_or(0);
}

const DwarfUnit* DwarfEntries::unit_at(u64 offset) const {
    const auto after = std::upper_bound(units_.begin(), units_.end(), offset,
                                        [](u64 value, const DwarfUnit& unit) { return value < unit.offset; });
    if (after == units_.begin())
        return nullptr;
    const DwarfUnit& unit = *std::prev(after);
    return offset >= unit.first && offset < unit.end ? &unit : nullptr;
}

const DwarfEntries::Abbreviations* DwarfEntries::abbreviations_at(u64 offset) const {
    const auto [place, fresh] = abbreviations_.try_emplace(offset);
    if (!fresh)
        return &place->second;
    ByteReader in(sections_.abbreviations, offset);
    while (!in.done() && !abbreviation_bytes_.spent()) {
        const u64 code = in.unsigned_leb();
        if (code == 0)
            break;
        Abbreviation abbreviation;
        abbreviation.tag = static_cast<u32>(in.unsigned_leb());
        abbreviation.has_children = in.fixed(1) != 0;
        while (!in.done()) {
            Spec spec{static_cast<u16>(in.unsigned_leb()), static_cast<u16>(in.unsigned_leb()), 0};
            if (spec.form == dw::kImplicitConst)
                spec.constant = in.signed_leb();
            if (spec.name == 0 && spec.form == 0)
                break;
            abbreviation.specs.push_back(spec);
        }
        if (in.broken() || abbreviation.specs.size() > kMostAttributes ||
            !abbreviation_bytes_.take(kAbbreviationBytes + sizeof(Spec) * abbreviation.specs.size()))
            break;
        place->second.try_emplace(code, std::move(abbreviation));
    }
    return &place->second;
}

bool DwarfEntries::read_attribute(ByteReader& in, const DwarfUnit& unit, u64 form, i64 constant,
                                  DwarfAttribute& out) const {
    for (int indirections = 0; form == dw::kIndirect && indirections < 4; ++indirections)
        form = in.unsigned_leb();
    out.form = static_cast<u16>(form);
    out.unit = &unit;
    if (form == dw::kImplicitConst)
        out.value = static_cast<u64>(constant);
    else if (!read_block(in, form, out) && !read_reference(in, unit, form, out) && !read_number(in, unit, form, out))
        return false;
    return !in.broken();
}

// Each says false of a form that is another's matter.
bool DwarfEntries::read_block(ByteReader& in, u64 form, DwarfAttribute& out) const {
    switch (form) {
    case dw::kBlock1:
        out.block = in.block(in.fixed(1));
        return true;
    case dw::kBlock2:
        out.block = in.block(in.fixed(2));
        return true;
    case dw::kBlock4:
        out.block = in.block(in.fixed(4));
        return true;
    case dw::kBlock:
    case dw::kExprloc:
        out.block = in.block(in.unsigned_leb());
        return true;
    case dw::kData16:
        out.block = in.block(16);
        return true;
    case dw::kString: {
        const std::string_view text = in.text();
        out.block = {reinterpret_cast<const u8*>(text.data()), text.size()};
        return true;
    }
    default:
        return false;
    }
}

bool DwarfEntries::read_reference(ByteReader& in, const DwarfUnit& unit, u64 form, DwarfAttribute& out) const {
    switch (form) {
    case dw::kRefAddr:
        out.value = in.fixed(unit.version == 2 ? unit.address_bytes : unit.offset_bytes);
        return true;
    case dw::kRef1:
    case dw::kRef2:
    case dw::kRef4:
    case dw::kRef8:
        out.value = unit.offset + in.fixed(1u << (form - dw::kRef1));
        return true;
    case dw::kRefUdata:
        out.value = unit.offset + in.unsigned_leb();
        return true;
    case dw::kRefSig8: {
        const auto known = signatures_.find(in.fixed(8));
        out.value = known == signatures_.end() ? ~u64{0} : known->second;
        return true;
    }
    default:
        return false;
    }
}

bool DwarfEntries::read_number(ByteReader& in, const DwarfUnit& unit, u64 form, DwarfAttribute& out) const {
    switch (form) {
    case dw::kAddr:
        out.value = in.fixed(unit.address_bytes);
        return true;
    case dw::kData1:
    case dw::kFlag:
        out.value = in.fixed(1);
        return true;
    case dw::kData2:
        out.value = in.fixed(2);
        return true;
    case dw::kData4:
    case dw::kRefSup4:
        out.value = in.fixed(4);
        return true;
    case dw::kData8:
    case dw::kRefSup8:
        out.value = in.fixed(8);
        return true;
    case dw::kSdata:
        out.value = static_cast<u64>(in.signed_leb());
        return true;
    case dw::kUdata:
    case dw::kLoclistx:
    case dw::kRnglistx:
        out.value = in.unsigned_leb();
        return true;
    case dw::kStrp:
    case dw::kLineStrp:
    case dw::kSecOffset:
    case dw::kStrpSup:
    case dw::kGnuRefAlt:
    case dw::kGnuStrpAlt:
        out.value = in.fixed(unit.offset_bytes);
        return true;
    case dw::kFlagPresent:
        out.value = 1;
        return true;
    default:
        return read_index(in, form, out);
    }
}

bool DwarfEntries::read_index(ByteReader& in, u64 form, DwarfAttribute& out) const {
    if (form == dw::kStrx || form == dw::kAddrx)
        out.value = in.unsigned_leb();
    else if (form >= dw::kStrx1 && form <= dw::kStrx4)
        out.value = in.fixed(static_cast<u32>(form - dw::kStrx1 + 1));
    else if (form >= dw::kAddrx1 && form <= dw::kAddrx4)
        out.value = in.fixed(static_cast<u32>(form - dw::kAddrx1 + 1));
    else
        return false;
    return true;
}

bool DwarfEntries::read(u64 offset, DwarfEntry& entry) const {
    const DwarfUnit* unit = entry.unit;
    if (unit == nullptr || offset < unit->first || offset >= unit->end)
        unit = unit_at(offset);
    entry.attributes.clear();
    entry.unit = unit;
    if (unit == nullptr)
        return false;
    ByteReader in(sections_.info.first(unit->end), offset);
    const u64 code = in.unsigned_leb();
    const Abbreviations& known = *abbreviations_at(unit->abbreviations);
    const auto abbreviation = known.find(code);
    if (code == 0 || abbreviation == known.end())
        return false;
    entry.offset = offset;
    entry.tag = abbreviation->second.tag;
    entry.has_children = abbreviation->second.has_children;
    for (const Spec& spec : abbreviation->second.specs) {
        DwarfAttribute attribute;
        attribute.name = spec.name;
        if (!read_attribute(in, *unit, spec.form, spec.constant, attribute))
            return false;
        entry.attributes.push_back(attribute);
    }
    entry.next = in.at();
    return true;
}

// By its sibling, which lies behind it, or by going through what it contains, once.
u64 DwarfEntries::behind(const DwarfEntry& entry) const {
    if (!entry.has_children)
        return entry.next;
    if (const DwarfAttribute* sibling = entry.find(dw::kSibling);
        sibling != nullptr && sibling->value > entry.offset && sibling->value <= entry.unit->end)
        return sibling->value;
    if (ends_.size() >= kMostEnds)
        return entry.unit->end;
    const auto [place, fresh] = ends_.try_emplace(entry.offset, entry.unit->end);
    if (!fresh)
        return place->second;
    // Ends of nested entries are remembered too, so that a tree is gone through once.
    std::vector<u64> open{entry.offset};
    DwarfEntry inner;
    u64 at = entry.next;
    while (!open.empty() && at < entry.unit->end) {
        inner.unit = entry.unit;
        if (sections_.info[at] == 0) {
            ++at;
            ends_[open.back()] = at;
            open.pop_back();
            continue;
        }
        if (!read(at, inner))
            break;
        at = inner.next;
        if (inner.has_children && ends_.size() < kMostEnds)
            open.push_back(inner.offset);
        else if (inner.has_children)
            break;
    }
    return ends_[entry.offset];
}

std::optional<DwarfAttribute> DwarfEntries::attribute(const DwarfEntry& entry, u16 name) const {
    if (const DwarfAttribute* own = entry.find(name); own != nullptr)
        return *own;
    DwarfEntry origin;
    const DwarfEntry* from = &entry;
    for (int i = 0; i < kMostOrigins; ++i) {
        const DwarfAttribute* where = from->find(dw::kAbstractOrigin);
        where = where == nullptr ? from->find(dw::kSpecification) : where;
        if (where == nullptr || where->form == dw::kGnuRefAlt)
            return std::nullopt;
        if (!read(u64{where->value}, origin))
            return std::nullopt;
        if (const DwarfAttribute* its = origin.find(name); its != nullptr)
            return *its;
        from = &origin;
    }
    return std::nullopt;
}

std::string_view DwarfEntries::text(const DwarfEntry& entry, u16 name) const {
    const std::optional<DwarfAttribute> found = attribute(entry, name);
    if (!found)
        return {};
    switch (found->form) {
    case dw::kString:
        return {reinterpret_cast<const char*>(found->block.data()), found->block.size()};
    case dw::kStrp:
        return text_in(sections_.strings, found->value);
    case dw::kLineStrp:
        return text_in(sections_.line_strings, found->value);
    case dw::kStrx:
    case dw::kStrx1:
    case dw::kStrx2:
    case dw::kStrx3:
    case dw::kStrx4: {
        const u64 bytes = found->unit->offset_bytes;
        if (found->value > sections_.string_offsets.size())
            return {};
        ByteReader in(sections_.string_offsets, found->unit->string_offsets + bytes * found->value);
        const u64 offset = in.fixed(static_cast<u32>(bytes));
        return in.broken() ? std::string_view() : text_in(sections_.strings, offset);
    }
    default:
        return {};
    }
}

std::string_view DwarfEntries::name(const DwarfEntry& entry) const { return text(entry, dw::kName); }

std::optional<u64> DwarfEntries::number(const DwarfEntry& entry, u16 name) const {
    const std::optional<DwarfAttribute> found = attribute(entry, name);
    if (!found || !found->block.empty())
        return std::nullopt;
    return found->value;
}

// A constant without a sign of its own is as wide as its form.
std::optional<i64> DwarfEntries::signed_number(const DwarfEntry& entry, u16 name) const {
    const std::optional<DwarfAttribute> found = attribute(entry, name);
    if (!found || !found->block.empty())
        return std::nullopt;
    switch (found->form) {
    case dw::kData1:
        return static_cast<i8>(found->value);
    case dw::kData2:
        return static_cast<i16>(found->value);
    case dw::kData4:
        return static_cast<i32>(found->value);
    default:
        return static_cast<i64>(found->value);
    }
}

std::optional<u64> DwarfEntries::reference(const DwarfEntry& entry, u16 name) const {
    const std::optional<DwarfAttribute> found = attribute(entry, name);
    switch (found ? found->form : 0) {
    case dw::kRefAddr:
    case dw::kRef1:
    case dw::kRef2:
    case dw::kRef4:
    case dw::kRef8:
    case dw::kRefUdata:
    case dw::kRefSig8:
        return found->value;
    default:
        return std::nullopt;
    }
}

bool DwarfEntries::flag(const DwarfEntry& entry, u16 name) const { return number(entry, name).value_or(0) != 0; }

std::optional<u64> DwarfEntries::address_of_index(const DwarfUnit& unit, u64 index) const {
    if (index > sections_.addresses.size())
        return std::nullopt;
    ByteReader in(sections_.addresses, unit.addresses + index * unit.address_bytes);
    const u64 address = in.fixed(unit.address_bytes);
    return in.broken() ? std::nullopt : std::optional(address);
}

std::optional<u64> DwarfEntries::address_of(const DwarfAttribute& attribute) const {
    switch (attribute.form) {
    case dw::kAddr:
        return attribute.value;
    case dw::kAddrx:
    case dw::kAddrx1:
    case dw::kAddrx2:
    case dw::kAddrx3:
    case dw::kAddrx4:
        return address_of_index(*attribute.unit, attribute.value);
    default:
        return std::nullopt;
    }
}

std::vector<DwarfRange> DwarfEntries::ranges(const DwarfEntry& entry) const {
    std::vector<DwarfRange> out;
    if (const DwarfAttribute* list = entry.find(dw::kRanges); list != nullptr) {
        if (entry.unit->version < 5)
            old_ranges(*entry.unit, list->value, out);
        else
            range_list(*entry.unit, *list, out);
        return out;
    }
    const DwarfAttribute* low = entry.find(dw::kLow);
    const DwarfAttribute* high = entry.find(dw::kHigh);
    const std::optional<u64> start = low == nullptr ? std::nullopt : address_of(*low);
    if (!start)
        return out;
    // The end is an address, or a length.
    const std::optional<u64> end = high == nullptr ? *start + 1 : address_of(*high);
    const u64 behind = end ? *end : *start + high->value;
    if (*start < behind)
        out.push_back({*start, behind});
    return out;
}

void DwarfEntries::old_ranges(const DwarfUnit& unit, u64 offset, std::vector<DwarfRange>& out) const {
    ByteReader in(sections_.ranges, offset);
    u64 base = unit.low;
    while (!in.done() && out.size() < kMostRanges) {
        const u64 start = in.fixed(unit.address_bytes);
        const u64 end = in.fixed(unit.address_bytes);
        if (in.broken() || (start == 0 && end == 0))
            return;
        if (start == all_ones(unit.address_bytes))
            base = end;
        else if (start < end)
            out.push_back({base + start, base + end});
    }
}

void DwarfEntries::range_list(const DwarfUnit& unit, const DwarfAttribute& attribute,
                              std::vector<DwarfRange>& out) const {
    u64 offset = attribute.value;
    if (attribute.form == dw::kRnglistx) {
        ByteReader table(sections_.range_lists, unit.range_lists);
        table.skip(std::min<u64>(offset, sections_.range_lists.size()) * unit.offset_bytes);
        offset = unit.range_lists + table.fixed(unit.offset_bytes);
        if (table.broken())
            return;
    }
    ByteReader in(sections_.range_lists, offset);
    u64 base = unit.low;
    const auto indexed = [&] { return address_of_index(unit, in.unsigned_leb()).value_or(0); };
    for (std::size_t i = 0; i < kMostRanges && !in.done(); ++i) {
        DwarfRange range;
        switch (in.fixed(1)) {
        case dw::kBaseAddressx:
            base = indexed();
            continue;
        case dw::kStartxEndx:
            range.start = indexed();
            range.end = indexed();
            break;
        case dw::kStartxLength:
            range.start = indexed();
            range.end = range.start + in.unsigned_leb();
            break;
        case dw::kOffsetPair:
            range.start = base + in.unsigned_leb();
            range.end = base + in.unsigned_leb();
            break;
        case 5: // base address
            base = in.fixed(unit.address_bytes);
            continue;
        case 6: // start and end
            range.start = in.fixed(unit.address_bytes);
            range.end = in.fixed(unit.address_bytes);
            break;
        case 7: // start and length
            range.start = in.fixed(unit.address_bytes);
            range.end = range.start + in.unsigned_leb();
            break;
        default:
            return;
        }
        if (!in.broken() && range.start < range.end)
            out.push_back(range);
    }
}

} // namespace forkscope
