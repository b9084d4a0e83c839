#include <cstdio>
#include <cstdlib>

#include "targets.hpp"

namespace forkscope::fuzz {

void report(const char* what) {
    std::fprintf(stderr, "fuzz: %s\n", what);
    std::abort();
}

} // namespace forkscope::fuzz
