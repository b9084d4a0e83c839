// Owns: the door to the translator, for MachineConfig::translator. Callers: whoever configures a machine, and tests.
// Promises: where this host's programs hold no translator, or get no memory for code, the block engine takes its place.
#pragma once

#include "cpu/cpu.hpp"
#include "emu/base/code_memory.hpp"

namespace forkscope {

struct TranslatorOptions {
    u32 threshold = 64;             // a block is translated when it has run so often
    u64 code_bytes = u64{16} << 20; // of memory for code; when it is full all is dropped
    bool links = true;              // between translations
    u32 most_kills = 8;             // of translations in a frame: then its code is patched too often
};

#ifdef FORKSCOPE_TRANSLATOR
inline constexpr bool kHasTranslator = true;
// Each engine maps memory of its own.
EngineFactory translator_factory(MapCodeMemory map, const TranslatorOptions& options = {});
#else
inline constexpr bool kHasTranslator = false;
inline EngineFactory translator_factory(const MapCodeMemory&, const TranslatorOptions& = {}) { return {}; }
#endif

} // namespace forkscope
