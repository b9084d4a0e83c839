// Owns: a Document's data as JSON. Callers: the commands, tests.
// Promises: the output is always well-formed UTF-8 JSON, whatever bytes the texts hold; addresses, words and entries
// are strings in hexadecimal, an absent value is null, a mean is its sum.
#pragma once

#include "emu/report/document.hpp"

namespace forkscope {

std::string document_json(const Document& document);

} // namespace forkscope
