// Owns: the MC146818 real time clock and its CMOS memory (ports 70h and 71h), the NMI mask bit.
// Callers: the Bus; the Machine gives the start time and the memory size as configuration.
// Promises: second k ends exactly k * cycles_per_second after the divider was started; host time is never read.
#pragma once

#include <array>

#include "devices/device.hpp"

namespace forkscope {

struct CmosConfiguration {
    i64 start_unix_time = 0; // seconds since 1970, UTC, at power-on
    u64 ram_bytes = 0;
    u8 equipment = 0x0E; // display, keyboard, coprocessor; no diskette
};

class Cmos : public Device {
  public:
    explicit Cmos(const CmosConfiguration& configuration);

    bool nmi_masked() const { return nmi_masked_; }

    std::string_view name() const override { return "cmos"; }
    void attach(Wiring& wiring) override;
    void reset() override; // the RESET pin: the battery keeps time and memory
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void on_event(u32 what) override;
    void serialize(Archive& ar) override;

  private:
    struct Calendar {
        u32 second, minute, hour, weekday, day, month, year; // hour 0..23, weekday 1 = Sunday, year 0..99
    };

    void set_calendar(i64 unix_time);
    void set_memory_size(u64 bytes);
    void set_checksum();
    u8 read_register();
    u8 read_flags();
    void write_register(u8 value);
    void write_divider(u8 value);

    Calendar calendar() const;
    void store(const Calendar& calendar);
    u8 encode(u32 value) const;
    u32 decode(u8 value) const;
    u8 encode_hour(u32 hour) const;
    u32 decode_hour(u8 value) const;
    void tick_second();
    static u32 days_in_month(u32 month, u32 year);
    bool alarm_matches() const;

    bool divider_runs() const;
    bool update_in_progress() const;
    Cycles next_second() const;
    u64 periodic_ticks() const;
    u64 periodic_count() const;
    void settle_periodic();
    void schedule_second();
    void schedule_periodic();
    void update_interrupt();

    Wiring* wiring_ = nullptr;
    IrqLine irq_;
    std::array<u8, 128> memory_{}; // registers 0..D and RAM, as the guest sees them
    u8 index_ = 0;
    bool nmi_masked_ = false;
    Cycles divider_start_ = 0; // seconds are counted from here
    u64 periodic_seen_ = 0;    // periods since divider_start_ that the periodic flag has told of
    bool irq_level_ = false;
};

} // namespace forkscope
