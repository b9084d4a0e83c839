#include "emu/observe/tables/walk_text.hpp"

#include <fmt/format.h>

namespace forkscope {

std::string entry_flags_text(u64 entry) {
    std::string text;
    constexpr std::pair<u32, char> kBits[] = {{kPtePresent, 'P'},  {kPteWritable, 'W'}, {kPteUser, 'U'},
                                              {kPteAccessed, 'A'}, {kPteDirty, 'D'},    {kPteLarge, 'S'},
                                              {kPteGlobal, 'G'}};
    for (const auto& [bit, letter] : kBits)
        text += (entry & bit) != 0 ? letter : '-';
    return text;
}

std::string walk_text(const WalkView& walk) {
    std::string text = fmt::format("directory entry {:08x} at {:08x}  {}\n", walk.directory_entry,
                                   walk.directory_entry_address.value, entry_flags_text(walk.directory_entry));
    if (walk.table_entry_address.value != 0)
        text += fmt::format("table entry     {:08x} at {:08x}  {}\n", walk.table_entry, walk.table_entry_address.value,
                            entry_flags_text(walk.table_entry));
    if (!walk.present)
        return text + "not present";
    return text + fmt::format("frame {:08x}, {}, {}{}", walk.frame, walk.writable() ? "writable" : "read-only",
                              walk.user() ? "user" : "supervisor", walk.large ? ", large page" : "");
}

} // namespace forkscope
