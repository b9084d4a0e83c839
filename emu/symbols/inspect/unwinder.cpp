#include "emu/symbols/inspect/unwinder.hpp"

#include <fmt/format.h>

#include "emu/symbols/dwarf/debug_info.hpp"

namespace forkscope {

namespace {

using Register = FrameRegisters;

constexpr u32 kInterruptWords = 40; // looked at for what the processor pushed
constexpr u32 kReturnWords = 32;
constexpr u32 kPushedAll = 32; // bytes of PUSHAD

// Bit 1 is always set, bits 3, 5, 15 and 22 up never are.
bool looks_like_eflags(u32 value) { return (value & 0xFFC0802A) == 2; }

class Unwinder {
  public:
    Unwinder(const Symbolizer& symbols, const GuestState& state) : symbols_(symbols), state_(state) {}

    Frames run(std::size_t most) {
        Frame frame;
        frame.registers = state_.registers;
        frame.in_kernel = state_.in_kernel();
        frame.image = image_of(frame);
        while (frames_.end.empty()) {
            std::optional<Frame> next = caller_of(frame);
            frames_.list.push_back(std::move(frame));
            if (!next)
                break;
            if (frames_.list.size() == most) {
                frames_.end = fmt::format("more than {} frames", most);
                break;
            }
            frame = std::move(*next);
        }
        return std::move(frames_);
    }

  private:
    const ElfImage* image_of(const Frame& frame) const {
        return symbols_.image_at(state_.address_space, frame.place());
    }
    bool is_code(u32 address) const {
        const ElfImage* image = symbols_.image_at(state_.address_space, address);
        if (image == nullptr)
            return false;
        for (const ElfSegment& segment : image->segments())
            if (segment.executable && address >= segment.start && address - segment.start < segment.memory_bytes)
                return true;
        return false;
    }

    // Fills the frame's own address, too, which only its caller's place tells.
    std::optional<Frame> caller_of(Frame& frame) {
        if (frame.image != nullptr && !frame.image->wide()) {
            const DebugInfo& debug = frame.image->debug();
            if (const std::optional<FrameRules> rules = debug.call_frames().find(debug.in_file(frame.place())); rules)
                return by_rules(frame, *rules, debug);
        }
        if (frame.in_kernel)
            if (std::optional<Frame> interrupted = by_interrupt(frame); interrupted)
                return interrupted;
        if (!frame.called_out)
            if (const std::optional<u32> at = return_address_of_innermost(frame); at)
                return by_place(frame, *at, at != frame.registers[Register::Esp]);
        return by_frame_pointer(frame);
    }

    std::optional<u32> value_of(const FrameRule& rule, const LocationScene& scene, u32 frame_address,
                                std::optional<u32> same) {
        const auto at = [&](i64 offset) { return frame_address + static_cast<u32>(offset); };
        switch (rule.kind) {
        case FrameRule::Kind::Offset:
            return state_.word(at(rule.offset));
        case FrameRule::Kind::ValueOffset:
            return at(rule.offset);
        case FrameRule::Kind::Register:
            return (*scene.registers)[rule.number];
        case FrameRule::Kind::Expression: {
            const std::optional<u64> place = calculate(rule.expression, scene, frame_address);
            return place ? state_.word(static_cast<u32>(*place)) : std::nullopt;
        }
        case FrameRule::Kind::ValueExpression: {
            const std::optional<u64> value = calculate(rule.expression, scene, frame_address);
            return value ? std::optional(static_cast<u32>(*value)) : std::nullopt;
        }
        case FrameRule::Kind::Same:
        case FrameRule::Kind::Unspecified:
            return same;
        case FrameRule::Kind::Undefined:
            break;
        }
        return std::nullopt;
    }

    std::optional<Frame> by_rules(Frame& frame, const FrameRules& rules, const DebugInfo& debug) {
        LocationScene scene;
        scene.registers = &frame.registers;
        scene.memory = &state_.memory;
        scene.slide = debug.slide();
        const FrameRule& where = rules.frame_address;
        std::optional<u32> address;
        if (where.kind == FrameRule::Kind::ValueExpression) {
            if (const std::optional<u64> value = calculate(where.expression, scene); value)
                address = static_cast<u32>(*value);
        } else if (const std::optional<u32> base = frame.registers[where.number]; base) {
            address = *base + static_cast<u32>(where.offset);
        }
        if (!address)
            return ended("the frame's address is not known");
        frame.frame_address = address;
        if (rules.return_register >= Register::Count ||
            rules.registers[rules.return_register].kind == FrameRule::Kind::Undefined)
            return std::nullopt; // the outermost
        Frame caller;
        for (u32 i = 0; i < Register::Count; ++i) {
            const bool saved_by_callee =
                i == Register::Ebx || i == Register::Ebp || i == Register::Esi || i == Register::Edi;
            const bool same = saved_by_callee || rules.registers[i].kind == FrameRule::Kind::Same;
            caller.registers.values[i] =
                value_of(rules.registers[i], scene, *address, same ? frame.registers[i] : std::optional<u32>());
        }
        if (rules.registers[Register::Esp].kind == FrameRule::Kind::Unspecified)
            caller.registers.values[Register::Esp] = address;
        caller.registers.values[Register::Eip] = value_of(rules.registers[rules.return_register], scene, *address, {});
        caller.called_out = !rules.interrupted;
        caller.found_by = rules.interrupted ? FoundBy::Interrupt : FoundBy::CallFrames;
        return checked(frame, std::move(caller));
    }

    // What the processor pushed for an interrupt: eip, cs, eflags, and from ring 3 esp and ss. Its place is not told;
    // code that handles interrupts is mostly written by hand.
    std::optional<Frame> by_interrupt(Frame& frame) {
        const std::optional<u32> stack = frame.registers[Register::Esp];
        if (!stack)
            return std::nullopt;
        for (u32 i = 0; i < kInterruptWords; ++i) {
            const u32 at = *stack + 4 * i;
            const std::optional<u32> eip = state_.word(at);
            const std::optional<u32> cs = state_.word(at + 4);
            const std::optional<u32> eflags = state_.word(at + 8);
            if (!eip || !cs || !eflags)
                break;
            const bool from_user = (*cs & 3) == 3 && *cs > 7 && *cs <= 0xFFFF;
            const bool from_kernel = *cs == state_.cs && is_code(*eip);
            if (looks_like_eflags(*eflags) && (from_user || from_kernel))
                return interrupted(frame, *stack, at, from_user);
        }
        return std::nullopt;
    }

    std::optional<Frame> interrupted(Frame& frame, u32 stack, u32 at, bool from_user) {
        frame.frame_address = at;
        Frame before;
        before.found_by = FoundBy::Interrupt;
        before.in_kernel = !from_user;
        // Handlers in C have kept these, and the code that called them has not touched them yet.
        for (const u32 number : {Register::Ebx, Register::Ebp, Register::Esi, Register::Edi})
            before.registers.values[number] = frame.registers[number];
        // PUSHAD leaves a sign: its own end in the place of esp. Its order is that of the numbers, backwards.
        constexpr u32 kPlaceOfEsp = 12;
        for (u32 block = stack; block + kPushedAll <= at; block += 4)
            if (state_.word(block + kPlaceOfEsp) == block + kPushedAll)
                for (u32 number = 0; number < 8; ++number)
                    before.registers.values[number] = state_.word(block + 4 * (7 - number));
        before.registers.values[Register::Eip] = state_.word(at);
        before.registers.values[Register::Eflags] = state_.word(at + 8);
        before.registers.values[Register::Esp] = from_user ? state_.word(at + 12) : at + 12;
        return checked(frame, std::move(before));
    }

    // Where the innermost function's return address lies, if its code tells: before or within the prologue, or at its
    // return. A function written by hand has no frame at all, mostly: then it is the first word that looks like one.
    std::optional<u32> return_address_of_innermost(const Frame& frame) {
        const std::optional<u32> stack = frame.registers[Register::Esp];
        const Symbol* symbol = frame.image == nullptr ? nullptr : frame.image->symbol_at(frame.eip());
        u8 next = 0;
        if (!stack || !state_.memory || !state_.memory(frame.eip(), std::span(&next, 1)))
            return std::nullopt;
        constexpr u8 kReturn = 0xC3;
        if (next == kReturn)
            return stack;
        if (symbol == nullptr || !symbol->function)
            return std::nullopt;
        const u32 inside = frame.eip() - symbol->start;
        if (inside == 0)
            return stack;
        constexpr u8 kPushEbp = 0x55;
        u8 first = 0;
        if (state_.memory(symbol->start, std::span(&first, 1)) && first == kPushEbp)
            return inside == 1 ? std::optional(*stack + 4) : std::nullopt;
        for (u32 i = 0; i < kReturnWords; ++i)
            if (const std::optional<u32> word = state_.word(*stack + 4 * i); word && behind_a_call(*word))
                return *stack + 4 * i;
        return std::nullopt;
    }

    bool behind_a_call(u32 address) const {
        std::array<u8, 5> code{};
        constexpr u8 kCallNear = 0xE8;
        constexpr u8 kGroup5 = 0xFF; // FF /2: through a register
        return is_code(address) && state_.memory(address - 5, code) &&
               (code[0] == kCallNear || (code[3] == kGroup5 && (code[4] & 0x38) == 0x10));
    }

    std::optional<Frame> by_place(Frame& frame, u32 at, bool guess) {
        Frame caller;
        frame.frame_address = at + 4;
        for (const u32 number : {Register::Ebx, Register::Ebp, Register::Esi, Register::Edi})
            caller.registers.values[number] = frame.registers[number];
        caller.registers.values[Register::Esp] = at + 4;
        caller.registers.values[Register::Eip] = state_.word(at);
        caller.called_out = true;
        caller.found_by = guess ? FoundBy::ReturnAddress : FoundBy::FramePointer;
        return checked(frame, std::move(caller));
    }

    std::optional<Frame> by_frame_pointer(Frame& frame) {
        const std::optional<u32> base = frame.registers[Register::Ebp];
        if (!base || *base == 0)
            return std::nullopt; // the outermost clears it
        Frame caller;
        frame.frame_address = *base + 8;
        caller.registers.values[Register::Ebp] = state_.word(*base);
        caller.registers.values[Register::Eip] = state_.word(*base + 4);
        caller.registers.values[Register::Esp] = *base + 8;
        caller.called_out = true;
        caller.found_by = FoundBy::FramePointer;
        return checked(frame, std::move(caller));
    }

    std::optional<Frame> checked(const Frame& frame, Frame caller) {
        const std::optional<u32> eip = caller.registers[Register::Eip];
        const std::optional<u32> before = frame.registers[Register::Esp];
        const std::optional<u32> after = caller.registers[Register::Esp];
        if (!eip)
            return ended(fmt::format("the stack at 0x{:08x} cannot be read", frame.frame_address.value_or(0)));
        if (*eip == 0)
            return std::nullopt; // as stacks are laid out for a first function
        if (caller.found_by != FoundBy::Interrupt)
            caller.in_kernel = frame.in_kernel;
        const bool same_stack = caller.in_kernel == frame.in_kernel;
        if (same_stack && (!before || !after || *after <= *before))
            return ended(
                fmt::format("the stack is damaged: the caller's frame at 0x{:08x} lies below", after.value_or(0)));
        caller.image = image_of(caller);
        // A word that is no code's address ends a chain of guesses.
        if (caller.image == nullptr && caller.found_by == FoundBy::FramePointer && frame.image != nullptr)
            return ended(fmt::format("0x{:08x} is no known code", *eip));
        return caller;
    }

    std::optional<Frame> ended(std::string why) {
        frames_.end = std::move(why);
        return std::nullopt;
    }

    const Symbolizer& symbols_;
    const GuestState& state_;
    Frames frames_;
};

} // namespace

Frames unwind(const Symbolizer& symbols, const GuestState& state, std::size_t most) {
    return Unwinder(symbols, state).run(most);
}

std::string_view to_text(FoundBy found_by) {
    switch (found_by) {
    case FoundBy::Registers:
        return "registers";
    case FoundBy::CallFrames:
        return "call frames";
    case FoundBy::FramePointer:
        return "frame pointer";
    case FoundBy::Interrupt:
        return "interrupt";
    case FoundBy::ReturnAddress:
        return "guess";
    }
    return "";
}

} // namespace forkscope
