// Owns: the small types through which devices and cpu meet without knowing each other.
// Callers: devices raise lines, the cpu acknowledges; the Machine connects them. Promises: plain and synchronous.
#pragma once

#include "emu/base/types.hpp"

namespace forkscope {

// The receiving end of interrupt lines: an interrupt controller, or the CPU's INTR pin.
class InterruptInput {
  public:
    virtual ~InterruptInput() = default;
    virtual void set_line(u8 line, bool level) = 0;
};

// A wire from a device to one input pin. An unconnected line goes nowhere.
struct IrqLine {
    InterruptInput* input = nullptr;
    u8 line = 0;

    void set(bool level) const {
        if (input != nullptr)
            input->set_line(line, level);
    }
};

// What the CPU asks when INTR is high and interrupts are enabled: the INTA cycle.
class InterruptSource {
  public:
    virtual ~InterruptSource() = default;
    virtual u8 acknowledge() = 0; // the vector
    // No request comes through before the guest programs the controllers anew.
    virtual bool masks_everything() const { return false; }
};

} // namespace forkscope
