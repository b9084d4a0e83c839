// Owns: the firmware configuration port (guest/abi/ports.h): numbered items that the guest reads from their beginning
// on, 1, 2 or 4 bytes at a time. Callers: the Machine sets the items, the Bus reads them. Promises: items are
// configuration, not state: only the selector and the position are saved; an unknown item, or one past its end, reads
// as zeros.
#pragma once

#include <map>
#include <vector>

#include "devices/device.hpp"
#include "emu/base/shared/shared_bytes.hpp"

namespace forkscope {

class FirmwareConfig : public Device {
  public:
    FirmwareConfig(); // with its signature, and no other item
    // Replaces item `selector` (ABI_FIRMWARE_*).
    void set_item(u16 selector, std::vector<u8> bytes) { set_parts(selector, {SharedBytes(std::move(bytes))}); }
    // One that consists of these, one behind the other.
    void set_parts(u16 selector, std::vector<SharedBytes> parts);

    std::string_view name() const override { return "firmware_config"; }
    void attach(Wiring& wiring) override;
    void reset() override;
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void serialize(Archive& ar) override;

  private:
    struct Item {
        std::vector<SharedBytes> parts;
        std::vector<u64> ends; // of each part, from the item's beginning: a byte is found among many of them
        u8 byte_at(u64 at) const;
    };

    std::map<u16, Item> items_;
    u16 selector_ = 0;
    u64 position_ = 0; // of the next byte
};

} // namespace forkscope
