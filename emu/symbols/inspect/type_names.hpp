// Owns: reading a type's name as C writes it: "struct proc **", "unsigned char", a typedef.
// Callers: expressions. Promises: where no type stands, nothing is taken, and the answer is nullptr; an Error if a
// struct, union or enum is named that no image has.
#pragma once

#include <functional>
#include <vector>

#include "emu/symbols/dwarf/types.hpp"
#include "emu/symbols/elf_image.hpp"
#include "emu/symbols/inspect/expression_lexer.hpp"

namespace forkscope {

// A variable's name is no type's.
Result<const Type*> read_type_name(ExpressionLexer& lexer, const std::vector<const ElfImage*>& images, Types& types,
                                   const std::function<bool(const std::string& name)>& is_variable);

} // namespace forkscope
