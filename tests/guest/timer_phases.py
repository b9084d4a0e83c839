#!/usr/bin/env python3
"""The guest passes its tests wherever the timer's ticks fall: many honest boots, each with another phase or rate of the tick.

Usage: timer_phases.py FORKSCOPE [--os lunaix,...] [--runs N] [--jobs N] [--command COMMAND]
200 runs for each system where FORKSCOPE_LONG is set, else 3. Every tenth run takes the interpreter, the others blocks.
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

PIT_HZ = 1193182
TICKS = (1000, 100, 1000, 4000)  # per second; the first is the guest's default, with 100 every tick ends a quantum
GOLDEN = 0.6180339887498949  # its multiples, modulo 1, fill the period evenly however many there are
INTERPRETED = 10
PASSED = re.compile(r"^usertests: [1-9][0-9]* passed, 0 failed, [0-9]+ skipped, 0 frames leaked", re.MULTILINE)
TIMEOUT = 600


def command_of(options, system, number):
    """The words of one run: phase, rate and engine follow from its number alone."""
    tick = TICKS[number % len(TICKS)]
    phase = int(number * GOLDEN % 1 * (PIT_HZ / tick))
    engine = "interp" if number % INTERPRETED == INTERPRETED - 1 else "block"
    return [options.program, "run", "--headless", "--os", system, "--engine", engine, "--append",
            f"tick={tick} timerphase={phase} run={options.command}"]


def run(words):
    """Boots once. Returns whether all was well, the output, and the seconds that it took."""
    begin = time.monotonic()
    try:
        result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired as late:
        return False, (late.stdout or b"").decode(errors="replace") + "\nnot done in time", TIMEOUT
    text = (result.stdout + result.stderr).decode(errors="replace").replace("\r", "")
    return result.returncode == 0 and PASSED.search(text) is not None, text, time.monotonic() - begin


def show(words, text):
    """Prints how to repeat a failed run, and what it said of interest."""
    print("FAILED:", " ".join(f"'{word}'" if " " in word else word for word in words))
    for line in text.splitlines():
        if not line.startswith("ok "):
            print("   ", line)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--os", default="lunaix", help="systems, separated by commas")
    parser.add_argument("--runs", type=int, default=200 if os.environ.get("FORKSCOPE_LONG") else 3)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--command", default="usertests")
    options = parser.parse_args()
    failures = 0
    for system in options.os.split(","):
        commands = [command_of(options, system, number) for number in range(options.runs)]
        failed, seconds = 0, 0.0
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for words, (good, text, took) in zip(commands, pool.map(run, commands)):
                seconds += took
                if not good:
                    failed += 1
                    show(words, text)
        print(f"{system}: {options.runs} runs, {failed} failed, {seconds / max(options.runs, 1):.1f} s each")
        failures += failed
    return 1 if failures or options.runs < 1 else 0


if __name__ == "__main__":
    sys.exit(main())
