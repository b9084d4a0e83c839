// What the guest's fork and shell ask of the Mmu, on every processor, asked of a second Mmu and of the reference as
// well: compared after every access.
#include <gtest/gtest.h>

#include "emu/machine/images.hpp"
#include "emu/machine/machine.hpp"
#include "setups.hpp"

namespace forkscope {
namespace {

using Act = MmuRecorder::Act;
using reference::Outcome;

constexpr u32 kRam = 16u << 20;
constexpr u32 kDeviceStart = 0xA0000, kDeviceEnd = 0xC0000, kRomStart = 0xF0000;

template <class T> Access<u64> widen(Access<T> access) { return {access.value, access.ok}; }

class Follower final : public MmuRecorder {
  public:
    explicit Follower(const DuelSetup& setup)
        : memory_(kRam), mmu_(memory_, bus_, tracer_),
          reference_(setup.processor, kRam, kRomStart, kDeviceStart, kDeviceEnd) {
        mmu_.set_tlb_model(setup.tlb);
        mmu_.set_paging_features(setup.features);
        memory_.install_rom(PhysicalAddress(kRomStart), embedded_firmware());
        std::copy(embedded_firmware().begin(), embedded_firmware().end(), reference_.memory.begin() + kRomStart);
    }

    void asked(Act act, u32 linear, u32 size, u64 value, Privilege privilege) override {
        if (!mismatch_.empty())
            return;
        const auto word = static_cast<u32>(value);
        switch (act) {
        case Act::Cr0:
            mmu_.write_cr0(reference_.cr0, word);
            return reference_.set_cr0(word);
        case Act::Cr3:
        case Act::TaskSwitch:
            mmu_.write_cr3(word, act == Act::Cr3 ? TlbFlushReason::Cr3 : TlbFlushReason::TaskSwitch);
            return reference_.set_cr3(word, act == Act::TaskSwitch);
        case Act::Cr4:
            mmu_.write_cr4(reference_.cr4, word);
            return reference_.set_cr4(word);
        case Act::Efer:
            mmu_.write_efer(word);
            reference_.nxe = (word & kEferNxe) != 0;
            return;
        case Act::A20:
            mmu_.set_a20(word != 0);
            reference_.a20 = word != 0;
            return;
        case Act::InvalidatePage:
            mmu_.invalidate_page(LinearAddress(linear));
            return reference_.invlpg(linear);
        case Act::FaultDrop:
            mmu_.drop_faulting_entry(LinearAddress(linear));
            return reference_.page_fault_delivered(linear);
        default:
            ++accesses_;
            return access(act, linear, size, value, privilege);
        }
    }
    const std::string& mismatch() const { return mismatch_; }
    u64 accesses() const { return accesses_; }
    const u64* seen() const { return reference_.seen; }
    bool memory_agrees() const {
        return std::memcmp(memory_.host(PhysicalAddress(0)), reference_.memory.data(), kRam) == 0;
    }

  private:
    void access(Act act, u32 linear, u32 size, u64 value, Privilege privilege) {
        const bool user = privilege == Privilege::User;
        const LinearAddress at(linear);
        Outcome expected;
        bool ok = true;
        switch (act) {
        case Act::Load:
            expected = reference_.load(linear, size, user);
            ok = load(at, size, privilege);
            break;
        case Act::Store:
            expected = reference_.store(linear, size, value, user);
            ok = store(at, size, value, privilege);
            break;
        case Act::Update:
            expected = reference_.update_begin(linear, size, user);
            ok = size == 1   ? mmu_.load_for_update<u8>(at, privilege).ok
                 : size == 2 ? mmu_.load_for_update<u16>(at, privilege).ok
                 : size == 4 ? mmu_.load_for_update<u32>(at, privilege).ok
                             : mmu_.load_for_update<u64>(at, privilege).ok;
            break;
        case Act::Finish:
            expected.ok = true;
            reference_.update_end(value);
            size == 1   ? mmu_.finish_update(static_cast<u8>(value))
            : size == 2 ? mmu_.finish_update(static_cast<u16>(value))
            : size == 4 ? mmu_.finish_update(static_cast<u32>(value))
                        : mmu_.finish_update(value);
            break;
        case Act::Probe:
            expected = reference_.probe(linear, size, user);
            ok = mmu_.probe_write(at, size, privilege).ok;
            break;
        default: {
            expected = reference_.fetch(linear, user);
            const auto fetched = mmu_.fetch(at, privilege);
            ok = fetched.ok;
            if (ok && fetched.value.value != expected.physical)
                mismatch_ = fmt::format("fetch from {:#x} leads elsewhere", linear);
        }
        }
        reference_.write_log.clear();
        compare(expected, ok, linear);
    }

    bool load(LinearAddress at, u32 size, Privilege privilege) {
        return size == 1   ? mmu_.load<u8>(at, privilege).ok
               : size == 2 ? mmu_.load<u16>(at, privilege).ok
               : size == 4 ? mmu_.load<u32>(at, privilege).ok
                           : mmu_.load<u64>(at, privilege).ok;
    }
    bool store(LinearAddress at, u32 size, u64 value, Privilege privilege) {
        return size == 1   ? mmu_.store(at, static_cast<u8>(value), privilege).ok
               : size == 2 ? mmu_.store(at, static_cast<u16>(value), privilege).ok
               : size == 4 ? mmu_.store(at, static_cast<u32>(value), privilege).ok
                           : mmu_.store(at, value, privilege).ok;
    }

    void compare(const Outcome& expected, bool ok, u32 linear) {
        const MmuCounters& counters = mmu_.counters();
        const PageFaultInfo& fault = mmu_.fault();
        if (ok != expected.ok ||
            (!ok && (fault.address.value != expected.fault_address || fault.error_code != expected.fault_code)))
            mismatch_ = fmt::format("access {} to {:#x}: outcome", accesses_, linear);
        if (counters.tlb_misses[0] != reference_.misses[0] || counters.tlb_misses[1] != reference_.misses[1] ||
            counters.dirty_walks != reference_.dirty_walks ||
            counters.permission_walks != reference_.permission_walks || counters.page_faults != reference_.faults ||
            counters.accessed_dirty_writes != reference_.accessed_dirty_writes)
            mismatch_ = fmt::format("access {} to {:#x}: counters", accesses_, linear);
    }

    PhysicalMemory memory_;
    Bus bus_;
    Tracer tracer_;
    Mmu mmu_;
    reference::ReferenceMmu reference_;
    std::string mismatch_;
    u64 accesses_ = 0;
};

class RecordedStreams : public testing::TestWithParam<std::string> {};

TEST_P(RecordedStreams, OfForkAndShellAgreeWithTheReference) {
    MachineConfig config;
    const auto kernel = *embedded_kernel("lunaix");
    const auto initrd = embedded_initrd();
    config.kernel = SharedBytes::copy_of(kernel);
    config.modules = {{"initrd.tar", SharedBytes::copy_of(initrd)}};
    config.command_line = "run=forkdemo --child 20 --parent 3; ls bin | wc; cowtest";
    config.ram_bytes = kRam;
    // The built-in guest needs INVLPG: what it asks of an i486 is asked of the i386's TLB.
    config.cpu = GetParam() == "i386" ? CpuModel::I486 : find_model(GetParam())->number;
    auto machine = Machine::create(std::move(config));
    ASSERT_TRUE(machine.ok());
    Follower follower(setup_named(GetParam()));
    (*machine)->mmu().set_recorder(&follower);
    StopKind cause = StopKind::Requested;
    while (cause == StopKind::Requested)
        cause = (*machine)->run({}).kind;
    EXPECT_EQ(cause, StopKind::Exit);
    EXPECT_EQ(follower.mismatch(), "");
    EXPECT_TRUE(follower.memory_agrees());
    EXPECT_GT(follower.accesses(), 2'000'000u);
    RecordProperty("accesses", std::to_string(follower.accesses()));
    for (const auto transition : {reference::kPermissionFault, reference::kDirtyWalk, reference::kFaultDropsEntry,
                                  reference::kEvictData, reference::kInvlpgDrops})
        EXPECT_GT(follower.seen()[transition], 0u) << reference::kTransitionNames[transition];
    (*machine)->mmu().set_recorder(nullptr);
}

INSTANTIATE_TEST_SUITE_P(On, RecordedStreams, testing::Values("i386", "i486", "pentium", "p6"),
                         [](const auto& name) { return name.param; });

} // namespace
} // namespace forkscope
