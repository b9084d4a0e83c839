// Owns: the translator as tests want it: everything is translated at once, as it comes, however often its code is
// patched. Callers: tests that run every engine. Promises: empty where programs hold no translator (MachineConfig then
// takes the block engine).
#pragma once

#include "cpu/engine/translator/translator_factory.hpp"
#ifdef FORKSCOPE_TRANSLATOR
#include "emu/files/code_memory.hpp"
#endif

namespace forkscope::test {

inline EngineFactory eager_translator(u64 code_bytes = u64{4} << 20, bool links = true) {
#ifdef FORKSCOPE_TRANSLATOR
    return translator_factory(map_code_memory,
                              {.threshold = 1, .code_bytes = code_bytes, .links = links, .most_kills = ~u32{0}});
#else
    static_cast<void>(code_bytes), static_cast<void>(links);
    return {};
#endif
}

} // namespace forkscope::test
