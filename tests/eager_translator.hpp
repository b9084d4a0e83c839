// Owns: the translator as tests want it: everything is translated at once, as it comes. Callers: tests that run every
// engine. Promises: empty where programs hold no translator (MachineConfig then takes the block engine).
#pragma once

#include "cpu/engine/translator/translator_factory.hpp"
#ifdef FORKSCOPE_TRANSLATOR
#include "emu/files/code_memory.hpp"
#endif

namespace forkscope::test {

inline EngineFactory eager_translator() {
#ifdef FORKSCOPE_TRANSLATOR
    return translator_factory(map_code_memory, {.threshold = 1, .code_bytes = u64{4} << 20});
#else
    return {};
#endif
}

} // namespace forkscope::test
