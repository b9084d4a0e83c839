"""Boots the test kernel on Forkscope, QEMU and Bochs, and returns what it wrote to port E9h."""
import glob
import os
import shutil
import subprocess
import sys

SKIPPED = 77
END = "# end"


def skip(reason):
    """Leaves with the status that means skipped."""
    print("skipped:", reason)
    sys.exit(SKIPPED)


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            skip(program + " is not installed")


def find_image(*patterns):
    """Returns the first file that matches one of the patterns, or leaves with 77."""
    for pattern in patterns:
        if found := sorted(glob.glob(pattern)):
            return found[0]
    skip("no file like " + patterns[0])
    return None


def run(command, seconds):
    """Runs an emulator to its end, or ends it; returns its standard output."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=seconds, check=False).stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as stopped:
        return (stopped.stdout or b"").decode("utf-8", "replace")


def read(path):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def forkscope(program, engine, kernel, line, folder, seconds):
    """The kernel's log on Forkscope, entered as a multiboot loader would."""
    log = os.path.join(folder, f"forkscope-{engine}.log")
    run([program, "run", "--headless", "--direct", "--serial", "none", "--engine", engine, "-m", "16M", "--kernel", kernel,
         "--append", line, "--debugcon", "file:" + log], seconds)
    return read(log)


def qemu(kernel, line, folder, seconds):
    need("qemu-system-i386")
    log = os.path.join(folder, "qemu.log")
    run(["qemu-system-i386", "-cpu", "pentium2", "-m", "16", "-kernel", kernel, "-append", line, "-display", "none", "-net",
         "none", "-no-reboot", "-debugcon", "file:" + log, "-device", "isa-debug-exit,iobase=0xf4,iosize=1"], seconds)
    return read(log)


def make_disc(kernel, line, folder):
    """Writes a CD image that boots the kernel through GRUB; returns its path."""
    tree = os.path.join(folder, "tree")
    os.makedirs(os.path.join(tree, "boot", "grub"))
    shutil.copy(kernel, os.path.join(tree, "boot", "kernel.elf"))
    with open(os.path.join(tree, "boot", "grub", "grub.cfg"), "w", encoding="utf-8") as config:
        config.write(f'set timeout=0\nmenuentry "cases" {{\nmultiboot /boot/kernel.elf {line}\n}}\n')
    disc = os.path.join(folder, "cases.iso")
    made = subprocess.run(["grub-mkrescue", "-o", disc, tree], capture_output=True, text=True, check=False)
    if made.returncode != 0 or not os.path.exists(disc):
        skip("grub-mkrescue cannot write a disc here: " + made.stderr.strip()[-200:])
    return disc


def bochs(kernel, line, folder, seconds):
    """Bochs boots the kernel from a CD."""
    need("grub-mkrescue", "xorriso", "mformat")
    return run_bochs([
        "romimage: file=" + find_image("/usr/share/bochs/BIOS-bochs-latest", "/usr/share/bochs/BIOS-bochs-*"),
        "boot: cdrom",
        f"ata0-master: type=cdrom, path={make_disc(kernel, line, folder)}, status=inserted",
    ], folder, seconds)


def run_bochs(start, folder, seconds):
    """Bochs prints the log on its standard output, between its own messages; `start` says what it runs."""
    need("bochs")
    lines = start + [
        "megs: 16",
        "vgaromimage: file=" + find_image("/usr/share/bochs/VGABIOS-lgpl-latest", "/usr/share/vgabios/vgabios*.bin"),
        'display_library: rfb, options="timeout=0"',
        "cpu: ips=50000000, model=p3_katmai, ignore_bad_msrs=0",
        "clock: sync=none",
        "port_e9_hack: enabled=1",
        "panic: action=report",
        "error: action=ignore",
        f"log: {folder}/log.txt",
    ]
    configuration = os.path.join(folder, "bochsrc")
    with open(configuration, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    commands = os.path.join(folder, "commands")
    with open(commands, "w", encoding="utf-8") as file:
        file.write("c\n")
    output = run(["bochs", "-q", "-f", configuration, "-rc", commands], seconds)
    return output[output.index("# "):] if "# " in output else ""
