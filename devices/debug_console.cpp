#include "devices/debug_console.hpp"

#include "guest/abi/ports.h"

namespace forkscope {

void DebugConsole::attach(Wiring& wiring) {
    wiring_ = &wiring;
    wiring.bus().map_ports(ABI_PORT_DEBUG_CONSOLE, 1, *this);
}

u32 DebugConsole::io_read(u32, u32) { return ABI_PORT_DEBUG_CONSOLE; }

void DebugConsole::io_write(u32, u32, u32 value) { wiring_->output("debug", static_cast<u8>(value)); }

} // namespace forkscope
