#include "machine_scene.hpp"

namespace forkscope::fuzz {

namespace {

constexpr u32 kVectors = 64;
constexpr u16 kCode32 = 0x08, kData32 = 0x10, kUserCode32 = 0x1B, kUserData32 = 0x23, kCode16 = 0x28, kData16 = 0x30;
constexpr u16 kTask = 0x38, kOtherTask = 0x40, kTask16 = 0x48, kLocalTable = 0x50, kUserCode16 = 0x8B;
constexpr u16 kUserData16 = 0x93;
constexpr u32 kTaskBytes = 0x100;

u64 segment_descriptor(u32 base, u32 limit, u8 access, bool big, bool granular) {
    SegmentFields descriptor;
    descriptor.base = base;
    descriptor.limit = limit;
    descriptor.access = access;
    descriptor.big = big;
    descriptor.granular = granular;
    return Descriptor::of(descriptor).bits;
}

u64 gate(u16 selector, u32 offset, u8 access, u8 parameters = 0) {
    return u64{(offset & 0xFFFF0000u) | u32{access} << 8 | parameters} << 32 | u32{selector} << 16 | (offset & 0xFFFF);
}

} // namespace

MachineScene::MachineScene(InputReader& input) : memory_(kMemory) {
    constexpr u8 kModes = static_cast<u8>(SceneMode::Count);
    const u8 world = input.take<u8>();
    mode_ = static_cast<SceneMode>(world % kModes);
    constexpr CpuModel kModels[] = {CpuModel::P6, CpuModel::P6,      CpuModel::P6,   CpuModel::P6,
                                    CpuModel::P6, CpuModel::Pentium, CpuModel::I486, CpuModel::I386};
    model_ = kModels[world / kModes % std::size(kModels)];
    build_vectors();
    build_descriptors();
    build_tasks();
    build_pages();
    choose_registers(input);
    for (u32 patches = input.take<u8>() % 32; patches > 0; --patches) {
        const u32 at = input.take<u16>() % (kMemory - 4);
        put(at, input.take<u32>(), 4);
    }
    choose_segments();
    const std::span<const u8> code = input.rest().first(std::min<std::size_t>(input.rest().size(), kMostCode));
    std::copy(code.begin(), code.end(), memory_.begin() + kCode);
}

void MachineScene::put(u32 address, u64 value, u32 size) { std::memcpy(memory_.data() + address, &value, size); }

// Handlers are sixteen bytes apart and return; most vectors meet the same kind of gate, some another.
void MachineScene::build_vectors() {
    for (u32 at = kHandlers; at < kCode; ++at)
        memory_[at] = 0xCF;
    constexpr u8 kGates[] = {0x8E, 0xEE, 0x8F, 0xEF, 0xE6, 0xE7};
    for (u32 vector = 0; vector < kVectors; ++vector) {
        const u32 handler = kHandlers + vector % 32 * 16;
        put(kVectorTable + vector * 4, u64{kHandlers >> 4} << 16 | (handler - kHandlers), 4);
        put(kIdt + vector * 8, gate(kCode32, handler, kGates[vector % std::size(kGates)]), 8);
    }
    put(kIdt + 10 * 8, gate(kOtherTask, 0, 0xE5), 8); // a task for invalid task segments
    put(kIdt + 0x21 * 8, gate(kTask16, 0, 0xE5), 8);
}

void MachineScene::build_descriptors() {
    const u64 entries[] = {
        0,
        segment_descriptor(0, 0xFFFFF, 0x9B, true, true),
        segment_descriptor(0, 0xFFFFF, 0x93, true, true),
        segment_descriptor(0, 0xFFFFF, 0xFB, true, true),
        segment_descriptor(0, 0xFFFFF, 0xF3, true, true),
        segment_descriptor(kHandlers, 0xFFFF, 0x9B, false, false),
        segment_descriptor(kHandlers, 0xFFFF, 0x93, false, false),
        segment_descriptor(kTasks, kTaskBytes - 1, 0x8B, false, false),
        segment_descriptor(kTasks + kTaskBytes, kTaskBytes - 1, 0x89, false, false),
        segment_descriptor(kTasks + 2 * kTaskBytes, 0x2B, 0xE1, false, false),
        segment_descriptor(kLdt, 0x7F, 0x82, false, false),
        gate(kCode32, kCode, 0xEC, 2),
        gate(kOtherTask, 0, 0xE5),
        segment_descriptor(0x10000, 0x0FFF, 0xF7, true, false), // expand-down
        segment_descriptor(0, 0xFFFFF, 0xFF, true, true),       // conforming
        gate(kCode16, kCode - kHandlers, 0xE4, 1),
        segment_descriptor(0, 0xFFFFF, 0x13, true, true), // absent
        segment_descriptor(kHandlers, 0xFFFF, 0xFB, false, false),
        segment_descriptor(kHandlers, 0xFFFF, 0xF3, false, false),
    };
    for (u32 i = 0; i < std::size(entries); ++i)
        put(kGdt + i * 8, entries[i], 8);
    for (u32 i = 0; i < 16; ++i)
        put(kLdt + i * 8, entries[i + 3], 8);
}

// SDM 3A 7.2.1 and 7.6: the present task, another of 32 bits and one of 16.
void MachineScene::build_tasks() {
    for (const u32 task : {kTasks, kTasks + kTaskBytes}) {
        put(task + 4, 0xE000, 4); // ESP0, SS0
        put(task + 8, kData32, 2);
        put(task + 28, kDirectory, 4);
        put(task + 32, kCode, 4);
        put(task + 36, kFlagFixed, 4);
        put(task + 56, 0xD000, 4);
        for (u32 segment = 0; segment < 6; ++segment)
            put(task + 72 + segment * 4, segment == 1 ? kCode32 : kData32, 2);
        put(task + 96, kLocalTable, 2);
        put(task + 102, 104, 2); // the I/O map: all zero
    }
    const u32 small = kTasks + 2 * kTaskBytes;
    put(small + 2, 0xE000, 2);
    put(small + 4, kData16, 2);
    put(small + 14, kCode - kHandlers, 2);
    put(small + 16, kFlagFixed, 2);
    put(small + 26, 0x5000, 2);
    for (u32 segment = 0; segment < 4; ++segment)
        put(small + 34 + segment * 2, segment == 1 ? kCode16 : kData16, 2);
}

// Linear = physical for 4 MB, whose upper half is no memory; then the same once more as one large page.
void MachineScene::build_pages() {
    put(kDirectory, kTable | kPtePresent | kPteWritable | kPteUser, 4);
    put(kDirectory + 4, kPtePresent | kPteWritable | kPteUser | 0x80, 4);
    for (u32 page = 0; page < 1024; ++page)
        put(kTable + page * 4, (page << kPageShift) | kPtePresent | kPteWritable | kPteUser, 4);
}

void MachineScene::choose_registers(InputReader& input) {
    const u32 flags = input.take<u32>();
    const Model& model = model_of(model_);
    state_.set_eflags((flags & model.eflags & ~u32{kFlagVm}) | (mode_ == SceneMode::Virtual8086 ? u32{kFlagVm} : 0));
    constexpr u32 kOfCr4 = kCr4Vme | kCr4Pvi | kCr4Tsd | kCr4De | kCr4Pse | kCr4Pge;
    const u32 bits = input.take<u8>();
    cr4_ = ((bits & kOfCr4) | ((bits & kCr4Pae) == 0 ? kCr4OsFxsr | kCr4OsXmmExcpt : 0u)) & model.cr4;
    // EFLAGS has none of its upper ten bits.
    cr0_ = (flags >> 24 & (kCr0Mp | kCr0Em | kCr0Ts | kCr0Ne)) | ((flags >> 24 & 1) != 0 ? u32{kCr0Am} : 0);
    for (u8 number = 0; number < 8; ++number) {
        const u32 value = input.take<u16>();
        state_.gpr[number] = (value & 1) != 0 ? static_cast<u32>(static_cast<i16>(value)) : value;
    }
    choose_breakpoints((flags >> 22 & 1) != 0, (flags >> 23 & 1) != 0);
}

// SDM 3B 17.2.4: two in the code, two in the data and on the stack.
void MachineScene::choose_breakpoints(bool code, bool data) {
    const Model& model = model_of(model_);
    state_.dr[6] = model.dr6_reset;
    state_.dr[7] = model.dr7_reset;
    state_.dr[0] = kCode + 6;
    state_.dr[1] = kHandlers + 16;
    state_.dr[2] = static_cast<u32>(state_.gpr[kEsp]) - 4;
    state_.dr[3] = static_cast<u32>(state_.gpr[kEbx]);
    if (code)
        state_.dr[7] |= 0x0000000A;
    if (data)
        state_.dr[7] |= 0xFD0000A0; // four bytes, written; four bytes, read or written
}

SegmentCache MachineScene::segment(u16 selector) const {
    u64 bytes;
    std::memcpy(&bytes, memory_.data() + kGdt + (selector & ~7u), 8);
    return SegmentCache::from(selector, {bytes, {}});
}

void MachineScene::choose_segments() {
    const bool real = mode_ == SceneMode::Real;
    state_.cr0 = (cr0_ & model_of(model_).cr0) | kCr0Et | (real ? 0u : u32{kCr0Pe});
    state_.cr4 = cr4_;
    state_.gdtr = {kGdt, 0xFF};
    state_.idtr = {real ? kVectorTable : kIdt, real ? u16{0x3FF} : u16{kVectors * 8 - 1}};
    state_.eip = kCode;
    state_.tr = segment(kTask);
    state_.ldtr = segment(kLocalTable);
    if (real || mode_ == SceneMode::Virtual8086) {
        for (SegmentCache& cache : state_.segments) {
            cache = SegmentCache::at_reset(0, 0);
            if (real)
                cache.load_real(kHandlers >> 4);
            else
                cache.load_virtual_8086(kHandlers >> 4);
        }
        state_.cpl = real ? 0 : 3;
        state_.eip = kCode - kHandlers;
        return;
    }
    const bool user = mode_ == SceneMode::User32 || mode_ == SceneMode::User16 || mode_ == SceneMode::PagedUser;
    const bool small = mode_ == SceneMode::Kernel16 || mode_ == SceneMode::User16;
    const u16 code = small ? (user ? kUserCode16 : kCode16) : (user ? kUserCode32 : kCode32);
    const u16 data = small ? (user ? kUserData16 : kData16) : (user ? kUserData32 : kData32);
    for (SegmentCache& cache : state_.segments)
        cache = segment(data);
    state_.segments[kCs] = segment(code);
    state_.cpl = user ? 3 : 0;
    if (small)
        state_.eip = kCode - kHandlers;
    if (mode_ == SceneMode::PagedKernel || mode_ == SceneMode::PagedUser) {
        state_.cr0 |= kCr0Pg | (kCr0Wp & model_of(model_).cr0);
        state_.cr3 = kDirectory;
    }
}

void MachineScene::apply(Machine& machine) const {
    if (!machine.mmu().poke_physical(PhysicalAddress(0), memory_))
        report("the scene does not fit into memory");
    machine.mmu().set_a20(true);
    CpuState state = machine.registers();
    state.gpr = state_.gpr;
    state.eip = state_.eip;
    state.system_flags = state_.system_flags;
    state.flags = state_.flags;
    state.segments = state_.segments;
    state.ldtr = state_.ldtr;
    state.tr = state_.tr;
    state.gdtr = state_.gdtr;
    state.idtr = state_.idtr;
    state.cr0 = state_.cr0;
    state.cr3 = state_.cr3;
    state.cr4 = state_.cr4;
    state.dr = state_.dr;
    state.cpl = state_.cpl;
    machine.cpu().set_state(state);
}

} // namespace forkscope::fuzz
