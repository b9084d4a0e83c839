// Owns: PitChannel, one counter of an 8254 (Intel 231164): modes 0..5, binary and BCD, latches, read-back.
// Callers: Pit only. Time is the number of the last CLK pulse since power-on; it never runs backwards.
// Promises: closed form: any span of time costs the same; `next_edge` is exact, so no caller has to watch single ticks.
#pragma once

#include "devices/device.hpp"

namespace forkscope {

using Tick = u64;
inline constexpr Tick kNoTick = ~Tick{0};

class PitChannel {
  public:
    void reset();

    // `tick` is the last CLK pulse at or before the access.
    void write_control(u8 value, Tick tick);
    void write_count(u8 value, Tick tick);
    u8 read(Tick tick);
    void latch_count(Tick tick);
    void latch_status(Tick tick);
    void set_gate(bool level, Tick tick);
    bool gate() const { return gate_; }

    // Carries out what happens up to and including `tick`.
    void advance(Tick tick);
    // The OUT pin; `tick` must not be before the last advance.
    bool out(Tick tick) const;
    // The first tick after `tick` at which OUT may change; kNoTick if it stays as it is.
    Tick next_edge(Tick tick) const;

    void serialize(Archive& ar);

  private:
    // Why a pending load comes: a new count or a trigger begins a cycle, the running cycle ends, or only its first
    // half.
    enum class Load : u8 { Start, CycleEnd, HalfEnd };

    // Bit 2 is a don't-care for modes 2 and 3. The status shows it as written.
    u8 mode() const { return programmed_mode_ >= 6 ? programmed_mode_ - 4 : programmed_mode_; }
    bool gate_stops() const { return mode() != 1 && mode() != 5; }
    bool triggered_by_gate() const { return mode() == 1 || mode() == 2 || mode() == 3 || mode() == 5; }
    bool periodic() const { return mode() == 2 || mode() == 3; }
    u32 first_half() const { return (reload_ + 1) / 2; }
    u32 programmed_count() const;
    u64 elapsed(Tick tick) const;
    u16 counting_element(Tick tick) const;
    u8 take_byte(u16 count);
    void begin_count();
    void finish_count(Tick tick);
    void schedule_reload(Tick tick);
    void apply_load();
    void freeze(Tick tick);
    Tick next_periodic_edge(Tick tick) const;

    u8 programmed_mode_ = 0; // as written: 6 and 7 are 2 and 3
    u8 access_ = 3;          // 1 low byte, 2 high byte, 3 low then high
    bool bcd_ = false;
    bool gate_ = true;

    u16 count_ = 0; // the count register, as written
    u8 low_byte_ = 0;
    bool write_high_next_ = false;
    bool read_high_next_ = false;
    bool written_ = false;   // a count was written since the control word
    bool null_count_ = true; // the count written is not yet in the counting element
    bool count_latched_ = false;
    bool status_latched_ = false;
    u16 latched_count_ = 0;
    u8 latched_status_ = 0;

    bool running_ = false; // OUT follows the counting element; otherwise it idles
    bool frozen_ = true;   // the counting element stands still at frozen_elapsed_
    u32 reload_ = 0x10000; // the count that the counting element started from
    Tick origin_ = 0;      // the CLK pulse that loaded it
    u64 frozen_elapsed_ = 0;
    Tick load_at_ = kNoTick; // the CLK pulse that will load the count register
    Load load_ = Load::Start;
};

} // namespace forkscope
