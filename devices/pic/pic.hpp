// Owns: the two cascaded 8259A interrupt controllers of a PC/AT with their edge/level registers (Intel 231468, 290562).
// Callers: devices raise lines 0..15 (line 2 is the cascade), the CPU acknowledges, the guest programs ports 20h and
// A0h. Promises: every ICW and OCW; INT follows the requests; an INTA that finds none gives vector 7 or 15.
#pragma once

#include <array>

#include "devices/device.hpp"

namespace forkscope {

// One 8259A, without knowledge of its partner.
class InterruptController {
  public:
    void reset();
    void write(u32 a0, u8 value);
    u8 read(u32 a0);
    void set_input(u8 line, bool level);
    void write_elcr(u8 value);
    u8 elcr() const { return elcr_; }
    bool masks(u8 line) const { return (masked_ >> line & 1) != 0; }
    // The next read is an acknowledge (OCW3).
    bool polled() const { return poll_; }

    // The level of the INT pin.
    bool requests() const { return pick() != kNone; }
    // Whether a request on this line would raise it: it is not masked, and nothing as urgent is in service.
    bool admits(u8 line) const { return first(static_cast<u8>((1u << line) & ~masked_)) == line; }
    // The INTA cycle: the line taken, or kNone for a spurious request.
    u8 accept();
    u8 vector(u8 line) const { return static_cast<u8>(vector_base_ | (line & 7)); }
    // On a master: a slave answers for this line. On a slave: this chip answers for the master's line.
    bool has_slave_on(u8 line) const { return !single_ && (cascade_ >> line & 1) != 0; }
    bool answers_as(u8 line) const { return (cascade_ & 7) == line; }

    void serialize(Archive& ar);

    static constexpr u8 kNone = 0xFF;

  private:
    enum class Expect : u8 { Nothing, Icw2, Icw3, Icw4 };

    void write_icw1(u8 value);
    void write_icw(u8 value);
    void write_ocw2(u8 value);
    void write_ocw3(u8 value);
    void end_of_interrupt(u8 line, bool rotate);
    u8 highest(u8 lines) const;
    u8 first(u8 wanted) const;
    u8 pick() const { return first(requested_ & static_cast<u8>(~masked_)); }
    u8 level_lines() const { return level_triggered_ ? 0xFF : elcr_; }
    u8 in_service_for_priority() const;

    u8 requested_ = 0; // IRR
    u8 in_service_ = 0;
    u8 masked_ = 0xFF; // nothing gets through before the first ICW1
    u8 inputs_ = 0;    // levels of the pins
    u8 elcr_ = 0;
    u8 vector_base_ = 0;
    u8 cascade_ = 0;         // ICW3
    u8 lowest_priority_ = 7; // the line that comes last
    Expect expect_ = Expect::Nothing;
    bool single_ = false;
    bool needs_icw4_ = false;
    bool level_triggered_ = false;
    bool automatic_end_ = false;
    bool rotate_on_automatic_end_ = false;
    bool special_fully_nested_ = false;
    bool special_mask_ = false;
    bool read_in_service_ = false;
    bool poll_ = false;
};

class Pic : public Device, public InterruptInput, public InterruptSource {
  public:
    // The CPU's INTR pin.
    void set_output(IrqLine intr) { intr_ = intr; }
    bool intr() const { return intr_level_; }
    // Would a request on this line of 0..15 reach the CPU, as far as masks go?
    bool unmasked(u8 line) const {
        return line < 8 ? !master_.masks(line) : !master_.masks(2) && !slave_.masks(static_cast<u8>(line - 8));
    }

    std::string_view name() const override { return "pic"; }
    void attach(Wiring& wiring) override;
    void reset() override;
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void serialize(Archive& ar) override;

    void set_line(u8 line, bool level) override;
    u8 acknowledge() override;
    bool masks_everything() const override;

  private:
    void update();

    IrqLine intr_;
    InterruptController master_;
    InterruptController slave_;
    bool intr_level_ = false;
};

} // namespace forkscope
