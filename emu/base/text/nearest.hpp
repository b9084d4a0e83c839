// Owns: the guess at what somebody meant by a word that nothing is called.
// Callers: whoever refuses a word that a person wrote. Promises: depends on the words alone.
#pragma once

#include <string>
#include <vector>

namespace forkscope {

// The nearest of the names, if it is near: letters put in, left out, changed or swapped. Empty: none is.
std::string nearest(const std::string& word, const std::vector<std::string>& names);

} // namespace forkscope
