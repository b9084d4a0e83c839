#include "emu/debug/packets.hpp"

#include <utility>

#include "emu/debug/hex.hpp"

namespace forkscope {

namespace {

constexpr u8 kInterrupt = 0x03;
constexpr u8 kEscape = '}';
constexpr u8 kEscapeBit = 0x20;

} // namespace

std::optional<Received> PacketReader::take(u8 byte) {
    switch (state_) {
    case State::Between:
        return take_between(byte);
    case State::Payload:
    case State::Escaped:
        add(byte);
        return std::nullopt;
    case State::FirstDigit:
        first_digit_ = byte;
        state_ = State::SecondDigit;
        return std::nullopt;
    case State::SecondDigit:
        break;
    }
    state_ = State::Between;
    const char digits[] = {static_cast<char>(first_digit_), static_cast<char>(byte)};
    const auto sum = bytes_of_hex({digits, sizeof digits});
    if (too_long_ || !sum || sum->front() != sum_)
        return Received{Received::Kind::Damaged};
    return Received{Received::Kind::Packet, std::exchange(payload_, {})};
}

// Whatever else lies between packets is noise.
std::optional<Received> PacketReader::take_between(u8 byte) {
    switch (byte) {
    case '$':
        state_ = State::Payload;
        payload_.clear();
        too_long_ = false;
        sum_ = 0;
        return std::nullopt;
    case '+':
        return Received{Received::Kind::Ack};
    case '-':
        return Received{Received::Kind::Nak};
    case kInterrupt:
        return Received{Received::Kind::Interrupt};
    default:
        return std::nullopt;
    }
}

// A bare `$` begins a packet anew: the rest of the one before was lost.
void PacketReader::add(u8 byte) {
    const bool was_escaped = state_ == State::Escaped;
    if (byte == '$' && !was_escaped) {
        static_cast<void>(take_between(byte));
        return;
    }
    if (byte == '#' && !was_escaped) {
        state_ = State::FirstDigit;
        return;
    }
    sum_ = static_cast<u8>(sum_ + byte);
    if (byte == kEscape && !was_escaped) {
        state_ = State::Escaped;
        return;
    }
    state_ = State::Payload;
    too_long_ = too_long_ || payload_.size() == kMostPayload;
    if (!too_long_)
        payload_ += static_cast<char>(was_escaped ? byte ^ kEscapeBit : byte);
}

std::string framed(std::string_view payload) {
    u8 sum = 0;
    for (const char c : payload)
        sum = static_cast<u8>(sum + static_cast<u8>(c));
    std::string packet;
    packet.reserve(payload.size() + 4);
    packet += '$';
    packet += payload;
    packet += '#';
    return packet + hex_of_bytes(std::span(&sum, 1));
}

std::string escaped(std::string_view binary) {
    std::string text;
    text.reserve(binary.size());
    for (const char c : binary) {
        const bool special = c == '$' || c == '#' || c == '}' || c == '*';
        if (special)
            text += static_cast<char>(kEscape);
        text += special ? static_cast<char>(c ^ kEscapeBit) : c;
    }
    return text;
}

} // namespace forkscope
