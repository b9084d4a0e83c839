// Owns: BlockTranslator, from a decoded block to x86-64 code. Callers: the translator engine. Promises: the code keeps
// guest registers in the host's, touches memory only where a recent slot (mmu/tlb/fast_tlb.hpp) allows it, and leaves
// every other access, and all that it does not know, to the instruction's handler, having committed nothing of it.
#pragma once

#include <asmjit/x86.h>

#include <optional>

#include "cpu/cost/cost_meter.hpp"
#include "cpu/engine/engine.hpp"
#include "cpu/engine/translator/frame.hpp"
#include "cpu/engine/translator/plan.hpp"
#include "cpu/engine/translator/translation.hpp"
#include "mmu/tlb/fast_tlb.hpp"

namespace forkscope::translator {

// What the code must know of the machine that it runs in.
struct Surroundings {
    u32 data_mask = 0;    // of recent slots, for loads and stores
    u32 fetch_mask = 0;   // for fetches
    i32 fetches_from = 0; // bytes from the data's recent slots to the fetches', of one privilege
    u64 slow_code = 0;    // host addresses of the engine's own code (entry_code.hpp)
    u64 exit_code = 0;
    u64 flags_code = 0;
    u64 read_way_code = 0;
    u64 write_way_code = 0;
    u64 fill_code = 0;
    u64 take_x87_code = 0;
    const u16* x87_control = nullptr; // the guest's control word
    u32* system_flags = nullptr;      // the guest's EFLAGS but for the arithmetic ones
    CostMeter* meter = nullptr;
    const void* jump_cache = nullptr;
};

struct JumpCacheEntry {
    u32 eip = 1; // no entry: looked for at its own place only, where EIP 1 is not
    u32 physical = 0;
    u64 code = 0;
};
inline constexpr u32 kJumpCacheEntries = 4096;

inline constexpr u32 kSlotShift = 7; // from a linear address to its slot's offset: a page's number times 32
static_assert(sizeof(RecentSlot) == 1u << (kPageShift - kSlotShift));

using HostOperand = asmjit::Operand;

class BlockTranslator {
  public:
    // Code that will run at the host address `run_at`.
    BlockTranslator(const Surroundings& around, Translation& translation, u64 run_at);

    // nullopt: nothing in the block is worth it, or the assembler refused. Fills in the translation's offsets, from
    // `memory_at` on.
    std::optional<std::vector<u8>> translate(u32 memory_at);

    // Afterwards: where the code of an instruction, and of all that are handed over with it, begins; and the end of
    // all.
    const std::vector<HostCode::Part>& parts() const { return parts_; }
    u32 aside() const { return aside_; }

  private:
    // Where a part of a flags record is.
    enum class Where : u8 { Nowhere, Register, Immediate, Frame };
    struct Part {
        Where where = Where::Nowhere;
        u8 reg = 0;
        u32 value = 0;
        bool operator==(const Part&) const = default;
    };
    enum class FlagState : u8 {
        InFrame, // the frame's record is right
        Pending, // by `pending_`, whose parts still hold what they held
        Dead,    // nobody will look
    };
    struct Pending {
        FlagsOf of = FlagsOf::Settled;
        u8 size = 4;
        Part a, b;
        u32 native = 0; // flags that the host's instruction gives as the guest's does
        bool operator==(const Pending&) const = default;
    };
    // A block that ends in a branch to its own start is there twice: entered, and from its second turn on, with the
    // flags of the turn before not in the frame but still where they come from.
    struct Turn {
        asmjit::Label top, deadline;
        asmjit::Label over; // the branch is not taken, and flags are in the frame
        Pending before;
    };
    // What ran last on the x87, not in the frame yet; null: that is.
    struct X87Last {
        const Instruction* instruction = nullptr;
        const Instruction* operand = nullptr; // with a memory operand, whose address is in the frame
    };
    // Where handlers run the rest of the block.
    struct Rest {
        asmjit::Label entry;
        u32 number; // of the first
        FlagState state;
        Pending pending;
        X87Last last;
    };
    struct TakeX87 {
        asmjit::Label entry, done;
        asmjit::Label refused; // of a Rest
    };
    // The way that an access takes which no recent slot allows.
    struct Slow {
        asmjit::Label entry;
        asmjit::Label granted; // where the host address is in r8 after all; not valid: it never is
        bool writes;
        const Instruction* in;
        FlagState state; // before the instruction
        Pending pending;
        u32 end; // which of `ends_`
        X87Last x87_last;
        bool takes_x87; // the code behind counts on it
        u32 size = 0;   // of the access
    };
    // Behind an instruction that may be slow.
    struct End {
        asmjit::Label resume;
        bool again = false; // the code behind counts on `after`, and on the host's flags
        Pending after;
    };

    // The block
    void analyse();
    u32 emit_instructions(u32 number);
    void emit_instruction(u32 number);
    void emit_other(const Instruction& in, const Plan& plan);
    void emit_transfer(const Instruction& in, const Plan& plan);
    void emit_body();
    void emit_turn();
    void emit_entry(const asmjit::Label& deadline);
    void emit_cold();
    void emit_slow(const Slow& slow);
    void emit_fill(const Slow& slow, const End& end);
    void emit_compared(const Pending& compared);
    void emit_exit_stubs();
    void end_instruction(std::size_t first_slow, bool sets_flags);

    // Memory. The host address of the operand is in r8 afterwards.
    void address_of(const Instruction& in);
    void access(const Instruction& in, u32 size, bool writes);
    void access_at(const Instruction& in, u32 size, bool writes); // the linear address is in r8
    void run_handlers(const Instruction& first, u32 count);

    // Flags
    void spill();
    void emit_record(const Pending& pending);
    void emit_record_word(u32 record);
    void emit_part(u32 offset, const Part& part, u8 size);
    void need_flags(u32 bits);
    void emit_again(const Pending& pending);
    void emit_again_with(const Pending& pending);
    HostOperand operand_of(const Part& part, u32 offset, u8 size);
    void load_part(const Part& part, u32 offset, u8 size); // into r9
    void sets_flags(const Pending& pending);
    u32 condition_flags(u8 condition) const;
    void writes_register(u8 reg);
    void writes_register(u8 size, u8 reg) { writes_register(size == 1 ? reg & 3 : reg); }

    // Instructions
    void alu(const Instruction& in, const Plan& plan);
    void alu_to_memory(const Instruction& in, const Plan& plan);
    void alu_to_register(const Instruction& in, const Plan& plan);
    void test(const Instruction& in, const Plan& plan);
    void inc_dec(const Instruction& in, const Plan& plan);
    void neg_not(const Instruction& in, const Plan& plan);
    void move(const Instruction& in, const Plan& plan);
    void move_immediate(const Instruction& in, const Plan& plan);
    void move_extended(const Instruction& in, const Plan& plan);
    void exchange(const Instruction& in, const Plan& plan);
    void shift_immediate(const Instruction& in, const Plan& plan);
    void shift_cl(const Instruction& in, const Plan& plan);
    void multiply(const Instruction& in, const Plan& plan);
    void multiply_wide(const Instruction& in, const Plan& plan);
    void lea(const Instruction& in, const Plan& plan);
    void push_slot(const HostOperand& value);
    void push(const Instruction& in, const Plan& plan);
    void pop(const Instruction& in, const Plan& plan);
    void leave(const Instruction& in);
    void sign(const Plan& plan);
    void set(const Instruction& in, const Plan& plan);
    void conditional_move(const Instruction& in, const Plan& plan);

    // The x87
    void x87(const Instruction& in, const Plan& plan);
    void x87_compare(const Instruction& in);
    void x87_word(const Instruction& in, const Plan& plan);
    void x87_load_control(const Instruction& in);
    void emit_x87(const Instruction& in);
    void take_x87(u32 number);
    void take_x87_again(const Instruction& slow);
    asmjit::Label rest_from(u32 number);
    void note_x87_operand(const Instruction& in);
    void store_x87_last();
    void emit_x87_last(const X87Last& last);
    void emit_x87_cold();

    // Strings
    void direction(const Plan& plan);
    void check_direction(const asmjit::Label& slow);
    asmjit::Label slow_from_here(const Instruction& in);
    void string(const Instruction& in, const Plan& plan);
    void repeated_string(const Instruction& in, const Plan& plan);
    void string_addend(const asmjit::x86::Gp& at, u8 size, bool writes, const asmjit::x86::Gp& addend,
                       const asmjit::Label& slow);
    void emit_string(const Instruction& in, const Plan& plan);
    void record_comparison(const Plan& plan);
    void charge_iterations(u32 cost);

    // Transfers
    void branch(const Instruction& in, const Plan& plan);
    bool turns_at(const Instruction& in) const;
    void branch_counter(const Instruction& in, const Plan& plan);
    void call(const Instruction& in, const Plan& plan);
    void jump_to(const Instruction& in, const Plan& plan);
    void return_(const Instruction& in);
    void go_on(u32 link, u32 target); // jump there
    void jump_if(asmjit::x86::CondCode condition, u32 link, u32 target);
    void go_to_eip_in_r8();
    void prepare_link(u32 link, u32 target);
    bool same_page(u32 target) const { return ((target ^ translation_.eip) & ~u32{0xFFF}) == 0; }
    void emit_page_check(u32 link, u32 target);
    u32 next_eip(const Instruction& in) const { return translation_.eip + in.offset + in.length; }

    static asmjit::x86::Gp gp(u8 size, u8 reg);
    static asmjit::x86::Gp scratch(u8 size); // r9
    static bool high(u8 size, u8 reg) { return size == 1 && reg >= 4; }
    static asmjit::x86::Mem field(u32 offset, u32 size = 4) {
        return asmjit::x86::ptr(asmjit::x86::rsp, static_cast<i32>(offset), size);
    }
    static asmjit::Imm immediate(u32 value, u8 size);
    HostOperand byte_safe(u8 size, u8 reg); // the register, or where a high byte was copied to
    static asmjit::x86::Mem operand_memory(u8 size) { return asmjit::x86::ptr(asmjit::x86::r8, 0, size); }

    const Surroundings& around_;
    Translation& translation_;
    asmjit::CodeHolder code_;
    asmjit::x86::Assembler a_;
    u64 run_at_;
    bool ended_ = false; // the block's last instruction has left
    std::vector<HostCode::Part> parts_;
    u32 aside_ = 0;

    std::array<Plan, kMostInstructionsInBlock> plans_;
    std::array<u32, kMostInstructionsInBlock> live_after_{};
    u32 live_ = 0; // behind the present instruction
    FlagState state_ = FlagState::InFrame;
    Pending pending_;
    bool known_ = false; // in the frame, by `pending_`, whose parts are there
    u32 host_flags_ = 0; // those of the guest's that the host's hold now
    std::vector<Slow> slow_;
    std::vector<End> ends_;
    bool x87_taken_ = false; // the host holds the guest's
    u32 last_x87_ = 0;       // the number of the block's last such instruction
    X87Last x87_last_;
    std::vector<TakeX87> x87_takes_;
    std::vector<Rest> rests_;
    asmjit::Label common_, fill_, deadline_;
    u32 live_at_start_ = 0;
    std::optional<Turn> turn_;
    bool turning_ = false; // the second turn is being made
    struct ExitParts {
        asmjit::Label jump, stub, check, frame;
        bool checked_cold = false;
    };
    std::array<ExitParts, 2> exits_;
};

} // namespace forkscope::translator
