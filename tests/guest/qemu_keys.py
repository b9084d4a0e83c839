#!/usr/bin/env python3
"""The cursor keys of a PC keyboard reach the guest's shell: QEMU presses them. Exits with 77 where QEMU is missing.
Usage: qemu_keys.py --kernel FILE --initrd FILE
"""

import os
import subprocess
import sys
import tempfile
import time

import boot

# Keys by QEMU's names, and the line that must come of them.
STEPS = (
    ("e c h o spc a d left b shift-c ret", "abCd"),
    ("up left left delete home right right right right right x end y ret", "xabdy"),
    ("n o t spc t h i s home ctrl-k up up down ret", "xabdy"),
    ("h a l f ctrl-c e c h o spc o n e ret", "one"),
)


def await_text(path, text, start):
    """Waits until the file holds a text from a place on; returns its length then, or None."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with open(path, encoding="utf-8", errors="replace") as file:
            said = file.read().replace("\r\n", "\n")
        if text in said[start:]:
            return len(said)
        time.sleep(0.05)
    print(repr(said))
    return None


def check(process, serial):
    start = await_text(serial, "\n$ ", 0)
    for keys, line in STEPS:
        if start is None:
            return 1
        for key in keys.split():
            process.stdin.write(f"sendkey {key} 20\n".encode())
            process.stdin.flush()
            time.sleep(0.06)
        start = await_text(serial, f"\n{line}\n$ ", start)
    return 1 if start is None else 0


def main():
    options = boot.parse_arguments(__doc__)
    boot.skip_without("qemu-system-i386")
    with tempfile.TemporaryDirectory() as folder:
        serial = os.path.join(folder, "serial")
        with open(serial, "wb"):
            pass
        process = subprocess.Popen(["qemu-system-i386", "-kernel", options.kernel, "-initrd", options.initrd, "-display", "none",
                                    "-serial", f"file:{serial}", "-monitor", "stdio", "-net", "none"],
                                   stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            return check(process, serial)
        finally:
            boot.stop(process)


if __name__ == "__main__":
    sys.exit(main())
