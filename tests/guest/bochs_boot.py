#!/usr/bin/env python3
"""Boots the guest on Bochs from a GRUB CD image and checks what it printed; the status is the one that the kernel names
before it ends the machine. Exits with 77 where Bochs, GRUB's tools or their BIOS images are missing."""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

import boot

PANIC = "KERNEL PANIC"
STATUS_LINE = "Power off with status "


def find_image(*patterns):
    """Returns the first file that matches one of the patterns, or leaves with 77."""
    for pattern in patterns:
        found = sorted(glob.glob(pattern))
        if found:
            return found[0]
    boot.skip("no file like " + patterns[0])


def escape(line):
    """Returns a command line that GRUB's shell passes on unchanged: what is special outside quotes is escaped."""
    escaped, quote = "", ""
    for character in line:
        if not quote and character in ";&|<>{}$#":
            escaped += "\\"
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        escaped += character
    return escaped


def make_disc(options, folder):
    """Writes a CD image that boots the kernel through GRUB; returns its path."""
    tree = os.path.join(folder, "tree")
    os.makedirs(os.path.join(tree, "boot", "grub"))
    shutil.copy(options.kernel, os.path.join(tree, "boot", "kernel.elf"))
    lines = ["set timeout=0", 'menuentry "guest" {', "multiboot /boot/kernel.elf " + escape(options.append)]
    if options.initrd:
        shutil.copy(options.initrd, os.path.join(tree, "boot", "initrd.tar"))
        lines.append("module /boot/initrd.tar")
    with open(os.path.join(tree, "boot", "grub", "grub.cfg"), "w", encoding="utf-8") as config:
        config.write("\n".join(lines + ["}", ""]))
    disc = os.path.join(folder, "guest.iso")
    made = subprocess.run(["grub-mkrescue", "-o", disc, tree], capture_output=True, text=True, check=False)
    if made.returncode != 0 or not os.path.exists(disc):
        boot.skip("grub-mkrescue cannot write a disc here: " + made.stderr.strip()[-200:])
    return disc


def write_configuration(options, folder, disc):
    """Writes Bochs's configuration, and the debugger's first command for a Bochs that has one; returns both paths."""
    lines = [
        f"megs: {options.memory}",
        "romimage: file=" + find_image("/usr/share/bochs/BIOS-bochs-latest", "/usr/share/bochs/BIOS-bochs-*"),
        "vgaromimage: file=" + find_image("/usr/share/bochs/VGABIOS-lgpl-latest", "/usr/share/vgabios/vgabios*.bin"),
        "boot: cdrom",
        f"ata0-master: type=cdrom, path={disc}, status=inserted",
        f"com1: enabled=1, mode=file, dev={folder}/serial.txt",
        'display_library: rfb, options="timeout=0"',
        "cpu: ips=50000000" + (f", model={options.cpu}" if options.cpu else ""),
        "clock: sync=none",
        "panic: action=fatal",
        f"log: {folder}/log.txt",
    ]
    configuration = os.path.join(folder, "bochsrc")
    with open(configuration, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    commands = os.path.join(folder, "commands")
    with open(commands, "w", encoding="utf-8") as file:
        file.write("c\n")
    return configuration, commands


def main():
    options = boot.parse_arguments(__doc__)
    for program in ("bochs", "grub-mkrescue", "xorriso", "mformat"):
        boot.skip_without(program)
    with tempfile.TemporaryDirectory(prefix="forkscope-bochs-") as folder:
        disc = make_disc(options, folder)
        configuration, commands = write_configuration(options, folder, disc)
        serial = os.path.join(folder, "serial.txt")
        output = boot.run_watching_file(["bochs", "-q", "-f", configuration, "-rc", commands], options.timeout, serial,
                                        PANIC)
    status = None
    if STATUS_LINE in output:
        status = int(output.rsplit(STATUS_LINE, 1)[1].split(".")[0])
    return boot.judge(options, output, status, PANIC)


if __name__ == "__main__":
    sys.exit(main())
