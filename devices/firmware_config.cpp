#include "devices/firmware_config.hpp"

#include <algorithm>

#include "guest/abi/ports.h"

namespace forkscope {

namespace {

// The data port is odd, so that the bus delivers a doubleword of it as accesses to it and to the three ports above.
constexpr u16 kDataBytes = 4;

} // namespace

FirmwareConfig::FirmwareConfig() { set_item(ABI_FIRMWARE_SIGNATURE, {'F', 'S', 'C', 'P'}); }

void FirmwareConfig::attach(Wiring& wiring) {
    wiring.bus().map_ports(ABI_PORT_FIRMWARE_SELECT, 1 + kDataBytes, *this, kDataBytes);
    reset();
}

void FirmwareConfig::reset() {
    selector_ = 0;
    position_ = 0;
}

u32 FirmwareConfig::io_read(u32 address, u32 size) {
    if (address < ABI_PORT_FIRMWARE_DATA)
        return selector_;
    const auto item = items_.find(selector_);
    u32 value = 0;
    for (u32 i = 0; i < size; ++i) {
        const u64 at = position_++;
        if (item != items_.end())
            value |= u32{item->second.byte_at(at)} << (8 * i);
    }
    return value;
}

void FirmwareConfig::set_parts(u16 selector, std::vector<SharedBytes> parts) {
    Item& item = items_[selector];
    item = {std::move(parts), {}};
    u64 end = 0;
    for (const SharedBytes& part : item.parts)
        item.ends.push_back(end += part.size());
}

u8 FirmwareConfig::Item::byte_at(u64 at) const {
    const auto part = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), at) - ends.begin());
    return part == parts.size() ? 0 : parts[part][at - (ends[part] - parts[part].size())];
}

void FirmwareConfig::io_write(u32 address, u32, u32 value) {
    if (address != ABI_PORT_FIRMWARE_SELECT)
        return; // the items are read only
    selector_ = static_cast<u16>(value);
    position_ = 0;
}

void FirmwareConfig::serialize(Archive& ar) {
    ar.field("selector", selector_);
    ar.field("position", position_);
}

} // namespace forkscope
