// Each row of latencies.def, run as a steady-state microbenchmark, costs what the oracle makes of it.
#include <algorithm>
#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include "cost_bench.hpp"
#include "cost_oracle.hpp"
#include "rows_not_run.hpp"
#include "tests/parameter_names.hpp"
#include "tests/unit/cpu/decode/form_encoder.hpp"

namespace forkscope::test {
namespace {

constexpr CpuModel kEveryModel[] = {CpuModel::I386, CpuModel::I486, CpuModel::Pentium, CpuModel::P6};

bool one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

bool names_operand(const Form& form, std::initializer_list<Operand> wanted) {
    return std::any_of(std::begin(form.operands), std::end(form.operands), [&](Operand operand) {
        return std::find(wanted.begin(), wanted.end(), operand) != wanted.end();
    });
}

bool condition_holds(u8 number, u32 flags) { // SDM 1, appendix B
    const bool c = (flags & 1) != 0, p = (flags & 4) != 0, z = (flags & 0x40) != 0, s = (flags & 0x80) != 0,
               o = (flags & 0x800) != 0;
    const bool even[] = {o, c, z, c || z, s, p, s != o, z || s != o};
    return even[number / 2 & 7] != ((number & 1) != 0);
}

// --- One form in one mode

struct Run {
    CpuModel model;
    BenchMode mode;
    u16 form;
    bool memory;
    u32 flags = 0; // arithmetic ones at the start
};

const MemoryOperand kAtData{kEbx, kNoRegister, 0, 0};

// SGDT and its kin: a base at a doubleword's start.
bool is_table_register(const Form& form) { return form.map == 2 && form.opcode == 1 && form.group <= 3; }
u32 data_of(const Form& form) { return CostBench::kData + (is_table_register(form) ? 2 : 0); }

// Immediates that let the instruction end where the bench expects it.
u32 immediate_for(const Form& form, const CostBench& bench) {
    if (form.port != Port::None)
        return CodeRunner::kLogPort;
    if (names_operand(form, {Operand::Ob, Operand::Ov}))
        return CostBench::kData;
    return names_operand(form, {Operand::Ap}) ? bench.away() : 4;
}

AddressBytes shortest(const std::vector<AddressBytes>& encodings) {
    return *std::min_element(encodings.begin(), encodings.end(),
                             [](const AddressBytes& a, const AddressBytes& b) { return a.size() < b.size(); });
}

Encoded instruction_of(const Run& run, const CostBench& bench) {
    const Form& form = form_at(run.form);
    static const AddressBytes kBytes[] = {shortest(encode_address(kAtData, 2)), shortest(encode_address(kAtData, 4))};
    Choice choice;
    choice.mode.default_32 = run.mode == BenchMode::Protected;
    choice.operand_size = choice.address_size = choice.mode.default_32 ? 4 : 2;
    choice.reg = names_operand(form, {Operand::Sw}) ? u8{kEs} : names_operand(form, {Operand::Td}) ? u8{6} : u8{kEdx};
    choice.rm = kEcx;
    choice.memory = run.memory ? &kAtData : nullptr;
    choice.address = &kBytes[choice.mode.default_32 ? 1 : 0];
    choice.immediate = immediate_for(form, bench);
    choice.immediate2 = form.mnemonic == "enter" ? u16{0} : CostBench::kRealCode;
    Encoded encoded = encode(run.form, choice);
    if (names_operand(form, {Operand::Jb, Operand::Jz})) {
        choice.immediate = CostBench::kAway - bench.lead() - static_cast<u32>(encoded.bytes.size());
        encoded = encode(run.form, choice);
    }
    return encoded;
}

// What the stack and the memory operand must hold for the instruction to run through.
void fill_memory(const Run& run, CostBench& bench) {
    const Form& form = form_at(run.form);
    const u32 size = run.mode == BenchMode::Real ? 2 : 4;
    const auto words = [&](u32 at, std::initializer_list<u32> values) {
        for (const u32 value : values) {
            size == 2 ? bench.runner.put16(at, static_cast<u16>(value)) : bench.runner.put32(at, value);
            at += size;
        }
    };
    words(CodeRunner::kStack - 0x200, {bench.away(), CostBench::kRealCode, 2});
    if (form.mnemonic == "popf")
        words(CodeRunner::kStack - 0x200, {2});
    words(CodeRunner::kStack - 0x100, {0});
    words(CostBench::kData, {bench.away(), CostBench::kRealCode, 0, 0, 0, 0, 0, 0});
    if (is_table_register(form)) {
        const u32 interrupts = run.mode == BenchMode::Protected ? CodeRunner::kIdt : 0;
        bench.runner.put16(data_of(form), form.group == 2 ? 0xFF : 0x3FF);
        bench.runner.put32(data_of(form) + 2, form.group == 2 ? CodeRunner::kGdt : interrupts);
    }
    if (form.mnemonic == "bound")
        words(CostBench::kData, {0, 0x7000});
    if (form.mnemonic == "ldmxcsr")
        bench.runner.put32(CostBench::kData, kMxcsrReset);
    const u16 selector = form.mnemonic == "lldt" ? CodeRunner::kLdt : CodeRunner::kTss2;
    if (one_of(form.mnemonic, {"lldt", "ltr", "lar", "lsl", "verr", "verw"}))
        bench.runner.put32(CostBench::kData, selector);
    if (run.mode == BenchMode::Protected)
        bench.runner.descriptor(CodeRunner::kTss2, CodeRunner::kTss2At, 0x67, 0x89); // LTR marks it busy
}

void set_registers(const Run& run, CostBench& bench) {
    const Form& form = form_at(run.form);
    CpuState& state = bench.runner.edit();
    state.set_eflags((state.eflags() & ~u32{kFlagsArithmetic}) | run.flags);
    const auto ecx = [&](u32 value) { state.set_reg<u32>(kEcx, value); };
    if (one_of(form.mnemonic, {"div", "idiv"}))
        state.set_reg<u32>(kEdx, 0);
    if (one_of(form.mnemonic, {"lldt"}))
        ecx(CodeRunner::kLdt);
    if (one_of(form.mnemonic, {"ltr", "lar", "lsl", "verr", "verw"}))
        ecx(CodeRunner::kTss2);
    if (one_of(form.mnemonic, {"rdmsr", "wrmsr"}))
        ecx(0x10);
    if (one_of(form.mnemonic, {"rdpmc", "jcxz", "lmsw"}) || names_operand(form, {Operand::Dd, Operand::Cd}))
        ecx(run.mode == BenchMode::Protected && form.mnemonic == "lmsw" ? 1 : 0);
    state.set_reg<u32>(kEbx, data_of(form));
    if (form.mnemonic == "sysexit")
        state.set_reg<u32>(kEdx, bench.away());
    state.sysenter = {CodeRunner::kCode, CodeRunner::kStack, bench.away()};
}

Circumstance circumstance_of(const Run& run, const Instruction& in, const CpuState& state) {
    const Form& form = form_at(run.form);
    Circumstance with;
    with.count = in.immediate & 31;
    if (names_operand(form, {Operand::Cl}))
        with.count = state.reg<u8>(kEcx) & 31;
    const bool by_immediate = names_operand(form, {Operand::Iz, Operand::Ibs});
    const u32 operand = static_cast<u32>(state.gpr[kEcx]);
    const u32 wide = in.operand_size == 2 ? operand & 0xFFFF : operand;
    with.multiplier = by_immediate ? in.immediate : form.operands[0] == Operand::Eb ? operand & 0xFF : wide;
    with.holds = condition_holds(in.form == 0 ? u8{0} : form.opcode & 15, run.flags);
    if (form.mnemonic == "cmpxchg")
        with.holds = false;
    if (one_of(form.mnemonic, {"jcxz", "loop"}))
        with.holds = true;
    if (form.mnemonic == "loope" || form.mnemonic == "loopne")
        with.holds = (form.mnemonic == "loope") == ((run.flags & kFlagZ) != 0);
    return with;
}

std::string where(const Run& run, const std::vector<u8>& bytes) {
    std::string text =
        std::string(model_of(run.model).name) + (run.mode == BenchMode::Real ? ", real: " : ", protected: ");
    for (const u8 byte : bytes) {
        char hex[4];
        std::snprintf(hex, sizeof hex, "%02X ", byte);
        text += hex;
    }
    return text + std::string(form_at(run.form).mnemonic);
}

void check(CostBench& bench, const Run& run) {
    bench.enter(run.mode);
    const Encoded encoded = instruction_of(run, bench);
    bench.before_each = [&] { fill_memory(run, bench); };
    set_registers(run, bench);
    const Circumstance with = circumstance_of(run, encoded.expected, bench.runner.edit());
    const Form& form = form_at(run.form);
    const Cycles found = form.mnemonic == "hlt" ? bench.cost_of_halting() : bench.cost(encoded.bytes);
    const u32 tabled = run.model == CpuModel::P6
                           ? estimated_latency(form.cost)
                           : rule_clocks(cell_of(latency_row(run.form), run.model), run.model, encoded.expected, with);
    EXPECT_EQ(found, tabled) << where(run, encoded.bytes);
}

// Register and memory form.
std::vector<bool> kinds_of(const Form& form) {
    if (!has_mod_rm(form) || ignores_mod(form) || form.group >= 0xC0 || (form.attributes & kRegisterOnly) != 0)
        return {false};
    if ((form.attributes & kMemoryOnly) != 0)
        return {true};
    return {false, true};
}

void check_every_form(CpuModel model, BenchMode mode) {
    CostBench bench(model);
    for (u16 number = 0; number < form_count(); ++number) {
        const Form& form = form_at(number);
        if (!model_of(model).runs(form.since) || not_run(form, model) != NotRun::No)
            continue;
        if (form.mnemonic == "invlpg" || (model == CpuModel::P6 && form.mnemonic.substr(0, 3) == "int"))
            continue;
        if (mode == BenchMode::Real ? needs_protected_mode(form) : has_path_in_protected_mode(form))
            continue;
        for (const bool memory : kinds_of(form))
            for (const u32 flags : {0u, u32{kFlagC | kFlagZ | kFlagS | kFlagP}, u32{kFlagO}})
                if (flags == 0 || !form.flags.read.empty())
                    check(bench, {model, mode, number, memory, form.mnemonic == "into" ? 0 : flags});
    }
}

class CostRows : public ::testing::TestWithParam<CpuModel> {};

TEST_P(CostRows, CostWhatTheTableSaysInRealMode) { check_every_form(GetParam(), BenchMode::Real); }

TEST_P(CostRows, CostWhatTheTableSaysInProtectedMode) { check_every_form(GetParam(), BenchMode::Protected); }

// These stay unmeasured; all others are run above.
TEST_P(CostRows, AreAllRunButForThoseThatFaultByDesign) {
    std::vector<std::string> expected{"(undefined)", "mov", "mov", "ud0", "ud1", "rsm", "ud2"};
    if (GetParam() < CpuModel::Pentium)
        expected = {"(undefined)", "ud0", "ud1", "ud2"};
    std::vector<std::string> found;
    for (u16 number = 0; number < form_count(); ++number) {
        const Form& form = form_at(number);
        if (!model_of(GetParam()).runs(form.since) || not_run(form, GetParam()) == NotRun::No)
            continue;
        found.emplace_back(form.mnemonic);
        if (number == 0)
            continue;
        CodeRunner runner({EngineKind::Block, true}, GetParam());
        runner.enter_protected_mode();
        std::vector<int> bytes{0x0F, form.opcode, 0xF0};
        runner.code(bytes);
        runner.run();
        EXPECT_EQ(runner.log, std::vector<u32>{kInvalidOpcode}) << form.mnemonic << " does not fault";
    }
    std::sort(found.begin(), found.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(found, expected);
}

INSTANTIATE_TEST_SUITE_P(EachModel, CostRows, ::testing::ValuesIn(kEveryModel), ::testing::PrintToStringParamName());

} // namespace
} // namespace forkscope::test
