#!/usr/bin/env python3
"""Runs the test kernel and compares its log.

    compare.py --kernel K --forkscope F golden          block engine's log against golden.txt, the interpreter's against it
    compare.py --kernel K --forkscope F qemu|bochs      block engine's log against the peer's, less differences.py
    compare.py --kernel K --forkscope F update          writes golden.txt

`--thin N` runs one in N of the cases, 0 also those that are otherwise left out; FORKSCOPE_LONG in the environment is 0 for all.
"""
import argparse
import copy
import os
import sys
import tempfile
import zlib

import differences
import machines
import record

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "golden.txt")
SHOWN = int(os.environ.get("SHOWN", "5"))


def kernel_line(options):
    """The kernel's command line: how many of the cases, which seed."""
    words = [f"thin={options.thin}"]
    if options.seed:
        words.append(f"seed={options.seed}")
    if options.topic:
        words.append(f"topic={options.topic}")
    return " ".join(words)


def log_of(machine, options, folder):
    """The groups that the kernel logs on a machine; ends the test where it did not come to its end."""
    line, seconds = kernel_line(options) + (" qemu" if machine == "qemu" else ""), 1200 if options.thin == 0 else 300
    if machine in ("interp", "block"):
        text = machines.forkscope(options.forkscope, machine, options.kernel, line, folder, seconds)
    else:
        text = getattr(machines, machine)(options.kernel, line, folder, seconds)
    if options.keep:
        with open(os.path.join(options.keep, machine + ".log"), "w", encoding="utf-8") as file:
            file.write(text)
    groups, complete = record.parse_log(text)
    if not complete:
        print(f"the kernel did not come to its end on {machine}; its last lines:")
        print("\n".join(text.splitlines()[-4:]))
        sys.exit(1)
    return groups


def digest(cases):
    """A group in one line: how many cases, and a checksum over their lines."""
    lines = "".join(f"{key} {rest}\n" for key, rest in cases.items())
    return f"{len(cases)} {zlib.crc32(lines.encode()):08x}"


def show(name, found):
    """Prints the first of the differences of one group."""
    print(f"{name}: {len(found)} cases differ")
    for key, ours, theirs in found[:SHOWN]:
        print(f"  {key}\n    ours   {ours}\n    theirs {theirs}")


def compare_engines(block, interp):
    wrong = 0
    for name in sorted(set(block) | set(interp)):
        ours, theirs = block.get(name, {}), interp.get(name, {})
        found = [(key, ours.get(key), theirs.get(key)) for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        if found:
            show(f"block and interp, {name}", found)
            wrong += len(found)
    return wrong


def compare_golden(block):
    golden = dict(line.split(" ", 1) for line in machines.read(GOLDEN).splitlines())
    now = {name: digest(cases) for name, cases in block.items()}
    for name in sorted(set(golden) | set(now)):
        if golden.get(name) != now.get(name):
            print(f"{name}: golden {golden.get(name)}, now {now.get(name)}; "
                  "see what QEMU and Bochs say (tests privileged.qemu, privileged.bochs)")
    return golden != now


def is_explained(peer, group, key, ours, theirs, used):
    """True if the rules for the peer turn our record into its own, or exclude the case."""
    expected, actual = record.Record(ours), record.Record(theirs)
    for rule in differences.RULES:
        if not rule.holds(peer, group, key):
            continue
        if rule.predict is None:
            used.add(rule.name)
            return True
        before = copy.deepcopy(expected)
        rule.predict(expected, actual)
        if expected != before:
            used.add(rule.name)
    return expected == actual


def compare_peer(peer, block, theirs, whole):
    used, wrong, cases, excused = set(), 0, 0, 0
    lacking = sorted(set(theirs) - set(block))
    if lacking:
        print("Forkscope lacks what these groups need:", ", ".join(lacking))
    for name in sorted(set(block) & set(theirs)):
        found = []
        for key in {**block.get(name, {}), **theirs.get(name, {})}:
            cases += 1
            ours, other = block.get(name, {}).get(key), theirs.get(name, {}).get(key)
            if ours == other:
                continue
            if ours and is_explained(peer, name, key, ours, other or "", used):
                excused += 1
                continue
            found.append((key, ours, other))
        if found:
            show(f"{peer}, {name}", found)
            wrong += len(found)
    needless = {rule.name for rule in differences.RULES if rule.peer == peer} - used
    if whole and needless:
        print("no case needs these rules of differences.py any more:", ", ".join(sorted(needless)))
    print(f"{peer}: {cases} cases, {excused} of them differ as differences.py predicts, {wrong} otherwise")
    return wrong + (len(needless) if whole else 0)


def undocumented_rules():
    """The names of rules that DIFFERENCES.md does not explain, and the other way round."""
    text = machines.read(os.path.join(HERE, "DIFFERENCES.md"))
    explained = {line[4:].split(":")[0] for line in text.splitlines() if line.startswith("### ")}
    wrong = explained ^ {rule.name for rule in differences.RULES}
    if wrong:
        print("in only one of differences.py and DIFFERENCES.md:", ", ".join(sorted(wrong)))
    return len(wrong)


def update_golden(options, folder):
    block = log_of("block", options, folder)
    with open(GOLDEN, "w", encoding="utf-8") as file:
        file.writelines(f"{name} {digest(cases)}\n" for name, cases in block.items())
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--forkscope", required=True)
    parser.add_argument("--seed", type=int, help="another sequence of numbers for the cases that draw them")
    parser.add_argument("--thin", type=int, default=1, help="one in so many cases; 0: all that there are")
    parser.add_argument("--topic", help="one topic only")
    parser.add_argument("--keep", help="a folder for the logs")
    parser.add_argument("against", choices=["golden", "qemu", "bochs", "update"])
    options = parser.parse_args()
    if os.environ.get("FORKSCOPE_LONG"):
        options.thin = 0
    whole = options.thin == 1 and not options.topic and not options.seed
    with tempfile.TemporaryDirectory(prefix="forkscope-privileged-") as folder:
        if options.against == "update":
            return update_golden(options, folder)
        if options.against == "golden":
            block = log_of("block", options, folder)
            wrong = compare_engines(block, log_of("interp", options, folder)) + undocumented_rules()
            if whole:
                wrong += compare_golden(block)
        else:
            theirs = log_of(options.against, options, folder)
            wrong = compare_peer(options.against, log_of("block", options, folder), theirs, whole)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
