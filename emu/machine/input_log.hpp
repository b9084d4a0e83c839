// Owns: InputLog, everything that came from outside, stamped, in order.
// Callers: the Machine appends and replays; snapshots and recordings store it. Promises: plain data; serialises.
#pragma once

#include <vector>

#include "emu/base/archive.hpp"
#include "emu/base/input_event.hpp"

namespace forkscope {

// Of a list of inputs, stamped or not; an input that no machine takes fails the archive.
void serialize_inputs(Archive& ar, std::string_view name, std::vector<InputEvent>& inputs);

inline constexpr u32 kInputsVersion = 2; // of what InputLog::serialize() writes

class InputLog {
  public:
    InputLog() = default;
    explicit InputLog(std::vector<InputEvent> events) : events_(std::move(events)) {}
    void append(const InputEvent& event) { events_.push_back(event); }
    const std::vector<InputEvent>& events() const { return events_; }
    // Keeps the first `count`.
    void truncate(std::size_t count) { events_.resize(count); }
    void serialize(Archive& ar) { serialize_inputs(ar, "events", events_); }

  private:
    std::vector<InputEvent> events_;
};

} // namespace forkscope
