// Owns: the 8042 keyboard controller of a PC/AT (ports 60h and 64h): output buffer, command byte, translation, A20,
// reset line; and the keyboard on its cable. There is no auxiliary (mouse) port, and its tests say so.
// Callers: the Bus; the Machine hands over keys. Promises: a byte from the keyboard takes the time of eleven bits.
#pragma once

#include <array>

#include "devices/device.hpp"
#include "devices/keyboard/ps2_keyboard.hpp"

namespace forkscope {

class KeyboardController : public Device {
  public:
    // A key goes down or up: set 1 bytes, lowest byte first, as in InputEvent.
    void key(u64 scancode_bytes, u8 size);
    const Ps2Keyboard& keyboard() const { return keyboard_; }
    // Everything sent so far was read by the guest.
    bool ready_for_key() const { return !output_full_ && !keyboard_.has_byte(); }

    std::string_view name() const override { return "keyboard"; }
    void attach(Wiring& wiring) override;
    void reset() override;
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void on_event(u32 what) override;
    void serialize(Archive& ar) override;

  private:
    u8 command_byte() const { return memory_[0]; }
    u8 status() const;
    u8 output_port() const;
    u8 read_data();
    void write_data(u8 value);
    void write_command(u8 command);
    void write_argument(u8 command, u8 value);
    void write_output_port(u8 value);
    void put(u8 value);
    void pump();
    void update_interrupt();

    Wiring* wiring_ = nullptr;
    IrqLine irq_;
    Ps2Keyboard keyboard_;
    std::array<u8, 32> memory_{}; // byte 0 is the command byte
    u8 output_ = 0;               // the output buffer
    bool output_full_ = false;
    bool last_was_command_ = false;
    bool timeout_ = false;      // no device answered the last byte sent to the auxiliary port
    bool release_seen_ = false; // translation: F0 came, the next code gets bit 7
    bool transfer_pending_ = false;
    u8 expecting_ = 0; // the command whose argument comes next
    u8 output_port_ = 0xCF;
    bool irq_level_ = false;
};

} // namespace forkscope
