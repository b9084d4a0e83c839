// What each model has and has not.
#include <gtest/gtest.h>

#include "code_runner.hpp"
#include "emu/base/log.hpp"

namespace forkscope::test {
namespace {

constexpr CpuModel kModels[] = {CpuModel::I386, CpuModel::I486, CpuModel::Pentium, CpuModel::P6};

std::vector<int> with_hlt(std::vector<int> bytes) {
    bytes.push_back(0xF4);
    return bytes;
}

// The vector that the code raises, or -1.
int vector_of(CpuModel model, const std::vector<int>& bytes, u32 ecx = 0) {
    CodeRunner runner({EngineKind::Block, true}, model);
    runner.enter_protected_mode();
    runner.edit().set_reg<u32>(kEcx, ecx);
    runner.apply();
    runner.code(with_hlt(bytes));
    EXPECT_EQ(runner.run(), CpuStop::Halted);
    return runner.log.empty() ? -1 : static_cast<int>(runner.log[0]);
}

TEST(CpuModels, StandInTheListAtTheirNumber) {
    for (std::size_t i = 0; i < all_models().size(); ++i) {
        const Model& model = *all_models()[i];
        EXPECT_EQ(static_cast<std::size_t>(model.number), i) << model.name;
        EXPECT_EQ(&model_of(model.number), &model);
        EXPECT_EQ(find_model(model.name), &model);
        EXPECT_TRUE(model.leaves.size() < 2 || model.leaves[1].eax == model.signature) << model.name;
    }
    EXPECT_EQ(find_model("8086"), nullptr);
    EXPECT_EQ(model_names("|"), "i386|i486|pentium|p6");
}

TEST(CpuModels, TellTheirSignatureInEdxAtReset) {
    const u32 families[] = {3, 4, 5, 6};
    for (const CpuModel model : kModels) {
        CodeRunner runner({EngineKind::Block, true}, model);
        EXPECT_EQ(runner.reg(kEdx) >> 8, families[static_cast<u8>(model)]);
        EXPECT_EQ(runner.cpu.state().cr0, model == CpuModel::I386 ? 0x10u : 0x60000010u);
    }
}

// PUSHFD; POP EAX; XOR EAX, all; PUSH EAX; POPFD; PUSHFD; POP EAX; HLT
TEST(CpuModels, LetSoftwareToggleOnlyTheFlagsThatTheyHave) {
    const u32 expected[] = {0, kFlagAc | kFlagId, kFlagAc | kFlagId, kFlagAc | kFlagId};
    for (const CpuModel model : kModels) {
        CodeRunner runner({EngineKind::Block, true}, model);
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
        CodeRunner runner({EngineKind::Block, true}, model);
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
    const u32 paging = 1u << 6 | 1u << 11 | 1u << 13 | 1u << 15 | 1u << 16 | 1u << 17;
    EXPECT_EQ(p6 & paging, paging) << "PAE SEP PGE CMOV PAT PSE-36";
    // Above the highest leaf the highest answers.
    EXPECT_EQ(model_of(CpuModel::P6).cpuid(3).eax, model_of(CpuModel::P6).cpuid(2).eax);
    EXPECT_EQ(model_of(CpuModel::P6).cpuid(0x80000005).eax, model_of(CpuModel::P6).cpuid(2).eax);
    EXPECT_EQ(model_of(CpuModel::Pentium).cpuid(0x80000000).eax, model_of(CpuModel::Pentium).cpuid(1).eax);
    EXPECT_EQ(model_of(CpuModel::P6).cpuid(0x80000000).eax, 0x80000004u);
    EXPECT_EQ(model_of(CpuModel::P6).cpuid(0x80000001).edx, 1u << 20) << "NX";
    EXPECT_EQ(model_of(CpuModel::P6).cpuid(0x80000002).eax, 0x65746E49u) << "Inte";
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
    EXPECT_EQ(vector_of(CpuModel::P6, rdmsr, 0xC0000080), -1);
    EXPECT_EQ(vector_of(CpuModel::Pentium, rdmsr, 0xC0000080), 13);
}

TEST(CpuModels, NameTheModelSpecificRegisterThatTheyRefuse) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(vector_of(CpuModel::Pentium, {0x0F, 0x32}, 0x8B), 13);
    spdlog::default_logger()->flush();
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("read model-specific register 0x8b"), std::string::npos) << said;
    EXPECT_NE(said.find("--cpu pentium"), std::string::npos) << said;
}

// MOV EAX, low; MOV EDX, high; WRMSR
std::vector<int> write_msr(u32 low, u32 high = 0) {
    std::vector<int> bytes = {0xB8, 0, 0, 0, 0, 0xBA, 0, 0, 0, 0, 0x0F, 0x30};
    for (u32 i = 0; i < 4; ++i) {
        bytes[1 + i] = static_cast<int>(low >> (8 * i) & 0xFF);
        bytes[6 + i] = static_cast<int>(high >> (8 * i) & 0xFF);
    }
    return bytes;
}

TEST(CpuModels, CheckWhatIsWrittenToEferAndPat) {
    EXPECT_EQ(vector_of(CpuModel::P6, write_msr(0x800), 0xC0000080), -1) << "NXE";
    EXPECT_EQ(vector_of(CpuModel::P6, write_msr(0x100), 0xC0000080), 13) << "there is no long mode";
    EXPECT_EQ(vector_of(CpuModel::P6, write_msr(0x07060504, 0x00010100), 0x277), -1);
    for (const u32 type : {2u, 3u, 8u})
        EXPECT_EQ(vector_of(CpuModel::P6, write_msr(0, type << 24), 0x277), 13) << "no memory type has this number";
    CodeRunner runner({EngineKind::Block, true}, CpuModel::P6);
    EXPECT_EQ(runner.cpu.state().model_registers[kPageAttributesSlot], kPageAttributesAtReset);
}

// MOV CR0/CR3/CR4 load the PDPTE registers, and refuse those with reserved bits before anything has changed.
TEST(CpuModels, RefuseToLoadBadPdptes) {
    const auto run = [](u32 pointer, const std::vector<int>& last) {
        CodeRunner runner({EngineKind::Block, true}, CpuModel::P6);
        runner.enter_protected_mode();
        runner.put32(0x8000, pointer);
        runner.put32(0x8004, 0);
        std::vector<int> bytes = {0xB8, 0x20, 0,    0, 0, 0x0F, 0x22, 0xE0,  // CR4.PAE
                                  0xB8, 0x00, 0x80, 0, 0, 0x0F, 0x22, 0xD8}; // CR3 = 8000H
        bytes.insert(bytes.end(), last.begin(), last.end());
        runner.code(with_hlt(bytes));
        runner.run();
        return runner.log.empty() ? -1 : static_cast<int>(runner.log[0]);
    };
    const std::vector<int> page = {0x0F, 0x20, 0xC0, 0x0D, 0, 0, 0, 0x80, 0x0F, 0x22, 0xC0}; // CR0.PG
    EXPECT_EQ(run(0x9001 | 2, {}), -1) << "without paging nothing is loaded";
    EXPECT_EQ(run(0x9001 | 2, page), 13);
    EXPECT_EQ(run(0x9001 | 0x20, page), 13);
    EXPECT_EQ(vector_of(CpuModel::Pentium, {0xB8, 0x20, 0, 0, 0, 0x0F, 0x22, 0xE0}), 13) << "no CR4.PAE";
}

} // namespace
} // namespace forkscope::test
