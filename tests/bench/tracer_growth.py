#!/usr/bin/env python3
"""tracer_growth.py FORKSCOPE FOREIGN_KERNELS [SIZE…]: what tracing forks costs as there are more of them.

Runs each size with and without the tracer, in turn, on the built-in guest (forkstorm) and on a kernel that states
nothing (cow, storm), and prints CPU time, its ratio and peak memory. Fails if from the second largest size to the
largest memory grows by more than 10 % beyond what the guest itself comes to touch, or the time of a fork by more than 20 %.
"""
import os
import sys

program, kernels = sys.argv[1:3]
sizes = [int(size) for size in sys.argv[3:]] or [1000, 10000, 100000]
RUNS = 3


def spent(arguments):
    """CPU seconds and peak memory in MB of one run."""
    null = [(os.POSIX_SPAWN_OPEN, end, os.devnull, os.O_RDWR, 0) for end in (0, 1, 2)]
    child = os.posix_spawn(program, [program, *arguments], os.environ, file_actions=null)
    _, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 5):
        sys.exit(f"forkscope {' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def commands(guest, size):
    if guest == "built-in":
        return (["run", "--headless", "--serial", "none", "--append", f"run=forkstorm {size}"],
                ["fork", "--json", "--workload", f"forkstorm {size}"])
    kernel = ["--kernel", os.path.join(kernels, "cow.elf"), "--append", f"storm rounds={size}"]
    return ["run", "--headless", "--serial", "none", *kernel], ["fork", "--json", *kernel]


wrong = []
for guest in ("built-in", "foreign"):
    figures = []
    for size in sizes:
        untraced, traced = commands(guest, size)
        pairs = [(spent(untraced), spent(traced)) for _ in range(RUNS if size < 100000 else 1)]
        plain = min(pair[0][0] for pair in pairs)
        time = min(pair[1][0] for pair in pairs)
        guest_memory = max(pair[0][1] for pair in pairs)
        memory = max(pair[1][1] for pair in pairs)
        figures.append((time / size, memory, guest_memory))
        print(f"{guest:8} {size:7} forks: {plain:7.2f} s, traced {time:7.2f} s, ratio {time / plain:.2f}, "
              f"{memory:6.1f} MB, untraced {guest_memory:6.1f} MB", flush=True)
    if figures[-1][0] > figures[-2][0] * 1.2:
        wrong.append(f"{guest}: a fork takes more time where there are more")
    if figures[-1][1] > figures[-2][1] * 1.1 + max(0, figures[-1][2] - figures[-2][2]):
        wrong.append(f"{guest}: memory grows with the number of forks")
print("\n".join(wrong) or "time and memory do not grow with the number of forks")
sys.exit(len(wrong) != 0)
