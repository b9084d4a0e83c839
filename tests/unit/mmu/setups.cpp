#include "setups.hpp"

#include "emu/base/assert.hpp"

namespace forkscope {

namespace {

using reference::Geometry;
using reference::Processor;
using reference::Replacement;
using namespace reference;

constexpr u64 kSeed = 7;

std::vector<DuelSetup> chips() {
    const u32 unified = kNeedsEviction | kNeedsRecency | kNeedsUnified;
    const u32 pentium = kNeedsEviction | kNeedsRecency | kNeedsSplit | kNeedsProtect | kNeedsLarge;
    const u32 p6 = pentium | kNeedsGlobal | kNeedsPae | kNeedsPse36 | kNeedsLargeFetch;
    return {
        {{"i386", {8, 4}, {}, {}, {}, Replacement::PseudoLru, 0, unified}, kTlbOfI386, {}},
        {{"i486", {8, 4}, {}, {}, {}, Replacement::PseudoLru, 0, unified | kNeedsProtect}, kTlbOfI486, {}},
        {{"pentium", {16, 4}, {2, 4}, {8, 4}, {}, Replacement::PseudoLru, 0, pentium | kNeedsPieces},
         kTlbOfPentium,
         {}},
        {{"p6", {16, 4}, {2, 4}, {8, 4}, {1, 2}, Replacement::PseudoLru, 0, p6}, kTlbOfP6, {true, true, 36}},
    };
}

DuelSetup with(DuelSetup setup, TlbStudy study, const std::string& suffix) {
    Processor& processor = setup.processor;
    processor.name += suffix;
    processor.seed = kSeed;
    setup.tlb = studied(setup.tlb, study, kSeed);
    for (Geometry* geometry : {&processor.data, &processor.large, &processor.code, &processor.large_code}) {
        if (geometry->sets == 0)
            continue;
        if (study == TlbStudy::Infinite)
            *geometry = {0, 1, true};
        else if (study == TlbStudy::Tiny)
            *geometry = {1, 2, false};
    }
    if (study != TlbStudy::Tiny)
        processor.has &= ~u32{kNeedsRecency};
    if (study == TlbStudy::Infinite)
        processor.has &= ~u32{kNeedsEviction};
    else if (study == TlbStudy::Random)
        processor.replacement = Replacement::Random;
    else if (study == TlbStudy::Fifo)
        processor.replacement = Replacement::Fifo;
    return setup;
}

} // namespace

std::vector<DuelSetup> all_setups() {
    std::vector<DuelSetup> setups = chips();
    for (const DuelSetup& chip : chips()) {
        setups.push_back(with(chip, TlbStudy::Infinite, "_infinite"));
        setups.push_back(with(chip, TlbStudy::Tiny, "_tiny"));
        setups.push_back(with(chip, TlbStudy::Random, "_random"));
        setups.push_back(with(chip, TlbStudy::Fifo, "_fifo"));
    }
    return setups;
}

DuelSetup setup_named(const std::string& name) {
    for (const DuelSetup& setup : all_setups())
        if (setup.processor.name == name)
            return setup;
    EMU_ASSERT(false, "no setup is called {}", name);
    return {};
}

} // namespace forkscope
