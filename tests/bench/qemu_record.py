#!/usr/bin/env python3
"""What recording costs: Forkscope's `record` and QEMU's rr=record, each against its own run without, in turn.

Usage: qemu_record.py FORKSCOPE KERNEL INITRD [ROUNDS OF FORKSTORM] [TIMES]

CPU seconds (the least of TIMES), sizes of the files, and one reverse step of each near the end of the run.
"""

import os
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

SECONDS = 900
POWER_OFF = "power_off" # of the guest's kernel
COUNT = re.compile(r"instruction count = (\d+)")
CLUSTER = 65536


def empty_image(path):
    """A qcow2 image without contents, which snapshots of the machine go to; qemu-img is in a package of its own."""
    image = bytearray(4 * CLUSTER)
    head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, 1 << 30, 0, 2, 3 * CLUSTER, CLUSTER, 1, 0, 0)
    image[:len(head)] = head
    struct.pack_into(">Q", image, CLUSTER, 2 * CLUSTER)  # the table of reference counts has one block
    struct.pack_into(">4H", image, 2 * CLUSTER, 1, 1, 1, 1)
    with open(path, "wb") as file:
        file.write(image)


def cpu_seconds(words, expected):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode != expected:
        sys.exit(f"{words[0]} ended with {result.returncode}: {result.stdout[-500:]!r}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Runs:
    def __init__(self, program, kernel, initrd, line, folder):
        self.line, self.folder = line, folder
        self.qemu = ["qemu-system-i386", "-cpu", "pentium2", "-m", "64", "-kernel", kernel, "-initrd", initrd, "-append", line,
                     "-display", "none", "-monitor", "none", "-net", "none", "-no-reboot", "-serial", "null",
                     "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        self.forkscope, self.kernel = program, kernel

    def path(self, name):
        return os.path.join(self.folder, name)

    def qemu_words(self, mode):
        if mode == "plain":
            return self.qemu + ["-icount", "shift=0,sleep=off"]
        words = self.qemu + ["-icount", f"shift=0,rr={mode},rrfile={self.path('qemu.rr')},rrsnapshot=start"]
        return words + ["-drive", f"file={self.path('snapshots.qcow2')},if=none,id=snapshots"]

    def measure(self, times):
        seconds = {}
        for _ in range(times):
            empty_image(self.path("snapshots.qcow2"))
            for name, words, expected in (
                    ("QEMU", self.qemu_words("plain"), 1), ("QEMU, recording", self.qemu_words("record"), 1),
                    ("Forkscope", [self.forkscope, "run", "--display", "none", "--serial", "none", "--append", self.line], 0),
                    ("Forkscope, recording", [self.forkscope, "record", "-o", self.path("a.rec"), "--append", self.line], 0)):
                took = cpu_seconds(words, expected)
                seconds[name] = min(seconds.get(name, took), took)
        return seconds

    def qemu_bytes(self):
        """Its log and what the snapshot at the beginning takes."""
        return os.path.getsize(self.path("qemu.rr")), os.path.getsize(self.path("snapshots.qcow2")) - 4 * CLUSTER

    def replayed(self, commands):
        """What gdb says to these commands of a replay that stands at the beginning."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(self.qemu_words("replay") + ["-S", "-gdb", f"tcp:127.0.0.1:{port}"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            begin = ["set pagination off", "set confirm off", "set architecture i386", f"target remote 127.0.0.1:{port}"]
            words = ["gdb", "-q", "-nx", "-batch"]
            words += [word for command in begin + commands + ["kill"] for word in ("-ex", command)]
            return subprocess.run(words + [self.kernel], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=SECONDS, text=True).stdout
        finally:
            server.kill()
            server.wait()

    def qemu_instructions(self):
        """By its own count, where the guest's kernel powers off."""
        text = self.replayed([f"hbreak {POWER_OFF}", "continue", "monitor info replay"])
        return int(COUNT.search(text).group(1))

    def qemu_back(self, place):
        """Seconds of one reverse-stepi at that instruction, and where it led."""
        # replay_seek answers before it is there, and leaves gdb with a machine that runs on.
        text = self.replayed([f"monitor replay_break {place}", "continue", "monitor info replay", "stepi", "monitor info replay",
                              "python import time; begun = time.time()", "reverse-stepi",
                              "python print('took %.3f' % (time.time() - begun))", "monitor info replay"])
        counts = COUNT.findall(text)
        took = re.search(r"took ([\d.]+)", text)
        if took is None or len(counts) != 3:
            return f"did not come back: {text[-300:]!r}"
        return f"{took.group(1)} s, to the instruction before: {'yes' if counts == [str(place), str(place + 1), str(place)] else 'no'}"


def main():
    program, kernel, initrd = sys.argv[1:4]
    rounds = sys.argv[4] if len(sys.argv) > 4 else "400"
    times = int(sys.argv[5]) if len(sys.argv) > 5 else 5
    if shutil.which("qemu-system-i386") is None:
        print("skipped: there is no qemu-system-i386")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(program, kernel, initrd, f"run=forkstorm {rounds}", folder)
        seconds = runs.measure(times)
        for name in ("QEMU", "Forkscope"):
            plain, recording = seconds[name], seconds[name + ", recording"]
            print(f"{name}: {plain:.2f} s, recording {recording:.2f} s, {recording / plain:.2f} times")
        log, snapshot = runs.qemu_bytes()
        print(f"QEMU: log {log} bytes, snapshot {snapshot} bytes; Forkscope: {os.path.getsize(runs.path('a.rec'))} bytes")
        instructions = runs.qemu_instructions()
        for share in (0.1, 0.5, 0.9):
            print(f"QEMU, reverse-stepi behind {share:.0%} of {instructions} instructions:", runs.qemu_back(int(share * instructions)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
