// Owns: InputLog, everything that came from outside, stamped, in order.
// Callers: the Machine appends and replays; recordings store it. Promises: plain data; serialises.
#pragma once

#include <vector>

#include "emu/base/archive.hpp"
#include "emu/base/input_event.hpp"

namespace forkscope {

class InputLog {
  public:
    void append(const InputEvent& event) { events_.push_back(event); }
    const std::vector<InputEvent>& events() const { return events_; }
    void serialize(Archive& ar);

  private:
    std::vector<InputEvent> events_;
};

} // namespace forkscope
