#include "devices/uart/uart.hpp"

#include <algorithm>

namespace forkscope {

namespace {

constexpr u32 kTransmitted = 0; // events
constexpr u32 kTimeout = 1;
constexpr u32 kReceived = 2;

constexpr u64 kClock = 1843200; // Hz; 16 clocks a bit after the divisor

constexpr u8 kEnableReceived = 0x01;
constexpr u8 kEnableTransmitter = 0x02;
constexpr u8 kEnableLineStatus = 0x04;
constexpr u8 kEnableModem = 0x08;

constexpr u8 kCauseNone = 0x01;
constexpr u8 kCauseLineStatus = 0x06;
constexpr u8 kCauseReceived = 0x04;
constexpr u8 kCauseTimeout = 0x0C;
constexpr u8 kCauseTransmitter = 0x02;
constexpr u8 kCauseModem = 0x00;

constexpr u8 kDataReady = 0x01;
constexpr u8 kOverrun = 0x02;
constexpr u8 kFraming = 0x08;
constexpr u8 kBreak = 0x10;
constexpr u8 kErrors = 0x1E;
constexpr u8 kTransmitterHoldingEmpty = 0x20;
constexpr u8 kTransmitterEmpty = 0x40;
constexpr u8 kErrorInFifo = 0x80;

constexpr u8 kBreakControl = 0x40; // LCR
constexpr u8 kOut2 = 0x08;         // MCR; on a PC it lets the interrupt through to the bus
constexpr u8 kClearReceive = 0x02; // FCR
constexpr u8 kClearTransmit = 0x04;

constexpr u8 kTrailingEdgeRing = 0x04; // MSR
constexpr u8 kRing = 0x40;
constexpr u8 kConnected = 0xB0; // DCD, DSR, CTS: the other end is always connected

constexpr u64 kMostQueued = u64{1} << 26;

} // namespace

void Uart::Character::serialize(Archive& ar) {
    ar.field("data", data);
    ar.field("errors", errors);
}

void Uart::attach(Wiring& wiring) {
    wiring_ = &wiring;
    irq_ = wiring.irq(irq_number_);
    wiring.bus().map_ports(base_, 8, *this);
    reset();
}

void Uart::reset() {
    interrupt_enable_ = 0;
    fifo_control_ = 0;
    line_control_ = 0x03; // eight bits, as a firmware leaves it: guests print before they set anything
    modem_control_ = 0;
    modem_status_ = kConnected;
    scratch_ = 0;
    divisor_ = 12;
    overrun_ = timed_out_ = transmitter_empty_ = false;
    received_ = {};
    received_count_ = last_read_ = 0;
    to_send_ = {};
    to_send_count_ = shifting_ = 0;
    shifter_busy_ = receiver_busy_ = false;
    queue_.clear();
    irq_level_ = false;
    irq_.set(false);
    for (const u32 what : {kTransmitted, kTimeout, kReceived})
        wiring_->cancel(*this, what);
}

u32 Uart::io_read(u32 address, u32) {
    switch (address - base_) {
    case 0:
        return divisor_latch() ? divisor_ & 0xFFu : read_data();
    case 1:
        return divisor_latch() ? divisor_ >> 8 : interrupt_enable_;
    case 2:
        return read_interrupt_identification();
    case 3:
        return line_control_;
    case 4:
        return modem_control_;
    case 5:
        return read_line_status();
    case 6: {
        const u8 status = modem_status_;
        modem_status_ &= 0xF0; // the deltas report changes since the last read
        update_interrupt();
        return status;
    }
    default:
        return scratch_;
    }
}

void Uart::io_write(u32 address, u32, u32 value) {
    const u8 byte = static_cast<u8>(value);
    switch (address - base_) {
    case 0:
        if (divisor_latch())
            divisor_ = static_cast<u16>((divisor_ & 0xFF00) | byte);
        else
            write_data(byte);
        break;
    case 1:
        if (divisor_latch())
            divisor_ = static_cast<u16>((divisor_ & 0x00FF) | byte << 8);
        else
            write_interrupt_enable(byte);
        break;
    case 2:
        write_fifo_control(byte);
        break;
    case 3:
        write_line_control(byte);
        break;
    case 4:
        write_modem_control(byte);
        break;
    case 7:
        scratch_ = byte;
        break;
    default:
        break; // line and modem status are read only
    }
}

// Start, data, parity and stop bits at 16 clocks a bit; one and a half stop bits with five data bits.
Cycles Uart::character_time() const {
    const u32 data_bits = 5 + (line_control_ & 3);
    const u32 parity_bits = (line_control_ & 0x08) != 0 ? 1 : 0;
    const u32 stop_half_bits = (line_control_ & 0x04) == 0 ? 2 : data_bits == 5 ? 3 : 4;
    const u64 half_bits = 2 * (1 + data_bits + parity_bits) + stop_half_bits;
    const u64 clocks = half_bits * 8 * (divisor_ != 0 ? divisor_ : 0x10000u);
    return (clocks * wiring_->cycles_per_second() + kClock - 1) / kClock;
}

// --- receiving

void Uart::receive(u8 byte) {
    queue_.push_back(byte);
    fill_from_queue();
}

void Uart::fill_from_queue() {
    if (loopback()) // the cable is cut off; the host waits
        return;
    if (timing_ == SerialTiming::Timed) {
        if (!receiver_busy_ && !queue_.empty() && received_count_ < receive_capacity()) {
            receiver_busy_ = true;
            wiring_->schedule(*this, wiring_->now() + character_time(), kReceived);
        }
        return;
    }
    while (!queue_.empty() && received_count_ < receive_capacity()) {
        const u8 byte = queue_.front();
        queue_.pop_front();
        take_in({byte, 0});
    }
}

void Uart::take_in(Character character) {
    if (received_count_ >= receive_capacity()) {
        overrun_ = true;
        if (!fifos_on())
            received_[0] = character; // the holding register is overwritten, the FIFO is not
    } else {
        received_[received_count_++] = character;
    }
    if (!timed_out_)
        restart_timeout();
    update_interrupt();
}

// Four character times without a character coming or going, and what lies there is reported all the same.
void Uart::restart_timeout() {
    timed_out_ = false;
    if (fifos_on() && received_count_ != 0)
        wiring_->schedule(*this, wiring_->now() + 4 * character_time(), kTimeout);
    else
        wiring_->cancel(*this, kTimeout);
}

u8 Uart::read_data() {
    if (received_count_ == 0)
        return last_read_;
    last_read_ = received_[0].data;
    std::copy(received_.begin() + 1, received_.end(), received_.begin());
    received_.back() = {};
    --received_count_;
    restart_timeout();
    fill_from_queue();
    update_interrupt();
    return last_read_;
}

u8 Uart::receive_trigger() const {
    constexpr std::array<u8, 4> kLevels = {1, 4, 8, 14};
    return fifos_on() ? kLevels[fifo_control_ >> 6] : u8{1};
}

// --- sending

void Uart::write_data(u8 value) {
    transmitter_empty_ = false;
    if (timing_ == SerialTiming::Immediate) {
        transmit(value);
        transmitter_empty_ = true;
    } else {
        if (to_send_count_ >= (fifos_on() ? kFifoSize : 1))
            to_send_[to_send_count_ - 1u] = value; // the guest did not wait: the last byte is overwritten
        else
            to_send_[to_send_count_++] = value;
        if (!shifter_busy_)
            transmit_next();
    }
    update_interrupt();
}

// Timed: the next byte moves from the FIFO to the line.
void Uart::transmit_next() {
    shifter_busy_ = to_send_count_ != 0;
    if (!shifter_busy_)
        return;
    shifting_ = to_send_[0];
    std::copy(to_send_.begin() + 1, to_send_.end(), to_send_.begin());
    to_send_.back() = 0;
    if (--to_send_count_ == 0)
        transmitter_empty_ = true;
    wiring_->schedule(*this, wiring_->now() + character_time(), kTransmitted);
}

void Uart::transmit(u8 byte) {
    const u8 data_mask = static_cast<u8>(0xFF >> (3 - (line_control_ & 3)));
    if (loopback())
        take_in({static_cast<u8>(byte & data_mask), 0});
    else
        wiring_->output(name_, byte & data_mask);
}

void Uart::on_event(u32 what) {
    if (what == kTransmitted && shifter_busy_) {
        transmit(shifting_);
        transmit_next();
    } else if (what == kTimeout && received_count_ != 0) {
        timed_out_ = true;
    } else if (what == kReceived && receiver_busy_) {
        receiver_busy_ = false;
        if (!queue_.empty() && !loopback() && received_count_ < receive_capacity()) {
            const u8 byte = queue_.front();
            queue_.pop_front();
            take_in({byte, 0});
        }
        fill_from_queue();
    }
    update_interrupt();
}

// --- registers

u8 Uart::line_status() const {
    u8 status = received_count_ != 0 ? kDataReady | received_[0].errors : 0;
    if (overrun_)
        status |= kOverrun;
    if (to_send_count_ == 0)
        status |= kTransmitterHoldingEmpty;
    if (to_send_count_ == 0 && !shifter_busy_)
        status |= kTransmitterEmpty;
    const auto last = received_.begin() + received_count_;
    if (fifos_on() && std::any_of(received_.begin(), last, [](const Character& one) { return one.errors != 0; }))
        status |= kErrorInFifo;
    return status;
}

u8 Uart::read_line_status() {
    const u8 status = line_status();
    overrun_ = false;
    received_[0].errors = 0; // told once
    update_interrupt();
    return status;
}

u8 Uart::interrupt_cause() const {
    if ((interrupt_enable_ & kEnableLineStatus) != 0 && (line_status() & kErrors) != 0)
        return kCauseLineStatus;
    if ((interrupt_enable_ & kEnableReceived) != 0) {
        if (received_count_ >= receive_trigger())
            return kCauseReceived;
        if (timed_out_)
            return kCauseTimeout;
    }
    if ((interrupt_enable_ & kEnableTransmitter) != 0 && transmitter_empty_)
        return kCauseTransmitter;
    if ((interrupt_enable_ & kEnableModem) != 0 && (modem_status_ & 0x0F) != 0)
        return kCauseModem;
    return kCauseNone;
}

u8 Uart::read_interrupt_identification() {
    const u8 cause = interrupt_cause();
    if (cause == kCauseTransmitter)
        transmitter_empty_ = false; // reading it is the acknowledge
    update_interrupt();
    return cause | (fifos_on() ? 0xC0 : 0);
}

void Uart::write_interrupt_enable(u8 value) {
    const u8 risen = value & static_cast<u8>(~interrupt_enable_);
    interrupt_enable_ = value & 0x0F;
    // Enabling it while the holding register is empty asks for the first byte.
    if ((risen & kEnableTransmitter) != 0 && to_send_count_ == 0)
        transmitter_empty_ = true;
    update_interrupt();
}

void Uart::write_fifo_control(u8 value) {
    const bool switched = ((value ^ fifo_control_) & 0x01) != 0;
    fifo_control_ = (value & 0x01) != 0 ? value & 0xC9 : 0; // the other bits count only while bit 0 is written as 1
    const bool on = (value & 0x01) != 0;
    if (switched || (on && (value & kClearReceive) != 0)) {
        received_ = {};
        received_count_ = 0;
        restart_timeout();
    }
    if (switched || (on && (value & kClearTransmit) != 0)) {
        to_send_ = {};
        if (to_send_count_ != 0)
            transmitter_empty_ = true;
        to_send_count_ = 0;
    }
    fill_from_queue();
    update_interrupt();
}

void Uart::write_line_control(u8 value) {
    const u8 risen = value & static_cast<u8>(~line_control_);
    line_control_ = value;
    if ((risen & kBreakControl) != 0 && loopback())
        take_in({0, kBreak | kFraming});
    update_interrupt();
}

u8 Uart::modem_inputs() const {
    if (!loopback())
        return kConnected;
    // RTS -> CTS, DTR -> DSR, OUT1 -> RI, OUT2 -> DCD
    const u8 mcr = modem_control_;
    return static_cast<u8>((mcr & 0x02) << 3 | (mcr & 0x01) << 5 | (mcr & 0x04) << 4 | (mcr & 0x08) << 4);
}

void Uart::set_modem_inputs(u8 lines) {
    const u8 changed = static_cast<u8>((lines ^ modem_status_) & 0xF0);
    u8 deltas = changed >> 4 & 0x0B;
    if ((changed & kRing) != 0 && (lines & kRing) == 0)
        deltas |= kTrailingEdgeRing;
    modem_status_ = static_cast<u8>(lines | (modem_status_ & 0x0F) | deltas);
}

void Uart::write_modem_control(u8 value) {
    modem_control_ = value & 0x1F;
    set_modem_inputs(modem_inputs());
    fill_from_queue();
    update_interrupt();
}

void Uart::update_interrupt() {
    // In loopback the OUT2 pin is inactive whatever the register says.
    const bool gate = (modem_control_ & kOut2) != 0 && !loopback();
    const bool level = gate && interrupt_cause() != kCauseNone;
    if (level == irq_level_)
        return;
    irq_level_ = level;
    irq_.set(level);
}

void Uart::serialize(Archive& ar) {
    ar.field("interrupt_enable", interrupt_enable_);
    ar.field("fifo_control", fifo_control_);
    ar.field("line_control", line_control_);
    ar.field("modem_control", modem_control_);
    ar.field("modem_status", modem_status_);
    ar.field("scratch", scratch_);
    ar.field("divisor", divisor_);
    ar.field("overrun", overrun_);
    ar.field("timed_out", timed_out_);
    ar.field("transmitter_empty", transmitter_empty_);
    ar.field("irq_level", irq_level_);
    ar.field("received", received_);
    ar.field("received_count", received_count_);
    ar.field("last_read", last_read_);
    ar.field("to_send", to_send_);
    ar.field("to_send_count", to_send_count_);
    ar.field("shifting", shifting_);
    ar.field("shifter_busy", shifter_busy_);
    ar.field("receiver_busy", receiver_busy_);
    std::vector<u8> queue(queue_.begin(), queue_.end());
    ar.sequence("queue", queue, kMostQueued);
    if (!ar.loading())
        return;
    queue_.assign(queue.begin(), queue.end());
    if (received_count_ > kFifoSize || to_send_count_ > kFifoSize)
        ar.fail("the FIFOs of a 16550 hold sixteen bytes");
    received_count_ = std::min(received_count_, kFifoSize);
    to_send_count_ = std::min(to_send_count_, kFifoSize);
}

} // namespace forkscope
