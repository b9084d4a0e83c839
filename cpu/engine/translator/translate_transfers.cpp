// The end of a block: to a known address by an exit that the engine links, to others by the jump cache. Each checks
// that the fetch would change nothing in the TLB: within the page that is so, elsewhere the page's slot must be recent.
#include "cpu/engine/translator/block_translator.hpp"
#include "cpu/engine/translator/mutant.hpp"

namespace forkscope::translator {

using namespace asmjit;

namespace {

constexpr u32 kToBePatched = 0x5A5A5A5A; // of four bytes, and no frame

} // namespace

void BlockTranslator::prepare_link(u32 link, u32 target) {
    translation_.links[link] = {.from = &translation_, .target = target, .used = true};
}

void BlockTranslator::emit_page_check(u32 link, u32 target) {
    const u32 slot = ((target >> kPageShift) & around_.fetch_mask) * sizeof(RecentSlot);
    const i32 at = around_.fetches_from + static_cast<i32>(slot);
    a_.cmp(x86::dword_ptr(x86::r13, at + static_cast<i32>(offsetof(RecentSlot, read_tag))),
           immediate(target & ~kPageMask, 4));
    if (!TRANSLATOR_MUTANT(PageOfLinkUnchecked))
        a_.long_().jne(exits_[link].stub);
    a_.cmp(x86::dword_ptr(x86::r13, at + static_cast<i32>(offsetof(RecentSlot, physical))), Imm(kToBePatched));
    a_.bind(exits_[link].frame);
    if (!TRANSLATOR_MUTANT(PageOfLinkUnchecked))
        a_.long_().jne(exits_[link].stub);
}

void BlockTranslator::go_on(u32 link, u32 target) {
    prepare_link(link, target);
    if (!same_page(target))
        emit_page_check(link, target);
    a_.long_().jmp(exits_[link].stub);
    a_.bind(exits_[link].jump);
}

void BlockTranslator::jump_if(x86::CondCode condition, u32 link, u32 target) {
    prepare_link(link, target);
    if (same_page(target)) {
        a_.long_().j(condition, exits_[link].stub);
        a_.bind(exits_[link].jump);
    } else {
        exits_[link].checked_cold = true;
        a_.long_().j(condition, exits_[link].check);
    }
}

void BlockTranslator::branch(const Instruction& in, const Plan& plan) {
    const auto condition = static_cast<x86::CondCode>(plan.number);
    need_flags(condition_flags(plan.number));
    if (turns_at(in)) {
        turn_ = {a_.newLabel(), a_.newLabel(), a_.newLabel(), pending_};
        a_.long_().j(condition, turn_->top);
        spill();
        a_.long_().jmp(turn_->over);
        return;
    }
    if (turning_ && state_ == FlagState::Pending && pending_ == turn_->before) {
        a_.long_().j(condition, turn_->top);
        spill();
    } else {
        spill();
        jump_if(condition, 0, next_eip(in) + in.displacement);
    }
    if (turning_)
        a_.bind(turn_->over);
    go_on(1, next_eip(in));
}

// Kept small. A block that is killed while it turns is left, as every block that is running.
bool BlockTranslator::turns_at(const Instruction& in) const {
    constexpr u32 kMostInstructions = 24;
    return !turning_ && next_eip(in) + in.displacement == translation_.eip && state_ == FlagState::Pending &&
           translation_.block->count <= kMostInstructions;
}

void BlockTranslator::branch_counter(const Instruction& in, const Plan& plan) {
    spill();
    if (plan.number == 1)
        a_.lea(x86::ecx, x86::ptr(x86::rcx, -1));
    a_.test(x86::ecx, x86::ecx);
    jump_if(plan.number == 1 ? x86::CondCode::kNZ : x86::CondCode::kZ, 0, next_eip(in) + in.displacement);
    go_on(1, next_eip(in));
}

void BlockTranslator::call(const Instruction& in, const Plan& plan) {
    if (plan.shape == Shape::CallTo) {
        if (in.has_memory()) {
            access(in, 4, false);
            a_.mov(x86::r8d, operand_memory(4));
        } else {
            a_.mov(x86::r8d, gp(4, in.rm));
        }
        a_.mov(field(offsetof(Frame, eip)), x86::r8d);
    }
    a_.lea(x86::r8d, x86::ptr(x86::r15, -4));
    access_at(in, 4, true);
    push_slot(immediate(next_eip(in), 4));
    spill();
    if (plan.shape == Shape::Call)
        return go_on(0, next_eip(in) + in.displacement);
    a_.mov(x86::r8d, field(offsetof(Frame, eip)));
    go_to_eip_in_r8();
}

void BlockTranslator::jump_to(const Instruction& in, const Plan&) {
    if (in.has_memory()) {
        access(in, 4, false);
        a_.mov(x86::r8d, operand_memory(4));
    } else {
        a_.mov(x86::r8d, gp(4, in.rm));
    }
    spill();
    go_to_eip_in_r8();
}

void BlockTranslator::return_(const Instruction& in) {
    a_.mov(x86::r8d, x86::r15d);
    access_at(in, 4, false);
    a_.mov(x86::r8d, operand_memory(4));
    writes_register(kEsp);
    a_.lea(x86::r15d, x86::ptr(x86::r15, static_cast<i32>(4 + (in.immediate & 0xFFFF))));
    spill();
    go_to_eip_in_r8();
}

void BlockTranslator::go_to_eip_in_r8() {
    const Label miss = a_.newLabel();
    a_.mov(field(offsetof(Frame, eip)), x86::r8d);
    a_.mov(x86::r9d, x86::r8d);
    a_.and_(x86::r9d, Imm(kJumpCacheEntries - 1));
    a_.shl(x86::r9d, Imm(4));
    static_assert(sizeof(JumpCacheEntry) == 16);
    a_.mov(x86::r10, Imm(reinterpret_cast<u64>(around_.jump_cache)));
    a_.add(x86::r9, x86::r10);
    a_.cmp(x86::dword_ptr(x86::r9, offsetof(JumpCacheEntry, eip)), x86::r8d);
    a_.jne(miss);
    a_.mov(x86::r10d, x86::r8d);
    a_.shr(x86::r10d, Imm(kPageShift));
    a_.and_(x86::r10d, Imm(around_.fetch_mask));
    a_.shl(x86::r10d, Imm(5));
    static_assert(sizeof(RecentSlot) == 32);
    a_.and_(x86::r8d, Imm(-i64{kPageSize}));
    const auto slot = [&](std::size_t offset) {
        return x86::dword_ptr(x86::r13, x86::r10, 0, around_.fetches_from + static_cast<i32>(offset));
    };
    a_.cmp(slot(offsetof(RecentSlot, read_tag)), x86::r8d);
    if (!TRANSLATOR_MUTANT(PageOfJumpUnchecked))
        a_.jne(miss);
    a_.mov(x86::r8d, slot(offsetof(RecentSlot, physical)));
    a_.cmp(x86::dword_ptr(x86::r9, offsetof(JumpCacheEntry, physical)), x86::r8d);
    if (!TRANSLATOR_MUTANT(PageOfJumpUnchecked))
        a_.jne(miss);
    a_.jmp(x86::qword_ptr(x86::r9, offsetof(JumpCacheEntry, code)));
    a_.bind(miss);
    a_.xor_(x86::r8d, x86::r8d);
    a_.jmp(Imm(around_.exit_code));
}

} // namespace forkscope::translator
