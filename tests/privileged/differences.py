"""Where QEMU and Bochs differ from the manual, and so from us. DIFFERENCES.md gives the reason for each name.

A rule predicts what the peer does: it changes our record of a case into the peer's, which must then be equal. If the peer's result
is arbitrary (it omits a check), the rule excludes the case. A rule that no case needs is an error, so that the list stays exact.
"""
import re
from dataclasses import dataclass
from typing import Callable, Optional

RF, VIF, VIP, DESCRIPTOR_SEGMENT = 0x10000, 0x80000, 0x100000, 0x1000
FAULTS_WITH_ERROR = (10, 11, 12, 13, 14)
REGISTERS = ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi", "sp")
FAULTS = (0, 5, 6, 7, *FAULTS_WITH_ERROR)


@dataclass
class Rule:
    """`keys` says for which cases of which groups it holds; `predict` changes a record in place; without one the case is
    excluded. `predict` also gets the peer's record, for what is arbitrary."""
    name: str
    peer: str
    groups: str
    keys: str = ""
    predict: Optional[Callable] = None

    def holds(self, peer, group, key):
        return peer == self.peer and re.fullmatch(self.groups, group) and re.search(self.keys, key)


def may_be_flags(place, value):
    """A word of a stack that looks like EFLAGS, or the field of a task segment."""
    if place[0] in ("M", "W", "V"):
        return place[1] == 0x24
    return place[0][0] in "spt" and value & 2 and value < 0x400000


def without_rf(ours, _):
    """No RF in the flags of a fault: in a frame, aligned or not, or in the task segment."""
    for place, value in ours.words.items():
        if value & RF and may_be_flags(place, value) and not value & VIP:  # with VIP it is a selector and an IP
            ours.words[place] = value & ~RF
    place = ours.byte_place(8 + (4 if ours.vector in FAULTS_WITH_ERROR else 0) + 2)
    if ours.vector in FAULTS and place and ours.byte_at(place) & 1 and ours.top & 3:
        ours.set_byte(place, ours.byte_at(place) & ~1)


def rf_kept(ours, theirs):
    """RF in the frame of INT n as it was before."""
    for place, value in ours.words.items():
        if value & 2 and theirs.words.get(place) == value | RF:
            ours.words[place] = value | RF


def without_ext(ours, _):
    """No EXT in error codes."""
    place = ours.byte_place(0)
    if ours.vector in FAULTS_WITH_ERROR and ours.vector != 14 and place:
        ours.set_byte(place, ours.byte_at(place) & ~1)


def without_accessed(ours, _):
    """No accessed bit in the descriptors of the handler's segments."""
    for place in [place for place, value in ours.words.items()
                  if place[0] in "GL" and place[1] % 8 == 4 and value & DESCRIPTOR_SEGMENT]:
        del ours.words[place]


def words_below(ours, theirs):
    """What the peer stored on a stack before it found that there was no room, or that the target lies beyond its limit."""
    for place, value in theirs.words.items():
        if ours.vector in (12, 13) and place[0][0] in "spt" and place not in ours.words:
            ours.words[place] = value


def chance(ours, theirs):
    """Both end with a fault, but which and where is another matter."""
    if ours.vector in (8, *FAULTS_WITH_ERROR) and theirs.vector in (8, *FAULTS_WITH_ERROR):
        ours.fields, ours.words = dict(theirs.fields), dict(theirs.words)


def anything_after_fault(ours, theirs):
    """What the peer makes of a fault in the new task."""
    if ours.vector in (8, *FAULTS_WITH_ERROR):
        ours.fields, ours.words = dict(theirs.fields), dict(theirs.words)


def anything_after_short_stack(ours, theirs):
    """The peer reads an SS of which half lies beyond the limit, and finds it wrong."""
    if ours.vector == 12 and theirs.vector == 13 and ours.byte_place(0) and ours.words[ours.byte_place(0)[0]] == 0:
        ours.fields, ours.words = dict(theirs.fields), dict(theirs.words)


def fault_instead(ours_is, theirs_is):
    """Another vector, the same error code."""
    def change(ours, theirs):
        if ours.vector == ours_is and theirs.vector == theirs_is:
            ours.vector = theirs_is
    return change


def error_code_is_selector(ours, theirs):
    """#GP with the selector where the manual says #GP(0)."""
    place = ours.byte_place(0)
    if ours.vector == theirs.vector == 13 and place and ours.words[place[0]] == 0 and place[0] in theirs.words:
        ours.words[place[0]] = theirs.words[place[0]]


def narrow_sp(ours, theirs):
    """SP where the manual says ESP."""
    for place, value in theirs.words.items():
        if ours.words.get(place, 0) & 0xFFFF == value and value < 0x10000:
            ours.words[place] = value


def esp_before_error_code(ours, theirs):
    """The ESP that a double fault saves is the one before the error code was pushed."""
    for place in (("W", 0x38), ("N", 0x18)):
        if ours.vector == theirs.vector == 8 and place in ours.words and place not in theirs.words:
            del ours.words[place]


def other_upper_halves(ours, theirs):
    """Of the registers that a 16-bit task segment loads, and of what is made of them."""
    for name in REGISTERS:
        mine, value = ours.fields.get(name, ""), theirs.fields.get(name)
        if not mine[:-4].endswith("FFFF"):
            continue
        if value is None:
            del ours.fields[name]
        elif int(mine[-4:], 16) == int(value.rsplit(":", 1)[-1][-4:], 16):
            ours.fields[name] = value
    for place, value in theirs.words.items():
        if ours.words.get(place, 0) >> 16 == 0xFFFF and ours.words[place] & 0xFFFF == value & 0xFFFF:
            ours.words[place] = value


def inner_rpl(ours, theirs):
    """The RPL of CS is the conforming segment's DPL."""
    for place, value in theirs.words.items():
        if ours.words.get(place, value) != value and ours.words[place] & ~3 == value & ~3:
            ours.words[place] = value


def without_virtual_interrupt_flags(ours, _):
    """VIF and VIP cannot be set."""
    ours.words = {place: value & ~(VIF | VIP) if may_be_flags(place, value) else value
                  for place, value in ours.words.items()}
    flags = int(ours.fields.get("f", "0"), 16)
    if flags & (VIF | VIP):
        ours.fields["f"] = f"{flags & ~(VIF | VIP):X}"


def wide_push(ours, theirs):
    """All of a double word of the stack is written, and the limit may lie there."""
    if ours.vector == 3 and theirs.vector == 12:
        ours.fields, ours.words = dict(theirs.fields), dict(theirs.words)
    for place in {place for place in (*ours.words, *theirs.words) if place[0] == "p3"}:
        if place in theirs.words:
            ours.words[place] = theirs.words[place]
        else:
            del ours.words[place]


def accessed_before_fault(ours, theirs):
    """The accessed bits are set though the access faults."""
    for place in (("D", 8), ("E", 0x20), ("T", 0)):
        if ours.vector == theirs.vector == 14 and place in theirs.words and place not in ours.words:
            ours.words[place] = theirs.words[place]


def change_error_code(wrong, condition):
    """Bits of a page fault's error code that the peer leaves away."""
    def change(ours, theirs):
        place = ours.byte_place(0)
        if ours.vector != theirs.vector or ours.vector != 14 or not place or place[0] not in theirs.words:
            return
        if condition & ours.byte_at(place) == condition and not wrong & theirs.byte_at(place):
            ours.set_byte(place, ours.byte_at(place) & ~wrong)
    return change


def aligned_address(ours, theirs):
    """CR2 is that of the double word."""
    if ours.vector == theirs.vector == 14 and "cr2" in ours.fields:
        ours.fields["cr2"] = f"{int(ours.fields['cr2'], 16) & ~3:X}"


def other_limit_bits(ours, theirs):
    """Bits 16 to 19 of what LAR loads."""
    value = int(theirs.fields.get("ecx", "0"), 16)
    if "ecx" in ours.fields and int(ours.fields["ecx"], 16) & ~0xF0000 == value & ~0xF0000:
        ours.fields["ecx"] = theirs.fields["ecx"]


def notes(record):
    """What the noting handler of #DB wrote of each: DR6 with RF and TF of the saved flags."""
    return [(place, value) for place, value in record.words.items() if place[0] == "e" and place[1] % 8 == 4]


def without_rf_in_iterations(ours, theirs):
    """No RF in the flags of a trap between two iterations."""
    for place, value in notes(ours):
        if value & RF and value & 0x400F and theirs.words.get(place, RF) & RF == 0:
            ours.words[place] = value & ~RF


def rf_in_notes(ours, theirs):
    """RF where it should have been cleared by the instruction before."""
    for place, value in notes(ours):
        if theirs.words.get(place, 0) == value | RF:
            ours.words[place] = value | RF


def more_bits_of_dr6(ours, theirs):
    """B0 to B3 of conditions that are met but not enabled, or met where a trap came first."""
    for place, value in notes(ours):
        other = theirs.words.get(place, 0)
        if value & ~other == 0 and other & ~value & ~0xF == 0:
            ours.words[place] = other
    mine, value = (int(record.fields.get("d6", "FFFF0FF0"), 16) for record in (ours, theirs))
    if mine != value and mine & ~value & 0xF == 0 and mine & ~0xF == value & ~0xF:
        ours.fields["d6"] = f"{value:X}"


def old_bits_cleared(ours, theirs):
    """B0 to B3, and Bochs also BT, that an earlier #DB has left in DR6."""
    mine, value = (int(record.fields.get("d6", "FFFF0FF0"), 16) for record in (ours, theirs))
    if mine != value and value & ~mine == 0 and (mine & ~value) & ~0x800F == 0:
        ours.fields["d6"] = f"{value:X}"


def without_rf_of_guard(ours, _):
    """No RF in the flags that general detect saves."""
    if ours.vector == 1 and int(ours.fields.get("d6", "0"), 16) & 0x2000:
        for place, value in ours.words.items():
            if value & RF and may_be_flags(place, value):
                ours.words[place] = value & ~RF


def bit_11(ours, theirs):
    """Bit 11 of DR7 can be set."""
    for name in ("d7", "ecx"):
        if name in theirs.fields:
            ours.fields[name] = f"{int(ours.fields.get(name, '400'), 16) | int(theirs.fields[name], 16) & 0x800:X}"


RULES = [
    Rule("no-rf", "qemu", ".*", "", without_rf),
    Rule("no-ext", "qemu", ".*", "", without_ext),
    Rule("no-accessed-in-delivery", "qemu", "int[.].*", "", without_accessed),
    Rule("no-accessed-in-transfer", "qemu", "far[.](direct|gate_target|gate|stack|random)|ret[.](code|stack|random)|task[.]field",
         "", without_accessed),
    Rule("absent-inner-stack", "qemu", "int[.](stack|double|external)|far[.](stack|random)", "", fault_instead(12, 10)),
    Rule("absent-gate-target", "qemu", "far[.](gate|gate_target|random)", "", fault_instead(11, 13)),
    Rule("absent-return-stack", "qemu", "ret[.](stack|random)", "", fault_instead(12, 11)),
    Rule("limit-error-code", "qemu", "far[.](limit|random)", "", error_code_is_selector),
    Rule("no-limit-of-stack", "qemu", "int[.]stack_limit|far[.](stack_limit|missing_parameters|full_stack)|ret[.]short"),
    Rule("no-limit-of-stack", "qemu", "int[.](double|external)", "(^|[.])6[.]"),
    Rule("no-limit-of-target", "qemu", "int[.]offset", "^[0-9A-F]+[.][3-7][.]"),
    Rule("no-limit-of-target", "qemu", "far[.]gate_offset", r"^\d[.]\d[.][3-6][.]"),
    Rule("no-limit-of-target", "qemu", "ret[.]limit", r"^\d[.][2-5][.]"),
    Rule("no-icebp", "qemu", "int[.](cause|privilege|double)", "^6[.]"),
    Rule("no-icebp", "qemu", "int[.]flags", "^[0-9A-F]+[.][0-9A-F]+[.]6[.]"),
    Rule("no-vme", "qemu", "ret[.](flags|outward_flags)|task[.]kind", "", without_virtual_interrupt_flags),
    Rule("no-vme", "qemu", "ret[.]flags", "^[68][.]1"),
    Rule("rf-of-int", "qemu", "task[.]kind", "", rf_kept),
    Rule("rf-of-int", "qemu", "int[.]flags", "^[89][.]", rf_kept),
    Rule("rf-of-int", "qemu", "ret[.]flags", "", rf_kept),
    Rule("conforming-rpl", "qemu", "far[.](gate|gate_target)", "^1[.]", inner_rpl),
    Rule("upper-halves", "qemu", "task[.]kind", r"^\d[.][23][.]\d[.]2$"),
    Rule("upper-halves", "qemu", "far[.](direct|odd)|task[.].*|int[.].*", "", other_upper_halves),
    Rule("partial-frame", "qemu", "far[.]limit", "", words_below),
    Rule("vm-outside-ring-0", "qemu", "ret[.]outward_flags", "[.]1$"),
    Rule("faults-in-new-task", "qemu", "task[.](field|odd_field|eip|error_code)", "", anything_after_fault),
    Rule("no-trap-bit", "qemu", "task[.]trap", r"^\d[.]1[.]"),
    Rule("conforming-task-code", "qemu", "task[.]field", "^1[.][9BDF][C-F][.]"),
    Rule("return-to-itself", "qemu", "task[.]busy", r"^6[.]\d[.]0$"),
    Rule("task-in-ldt", "qemu", "task[.]odd", "", fault_instead(13, 10)),
    Rule("lar-limit-bits", "qemu", "page[.]implicit", "^2[.]", other_limit_bits),
    Rule("lar-limit-bits", "qemu", "limit[.](query|odd_query)", "^0[.]", other_limit_bits),
    Rule("no-limits", "qemu", "limit[.](memory|address16|string|stack|enter_room|code|fetch)"),
    Rule("no-limits", "qemu", "seg[.]use"),
    Rule("no-such-register", "qemu", "seg[.]privileged", "^(10|11|14)[.][1-3][.]"),
    Rule("unknown-msr", "qemu", "seg[.]privileged", "^1[89][.]0[.]"),
    Rule("null-task", "qemu", "seg[.]privileged", "^1F[.]0[.]"),
    Rule("null-task", "qemu", "seg[.]odd_system", "^3[.][0-3][.]0$"),
    Rule("lock-clts", "qemu", "seg[.]privileged", "^20[.]"),
    Rule("no-vme", "qemu", "v86[.]sensitive", "^[0-9A-F]+[.][0-3][.]1[.]"),
    Rule("no-icebp", "qemu", "v86[.]out", "^6[.]"),
    Rule("no-icebp", "qemu", "v86[.]sensitive", "^7[.]"),
    Rule("no-vme", "qemu", "v86[.]in", "^9[.][01][.][13]$"),
    Rule("no-vme", "qemu", "v86[.]flags", "^[13][.]"),
    Rule("no-vme", "qemu", "v86[.](virtual_flag|external)", "[13579BDF]$"),
    Rule("no-limits", "qemu", "v86[.]sensitive", "^2[78AB][.]"),
    Rule("no-limits", "qemu", "v86[.](in_short|stack_limit)"),
    Rule("no-limits", "qemu", "v86[.]in", "[.][234][.][0-3]$"),
    Rule("virtual-to-ring-1", "qemu", "v86[.]out", "^.[.][0-3][.][1-7][.]"),
    Rule("rf-of-int", "qemu", "v86[.](flags|in)", "", rf_kept),
    Rule("no-control-checks", "qemu", "seg[.]privileged", "^13[.]0[.]"),
    Rule("no-control-checks", "qemu", "seg[.]control", "^([3-9A-F])[.]0$"),
    Rule("accessed-before-fault", "qemu", "page[.].*", "", accessed_before_fault),
    Rule("reserved-not-present", "qemu", "page[.].*", "", change_error_code(1, 9)),
    Rule("update-as-read", "qemu", "page[.]update", "^[0123678][.]", change_error_code(2, 2)),
    Rule("parameters-as-supervisor", "qemu", "page[.]implicit", "^5[.][0-6][.][13]$"),
    Rule("task-read-order", "qemu", "page[.]implicit", "^8[.][0246][.]"),
    Rule("accessed-width", "qemu", "page[.]implicit", "^1[.]", aligned_address),
    Rule("several-faults", "qemu", "(far|ret|task)[.]random"),
    Rule("task-limit", "qemu", "(int|far)[.]task_limit", "^0[.].*[.]1[129A]$"),
    Rule("task-limit", "bochs", "(int|far)[.]task_limit", "^0[.].*[.]1[129A]$"),
    Rule("partial-frame", "bochs", "int[.]stack_limit|far[.](limit|full_stack|stack_limit)|limit[.](code|stack)", "", words_below),
    Rule("push-segment", "qemu", "seg[.]store", "^[0-5][.][03][.]2$", wide_push),
    Rule("push-segment", "qemu", "limit[.]stack", "^[0-3][.]11[.]", wide_push),
    Rule("virtual-offset", "bochs", "v86[.]in", "[.][34][.][0-3]$"),
    Rule("wrap-of-4g", "bochs", "limit[.]memory", "^5[.]1[B-E][.]"),
    Rule("narrow-sp-through-gate", "bochs", "far[.]parameters", "[.]3$", narrow_sp),
    Rule("absent-half-of-ss", "bochs", "ret[.]short", "^(0[.]3[.]E|1[.]3[.]16|2[.]3[.]12)[.]4$"),
    Rule("absent-half-of-ss", "bochs", "ret[.]random", "", anything_after_short_stack),
    Rule("esp-after-error-code", "bochs", "task[.](eip|random)", "", esp_before_error_code),
    Rule("task-check-order", "bochs", "task[.](field|odd_field)", "^1[.]", chance),
    Rule("task-check-order", "bochs", "task[.]random", "", chance),
    Rule("forty-address-bits", "bochs", "page[.]pae_reserved", r"^2[4-7][.]"),
    Rule("forty-address-bits", "bochs", "page[.]pointer", r"^(0[.]0|2[4-7][.]1)[.]"),
    Rule("rf-of-int", "qemu", "debug[.].*", "", rf_kept),
    Rule("rf-of-int", "qemu", "debug[.].*", "", rf_in_notes),
    Rule("other-conditions", "qemu", "debug[.].*", "", more_bits_of_dr6),
    Rule("rf-between-iterations", "qemu", "debug[.].*", "", without_rf_in_iterations),
    Rule("code-with-base", "qemu", "debug[.]code", "^[0-9A-F]+[.][456][.]"),
    Rule("rf-between-iterations", "qemu", "debug[.]code", "^9[.]"),
    Rule("no-shadow-of-debug", "qemu", "debug[.]step", "^E[.]"),
    Rule("no-step-of-pause", "qemu", "debug[.]step", "^14[.]"),
    Rule("bit-12-of-dr6", "qemu", "debug[.]register", "^6[.]"),
    Rule("code-with-base", "qemu", "debug[.]resume", "^1[.]"),
    Rule("no-icebp", "qemu", "debug[.]gate", "^3[.]"),
    Rule("no-icebp", "qemu", "debug[.]step", "^2[.]"),
    Rule("guard-before-privilege", "qemu", "debug[.]register", "^[45][.]"),
    Rule("no-general-detect", "qemu", "debug[.]guard"),
    Rule("no-general-detect", "qemu", "debug[.]register", "^7[.]"),
    Rule("ports-without-de", "qemu", "debug[.]port"),
    Rule("no-shadow-of-debug", "qemu", "debug[.]shadow"),
    Rule("no-shadow-of-debug", "qemu", "debug[.]step", "^[6-9AB][.]"),
    Rule("no-shadow-of-debug", "qemu", "debug[.]external"),
    Rule("own-accesses", "qemu", "debug[.](frame|table|task|step_far|priority)"),
    Rule("unmasked-addresses", "qemu", "debug[.]data"),
    Rule("several-conditions", "qemu", "debug[.]random"),
    Rule("lost-in-shadow", "bochs", "debug[.]shadow", "^[013][.][1234][.]"),
    Rule("rf-between-iterations", "bochs", "debug[.].*", "", without_rf_in_iterations),
    Rule("other-conditions", "bochs", "debug[.].*", "", more_bits_of_dr6),
    Rule("bits-of-dr6", "bochs", "debug[.]guard", "[.]1$", old_bits_cleared),
    Rule("guard-is-a-fault", "bochs", "debug[.](guard|register)", "", without_rf_of_guard),
    Rule("guard-before-privilege", "bochs", "debug[.]guard", "^(.[.]|(4|5|C|D)[.]0[.]).*[.]([12356][.]0|3[.]1)$"),
    Rule("code-length", "bochs", "debug[.]code_length", "^[1-3][.]"),
    Rule("bit-11-of-dr7", "bochs", "debug[.]register", "^[57][.]", bit_11),
    Rule("chain-of-shadows", "bochs", "debug[.]external", "^[2367][014589CD]$"),
    Rule("step-of-task-switch", "bochs", "debug[.]step_far", "^[34][.]"),
    Rule("guard-and-icebp", "bochs", "debug[.]guard", "^12[.]"),
    Rule("enter-looks-ahead", "bochs", "debug[.]frame", "^5[.][03][.](E|10)[.]"),
]
