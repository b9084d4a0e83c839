// Owns: how `why` is asked and how its answer reads, as text and as data.
// Callers: the stepper's command, gdb's monitor. Promises: any words get an answer; a place is printed as `goto` takes
// it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "emu/report/document.hpp"
#include "emu/session/stepper/why.hpp"

namespace forkscope {

struct WhyRequest {
    LinearAddress address;
    AddressSpace space;
    std::optional<WhyPart> part;
    bool go = false;
};
// "ADDRESS [in CR3] [entry|directory|tlb|frame|byte] [go]". Error: which word is not understood.
// `address`: what a word means that stands for one.
Result<WhyRequest> read_why(std::string_view words, const std::function<Result<u32>(std::string_view)>& address,
                            AddressSpace current);

std::string why_text(const std::vector<Reason>& reasons);
Rows why_rows(const std::vector<Reason>& reasons);

} // namespace forkscope
