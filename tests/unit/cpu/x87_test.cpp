// Every x87 instruction against this host's processor: random states, the whole state compared.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>

#include "x87_host.hpp"

namespace forkscope::test {
namespace {

bool is_long_run() {
    const char* value = std::getenv("FORKSCOPE_LONG");
    return value != nullptr && std::strcmp(value, "1") == 0;
}

bool is_x87(const Form& form) { return form.map == 1 && (form.opcode & 0xF8) == 0xD8; }

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    for (const std::string_view other : names)
        if (name == other)
            return true;
    return false;
}

// Instructions whose results may differ from the host's in the last place.
bool is_approximate(const Form& form) { return form.cost == CostClass::FloatFunction; }

// These move more than X87Machine holds.
bool moves_state(const Form& form) { return is_one_of(form.mnemonic, {"fldenv", "fnstenv", "frstor", "fnsave"}); }

#ifdef FORKSCOPE_HAS_HOST_X87

bool same(const X87Machine& a, const X87Machine& b) {
    return a.x87.control == b.x87.control && a.x87.status == b.x87.status && a.x87.top == b.x87.top &&
           a.x87.occupied == b.x87.occupied && a.x87.registers == b.x87.registers && a.memory == b.memory &&
           a.flags == b.flags && a.ax == b.ax;
}

// FCOMI and its kin clear C1 (SDM 2A, FCOMI, "FPU flags affected"); AMD's processors leave it.
void settle_fcomi(const X87Machine& start, X87Machine& theirs) {
    if ((theirs.x87.status & kX87C1) == (start.x87.status & kX87C1))
        theirs.x87.set_condition(0, kX87C1);
}

u64 compare_exactly(X87Ours& ours, u16 form, u8 rm, u64 count) {
    const X87Instruction instruction(form, rm);
    const X87Host host(instruction);
    Random random(u64{form} * 8 + rm);
    const bool is_fcomi = !form_at(form).flags_written.empty();
    u64 different = 0;
    for (u64 i = 0; i < count; ++i) {
        const X87Machine start = random_machine(random, instruction);
        X87Machine mine = start;
        X87Machine theirs = start;
        ours.run(instruction, mine);
        host.run(theirs);
        if (is_fcomi)
            settle_fcomi(start, theirs);
        if (same(mine, theirs)) [[likely]]
            continue;
        if (++different <= 3)
            ADD_FAILURE() << instruction.text() << "\n  from " << describe(start) << "\n  ours " << describe(mine)
                          << "\n  host " << describe(theirs);
    }
    if (different != 0)
        std::printf("%s: %llu of %llu differ\n", instruction.text().c_str(), static_cast<unsigned long long>(different),
                    static_cast<unsigned long long>(count));
    return different;
}

TEST(X87, DoesWhatTheHostDoesWithEveryFormInRandomStates) {
    const u64 count = is_long_run() ? 12'000'000 : 60'000;
    X87Ours ours;
    u32 forms = 0;
    for (u16 form = 1; form < form_count(); ++form) {
        const Form& row = form_at(form);
        if (!is_x87(row) || is_approximate(row) || moves_state(row))
            continue;
        ++forms;
        if (row.group >= 0xC0 || (row.attributes & kMemoryOnly) != 0) {
            compare_exactly(ours, form, 0, 2 * count);
            continue;
        }
        for (const u8 rm : {0, 1, 3, 6})
            compare_exactly(ours, form, rm, count / 2);
    }
    EXPECT_GT(forms, 100u);
}

#endif

} // namespace
} // namespace forkscope::test
