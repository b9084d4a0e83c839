#include "devices/pit/pit_channel.hpp"

namespace forkscope {

namespace {

u32 from_bcd(u16 value) {
    return (value & 15) + (value >> 4 & 15) * 10u + (value >> 8 & 15) * 100u + (value >> 12) * 1000u;
}

u16 to_bcd(u32 value) {
    return static_cast<u16>(value % 10 | (value / 10 % 10) << 4 | (value / 100 % 10) << 8 | (value / 1000 % 10) << 12);
}

} // namespace

void PitChannel::reset() {
    const bool gate = gate_; // wired from outside
    *this = PitChannel{};
    gate_ = gate;
}

u32 PitChannel::programmed_count() const {
    const u32 count = bcd_ ? from_bcd(count_) : count_;
    return count != 0 ? count : bcd_ ? 10000u : 0x10000u;
}

// CLK pulses since the counting element was loaded.
u64 PitChannel::elapsed(Tick tick) const { return frozen_ ? frozen_elapsed_ : tick - origin_; }

void PitChannel::freeze(Tick tick) {
    if (frozen_)
        return;
    frozen_elapsed_ = tick - origin_;
    frozen_ = true;
}

void PitChannel::write_control(u8 value, Tick tick) {
    advance(tick);
    freeze(tick);
    access_ = value >> 4 & 3;
    programmed_mode_ = value >> 1 & 7;
    bcd_ = (value & 1) != 0;
    write_high_next_ = false;
    read_high_next_ = false;
    count_latched_ = false;
    status_latched_ = false;
    written_ = false;
    null_count_ = true;
    running_ = false;
    load_at_ = kNoTick;
}

void PitChannel::write_count(u8 value, Tick tick) {
    advance(tick);
    if (access_ == 3 && !write_high_next_) {
        low_byte_ = value;
        write_high_next_ = true;
        if (mode() == 0) {
            // OUT falls with the first byte, and the count stands still until the second has come.
            freeze(tick);
            running_ = false;
            load_at_ = kNoTick;
        }
        return;
    }
    if (access_ == 3)
        count_ = static_cast<u16>(value << 8 | low_byte_);
    else
        count_ = access_ == 2 ? static_cast<u16>(value << 8) : value;
    write_high_next_ = false;
    finish_count(tick);
}

// A whole count has been written: when does it reach the counting element?
void PitChannel::finish_count(Tick tick) {
    const bool first = !written_;
    written_ = true;
    null_count_ = true;
    if (mode() == 0)
        running_ = false;
    if (mode() == 0 || mode() == 4 || (periodic() && first)) {
        load_at_ = tick + 1;
        load_ = Load::Start;
    } else if (periodic() && running_ && load_at_ != tick + 1) {
        schedule_reload(tick);
    }
    // Modes 1 and 5 wait for the trigger, and so does a rate generator whose gate is low.
}

// A new count of a running rate generator or square wave takes effect when the present (half) cycle ends.
void PitChannel::schedule_reload(Tick tick) {
    const u64 position = (tick - origin_) % reload_;
    const Tick cycle = tick - position;
    const bool in_first_half = mode() == 3 && position < first_half();
    load_ = in_first_half ? Load::HalfEnd : Load::CycleEnd;
    load_at_ = cycle + (in_first_half ? first_half() : reload_);
}

void PitChannel::apply_load() {
    reload_ = programmed_count();
    const bool stop = !gate_ && gate_stops();
    frozen_ = stop;
    frozen_elapsed_ = 0;
    // The second half of a square wave starts as if the first half of the new count had just passed.
    origin_ = load_at_ - (load_ == Load::HalfEnd ? first_half() : 0);
    running_ = !(stop && periodic());
    null_count_ = false;
    load_at_ = kNoTick;
}

void PitChannel::advance(Tick tick) {
    if (load_at_ <= tick)
        apply_load();
}

void PitChannel::set_gate(bool level, Tick tick) {
    advance(tick);
    if (level == gate_)
        return;
    gate_ = level;
    if (!level && gate_stops()) {
        freeze(tick);
        if (periodic()) {
            running_ = false; // OUT goes high at once
            if (load_ != Load::Start)
                load_at_ = kNoTick; // the cycle whose end it waited for has stopped
        }
        return;
    }
    if (!level || !written_)
        return;
    if (triggered_by_gate()) {
        load_at_ = tick + 1;
        load_ = Load::Start;
    } else if (running_ && frozen_) {
        origin_ = tick - frozen_elapsed_;
        frozen_ = false;
    }
}

bool PitChannel::out(Tick tick) const {
    if (!running_)
        return mode() != 0;
    const u64 passed = elapsed(tick);
    switch (mode()) {
    case 0:
    case 1:
        return passed >= reload_;
    case 2:
        return reload_ == 1 || passed % reload_ != reload_ - 1;
    case 3:
        return reload_ == 1 || passed % reload_ < first_half();
    default:
        return passed != reload_; // 4 and 5: a strobe of one CLK
    }
}

Tick PitChannel::next_periodic_edge(Tick tick) const {
    if (reload_ == 1)
        return kNoTick; // forbidden by the data sheet; OUT stays high
    const u64 position = (tick - origin_) % reload_;
    const u32 falls = mode() == 2 ? reload_ - 1 : first_half();
    return tick - position + (position < falls ? falls : reload_);
}

Tick PitChannel::next_edge(Tick tick) const {
    Tick edge = kNoTick;
    if (running_ && !frozen_) {
        const u64 passed = tick - origin_;
        if (periodic())
            edge = next_periodic_edge(tick);
        else if (passed < reload_)
            edge = origin_ + reload_;
        else if (passed == reload_ && mode() >= 4)
            edge = origin_ + reload_ + 1;
    }
    return load_at_ < edge ? load_at_ : edge;
}

// What a read of the counting element shows.
u16 PitChannel::counting_element(Tick tick) const {
    const u64 passed = elapsed(tick);
    u64 value = 0;
    if (mode() == 3) {
        const u64 position = passed % reload_;
        value = (reload_ & ~1u) - 2 * (position < first_half() ? position : position - first_half());
    } else if (mode() == 2) {
        value = reload_ - passed % reload_;
    } else {
        const u64 wrap = bcd_ ? 10000 : 0x10000; // past zero it continues from the highest count
        value = (reload_ + wrap - passed % wrap) % wrap;
    }
    return bcd_ ? to_bcd(static_cast<u32>(value)) : static_cast<u16>(value);
}

void PitChannel::latch_count(Tick tick) {
    advance(tick);
    if (count_latched_)
        return;
    latched_count_ = counting_element(tick);
    count_latched_ = true;
}

void PitChannel::latch_status(Tick tick) {
    advance(tick);
    if (status_latched_)
        return;
    latched_status_ = static_cast<u8>((out(tick) ? 0x80 : 0) | (null_count_ ? 0x40 : 0) | access_ << 4 |
                                      programmed_mode_ << 1 | (bcd_ ? 1 : 0));
    status_latched_ = true;
}

u8 PitChannel::take_byte(u16 count) {
    if (access_ == 3) {
        const bool high = read_high_next_;
        read_high_next_ = !high;
        if (high)
            count_latched_ = false;
        return static_cast<u8>(high ? count >> 8 : count);
    }
    count_latched_ = false;
    return static_cast<u8>(access_ == 2 ? count >> 8 : count);
}

u8 PitChannel::read(Tick tick) {
    advance(tick);
    if (status_latched_) {
        status_latched_ = false;
        return latched_status_;
    }
    return take_byte(count_latched_ ? latched_count_ : counting_element(tick));
}

void PitChannel::serialize(Archive& ar) {
    ar.field("mode", programmed_mode_);
    ar.field("access", access_);
    ar.field("bcd", bcd_);
    ar.field("gate", gate_);
    ar.field("count", count_);
    ar.field("low_byte", low_byte_);
    ar.field("write_high_next", write_high_next_);
    ar.field("read_high_next", read_high_next_);
    ar.field("written", written_);
    ar.field("null_count", null_count_);
    ar.field("count_latched", count_latched_);
    ar.field("status_latched", status_latched_);
    ar.field("latched_count", latched_count_);
    ar.field("latched_status", latched_status_);
    ar.field("running", running_);
    ar.field("frozen", frozen_);
    ar.field("reload", reload_);
    ar.field("origin", origin_);
    ar.field("frozen_elapsed", frozen_elapsed_);
    ar.field("load_at", load_at_);
    ar.field("load", load_);
    if (ar.loading() &&
        (programmed_mode_ > 7 || access_ > 3 || reload_ == 0 || reload_ > 0x10000 || load_ > Load::HalfEnd))
        ar.fail("an 8254 counter cannot be in this state");
}

} // namespace forkscope
