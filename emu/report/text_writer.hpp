// Owns: a Document as text for people. Callers: the commands, tests.
// Promises: lines end without blanks; a table shows at most the rows that its layout allows, and says how many more
// there are.
#pragma once

#include "emu/report/document.hpp"

namespace forkscope {

std::string document_text(const Document& document);

} // namespace forkscope
