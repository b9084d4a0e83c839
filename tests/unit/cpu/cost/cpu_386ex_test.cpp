// Our i386 against captures of a real 386EX.
#include <algorithm>

#include <gtest/gtest.h>

#include "moo_file.hpp"
#include "tests/unit/cpu/code_runner.hpp"

namespace forkscope::test {
namespace {

constexpr u32 kBytes = 0x110000; // what real mode reaches

// The captures assume memory everywhere; ours has a gap for devices from 640 KB to 1 MB.
class GapMemory final : public IoHandler {
  public:
    static constexpr u32 kStart = 0xA0000, kSize = 0x60000;
    u32 io_read(u32 address, u32) override { return bytes[address]; }
    void io_write(u32 address, u32, u32 value) override { bytes[address] = static_cast<u8>(value); }
    std::vector<u8> bytes = std::vector<u8>(kSize);
};

constexpr u32 kGapEnd = GapMemory::kStart + GapMemory::kSize;

class Rig {
  public:
    explicit Rig(Way way) : memory_(u64{2} << 20), mmu_(memory_, bus_, tracer_), cpu_(mmu_, bus_, tracer_) {
        bus_.map_memory(PhysicalAddress(GapMemory::kStart), GapMemory::kSize, gap_, 1);
        cpu_.set_model(CpuModel::I386);
        cpu_.set_engine(way.engine);
        mmu_.set_fast_table(way.fast_table);
    }

    bool holds(const std::vector<u8>& image) {
        return std::equal(image.begin(), image.begin() + GapMemory::kStart, memory_.host(PhysicalAddress(0))) &&
               std::equal(gap_.bytes.begin(), gap_.bytes.end(), image.begin() + GapMemory::kStart) &&
               std::equal(image.begin() + kGapEnd, image.end(), memory_.host(PhysicalAddress(kGapEnd)));
    }

    // Runs the test to its HLT; all of memory is as `image` says before.
    void run(const MooTest& test, const std::vector<u8>& image) {
        std::copy_n(image.begin(), GapMemory::kStart, memory_.host(PhysicalAddress(0)));
        std::copy_n(image.begin() + GapMemory::kStart, GapMemory::kSize, gap_.bytes.begin());
        std::copy(image.begin() + kGapEnd, image.end(), memory_.host(PhysicalAddress(kGapEnd)));
        cpu_.reset();
        CpuState state = cpu_.state();
        const auto& from = test.before;
        constexpr MooRegister kGeneral[] = {kMooEax, kMooEcx, kMooEdx, kMooEbx, kMooEsp, kMooEbp, kMooEsi, kMooEdi};
        for (u8 i = 0; i < 8; ++i)
            state.set_reg<u32>(i, from[kGeneral[i]]);
        constexpr MooRegister kSegments[] = {kMooEs, kMooCs, kMooSs, kMooDs, kMooFs, kMooGs};
        for (u8 i = 0; i < kSegmentCount; ++i)
            state.segments[i] = SegmentCache::at_reset(static_cast<u16>(from[kSegments[i]]), from[kSegments[i]] << 4);
        state.eip = from[kMooEip];
        state.set_eflags(from[kMooEflags] & cpu_.model().eflags);
        cpu_.set_state(state);
        EXPECT_EQ(cpu_.run_until(kNever, cpu_.instructions() + 10), CpuStop::Halted) << test.name;
    }

    // In RG32's order. Bits of CR0 and EFLAGS that a 386 has not are those of the capture: a 386EX gives ones.
    std::array<u32, kMooRegisters> registers(const MooTest& test) const {
        const CpuState& state = cpu_.state();
        const auto reg = [&](u8 number) { return static_cast<u32>(state.gpr[number]); };
        const auto selector = [&](u8 number) { return u32{state.segments[number].selector}; };
        const u32 flags = cpu_.model().eflags;
        return {test.before[kMooCr0],
                state.cr3,
                reg(kEax),
                reg(kEbx),
                reg(kEcx),
                reg(kEdx),
                reg(kEsi),
                reg(kEdi),
                reg(kEbp),
                reg(kEsp),
                selector(kCs),
                selector(kDs),
                selector(kEs),
                selector(kFs),
                selector(kGs),
                selector(kSs),
                state.eip,
                (state.eflags() & flags) | (test.before[kMooEflags] & ~flags),
                state.dr[6],
                state.dr[7]};
    }

  private:
    GapMemory gap_;
    Bus bus_;
    Tracer tracer_;
    PhysicalMemory memory_;
    Mmu mmu_;
    Cpu cpu_;
};

TEST(Model386, DoesWhatA386ExDid) {
    const std::vector<MooTest> tests = read_moo_file(FORKSCOPE_TEST_DATA "/386ex-00.MOO");
    ASSERT_EQ(tests.size(), 500u);
    u32 exceptions = 0;
    for (const Way way : every_way()) {
        Rig rig(way);
        for (const MooTest& test : tests) {
            std::vector<u8> image(kBytes);
            for (const MooByte& byte : test.memory_before)
                image[byte.address] = byte.value;
            if (test.exception) { // its handler begins with HLT
                ++exceptions;
                const u32 vector = *test.exception * 4u;
                const u32 offset = image[vector] | image[vector + 1] << 8;
                const u32 segment = image[vector + 2] | image[vector + 3] << 8;
                image[segment * 16 + offset] = 0xF4;
            }
            rig.run(test, image);
            EXPECT_EQ(rig.registers(test), test.after) << test.number << ": " << test.name;
            for (const MooByte& byte : test.memory_after)
                image[byte.address] = byte.value;
            EXPECT_TRUE(rig.holds(image)) << test.number << ": " << test.name;
        }
    }
    EXPECT_EQ(exceptions, 2u * every_way().size());
}

} // namespace
} // namespace forkscope::test
