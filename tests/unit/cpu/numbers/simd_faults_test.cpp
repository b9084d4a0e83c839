// What refuses MMX and SSE instructions, and what their exceptions leave behind, seen from a small program in real
// mode; FXSAVE's image.
#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

#include "cpu/cpu.hpp"
#include "cpu/decode/decoder.hpp"
#include "cpu/execute/dispatch.hpp"
#include "emu/base/random.hpp"

namespace forkscope::test {
namespace {

constexpr u32 kCode = 0x7C00;
constexpr u32 kData = 0x2000;
constexpr u16 kHandlers = 0x1000; // the segment with a loop for each vector, 16 bytes apart
constexpr u8 kLoop[] = {0xEB, 0xFE};
constexpr int kNothing = -1;

class SimdFaults : public ::testing::Test {
  protected:
    SimdFaults() : memory_(u64{1} << 20), mmu_(memory_, bus_, tracer_), cpu_(mmu_, bus_, tracer_) {
        for (u32 vector = 0; vector < 32; ++vector) {
            const u32 entry = u32{kHandlers} << 16 | vector * 16;
            std::memcpy(host(4 * vector), &entry, 4);
            std::memcpy(host(16 * kHandlers + 16 * vector), kLoop, sizeof(kLoop));
        }
        set_control(kCr0Et | kCr0Ne, kCr4OsFxsr | kCr4OsXmmExcpt);
        state().x87.initialise();
    }
    u8* host(u32 address) { return memory_.host(PhysicalAddress(address)); }
    CpuState& state() { return state_; } // as the next run finds it, and as it was left
    void set_control(u32 cr0, u32 cr4) {
        state_.cr0 = cr0;
        state_.cr4 = cr4;
    }

    // Runs one instruction with BX and DI at kData: the vector that it raised, or kNothing.
    int run(std::vector<u8> bytes) {
        bytes.insert(bytes.end(), std::begin(kLoop), std::end(kLoop));
        EXPECT_TRUE(mmu_.poke_physical(PhysicalAddress(kCode), bytes));
        state_.segments[kCs] = state_.segments[kDs];
        state_.eip = kCode;
        state_.set_reg<u32>(kEsp, 0x7000);
        state_.set_reg<u32>(kEbx, data_);
        state_.set_reg<u32>(kEdi, data_);
        state_.set_eflags(kFlagFixed);
        cpu_.set_state(state_);
        cpu_.run_until(cpu_.now() + 1000, cpu_.instructions() + 2);
        state_ = cpu_.state();
        if (state().segments[kCs].selector != kHandlers)
            return kNothing;
        u16 pushed = 0;
        std::memcpy(&pushed, host(0x7000 - 6), 2);
        EXPECT_EQ(pushed, kCode) << "the exception does not point to the instruction";
        return static_cast<int>(state().eip / 16);
    }

    Bus bus_;
    Tracer tracer_;
    PhysicalMemory memory_;
    Mmu mmu_;
    Cpu cpu_;
    CpuState state_ = cpu_.state();
    u32 data_ = kData;
};

const std::vector<u8> kPaddb = {0x0F, 0xFC, 0xC1}; // paddb mm0, mm1
const std::vector<u8> kEmms = {0x0F, 0x77};
const std::vector<u8> kAddps = {0x0F, 0x58, 0xC1};          // addps xmm0, xmm1
const std::vector<u8> kAddpsMemory = {0x0F, 0x58, 0x07};    // addps xmm0, [bx]
const std::vector<u8> kPaddbXmm = {0x66, 0x0F, 0xFC, 0xC1}; // paddb xmm0, xmm1
const std::vector<u8> kMovups = {0x0F, 0x10, 0x07};         // movups xmm0, [bx]
const std::vector<u8> kMovupsStore = {0x0F, 0x11, 0x07};    // movups [bx], xmm0
const std::vector<u8> kMovapsStore = {0x0F, 0x29, 0x07};    // movaps [bx], xmm0
const std::vector<u8> kDivss = {0xF3, 0x0F, 0x5E, 0xC1};    // divss xmm0, xmm1
const std::vector<u8> kLdmxcsr = {0x0F, 0xAE, 0x17};
const std::vector<u8> kStmxcsr = {0x0F, 0xAE, 0x1F};
const std::vector<u8> kFxsave = {0x0F, 0xAE, 0x07};
const std::vector<u8> kFxrstor = {0x0F, 0xAE, 0x0F};
const std::vector<u8> kMovd2q = {0xF2, 0x0F, 0xD6, 0xC1}; // movdq2q mm0, xmm1
const std::vector<u8> kCvtpi2ps = {0x0F, 0x2A, 0xC1};     // cvtpi2ps xmm0, mm1
const std::vector<u8> kMovnti = {0x0F, 0xC3, 0x07};
const std::vector<u8> kMaskmovq = {0x0F, 0xF7, 0xC1};
const std::vector<std::vector<u8>> kAlwaysThere = {
    kMovnti,     {0x0F, 0x18, 0x0F}, {0x0F, 0xAE, 0xE8}, {0x0F, 0xAE, 0xF0}, {0x0F, 0xAE, 0xF8}, {0x0F, 0xAE, 0x3F},
    {0xF3, 0x90}}; // MOVNTI, PREFETCHT0, LFENCE, MFENCE, SFENCE, CLFLUSH, PAUSE

TEST_F(SimdFaults, LeavesNothingUndoneByDefault) {
    for (const auto& bytes : {kPaddb, kEmms, kAddps, kAddpsMemory, kPaddbXmm, kMovups, kMovupsStore, kMovapsStore,
                              kLdmxcsr, kStmxcsr, kFxsave, kFxrstor, kMovd2q, kCvtpi2ps})
        EXPECT_EQ(run(bytes), kNothing);
}

TEST_F(SimdFaults, TakesEmulationForUndefinedOpcodeBeforeAnythingElse) {
    for (const u32 more : {u32{0}, u32{kCr0Ts}}) {
        set_control(kCr0Et | kCr0Ne | kCr0Em | more, kCr4OsFxsr);
        for (const auto& bytes : {kPaddb, kEmms, kAddps, kPaddbXmm, kMovups, kLdmxcsr, kStmxcsr, kMovd2q, kCvtpi2ps})
            EXPECT_EQ(run(bytes), kInvalidOpcode);
        for (const auto& bytes : {kFxsave, kFxrstor})
            EXPECT_EQ(run(bytes), kDeviceNotAvailable);
        for (const auto& bytes : kAlwaysThere)
            EXPECT_EQ(run(bytes), kNothing);
    }
}

TEST_F(SimdFaults, RaisesDeviceNotAvailableAfterATaskSwitch) {
    set_control(kCr0Et | kCr0Ne | kCr0Ts, kCr4OsFxsr);
    for (const auto& bytes :
         {kPaddb, kEmms, kAddps, kPaddbXmm, kMovups, kLdmxcsr, kStmxcsr, kMovd2q, kCvtpi2ps, kFxsave, kFxrstor})
        EXPECT_EQ(run(bytes), kDeviceNotAvailable);
    for (const auto& bytes : kAlwaysThere)
        EXPECT_EQ(run(bytes), kNothing);
}

TEST_F(SimdFaults, WantsTheSystemsSupportForSseButNotForMmx) {
    for (const u32 more : {u32{0}, u32{kCr0Ts}}) {
        set_control(kCr0Et | kCr0Ne | more, 0);
        for (const auto& bytes : {kAddps, kPaddbXmm, kMovups, kLdmxcsr, kStmxcsr, kMovd2q, kCvtpi2ps})
            EXPECT_EQ(run(bytes), kInvalidOpcode);
        for (const auto& bytes : {kPaddb, kEmms, kFxsave, kFxrstor})
            EXPECT_EQ(run(bytes), more != 0 ? int{kDeviceNotAvailable} : kNothing);
        for (const auto& bytes : kAlwaysThere)
            EXPECT_EQ(run(bytes), kNothing);
    }
}

TEST_F(SimdFaults, WantsVectorsInMemoryAlignedUnlessToldOtherwise) {
    data_ = kData + 8;
    const Vector128 old = state().xmm[0] = {1, 2};
    std::memset(host(kData), 0x55, 32);
    for (const auto& bytes : {kAddpsMemory, kMovapsStore, kFxsave, kFxrstor})
        EXPECT_EQ(run(bytes), kGeneralProtection);
    EXPECT_EQ(state().xmm[0], old);
    EXPECT_EQ(*host(kData + 8), 0x55);
    EXPECT_EQ(run(kMovupsStore), kNothing);
    EXPECT_EQ(*host(kData + 8), 1);
    EXPECT_EQ(*host(kData + 16), 2);
    EXPECT_EQ(run(kMovups), kNothing);
}

TEST_F(SimdFaults, ReadsScalarsAndHalvesWhereverTheyLie) {
    data_ = kData + 3;
    for (const std::vector<u8>& bytes : std::initializer_list<std::vector<u8>>{{0xF3, 0x0F, 0x58, 0x07},
                                                                               {0xF2, 0x0F, 0x58, 0x07},
                                                                               {0x0F, 0x12, 0x07},
                                                                               {0x0F, 0x17, 0x07},
                                                                               {0xF3, 0x0F, 0x7E, 0x07},
                                                                               {0x0F, 0x5A, 0x07},
                                                                               {0x0F, 0x2F, 0x07},
                                                                               {0x0F, 0xFC, 0x07}})
        EXPECT_EQ(run(bytes), kNothing);
}

TEST_F(SimdFaults, StoresNothingOfAVectorThatIsPartlyBeyondTheLimit) {
    data_ = 0xFFF4;
    std::memset(host(0xFFF0), 0x55, 16);
    state().xmm[0] = {1, 2};
    EXPECT_EQ(run(kMovupsStore), kGeneralProtection);
    EXPECT_EQ(run(kMovups), kGeneralProtection);
    EXPECT_EQ(*host(0xFFF4), 0x55);
    EXPECT_EQ(state().xmm[0], (Vector128{1, 2}));
}

TEST_F(SimdFaults, ReportsAPendingX87ExceptionBeforeMmxButNotBeforeSse) {
    state().x87.set_control_word(0x037E);
    state().x87.status = kFloatInvalid;
    state().x87.top = 5;
    for (const auto& bytes : {kPaddb, kEmms, kMovd2q, kCvtpi2ps})
        EXPECT_EQ(run(bytes), kFloatingPoint);
    EXPECT_EQ(state().x87.top, 5);
    for (const auto& bytes : {kAddps, kPaddbXmm, kFxsave, kStmxcsr})
        EXPECT_EQ(run(bytes), kNothing);
}

TEST_F(SimdFaults, FillsTheStackWithMmxAndEmptiesItWithEmms) {
    state().x87.top = 3;
    EXPECT_EQ(run(kPaddb), kNothing);
    EXPECT_EQ(state().x87.top, 0);
    EXPECT_EQ(state().x87.occupied, 0xFF);
    EXPECT_EQ(state().x87.registers[0].sign_exponent, 0xFFFF);
    EXPECT_EQ(run(kEmms), kNothing);
    EXPECT_EQ(state().x87.occupied, 0);
}

TEST_F(SimdFaults, RaisesItsOwnExceptionIfTheSystemKnowsItAndKeepsTheDestination) {
    const Vector128 one = {0x3F800000, 0};
    for (const bool known : {true, false}) {
        set_control(kCr0Et | kCr0Ne, known ? kCr4OsFxsr | kCr4OsXmmExcpt : kCr4OsFxsr);
        state().xmm[0] = one;
        state().xmm[1] = {};
        state().mxcsr = kMxcsrReset & ~(u32{kFloatZeroDivide} << kMxcsrMaskShift);
        EXPECT_EQ(run(kDivss), known ? kSimdFloatingPoint : kInvalidOpcode);
        EXPECT_EQ(state().xmm[0], one);
        EXPECT_EQ(state().mxcsr & kMxcsrFlags, u32{kFloatZeroDivide});
    }
    state().mxcsr = kMxcsrReset;
    EXPECT_EQ(run(kDivss), kNothing);
    EXPECT_EQ(state().xmm[0], (Vector128{0x7F800000, 0}));
}

TEST_F(SimdFaults, RefusesReservedBitsOfMxcsr) {
    for (u32 bit = 16; bit < 32; ++bit) {
        const u32 value = kMxcsrReset | 1u << bit;
        std::memcpy(host(kData), &value, 4);
        EXPECT_EQ(run(kLdmxcsr), kGeneralProtection);
        EXPECT_EQ(state().mxcsr, kMxcsrReset);
        std::memset(host(kData), 0, 512);
        std::memcpy(host(kData + 24), &value, 4);
        EXPECT_EQ(run(kFxrstor), kGeneralProtection);
        EXPECT_EQ(state().x87.control, X87State::kInitialControl);
    }
}

TEST_F(SimdFaults, ChecksTheWholeOperandWhateverTheMaskSelects) {
    for (const u64 mask : {u64{0x7F7F7F7F7F7F7F7F}, u64{0x80}}) {
        state().x87.registers[1].significand = mask;
        data_ = 0xFFFC; // eight bytes do not fit
        EXPECT_EQ(run(kMaskmovq), kGeneralProtection);
        data_ = 0xFFF8;
        EXPECT_EQ(run(kMaskmovq), kNothing);
    }
}

void fill_at_random(CpuState& state, Random& random) {
    for (Float80& number : state.x87.registers)
        number = {random.next(), static_cast<u16>(random.next())};
    for (Vector128& value : state.xmm)
        value = {random.next(), random.next()};
    state.x87.set_status_word(static_cast<u16>(random.next()) & 0x7F00);
    state.x87.set_control_word(static_cast<u16>(random.next()) | kFloatAll);
    state.x87.occupied = static_cast<u8>(random.next());
    state.x87.opcode = random.next() & 0x7FF;
    state.x87.instruction_offset = static_cast<u32>(random.next());
    state.x87.data_selector = static_cast<u16>(random.next());
    state.mxcsr = static_cast<u32>(random.next()) & kMxcsrAll;
}

bool same_float_state(const CpuState& a, const CpuState& b) {
    return a.x87.registers == b.x87.registers && a.x87.status_word() == b.x87.status_word() &&
           a.x87.control == b.x87.control && a.x87.occupied == b.x87.occupied && a.x87.opcode == b.x87.opcode &&
           a.x87.instruction_offset == b.x87.instruction_offset && a.x87.data_selector == b.x87.data_selector;
}

TEST_F(SimdFaults, RestoresWithFxrstorWhatFxsaveSaved) {
    Random random(3);
    for (int i = 0; i < 1000; ++i) {
        fill_at_random(state(), random);
        const CpuState saved = state();
        std::memset(host(kData), 0xAA, 512);
        ASSERT_EQ(run(kFxsave), kNothing);
        EXPECT_EQ(*host(kData + 288), 0xAA) << "reserved for software";
        fill_at_random(state(), random);
        ASSERT_EQ(run(kFxrstor), kNothing);
        ASSERT_TRUE(same_float_state(state(), saved));
        ASSERT_EQ(state().xmm, saved.xmm);
        ASSERT_EQ(state().mxcsr, saved.mxcsr);
    }
}

TEST_F(SimdFaults, LeavesXmmAloneWithoutTheSystemsSupport) {
    Random random(4);
    fill_at_random(state(), random);
    const CpuState saved = state();
    set_control(kCr0Et | kCr0Ne, 0);
    std::memset(host(kData), 0xAA, 512);
    ASSERT_EQ(run(kFxsave), kNothing);
    EXPECT_EQ(*host(kData + 160), 0xAA);
    fill_at_random(state(), random);
    const CpuState other = state();
    ASSERT_EQ(run(kFxrstor), kNothing);
    EXPECT_TRUE(same_float_state(state(), saved));
    EXPECT_EQ(state().xmm, other.xmm);
    EXPECT_EQ(state().mxcsr, other.mxcsr);
}

// --- Vectors in two pages, of which the second is not there.

class SimdPages : public SimdFaults {
  protected:
    static constexpr u32 kDirectory = 0x20000;
    static constexpr u32 kTable = 0x21000;
    static constexpr u32 kAbsent = 0x5000;

    SimdPages() {
        put(kDirectory, kTable | 7);
        for (u32 page = 0; page < 0x100; ++page)
            put(kTable + 4 * page, page * kPageSize == kAbsent ? 0 : page * kPageSize | 7);
        CpuState changed = state_;
        changed.cr0 = kCr0Pe | kCr0Et | kCr0Ne | kCr0Pg;
        changed.cr3 = kDirectory;
        SegmentFields flat;
        flat.limit = 0xFFFFF;
        flat.granular = flat.big = true;
        flat.access = kAccessPresent | kAccessNotSystem | kAccessReadWrite | kAccessAccessed;
        for (SegmentCache& segment : changed.segments)
            segment = SegmentCache::from(0x10, Descriptor::of(flat));
        cpu_.set_state(changed);
        context_.regs() = changed;
        std::memset(host(kAbsent - kPageSize), 0x55, kPageSize);
    }
    void put(u32 address, u32 value) { std::memcpy(host(address), &value, 4); }
    CpuState& state() { return context_.regs(); } // handlers are called directly

    // With EBX and EDI at `address`: did it fault?
    bool faults(std::vector<u8> bytes, u32 address) {
        state().set_reg<u32>(kEbx, address);
        state().set_reg<u32>(kEdi, address);
        bytes.back() = bytes.back() < 0xC0 ? static_cast<u8>((bytes.back() & 0x38) | kEbx) : bytes.back(); // [ebx]
        bytes.resize(15);
        Instruction in;
        EXPECT_EQ(decode(bytes, CodeMode{true}, in), DecodeStatus::Ok);
        return handler_of(in)(context_, in) == Step::Fault;
    }
    bool page_is_untouched() {
        const u8* page = host(kAbsent - kPageSize);
        return std::all_of(page, page + kPageSize, [](u8 byte) { return byte == 0x55; });
    }

    Context context_{mmu_, bus_, tracer_};
};

TEST_F(SimdPages, StoresAllOrNothing) {
    state().xmm[0] = state().xmm[1] = {~u64{0}, ~u64{0}};
    state().x87.registers[1].significand = ~u64{0};
    for (u32 inside = 1; inside < 16; ++inside) {
        EXPECT_TRUE(faults(kMovupsStore, kAbsent - inside));
        EXPECT_EQ(mmu_.fault().address.value, kAbsent);
        EXPECT_TRUE(faults({0x66, 0x0F, 0xF7, 0xC1}, kAbsent - inside)); // maskmovdqu xmm0, xmm1
        EXPECT_EQ(faults(kMaskmovq, kAbsent - inside), inside < 8);
        std::memset(host(kAbsent - inside), 0x55, inside); // where eight bytes did fit
    }
    for (u32 inside = 16; inside < 512; inside += 16)
        EXPECT_TRUE(faults(kFxsave, kAbsent - inside));
    EXPECT_TRUE(page_is_untouched());
    EXPECT_FALSE(faults(kFxsave, kAbsent - 512));
    EXPECT_FALSE(faults(kMovupsStore, kAbsent - 16));
}

// SDM 2B, MASKMOVQ, leaves it open.
TEST_F(SimdPages, AsksForAPageAlsoWhereTheMaskSelectsNothing) {
    state().xmm[1] = {};
    state().x87.registers[1].significand = 0;
    EXPECT_TRUE(faults({0x66, 0x0F, 0xF7, 0xC1}, kAbsent)); // maskmovdqu xmm0, xmm1
    EXPECT_TRUE(faults(kMaskmovq, kAbsent));
    EXPECT_FALSE(faults({0x66, 0x0F, 0xF7, 0xC1}, kAbsent - 16));
    EXPECT_FALSE(faults(kMaskmovq, kAbsent - 8));
    EXPECT_TRUE(page_is_untouched());
}

TEST_F(SimdPages, LoadsAllOrNothing) {
    state().xmm[0] = {1, 2};
    for (u32 inside = 1; inside < 16; ++inside) {
        EXPECT_TRUE(faults(kMovups, kAbsent - inside));
        EXPECT_EQ(mmu_.fault().address.value, kAbsent);
    }
    for (u32 inside = 16; inside < 512; inside += 16)
        EXPECT_TRUE(faults(kFxrstor, kAbsent - inside));
    EXPECT_EQ(state().xmm[0], (Vector128{1, 2}));
    EXPECT_FALSE(faults(kMovups, kAbsent - 16));
    EXPECT_EQ(state().xmm[0].low, 0x5555555555555555u);
}

#if defined(__x86_64__) && defined(__linux__)

// Our image goes through the host's registers and comes out the same, but for the pointers to the last instruction,
// which some processors save only with an exception pending, and the masks of MXCSR.
TEST_F(SimdFaults, WritesTheImageThatTheHostReads) {
    Random random(5);
    alignas(16) u8 theirs[512];
    alignas(16) u8 host_state[512];
    for (int i = 0; i < 1000; ++i) {
        fill_at_random(state(), random);
        std::memset(host(kData), 0, 512);
        ASSERT_EQ(run(kFxsave), kNothing);
        alignas(16) u8 ours[512];
        std::memcpy(ours, host(kData), 512);
        std::memset(theirs, 0, sizeof(theirs));
        asm volatile("fxsave %2\n\tfxrstor %1\n\tfxsave %0\n\tfxrstor %2" : "+m"(theirs), "+m"(ours), "+m"(host_state));
        ASSERT_EQ(std::memcmp(ours, theirs, 6), 0);
        ASSERT_EQ(std::memcmp(ours + 24, theirs + 24, 4), 0);
        ASSERT_EQ(std::memcmp(ours + 32, theirs + 32, 256), 0);
    }
}

#endif

} // namespace
} // namespace forkscope::test
