#!/usr/bin/env python3
"""The kernel refuses or kills, and does not panic, whichever of its allocations fails once init runs (failalloc=K).

Usage: boot_allocations.py FORKSCOPE [--os lunaix,...]
Every seventh allocation until the command succeeds untouched; each one where FORKSCOPE_LONG is set.
"""

import argparse
import os
import re
import subprocess
import sys

MOST = 2000
UNTOUCHED = 21  # after so many successes in a row the order no longer fires; a system may do without a few allocations
ENDS = re.compile(r"^Power off with status (\d+)\.", re.MULTILINE)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--os", default="lunaix", help="systems, separated by commas")
    options = parser.parse_args()
    step = 1 if os.environ.get("FORKSCOPE_LONG") else 7
    wrong = 0
    for system in options.os.split(","):
        refused, number, succeeded = 0, 1, 0
        while succeeded * step < UNTOUCHED and number < MOST:
            result = subprocess.run([options.program, "run", "--headless", "--os", system, "--limit", "2000000000i",
                                     "--append", f"failalloc={number} run=true"], stdin=subprocess.DEVNULL,
                                    capture_output=True, timeout=120, check=False)
            text = (result.stdout + result.stderr).decode(errors="replace").replace("\r", "")
            end = ENDS.search(text)
            if end is None:
                wrong += 1
                print(f"WRONG: {system}, failalloc={number}:\n{text}")
            refused += end is None or end.group(1) != "0"
            succeeded = succeeded + 1 if end is not None and end.group(1) == "0" else 0
            number += step
        wrong += refused == 0 or succeeded == 0
        print(f"{system}: {refused} of {(number - 1) // step} failed allocations stopped the command, {wrong} went wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
