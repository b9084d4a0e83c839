#include "comparison.hpp"

#include <algorithm>
#include <span>

#include <fmt/format.h>

namespace forkscope::test {

namespace {

constexpr const char* kNames[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};

void append(std::string& text, std::string_view name, u32 theirs, u32 ours) {
    if (theirs != ours)
        text += fmt::format("  {}: host {:08x}, ours {:08x}\n", name, theirs, ours);
}

void append(std::string& text, const std::string& name, u64 their_high, u64 their_low, u64 high, u64 low) {
    if (their_high != high || their_low != low)
        text += fmt::format("  {}: host {:x}'{:016x}, ours {:x}'{:016x}\n", name, their_high, their_low, high, low);
}

void append_floats(std::string& text, const FloatRegisters& theirs, const FloatRegisters& ours) {
    append(text, "x87 control", theirs.control, ours.control);
    append(text, "x87 status", theirs.status, ours.status);
    append(text, "x87 registers in use", theirs.occupied, ours.occupied);
    append(text, "mxcsr", theirs.mxcsr, ours.mxcsr);
    for (u32 i = 0; i < 8; ++i) {
        append(text, fmt::format("st({})", i), theirs.stack[i].sign_exponent, theirs.stack[i].significand,
               ours.stack[i].sign_exponent, ours.stack[i].significand);
        append(text, fmt::format("xmm{}", i), theirs.xmm[i][1], theirs.xmm[i][0], ours.xmm[i][1], ours.xmm[i][0]);
    }
}

// The runner reads selectors after an IRET to CPL 3, which makes every null selector 0.
u16 selector_after_return(u16 selector) { return (selector & ~3) == 0 ? u16{0} : selector; }

// What the decoder refuses with a LOCK, by its bytes: the opcode behind the prefixes, and ModRM.reg.
void note_refusal(const u8* bytes, u32 size, Reference& reference) {
    bool locked = false;
    u32 at = 0;
    for (; at < size && bytes[at] != 0x0F; ++at)
        locked |= bytes[at] == 0xF0;
    if (!locked || at + 2 >= size)
        return;
    reference.refused_opcode = static_cast<u16>(0x0F00 | bytes[at + 1]);
    reference.refused_reg = bytes[at + 2] >> 3 & 7;
}

constexpr u32 kMostInstructions = 20'000;

// Bytes that this project's table gives no meaning may have one on a later processor: opcodes that it lacks, and
// two-byte opcodes behind F2 or F3 (TZCNT, POPCNT, …). What is undefined because of a LOCK is so everywhere.
bool may_mean_something_else(std::span<const u8> bytes, CodeMode mode, DecodeStatus status, const Instruction& in) {
    if (status == DecodeStatus::Ok)
        return !is_harmless(in) || (in.repeats() && form_at(in.form).map == 2);
    if (status != DecodeStatus::Undefined || is_undefined_everywhere(bytes))
        return false;
    std::vector<u8> unlocked;
    bool prefixes = true;
    for (const u8 byte : bytes) {
        prefixes = prefixes && is_prefix(byte);
        if (!prefixes || byte != 0xF0)
            unlocked.push_back(byte);
    }
    Instruction without;
    return decode(unlocked, mode, without) != DecodeStatus::Ok;
}

// Is this where the host would execute the same? Not in its 64-bit code segment, nor in data, which it may not execute.
bool is_common_ground(const CpuState& state) {
    const bool in_data = linear_eip(state) - kDataAddress < kDataBytes + kReadOnlyBytes;
    return !in_data && (state.segments[kCs].selector & ~3u) != 0x30;
}

// Looks at the instruction that comes next.
Executed next_instruction(const TestCase& test, const CpuState& state, const UndefinedFlags& undefined,
                          Reference& reference) {
    const u32 size = std::min(test.code_size, kCodeBytes - test.code_offset);
    Executed next{linear_eip(state) - (kCodeAddress + test.code_offset), state.eip, mode_of(state), {}};
    reference.last = {};
    reference.not_for_hosts |= !is_common_ground(state);
    if (next.at >= size)
        return next;
    const std::span<const u8> bytes(test.code + next.at, size - next.at);
    const DecodeStatus status = decode(bytes, next.mode, next.in);
    reference.reads_undefined |=
        status == DecodeStatus::Ok && (undefined.would_be_read(next.in) || is_settled_by_maker(next.in, state));
    reference.not_for_hosts |= may_mean_something_else(bytes, next.mode, status, next.in);
    reference.last = next.in;
    if (next.in.form == 0)
        note_refusal(bytes.data(), size - next.at, reference);
    else
        reference.undefined_result |= has_undefined_result(next.in, state);
    return next;
}

} // namespace

Reference run_reference(BareMachine& machine, const TestCase& test, std::vector<Executed>* path) {
    Reference reference;
    UndefinedFlags undefined;
    machine.load(test);
    const u64 start = machine.instructions();
    if (path != nullptr)
        path->clear();
    for (;;) {
        const CpuState before = machine.state();
        const Executed next = next_instruction(test, before, undefined, reference);
        if (path != nullptr)
            path->push_back(next);
        const bool ended = !machine.step(reference.outcome);
        // A fault leaves the flags as they were, but for the iterations of a string; a trap comes after them.
        if (!ended || reference.outcome.vector == kDebugException)
            undefined.note(next.in, before);
        if (ended)
            break;
        reference.last_completed = next.in.form;
        reference.instructions = static_cast<u32>(machine.instructions() - start);
        reference.endless = reference.instructions > kMostInstructions;
        if (reference.endless)
            break;
    }
    reference.undefined_flags = undefined.flags();
    return reference;
}

std::string difference(const Outcome& theirs, const Outcome& ours, u32 undefined_flags) {
    std::string text;
    for (int i = 0; i < 8; ++i)
        append(text, kNames[i], theirs.end.gpr[i], ours.end.gpr[i]);
    append(text, "eip", theirs.end.eip, ours.end.eip);
    append(text, "eflags", theirs.end.eflags & ~undefined_flags, ours.end.eflags & ~undefined_flags);
    append(text, "cs", theirs.end.cs, ours.end.cs);
    append(text, "ss", theirs.end.ss, ours.end.ss);
    append(text, "ds", selector_after_return(theirs.end.ds), selector_after_return(ours.end.ds));
    append(text, "es", selector_after_return(theirs.end.es), selector_after_return(ours.end.es));
    append(text, "fs", selector_after_return(theirs.end.fs), selector_after_return(ours.end.fs));
    append(text, "gs", selector_after_return(theirs.end.gs), selector_after_return(ours.end.gs));
    append_floats(text, theirs.end.floats, ours.end.floats);
    append(text, "vector", theirs.vector, ours.vector);
    // Bit 4 says "fetch" only where execution can be forbidden (SDM 3A 4.7): 64-bit hosts can.
    append(text, "error code", theirs.vector == kPageFault ? theirs.error & ~u32{kFaultFetch} : theirs.error,
           ours.error);
    if (theirs.vector == kPageFault && ours.vector == kPageFault)
        append(text, "cr2", theirs.cr2, ours.cr2);
    if (std::memcmp(theirs.data, ours.data, kDataBytes) != 0)
        for (u32 i = 0, shown = 0; i < kDataBytes && shown < 8; ++i)
            if (theirs.data[i] != ours.data[i]) {
                text += fmt::format("  [{:08x}]: host {:02x}, ours {:02x}\n", kDataAddress + i, theirs.data[i],
                                    ours.data[i]);
                ++shown;
            }
    return text;
}

std::string flag_names(u32 flags) {
    struct Named {
        u32 bit;
        const char* name;
    };
    constexpr Named kFlags[] = {{kFlagC, "CF"},  {kFlagP, "PF"}, {kFlagA, "AF"},  {kFlagZ, "ZF"},
                                {kFlagS, "SF"},  {kFlagT, "TF"}, {kFlagD, "DF"},  {kFlagO, "OF"},
                                {kFlagNt, "NT"}, {kFlagR, "RF"}, {kFlagAc, "AC"}, {kFlagId, "ID"}};
    std::string text;
    for (const Named& flag : kFlags)
        if ((flags & flag.bit) != 0)
            text += (text.empty() ? "" : " ") + std::string(flag.name);
    return text;
}

std::string disassembly(const TestCase& test, const std::vector<Executed>& path) {
    std::string text;
    for (const Executed& executed : path) {
        const u32 length = std::max<u32>(1, executed.in.length);
        std::string bytes;
        for (u32 i = 0; i < length && executed.at + i < test.code_size; ++i)
            bytes += fmt::format("{:02x} ", test.code[executed.at + i]);
        if (bytes.empty())
            continue; // behind the program
        text += fmt::format("  {:08x}  {:30} {}{}\n", executed.eip, bytes,
                            executed.in.form != 0 ? to_text(executed.in, executed.eip) : "(no instruction)",
                            executed.mode.default_32 ? "" : "  ; 16-bit code");
    }
    return text;
}

std::string registers_text(const Registers& registers) {
    std::string text = " ";
    for (int i = 0; i < 8; ++i)
        text += fmt::format(" {} {:08x}", kNames[i], registers.gpr[i]);
    text += fmt::format("\n  eip {:08x} eflags {:08x} ({}) cs {:x} ss {:x} ds {:x} es {:x} fs {:x} gs {:x}\n",
                        registers.eip, registers.eflags, flag_names(registers.eflags), registers.cs, registers.ss,
                        registers.ds, registers.es, registers.fs, registers.gs);
    const FloatRegisters& floats = registers.floats;
    text += fmt::format("  x87 control {:04x} status {:04x} in use {:02x} mxcsr {:04x}\n", floats.control,
                        floats.status, floats.occupied, floats.mxcsr);
    for (int i = 0; i < 8; ++i)
        text += fmt::format("  st({}) {:04x}'{:016x}  xmm{} {:016x}'{:016x}\n", i, floats.stack[i].sign_exponent,
                            floats.stack[i].significand, i, floats.xmm[i][1], floats.xmm[i][0]);
    return text;
}

std::string outcome_text(const Outcome& outcome) {
    return registers_text(outcome.end) +
           fmt::format("  vector {} error {:x} cr2 {:08x}\n", outcome.vector, outcome.error, outcome.cr2);
}

} // namespace forkscope::test
