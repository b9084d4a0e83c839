// Owns: which device answers at which port and at which device-memory address, and the adaptation of widths.
// Callers: the Mmu (device memory), the Cpu (ports), the Machine's wiring. Promises: a device sees only the widths it
// declared; wider accesses are split low to high; a port or address without a device reads as all ones.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

// A device's end. `address` is the port number, or the offset into the device-memory range.
class IoHandler {
  public:
    virtual ~IoHandler() = default;
    virtual u32 io_read(u32 address, u32 size) = 0; // size in bytes: 1, 2 or 4, never above the declared width
    virtual void io_write(u32 address, u32 size, u32 value) = 0;
    // What a read of a byte would give now, for people who look; none: only a read tells, and does something.
    virtual std::optional<u8> io_peek(u32 /*address*/) const { return std::nullopt; }
};

enum class BusAccess : u8 { ReadPort, WritePort, ReadMemory, WriteMemory };

// Hears of accesses that nothing answers, each once, with its first port or physical address that is nobody's.
class BusListener {
  public:
    virtual ~BusListener() = default;
    virtual void unanswered(BusAccess access, u64 address) = 0;
};

class Bus {
  public:
    void set_listener(BusListener* listener) { listener_ = listener; }
    // Ports [first, first + count) go to the handler in accesses of at most `widest` bytes.
    void map_ports(u16 first, u16 count, IoHandler& handler, u8 widest = 1);
    // Physical [start, start + size) goes to the handler; `start` and `size` are multiples of 4096.
    void map_memory(PhysicalAddress start, u64 size, IoHandler& handler, u8 widest = 1);

    // True where no device answers in the frame of `address` and nobody listens for that: an access does nothing.
    bool nobody_at(PhysicalAddress address) const {
        return listener_ == nullptr && find_memory(address.value) == nullptr;
    }

    u32 read_port(u16 port, u32 size);
    void write_port(u16 port, u32 size, u32 value);
    u32 read_memory(PhysicalAddress address, u32 size);
    void write_memory(PhysicalAddress address, u32 size, u32 value);
    // Without any effect; none: no device there lets itself be looked at.
    std::optional<u8> peek_memory(PhysicalAddress address) const;

  private:
    struct Range {
        u64 start = 0;
        u64 size = 0;
        IoHandler* handler = nullptr;
        u8 widest = 1;
    };
    const Range* find_memory(u64 address) const;
    void tell(BusAccess access, u64 address) const {
        if (listener_ != nullptr)
            listener_->unanswered(access, address);
    }

    std::vector<u8> port_owner_ = std::vector<u8>(65536, 0); // index into ports_, 0 = none
    std::vector<Range> ports_ = {Range{}};
    std::vector<Range> memory_;
    BusListener* listener_ = nullptr;
};

} // namespace forkscope
