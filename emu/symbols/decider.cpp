#include "emu/symbols/decider.hpp"

#include <algorithm>

#include "emu/symbols/dwarf/constants.hpp"
#include "emu/symbols/dwarf/debug_info.hpp"

namespace forkscope {

namespace {

struct Row {
    Location place;
    std::size_t depth = 0; // of calls inlined around it, that it is itself
};

void add_rows(std::vector<Row>& rows, const Symbolizer& symbols, u32 space, u32 address) {
    std::size_t depth = 0;
    for (Location& place : symbols.inline_chain_in(space, address))
        rows.push_back({std::move(place), depth++});
}

bool points_to_another(const std::vector<const Type*>& parameters) {
    return std::any_of(parameters.begin(), parameters.end(), [&](const Type* pointer) {
        const Type* const target = pointer->is(TypeKind::Pointer) ? pointer->plain().target : nullptr;
        return target != nullptr && std::any_of(parameters.begin(), parameters.end(), [&](const Type* value) {
                   return value->text() == target->text() && !value->is(TypeKind::Void);
               });
    });
}

// Whether the row's function is told what to store where.
bool is_told(const Symbolizer& symbols, u32 space, const Row& row) {
    const ElfImage* const image = symbols.image_at(space, row.place.address);
    if (image == nullptr)
        return false;
    const DebugInfo& debug = image->debug();
    std::vector<DwarfEntry> functions = debug.scopes_at(row.place.address);
    std::erase_if(functions, [](const DwarfEntry& scope) {
        return scope.tag != dw::kSubprogram && scope.tag != dw::kInlinedSubroutine;
    });
    if (row.depth >= functions.size())
        return false;
    std::vector<const Type*> parameters;
    debug.entries().for_children(functions[functions.size() - 1 - row.depth], [&](const DwarfEntry& child) {
        if (child.tag == dw::kFormalParameter)
            parameters.push_back(&debug.types().of(child));
        return true;
    });
    return points_to_another(parameters);
}

} // namespace

std::optional<Location> decider_of(const Symbolizer& symbols, u32 address_space, u32 eip,
                                   std::span<const u32> callers) {
    std::vector<Row> rows;
    add_rows(rows, symbols, address_space, eip);
    const std::size_t own = rows.size(); // of the function that stores, and what was inlined into it
    for (const u32 caller : callers)
        if (caller != 0) // a return address is the instruction after the call
            add_rows(rows, symbols, address_space, caller - 1);
    const auto first_from = [&rows](std::size_t from, auto is_helper) -> std::optional<Location> {
        for (std::size_t i = from; i < rows.size(); ++i)
            if (rows[i].place.known() && !is_helper(rows[i]))
                return rows[i].place;
        return std::nullopt;
    };
    const auto of_header = [](const Row& row) { return row.place.included; };
    if (own > 1 && of_header(rows[0]))
        return first_from(0, of_header);
    const std::string file = rows.empty() ? "" : rows[0].place.file;
    if (auto outside = first_from(0, [&](const Row& row) { return of_header(row) || row.place.file == file; }))
        return outside;
    // Without lines nobody knows who is a helper.
    if (file.empty() || !is_told(symbols, address_space, rows[0]))
        return std::nullopt;
    return first_from(1, [&](const Row& row) { return of_header(row) || is_told(symbols, address_space, row); });
}

std::string function_and_line(const Location& location) {
    const std::string source = location.source();
    return (location.inlined.empty() ? location.symbol : location.inlined) +
           (source.empty() ? "" : " (" + source + ")");
}

} // namespace forkscope
