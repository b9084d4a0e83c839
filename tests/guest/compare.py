#!/usr/bin/env python3
"""Several systems side by side: copy-on-write faults are accounted for, totals add up, and two runs and
both engines say the same.

Usage: compare.py FORKSCOPE SYSTEMS (separated by commas)
"""

import json
import subprocess
import sys

PAGES = {"fork-exit": 0, "fork-exec": 0, "child-writes-0": 0, "child-writes-10": 10, "child-writes-50": 50,
         "child-writes-100": 100, "parent-writes": 100, "chain": 10, "regions": 64}
FORKS = {"chain": 10}


def run(program, *options):
    result = subprocess.run([program, "compare", *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=200,
                            check=False)
    return result.returncode, result.stdout.decode(), result.stderr.decode()


def report(program, systems, workload, *more):
    code, out, errors = run(program, "--os", systems, "--workload", workload, "--json", *more)
    assert code == 0, (workload, more, code, errors)
    return out, json.loads(out)


def check_system(system, workload):
    where = (workload, system["os"])
    assert system["trouble"] == "" and system["findings"] == [] and not system["trimmed"], (where, system["trouble"],
                                                                                           system["findings"])
    assert system["failed"] == 0, where
    inside = system["inside"]
    for key in ("own_cycles", "instructions"):
        assert sum(stop[key] for stop in system["stops"]) == inside[key] > 0, (where, key)
    for key, count in inside["counts"].items():
        assert sum(stop["counts"][key] for stop in system["stops"]) == count, (where, key)
    assert sum(inside["cycles_by_cause"].values()) == inside["own_cycles"], where
    assert {"1", "2", "2b", "3", "4", "5"} <= {stop["stop"] for stop in system["stops"]}, where
    for stop in system["stops"]:
        assert stop["original"] and stop["function"] and ".c:" in stop["source"], (where, stop)
    assert inside["counts"]["system_calls"] >= system["forks"], where
    assert system["after"]["forks_that_became_private"] == system["forks"], where
    summary = system["cow_summary"]
    assert summary["cow_faults"] == summary["pages_named"] + summary["constant"], where
    assert sum(page["faults"] for page in summary["pages"]) == summary["constant"], (where, summary)
    if workload in PAGES:
        assert system["forks"] == FORKS.get(workload, 1), where
        assert summary["pages_named"] == PAGES[workload], where
        # Nothing but stack pages, a few a fork: the program writes nothing else.
        assert all(page["memory"] == "stack" for page in summary["pages"]), (where, summary["pages"])
        assert summary["constant"] <= 6 * system["forks"], (where, summary)
    if system["os"] == "lunaix":
        assert inside["counts"]["messages"] == 0 and system["after"]["cow_fault_messages"] == 0, where
        assert system["after"]["leaflets_duplicated"] > 0, where
    if system["os"] == "minix":
        assert inside["counts"]["messages"] >= 4 * system["forks"], (where, inside["counts"])


def check_tracepoint_cost(program, system, *clock):
    """The figure for one tracepoint is that of the guest's own function that states a block of frames."""
    result = subprocess.run([program, "fork", "--os", system, "--functions", "--json", *clock],
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=True)
    fork = json.loads(result.stdout)
    spent = next(function["own_cycles"] for function in fork["functions"] if function["name"] == "trace_block")
    stated = sum(frame["act"] != "copied" for frame in fork["frames"])
    assert abs(spent / stated - fork["tracepoint_cycles"]) < 3, (clock, spent / stated, fork["tracepoint_cycles"])
    _, comparison = report(program, system, "fork-exit", *clock)
    assert comparison["tracepoint_cycles"] == fork["tracepoint_cycles"], (clock, comparison["tracepoint_cycles"])
    for part in [fork, *fork["stops"], comparison["systems"][0]["inside"], *comparison["systems"][0]["stops"]]:
        cost = part["counts"]["tracepoints"] * fork["tracepoint_cycles"]
        assert part["untraced_cycles"] == max(0, part["own_cycles"] - cost), (clock, part)


def main(program, systems):
    for clock in [[], ["--clock", "model"], ["--cpu", "i486", "--clock", "model"],
                  ["--cpu", "pentium", "--clock", "cache"]]:
        check_tracepoint_cost(program, systems.split(",")[0], *clock)
    constants = {}
    for workload in [*PAGES, "forkstorm", "forktree 2 2"]:
        out, comparison = report(program, systems, workload)
        assert [system["os"] for system in comparison["systems"]] == systems.split(","), comparison
        assert comparison["schema"] == 3 and comparison["workload"] == workload
        for system in comparison["systems"]:
            check_system(system, workload)
            if workload.startswith("child-writes"):
                constants.setdefault(system["os"], set()).add(system["cow_summary"]["constant"])
            print(workload, system["os"], "forks", system["forks"], "cycles", system["inside"]["own_cycles"], "faults",
                  system["cow_summary"]["cow_faults"], "=", system["cow_summary"]["pages_named"], "+", system["cow_summary"]["constant"])
        if workload in ("fork-exit", "chain"):
            again, _ = report(program, systems, workload)
            assert out == again, f"{workload}: two runs differ"
            other, _ = report(program, systems, workload, "--engine", "interp")
            assert out == other, f"{workload}: the engines differ"
    assert all(len(values) == 1 for values in constants.values()), f"the constant is not constant: {constants}"

    code, out, _ = run(program, "--os", systems)
    assert code == 0 and "pages written + constant" in out and all(len(line) <= 100 for line in out.splitlines()), out
    code, out, _ = run(program, "--os", systems, "--workload", "forkstorm")
    assert code == 0 and "sum over all" in out and all(len(line) <= 100 for line in out.splitlines()), out
    # What else the guest does with fork brings no finding either: not even processes that end for want of memory.
    _, comparison = report(program, systems, "usertests")
    for system in comparison["systems"]:
        assert system["findings"] == [], (system["os"], system["findings"])
    first = systems.split(",")[0]
    code, out, _ = run(program, "--os", f"{first},{first}", "--json", "--cpu", "pentium", "--clock", "cache")
    one, two = json.loads(out)["systems"]
    assert code == 0 and one == two
    code, out, errors = run(program, "--os", first, "--workload", "forkwork nonsense")
    assert code == 1 and "failed with status 2" in errors and "pages written + constant" in out, (code, errors)
    code, _, errors = run(program, "--os", first, "--workload", "echo hello >/dev/null", "--append", "crash=fault")
    assert code == 3, (code, errors)
    code, _, errors = run(program, "--os", first, "--limit", "100000i")
    assert code == 4 and "limit" in errors, (code, errors)
    code, _, errors = run(program, "--os", f"{first},plan9")
    assert code == 2 and "plan9" in errors and first in errors, (code, errors)


if __name__ == "__main__":
    main(*sys.argv[1:])
