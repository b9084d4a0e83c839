// Owns: the processors and study modes that the duel goes through, each as the Mmu is told of it and, said again from
// the sources that mmu/README.md names, as the reference is.
// Callers: duel, mutant and replay tests.
#pragma once

#include <ostream>
#include <vector>

#include "mmu/tlb/tlb.hpp"
#include "reference_mmu.hpp"

namespace forkscope {

struct DuelSetup {
    reference::Processor processor;
    TlbModel tlb;
    PagingFeatures features;
};

inline void PrintTo(const DuelSetup& setup, std::ostream* out) { *out << setup.processor.name; }

std::vector<DuelSetup> all_setups();
// By its processor's name: "i386", "p6", "p6_random"; it must be there.
DuelSetup setup_named(const std::string& name);

} // namespace forkscope
