#include "emu/debug/debug_target.hpp"

#include <algorithm>
#include <cstring>

#include "emu/base/log.hpp"
#include "emu/observe/tables/page_table_view.hpp"

namespace forkscope {

namespace {

bool is_breakpoint(PointKind kind) { return kind == PointKind::Software || kind == PointKind::Hardware; }

} // namespace

DebugTarget::DebugTarget(Session& session)
    : session_(session), machine_(session.machine()), registers_(gdb_registers(machine_.cpu().model())),
      threads_(machine_), breakpoints_(machine_.breakpoints().new_owner()),
      watchpoints_(machine_.watchpoints().new_owner([this](const WatchHit& hit) { accessed(hit); })) {
    machine_.add_checkpoint_part(threads_.checkpoint_part());
    session_.attach(threads_);
}

DebugTarget::~DebugTarget() { remove_all(); }

// --- Breakpoints and watchpoints

std::vector<DebugTarget::Point>::iterator DebugTarget::find(PointKind kind, u32 address, u32 size) {
    return std::find_if(points_.begin(), points_.end(), [&](const Point& point) {
        return point.kind == kind && point.address == address && (is_breakpoint(kind) || point.size == size);
    });
}

bool DebugTarget::is_memory(u32 address, u32 size) const {
    const PhysicalMemory& memory = machine_.mmu().memory();
    for (u64 at = address & ~kPageMask; at < u64{address} + size; at += kPageSize)
        if (!memory.is_memory(PhysicalAddress(at)))
            return false;
    return true;
}

bool DebugTarget::insert(PointKind kind, u32 address, u32 size) {
    if (find(kind, address, size) != points_.end())
        return true;
    if (points_.size() >= kMostPoints)
        return false;
    Point point{kind, address, size, physical_ && !is_breakpoint(kind), 0};
    if (is_breakpoint(kind)) {
        point.id = machine_.breakpoints().add(breakpoints_, address);
    } else {
        if (size == 0 || size > kMostWatched || (point.physical && !is_memory(address, size)))
            return false;
        const WatchedBytes bytes{point.physical ? WatchSpace::Physical : WatchSpace::Linear, address, size,
                                 kind != PointKind::Write, kind != PointKind::Read};
        point.id = machine_.watchpoints().add(watchpoints_, bytes);
    }
    points_.push_back(point);
    return true;
}

bool DebugTarget::drop(const Point& point) {
    return is_breakpoint(point.kind) ? machine_.breakpoints().remove(breakpoints_, point.id)
                                     : machine_.watchpoints().remove(watchpoints_, point.id);
}

bool DebugTarget::remove(PointKind kind, u32 address, u32 size) {
    const auto point = find(kind, address, size);
    if (point == points_.end())
        return false;
    const bool dropped = drop(*point);
    points_.erase(point);
    return dropped;
}

void DebugTarget::remove_all() {
    for (const Point& point : points_)
        drop(point);
    points_.clear();
    hit_.reset();
}

std::optional<PointKind> DebugTarget::breakpoint_here() const {
    const u32 next = machine_.cpu().linear_eip();
    for (const Point& point : points_)
        if (is_breakpoint(point.kind) && point.address == next)
            return point.kind;
    return std::nullopt;
}

void DebugTarget::accessed(const WatchHit& hit) {
    const auto point = std::find_if(points_.begin(), points_.end(),
                                    [&hit](const Point& one) { return !is_breakpoint(one.kind) && one.id == hit.id; });
    if (point == points_.end())
        return;
    if (!hit_)
        hit_ = Hit{point->kind, static_cast<u32>(hit.address)};
    machine_.request_stop();
}

std::optional<DebugTarget::Hit> DebugTarget::take_hit() { return std::exchange(hit_, std::nullopt); }

// --- Memory

std::vector<u8> DebugTarget::read(u32 address, u32 size, AddressSpace space) const {
    const PagingState& paging = machine_.mmu().paging();
    std::vector<u8> bytes(size);
    u32 done = 0;
    while (done < size) {
        const LinearAddress at((u64{address} + done) & 0xFFFFFFFF);
        const u32 piece = std::min(size - done, kPageSize - at.offset());
        PhysicalAddress physical = paging.on_bus(at.value);
        if (!physical_ && paging.control().paging()) {
            const Walk walk = paging.look_in(space, at, Privilege::Supervisor, AccessKind::Read);
            if (!walk.ok)
                break;
            physical = walk.physical;
        }
        const auto part = std::span(bytes).subspan(done, piece);
        if (!machine_.mmu().memory().read(physical, part) && !peek_device(physical, part))
            break;
        done += piece;
    }
    bytes.resize(done);
    return bytes;
}

// The screen's memory, without what a read of the guest's does to it.
bool DebugTarget::peek_device(PhysicalAddress from, std::span<u8> to) const {
    for (u8& byte : to) {
        const std::optional<u8> seen = machine_.peek_device(from);
        if (!seen)
            return false;
        byte = *seen;
        from = from + 1;
    }
    return true;
}

bool DebugTarget::write(u32 address, std::span<const u8> bytes, AddressSpace space) {
    const PagingState& paging = machine_.mmu().paging();
    const auto place_of = [&](u32 at) -> std::optional<PhysicalAddress> {
        PhysicalAddress physical = paging.on_bus(at);
        if (!physical_ && paging.control().paging()) {
            const Walk walk = paging.look_in(space, LinearAddress(at), Privilege::Supervisor, AccessKind::Read);
            if (!walk.ok)
                return std::nullopt;
            physical = walk.physical;
        }
        return machine_.mmu().memory().is_memory(physical) ? std::optional(physical) : std::nullopt;
    };
    const auto size = static_cast<u32>(bytes.size());
    if (!may_write())
        return false;
    for (u32 done = 0; done < size; done += kPageSize - ((address + done) & kPageMask))
        if (!place_of(address + done))
            return false;
    for (u32 done = 0; done < size;) {
        constexpr u32 kWord = 8; // of one input
        const u32 at = address + done;
        const u32 piece = std::min({size - done, kWord - (at & (kWord - 1)), kWord});
        InputEvent event{.kind = InputKind::Memory, .size = static_cast<u8>(piece), .address = place_of(at)->value};
        std::memcpy(&event.data, bytes.data() + done, piece);
        inject(event);
        done += piece;
    }
    return true;
}

// --- Registers and threads

std::vector<u8> DebugTarget::read_register(u32 number, const GuestThread& thread) const {
    const GdbRegister& row = registers_[number];
    if (thread.id == threads_.current().id)
        return register_bytes(row, row.read(machine_, row.index));
    if (number < kGdbGeneral && thread.kept)
        return register_bytes(row, {thread.registers[number], 0});
    if (row.name == "cr3" && thread.root != 0)
        return register_bytes(row, {thread.root, 0});
    return {};
}

Result<void> DebugTarget::write_register(u32 number, std::span<const u8> bytes) {
    const GdbRegister& row = registers_[number];
    if (!row.written_as || bytes.size() != row.bits / 8u)
        return Error{fmt::format("{} is only read", row.name)};
    if (!may_write())
        return Error{"this is in the past; 'monitor branch on' lets the next write start a branch"};
    std::vector<InputEvent> parts;
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(u64)) {
        const std::size_t size = std::min(bytes.size() - at, sizeof(u64));
        InputEvent part{.kind = InputKind::Register, .size = static_cast<u8>(size)};
        part.address = static_cast<u64>(*row.written_as) + parts.size();
        std::memcpy(&part.data, bytes.data() + at, size);
        if (number == kGdbEip)
            part.data = static_cast<u32>(part.data - machine_.registers().segments[kCs].base);
        if (auto fits = check_register(machine_.cpu(), machine_.mmu().paging(),
                                       static_cast<RegisterNumber>(part.address), part.data);
            !fits.ok())
            return fits.error();
        parts.push_back(part);
    }
    for (const InputEvent& part : parts)
        inject(part);
    // Of these some bits cannot be written, or follow from others; any other value was taken whole or not at all.
    const bool fixed_bits = number == kGdbEflags || (number >= kGdbFloatControl && number < kGdbCoreCount);
    const std::vector<u8> now = register_bytes(row, row.read(machine_, row.index));
    if (!fixed_bits && !std::equal(bytes.begin(), bytes.end(), now.begin(), now.end()))
        return Error{fmt::format("not all bits of {} can be written", row.name)};
    return {};
}

bool DebugTarget::may_write() const {
    const Timeline* const timeline = session_.timeline();
    return timeline == nullptr || !timeline->in_past() || branch_allowed_;
}

// The first one in the past leaves it: what follows is of the present again.
void DebugTarget::inject(const InputEvent& event) {
    session_.inject(event);
    branch_allowed_ = false;
}

AddressSpace DebugTarget::space_of(const GuestThread& thread) const {
    const PagingControl& control = machine_.mmu().control();
    return thread.id == threads_.current().id || thread.root == 0 ? control.space_of(machine_.registers().cr3)
                                                                  : AddressSpace(thread.root);
}

std::string DebugTarget::describe(const GuestThread& thread) const {
    const std::string where = thread.root == 0 ? "paging off" : fmt::format("directory {:08x}", thread.root);
    if (!threads_.stated() && thread.root != 0)
        return fmt::format("address space, {}", where);
    if (thread.pid == 0)
        return fmt::format("kernel, {}", where);
    const std::string program = session_.symbols().program_of(thread.root);
    const std::string number = thread.number == 0 ? "has not run yet" : fmt::format("thread {}", thread.number);
    return fmt::format("pid {} {}, {}, {}", thread.pid, program.empty() ? "(program unknown)" : program, number, where);
}

} // namespace forkscope
