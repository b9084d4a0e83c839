#include "devices/keyboard/ps2_keyboard.hpp"

#include "devices/keyboard/scan_codes.hpp"

namespace forkscope {

namespace {

constexpr u8 kAcknowledge = 0xFA;
constexpr u8 kResend = 0xFE;
constexpr u8 kSelfTestPassed = 0xAA;
constexpr u8 kRelease = 0xF0;
constexpr u64 kMostQueued = u64{1} << 26;

// Set 3 keys that are make and break after a reset: Ctrl, both Shifts, left Alt and Caps Lock.
constexpr u8 kDefaultBreaks[] = {0x11, 0x12, 0x59, 0x19, 0x14};

bool takes_argument(u8 command) {
    return command == 0xED || command == 0xF0 || command == 0xF3 || (command >= 0xFB && command <= 0xFD);
}

void serialize_queue(Archive& ar, std::string_view name, std::deque<u8>& queue) {
    std::vector<u8> bytes(queue.begin(), queue.end());
    ar.sequence(name, bytes, kMostQueued);
    if (ar.loading())
        queue.assign(bytes.begin(), bytes.end());
}

} // namespace

void Ps2Keyboard::reset() {
    answers_.clear();
    keys_.clear();
    expecting_ = 0;
    last_sent_ = 0;
    leds_ = 0;
    defaults();
}

void Ps2Keyboard::defaults() {
    typematic_ = 0x2B;
    scan_set_ = 2;
    scanning_ = true;
    set_all_breaks(false);
    for (const u8 code : kDefaultBreaks)
        set_break(code, true);
}

void Ps2Keyboard::set_break(u8 code, bool enabled) {
    u8& byte = breaks_[code / 8];
    const u8 mask = static_cast<u8>(1u << (code % 8));
    byte = static_cast<u8>(enabled ? byte | mask : byte & ~mask);
}

void Ps2Keyboard::write(u8 value) {
    const u8 waiting = expecting_;
    expecting_ = 0;
    // A command where an argument is due is a command.
    if (waiting != 0 && (value < 0xED || (waiting >= 0xFB && waiting <= 0xFD)))
        argument(waiting, value);
    else
        command(value);
}

void Ps2Keyboard::argument(u8 waiting, u8 value) {
    switch (waiting) {
    case 0xED:
        leds_ = value & 7;
        break;
    case 0xF0:
        if (value > 3)
            return answer(kResend);
        answer(kAcknowledge);
        if (value == 0)
            answer(scan_set_);
        else
            scan_set_ = value;
        return;
    case 0xF3:
        typematic_ = value & 0x7F;
        break;
    default: // FB..FD: typematic only, make and break, make only; more keys may follow
        set_break(value, waiting == 0xFC);
        expecting_ = waiting;
        break;
    }
    answer(kAcknowledge);
}

void Ps2Keyboard::command(u8 value) {
    switch (value) {
    case 0xEE: // echo
        return answer(0xEE);
    case 0xFE: // resend what was sent last, but for requests to resend
        answers_.push_front(last_sent_);
        return;
    case 0xF2: // identify
        answer(kAcknowledge);
        answer(0xAB);
        answer(0x83);
        return;
    case 0xF4: // enable scanning
        keys_.clear();
        scanning_ = true;
        break;
    case 0xF5: // defaults, and stop scanning
    case 0xF6: // defaults
        keys_.clear();
        defaults();
        scanning_ = value == 0xF6;
        break;
    case 0xF7: // all keys typematic
    case 0xF9: // all keys make only
        set_all_breaks(false);
        break;
    case 0xF8: // all keys make and break
    case 0xFA: // all keys typematic, make and break
        set_all_breaks(true);
        break;
    case 0xFF: // reset and self test
        reset();
        answer(kAcknowledge);
        return answer(kSelfTestPassed);
    default:
        if (!takes_argument(value))
            return answer(kResend);
        expecting_ = value;
        break;
    }
    answer(kAcknowledge);
}

void Ps2Keyboard::key(u64 set1_bytes, u8 size) {
    if (!scanning_)
        return;
    Prefix prefix = Prefix::None;
    bool pause = false;
    for (u8 i = 0; i < size && i < 8; ++i) {
        const u8 byte = static_cast<u8>(set1_bytes >> (8 * i));
        const u8 code = byte & 0x7F;
        const bool release = (byte & 0x80) != 0;
        if (byte == 0xE0 || byte == 0xE1) {
            prefix = byte == 0xE0 ? Prefix::E0 : Prefix::None;
            pause = byte == 0xE1;
            if (scan_set_ != 3)
                keys_.push_back(byte);
        } else if (scan_set_ == 1) {
            keys_.push_back(byte);
        } else if (scan_set_ == 2) {
            if (set2_of_set1(code) == 0)
                continue; // no key
            if (release)
                keys_.push_back(kRelease);
            keys_.push_back(set2_of_set1(code));
        } else if (!pause) {
            send_set3(set3_of_set1(code, prefix), release);
            prefix = Prefix::None;
        } else if (byte == 0x45) { // the one make code of E1 1D 45
            send_set3(0x62, false);
            pause = false;
        }
    }
}

void Ps2Keyboard::send_set3(u8 code, bool release) {
    if (code == 0)
        return;
    if (!release) {
        keys_.push_back(code);
    } else if ((breaks_[code / 8] >> (code % 8) & 1) != 0) {
        keys_.push_back(kRelease);
        keys_.push_back(code);
    }
}

u8 Ps2Keyboard::next_byte() {
    std::deque<u8>& source = answers_.empty() ? keys_ : answers_;
    if (source.empty())
        return last_sent_;
    const u8 byte = source.front();
    source.pop_front();
    if (byte != kResend)
        last_sent_ = byte;
    return byte;
}

void Ps2Keyboard::serialize(Archive& ar) {
    serialize_queue(ar, "answers", answers_);
    serialize_queue(ar, "keys", keys_);
    ar.field("expecting", expecting_);
    ar.field("last_sent", last_sent_);
    ar.field("leds", leds_);
    ar.field("scan_set", scan_set_);
    ar.field("typematic", typematic_);
    ar.field("scanning", scanning_);
    ar.field("breaks", breaks_);
}

} // namespace forkscope
