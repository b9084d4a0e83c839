// Every x87 instruction against this host's processor: the matrix of rounding, precision and operand classes, the whole
// state compared; and the short ways of float80_fast.hpp against the reference.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>

#include "cpu/numbers/float80_fast.hpp"
#include "x87_host.hpp"

namespace forkscope::test {
namespace {

bool is_long_run() { return std::getenv("FORKSCOPE_LONG") != nullptr; }

bool is_x87(const Form& form) { return form.map == 1 && (form.opcode & 0xF8) == 0xD8; }

// Instructions whose results may differ from the host's in the last place.
bool is_approximate(const Form& form) { return form.cost == CostClass::FloatFunction; }

bool moves_state(const Form& form) { return form.operands[0] == Operand::Menv || form.operands[0] == Operand::Mstate; }

bool same(const X87Machine& a, const X87Machine& b) {
    return a.x87.control == b.x87.control && a.x87.status == b.x87.status && a.x87.top == b.x87.top &&
           a.x87.occupied == b.x87.occupied && a.x87.registers == b.x87.registers && a.memory == b.memory &&
           a.flags == b.flags && a.ax == b.ax;
}

struct Tally {
    u64 forms = 0;
    u64 cases = 0;
    u64 different = 0;
};

// Calls `run(start, mine, theirs)` for every cell `rounds` times over and compares what it leaves.
template <class Run> void compare_cells(Tally& tally, const X87Instruction& instruction, u64 rounds, Run run) {
    const bool longer = moves_state(form_at(instruction.decoded().form));
    Random random(u64{instruction.decoded().form} * 8 + instruction.decoded().rm);
    u64 different = 0;
    for (u64 i = 0; i < rounds * kMatrixCells; ++i) {
        const X87Machine start = machine_in_cell(random, instruction, i);
        X87Machine mine = start;
        X87Machine theirs = start;
        run(start, mine, theirs);
        if (same(mine, theirs)) [[likely]]
            continue;
        if (++different <= 3)
            ADD_FAILURE() << instruction.text() << "\n  from " << describe(start, longer) << "\n  ours "
                          << describe(mine, longer) << "\n  theirs " << describe(theirs, longer);
    }
    tally.cases += rounds * kMatrixCells;
    tally.different += different;
}

// Every form, with ST(0), ST(1), ST(3) and ST(6) where a register is named, and both sizes where the operand size
// counts.
template <class Visit> u64 for_every_instruction(Visit visit) {
    u64 forms = 0;
    for (u16 form = 1; form < form_count(); ++form) {
        const Form& row = form_at(form);
        if (!is_x87(row) || is_approximate(row))
            continue;
        ++forms;
        const bool names_register = row.group < 0xC0 && (row.attributes & kMemoryOnly) == 0;
        for (const u8 rm : {0, 1, 3, 6})
            if (rm == 0 || names_register)
                visit(X87Instruction(form, rm), names_register ? 1 : 4);
        if (moves_state(row))
            visit(X87Instruction(form, 0, 2), 2);
    }
    return forms;
}

#ifdef FORKSCOPE_HAS_HOST_X87

// FCOMI and its kin clear C1 (SDM 2A, FCOMI, "FPU flags affected"); AMD's processors leave it.
void settle_fcomi(const X87Machine& start, X87Machine& theirs) {
    if ((theirs.x87.status & kX87C1) == (start.x87.status & kX87C1))
        theirs.x87.set_condition(0, kX87C1);
}

TEST(X87, DoesWhatTheHostDoesInEveryCellOfTheMatrix) {
    const u64 rounds = is_long_run() ? 150 : 4;
    X87Ours ours;
    ours.cpu().set_host_float(HostFloat::Never);
    Tally tally;
    tally.forms = for_every_instruction([&](const X87Instruction& instruction, u64 share) {
        const X87Host host(instruction);
        const bool is_fcomi = !form_at(instruction.decoded().form).flags.written.empty();
        compare_cells(tally, instruction, share * rounds,
                      [&](const X87Machine& start, X87Machine& mine, X87Machine& theirs) {
                          ours.run(instruction, mine);
                          host.run(theirs);
                          if (is_fcomi)
                              settle_fcomi(start, theirs);
                      });
    });
    std::printf("%llu forms, %llu cells each, %llu cases, %llu differences\n",
                static_cast<unsigned long long>(tally.forms), static_cast<unsigned long long>(kMatrixCells),
                static_cast<unsigned long long>(tally.cases), static_cast<unsigned long long>(tally.different));
    EXPECT_EQ(tally.different, 0u);
    EXPECT_GT(tally.forms, 100u);
}

#endif

TEST(X87, GivesTheSameWithTheHostsHelpAndWithout) {
    const u64 rounds = is_long_run() ? 10 : 1;
    X87Ours alone;
    alone.cpu().set_host_float(HostFloat::Never);
    X87Ours helped;
    helped.cpu().set_host_float(HostFloat::WhereExact);
    Tally tally;
    for_every_instruction([&](const X87Instruction& instruction, u64 share) {
        compare_cells(tally, instruction, share * rounds, [&](const X87Machine&, X87Machine& mine, X87Machine& theirs) {
            alone.run(instruction, mine);
            helped.run(instruction, theirs);
        });
    });
    EXPECT_EQ(tally.different, 0u);
}

using Operation = Float80 (*)(FloatContext&, Float80, Float80);
struct ShortWay {
    const char* name;
    Operation fast;
    Operation reference;
    bool takes_memory = true;
};
constexpr ShortWay kShortWays[] = {
    {"add", [](FloatContext& c, Float80 a, Float80 b) { return fast_add(c, a, b); }, float_add},
    {"subtract", [](FloatContext& c, Float80 a, Float80 b) { return fast_subtract(c, a, b); }, float_subtract},
    {"multiply", [](FloatContext& c, Float80 a, Float80 b) { return fast_multiply(c, a, b); }, float_multiply},
    {"square root", [](FloatContext& c, Float80 a, Float80) { return fast_square_root(c, a); },
     [](FloatContext& c, Float80 a, Float80) { return float_square_root(c, a); }, false},
};

TEST(Float80, ComesToTheSameByTheShortWayAndTheLong) {
    const u64 count = is_long_run() ? 5'000'000 : 300'000;
    for (const ShortWay& way : kShortWays) {
        Random random(7);
        u64 different = 0;
        for (u64 i = 0; i < count; ++i) {
            FloatContext context;
            context.rounding = static_cast<Rounding>(random.below(2) * random.below(4));
            context.precision = static_cast<Precision>(3 - random.below(2) * random.below(4));
            context.masked = random.chance(2) ? u8{kFloatAll} : static_cast<u8>(random.below(64));
            context.flagged = random.chance(2) ? u8{kFloatPrecision} : u8{0};
            context.host = HostFloat::WhereExact;
            context.denormal_operand = way.takes_memory && random.chance(16);
            const Float80 a = random_float(random);
            const Float80 b = random_float(random);
            FloatContext fast = context;
            FloatContext reference = context;
            const Float80 quick = way.fast(fast, a, b);
            const Float80 slow = way.reference(reference, a, b);
            const u8 new_flags = (fast.raised ^ reference.raised) & static_cast<u8>(~context.flagged);
            if (quick == slow && new_flags == 0 && fast.rounded_up == reference.rounded_up) [[likely]]
                continue;
            if (++different <= 3)
                ADD_FAILURE() << way.name << " of " << describe(a) << " and " << describe(b) << ": fast "
                              << describe(quick) << ", reference " << describe(slow);
        }
        EXPECT_EQ(different, 0u) << way.name;
    }
}

TEST(Float80, ComesToTheSameByTheShortWayToMemory) {
    const u64 count = is_long_run() ? 5'000'000 : 300'000;
    Random random(8);
    u64 different = 0;
    for (u64 i = 0; i < count; ++i) {
        FloatContext fast;
        fast.rounding = static_cast<Rounding>(random.below(2) * random.below(4));
        fast.masked = random.chance(2) ? u8{kFloatAll} : static_cast<u8>(random.below(64));
        FloatContext reference = fast;
        const Float80 number = random_float(random);
        const bool is_double = random.chance(2);
        const u64 quick = is_double ? fast_to_64(fast, number) : fast_to_32(fast, number);
        const u64 slow = is_double ? float_to_64(reference, number) : float_to_32(reference, number);
        const u64 bits = is_double ? random_double(random) : random_single(random);
        const Float80 loaded = is_double ? fast_from_64(fast, bits) : fast_from_32(fast, static_cast<u32>(bits));
        const Float80 expected =
            is_double ? float_from_64(reference, bits) : float_from_32(reference, static_cast<u32>(bits));
        if (quick == slow && loaded == expected && fast.raised == reference.raised &&
            fast.rounded_up == reference.rounded_up && fast.denormal_operand == reference.denormal_operand) [[likely]]
            continue;
        if (++different <= 3)
            ADD_FAILURE() << describe(number) << " to memory: " << std::hex << quick << ", reference " << slow << "; "
                          << bits << " from memory: " << describe(loaded) << ", reference " << describe(expected);
    }
    EXPECT_EQ(different, 0u);
}

} // namespace
} // namespace forkscope::test
