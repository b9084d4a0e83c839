// Owns: Ps2Keyboard, the keyboard at the end of the cable: its commands, scan sets, LEDs and output queue.
// Callers: KeyboardController only, which clocks bytes in and out. Promises: answers to commands overtake keys; keys
// that do not fit the 16 byte buffer wait outside it as state, so that a burst from the host loses nothing.
#pragma once

#include <array>
#include <deque>

#include "emu/base/archive.hpp"

namespace forkscope {

class Ps2Keyboard {
  public:
    void reset(); // power-on: scanning, set 2, nothing to send

    // A byte from the controller: a command or its argument.
    void write(u8 value);
    // One key transition, as set 1 bytes, lowest byte first.
    void key(u64 set1_bytes, u8 size);

    bool has_byte() const { return !answers_.empty() || !keys_.empty(); }
    u8 next_byte();

    // Bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock.
    u8 leds() const { return leds_; }
    u8 scan_set() const { return scan_set_; }
    u8 typematic() const { return typematic_; }
    bool scanning() const { return scanning_; }

    void serialize(Archive& ar);

  private:
    void command(u8 value);
    void argument(u8 command, u8 value);
    void defaults();
    void answer(u8 value) { answers_.push_back(value); }
    void send_set3(u8 code, bool release);
    void set_all_breaks(bool enabled) { breaks_.fill(enabled ? 0xFF : 0x00); }
    void set_break(u8 code, bool enabled);

    std::deque<u8> answers_;
    std::deque<u8> keys_;
    u8 expecting_ = 0; // the command whose argument comes next
    u8 last_sent_ = 0;
    u8 leds_ = 0;
    u8 scan_set_ = 2;
    u8 typematic_ = 0x2B; // 10.9 a second after 500 ms; repeats come from the host as more makes
    bool scanning_ = true;
    std::array<u8, 32> breaks_{}; // set 3: the keys that also report their release
};

} // namespace forkscope
