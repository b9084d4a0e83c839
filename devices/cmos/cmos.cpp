#include "devices/cmos/cmos.hpp"

#include <algorithm>

namespace forkscope {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr u16 kIndexPort = 0x70;
constexpr u8 kIrq = 8;
constexpr u32 kSecond = 0; // events
constexpr u32 kPeriodic = 1;
constexpr u64 kCrystal = 32768; // Hz

enum Register : u8 {
    kSeconds = 0x00,
    kSecondsAlarm = 0x01,
    kMinutes = 0x02,
    kMinutesAlarm = 0x03,
    kHours = 0x04,
    kHoursAlarm = 0x05,
    kWeekday = 0x06,
    kDay = 0x07,
    kMonth = 0x08,
    kYear = 0x09,
    kA = 0x0A,
    kB = 0x0B,
    kC = 0x0C,
    kD = 0x0D,
    kEquipment = 0x14,
    kBaseMemory = 0x15,
    kExtendedMemory = 0x17,
    kChecksum = 0x2E,
    kExtendedMemoryFound = 0x30,
    kCentury = 0x32,
    kMemoryAbove16M = 0x34,
};

constexpr u8 kUpdateInProgress = 0x80; // A
constexpr u8 kSet = 0x80;              // B; bits 4..6 enable the interrupts of bits 4..6 of C
constexpr u8 kBinary = 0x04;
constexpr u8 k24Hours = 0x02;
constexpr u8 kInterruptEnables = 0x70;
constexpr u8 kSquareWave = 0x08;
constexpr u8 kInterruptRequest = 0x80; // C
constexpr u8 kPeriodicFlag = 0x40;
constexpr u8 kAlarmFlag = 0x20;
constexpr u8 kUpdateFlag = 0x10;
constexpr u8 kValid = 0x80; // D
constexpr u8 kPm = 0x80;    // hours
constexpr u8 kDontCare = 0xC0;

// UIP rises 244 µs before an update, which takes 1984 µs with a 32768 Hz crystal.
constexpr u64 kUpdateMicroseconds = 244 + 1984;

u8 to_bcd(u32 value) { return static_cast<u8>(value % 10 | (value / 10 % 10) << 4); }

} // namespace

Cmos::Cmos(const CmosConfiguration& configuration) {
    memory_[kA] = 0x26; // 32768 Hz crystal, 1024 Hz periodic rate
    memory_[kB] = k24Hours;
    memory_[kD] = kValid;
    set_calendar(configuration.start_unix_time);
    set_memory_size(configuration.ram_bytes);
    memory_[kEquipment] = configuration.equipment;
    set_checksum();
}

// Days to a civil date: years are counted from March, so that the leap day comes last.
void Cmos::set_calendar(i64 unix_time) {
    i64 days = unix_time / 86400;
    i64 rest = unix_time % 86400;
    if (rest < 0) {
        rest += 86400;
        --days;
    }
    const i64 shifted = days + 719468; // days since 1 March of the year 0
    const i64 era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    const u32 day_of_era = static_cast<u32>(shifted - era * 146097);
    const u32 year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const u32 day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const u32 month_from_march = (5 * day_of_year + 2) / 153;
    const u32 month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    const i64 year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);

    Calendar now{};
    now.second = static_cast<u32>(rest % 60);
    now.minute = static_cast<u32>(rest / 60 % 60);
    now.hour = static_cast<u32>(rest / 3600);
    now.weekday = static_cast<u32>(((days + 4) % 7 + 7) % 7 + 1); // 1 January 1970 was a Thursday
    now.day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    now.month = month;
    now.year = static_cast<u32>((year % 100 + 100) % 100);
    store(now);
    memory_[kCentury] = to_bcd(static_cast<u32>((year / 100 % 100 + 100) % 100));
}

void Cmos::set_memory_size(u64 bytes) {
    const auto put = [this](u8 at, u64 value) {
        memory_[at] = static_cast<u8>(value);
        memory_[at + 1u] = static_cast<u8>(value >> 8);
    };
    constexpr u64 kMegabyte = 1 << 20;
    const u64 extended = bytes > kMegabyte ? (bytes - kMegabyte) / 1024 : 0;
    const u64 above_16m = bytes > 16 * kMegabyte ? (bytes - 16 * kMegabyte) / 65536 : 0;
    put(kBaseMemory, 640);
    put(kExtendedMemory, std::min<u64>(extended, 0xFFFF));
    put(kExtendedMemoryFound, std::min<u64>(extended, 0xFFFF));
    put(kMemoryAbove16M, std::min<u64>(above_16m, 0xFFFF));
}

// The firmware's checksum over 10h..2Dh, high byte first.
void Cmos::set_checksum() {
    u32 sum = 0;
    for (u8 i = 0x10; i <= 0x2D; ++i)
        sum += memory_[i];
    memory_[kChecksum] = static_cast<u8>(sum >> 8);
    memory_[kChecksum + 1] = static_cast<u8>(sum);
}

void Cmos::attach(Wiring& wiring) {
    wiring_ = &wiring;
    irq_ = wiring.irq(kIrq);
    wiring.bus().map_ports(kIndexPort, 2, *this);
    divider_start_ = wiring.now();
    reset();
}

void Cmos::reset() {
    memory_[kB] &= static_cast<u8>(~(kInterruptEnables | kSquareWave));
    memory_[kC] = 0;
    index_ = 0;
    nmi_masked_ = false;
    irq_level_ = false;
    irq_.set(false);
    periodic_seen_ = periodic_count();
    schedule_second();
    schedule_periodic();
}

u32 Cmos::io_read(u32 address, u32) { return address == kIndexPort ? 0xFFu : read_register(); }

void Cmos::io_write(u32 address, u32, u32 value) {
    if (address == kIndexPort) {
        index_ = value & 0x7F;
        nmi_masked_ = (value & 0x80) != 0;
    } else {
        write_register(static_cast<u8>(value));
    }
}

u8 Cmos::read_register() {
    switch (index_) {
    case kA:
        return static_cast<u8>(memory_[kA] | (update_in_progress() ? kUpdateInProgress : 0));
    case kC:
        return read_flags();
    default:
        return memory_[index_];
    }
}

// Reading the flags clears them and lets the interrupt line go.
u8 Cmos::read_flags() {
    settle_periodic();
    const u8 set = memory_[kC] & static_cast<u8>(~kInterruptRequest);
    const u8 flags = static_cast<u8>(set | ((set & memory_[kB] & kInterruptEnables) != 0 ? kInterruptRequest : 0));
    memory_[kC] = 0;
    update_interrupt();
    schedule_periodic();
    return flags;
}

void Cmos::write_register(u8 value) {
    switch (index_) {
    case kA:
        write_divider(value & static_cast<u8>(~kUpdateInProgress));
        break;
    case kB:
        settle_periodic();
        // SET ends an update that is under way and forbids the update interrupt.
        memory_[kB] = (value & kSet) != 0 ? value & static_cast<u8>(~kUpdateFlag) : value;
        update_interrupt();
        schedule_periodic();
        break;
    case kC:
    case kD:
        break; // read only
    default:
        memory_[index_] = value;
        break;
    }
}

void Cmos::write_divider(u8 value) {
    const bool ran = divider_runs();
    settle_periodic();
    memory_[kA] = value;
    // Released from reset, the divider ends its first second half a second later.
    if (!ran && divider_runs())
        divider_start_ = wiring_->now() - wiring_->cycles_per_second() / 2;
    periodic_seen_ = periodic_count();
    schedule_second();
    schedule_periodic();
}

// --- the calendar

u8 Cmos::encode(u32 value) const { return (memory_[kB] & kBinary) != 0 ? static_cast<u8>(value) : to_bcd(value); }

u32 Cmos::decode(u8 value) const {
    return (memory_[kB] & kBinary) != 0 ? value : static_cast<u32>((value >> 4) * 10 + (value & 15));
}

u8 Cmos::encode_hour(u32 hour) const {
    if ((memory_[kB] & k24Hours) != 0)
        return encode(hour);
    const u32 twelve = hour % 12 == 0 ? 12 : hour % 12;
    return static_cast<u8>(encode(twelve) | (hour >= 12 ? kPm : 0));
}

u32 Cmos::decode_hour(u8 value) const {
    if ((memory_[kB] & k24Hours) != 0)
        return decode(value);
    return decode(value & 0x7F) % 12 + ((value & kPm) != 0 ? 12 : 0);
}

Cmos::Calendar Cmos::calendar() const {
    return {decode(memory_[kSeconds]), decode(memory_[kMinutes]), decode_hour(memory_[kHours]),
            decode(memory_[kWeekday]), decode(memory_[kDay]),     decode(memory_[kMonth]),
            decode(memory_[kYear])};
}

void Cmos::store(const Calendar& now) {
    memory_[kSeconds] = encode(now.second);
    memory_[kMinutes] = encode(now.minute);
    memory_[kHours] = encode_hour(now.hour);
    memory_[kWeekday] = encode(now.weekday);
    memory_[kDay] = encode(now.day);
    memory_[kMonth] = encode(now.month);
    memory_[kYear] = encode(now.year);
}

// The chip knows two digits of the year: every fourth is a leap year.
u32 Cmos::days_in_month(u32 month, u32 year) {
    if (month == 2)
        return year % 4 == 0 ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

void Cmos::tick_second() {
    Calendar now = calendar();
    const auto carry = [](u32& value, u32 last, u32 first) {
        const bool over = value >= last;
        value = over ? first : value + 1;
        return over;
    };
    if (carry(now.second, 59, 0) && carry(now.minute, 59, 0) && carry(now.hour, 23, 0)) {
        carry(now.weekday, 7, 1);
        if (carry(now.day, days_in_month(now.month, now.year), 1) && carry(now.month, 12, 1) &&
            carry(now.year, 99, 0)) {
            const u8 century = memory_[kCentury];
            memory_[kCentury] = to_bcd(static_cast<u32>((century >> 4) * 10 + (century & 15) + 1) % 100);
        }
    }
    store(now);
}

bool Cmos::alarm_matches() const {
    const auto matches = [this](u8 alarm, u8 time) {
        return (memory_[alarm] & kDontCare) == kDontCare || memory_[alarm] == memory_[time];
    };
    return matches(kSecondsAlarm, kSeconds) && matches(kMinutesAlarm, kMinutes) && matches(kHoursAlarm, kHours);
}

// --- time

bool Cmos::divider_runs() const { return (memory_[kA] & 0x70) == 0x20; } // the rate of a 32768 Hz crystal

Cycles Cmos::next_second() const {
    const u64 rate = wiring_->cycles_per_second();
    return divider_start_ + ((wiring_->now() - divider_start_) / rate + 1) * rate;
}

bool Cmos::update_in_progress() const {
    if (!divider_runs() || (memory_[kB] & kSet) != 0)
        return false;
    const Cycles left = next_second() - wiring_->now();
    return static_cast<Wide>(left) * 1000000 <= static_cast<Wide>(wiring_->cycles_per_second()) * kUpdateMicroseconds;
}

// Crystal periods between two periodic flags; 0 = none. Rates 1 and 2 repeat 8 and 9.
u64 Cmos::periodic_ticks() const {
    const u32 rate = memory_[kA] & 15;
    if (rate == 0 || !divider_runs())
        return 0;
    return u64{1} << (rate <= 2 ? rate + 6 : rate - 1);
}

u64 Cmos::periodic_count() const {
    const u64 ticks = periodic_ticks();
    if (ticks == 0)
        return 0;
    const Wide passed = static_cast<Wide>(wiring_->now() - divider_start_) * kCrystal;
    return static_cast<u64>(passed / wiring_->cycles_per_second() / ticks);
}

// The periodic flag is set at the programmed rate, whether it may interrupt or not.
void Cmos::settle_periodic() {
    const u64 periods = periodic_count();
    if (periods != periodic_seen_)
        memory_[kC] |= kPeriodicFlag;
    periodic_seen_ = periods;
}

void Cmos::schedule_second() {
    if (divider_runs())
        wiring_->schedule(*this, next_second(), kSecond);
    else
        wiring_->cancel(*this, kSecond);
}

// Only an interrupt that could be raised needs an event; the flag itself is worked out when it is read.
void Cmos::schedule_periodic() {
    const u64 ticks = periodic_ticks();
    if (ticks == 0 || (memory_[kB] & kPeriodicFlag) == 0 || (memory_[kC] & kPeriodicFlag) != 0)
        return wiring_->cancel(*this, kPeriodic);
    const Wide clock = static_cast<Wide>(periodic_seen_ + 1) * ticks * wiring_->cycles_per_second();
    const Cycles when = divider_start_ + static_cast<Cycles>((clock + kCrystal - 1) / kCrystal);
    wiring_->schedule(*this, std::max(when, wiring_->now()), kPeriodic);
}

void Cmos::on_event(u32 what) {
    if (what == kPeriodic) {
        settle_periodic();
    } else {
        if ((memory_[kB] & kSet) == 0) {
            tick_second();
            memory_[kC] |= kUpdateFlag;
            if (alarm_matches())
                memory_[kC] |= kAlarmFlag;
        }
        schedule_second();
    }
    update_interrupt();
}

void Cmos::update_interrupt() {
    const bool level = (memory_[kC] & memory_[kB] & kInterruptEnables) != 0;
    if (level == irq_level_)
        return;
    irq_level_ = level;
    irq_.set(level);
}

void Cmos::serialize(Archive& ar) {
    ar.field("memory", memory_);
    ar.field("index", index_);
    ar.field("nmi_masked", nmi_masked_);
    ar.field("divider_start", divider_start_);
    ar.field("periodic_seen", periodic_seen_);
    ar.field("irq_level", irq_level_);
    if (ar.loading())
        index_ &= 0x7F;
}

} // namespace forkscope
