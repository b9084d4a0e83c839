// Owns: the 8254 interval timer (ports 40h..43h) and port 61h, which gates and reads its channel 2.
// Callers: the Bus. Channel 0 drives IRQ 0, channel 1 is the refresh timer of old, channel 2 the speaker.
// Promises: CLK pulse n falls on cycle ceil(n * cycles_per_second / 1193182) for ever: no drift; one event an edge.
#pragma once

#include <array>

#include "devices/pit/pit_channel.hpp"

namespace forkscope {

class Pit : public Device {
  public:
    static constexpr u64 kFrequency = 1193182; // Hz

    std::string_view name() const override { return "pit"; }
    void attach(Wiring& wiring) override;
    void reset() override;
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void on_event(u32 what) override;
    void serialize(Archive& ar) override;

    // The last CLK pulse at or before `cycle`, and the first cycle at or after CLK pulse `tick`.
    Tick tick_of(Cycles cycle) const;
    Cycles cycle_of(Tick tick) const;
    // What the speaker's membrane does now: channel 2's output where port 61h lets it through.
    bool speaker() const;

  private:
    void write_control(u8 value, Tick tick);
    void write_port_b(u8 value, Tick tick);
    u8 read_port_b(Tick tick);
    void follow(Tick tick);
    void schedule_edge();

    Wiring* wiring_ = nullptr;
    IrqLine irq_;
    std::array<PitChannel, 3> channels_;
    Tick followed_ = 0; // IRQ 0 is right up to this CLK pulse
    bool irq_level_ = false;
    u8 port_b_ = 0; // the bits of port 61h that read back as written
};

} // namespace forkscope
