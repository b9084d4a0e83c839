#include "emu/symbols/inspect/type_names.hpp"

#include <array>

#include <fmt/format.h>

#include "emu/base/text/printable.hpp"
#include "emu/symbols/dwarf/constants.hpp"
#include "emu/symbols/dwarf/debug_info.hpp"

namespace forkscope {

namespace {

// A keyword's type may be written in many orders: "unsigned long int". nullptr: no keyword stands there.
const Type* keyword_type(ExpressionLexer& lexer, Types& types) {
    u32 bytes = 0;
    u32 longs = 0;
    bool is_signed = true;
    bool character = false;
    bool any = false;
    for (bool more = true; more; any = any || more) {
        more = true;
        if (lexer.take_word("unsigned"))
            is_signed = false;
        else if (lexer.take_word("long"))
            ++longs;
        else if (lexer.take_word("short"))
            bytes = 2;
        else if (lexer.take_word("char"))
            character = true;
        else if (lexer.take_word("void"))
            return &types.void_type();
        else
            more = lexer.take_word("int") || lexer.take_word("signed");
    }
    if (!any)
        return nullptr;
    return character ? &types.character(is_signed) : &types.integer(bytes != 0 ? bytes : longs > 1 ? 8 : 4, is_signed);
}

const Type* type_in(const std::vector<const ElfImage*>& images, std::string_view name, u32 tag) {
    for (const ElfImage* image : images)
        if (const u64 offset = image->debug().type_named(name, tag); offset != 0)
            return &image->debug().types().at(offset);
    return nullptr;
}

} // namespace

Result<const Type*> read_type_name(ExpressionLexer& lexer, const std::vector<const ElfImage*>& images, Types& types,
                                   const std::function<bool(const std::string& name)>& is_variable) {
    const std::size_t back = lexer.place();
    const auto qualifier = [&lexer] { return lexer.take_word("const") || lexer.take_word("volatile"); };
    while (qualifier()) {
    }
    const Type* type = nullptr;
    const std::array<std::pair<std::string_view, u32>, 3> tags{
        {{"struct", dw::kStructureType}, {"union", dw::kUnionType}, {"enum", dw::kEnumerationType}}};
    for (const auto& [word, tag] : tags) {
        if (type != nullptr || !lexer.take_word(word))
            continue;
        const std::size_t place = lexer.place();
        const std::string name(lexer.take_name());
        type = type_in(images, name, tag);
        if (type != nullptr)
            continue;
        lexer.go_back(place);
        return Error{fmt::format("there is no {} {}", word, printable_line(name))};
    }
    if (type == nullptr)
        type = keyword_type(lexer, types);
    if (type == nullptr) {
        const std::string name(lexer.take_name());
        type = name.empty() || is_variable(name) ? nullptr : type_in(images, name, 0);
    }
    if (type == nullptr) {
        lexer.go_back(back);
        return type;
    }
    while (true) {
        if (lexer.take("*"))
            type = &types.pointer_to(*type);
        else if (!qualifier())
            return type;
    }
}

} // namespace forkscope
