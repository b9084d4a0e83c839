#!/usr/bin/env python3
"""CPU time of --clock model and cache over that of flat, on each processor, interleaved.

usage: clock_ratio.py FORKSCOPE [-r ROUNDS] [--cpu LIST] [--clocks LIST] [--kernel ELF] [WORKLOAD …]
A workload is a command line of the guest: of the built-in one by default, of the benchmark guest with --kernel.
Each figure is the median of ROUNDS ratios, each of two runs next to each other; only ratios mean anything.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile

BUILT_IN = ["run=forkstorm 400", "run=usertests", "run=forktree"]


def cpu_seconds(program, cpu, clock, kernel, workload):
    command = [program, "run", "--headless", "--cpu", cpu, "--clock", clock, "--append", workload]
    if kernel:
        command += ["--kernel", kernel, "-m", "256M"]
    with tempfile.TemporaryFile() as output:
        before = os.times()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=600)
        after = os.times()
        output.seek(0)
        text = output.read().decode(errors="replace")
    if done.returncode not in (0, 1) or "panic" in text.lower():
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{text[-2000:]}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("-r", "--rounds", type=int, default=3)
    parser.add_argument("--cpu", default="i386,i486,pentium,p6")
    parser.add_argument("--clocks", default="model,cache")
    parser.add_argument("--kernel")
    parser.add_argument("workloads", nargs="*")
    options = parser.parse_intermixed_args()
    workloads = options.workloads or BUILT_IN
    clocks = options.clocks.split(",")
    print("| workload | processor | flat, s | " + " | ".join(clocks) + " |")
    print("|---|---|---|" + "---|" * len(clocks))
    for workload in workloads:
        for cpu in options.cpu.split(","):
            flat = []
            ratios = {clock: [] for clock in clocks}
            for _ in range(options.rounds):
                flat.append(cpu_seconds(options.program, cpu, "flat", options.kernel, workload))
                for clock in clocks:
                    ratios[clock].append(cpu_seconds(options.program, cpu, clock, options.kernel, workload) / flat[-1])
            figures = " | ".join(f"{statistics.median(ratios[clock]):.2f}" for clock in clocks)
            print(f"| {workload} | {cpu} | {statistics.median(flat):.2f} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
