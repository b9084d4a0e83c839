#include "devices/firmware_config.hpp"

#include "guest/abi/ports.h"

namespace forkscope {

void FirmwareConfig::attach(Wiring& wiring) {
    wiring.bus().map_ports(ABI_PORT_FIRMWARE_SELECT, 2, *this, 2);
    reset();
}

void FirmwareConfig::reset() {
    selector_ = 0;
    position_ = 0;
}

u32 FirmwareConfig::io_read(u32 address, u32) {
    if (address != ABI_PORT_FIRMWARE_DATA)
        return selector_;
    const auto item = items_.find(selector_);
    const u64 at = position_++;
    return item != items_.end() && at < item->second.size() ? item->second[at] : 0u;
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
