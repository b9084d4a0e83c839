// Owns: the two ports through which a guest ends the machine: F4h with a status, 8900h with the word "Shutdown".
// Callers: the Bus. Promises: a byte v at F4h asks for status v; "Shutdown" asks for status 0.
#pragma once

#include "devices/device.hpp"

namespace forkscope {

class ExitPort : public Device {
  public:
    std::string_view name() const override { return "exit_port"; }
    void attach(Wiring& wiring) override;
    void reset() override { matched_ = 0; }
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void serialize(Archive& ar) override;

  private:
    Wiring* wiring_ = nullptr;
    u8 matched_ = 0; // letters of "Shutdown" seen so far
};

} // namespace forkscope
