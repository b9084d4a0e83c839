#!/usr/bin/env python3
"""CPU time and memory of Forkscope and of other emulators on the same guests, in turn, as ratios to QEMU.

Usage: peers.py BUILD [--systems qemu,icount,bochs,v86,model,tlb,block] [--workloads int,mmu…] [--passes 5] [--seconds 1]
       [--bochs PROGRAM] [--v86 FOLDER] [--json FILE]

BUILD is Forkscope's build folder. Each pass boots each system anew for each workload; ratios are made within a pass, and
their median, least and greatest are printed. A workload of the benchmark guest is timed between its two serial lines, and
repeated in one boot until QEMU takes about --seconds; every system's time is brought to one round. `forkstorm` (our guest, of
which Forkscope keeps a recording while QEMU keeps none) is timed as a whole, `boot` until the prompt by the clock on the wall.
"""

import argparse
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

# Rounds that take QEMU about a second on a machine of 2024; and how much slower than QEMU a system is on each, at most.
ROUNDS = {"int": 50, "copy": 10, "sys": 2500, "mmu": 500, "fpu": 13, "str": 100, "chase": 5, "chasef": 5, "smc": 160, "cold": 330}
SLOW = {"bochs": {"int": 10, "copy": 5, "sys": 1, "mmu": 2, "fpu": 1, "str": 10, "chase": 1, "chasef": 1}}
OWN_GUEST = ("forkstorm", "boot")
PEERS = ("qemu", "icount", "bochs", "v86")
OUR_OTHERS = {"model": ["--clock", "model"], "tlb": ["--tlb", "random:1"], "block": ["--engine", "block"]}
SECONDS = 600  # a run that takes longer has failed
MEMORY = 256   # MB, of the benchmark guest
PROMPT = b"$ "


class Failed(Exception):
    pass


class Systems:
    """The command line of each system: of a kernel, the words on its command line, and the file that takes its serial line."""

    def __init__(self, options):
        self.forkscope = os.path.join(options.build, "forkscope")
        self.folder = os.path.join(options.build, "tests", "bench", "guest")
        self.kernel = os.path.join(self.folder, "bench.elf")
        self.bochs, self.v86 = options.bochs, options.v86

    def command(self, system, words, serial, folder):
        if system == "bochs":
            return [self.bochs, "-q", "-f", self.bochs_configuration(words, serial, folder), *self.bochs_debugger(folder)]
        if system == "v86":
            return ["node", os.path.join(os.path.dirname(os.path.abspath(__file__)), "v86.mjs"), self.v86, self.kernel, serial, words]
        if system in ("qemu", "icount"):
            more = ["-icount", "shift=0,sleep=off"] if system == "icount" else []
            return ["qemu-system-i386", "-accel", "tcg,thread=single", "-m", str(MEMORY), "-display", "none", "-monitor", "none",
                    "-nodefaults", "-vga", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-chardev",
                    f"file,id=serial,path={serial}", "-serial", "chardev:serial", "-kernel", self.kernel, "-append", words, *more]
        more = OUR_OTHERS.get(system, [])
        return [self.forkscope, "run", "--headless", "-m", f"{MEMORY}M", "--serial", f"file:{serial}", "--kernel", self.kernel,
                "--append", words, *more]

    def bochs_debugger(self, folder):
        """Debian's Bochs has one, and waits for its commands."""
        if "-rc" not in subprocess.run([self.bochs, "--help"], capture_output=True, text=True, check=False).stderr:
            return []
        path = os.path.join(folder, "commands")
        with open(path, "w", encoding="ascii") as file:
            file.write("c\nq\n")
        return ["-rc", path]

    def bochs_configuration(self, words, serial, folder):
        """Bochs loads no multiboot kernel: it boots from a disk whose boot sector does."""
        disk, path = os.path.join(folder, "disk.img"), os.path.join(folder, "bochsrc")
        with open(disk, "wb") as file:
            for name in ("boot_sector.bin", None, "bench.bin"):
                if name is None:
                    file.write(words.encode().ljust(512, b"\0"))
                    continue
                with open(os.path.join(self.folder, name), "rb") as part:
                    file.write(part.read())
            file.truncate(20 * 16 * 63 * 512)
        display = "nogui" if os.path.basename(self.bochs) != "bochs-bin" else 'rfb, options="timeout=0"'
        with open(path, "w", encoding="ascii") as file:
            file.write(f"""megs: {MEMORY}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
boot: disk
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={disk}, mode=flat, cylinders=20, heads=16, spt=63
display_library: {display}
cpu: count=1, ips=200000000, reset_on_triple_fault=0
clock: sync=none, time0=1
com1: enabled=1, mode=file, dev={serial}
log: {folder}/log
panic: action=fatal
""")
        return path


def cpu_seconds(pid):
    """Of all threads so far."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def lines_of(descriptor, deadline, process):
    """The serial line's, as they come, each when it was read."""
    rest = b""
    while time.monotonic() < deadline:
        ready, _, _ = select.select([descriptor], [], [], 0.1)
        data = os.read(descriptor, 65536) if ready else b""
        if not data:
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return
            time.sleep(0.001)
            continue
        rest += data
        while b"\n" in rest:
            line, rest = rest.split(b"\n", 1)
            yield line.decode("latin1").strip()


def measure(systems, system, workload, rounds):
    """CPU seconds of one round, and peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        serial = os.path.join(folder, "serial")
        os.mkfifo(serial)
        command = systems.command(system, f"{workload}={rounds}", serial, folder)
        descriptor = os.open(serial, os.O_RDONLY | os.O_NONBLOCK)
        with open(os.path.join(folder, "output"), "wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder,
                                       env={**os.environ, "SDL_VIDEODRIVER": "dummy"})
        try:
            begin = verdict = None
            for line in lines_of(descriptor, time.monotonic() + SECONDS, process):
                if line.startswith("B "):
                    begin = cpu_seconds(process.pid)
                elif line.startswith("E "):
                    verdict = line
                    break
        finally:
            os.kill(process.pid, signal.SIGKILL)  # Popen's own would take its times away
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0
            os.close(descriptor)
        if verdict is None or " OK" not in verdict:
            with open(os.path.join(folder, "output"), "rb") as output:
                raise Failed(f"{system} failed {workload}: {verdict}: {output.read()[-300:].decode(errors='replace')}")
        return (usage.ru_utime + usage.ru_stime - begin) / rounds, usage.ru_maxrss / 1024


def own_guest(options, system, workload, folder):
    """CPU seconds of forkstorm 400, or wall seconds to the prompt, and peak memory; None: the system is not asked."""
    guest = os.path.join(options.build, "guest")
    images = [("kernel", os.path.join(guest, "kernel-lunaix.elf")), ("initrd", os.path.join(guest, "initrd.tar"))]
    words = "run=forkstorm 400" if workload == "forkstorm" else ""
    if system == "forkscope":
        command = [os.path.join(options.build, "forkscope"), "run", "--headless"]
        if workload == "forkstorm":
            command = [os.path.join(options.build, "forkscope"), "record", "-o", os.path.join(folder, "recording")]
        command += [word for name, path in images for word in (f"--{name}", path)]
    elif system == "qemu":
        command = ["qemu-system-i386", "-accel", "tcg,thread=single", "-cpu", "pentium2", "-m", "64", "-display", "none", "-monitor",
                   "none", "-net", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-serial", "stdio",
                   *[word for name, path in images for word in (f"-{name}", path)]]
    else:
        return None
    return whole_run(command + [("-append" if system == "qemu" else "--append"), words],
                     PROMPT if workload == "boot" else None)


def whole_run(command, prompt):
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    said = b""
    while prompt is None or prompt not in said:
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            break
        said += data
    wall = time.monotonic() - started
    if prompt is not None:
        os.kill(process.pid, signal.SIGKILL)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    process.stdin.close()
    process.stdout.close()
    if prompt is not None and prompt not in said:
        raise Failed(f"{command[0]} shows no prompt: {said[-300:]!r}")
    return (wall if prompt is not None else usage.ru_utime + usage.ru_stime), usage.ru_maxrss / 1024


def passes(options, systems):
    """figures[workload][system]: a list of (seconds, MB), one of each pass."""
    figures = {}
    for number in range(options.passes):
        for workload in options.workloads:
            for system in ["forkscope", *options.systems]:
                with tempfile.TemporaryDirectory() as folder:
                    if workload in OWN_GUEST:
                        figure = own_guest(options, system, workload, folder)
                    else:
                        rounds = max(1, round(ROUNDS[workload] * options.seconds / SLOW.get(system, {}).get(workload, 1)))
                        figure = measure(systems, system, workload, rounds)
                if figure is not None:
                    figures.setdefault(workload, {}).setdefault(system, []).append(figure)
        print(f"pass {number + 1} of {options.passes}", file=sys.stderr, flush=True)
    return figures


def spread(ratios):
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def tables(options, figures):
    others = [system for system in options.systems if system != "qemu"]
    print("| workload | QEMU, s a pass | Forkscope / QEMU |" + "".join(f" {system} / QEMU |" for system in others)
          + " memory, MB: Forkscope, QEMU |")
    print("|---|---|---|" + "---|" * (len(others) + 1))
    for workload, of in figures.items():
        base = [seconds for seconds, _ in of["qemu"]]
        scale = 1 if workload in OWN_GUEST else ROUNDS[workload] * options.seconds
        cells = [workload, f"{statistics.median(base) * scale:.2f}"]
        for system in ["forkscope", *others]:
            cells.append(spread([one[0] / other for one, other in zip(of[system], base)]) if system in of else "")
        cells.append(", ".join(f"{max(memory for _, memory in of[system]):.0f}" for system in ("forkscope", "qemu")))
        print("| " + " | ".join(cells) + " |")
    shared = [workload for workload in figures if workload not in OWN_GUEST]
    for system in others:
        if shared and all(system in figures[workload] for workload in shared):
            ratios = [statistics.median(one[0] / other[0] for one, other in zip(figures[workload]["forkscope"], figures[workload][system]))
                      for workload in shared]
            print(f"\nForkscope / {system}, geometric mean: {statistics.geometric_mean(ratios):.2f}; greatest "
                  f"{max(ratios):.2f} ({shared[ratios.index(max(ratios))]})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--systems", default="qemu", type=lambda text: text.split(","))
    parser.add_argument("--workloads", default=[*ROUNDS, *OWN_GUEST], type=lambda text: text.split(","))
    parser.add_argument("--passes", default=5, type=int)
    parser.add_argument("--seconds", default=1.0, type=float)
    parser.add_argument("--bochs", default="bochs-bin", help="its program; built without a debugger it is faster than Debian's")
    parser.add_argument("--v86", default="node_modules/v86", help="the folder of npm's package")
    parser.add_argument("--json", help="takes all figures")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    unknown = [name for name in options.workloads if name not in ROUNDS and name not in OWN_GUEST]
    unknown += [name for name in options.systems if name not in PEERS and name not in OUR_OTHERS]
    if unknown or "qemu" not in options.systems:
        parser.error(f"there is no {', '.join(unknown)}" if unknown else "qemu is what the others are compared with")
    try:
        figures = passes(options, Systems(options))
    except Failed as failure:
        sys.exit(str(failure))
    tables(options, figures)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
