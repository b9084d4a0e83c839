#!/usr/bin/env python3
"""Each boot word that brings back what the original LunaixOS does shows its damage, and the tracer tells it apart.
Usage: lunaix_history.py FORKSCOPE
"""

import os
import re
import subprocess
import sys
import tempfile

# Word, command, what the guest says with the word; without it the command ends well.
DAMAGE = (
    ("nowp", "usertests cow_kernel_stat", "FAIL cow_kernel_stat"),
    ("oldguard", "seededbugs lost-guard", "lost-guard: DAMAGE: a stack was overrun in the child without a fault"),
    ("onepageflush", "seededbugs window-flush", "KERNEL PANIC: kernel stack overrun"),
)
# Word, what the fork report says with it and not without it.
REPORTED = (
    ("oldguard", r"^  2b   parent  \S+ +1  table --- > mark +region_maybe_cow"),
    ("oldguard", r"^  2b   child   \S+ +1  table --- > mark +region_maybe_cow"),
    ("onepageflush", r"^  2    invlpg +1 times, .* in pmap_mount\+"),
    ("onepageflush", r"^  5    invlpg +1 times, .* in pmap_unmount\+"),
)


def run(*words):
    result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    return (result.stdout + result.stderr).decode(errors="replace"), result.returncode


def damage(program, word, command, says):
    for words, expected in (("", False), (word + " ", True)):
        text, code = run(program, "run", "--headless", "--append", f"{words}run={command}")
        if (says in text) != expected or (code != 0) != expected:
            yield f"'{words}run={command}' ended with {code}:\n{text}"


def kernel_copies(program, words):
    """Returns how many faults a recorded run had that were the kernel's own writes to shared pages."""
    with tempfile.TemporaryDirectory() as folder:
        trace = os.path.join(folder, "trace")
        run(program, "run", "--headless", "--append", f"{words}run=usertests cow_kernel_stat", "--trace", trace)
        text, code = run(program, "trace", "stat", trace)
    assert code == 0, text
    found = re.search(r"^ +(\d+)  kernel-copy$", text, re.MULTILINE)
    return int(found.group(1)) if found else 0


def main():
    program = sys.argv[1]
    wrong = [line for word in DAMAGE for line in damage(program, *word)]
    reports = {word: run(program, "fork", "--append", word)[0] for word in ("", "oldguard", "onepageflush")}
    for word, pattern in REPORTED:
        for name, expected in ((word, True), ("", False)):
            if bool(re.search(pattern, reports[name], re.MULTILINE)) != expected:
                wrong.append(f"/{pattern}/ in the report with '{name}' should be {expected}:\n{reports[name]}")
    if (kernel_copies(program, ""), kernel_copies(program, "nowp ")) != (1, 0):
        wrong.append("the trace does not tell nowp apart by the faults of the kernel's own copies")
    for line in wrong:
        print("WRONG:", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
