#include "comparison.hpp"

#include <algorithm>

#include "operand_faults.hpp"

namespace forkscope::test {

namespace {

constexpr u16 kX87Top = 7 << 11;

bool is_same_fault(const Reference& reference, const Outcome& theirs) {
    const Outcome& ours = reference.outcome;
    return theirs.vector != kBreakpoint && theirs.vector == ours.vector && theirs.error == ours.error &&
           theirs.end.eip == ours.end.eip && theirs.end.gpr[kEsp] == ours.end.gpr[kEsp] &&
           ((theirs.end.eflags ^ ours.end.eflags) & ~reference.undefined_flags) == 0;
}

// What `operands` store besides what faults: an instruction that faults half way may have done so (SDM 3A 6.5).
void take_back_stores(const std::vector<OperandFaults>& operands, const Outcome& ours, Outcome& theirs) {
    for (const OperandFaults& operand : operands)
        for (u32 i = 0; i < operand.stored_bytes && operand.faults.empty(); ++i)
            if (const u32 at = operand.stored_at + i - kDataAddress; at < kDataBytes)
                theirs.data[at] = ours.data[at];
}

// Is theirs the fault of one operand where ours is that of another, with all else equal?
bool is_fault_of_other_operand(const Reference& reference, const Outcome& theirs) {
    const Outcome& ours = reference.outcome;
    const std::vector<OperandFaults> operands = operand_faults(reference.last, ours);
    const auto raises = [](const OperandFaults& operand, const Fault& fault) {
        return std::find(operand.faults.begin(), operand.faults.end(), fault) != operand.faults.end();
    };
    // Our supervisor pages are present, and on the host nothing is.
    const bool on_our_pages = ours.vector == kPageFault && BareMachine::is_ours(ours.cr2);
    const Fault own = {ours.vector, ours.error & ~(on_our_pages ? u32{kFaultProtection} : 0), ours.cr2};
    const Fault other = {theirs.vector, theirs.error, theirs.cr2};
    bool both = false;
    for (const OperandFaults& first : operands)
        for (const OperandFaults& second : operands)
            both = both || (&first != &second && raises(first, own) && raises(second, other));
    if (!both)
        return false;
    Outcome settled = theirs;
    settled.vector = ours.vector;
    settled.error = ours.error;
    settled.cr2 = ours.cr2;
    if (is_one_of(form_at(reference.last.form).mnemonic, {"enter", "pusha", "lcall"}))
        take_back_stores(operands, ours, settled);
    return difference(settled, ours, reference.undefined_flags).empty();
}

// "SDM" is Intel's Software Developer's Manual, "APM" AMD's Architecture Programmer's Manual; the number is the volume.
constexpr ExplainedDifference kExplained[] = {
    {"SHLD, SHRD of 16 bits by more than 16",
     "SDM 2B, SHLD: if the count is greater than the operand size, the result is undefined; ours is the P6's",
     [](const Reference& ours, const Outcome&) { return ours.undefined_result; }},
    {"an access beyond FFFFFFFF",
     "SDM 3A 5.3: with the limit FFFFFFFF such accesses may or may not cause the exception; ours wrap as on the P6",
     [](const Reference& ours, const Outcome& theirs) {
         return (theirs.vector == kGeneralProtection || theirs.vector == kStackFault) && theirs.error == 0 &&
                ours.outcome.vector == kPageFault && ours.outcome.cr2 > 0xFFFFFFFF - 16;
     }},
    {kEitherOperandFirst,
     "SDM 3A table 6-2: the faults of two operands are of one class, whose order is the processor's (docs/hosts.md has "
     "what some do); ours is CMPS's source first",
     is_fault_of_other_operand},
    {"a misaligned access to a page that faults",
     "SDM 3A table 6-2: page fault and alignment check are of one class, whose order is the processor's; ours is "
     "the table's, AMD's the other",
     [](const Reference& ours, const Outcome& theirs) {
         return theirs.vector == kAlignmentCheck && ours.outcome.vector == kPageFault &&
                theirs.end.eip == ours.outcome.end.eip;
     }},
    {"PUSHA, POPA, ENTER, a far CALL that fault half way",
     "SDM 3A 6.5: a fault leaves the state before the instruction, as here; the host has stored or loaded the "
     "first ones, which their restart does once more",
     [](const Reference& ours, const Outcome& theirs) {
         const std::string_view name = form_at(ours.last.form).mnemonic;
         return (name == "pusha" || name == "popa" || name == "enter" || name == "lcall") &&
                is_same_fault(ours, theirs);
     }},
    {"MASKMOVQ that faults",
     "SDM 3A 6.5: a fault leaves the state before the instruction, as here; the host has gone over to MMX",
     [](const Reference& ours, const Outcome& theirs) {
         Outcome settled = theirs;
         std::copy(std::begin(ours.outcome.end.floats.stack), std::end(ours.outcome.end.floats.stack),
                   settled.end.floats.stack); // which are named from another TOP
         settled.end.floats.status |= ours.outcome.end.floats.status & kX87Top;
         settled.end.floats.occupied = ours.outcome.end.floats.occupied;
         return form_at(ours.last.form).mnemonic == "maskmovq" && is_same_fault(ours, theirs) &&
                theirs.end.floats.occupied == 0xFF && (theirs.end.floats.status & kX87Top) == 0 &&
                difference(settled, ours.outcome, ours.undefined_flags).empty();
     }},
    {"FLDENV, FRSTOR, FXRSTOR from a page that faults",
     "SDM 2A, FRSTOR: which part of the image is read first, and so which address CR2 holds, is not said",
     [](const Reference& ours, const Outcome& theirs) {
         const std::string_view name = form_at(ours.last.form).mnemonic;
         Outcome settled = theirs;
         settled.cr2 = ours.outcome.cr2;
         const u32 distance = (theirs.cr2 - ours.outcome.cr2) & (ours.last.address_size == 2 ? 0xFFFFu : ~0u);
         return (name == "fldenv" || name == "frstor" || name == "fxrstor") && distance < 512 &&
                difference(settled, ours.outcome, ours.undefined_flags).empty();
     }},
    {"FXRSTOR from a misaligned place where alignment is checked",
     "SDM 2A, FXRSTOR, #AC: whether it takes the place of #GP is not guaranteed and may vary with the processor",
     [](const Reference& ours, const Outcome& theirs) {
         return form_at(ours.last.form).mnemonic == "fxrstor" && theirs.vector == kAlignmentCheck &&
                ours.outcome.vector == kGeneralProtection && theirs.end.eip == ours.outcome.end.eip;
     }},
    {"an operand of more than eight bytes, whose first part faults and whose rest leaves the segment",
     "SDM 3A table 6-2: the two faults are of one class, whose order is the processor's; ours is the segment's first",
     [](const Reference& ours, const Outcome& theirs) {
         constexpr std::string_view kLong[] = {"maskmovdqu", "fbstp",  "fstp",   "fbld",
                                               "fld",        "frstor", "fldenv", "fxrstor"};
         const bool outside = (ours.outcome.vector == kGeneralProtection || ours.outcome.vector == kStackFault) &&
                              ours.outcome.error == 0;
         return std::find(std::begin(kLong), std::end(kLong), form_at(ours.last.form).mnemonic) != std::end(kLong) &&
                outside && theirs.vector == kPageFault && theirs.end.eip == ours.outcome.end.eip;
     }},
    {"a misaligned vector outside the stack segment",
     "SDM 3A table 6-2: the two faults are of one class, whose order is the processor's; ours is #SS, AMD's #GP",
     [](const Reference& ours, const Outcome& theirs) {
         return form_at(ours.last.form).since >= Since::Fxsr && ours.outcome.vector == kStackFault &&
                theirs.vector == kGeneralProtection && theirs.error == 0 && theirs.end.eip == ours.outcome.end.eip;
     }},
    {"MXCSR bit 17", "SDM 1, 10.2.3: reserved; AMD's misaligned exception mask (APM 1, 4.2.2)",
     [](const Reference& ours, const Outcome& theirs) {
         const std::string_view name = form_at(ours.last.form).mnemonic;
         return (name == "ldmxcsr" || name == "fxrstor") && ours.outcome.vector == kGeneralProtection &&
                (theirs.end.floats.mxcsr & 1u << 17) != 0;
     }},
    {"RETF to another ring, by a number that misaligns the stack",
     "SDM 2B, RET: whether the outer SS:ESP are read before CS is checked, is not said; AMD does, ours does not",
     [](const Reference& ours, const Outcome& theirs) {
         return form_at(ours.last.form).mnemonic == "retf" && theirs.vector == kAlignmentCheck &&
                ours.outcome.vector == kGeneralProtection && theirs.end.eip == ours.outcome.end.eip;
     }},
    {"LOCK VERW", "SDM 2A, LOCK: #UD before any other instruction than those listed; AMD's VERW takes it",
     [](const Reference& ours, const Outcome& theirs) {
         return ours.refused_opcode == 0x0F00 && ours.refused_reg == 5 && ours.outcome.vector == kInvalidOpcode &&
                theirs.vector != kInvalidOpcode;
     }},
    {"LOCK MOV CR0",
     "SDM 2A, LOCK: #UD; on AMD it is the name of CR8 (APM 3, MOV CRn), which CPL 3 may not touch either",
     [](const Reference& ours, const Outcome& theirs) {
         return (ours.refused_opcode == 0x0F20 || ours.refused_opcode == 0x0F22) && ours.refused_reg == 0 &&
                ours.outcome.vector == kInvalidOpcode && theirs.vector == kGeneralProtection;
     }},
    {"an undefined opcode at the end of a page",
     "SDM 3A table 6-2: faults on fetching come before those on decoding; how many bytes an undefined opcode has, "
     "and so whether the next page is fetched, is not said",
     [](const Reference& ours, const Outcome& theirs) {
         const auto fetches = [](const Outcome& one, const Outcome& other) {
             return one.vector == kPageFault && one.cr2 == kCodeAddress + kCodeBytes &&
                    other.vector == kInvalidOpcode && one.end.eip == other.end.eip;
         };
         return fetches(theirs, ours.outcome) || fetches(ours.outcome, theirs);
     }},
    {"our own supervisor pages",
     "SDM 3A 4.7, bit 0: our tables and handlers are present there, and on the host nothing is",
     [](const Reference& ours, const Outcome& theirs) {
         return theirs.vector == kPageFault && ours.outcome.vector == kPageFault && BareMachine::is_ours(theirs.cr2) &&
                ours.outcome.error == ((theirs.error & ~u32{kFaultFetch}) | kFaultProtection);
     }},
};

} // namespace

std::span<const ExplainedDifference> explained_differences() { return kExplained; }

} // namespace forkscope::test
