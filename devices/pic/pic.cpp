#include "devices/pic/pic.hpp"

namespace forkscope {

namespace {

constexpr u16 kMasterPort = 0x20;
constexpr u16 kSlavePort = 0xA0;
constexpr u16 kElcrPort = 0x4D0;
constexpr u8 kCascadeLine = 2;
// Timer, keyboard and cascade on the master, clock and coprocessor on the slave are always edge triggered.
constexpr u8 kMasterElcrMask = 0xF8;
constexpr u8 kSlaveElcrMask = 0xDE;
// No device drives the data bus during INTA: the pull-ups do.
constexpr u8 kFloatingBus = 0xFF;

constexpr u8 bit(u8 line) { return static_cast<u8>(1u << (line & 7)); }

} // namespace

void InterruptController::reset() {
    const u8 inputs = inputs_; // the pins belong to the devices
    *this = InterruptController{};
    inputs_ = inputs;
}

void InterruptController::write(u32 a0, u8 value) {
    if (a0 == 0 && (value & 0x10) != 0)
        write_icw1(value);
    else if (a0 != 0 && expect_ != Expect::Nothing)
        write_icw(value);
    else if (a0 != 0)
        masked_ = value; // OCW1
    else if ((value & 0x08) == 0)
        write_ocw2(value);
    else
        write_ocw3(value);
}

void InterruptController::write_icw1(u8 value) {
    // The edge detectors restart: a line that is high now must fall and rise again, unless it is level triggered.
    level_triggered_ = (value & 0x08) != 0;
    requested_ = inputs_ & level_lines();
    in_service_ = 0;
    masked_ = 0;
    lowest_priority_ = 7;
    single_ = (value & 0x02) != 0;
    needs_icw4_ = (value & 0x01) != 0;
    automatic_end_ = false;
    rotate_on_automatic_end_ = false;
    special_fully_nested_ = false;
    special_mask_ = false;
    read_in_service_ = false;
    poll_ = false;
    expect_ = Expect::Icw2;
}

void InterruptController::write_icw(u8 value) {
    switch (expect_) {
    case Expect::Icw2:
        vector_base_ = value & 0xF8;
        expect_ = !single_ ? Expect::Icw3 : needs_icw4_ ? Expect::Icw4 : Expect::Nothing;
        break;
    case Expect::Icw3:
        cascade_ = value;
        expect_ = needs_icw4_ ? Expect::Icw4 : Expect::Nothing;
        break;
    case Expect::Icw4:
        automatic_end_ = (value & 0x02) != 0;
        special_fully_nested_ = (value & 0x10) != 0;
        expect_ = Expect::Nothing;
        break;
    case Expect::Nothing:
        break;
    }
}

void InterruptController::write_ocw2(u8 value) {
    const u8 line = value & 7;
    switch (value >> 5) {
    case 0:
    case 4:
        rotate_on_automatic_end_ = (value & 0x80) != 0;
        break;
    case 1:
    case 5: {
        // In special mask mode a non-specific end leaves the masked lines in service.
        const u8 candidates = special_mask_ ? in_service_ & static_cast<u8>(~masked_) : in_service_;
        end_of_interrupt(highest(candidates), (value & 0x80) != 0);
        break;
    }
    case 3:
    case 7:
        end_of_interrupt(line, (value & 0x80) != 0);
        break;
    case 6:
        lowest_priority_ = line;
        break;
    default:
        break; // 2: no operation
    }
}

void InterruptController::end_of_interrupt(u8 line, bool rotate) {
    if (line == kNone)
        return;
    in_service_ &= static_cast<u8>(~bit(line));
    if (rotate)
        lowest_priority_ = line;
}

void InterruptController::write_ocw3(u8 value) {
    if ((value & 0x40) != 0)
        special_mask_ = (value & 0x20) != 0;
    poll_ = (value & 0x04) != 0;
    if ((value & 0x02) != 0)
        read_in_service_ = (value & 0x01) != 0;
}

u8 InterruptController::read(u32 a0) {
    if (poll_) {
        poll_ = false; // this read is the acknowledge
        const u8 line = accept();
        return line == kNone ? u8{0} : static_cast<u8>(0x80 | line);
    }
    if (a0 != 0)
        return masked_;
    return read_in_service_ ? in_service_ : requested_;
}

void InterruptController::set_input(u8 line, bool level) {
    const u8 mask = bit(line);
    const bool rose = level && (inputs_ & mask) == 0;
    inputs_ = static_cast<u8>(level ? inputs_ | mask : inputs_ & ~mask);
    if (!level)
        requested_ &= static_cast<u8>(~mask); // must stay up until the acknowledge
    else if (rose || (level_lines() & mask) != 0)
        requested_ |= mask;
}

void InterruptController::write_elcr(u8 value) {
    elcr_ = value;
    requested_ |= inputs_ & level_lines();
}

u8 InterruptController::highest(u8 lines) const {
    for (u8 i = 1; i <= 8; ++i) {
        const u8 line = (lowest_priority_ + i) & 7;
        if ((lines & bit(line)) != 0)
            return line;
    }
    return kNone;
}

u8 InterruptController::in_service_for_priority() const {
    return special_mask_ ? in_service_ & static_cast<u8>(~masked_) : in_service_;
}

// The request that INT would stand for: the first in priority order, unless something as urgent is in service.
u8 InterruptController::first(u8 wanted) const {
    if (expect_ != Expect::Nothing)
        return kNone;
    const u8 busy = in_service_for_priority();
    for (u8 i = 1; i <= 8; ++i) {
        const u8 line = (lowest_priority_ + i) & 7;
        const bool in_service = (busy & bit(line)) != 0;
        // Special fully nested: a slave that is in service may interrupt again with a more urgent line of its own.
        const bool may_nest = special_fully_nested_ && has_slave_on(line);
        if ((wanted & bit(line)) != 0 && (!in_service || may_nest))
            return line;
        if (in_service)
            return kNone;
    }
    return kNone;
}

u8 InterruptController::accept() {
    const u8 line = pick();
    if (line == kNone)
        return kNone;
    if ((level_lines() & bit(line)) == 0)
        requested_ &= static_cast<u8>(~bit(line));
    if (!automatic_end_)
        in_service_ |= bit(line);
    else if (rotate_on_automatic_end_)
        lowest_priority_ = line;
    return line;
}

void InterruptController::serialize(Archive& ar) {
    ar.field("requested", requested_);
    ar.field("in_service", in_service_);
    ar.field("masked", masked_);
    ar.field("inputs", inputs_);
    ar.field("elcr", elcr_);
    ar.field("vector_base", vector_base_);
    ar.field("cascade", cascade_);
    ar.field("lowest_priority", lowest_priority_);
    ar.field("expect", expect_);
    ar.field("single", single_);
    ar.field("needs_icw4", needs_icw4_);
    ar.field("level_triggered", level_triggered_);
    ar.field("automatic_end", automatic_end_);
    ar.field("rotate_on_automatic_end", rotate_on_automatic_end_);
    ar.field("special_fully_nested", special_fully_nested_);
    ar.field("special_mask", special_mask_);
    ar.field("read_in_service", read_in_service_);
    ar.field("poll", poll_);
    if (ar.loading() && (lowest_priority_ > 7 || expect_ > Expect::Icw4))
        ar.fail("an 8259A cannot be in this state");
}

void Pic::attach(Wiring& wiring) {
    wiring.bus().map_ports(kMasterPort, 2, *this);
    wiring.bus().map_ports(kSlavePort, 2, *this);
    wiring.bus().map_ports(kElcrPort, 2, *this);
    reset();
}

void Pic::reset() {
    master_.reset();
    slave_.reset();
    update();
}

u32 Pic::io_read(u32 address, u32) {
    if (address >= kElcrPort)
        return address == kElcrPort ? master_.elcr() : slave_.elcr();
    InterruptController& chip = (address & 0x80) == 0 ? master_ : slave_;
    if (&chip == &slave_ && slave_.polled())
        master_.set_input(kCascadeLine, false); // the read is an acknowledge: INT falls, and may rise again
    const u8 value = chip.read(address & 1);
    update();
    return value;
}

void Pic::io_write(u32 address, u32, u32 value) {
    const u8 byte = static_cast<u8>(value);
    if (address == kElcrPort)
        master_.write_elcr(byte & kMasterElcrMask);
    else if (address > kElcrPort)
        slave_.write_elcr(byte & kSlaveElcrMask);
    else if ((address & 0x80) == 0)
        master_.write(address & 1, byte);
    else
        slave_.write(address & 1, byte);
    update();
}

void Pic::set_line(u8 line, bool level) {
    if (line >= 16 || line == kCascadeLine)
        return;
    (line < 8 ? master_ : slave_).set_input(line & 7, level);
    update();
}

u8 Pic::acknowledge() {
    const u8 line = master_.accept();
    u8 vector = master_.vector(line == InterruptController::kNone ? 7 : line);
    if (line != InterruptController::kNone && master_.has_slave_on(line)) {
        vector = kFloatingBus;
        if (line == kCascadeLine && slave_.answers_as(line)) {
            const u8 slave_line = slave_.accept();
            vector = slave_.vector(slave_line == InterruptController::kNone ? 7 : slave_line);
            // The slave's INT falls with the acknowledge, so that its next request is an edge for the master.
            master_.set_input(kCascadeLine, false);
        }
    }
    update();
    return vector;
}

// A processor that waits ends no interrupt: what a line in service holds back does not come either.
bool Pic::masks_everything() const {
    for (u8 line = 0; line < 8; ++line)
        if ((line != kCascadeLine && master_.admits(line)) || (master_.admits(kCascadeLine) && slave_.admits(line)))
            return false;
    return true;
}

void Pic::update() {
    master_.set_input(kCascadeLine, slave_.requests());
    const bool level = master_.requests();
    if (level == intr_level_)
        return;
    intr_level_ = level;
    intr_.set(level);
}

void Pic::serialize(Archive& ar) {
    ar.nested("master", master_);
    ar.nested("slave", slave_);
    ar.field("intr", intr_level_);
}

} // namespace forkscope
