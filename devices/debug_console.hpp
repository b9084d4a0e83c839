// Owns: the debug console port E9h: a byte written appears on the host.
// Callers: the Bus. Promises: a read gives E9h, by which a guest detects the console; no state.
#pragma once

#include "devices/device.hpp"

namespace forkscope {

class DebugConsole : public Device {
  public:
    std::string_view name() const override { return "debug_console"; }
    void attach(Wiring& wiring) override;
    void reset() override {}
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void serialize(Archive&) override {}

  private:
    Wiring* wiring_ = nullptr;
};

} // namespace forkscope
