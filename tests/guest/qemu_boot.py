#!/usr/bin/env python3
"""Boots the guest on QEMU and checks its exit status and what it printed. Exits with 77 where QEMU is missing."""
import sys

import boot

QEMU = "qemu-system-i386"
PANIC = "KERNEL PANIC"


def command_line(options):
    """Returns the words that start QEMU with the serial line on its standard output."""
    words = [QEMU, "-m", str(options.memory), "-kernel", options.kernel, "-append", options.append]
    if options.initrd:
        words += ["-initrd", options.initrd]
    if options.cpu:
        words += ["-cpu", options.cpu]
    return words + ["-display", "none", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
                    "-no-reboot", "-net", "none"]


def main():
    options = boot.parse_arguments(__doc__)
    boot.skip_without(QEMU)
    output, exit_code = boot.run_until(command_line(options), options.timeout, PANIC)
    status = None
    if exit_code is not None and exit_code >= 0 and exit_code % 2 == 1:
        status = exit_code >> 1  # isa-debug-exit gives (status << 1) | 1
    return boot.judge(options, output, status, PANIC)


if __name__ == "__main__":
    sys.exit(main())
