// String instructions: the host's, on host addresses, where all elements lie in recent pages, upwards, and what they
// cost in what is left of the budget. Accesses to recent pages change nothing in the TLB, however many they are; so
// nothing tells such a run from the handler's, element by element. All else is the handler's.
#include "cpu/engine/translator/block_translator.hpp"
#include "cpu/engine/translator/mutant.hpp"

namespace forkscope::translator {

using namespace asmjit;

namespace {

// Plan::number of the string instructions: the opcode's low bits.
constexpr u8 kMovs = 0x4, kCmps = 0x6, kStos = 0xA, kLods = 0xC, kScas = 0xE;

bool reads_source(u8 number) { return number == kMovs || number == kCmps || number == kLods; }
bool compares(u8 number) { return number == kCmps || number == kScas; }

} // namespace

void BlockTranslator::direction(const Plan& plan) {
    a_.mov(x86::r8, Imm(reinterpret_cast<u64>(around_.system_flags)));
    if (plan.number != 0)
        a_.or_(x86::dword_ptr(x86::r8), Imm(kFlagD));
    else
        a_.and_(x86::dword_ptr(x86::r8), Imm(~i64{kFlagD}));
    host_flags_ = 0;
}

// Where the handler runs the instruction, as things stand here.
Label BlockTranslator::slow_from_here(const Instruction& in) {
    Slow slow{a_.newLabel(), {}, false, &in, state_, pending_, 0, x87_last_, false};
    slow.takes_x87 = x87_taken_ && in.number < last_x87_;
    slow_.push_back(slow);
    return slow.entry;
}

void BlockTranslator::check_direction(const Label& slow) {
    a_.mov(x86::r8, Imm(reinterpret_cast<u64>(around_.system_flags)));
    a_.test(x86::dword_ptr(x86::r8), Imm(kFlagD));
    if (!TRANSLATOR_MUTANT(StringsGoUpwards))
        a_.long_().jnz(slow);
    host_flags_ = 0;
}

void BlockTranslator::string(const Instruction& in, const Plan& plan) {
    if (in.repeats())
        return repeated_string(in, plan);
    check_direction(slow_from_here(in));
    const auto move_on = [this, &plan](u8 reg) {
        writes_register(reg);
        a_.lea(gp(4, reg), x86::ptr(gp(4, reg).r64(), plan.size));
    };
    if (reads_source(plan.number)) {
        a_.mov(x86::r8d, x86::esi);
        access_at(in, plan.size, false);
        a_.mov(scratch(plan.size), operand_memory(plan.size));
    }
    if (plan.number == kLods) {
        writes_register(plan.size, kEax);
        a_.mov(gp(plan.size, kEax), scratch(plan.size));
        return move_on(kEsi);
    }
    if (plan.number == kMovs)
        a_.mov(field(offsetof(Frame, eip)), x86::r9d);
    a_.mov(x86::r8d, x86::edi);
    access_at(in, plan.size, true);
    if (plan.number == kMovs)
        a_.mov(x86::r9d, field(offsetof(Frame, eip)));
    a_.mov(operand_memory(plan.size), plan.number == kMovs ? scratch(plan.size) : gp(plan.size, kEax));
    if (plan.number == kMovs)
        move_on(kEsi);
    move_on(kEdi);
}

// What is to be added to the guest's address of ECX elements from `at` on, which lie in one page, into `addend`.
void BlockTranslator::string_addend(const x86::Gp& at, u8 size, bool writes, const x86::Gp& addend, const Label& slow) {
    a_.lea(x86::r10d, x86::ptr(at.r64(), x86::rcx, size / 2, -1));
    a_.and_(x86::r10d, Imm(-i64{kPageSize}));
    a_.mov(addend.r32(), at);
    a_.shr(addend.r32(), kSlotShift);
    a_.and_(addend.r32(), Imm(around_.data_mask * sizeof(RecentSlot)));
    const i32 tag = writes ? offsetof(RecentSlot, write_tag) : offsetof(RecentSlot, read_tag);
    a_.cmp(x86::r10d, x86::dword_ptr(x86::r13, addend, 0, tag));
    a_.long_().jne(slow);
    a_.mov(addend, x86::qword_ptr(x86::r13, addend, 0, offsetof(RecentSlot, addend)));
}

void BlockTranslator::repeated_string(const Instruction& in, const Plan& plan) {
    spill();
    known_ = false;
    const Label slow = slow_from_here(in);
    check_direction(slow);
    // None, or more than a page: two pages of one set could look like one.
    a_.lea(x86::r10d, x86::ptr(x86::rcx, -1));
    a_.cmp(x86::r10d, Imm(kPageSize / plan.size));
    a_.long_().jae(slow);
    const u32 cost = around_.meter->iteration_cost(in);
    a_.imul(x86::r10, x86::rcx, Imm(cost));
    a_.cmp(x86::r12, x86::r10);
    if (!TRANSLATOR_MUTANT(StringsIgnoreTime))
        a_.long_().jl(slow);
    const bool source = reads_source(plan.number);
    if (source)
        string_addend(x86::esi, plan.size, false, x86::r8, slow);
    string_addend(x86::edi, plan.size, !compares(plan.number), x86::r9, slow);
    a_.mov(x86::r10d, x86::ecx);
    if (source)
        a_.add(x86::rsi, x86::r8);
    a_.add(x86::rdi, x86::r9);
    emit_string(in, plan);
    if (compares(plan.number))
        record_comparison(plan);
    if (source) {
        a_.sub(x86::rsi, x86::r8);
        a_.mov(x86::esi, x86::esi);
    }
    a_.sub(x86::rdi, x86::r9);
    a_.mov(x86::edi, x86::edi);
    charge_iterations(cost);
}

void BlockTranslator::emit_string(const Instruction& in, const Plan& plan) {
    const bool while_equal = (in.flags & kHasRep) != 0;
    a_.db(compares(plan.number) && !while_equal ? 0xF2 : 0xF3);
    if (plan.size == 2)
        a_.db(0x66);
    a_.db(static_cast<u8>(0xA0 | plan.number | (plan.size == 1 ? 0 : 1)));
}

// Of the last elements: behind them.
void BlockTranslator::record_comparison(const Plan& plan) {
    const auto last = [&](const x86::Gp& at) { return x86::ptr(at, -i32{plan.size}, plan.size); };
    const auto store = [&](std::size_t offset, const x86::Gp& from) {
        a_.mov(field(static_cast<u32>(offset), plan.size), from);
    };
    static const x86::Gp sizes[] = {x86::r14b, x86::r14w, x86::r14d};
    const x86::Gp& value = sizes[plan.size / 2];
    if (plan.number == kCmps) {
        a_.mov(value, last(x86::rsi));
        store(offsetof(Frame, a), value);
    } else {
        store(offsetof(Frame, a), gp(plan.size, kEax));
    }
    a_.mov(value, last(x86::rdi));
    store(offsetof(Frame, b), value);
    if (!TRANSLATOR_MUTANT(StringFlagsLost))
        emit_record_word(flags_record(FlagsOf::Compare, plan.size));
}

// r10d: how many were asked for. ECX: how many are left.
void BlockTranslator::charge_iterations(u32 cost) {
    const CostMeter::RepeatPlaces places = around_.meter->repeat_places();
    a_.mov(x86::r8, Imm(reinterpret_cast<u64>(places.asked)));
    a_.mov(x86::dword_ptr(x86::r8), x86::r10d);
    a_.sub(x86::r10d, x86::ecx);
    a_.imul(x86::r10, x86::r10, Imm(cost));
    a_.sub(x86::r12, x86::r10);
    a_.mov(x86::r8, Imm(reinterpret_cast<u64>(places.charged)));
    a_.add(x86::qword_ptr(x86::r8), x86::r10);
}

} // namespace forkscope::translator
