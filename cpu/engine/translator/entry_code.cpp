#include "cpu/engine/translator/entry_code.hpp"

#include <asmjit/x86.h>

#include "cpu/engine/translator/mutant.hpp"
#include "cpu/engine/translator/x87_image.hpp"

namespace forkscope::translator {

using namespace asmjit;

namespace {

// Behind the Frame on the stack: where the caller's lies, and the guest's registers.
constexpr i32 kCallersFrame = sizeof(Frame);
constexpr i32 kRegisters = sizeof(Frame) + 8;
constexpr i32 kStack = sizeof(Frame) + 24; // with the six saved registers and the return address, 16-byte aligned
static_assert((kStack + 7 * 8) % 16 == 0 && sizeof(Frame) % 16 == 0);

class Writer {
  public:
    Writer(u64 run_at, const EngineFunctions& functions, const FrontPlaces& places, const X87Image& x87)
        : run_at_(run_at), functions_(functions), places_(places), x87_(x87) {
        code_.init(Environment::host(), run_at);
        code_.attach(&a_);
    }

    std::optional<EntryCode> write() {
        EntryCode entry;
        entry.enter_at = here();
        enter();
        entry.slow_at = here();
        slow();
        entry.exit_at = here();
        exit();
        entry.flags_at = here();
        flags();
        entry.take_x87_at = here();
        take_x87();
        way_by_engine_ = a_.newLabel();
        entry.read_way_at = here();
        way(offsetof(FastSlot, read_tag), 0);
        entry.write_way_at = here();
        way(offsetof(FastSlot, write_tag), 0x100);
        a_.bind(way_by_engine_);
        way_by_engine();
        entry.fill_at = here();
        fill();
        if (code_.flatten() != kErrorOk || code_.resolveUnresolvedLinks() != kErrorOk ||
            code_.relocateToBase(run_at_) != kErrorOk)
            return std::nullopt;
        entry.bytes.resize(code_.codeSize());
        if (code_.copyFlattenedData(entry.bytes.data(), entry.bytes.size()) != kErrorOk)
            return std::nullopt;
        return entry;
    }

  private:
    u32 here() const { return static_cast<u32>(a_.offset()); }
    static x86::Mem frame(std::size_t offset) { return x86::qword_ptr(x86::rsp, static_cast<i32>(offset)); }
    static x86::Mem frame_half(std::size_t offset) { return x86::dword_ptr(x86::rsp, static_cast<i32>(offset)); }

    void enter() {
        for (const x86::Gp& reg : {x86::rbx, x86::rbp, x86::r12, x86::r13, x86::r14, x86::r15})
            a_.push(reg);
        a_.sub(x86::rsp, Imm(kStack));
        a_.mov(frame(kCallersFrame), x86::rdx);
        a_.mov(frame(kRegisters), x86::rcx);
        a_.mov(x86::r10, x86::rdi);
        a_.mov(x86::r13, x86::rsi);
        a_.mov(frame(offsetof(Frame, recent)), x86::rsi);
        a_.mov(x86::r12, x86::qword_ptr(x86::rdx, offsetof(Frame, budget)));
        a_.mov(x86::r11, x86::qword_ptr(x86::rdx, offsetof(Frame, instructions)));
        a_.mov(frame(offsetof(Frame, record)), Imm(0));
        a_.mov(frame_half(offsetof(Frame, expected)), Imm(0));
        a_.mov(frame_half(offsetof(Frame, handlers)), Imm(1));
        a_.mov(frame_half(offsetof(Frame, x87_taken)), Imm(0));
        a_.mov(frame_half(offsetof(Frame, may_pass_end)), Imm(0));
        load_registers();
        a_.jmp(x86::r10);
    }

    void load_registers() {
        a_.mov(x86::r8, frame(kRegisters));
        u32 number = 0;
        for (const x86::Gp& reg : {x86::rax, x86::rcx, x86::rdx, x86::rbx, x86::r15, x86::rbp, x86::rsi, x86::rdi})
            a_.mov(reg, x86::qword_ptr(x86::r8, static_cast<i32>(8 * number++)));
    }
    void store_registers() {
        a_.mov(x86::r8, frame(kRegisters));
        u32 number = 0;
        for (const x86::Gp& reg : {x86::rax, x86::rcx, x86::rdx, x86::rbx, x86::r15, x86::rbp, x86::rsi, x86::rdi})
            a_.mov(x86::qword_ptr(x86::r8, static_cast<i32>(8 * number++)), reg);
    }
    void store_progress() {
        a_.mov(frame(offsetof(Frame, budget)), x86::r12);
        a_.mov(frame(offsetof(Frame, instructions)), x86::r11);
        store_registers();
    }
    void call_engine(const void* function) {
        a_.mov(x86::rdi, Imm(reinterpret_cast<u64>(functions_.engine)));
        a_.mov(x86::rax, Imm(reinterpret_cast<u64>(function)));
        a_.call(x86::rax);
    }
    void leave(u32 result) {
        a_.mov(x86::eax, Imm(result));
        a_.add(x86::rsp, Imm(kStack));
        for (const x86::Gp& reg : {x86::r15, x86::r14, x86::r13, x86::r12, x86::rbp, x86::rbx})
            a_.pop(reg);
        a_.ret();
    }

    // r8: the instruction, r9: where to go on, r10: the translation.
    void slow() {
        const Label out = a_.newLabel();
        a_.mov(frame(offsetof(Frame, instruction)), x86::r8);
        a_.mov(frame(offsetof(Frame, resume)), x86::r9);
        a_.mov(frame(offsetof(Frame, translation)), x86::r10);
        give_x87();
        store_progress();
        a_.mov(x86::rsi, x86::rsp);
        call_engine(reinterpret_cast<const void*>(functions_.slow));
        a_.test(x86::eax, x86::eax);
        a_.jz(out);
        load_registers();
        a_.mov(x86::r12, frame(offsetof(Frame, budget)));
        a_.mov(x86::r11, frame(offsetof(Frame, instructions)));
        a_.mov(x86::r13, frame(offsetof(Frame, recent)));
        a_.jmp(frame(offsetof(Frame, resume)));
        a_.bind(out);
        leave(0);
    }

    // r8: the link, or 0. The caller's frame gets what the engine asks for then.
    void exit() {
        const Label no_x87 = a_.newLabel();
        const auto callers = [](std::size_t offset) { return x86::qword_ptr(x86::r9, static_cast<i32>(offset)); };
        a_.mov(x86::r9, frame(kCallersFrame));
        a_.mov(callers(offsetof(Frame, link)), x86::r8);
        a_.mov(callers(offsetof(Frame, budget)), x86::r12);
        a_.mov(callers(offsetof(Frame, instructions)), x86::r11);
        store_registers();
        // Each as it was stored: a wider load would wait for the stores.
        const auto copy = [&](std::initializer_list<std::size_t> fields) {
            for (const std::size_t field : fields) {
                a_.mov(x86::eax, frame_half(field));
                a_.mov(x86::dword_ptr(x86::r9, static_cast<i32>(field)), x86::eax);
            }
        };
        a_.mov(x86::rax, frame(offsetof(Frame, record)));
        a_.mov(callers(offsetof(Frame, record)), x86::rax);
        copy({offsetof(Frame, a), offsetof(Frame, b), offsetof(Frame, c), offsetof(Frame, over), offsetof(Frame, eip),
              offsetof(Frame, x87_taken)});
        a_.test(x86::eax, x86::eax);
        a_.jz(no_x87);
        give_x87();
        copy({offsetof(Frame, x87_opcode), offsetof(Frame, x87_eip), offsetof(Frame, x87_segment),
              offsetof(Frame, x87_operand)});
        a_.bind(no_x87);
        leave(1);
    }

    // Calls the engine from code that was called by translated code, whose registers stay, r9, r10 and r14 apart.
    // `give` loads arguments from rsi on; the frame is at kFrameThen by then. The answer goes to r8, or else to r9d.
    static constexpr i32 kFrameThen = 8 * 8; // seven registers and the way back
    template <class Give> void call_keeping(const x86::Gp& answer, const void* function, Give give) {
        const bool to_r8 = answer.id() == x86::r8.id();
        const x86::Gp kept[] = {x86::r8, x86::rax, x86::rcx, x86::rdx, x86::rsi, x86::rdi, x86::r11};
        for (const x86::Gp& reg : kept)
            a_.push(reg);
        give();
        call_engine(function);
        if (to_r8)
            a_.mov(x86::r8, x86::rax);
        else
            a_.mov(x86::r9d, x86::eax);
        for (u32 i = static_cast<u32>(std::size(kept)); i-- > 1;)
            a_.pop(kept[i]);
        if (to_r8)
            a_.add(x86::rsp, Imm(8));
        else
            a_.pop(x86::r8);
    }

    // Called from translated code: the guest's flags into the host's. r9 is lost.
    void flags() {
        call_keeping(x86::r9d, reinterpret_cast<const void*>(functions_.flags),
                     [this] { a_.lea(x86::rsi, x86::ptr(x86::rsp, kFrameThen)); });
        a_.push(x86::r9);
        a_.popfq();
        a_.ret();
    }

    // If the guest's x87 is there: into the image, and the host's is as C++ code wants it. r8 is lost.
    void give_x87() {
        const Label done = a_.newLabel();
        a_.cmp(frame_half(offsetof(Frame, x87_taken)), Imm(0));
        a_.je(done);
        a_.mov(x86::r8, Imm(reinterpret_cast<u64>(&x87_)));
        a_.fxsave(x86::ptr(x86::r8));
        a_.emms();
        a_.fldcw(x86::word_ptr(x86::r8, offsetof(X87Image, abi_control)));
        a_.bind(done);
    }

    // Called from translated code: the guest's x87 becomes the host's. Zero: refused. r9 and r10 are lost.
    void take_x87() {
        const Label refused = a_.newLabel();
        call_keeping(x86::r9d, reinterpret_cast<const void*>(functions_.take_x87),
                     [this] { a_.lea(x86::rsi, x86::ptr(x86::rsp, kFrameThen)); });
        a_.test(x86::r9d, x86::r9d);
        a_.jz(refused);
        a_.mov(x86::r10, Imm(reinterpret_cast<u64>(&x87_)));
        a_.fxrstor(x86::ptr(x86::r10));
        a_.bind(refused);
        a_.ret();
    }

    // Called from translated code, where the recent slot does not grant an access: r8d is linear, r9 the recent slot's
    // offset, r10d the page that a tag must name. Does what FastTlb::make_recent does. Not zero: r8 is the host
    // address; else it is as before.
    void way(std::size_t tag, u32 kind) {
        static_assert(sizeof(FastSlot) == 32 && sizeof(PlruTouch) == 2);
        const FastTlb& front = *places_.front;
        const auto from_recent = static_cast<i32>(reinterpret_cast<std::intptr_t>(front.slots(Privilege::User)) -
                                                  reinterpret_cast<std::intptr_t>(front.recent_slots(Privilege::User)));
        const auto slot = [&](std::size_t offset, u32 size) {
            return x86::ptr(x86::r13, x86::rax, 0, from_recent + static_cast<i32>(offset), size);
        };
        const Label refused = a_.newLabel(), fill = a_.newLabel(), large = a_.newLabel();
        a_.push(x86::rax);
        a_.push(x86::rcx);
        a_.push(x86::rdx);
        a_.mov(x86::eax, x86::r8d);
        a_.shr(x86::eax, Imm(kPageShift - 5));
        a_.and_(x86::eax, Imm((FastTlb::kSlots - 1) * sizeof(FastSlot)));
        a_.cmp(x86::r10d, slot(tag, 4));
        a_.jne(refused);
        a_.movzx(x86::ecx, slot(offsetof(FastSlot, set), 1));
        a_.cmp(x86::ecx, Imm(Tlb::kNoSet));
        a_.je(fill);
        // Only the one other slot of a set of the 4 KB array can be recent.
        a_.lea(x86::edx, x86::ptr(x86::rcx, -static_cast<i32>(front.first_set())));
        a_.cmp(x86::edx, Imm(front.recent_mask()));
        a_.ja(large);
        touch_set(slot(offsetof(FastSlot, touch), 2));
        a_.bind(fill);
        fill_recent(slot);
        restore_three();
        a_.test(x86::r8, x86::r8);
        a_.ret();
        a_.bind(refused);
        restore_three();
        a_.xor_(x86::r10d, x86::r10d);
        a_.ret();
        a_.bind(large);
        restore_three();
        a_.mov(x86::r10d, Imm(kind));
        a_.jmp(way_by_engine_);
    }
    void restore_three() {
        a_.pop(x86::rdx);
        a_.pop(x86::rcx);
        a_.pop(x86::rax);
    }

    // ecx: the set, edx: its number in the 4 KB array. Its replacement bits, then what else was recent in it.
    void touch_set(const x86::Mem& touch) {
        if (TRANSLATOR_MUTANT(OtherWayNotTouched))
            return;
        const FastTlb& front = *places_.front;
        a_.movzx(x86::r14d, touch);
        a_.mov(x86::r10, Imm(reinterpret_cast<u64>(&front.latest())));
        a_.cmp(x86::word_ptr(x86::r10, x86::rcx, 1), x86::r14w);
        a_.mov(x86::word_ptr(x86::r10, x86::rcx, 1), x86::r14w);
        const Label same = a_.newLabel();
        a_.je(same);
        // The other privilege's; this one's is filled below.
        const u64 both =
            2 * reinterpret_cast<u64>(front.recent_slots(Privilege::Supervisor)) + sizeof(RecentSlot) * FastTlb::kSlots;
        a_.mov(x86::r10, Imm(both));
        a_.sub(x86::r10, x86::r13);
        a_.shl(x86::edx, Imm(5));
        if (TRANSLATOR_MUTANT(OtherPrivilegeStaysRecent))
            a_.jmp(same);
        a_.mov(x86::dword_ptr(x86::r10, x86::rdx, 0, offsetof(RecentSlot, read_tag)), Imm(FastSlot::kNone));
        a_.mov(x86::dword_ptr(x86::r10, x86::rdx, 0, offsetof(RecentSlot, write_tag)), Imm(FastSlot::kNone));
        a_.bind(same);
        a_.mov(x86::r10, Imm(reinterpret_cast<u64>(places_.plru)));
        a_.mov(x86::edx, x86::r14d);
        a_.and_(x86::dl, x86::byte_ptr(x86::r10, x86::rcx)); // keep
        a_.shr(x86::r14d, Imm(8));
        a_.or_(x86::r14b, x86::dl); // point
        a_.mov(x86::byte_ptr(x86::r10, x86::rcx), x86::r14b);
    }
    template <class Slot> void fill_recent(const Slot& slot) {
        const auto recent = [](std::size_t offset, u32 size) {
            return x86::ptr(x86::r13, x86::r9, 0, static_cast<i32>(offset), size);
        };
        static_assert(offsetof(FastSlot, write_tag) == 4 && offsetof(RecentSlot, write_tag) == 4);
        a_.mov(x86::rcx, slot(offsetof(FastSlot, read_tag), 8));
        a_.mov(recent(offsetof(RecentSlot, read_tag), 8), x86::rcx);
        a_.mov(x86::rcx, slot(offsetof(FastSlot, addend), 8));
        a_.mov(recent(offsetof(RecentSlot, addend), 8), x86::rcx);
        a_.add(x86::r8, x86::rcx);
        a_.mov(x86::ecx, slot(offsetof(FastSlot, physical), 4));
        a_.mov(recent(offsetof(RecentSlot, physical), 4), x86::ecx);
        a_.movzx(x86::ecx, slot(offsetof(FastSlot, set), 1));
        a_.mov(recent(offsetof(RecentSlot, set), 4), x86::ecx);
    }

    // A large page's set has recent slots everywhere: the engine looks. r10d: the kind; the page is known to be right.
    void way_by_engine() {
        call_keeping(x86::r8, reinterpret_cast<const void*>(functions_.way), [this] {
            a_.mov(x86::esi, x86::r8d);
            a_.lea(x86::edx, x86::ptr(x86::r10, 1)); // one byte
        });
        a_.test(x86::r8, x86::r8);
        a_.ret();
    }

    // Called from translated code, when that was of no use: r8d is linear, r14d says what is asked for, r10 is the
    // translation. Not zero: r8 is the host address. While the host's x87 is the guest's, no C++ code that may be long
    // is called.
    void fill() {
        const Label refused = a_.newLabel();
        a_.cmp(frame_half(8 + offsetof(Frame, x87_taken)), Imm(0));
        a_.jne(refused);
        a_.mov(frame(8 + offsetof(Frame, budget)), x86::r12);
        a_.mov(frame(8 + offsetof(Frame, instructions)), x86::r11);
        call_keeping(x86::r8, reinterpret_cast<const void*>(functions_.fill), [this] {
            a_.mov(x86::esi, x86::r8d);
            a_.mov(x86::edx, x86::r14d);
            a_.mov(x86::rcx, x86::r10);
            a_.lea(x86::r8, frame(kFrameThen));
        });
        a_.test(x86::r8, x86::r8);
        a_.ret();
        a_.bind(refused);
        a_.cmp(x86::eax, x86::eax);
        a_.ret();
    }

    u64 run_at_;
    const EngineFunctions& functions_;
    const FrontPlaces& places_;
    const X87Image& x87_;
    CodeHolder code_;
    x86::Assembler a_;
    Label way_by_engine_;
};

} // namespace

std::optional<EntryCode> make_entry_code(u64 run_at, const EngineFunctions& functions, const FrontPlaces& places,
                                         const X87Image& x87) {
    return Writer(run_at, functions, places, x87).write();
}

} // namespace forkscope::translator
