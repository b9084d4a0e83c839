// Owns: the guest's tracepoint port (guest/abi/ports.h): three argument registers and the id that fires the event.
// Callers: the Bus. Promises: it behaves the same with and without a listener, so observing changes nothing.
#pragma once

#include <array>
#include <functional>

#include "devices/device.hpp"

namespace forkscope {

class TracePort : public Device {
  public:
    using Arguments = std::array<u32, 3>;
    // Gets each tracepoint before the observers: what the guest states about its frames updates the machine's marks.
    using Listener = std::function<void(u32 id, const Arguments&)>;

    explicit TracePort(Listener listener = {}) : listener_(std::move(listener)) {}
    std::string_view name() const override { return "trace_port"; }
    void attach(Wiring& wiring) override;
    void reset() override { arguments_ = {}; }
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void serialize(Archive& ar) override;

  private:
    Wiring* wiring_ = nullptr;
    Listener listener_;
    Arguments arguments_{};
};

} // namespace forkscope
