#include "devices/coprocessor_error.hpp"

namespace forkscope {

namespace {

constexpr u16 kPort = 0xF0;
constexpr u8 kInterrupt = 13;

} // namespace

void CoprocessorError::attach(Wiring& wiring) {
    irq_ = wiring.irq(kInterrupt);
    wiring.bus().map_ports(kPort, 1, *this);
    reset();
}

void CoprocessorError::reset() {
    error_ = latched_ = ignored_ = false;
    irq_.set(false);
    ignore_line_.set(false);
}

u32 CoprocessorError::io_read(u32, u32) { return 0xFF; }

// Any value.
void CoprocessorError::io_write(u32, u32, u32) {
    latched_ = false;
    irq_.set(false);
    ignored_ = error_;
    ignore_line_.set(ignored_);
}

void CoprocessorError::set_line(u8, bool level) {
    if (level == error_)
        return;
    error_ = level;
    if (level) {
        latched_ = true;
        irq_.set(true);
    } else if (ignored_) {
        ignored_ = false;
        ignore_line_.set(false);
    }
}

void CoprocessorError::serialize(Archive& ar) {
    ar.field("error", error_);
    ar.field("latched", latched_);
    ar.field("ignored", ignored_);
}

} // namespace forkscope
