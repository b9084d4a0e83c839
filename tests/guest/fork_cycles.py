#!/usr/bin/env python3
"""Where the cycles of a fork went: causes, stops and functions add up, on every clock, and work is the same on all.

Usage: fork_cycles.py FORKSCOPE
"""

import json
import subprocess
import sys

MODELS = [("p6", "flat"), ("i486", "model"), ("pentium", "model"), ("p6", "model"), ("i486", "cache"), ("pentium", "cache")]


def report(program, *options):
    result = subprocess.run([program, "fork", "--json", *options], stdin=subprocess.DEVNULL, capture_output=True,
                            timeout=120, check=False)
    assert result.returncode == 0, (result.returncode, result.stderr.decode())
    return json.loads(result.stdout)


def check_sums(fork, where):
    causes = fork["cycles_by_cause"]
    assert sum(causes.values()) == fork["own_cycles"], where
    for part in ("stops", "functions"):
        rows = fork[part]
        for row in rows:
            assert sum(row["cycles_by_cause"].values()) == row["own_cycles"], (where, row)
        for cause, cycles in causes.items():
            total = sum(row["cycles_by_cause"][cause] for row in rows)
            assert total == cycles, (where, part, cause, total, cycles)
        assert sum(row["instructions"] for row in rows) == fork["instructions"], (where, part)


def main(program):
    instructions = set()
    for cpu, clock in MODELS:
        where = f"--cpu {cpu} --clock {clock}"
        fork = report(program, "--cpu", cpu, "--clock", clock, "--functions")
        check_sums(fork, where)
        causes = fork["cycles_by_cause"]
        assert (causes["cache"] > 0) == (clock == "cache"), (where, causes)
        assert (causes["tlb_walk"] > 0) == (clock != "flat"), (where, causes)
        assert (causes["pipeline"] > 0) == (clock != "flat" and cpu != "p6"), (where, causes)
        assert [function["own_cycles"] for function in fork["functions"]] == \
            sorted((function["own_cycles"] for function in fork["functions"]), reverse=True)
        assert {"fork_process", "memcpy"} <= {function["name"] for function in fork["functions"]}
        for engine in ("interp", "block"):
            again = report(program, "--cpu", cpu, "--clock", clock, "--engine", engine)
            assert again["cycles_by_cause"] == causes, (where, engine, again["cycles_by_cause"], causes)
        # How many blocks frame_alloc() must split depends on earlier preemptions, and they on the clock.
        instructions.add(fork["instructions"] -
                         sum(row["instructions"] for row in fork["functions"] if row["name"] == "frame_alloc"))
        print(f"{where}: {fork['own_cycles']} cycles, {fork['instructions']} instructions")
    assert len(instructions) == 1, instructions
    # What servers do for the fork is in the same sums, by the names of their programs.
    if "minix" in subprocess.run([program, "fork", "--os", "?"], capture_output=True, check=False).stderr.decode():
        fork = report(program, "--os", "minix", "--functions")
        check_sums(fork, "minix")
        names = {function["name"] for function in fork["functions"]}
        assert {"service/pm: do_fork", "service/vm: do_fork"} <= names, sorted(names)
        assert not any(name.startswith(("0x", "a server")) for name in names), sorted(names)


if __name__ == "__main__":
    main(sys.argv[1])
