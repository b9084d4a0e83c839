// Owns: a 16550A serial port (National PC16550D) with its FIFOs, modem lines and interrupt priorities.
// Callers: the Bus; the Machine hands over received bytes. Sent bytes leave through Wiring::output(name).
// Promises: no byte of a burst from the host is lost: what the FIFO cannot take waits in a queue that is state.
#pragma once

#include <array>
#include <deque>
#include <string>

#include "devices/device.hpp"

namespace forkscope {

// Immediate: a byte written is a byte sent, and THR is always empty, so that output costs no simulated time.
// Timed: each byte takes as long as the divisor and the line control say, in both directions.
enum class SerialTiming : u8 { Immediate, Timed };

class Uart : public Device {
  public:
    // COM1 is ("com1", 0x3F8, 4), COM2 is ("com2", 0x2F8, 3).
    Uart(std::string name, u16 base, u8 irq, SerialTiming timing = SerialTiming::Immediate)
        : name_(std::move(name)), base_(base), irq_number_(irq), timing_(timing) {}

    // A byte from the other end of the cable.
    void receive(u8 byte);

    std::string_view name() const override { return name_; }
    void attach(Wiring& wiring) override;
    void reset() override;
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void on_event(u32 what) override;
    void serialize(Archive& ar) override;

  private:
    // A received character with its error bits as in LSR.
    struct Character {
        u8 data = 0;
        u8 errors = 0;
        void serialize(Archive& ar);
    };
    static constexpr u8 kFifoSize = 16;

    bool fifos_on() const { return (fifo_control_ & 0x01) != 0; }
    bool loopback() const { return (modem_control_ & 0x10) != 0; }
    bool divisor_latch() const { return (line_control_ & 0x80) != 0; }
    u8 receive_capacity() const { return fifos_on() ? kFifoSize : u8{1}; }
    u8 receive_trigger() const;
    u8 interrupt_cause() const;
    u8 read_data();
    u8 read_interrupt_identification();
    u8 read_line_status();
    u8 line_status() const;
    void write_data(u8 value);
    void write_interrupt_enable(u8 value);
    void write_fifo_control(u8 value);
    void write_line_control(u8 value);
    void write_modem_control(u8 value);
    void transmit(u8 byte);
    void transmit_next();
    void take_in(Character character);
    void fill_from_queue();
    void restart_timeout();
    void set_modem_inputs(u8 lines);
    u8 modem_inputs() const;
    Cycles character_time() const;
    void update_interrupt();

    std::string name_;
    u16 base_;
    u8 irq_number_;
    SerialTiming timing_;
    Wiring* wiring_ = nullptr;
    IrqLine irq_;

    u8 interrupt_enable_ = 0;
    u8 fifo_control_ = 0;
    u8 line_control_ = 0;
    u8 modem_control_ = 0;
    u8 modem_status_ = 0;
    u8 scratch_ = 0;
    u16 divisor_ = 12; // 9600 baud
    bool overrun_ = false;
    bool timed_out_ = false;         // characters below the trigger level are not fetched
    bool transmitter_empty_ = false; // the THRE interrupt is pending
    bool irq_level_ = false;

    std::array<Character, kFifoSize> received_{}; // oldest first
    u8 received_count_ = 0;
    u8 last_read_ = 0;
    std::array<u8, kFifoSize> to_send_{}; // oldest first; used when timed
    u8 to_send_count_ = 0;
    u8 shifting_ = 0; // the byte on the line
    bool shifter_busy_ = false;
    bool receiver_busy_ = false; // timed: a byte of the queue is on its way
    std::deque<u8> queue_;       // from the host, not yet received
};

} // namespace forkscope
