// What each model has and has not.
#include <gtest/gtest.h>

#include "code_runner.hpp"

namespace forkscope::test {
namespace {

constexpr CpuModel kModels[] = {CpuModel::I386, CpuModel::I486, CpuModel::Pentium, CpuModel::P6};

std::vector<int> with_hlt(std::vector<int> bytes) {
    bytes.push_back(0xF4);
    return bytes;
}

// The vector that the code raises, or -1.
int vector_of(CpuModel model, const std::vector<int>& bytes, u32 ecx = 0) {
    CodeRunner runner({Engine::Block, true}, model);
    runner.enter_protected_mode();
    runner.edit().set_reg<u32>(kEcx, ecx);
    runner.apply();
    runner.code(with_hlt(bytes));
    EXPECT_EQ(runner.run(), StopReason::Halted);
    return runner.log.empty() ? -1 : static_cast<int>(runner.log[0]);
}

TEST(CpuModels, TellTheirSignatureInEdxAtReset) {
    const u32 families[] = {3, 4, 5, 6};
    for (const CpuModel model : kModels) {
        CodeRunner runner({Engine::Block, true}, model);
        EXPECT_EQ(runner.reg(kEdx) >> 8, families[static_cast<u8>(model)]);
        EXPECT_EQ(runner.cpu.state().cr0, model == CpuModel::I386 ? 0x10u : 0x60000010u);
    }
}

// PUSHFD; POP EAX; XOR EAX, all; PUSH EAX; POPFD; PUSHFD; POP EAX; HLT
TEST(CpuModels, LetSoftwareToggleOnlyTheFlagsThatTheyHave) {
    const u32 expected[] = {0, kFlagAc | kFlagId, kFlagAc | kFlagId, kFlagAc | kFlagId};
    for (const CpuModel model : kModels) {
        CodeRunner runner({Engine::Block, true}, model);
        runner.enter_protected_mode();
        runner.code({0x9C, 0x58, 0x35, 0x00, 0x00, 0xFC, 0xFF, 0x50, 0x9D, 0x9C, 0x58, 0xF4});
        runner.run();
        EXPECT_EQ(runner.eax() & 0xFFFC0000u, expected[static_cast<u8>(model)]) << model_of(model).name;
    }
}

TEST(CpuModels, RaiseInvalidOpcodeForFormsOfLaterModels) {
    struct Case {
        std::vector<int> bytes;
        CpuModel first;
    };
    const Case cases[] = {
        {{0x0F, 0xC8}, CpuModel::I486},          // bswap eax
        {{0x0F, 0xA2}, CpuModel::I486},          // cpuid
        {{0x0F, 0x01, 0x38}, CpuModel::I486},    // invlpg [eax]
        {{0x0F, 0x31}, CpuModel::Pentium},       // rdtsc
        {{0x0F, 0xC7, 0x08}, CpuModel::Pentium}, // cmpxchg8b [eax]
        {{0x0F, 0x20, 0xE0}, CpuModel::Pentium}, // mov eax, cr4
        {{0x0F, 0x44, 0xC0}, CpuModel::P6},      // cmove eax, eax
        {{0x0F, 0x1F, 0x00}, CpuModel::P6},      // nop [eax]
    };
    for (const Case& c : cases) {
        for (const CpuModel model : kModels)
            EXPECT_EQ(vector_of(model, c.bytes), model >= c.first ? -1 : 6)
                << model_of(model).name << ": " << std::hex << c.bytes[1];
    }
}

TEST(CpuModels, KeepTheControlBitsThatTheyHave) {
    const u32 expected[] = {0x1F, 0x6005003F, 0x6005003F, 0x6005003F};
    for (const CpuModel model : kModels) {
        CodeRunner runner({Engine::Block, true}, model);
        runner.enter_protected_mode();
        // MOV EAX, 7FFFFFFF; MOV CR0, EAX; MOV EAX, CR0; HLT
        runner.code({0xB8, 0xFF, 0xFF, 0xFF, 0x7F, 0x0F, 0x22, 0xC0, 0x0F, 0x20, 0xC0, 0xF4});
        runner.run();
        EXPECT_EQ(runner.eax(), expected[static_cast<u8>(model)]) << model_of(model).name;
    }
    // CR4.PGE: MOV EAX, 80; MOV CR4, EAX
    EXPECT_EQ(vector_of(CpuModel::Pentium, {0xB8, 0x80, 0, 0, 0, 0x0F, 0x22, 0xE0}), 13);
    EXPECT_EQ(vector_of(CpuModel::P6, {0xB8, 0x80, 0, 0, 0, 0x0F, 0x22, 0xE0}), -1);
}

TEST(CpuModels, AnswerCpuidByTheirTable) {
    CodeRunner runner;
    runner.enter_protected_mode();
    runner.code({0x31, 0xC0, 0x0F, 0xA2, 0xF4}); // xor eax, eax; cpuid
    runner.run();
    EXPECT_EQ(runner.eax(), 2u);
    EXPECT_EQ(runner.reg(kEbx), 0x756E6547u);
    EXPECT_EQ(model_of(CpuModel::I486).cpuid(1).eax, 0x435u);
    const u32 pentium = model_of(CpuModel::Pentium).cpuid(1).edx;
    EXPECT_EQ(pentium & 0x1FFu, 0x1BFu) << "FPU VME DE PSE TSC MSR MCE CX8";
    EXPECT_EQ(pentium & (1u << 13 | 1u << 15), 0u);
    const u32 p6 = model_of(CpuModel::P6).cpuid(1).edx;
    EXPECT_EQ(p6 & (1u << 6 | 1u << 11 | 1u << 13 | 1u << 15), 1u << 11 | 1u << 13 | 1u << 15)
        << "SEP PGE CMOV, no PAE";
    // Above the highest leaf the highest answers.
    EXPECT_EQ(model_of(CpuModel::P6).cpuid(0x80000000).eax, model_of(CpuModel::P6).cpuid(2).eax);
}

TEST(CpuModels, KnowTheirModelSpecificRegisters) {
    const std::vector<int> rdmsr = {0x0F, 0x32};
    for (const u32 number : {0x10u, 0x0u})
        for (const CpuModel model : {CpuModel::Pentium, CpuModel::P6})
            EXPECT_EQ(vector_of(model, rdmsr, number), -1);
    EXPECT_EQ(vector_of(CpuModel::Pentium, rdmsr, 0x174), 13);
    EXPECT_EQ(vector_of(CpuModel::P6, rdmsr, 0x174), -1);
    EXPECT_EQ(vector_of(CpuModel::P6, rdmsr, 0x11), 13);
    EXPECT_EQ(vector_of(CpuModel::I486, rdmsr, 0x10), 6);
}

} // namespace
} // namespace forkscope::test
