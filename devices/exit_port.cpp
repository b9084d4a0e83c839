#include "devices/exit_port.hpp"

#include "guest/abi/ports.h"

namespace forkscope {

namespace {

constexpr std::string_view kWord = "Shutdown";

} // namespace

void ExitPort::attach(Wiring& wiring) {
    wiring_ = &wiring;
    wiring.bus().map_ports(ABI_PORT_EXIT, 1, *this);
    wiring.bus().map_ports(ABI_PORT_BOCHS_SHUTDOWN, 1, *this);
}

u32 ExitPort::io_read(u32 address, u32) { return address == ABI_PORT_EXIT ? 0 : 0xFF; }

void ExitPort::io_write(u32 address, u32, u32 value) {
    if (address == ABI_PORT_EXIT)
        return wiring_->request_exit(value & 0xFF);
    const char letter = static_cast<char>(value);
    if (letter != kWord[matched_])
        matched_ = 0; // the word has no letter S but the first: no shorter match can be under way
    if (letter == kWord[matched_])
        ++matched_;
    if (matched_ == kWord.size()) {
        matched_ = 0;
        wiring_->request_exit(0);
    }
}

void ExitPort::serialize(Archive& ar) {
    ar.field("matched", matched_);
    if (ar.loading() && matched_ >= kWord.size()) {
        matched_ = 0;
        ar.fail("more letters than the word has");
    }
}

} // namespace forkscope
