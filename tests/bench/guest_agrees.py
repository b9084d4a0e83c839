#!/usr/bin/env python3
"""guest_agrees.py FORKSCOPE BENCH_ELF: the benchmark guest finds its own sums right, after the same number of cycles by each
engine; what it does is what peers.py measures."""
import subprocess
import sys

program, kernel = sys.argv[1:]
WORDS = "int=1 mmu=2 sys=2 fpu=1 smc=1 str=1 cold=2 irq=3"


def run(engine):
    result = subprocess.run([program, "run", "--headless", "--engine", engine, "-m", "256M", "--kernel", kernel, "--append", WORDS],
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    return result.stdout.decode(errors="replace")


says = {engine: run(engine) for engine in ("interp", "block", "jit")}
ends = [line for line in says["interp"].splitlines() if line.startswith("E ")]
wrong = [f"{line}" for line in ends if " OK " not in line]
if len(ends) != len(WORDS.split()):
    wrong.append(f"{len(ends)} workloads ended of {len(WORDS.split())}:\n{says['interp']}")
wrong += [f"{engine} says\n{text}\nwhere interp says\n{says['interp']}" for engine, text in says.items() if text != says["interp"]]
print("\n".join(wrong) or "the engines agree")
sys.exit(len(wrong) != 0)
