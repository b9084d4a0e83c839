// Owns: what lies at the addresses of code that faults, looked up once each.
// Callers: FaultTracker; the fork tracer says when a space runs another program. Promises: derived from the symbols
// alone: dropping it changes no answer; works without symbols.
#pragma once

#include <map>
#include <memory>
#include <utility>

#include "emu/observe/tables/page_table_view.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

class CodePlaces {
  public:
    // `symbols` may be null.
    CodePlaces(Symbolizer* symbols, const GuestLayout& layout) : symbols_(symbols), layout_(layout) {}

    std::shared_ptr<const Location> at(u32 address_space, u32 eip, const AddressSpaceReader& reader);
    // Names of code may have changed: the space runs another program.
    void forget(u32 address_space);
    void forget_all() { places_.clear(); }

  private:
    Symbolizer* symbols_;
    GuestLayout layout_;
    std::map<std::pair<u32, u32>, std::shared_ptr<const Location>> places_; // by space (0: the kernel) and address
};

} // namespace forkscope
