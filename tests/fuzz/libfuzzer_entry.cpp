// libFuzzer's door to one target, which the build names.
#include <spdlog/spdlog.h>

#include "targets.hpp"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    spdlog::set_level(spdlog::level::off);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const forkscope::u8* data, std::size_t size) {
    forkscope::fuzz::FORKSCOPE_FUZZ_TARGET({data, size});
    return 0;
}
