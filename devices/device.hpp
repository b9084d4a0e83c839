// Owns: Device, what every device looks like, and Wiring, the only way a device reaches the rest of the machine.
// Callers: the Machine attaches and serialises devices; the Bus calls io_read and io_write.
// Promises: a device is deterministic: it knows simulated time only, and the outside only through input events.
#pragma once

#include <functional>
#include <string_view>

#include "emu/base/archive.hpp"
#include "emu/base/event_queue.hpp"
#include "emu/base/interrupt.hpp"
#include "emu/base/trace.hpp"
#include "mmu/bus.hpp"

namespace forkscope {

class Device;

// Handed to a device when it is attached. Everything a device may do to others goes through here.
class Wiring {
  public:
    virtual ~Wiring() = default;

    virtual Bus& bus() = 0;
    virtual Tracer& tracer() = 0;

    // Simulated time, exact at the present access, and its rate.
    virtual Cycles now() const = 0;
    virtual u64 cycles_per_second() const = 0;
    // At most one pending event per `what`; scheduling again moves it. on_event(what) is called at `when`.
    virtual void schedule(Device& device, Cycles when, u32 what) = 0;
    virtual void cancel(Device& device, u32 what) = 0;

    // Interrupt request line 0..15 of the two 8259s.
    virtual IrqLine irq(u8 line) = 0;

    // Bytes that leave the machine (serial, debug console). `channel` names the sink: "com1", "debug".
    virtual void output(std::string_view channel, u8 byte) = 0;
    // The guest asked to end the machine with this status (exit port, power off, keyboard controller reset =
    // request_reset).
    virtual void request_exit(u32 status) = 0;
    virtual void request_reset() = 0;
    virtual void set_a20(bool enabled) = 0;
    virtual bool a20() const = 0;
};

class Device : public IoHandler {
  public:
    virtual std::string_view name() const = 0; // "pic", "pit", … ; unique in a machine
    virtual void attach(Wiring& wiring) = 0;   // claims ports and lines; called once
    virtual void reset() = 0;                  // as at power-on
    virtual void on_event(u32 what) { (void)what; }
    virtual void serialize(Archive& ar) = 0;

    // Assigned by the Machine before attach(): the owner number of this device's events.
    u32 number = 0;
};

} // namespace forkscope
