// Owns: the PC's way of reporting x87 errors (CR0.NE = 0): FERR# to IRQ 13 by a latch, cleared through port F0h.
// Callers: the Cpu drives FERR# as line 0, the Bus. Promises: IRQ 13 stays up until F0h is written; after that IGNNE#
// is held until FERR# drops, so that the handler may use waiting instructions (SDM 1, D.2.1).
#pragma once

#include "devices/device.hpp"

namespace forkscope {

class CoprocessorError : public Device, public InterruptInput {
  public:
    std::string_view name() const override { return "coprocessor_error"; }
    void attach(Wiring& wiring) override;
    void reset() override;
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void serialize(Archive& ar) override;

    void set_line(u8 line, bool level) override; // FERR#
    // Where IGNNE# leads.
    void set_ignore_line(const IrqLine& line) { ignore_line_ = line; }

  private:
    IrqLine irq_;
    IrqLine ignore_line_;
    bool error_ = false;   // FERR#
    bool latched_ = false; // IRQ 13
    bool ignored_ = false; // IGNNE#
};

} // namespace forkscope
