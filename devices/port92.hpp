// Owns: system control port A (92h): the fast A20 gate and the fast reset of PS/2 and later machines.
// Callers: the Bus. Promises: bit 1 is the A20 line itself, also if another device moved it; a rise of bit 0 resets.
#pragma once

#include "devices/device.hpp"

namespace forkscope {

class Port92 : public Device {
  public:
    std::string_view name() const override { return "port92"; }
    void attach(Wiring& wiring) override;
    void reset() override;
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void serialize(Archive& ar) override;

  private:
    Wiring* wiring_ = nullptr;
    u8 latch_ = 0; // all bits but A20
};

} // namespace forkscope
