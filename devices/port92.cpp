#include "devices/port92.hpp"

namespace forkscope {

namespace {

constexpr u16 kPort = 0x92;
constexpr u8 kFastReset = 0x01;
constexpr u8 kA20 = 0x02;

} // namespace

void Port92::attach(Wiring& wiring) {
    wiring_ = &wiring;
    wiring.bus().map_ports(kPort, 1, *this);
    reset();
}

void Port92::reset() { latch_ = 0; }

u32 Port92::io_read(u32, u32) { return latch_ | (wiring_->a20() ? kA20 : 0u); }

void Port92::io_write(u32, u32, u32 value) {
    const u8 byte = static_cast<u8>(value);
    const bool reset_rises = (byte & kFastReset) != 0 && (latch_ & kFastReset) == 0;
    latch_ = byte & static_cast<u8>(~kA20);
    wiring_->set_a20((byte & kA20) != 0);
    if (reset_rises)
        wiring_->request_reset();
}

void Port92::serialize(Archive& ar) { ar.field("latch", latch_); }

} // namespace forkscope
