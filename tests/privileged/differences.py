"""Where QEMU and Bochs do other than the manual says, and we with it. DIFFERENCES.md gives the reason for each name.

A rule foretells what the peer does: from our record of a case it makes the peer's, which must then be equal. Where the peer
goes astray altogether (it leaves out a check, and what follows is chance) the rule leaves the case out. A rule that no case
needs is an error, so that the list stays exact.
"""
import re
from dataclasses import dataclass
from typing import Callable, Optional

RF, DESCRIPTOR_SEGMENT = 0x10000, 0x1000
FAULTS_WITH_ERROR = (10, 11, 12, 13, 14)
FAULTS = (0, 5, 6, 7, *FAULTS_WITH_ERROR)


@dataclass
class Rule:
    """`keys` says for which cases of which groups it holds; `foretell` changes a record in place; without one the case is
    left out. A `foretell` that takes two records may look at the peer's, for what is chance."""
    name: str
    peer: str
    groups: str
    keys: str = ""
    foretell: Optional[Callable] = None

    def holds(self, peer, group, key):
        return peer == self.peer and re.fullmatch(self.groups, group) and re.search(self.keys, key)


def without_rf(ours, _):
    """No RF in the flags of a fault: in a frame, aligned or not, or in the task segment."""
    for place, value in ours.words.items():
        if value & RF and value & 0xFFFF & 2 and value < 0x400000:
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


def task_fault_for_absent_stack(ours, theirs):
    """#TS instead of #SS."""
    if ours.vector == 12 and theirs.vector == 10:
        ours.vector = 10


def words_below(ours, theirs):
    """What the peer stored on a stack before it found that there was no room."""
    for place, value in theirs.words.items():
        if ours.vector == 12 and place[0][0] in "spt" and place not in ours.words:
            ours.words[place] = value


RULES = [
    Rule("no-rf", "qemu", ".*", "", without_rf),
    Rule("no-ext", "qemu", ".*", "", without_ext),
    Rule("no-accessed-in-delivery", "qemu", "int[.].*", "", without_accessed),
    Rule("absent-inner-stack", "qemu", "int[.](stack|double|external)", "", task_fault_for_absent_stack),
    Rule("no-limit-of-stack", "qemu", "int[.]stack_limit"),
    Rule("no-limit-of-stack", "qemu", "int[.](double|external)", "(^|[.])6[.]"),
    Rule("no-limit-of-handler", "qemu", "int[.]offset", "^[0-9A-F]+[.][3-7][.]"),
    Rule("no-icebp", "qemu", "int[.](cause|privilege|double)", "^6[.]"),
    Rule("no-icebp", "qemu", "int[.]flags", "^[0-9A-F]+[.][0-9A-F]+[.]6[.]"),
    Rule("rf-of-int", "qemu", "int[.]flags", "^[89][.]", rf_kept),
    Rule("task-limit", "qemu", "int[.]task_limit", "^0[.].*[.]1[129A]$"),
    Rule("task-limit", "bochs", "int[.]task_limit", "^0[.].*[.]1[129A]$"),
    Rule("partial-frame", "bochs", "int[.]stack_limit", "", words_below),
]
