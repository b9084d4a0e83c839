#include "devices/keyboard/keyboard_controller.hpp"

#include "devices/keyboard/scan_codes.hpp"

namespace forkscope {

namespace {

constexpr u16 kDataPort = 0x60;
constexpr u16 kCommandPort = 0x64;
constexpr u8 kIrq = 1;
constexpr u32 kTransfer = 0; // event: a byte from the keyboard has arrived

// Eleven bits at 16.7 kHz, the fastest clock of a PS/2 keyboard.
constexpr u64 kByteMicroseconds = 660;

constexpr u8 kOutputFull = 0x01; // status
constexpr u8 kSystemFlag = 0x04;
constexpr u8 kCommandLast = 0x08;
constexpr u8 kUnlocked = 0x10;
constexpr u8 kTimeout = 0x40;

constexpr u8 kInterrupt = 0x01; // command byte
constexpr u8 kDisableKeyboard = 0x10;
constexpr u8 kDisableAuxiliary = 0x20;
constexpr u8 kTranslate = 0x40;
// As a PC's firmware leaves it: translation and interrupt on, the auxiliary port off.
constexpr u8 kPowerOnCommandByte = kTranslate | kDisableAuxiliary | kSystemFlag | kInterrupt;

constexpr u8 kResetLine = 0x01; // output port; reset is active low
constexpr u8 kA20 = 0x02;
constexpr u8 kOutputFullLine = 0x10;
constexpr u8 kInputPort = 0xB0; // lock open, colour display, no jumper, second 256 KB on

constexpr u8 kRelease = 0xF0;
constexpr u8 kResend = 0xFE;

} // namespace

void KeyboardController::attach(Wiring& wiring) {
    wiring_ = &wiring;
    irq_ = wiring.irq(kIrq);
    wiring.bus().map_ports(kDataPort, 1, *this);
    wiring.bus().map_ports(kCommandPort, 1, *this);
    reset();
}

void KeyboardController::reset() {
    keyboard_.reset();
    memory_ = {};
    memory_[0] = kPowerOnCommandByte;
    output_ = 0;
    output_full_ = last_was_command_ = timeout_ = release_seen_ = transfer_pending_ = false;
    expecting_ = 0;
    output_port_ = 0xCF;
    irq_level_ = false;
    irq_.set(false);
    wiring_->cancel(*this, kTransfer);
}

u32 KeyboardController::io_read(u32 address, u32) { return address == kDataPort ? read_data() : status(); }

void KeyboardController::io_write(u32 address, u32, u32 value) {
    const u8 byte = static_cast<u8>(value);
    last_was_command_ = address == kCommandPort;
    if (address == kCommandPort)
        write_command(byte);
    else
        write_data(byte);
    update_interrupt();
    pump();
}

u8 KeyboardController::status() const {
    return static_cast<u8>((output_full_ ? kOutputFull : 0) | (command_byte() & kSystemFlag) |
                           (last_was_command_ ? kCommandLast : 0) | kUnlocked | (timeout_ ? kTimeout : 0));
}

u8 KeyboardController::output_port() const {
    const u8 fixed = output_port_ & static_cast<u8>(~(kA20 | kOutputFullLine)) & 0xFF;
    return static_cast<u8>(fixed | kResetLine | (wiring_->a20() ? kA20 : 0) | (output_full_ ? kOutputFullLine : 0));
}

u8 KeyboardController::read_data() {
    output_full_ = false;
    timeout_ = false;
    update_interrupt();
    pump();
    return output_; // an empty buffer still shows its last byte
}

void KeyboardController::write_data(u8 value) {
    const u8 command = expecting_;
    expecting_ = 0;
    if (command != 0)
        return write_argument(command, value);
    // A byte for the keyboard also lets its clock go.
    memory_[0] &= static_cast<u8>(~kDisableKeyboard);
    keyboard_.write(value);
}

void KeyboardController::write_command(u8 command) {
    expecting_ = 0;
    if (command >= 0x20 && command <= 0x3F)
        return put(memory_[command & 0x1F]);
    if ((command >= 0x60 && command <= 0x7F) || (command >= 0xD1 && command <= 0xD4)) {
        expecting_ = command;
        return;
    }
    if (command >= 0xF0) { // pulse the output lines whose bit is clear; only reset is wired
        if ((command & kResetLine) == 0)
            wiring_->request_reset();
        return;
    }
    switch (command) {
    case 0xA4: // is a password set? no
        return put(0xF1);
    case 0xA9: // auxiliary interface test: its clock line is stuck low, as nothing is there
        return put(0x01);
    case 0xAA: // self test
        memory_[0] |= kSystemFlag;
        return put(0x55);
    case 0xAB: // keyboard interface test
        return put(0x00);
    case 0xAD:
        memory_[0] |= kDisableKeyboard;
        return;
    case 0xAE:
        memory_[0] &= static_cast<u8>(~kDisableKeyboard);
        return;
    case 0xC0:
        return put(kInputPort);
    case 0xD0:
        return put(output_port());
    case 0xDD:
    case 0xDF:
        return wiring_->set_a20(command == 0xDF);
    case 0xE0: // test inputs: the keyboard's clock and data lines idle high
        return put(0x03);
    default:
        return; // A7 and A8 switch a port that does not exist; the rest is undefined
    }
}

void KeyboardController::write_argument(u8 command, u8 value) {
    switch (command) {
    case 0xD1:
        return write_output_port(value);
    case 0xD2: // as if it came from the keyboard
    case 0xD3: // from the auxiliary port: without one it arrives like the former
        return put(value);
    case 0xD4: // to the auxiliary port: no device answers
        put(kResend);
        timeout_ = true;
        return;
    case 0x60:
        memory_[0] = value | kDisableAuxiliary;
        return;
    default:
        memory_[command & 0x1F] = value;
        return;
    }
}

void KeyboardController::write_output_port(u8 value) {
    output_port_ = value;
    wiring_->set_a20((value & kA20) != 0);
    if ((value & kResetLine) == 0)
        wiring_->request_reset();
}

// On an AT every byte in the output buffer raises IRQ 1, the controller's own answers too.
void KeyboardController::put(u8 value) {
    output_ = value;
    output_full_ = true;
    timeout_ = false;
    update_interrupt();
}

void KeyboardController::key(u64 scancode_bytes, u8 size) {
    keyboard_.key(scancode_bytes, size);
    pump();
}

// Starts the next byte on its way if the controller would take it.
void KeyboardController::pump() {
    const bool ready = !output_full_ && (command_byte() & kDisableKeyboard) == 0 && keyboard_.has_byte();
    if (!ready || transfer_pending_)
        return;
    transfer_pending_ = true;
    const u64 delay = wiring_->cycles_per_second() * kByteMicroseconds / 1000000;
    wiring_->schedule(*this, wiring_->now() + delay + 1, kTransfer);
}

void KeyboardController::on_event(u32) {
    transfer_pending_ = false;
    if (output_full_ || (command_byte() & kDisableKeyboard) != 0 || !keyboard_.has_byte())
        return pump(); // held up meanwhile: the keyboard sends it again later
    const u8 byte = keyboard_.next_byte();
    if ((command_byte() & kTranslate) == 0) {
        put(byte);
    } else if (byte == kRelease) {
        release_seen_ = true;
    } else {
        put(translate_to_set1(byte) | (release_seen_ ? 0x80 : 0));
        release_seen_ = false;
    }
    pump();
}

void KeyboardController::update_interrupt() {
    const bool level = output_full_ && (command_byte() & kInterrupt) != 0;
    if (level == irq_level_)
        return;
    irq_level_ = level;
    irq_.set(level);
}

void KeyboardController::serialize(Archive& ar) {
    ar.nested("keyboard", keyboard_);
    ar.field("memory", memory_);
    ar.field("output", output_);
    ar.field("output_full", output_full_);
    ar.field("last_was_command", last_was_command_);
    ar.field("timeout", timeout_);
    ar.field("release_seen", release_seen_);
    ar.field("transfer_pending", transfer_pending_);
    ar.field("expecting", expecting_);
    ar.field("output_port", output_port_);
    ar.field("irq_level", irq_level_);
}

} // namespace forkscope
