// The block: liveness of flags, its frame of code, memory accesses, and the slow ways.
#include "cpu/engine/translator/block_translator.hpp"
#include "cpu/engine/translator/mutant.hpp"

namespace forkscope::translator {

using namespace asmjit;

BlockTranslator::BlockTranslator(const Surroundings& around, Translation& translation, u64 run_at)
    : around_(around), translation_(translation), run_at_(run_at) {
    code_.init(Environment::host(), run_at);
    code_.attach(&a_);
}

x86::Gp BlockTranslator::gp(u8 size, u8 reg) {
    static const x86::Gp wide[] = {x86::eax, x86::ecx, x86::edx, x86::ebx, x86::r15d, x86::ebp, x86::esi, x86::edi};
    static const x86::Gp half[] = {x86::ax, x86::cx, x86::dx, x86::bx, x86::r15w, x86::bp, x86::si, x86::di};
    static const x86::Gp byte[] = {x86::al, x86::cl, x86::dl, x86::bl, x86::ah, x86::ch, x86::dh, x86::bh};
    return size == 4 ? wide[reg] : size == 2 ? half[reg] : byte[reg];
}

x86::Gp BlockTranslator::scratch(u8 size) {
    static const x86::Gp sizes[] = {x86::r9b, x86::r9w, x86::r9d};
    return sizes[size / 2];
}

Imm BlockTranslator::immediate(u32 value, u8 size) {
    return Imm(size == 1   ? i64{static_cast<i8>(value)}
               : size == 2 ? i64{static_cast<i16>(value)}
                           : i64{static_cast<i32>(value)});
}

// What AH, CH, DH or BH hold cannot meet a register that came with x86-64 in one instruction.
HostOperand BlockTranslator::byte_safe(u8 size, u8 reg) {
    if (!high(size, reg))
        return gp(size, reg);
    a_.mov(field(offsetof(Frame, bounce), 1), gp(size, reg));
    return field(offsetof(Frame, bounce), 1);
}

std::optional<std::vector<u8>> BlockTranslator::translate(u32 memory_at) {
    const Block& block = *translation_.block;
    analyse();
    const bool all_handlers = std::all_of(plans_.begin(), plans_.begin() + block.count,
                                          [](const Plan& plan) { return plan.shape == Shape::Handler; });
    if (all_handlers)
        return std::nullopt;
    common_ = a_.newLabel();
    fill_ = a_.newLabel();
    deadline_ = a_.newLabel();
    for (ExitParts& exit : exits_)
        exit = {a_.newLabel(), a_.newLabel(), a_.newLabel(), a_.newLabel()};
    emit_entry(deadline_);
    emit_body();
    if (turn_)
        emit_turn();
    if (!ended_) {
        store_x87_last();
        spill();
        const Instruction& last = block.first[block.count - 1];
        go_on(0, next_eip(last));
    }
    aside_ = static_cast<u32>(a_.offset());
    emit_cold();
    if (code_.flatten() != kErrorOk || code_.resolveUnresolvedLinks() != kErrorOk ||
        code_.relocateToBase(run_at_) != kErrorOk || code_.hasUnresolvedLinks())
        return std::nullopt;
    std::vector<u8> bytes(code_.codeSize());
    if (code_.copyFlattenedData(bytes.data(), bytes.size()) != kErrorOk)
        return std::nullopt;
    translation_.entry_at = memory_at;
    translation_.size = static_cast<u32>(bytes.size());
    for (u32 i = 0; i < exits_.size(); ++i) {
        Link& link = translation_.links[i];
        if (!link.used)
            continue;
        link.jump_at = memory_at + static_cast<u32>(code_.labelOffset(exits_[i].jump)) - 4;
        link.stub_at = memory_at + static_cast<u32>(code_.labelOffset(exits_[i].stub));
        if (!same_page(link.target))
            link.frame_at = memory_at + static_cast<u32>(code_.labelOffset(exits_[i].frame)) - 4;
    }
    return bytes;
}

void BlockTranslator::emit_body() {
    const Block& block = *translation_.block;
    for (u32 number = 0; number < block.count;) {
        parts_.push_back({translation_.eip + block.first[number].offset, static_cast<u32>(a_.offset())});
        number += emit_instructions(number);
    }
}

void BlockTranslator::emit_turn() {
    turning_ = true;
    ended_ = false;
    x87_taken_ = false;
    state_ = live_at_start_ == 0 ? FlagState::Dead : FlagState::Pending;
    pending_ = turn_->before;
    known_ = false;
    host_flags_ = 0;
    a_.bind(turn_->top);
    emit_entry(turn_->deadline);
    emit_body();
}

// Plans, and which flags each instruction leaves that somebody may look at: a later instruction, whoever takes over at
// the end or at an instruction that may be slow.
void BlockTranslator::analyse() {
    const Block& block = *translation_.block;
    u32 live = kFlagsArithmetic;
    for (u32 number = block.count; number-- > 0;) {
        const Instruction& in = block.first[number];
        plans_[number] = plan_of(in);
        const Plan& plan = plans_[number];
        live_after_[number] = live;
        const FlagUse use = flag_use(in, plan);
        live = (live & ~use.sets) | use.reads;
        if (plan.shape == Shape::Handler || plan.accesses() || plan.is_x87())
            live = kFlagsArithmetic;
        if (plan.is_x87())
            last_x87_ = std::max(last_x87_, number);
    }
    live_at_start_ = live;
}

// r12: clocks before the code must leave, less one; negative: the block does not fit.
void BlockTranslator::emit_entry(const Label& deadline) {
    a_.sub(x86::r12, Imm(translation_.block->clocks));
    a_.long_().js(deadline);
    a_.add(x86::r11, Imm(translation_.block->count));
}

// One, or all that run by their handlers up to the next that does not. How many?
u32 BlockTranslator::emit_instructions(u32 number) {
    const auto by_handler = [this](u32 i) {
        return i < translation_.block->count && plans_[i].shape == Shape::Handler;
    };
    if (!by_handler(number)) {
        emit_instruction(number);
        return 1;
    }
    u32 end = number;
    while (by_handler(end))
        ++end;
    run_handlers(translation_.block->first[number], end - number);
    return end - number;
}

void BlockTranslator::emit_instruction(u32 number) {
    const Instruction& in = translation_.block->first[number];
    const Plan& plan = plans_[number];
    live_ = live_after_[number];
    const std::size_t first_slow = slow_.size();
    bool sets = false;
    if (plan.ends_block())
        store_x87_last();
    switch (plan.shape) {
    case Shape::Alu:
        alu(in, plan);
        sets = true;
        break;
    case Shape::Test:
        test(in, plan);
        sets = true;
        break;
    case Shape::IncDec:
        inc_dec(in, plan);
        sets = true;
        break;
    case Shape::Neg:
    case Shape::Not:
        neg_not(in, plan);
        sets = plan.shape == Shape::Neg;
        break;
    case Shape::Multiply:
    case Shape::MultiplyImmediate:
        multiply(in, plan);
        sets = true;
        break;
    case Shape::MultiplyWide:
        multiply_wide(in, plan);
        sets = true;
        break;
    default:
        emit_other(in, plan);
    }
    end_instruction(first_slow, sets);
    if (plan.shape == Shape::X87 && plan.accesses())
        note_x87_operand(in);
}

// Those that set no flags, or touch no memory where they do.
void BlockTranslator::emit_other(const Instruction& in, const Plan& plan) {
    switch (plan.shape) {
    case Shape::Move:
        return move(in, plan);
    case Shape::MoveImmediate:
        return move_immediate(in, plan);
    case Shape::MoveZero:
    case Shape::MoveSign:
        return move_extended(in, plan);
    case Shape::Lea:
        return lea(in, plan);
    case Shape::Exchange:
        return exchange(in, plan);
    case Shape::ShiftImmediate:
        return shift_immediate(in, plan);
    case Shape::ShiftCl:
        return shift_cl(in, plan);
    case Shape::Push:
    case Shape::PushImmediate:
    case Shape::PushMemory:
        return push(in, plan);
    case Shape::Pop:
        return pop(in, plan);
    case Shape::Leave:
        return leave(in);
    case Shape::SignExtend:
    case Shape::SignDistribute:
        return sign(plan);
    case Shape::Swap:
        writes_register(plan.reg);
        a_.bswap(gp(4, plan.reg));
        return;
    case Shape::Set:
        return set(in, plan);
    case Shape::ConditionalMove:
        return conditional_move(in, plan);
    case Shape::SetDirection:
        return direction(plan);
    case Shape::String:
        return string(in, plan);
    default:
        return plan.is_x87() ? x87(in, plan) : emit_transfer(in, plan);
    }
}

void BlockTranslator::emit_transfer(const Instruction& in, const Plan& plan) {
    ended_ = plan.ends_block();
    switch (plan.shape) {
    case Shape::Branch:
        return branch(in, plan);
    case Shape::BranchCounter:
        return branch_counter(in, plan);
    case Shape::Jump:
        spill();
        return go_on(0, next_eip(in) + in.displacement);
    case Shape::Call:
    case Shape::CallTo:
        return call(in, plan);
    case Shape::JumpTo:
        return jump_to(in, plan);
    case Shape::Return:
        return return_(in);
    default:
        return;
    }
}

// What the slow way leaves must be what the code behind counts on: the same flags, or none in the host's.
void BlockTranslator::end_instruction(std::size_t first_slow, bool sets_flags) {
    if (first_slow == slow_.size())
        return;
    End end{a_.newLabel(), false, {}};
    if (!ended_)
        a_.bind(end.resume);
    end.again = sets_flags && state_ == FlagState::Pending;
    end.after = pending_;
    if (!end.again)
        host_flags_ = 0;
    for (std::size_t i = first_slow; i < slow_.size(); ++i)
        slow_[i].end = static_cast<u32>(ends_.size());
    ends_.push_back(end);
}

// --- Memory

void BlockTranslator::address_of(const Instruction& in) {
    const auto wide = [](u8 reg) { return gp(4, reg).r64(); };
    const auto displacement = static_cast<i32>(in.displacement);
    if (in.base != kNoRegister && in.index != kNoRegister)
        a_.lea(x86::r8d, x86::ptr(wide(in.base), wide(in.index), in.scale, displacement));
    else if (in.base != kNoRegister)
        a_.lea(x86::r8d, x86::ptr(wide(in.base), displacement));
    else if (in.index != kNoRegister)
        a_.lea(x86::r8d, x86::ptr(static_cast<u64>(i64{displacement}), wide(in.index), in.scale));
    else
        a_.mov(x86::r8d, Imm(in.displacement));
}

void BlockTranslator::access(const Instruction& in, u32 size, bool writes) {
    address_of(in);
    access_at(in, size, writes);
}

// All of the access must lie in the page that the slot of its first byte's set holds.
void BlockTranslator::access_at(const Instruction& in, u32 size, bool writes) {
    Slow slow{a_.newLabel(), a_.newLabel(), writes, &in, state_, pending_, 0, x87_last_, false};
    slow.takes_x87 = x87_taken_ && in.number < last_x87_;
    slow.size = size;
    a_.mov(x86::r9d, x86::r8d);
    a_.shr(x86::r9d, kSlotShift);
    a_.and_(x86::r9d, Imm(around_.data_mask * sizeof(RecentSlot)));
    if (size > 1 && !TRANSLATOR_MUTANT(CrossingAccessStaysFast))
        a_.lea(x86::r10d, x86::ptr(x86::r8, static_cast<i32>(size - 1)));
    else
        a_.mov(x86::r10d, x86::r8d);
    a_.and_(x86::r10d, Imm(-i64{kPageSize}));
    const i32 tag = writes ? offsetof(RecentSlot, write_tag) : offsetof(RecentSlot, read_tag);
    a_.cmp(x86::r10d, x86::dword_ptr(x86::r13, x86::r9, 0, tag));
    a_.long_().jne(slow.entry);
    a_.add(x86::r8, x86::qword_ptr(x86::r13, x86::r9, 0, offsetof(RecentSlot, addend)));
    a_.bind(slow.granted);
    host_flags_ = 0;
    slow_.push_back(slow);
}

// `count` instructions, always by their handlers, whose flags are in the processor's state then.
void BlockTranslator::run_handlers(const Instruction& first, u32 count) {
    store_x87_last();
    x87_taken_ = false;
    spill();
    const Label resume = a_.newLabel();
    a_.mov(field(offsetof(Frame, handlers)), Imm(count));
    a_.mov(x86::r8, Imm(reinterpret_cast<u64>(&first)));
    a_.lea(x86::r9, x86::ptr(resume));
    a_.long_().jmp(common_);
    a_.bind(resume);
    state_ = FlagState::InFrame;
    known_ = false;
    host_flags_ = 0;
    if (first.number + count == translation_.block->count)
        ended_ = true; // the engine leaves behind the last one
}

// --- What is seldom run

void BlockTranslator::emit_cold() {
    if (turn_) {
        a_.bind(turn_->deadline);
        if (!TRANSLATOR_MUTANT(FlagsLostBetweenTurns))
            emit_record(turn_->before);
    }
    a_.bind(deadline_);
    a_.add(x86::r12, Imm(translation_.block->clocks));
    a_.mov(field(offsetof(Frame, eip)), immediate(translation_.eip, 4));
    a_.xor_(x86::r8d, x86::r8d);
    a_.jmp(Imm(around_.exit_code));
    for (const Slow& slow : slow_)
        emit_slow(slow);
    emit_x87_cold();
    a_.bind(common_);
    a_.mov(x86::r10, Imm(reinterpret_cast<u64>(&translation_)));
    a_.jmp(Imm(around_.slow_code));
    a_.bind(fill_);
    a_.mov(x86::r10, Imm(reinterpret_cast<u64>(&translation_)));
    a_.jmp(Imm(around_.fill_code));
    emit_exit_stubs();
}

void BlockTranslator::emit_slow(const Slow& slow) {
    const End& end = ends_[slow.end];
    a_.bind(slow.entry);
    if (slow.granted.isValid()) {
        a_.call(Imm(slow.writes ? around_.write_way_code : around_.read_way_code));
        a_.long_().jnz(slow.granted);
        emit_fill(slow, end);
    }
    if (slow.state == FlagState::Pending && !TRANSLATOR_MUTANT(FlagsLostOverSlow))
        emit_record(slow.pending);
    emit_x87_last(slow.x87_last);
    const Label behind = a_.newLabel();
    if (end.again) {
        // Of a comparison the result comes back, as one of its operands is known.
        const FlagsOf of = TRANSLATOR_MUTANT(WrongRecordExpected) ? FlagsOf::Logic
                           : end.after.of == FlagsOf::Compare     ? FlagsOf::Sub
                                                                  : end.after.of;
        a_.mov(field(offsetof(Frame, expected)), Imm(flags_record(of, end.after.size)));
    }
    a_.mov(x86::r8, Imm(reinterpret_cast<u64>(slow.in)));
    a_.lea(x86::r9, x86::ptr(behind));
    if (plans_[slow.in->number].shape == Shape::String && slow.in->repeats())
        a_.mov(field(offsetof(Frame, may_pass_end)), Imm(1));
    a_.long_().jmp(common_);
    a_.bind(behind);
    if (slow.takes_x87)
        take_x87_again(*slow.in);
    if (end.again && end.after.of == FlagsOf::Compare)
        emit_compared(end.after);
    if (end.again)
        emit_again(end.after);
    if (code_.isLabelBound(end.resume))
        a_.long_().jmp(end.resume);
}

// Then the tables are asked. A doubleword that only goes to memory may have been stored behind it.
void BlockTranslator::emit_fill(const Slow& slow, const End& end) {
    const Plan& plan = plans_[slow.in->number];
    const bool immediate_value = plan.shape == Shape::MoveImmediate;
    const bool stores = slow.writes && slow.size == 4 && (plan.shape == Shape::Move || immediate_value);
    const u32 asked = WayAsked::of(slow.in->number, slow.size, slow.writes);
    a_.mov(x86::r14d, Imm(asked | (stores ? WayAsked::kStore : 0)));
    if (stores && immediate_value)
        a_.mov(field(offsetof(Frame, bounce)), immediate(slow.in->immediate, 4));
    else if (stores)
        a_.mov(field(offsetof(Frame, bounce)), gp(4, plan.reg));
    a_.call(fill_);
    if (!stores) {
        a_.long_().jnz(slow.granted);
        return;
    }
    const Label refused = a_.newLabel();
    a_.jz(refused);
    a_.cmp(x86::r8, Imm(kStored));
    a_.long_().jne(slow.granted);
    a_.long_().jmp(end.resume);
    a_.bind(refused);
}

// Its result is in the frame's a: from there the operand that came from memory.
void BlockTranslator::emit_compared(const Pending& compared) {
    const x86::Gp r9 = scratch(compared.size);
    const x86::Mem a = field(offsetof(Frame, a), compared.size);
    if (compared.a.where == Where::Frame) {
        a_.mov(r9, a);
        a_.emit(x86::Inst::kIdAdd, r9, operand_of(compared.b, offsetof(Frame, b), compared.size));
        a_.mov(a, r9);
    } else {
        load_part(compared.a, offsetof(Frame, a), compared.size);
        a_.sub(r9, a);
        a_.mov(field(offsetof(Frame, b), compared.size), r9);
    }
}

void BlockTranslator::emit_exit_stubs() {
    for (u32 i = 0; i < exits_.size(); ++i) {
        const Link& link = translation_.links[i];
        if (!link.used)
            continue;
        if (exits_[i].checked_cold) {
            a_.bind(exits_[i].check);
            emit_page_check(i, link.target);
            a_.long_().jmp(exits_[i].stub);
            a_.bind(exits_[i].jump);
        }
        a_.bind(exits_[i].stub);
        a_.mov(field(offsetof(Frame, eip)), immediate(link.target, 4));
        a_.mov(x86::r8, Imm(reinterpret_cast<u64>(&link)));
        a_.jmp(Imm(around_.exit_code));
    }
}

} // namespace forkscope::translator
