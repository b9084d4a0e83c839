// Clocks that the operands' values, the count or the level decide.
#include <string>

#include <gtest/gtest.h>

#include "cost_bench.hpp"
#include "cost_oracle.hpp"
#include "cpu/decode/decoder.hpp"
#include "tests/parameter_names.hpp"

namespace forkscope::test {
namespace {

constexpr CpuModel kTabled[] = {CpuModel::I386, CpuModel::I486, CpuModel::Pentium};

class CostOperands : public ::testing::TestWithParam<CpuModel> {
  protected:
    CostOperands() : bench(GetParam()) { bench.enter(BenchMode::Protected); }

    bool runs(const std::vector<u8>& bytes) {
        Instruction in;
        EXPECT_EQ(decode(bytes, CodeMode{true}, in), DecodeStatus::Ok);
        return model_of(GetParam()).runs(form_at(in.form).since);
    }
    // Runs it in 32-bit protected mode and compares with the oracle.
    void expect(const std::vector<u8>& bytes, const Circumstance& with, const std::string& what) {
        Instruction in;
        ASSERT_EQ(decode(bytes, CodeMode{true}, in), DecodeStatus::Ok);
        const u32 tabled = rule_clocks(cell_of(latency_row(in.form), GetParam()), GetParam(), in, with);
        const u32 prefix = GetParam() == CpuModel::I386 || in.repeats() ? 0 : in.prefixes;
        EXPECT_EQ(bench.cost(bytes), tabled + prefix) << what;
    }
    void set(u8 reg, u32 value) { bench.runner.edit().set_reg<u32>(reg, value); }
    void memory(u32 value) {
        bench.before_each = [this, value] { bench.runner.put32(CostBench::kData, value); };
    }

    CostBench bench;
};

constexpr u32 kMultipliers[] = {0,    1,    2,      3,      7,      8,          9,          0x7F,
                                0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};

Circumstance multiplied(u32 value, u32 width, bool is_signed) {
    const u32 kept = width == 32 ? value : value & ((1u << width) - 1);
    const bool negative = is_signed && (kept >> (width - 1)) != 0;
    const u64 magnitude = negative ? (u64{1} << width) - kept : kept;
    Circumstance with;
    with.multiplier = static_cast<u32>(magnitude);
    with.negative = negative;
    return with;
}

TEST_P(CostOperands, OfMultiplicationsAreByTheMultiplier) {
    for (const u32 value : kMultipliers) {
        set(kEcx, value);
        memory(value);
        const std::string what = "multiplier " + std::to_string(value);
        expect({0xF6, 0xE1}, multiplied(value, 8, false), "MUL CL, " + what);
        expect({0xF7, 0xE1}, multiplied(value, 32, false), "MUL ECX, " + what);
        expect({0x66, 0xF7, 0xE1}, multiplied(value, 16, false), "MUL CX, " + what);
        expect({0xF6, 0x23}, multiplied(value, 8, false), "MUL byte [EBX], " + what);
        expect({0xF7, 0x23}, multiplied(value, 32, false), "MUL dword [EBX], " + what);
        expect({0xF6, 0xE9}, multiplied(value, 8, true), "IMUL CL, " + what);
        expect({0xF7, 0xE9}, multiplied(value, 32, true), "IMUL ECX, " + what);
        expect({0x66, 0xF7, 0x2B}, multiplied(value, 16, true), "IMUL word [EBX], " + what);
        expect({0x0F, 0xAF, 0xD1}, multiplied(value, 32, true), "IMUL EDX, ECX, " + what);
        expect({0x0F, 0xAF, 0x13}, multiplied(value, 32, true), "IMUL EDX, [EBX], " + what);
    }
}

TEST_P(CostOperands, OfMultiplicationsByAnImmediateAreByThat) {
    for (const u32 value : kMultipliers) {
        const auto byte = [value](u32 number) { return static_cast<u8>(value >> 8 * number); };
        const std::string what = "multiplier " + std::to_string(value);
        expect({0x69, 0xD1, byte(0), byte(1), byte(2), byte(3)}, multiplied(value, 32, true), "IMUL by imm32, " + what);
        expect({0x6B, 0xD1, byte(0)}, multiplied(value, 8, true), "IMUL by imm8, " + what);
    }
}

TEST_P(CostOperands, OfBitScansAreByTheBitFound) {
    for (u32 bit = 0; bit <= 32; ++bit) {
        Circumstance with;
        with.multiplier = bit == 32 ? 0 : 1u << bit;
        set(kEcx, with.multiplier);
        memory(with.multiplier);
        const std::string what = "bit " + std::to_string(bit);
        expect({0x0F, 0xBC, 0xD1}, with, "BSF EDX, ECX, " + what);
        expect({0x0F, 0xBC, 0x13}, with, "BSF EDX, [EBX], " + what);
        expect({0x0F, 0xBD, 0xD1}, with, "BSR EDX, ECX, " + what);
        expect({0x0F, 0xBD, 0x13}, with, "BSR EDX, [EBX], " + what);
        with.multiplier &= 0xFFFF;
        expect({0x66, 0x0F, 0xBC, 0xD1}, with, "BSF DX, CX, " + what);
        expect({0x66, 0x0F, 0xBD, 0xD1}, with, "BSR DX, CX, " + what);
    }
}

TEST_P(CostOperands, OfRotatesThroughCarryAreByTheCount) {
    for (const u8 count : {0, 1, 2, 7, 16, 30, 31, 32, 33, 255}) {
        Circumstance with;
        with.count = count & 31;
        set(kEcx, count);
        const std::string what = "count " + std::to_string(count);
        expect({0xD3, 0xD2}, with, "RCL EDX, CL, " + what);
        expect({0xD2, 0x13}, with, "RCL byte [EBX], CL, " + what);
        expect({0xC1, 0xDA, count}, with, "RCR EDX, imm8, " + what);
        expect({0xC0, 0x1B, count}, with, "RCR byte [EBX], imm8, " + what);
    }
}

TEST_P(CostOperands, OfEnterAreByTheLevel) {
    set(kEbp, CodeRunner::kStack - 0x100);
    for (const u8 level : {0, 1, 2, 3, 15, 31})
        expect({0xC8, 0x10, 0x00, level}, {}, "ENTER 16, " + std::to_string(level));
}

TEST_P(CostOperands, OfCompareAndExchangeAreByEquality) {
    if (!runs({0x0F, 0xB1, 0x13}))
        GTEST_SKIP() << "the 386 has no CMPXCHG";
    for (const bool equal : {true, false}) {
        Circumstance with;
        with.holds = equal;
        set(kEax, 5);
        set(kEcx, equal ? 5 : 6);
        memory(equal ? 5 : 6);
        expect({0x0F, 0xB1, 0xD1}, with, "CMPXCHG ECX, EDX");
        expect({0x0F, 0xB1, 0x13}, with, "CMPXCHG [EBX], EDX");
        expect({0x0F, 0xB0, 0x13}, with, "CMPXCHG byte [EBX], DL");
    }
}

TEST_P(CostOperands, OfControlAndDebugRegistersAreByTheirNumber) {
    set(kEcx, bench.runner.cpu.state().cr0);
    expect({0x0F, 0x22, 0xC1}, {}, "MOV CR0, ECX");
    set(kEcx, 0);
    expect({0x0F, 0x22, 0xD1}, {}, "MOV CR2, ECX");
    expect({0x0F, 0x22, 0xD9}, {}, "MOV CR3, ECX");
    if (bench.runner.cpu.model().cr4 != 0) {
        EXPECT_EQ(bench.cost({0x0F, 0x22, 0xE1}), path_latency(CostPath::LoadCr4).pentium);
    }
    for (const u8 number : {0, 1, 2, 3, 6, 7}) {
        expect({0x0F, 0x21, static_cast<u8>(0xC1 | number << 3)}, {}, "MOV ECX, DR" + std::to_string(number));
        expect({0x0F, 0x23, static_cast<u8>(0xC1 | number << 3)}, {}, "MOV DR, ECX" + std::to_string(number));
    }
}

TEST_P(CostOperands, OfLimitsInPagesAreMoreOnThe386) {
    set(kEcx, CodeRunner::kTss2);
    const Cycles bytes = bench.cost({0x0F, 0x03, 0xD1});
    set(kEcx, CodeRunner::kData); // 4 GB
    EXPECT_EQ(bench.cost({0x0F, 0x03, 0xD1}), bytes + (GetParam() == CpuModel::I386 ? 5 : 0));
}

// n = 0, and on REP MOVS n = 1, have figures of their own.
struct StringForm {
    std::vector<u8> bytes;
    bool moves, compares; // REPE: it compares equal bytes all along
};
const StringForm kStringForms[] = {
    {{0xF3, 0xA4}, true, false},  {{0xF3, 0xA5}, true, false},  {{0xF3, 0xAA}, false, false},
    {{0xF3, 0xAB}, false, false}, {{0xF3, 0xAC}, false, false}, {{0xF3, 0xAD}, false, false},
    {{0xF3, 0xA6}, false, true},  {{0xF3, 0xA7}, false, true},  {{0xF3, 0xAE}, false, true},
    {{0xF3, 0xAF}, false, true},
};

TEST_P(CostOperands, OfRepeatedStringsAreByTheCount) {
    const u32 none[] = {5, 5, 6}, moved_once[] = {9, 13, 13};
    const auto model = static_cast<std::size_t>(GetParam());
    set(kEax, 0);
    for (const StringForm& form : kStringForms)
        for (const u32 count : {0u, 1u, 2u, 17u, 300u}) {
            set(kEcx, count);
            const std::string what = "REP " + std::to_string(form.bytes[1]) + ", n = " + std::to_string(count);
            Circumstance with;
            with.count = count;
            if (count == 0)
                EXPECT_EQ(bench.cost(form.bytes), none[model]) << what;
            else if (count == 1 && form.moves)
                EXPECT_EQ(bench.cost(form.bytes), moved_once[model]) << what;
            else
                expect(form.bytes, with, what);
        }
}

TEST_P(CostOperands, OfComparisonsAreByTheElementsThatWereCompared) {
    bench.before_each = [this] { bench.runner.put32(CostBench::kTarget + 6, 0x55); };
    set(kEax, 0x55);
    set(kEcx, 100);
    Circumstance with;
    with.count = 7;
    expect({0xF2, 0xAE}, with, "REPNE SCASB");
    expect({0xF3, 0xA6}, with, "REPE CMPSB");
}

INSTANTIATE_TEST_SUITE_P(EachModel, CostOperands, ::testing::ValuesIn(kTabled), ::testing::PrintToStringParamName());

TEST(CostOperandsOfTheP6, AreByClass) {
    CostBench bench(CpuModel::P6);
    bench.enter(BenchMode::Protected);
    for (const u32 count : {0u, 1u, 2u, 17u}) {
        bench.runner.edit().set_reg<u32>(kEcx, count);
        EXPECT_EQ(bench.cost({0xF3, 0xAA}), 8 + count) << "REP STOSB";
        EXPECT_EQ(bench.cost({0xF3, 0xA4}), 8 + count) << "REP MOVSB";
        EXPECT_EQ(bench.cost({0xF7, 0xE1}), 4u) << "MUL ECX";
    }
}

} // namespace
} // namespace forkscope::test
