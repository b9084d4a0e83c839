#!/usr/bin/env python3
"""Each kernel with a seeded bug shows its damage, and the sound kernel none. Exits with 77 where QEMU is asked for and missing.

Usage: seeded_bugs.py interp|block|qemu --images FOLDER [--program FORKSCOPE]
"""

import argparse
import os
import subprocess
import sys

import boot

BUGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "guest", "bugs")
DAMAGE = {
    "stack-copy": "KERNEL PANIC: exception 13 in the kernel",
    "region-end": "region-end: DAMAGE: the child wrote 2 to shared memory, its parent sees 1",
    "failed-fork": "frames are lost, and a closed file has 1 references more",
    "no-flush": "no-flush: DAMAGE: the child sees what its parent wrote after fork",
    "wrong-invlpg": "wrong-invlpg: DAMAGE: unmapped memory could still be written",
    "early-free": "early-free: DAMAGE: a shared frame was given to another owner: 0xbbbbbbbb instead of 2",
    "small-count": "small-count: DAMAGE: a frame that 265 processes still map was given to another owner: 0xbbbbbbbb instead of 1",
    "second-fork": "second-fork: DAMAGE: the second child wrote into its parent's memory: 4 instead of 3",
    "writable-child": "writable-child: DAMAGE: the child wrote into its parent's memory: 2 instead of 1",
    "foreign-stacks": "foreign-stacks: DAMAGE: the child reads the stack of a thread that it does not have",
    "lost-guard": "lost-guard: DAMAGE: a stack was overrun in the child without a fault",
    "window-flush": "KERNEL PANIC: kernel stack overrun",
}
# QEMU sizes its TLB by the host's time, so which of the stale translations it still holds differs from run to run, and with
# them the place of the panic.
DAMAGE_ON_QEMU = {**DAMAGE, "window-flush": "KERNEL PANIC: "}
AS_INIT = {"no-flush"}  # not even init's fork of the shell works there
SMALL_TLB = {"no-flush", "wrong-invlpg", "window-flush"}  # hidden if the TLB has evicted the stale translation
SOUND, DAMAGED = 0, 1
TIMEOUT = 60


def command_line(name):
    return f"init=/bin/seededbugs run={name}" if name in AS_INIT else f"run=seededbugs {name}"


def run(options, kernel, name, *more):
    """Boots a kernel with the program for a bug. Returns what the guest said, and its status, None where it has none."""
    images = ["--kernel", os.path.join(options.images, f"kernel-{kernel}.elf"),
              "--initrd", os.path.join(options.images, "initrd.tar")]
    if options.machine == "qemu":
        words = ["qemu-system-i386", "-m", "64", *(word.replace("--", "-") for word in images), "-append", command_line(name),
                 "-display", "none", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-no-reboot",
                 "-net", "none"]
        output, code = boot.run_until(words, TIMEOUT, "KERNEL PANIC")
        return output, code >> 1 if code is not None and code % 2 == 1 else None
    words = [options.program, "run", "--headless", "--engine", options.machine, *images, "--append", command_line(name)]
    result = subprocess.run([*words, *more], stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False)
    text = (result.stdout + result.stderr).decode(errors="replace")
    if f"Power off with status {DAMAGED}." in text:
        return text, DAMAGED
    return text, SOUND if result.returncode == 0 else None


def check(options, name):
    """Yields what is not as it must be with one bug."""
    output, status = run(options, "lunaix", name)
    if status != SOUND or f"{name}: sound" not in output:
        yield f"the sound kernel fails the program for {name} (status {status}):\n{output}"
    output, status = run(options, f"lunaix-{name}", name)
    damage = (DAMAGE_ON_QEMU if options.machine == "qemu" else DAMAGE)[name]
    expected = None if damage.startswith("KERNEL PANIC") else DAMAGED
    if status != expected or damage not in output:
        yield f"{name} does not show its damage (status {status}):\n{output}"
    if options.machine != "qemu" and name in SMALL_TLB:
        output, status = run(options, f"lunaix-{name}", name, "--tlb", "tiny")
        if status != SOUND or f"{name}: sound" not in output:
            yield f"{name} shows with a TLB of two entries (status {status}):\n{output}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("machine", choices=("interp", "block", "qemu"))
    parser.add_argument("--images", required=True)
    parser.add_argument("--program")
    options = parser.parse_args()
    if options.machine == "qemu":
        boot.skip_without("qemu-system-i386")
    with open(os.path.join(BUGS, "README.md"), encoding="utf-8") as file:
        catalogue = file.read()
    names = {name[:-len(".patch")] for name in os.listdir(BUGS) if name.endswith(".patch")}
    wrong = [f"{name}: no patch, or no damage known here" for name in sorted(names ^ set(DAMAGE))]
    wrong += [f"{name}: not in the catalogue, guest/bugs/README.md" for name in sorted(names) if f"`{name}`" not in catalogue]
    for name in DAMAGE:
        found = list(check(options, name))
        print(f"{name}: {'WRONG' if found else 'as predicted'}")
        wrong += found
    for line in wrong:
        print("WRONG:", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
