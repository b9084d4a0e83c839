// Owns: DebugInfo, what DWARF says of one image besides its lines: functions, scopes, variables, types, frames.
// Callers: ElfImage, which makes it when it is first asked for. Promises: any bytes are accepted; memory and time
// bounded by the file's size; addresses are where the image lies, not where the file has it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emu/symbols/dwarf/call_frames.hpp"
#include "emu/symbols/dwarf/entries.hpp"
#include "emu/symbols/dwarf/location.hpp"
#include "emu/symbols/dwarf/types.hpp"

namespace forkscope {

struct AddressRange {
    u32 start = 0, end = 0; // the end is the first behind it

    bool holds(u32 address) const { return address >= start && address < end; }
    bool operator==(const AddressRange&) const = default;
};

class DebugInfo {
  public:
    DebugInfo(const DwarfSections& sections, u64 slide);

    bool empty() const { return entries_.units().empty(); }
    const DwarfEntries& entries() const { return entries_; }
    const CallFrames& call_frames() const;
    Types& types() const { return types_; }
    u64 slide() const { return slide_; }
    u64 in_file(u32 address) const { return address - slide_; }

    // The entry of the function that holds the address; 0: none.
    u64 function_at(u32 address) const;
    u64 function_named(std::string_view name) const;
    // All addresses of a function's code: its .cold part, too.
    std::vector<AddressRange> ranges_of(u64 function) const;
    // The functions, calls that were inlined and blocks around an address, outermost first.
    std::vector<DwarfEntry> scopes_at(u32 address) const;

    // The entry of the call that returns to an address; false: there is none.
    bool call_returning_to(u32 address, DwarfEntry& call) const;

    // A variable outside of functions, one of the unit that holds `near` before all others; 0: none.
    u64 variable_named(std::string_view name, u64 near) const;
    // A type by its tag and name; any of struct, union, enum, typedef and base type if the tag is 0.
    u64 type_named(std::string_view name, u32 tag = 0) const;
    u64 enum_with(std::string_view enumerator) const;

  private:
    struct Function {
        u64 start = 0, end = 0, entry = 0;
        u64 most_end = 0; // of this one and all before it
    };
    struct Named {
        std::string_view name;
        u64 entry = 0;
        u32 tag = 0;
    };

    void index() const;
    void index_unit(const DwarfUnit& unit) const;
    void index_entry(const DwarfEntry& entry) const;
    void index_enumerators(const DwarfEntry& entry) const; // by the offset of their type
    std::optional<AddressRange> placed(const DwarfRange& range) const;
    bool holds(const DwarfEntry& entry, u64 address) const;
    template <class Visit> void named(std::string_view name, Visit visit) const;

    DwarfEntries entries_;
    u64 slide_;
    mutable Types types_;
    mutable std::unique_ptr<CallFrames> frames_;
    // Made when first asked for.
    mutable bool indexed_ = false;
    mutable Budget memory_;
    mutable std::vector<Function> functions_; // sorted
    mutable std::vector<Named> names_;        // sorted
};

} // namespace forkscope
