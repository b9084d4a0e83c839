#include "devices/trace_port.hpp"

#include "guest/abi/ports.h"

namespace forkscope {

namespace {

constexpr u16 kRegisters = 4; // of 32 bits each: id, three arguments

} // namespace

void TracePort::attach(Wiring& wiring) {
    wiring_ = &wiring;
    wiring.bus().map_ports(ABI_PORT_TRACE_ID, kRegisters * 4, *this, 4);
}

u32 TracePort::io_read(u32 address, u32 size) {
    const u32 at = address - ABI_PORT_TRACE_ID;
    const u32 value = at < 4 ? ABI_TRACE_MAGIC : arguments_[at / 4 - 1];
    const u32 shifted = value >> (at % 4 * 8);
    return size >= 4 ? shifted : shifted & ((1u << (size * 8)) - 1);
}

void TracePort::io_write(u32 address, u32 size, u32 value) {
    const u32 at = address - ABI_PORT_TRACE_ID;
    if (at == 0) {
        if (listener_)
            listener_(value, arguments_);
        return wiring_->tracer().emit(TraceKind::Tracepoint, value, arguments_[0], arguments_[1], arguments_[2]);
    }
    if (at < 4)
        return; // the middle of the id register
    const u32 shift = at % 4 * 8;
    const u32 mask = (size >= 4 ? ~0u : (1u << (size * 8)) - 1) << shift;
    u32& argument = arguments_[at / 4 - 1];
    argument = (argument & ~mask) | (value << shift & mask);
}

void TracePort::serialize(Archive& ar) { ar.field("arguments", arguments_); }

} // namespace forkscope
