// Owns: the framing of gdb's remote serial protocol: `$payload#checksum`, acknowledgements, escapes, the interrupt.
// Callers: GdbStub. Promises: any bytes in any pieces are taken; memory is bounded by kMostPayload; a payload comes out
// only if its checksum fits.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "emu/base/types.hpp"

namespace forkscope {

inline constexpr std::size_t kMostPayload = 0x4000; // bytes in a packet, either way

struct Received {
    enum class Kind : u8 {
        Packet,
        Damaged, // or too long: to be sent again
        Ack,
        Nak,
        Interrupt,
    };
    Kind kind{};
    std::string payload = {}; // unescaped
};

class PacketReader {
  public:
    std::optional<Received> take(u8 byte);
    void reset() { *this = {}; }

  private:
    enum class State : u8 { Between, Payload, Escaped, FirstDigit, SecondDigit };

    std::optional<Received> take_between(u8 byte);
    void add(u8 byte);

    State state_ = State::Between;
    std::string payload_;
    bool too_long_ = false;
    u8 sum_ = 0;
    u8 first_digit_ = 0;
};

// As it goes over the wire. The payload is escaped already where it is binary.
std::string framed(std::string_view payload);
// What a payload must not hold: `$`, `#`, `}` and `*`.
std::string escaped(std::string_view binary);

} // namespace forkscope
