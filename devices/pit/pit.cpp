#include "devices/pit/pit.hpp"

namespace forkscope {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr u16 kFirstPort = 0x40;
constexpr u16 kControlPort = 0x43;
constexpr u16 kPortB = 0x61;
constexpr u32 kEdge = 0; // the only event: OUT of channel 0 may change
constexpr u8 kGate2 = 0x01;
constexpr u8 kSpeakerData = 0x02;
constexpr u8 kPortBWritable = 0x0F;
// Memory is refreshed every 15.085 µs, independent of channel 1: chip sets since PCI do it themselves.
constexpr Tick kRefreshTicks = 18;

} // namespace

Tick Pit::tick_of(Cycles cycle) const {
    return static_cast<Tick>(static_cast<Wide>(cycle) * kFrequency / wiring_->cycles_per_second());
}

Cycles Pit::cycle_of(Tick tick) const {
    const Wide numerator = static_cast<Wide>(tick) * wiring_->cycles_per_second() + (kFrequency - 1);
    return static_cast<Cycles>(numerator / kFrequency);
}

void Pit::attach(Wiring& wiring) {
    wiring_ = &wiring;
    irq_ = wiring.irq(0);
    wiring.bus().map_ports(kFirstPort, 4, *this);
    wiring.bus().map_ports(kPortB, 1, *this);
    reset();
}

void Pit::reset() {
    for (PitChannel& channel : channels_)
        channel.reset();
    port_b_ = 0;
    followed_ = tick_of(wiring_->now());
    channels_[2].set_gate(false, followed_);
    irq_level_ = false;
    irq_.set(false);
    wiring_->cancel(*this, kEdge);
}

u32 Pit::io_read(u32 address, u32) {
    const Tick tick = tick_of(wiring_->now());
    follow(tick);
    if (address == kPortB)
        return read_port_b(tick);
    if (address == kControlPort)
        return 0xFF; // write only
    return channels_[address - kFirstPort].read(tick);
}

void Pit::io_write(u32 address, u32, u32 value) {
    const Tick tick = tick_of(wiring_->now());
    const u8 byte = static_cast<u8>(value);
    follow(tick);
    if (address == kPortB)
        write_port_b(byte, tick);
    else if (address == kControlPort)
        write_control(byte, tick);
    else
        channels_[address - kFirstPort].write_count(byte, tick);
    follow(tick);
    schedule_edge();
}

void Pit::write_control(u8 value, Tick tick) {
    const u8 select = value >> 6;
    if (select != 3) {
        if ((value & 0x30) == 0)
            channels_[select].latch_count(tick);
        else
            channels_[select].write_control(value & 0x3F, tick);
        return;
    }
    for (u32 i = 0; i < 3; ++i) { // read-back; its latch bits are active low
        if ((value >> (i + 1) & 1) == 0)
            continue;
        if ((value & 0x20) == 0)
            channels_[i].latch_count(tick);
        if ((value & 0x10) == 0)
            channels_[i].latch_status(tick);
    }
}

void Pit::write_port_b(u8 value, Tick tick) {
    port_b_ = value & kPortBWritable;
    channels_[2].set_gate((value & kGate2) != 0, tick);
}

u8 Pit::read_port_b(Tick tick) {
    channels_[2].advance(tick);
    const u8 refresh = (tick / kRefreshTicks & 1) != 0 ? 0x10 : 0;
    const u8 output = channels_[2].out(tick) ? 0x20 : 0;
    return port_b_ | refresh | output;
}

bool Pit::speaker() const {
    PitChannel channel = channels_[2];
    const Tick tick = tick_of(wiring_->now());
    channel.advance(tick);
    return (port_b_ & kSpeakerData) != 0 && channel.out(tick);
}

void Pit::on_event(u32) {
    follow(tick_of(wiring_->now()));
    schedule_edge();
}

// Drives IRQ 0 through every edge up to `tick`, so that an event served late loses nothing.
void Pit::follow(Tick tick) {
    PitChannel& channel = channels_[0];
    // Events are on time; only a damaged snapshot lags so far, or is in the future.
    if (followed_ > tick || tick - followed_ > kFrequency)
        followed_ = tick;
    for (;;) {
        channel.advance(followed_);
        const bool level = channel.out(followed_);
        if (level != irq_level_) {
            irq_level_ = level;
            irq_.set(level);
        }
        const Tick edge = channel.next_edge(followed_);
        if (edge > tick)
            break;
        followed_ = edge;
    }
    followed_ = tick;
}

void Pit::schedule_edge() {
    const Tick edge = channels_[0].next_edge(followed_);
    if (edge == kNoTick)
        wiring_->cancel(*this, kEdge);
    else
        wiring_->schedule(*this, cycle_of(edge), kEdge);
}

void Pit::serialize(Archive& ar) {
    ar.field("channels", channels_);
    ar.field("followed", followed_);
    ar.field("irq_level", irq_level_);
    ar.field("port_b", port_b_);
}

} // namespace forkscope
