#!/usr/bin/env python3
"""Runs each command of docs/lecture.md and finds what is shown below it in what it prints, in order.

    lecture.py PROGRAM PAGE
"""

import re
import shlex
import subprocess
import sys


def lessons(text):
    """Pairs of a command and the lines shown below it."""
    found = []
    for line in text.splitlines():
        if line.startswith("    $ "):
            found.append((line[6:], []))
        elif line.startswith("    ") and found and found[-1][1] is not None:
            found[-1][1].append(line[4:])
        elif line.strip() and found:
            found[-1] = (found[-1][0], found[-1][1] or [])
            found.append(("", None))
    return [(command, shown) for command, shown in found if command]


def matches(shown, line):
    return re.fullmatch(".*".join(re.escape(part) for part in shown.split("…")), line) is not None


def main():
    program, page = sys.argv[1:]
    with open(page, encoding="utf-8") as file:
        all_lessons = lessons(file.read())
    failures = [] if len(all_lessons) >= 6 else ["the page has lost its commands"]
    for command, shown in all_lessons:
        words = shlex.split(command)
        if words[0] != "./run":
            failures.append(f"not a command of ours: {command}")
            continue
        done = subprocess.run([program, *words[1:]], capture_output=True, text=True, timeout=120, check=False)
        lines = iter(done.stdout.splitlines())
        for wanted in shown:
            if not any(matches(wanted, line) for line in lines):
                failures.append(f"{command}\n  does not print: {wanted}\n  it prints:\n{done.stdout}{done.stderr}")
                break
        if done.returncode != 0:
            failures.append(f"{command}: exit status {done.returncode}")
    print("\n".join(failures) or f"{len(all_lessons)} commands print what the page shows")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
