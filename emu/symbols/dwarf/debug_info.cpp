#include "emu/symbols/dwarf/debug_info.hpp"

#include <algorithm>

#include "emu/symbols/dwarf/constants.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kDeepest = 64; // scopes in each other

u64 memory_for(const DwarfSections& sections) { return (u64{16} << 20) + 2 * sections.info.size(); }

bool is_type(u32 tag) {
    switch (tag) {
    case dw::kStructureType:
    case dw::kClassType:
    case dw::kUnionType:
    case dw::kEnumerationType:
    case dw::kTypedef:
    case dw::kBaseType:
        return true;
    default:
        return false;
    }
}

bool is_scope(u32 tag) { return tag == dw::kInlinedSubroutine || tag == dw::kLexicalBlock || tag == dw::kSubprogram; }

} // namespace

DebugInfo::DebugInfo(const DwarfSections& sections, u64 slide)
    : entries_(sections), slide_(slide),
      types_(entries_, sections.address_bytes, memory_for(sections),
             [this](u32 tag, std::string_view name) { return type_named(name, tag); }),
      memory_(memory_for(sections)) {}

const CallFrames& DebugInfo::call_frames() const {
    if (!frames_)
        frames_ = std::make_unique<CallFrames>(entries_.sections());
    return *frames_;
}

void DebugInfo::index() const {
    if (indexed_)
        return;
    indexed_ = true;
    for (const DwarfUnit& unit : entries_.units())
        index_unit(unit);
    std::stable_sort(functions_.begin(), functions_.end(),
                     [](const Function& a, const Function& b) { return a.start < b.start; });
    u64 most = 0;
    for (Function& function : functions_)
        function.most_end = most = std::max(most, function.end);
    std::stable_sort(names_.begin(), names_.end(), [](const Named& a, const Named& b) { return a.name < b.name; });
}

void DebugInfo::index_unit(const DwarfUnit& unit) const {
    DwarfEntry first;
    if (!entries_.read(unit.first, first))
        return;
    entries_.for_children(first, [&](const DwarfEntry& entry) {
        index_entry(entry);
        return !memory_.spent();
    });
}

void DebugInfo::index_entry(const DwarfEntry& entry) const {
    const bool function = entry.tag == dw::kSubprogram;
    if (!function && entry.tag != dw::kVariable && !is_type(entry.tag))
        return;
    if (function && entry.find(dw::kDeclaration) == nullptr)
        for (const DwarfRange& range : entries_.ranges(entry))
            if (memory_.take(2 * sizeof(Function)))
                functions_.push_back({range.start, range.end, entry.offset, 0});
    // A declaration says nothing; a definition of one has its name. What is only an abstract instance has no code.
    const bool body = !function || entry.find(dw::kLow) != nullptr || entry.find(dw::kRanges) != nullptr;
    const bool place =
        entry.tag != dw::kVariable || entry.find(dw::kLocation) != nullptr || entry.find(dw::kConstant) != nullptr;
    const std::string_view name = entries_.name(entry);
    if (!name.empty() && body && place && entry.find(dw::kDeclaration) == nullptr && memory_.take(2 * sizeof(Named)))
        names_.push_back({name, entry.offset, entry.tag});
    if (entry.tag == dw::kEnumerationType)
        index_enumerators(entry);
}

void DebugInfo::index_enumerators(const DwarfEntry& entry) const {
    entries_.for_children(entry, [&](const DwarfEntry& child) {
        const std::string_view name = entries_.name(child);
        if (child.tag == dw::kEnumerator && !name.empty() && memory_.take(2 * sizeof(Named)))
            names_.push_back({name, entry.offset, dw::kEnumerator});
        return !memory_.spent();
    });
}

template <class Visit> void DebugInfo::named(std::string_view name, Visit visit) const {
    index();
    auto at = std::lower_bound(names_.begin(), names_.end(), name,
                               [](const Named& named, std::string_view value) { return named.name < value; });
    for (; at != names_.end() && at->name == name; ++at)
        if (!visit(*at))
            return;
}

u64 DebugInfo::function_at(u32 address) const {
    index();
    const u64 wanted = in_file(address);
    auto after = std::upper_bound(functions_.begin(), functions_.end(), wanted,
                                  [](u64 value, const Function& function) { return value < function.start; });
    while (after != functions_.begin()) {
        --after;
        if (wanted < after->end)
            return after->entry;
        if (wanted >= after->most_end)
            break;
    }
    return 0;
}

u64 DebugInfo::function_named(std::string_view name) const {
    u64 found = 0;
    named(name, [&](const Named& named) {
        if (named.tag == dw::kSubprogram)
            found = named.entry;
        return found == 0;
    });
    return found;
}

std::optional<AddressRange> DebugInfo::placed(const DwarfRange& range) const {
    const u64 start = range.start + slide_;
    const u64 end = range.end + slide_;
    if (start > ~u32{0} || end > ~u32{0} || start >= end)
        return std::nullopt;
    return AddressRange{static_cast<u32>(start), static_cast<u32>(end)};
}

std::vector<AddressRange> DebugInfo::ranges_of(u64 function) const {
    std::vector<AddressRange> out;
    DwarfEntry entry;
    if (!entries_.read(function, entry))
        return out;
    for (const DwarfRange& range : entries_.ranges(entry))
        if (const std::optional<AddressRange> here = placed(range); here)
            out.push_back(*here);
    return out;
}

bool DebugInfo::holds(const DwarfEntry& entry, u64 address) const {
    for (const DwarfRange& range : entries_.ranges(entry))
        if (address >= range.start && address < range.end)
            return true;
    return false;
}

std::vector<DwarfEntry> DebugInfo::scopes_at(u32 address) const {
    std::vector<DwarfEntry> scopes;
    DwarfEntry function;
    const u64 offset = function_at(address);
    if (offset == 0 || !entries_.read(offset, function))
        return scopes;
    scopes.push_back(function);
    for (bool deeper = true; deeper && scopes.size() < kDeepest;) {
        deeper = false;
        DwarfEntry inner;
        entries_.for_children(scopes.back(), [&](const DwarfEntry& child) {
            deeper = is_scope(child.tag) && holds(child, in_file(address));
            if (deeper)
                inner = child;
            return !deeper;
        });
        if (deeper)
            scopes.push_back(std::move(inner));
    }
    return scopes;
}

bool DebugInfo::call_returning_to(u32 address, DwarfEntry& call) const {
    // A call stands in the innermost scope that has its instruction, or in one around it.
    const std::vector<DwarfEntry> scopes = scopes_at(address - 1);
    for (auto scope = scopes.rbegin(); scope != scopes.rend(); ++scope) {
        bool found = false;
        entries_.for_children(*scope, [&](const DwarfEntry& child) {
            if (child.tag != dw::kCallSite && child.tag != dw::kGnuCallSite)
                return true;
            // GNU's older tag has the address as its lowest.
            const DwarfAttribute* place = child.find(child.tag == dw::kCallSite ? dw::kCallReturn : dw::kLow);
            found = place != nullptr && entries_.address_of(*place) == in_file(address);
            if (found)
                call = child;
            return !found;
        });
        if (found)
            return true;
    }
    return false;
}

u64 DebugInfo::variable_named(std::string_view name, u64 near) const {
    const DwarfUnit* unit = entries_.unit_at(near);
    u64 found = 0;
    named(name, [&](const Named& named) {
        if (named.tag != dw::kVariable)
            return true;
        const bool first = found == 0;
        const bool same = unit != nullptr && named.entry >= unit->first && named.entry < unit->end;
        if (first || same)
            found = named.entry;
        return !same;
    });
    return found;
}

u64 DebugInfo::type_named(std::string_view name, u32 tag) const {
    u64 found = 0;
    named(name, [&](const Named& named) {
        // `struct proc` and a typedef proc are different things; without a tag the typedef is what C means.
        const bool fits = tag == 0 ? named.tag == dw::kTypedef || named.tag == dw::kBaseType : named.tag == tag;
        if (fits)
            found = named.entry;
        return found == 0;
    });
    return found;
}

u64 DebugInfo::enum_with(std::string_view enumerator) const {
    u64 found = 0;
    named(enumerator, [&](const Named& named) {
        if (named.tag == dw::kEnumerator)
            found = named.entry;
        return found == 0;
    });
    return found;
}

} // namespace forkscope
