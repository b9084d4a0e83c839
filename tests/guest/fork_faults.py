#!/usr/bin/env python3
"""Copy-on-write faults after a fork = pages written + a constant, each accounted for by page and cause.

Usage: fork_faults.py FORKSCOPE [OS]
"""

import json
import re
import subprocess
import sys

PAGE = 4096
COUNTS = (0, 1, 7, 64, 1000)
CLASSES = {"demand-zero", "file", "cow-copy", "cow-reuse", "stack", "spurious", "protection", "kernel-copy",
           "resident"}


STOPS = {"lunaix": ["0", "1", "4", "2", "3", "2b", "5"], "minix": ["0", "1", "2", "3", "2b", "4", "5"],
         "freebsd": ["0", "1", "2", "2b", "1b", "4", "3", "5"]}


def report(program, pages, parent_pages=0, *more):
    """The JSON report of one forkdemo."""
    result = subprocess.run([*program, "--json", "--pages", str(pages), "--parent-pages", str(parent_pages), *more],
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    assert result.returncode == 0, (result.returncode, result.stderr.decode())
    return json.loads(result.stdout)


def check_faults(fork, pages):
    """Returns the faults that are not on the workload's pages, after checking all the others."""
    faults = [fault for fault in fork["faults"] if fault["belongs"]]
    assert all(fault["class"] in CLASSES for fault in faults), faults
    by_page = {}
    for fault in faults:
        by_page.setdefault((fault["side"], int(fault["address"], 16) // PAGE), []).append(fault)
    assert all(len(of_page) == 1 for of_page in by_page.values()), "a page of one side faulted twice"
    region = sorted(page for side, page in by_page if side == "child" and page < 0xB0000000 // PAGE)
    assert len(region) == pages, (len(region), pages)
    assert region == list(range(region[0], region[0] + pages)) if pages else True, "the child's pages are neighbours"
    assert all(by_page[("child", page)][0]["class"] == "cow-copy" for page in region)
    rest = [key for key in by_page if key not in {("child", page) for page in region}]
    copied = sum(fault["page_class"] == "cow-copy" for fault in faults)
    assert fork["cow_summary"] == {"pages_named": pages, "parent_pages_named": 0, "cow_faults": len(faults),
                                   "constant": len(rest), "copied": copied,
                                   "made_writable": len(faults) - copied}, fork["cow_summary"]
    return sorted((side, by_page[(side, page)][0]["class"]) for side, page in rest)


PAGES_AND_PARENT_PAGES = ((20, 5), (5, 20), (0, 7), (64, 64), (1, 1), (3, 0))


def check_sum(program, constant):
    """Faults = pages + parent pages + those listed by name, in the figures, in the list, and in the text."""
    for pages, parent_pages in PAGES_AND_PARENT_PAGES:
        fork = report(program, pages, parent_pages)
        belonging = [fault for fault in fork["faults"] if fault["belongs"]]
        summary = fork["cow_summary"]
        assert (summary["pages_named"], summary["parent_pages_named"], summary["constant"]) == (pages, parent_pages, constant), summary
        assert summary["cow_faults"] == pages + parent_pages + constant == len(belonging), (summary, len(belonging))
        text = subprocess.run([*program, "--pages", str(pages), "--parent-pages", str(parent_pages)], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=120, check=True).stdout.decode()
        section = re.search(r"\nCopy-on-write faults of this fork.*?\n\n", text, re.DOTALL)[0]
        above, _, below = section.partition("  -----")
        if not below:
            above, below = (above, "") if pages + parent_pages else ("", above)
        count = lambda rows, side: sum(int(number) for number in re.findall(rf"^  {side} +\S+ +(\d+) ", rows, re.MULTILINE))
        assert (count(above, "child"), count(above, "parent")) == (pages, parent_pages), section
        assert count(below, "child") + count(below, "parent") == constant, section
        parent_part = f" + {parent_pages} that its parent writes" if parent_pages else ""
        assert (f"total: {pages + parent_pages + constant} faults = {pages} pages named by the workload{parent_part} + {constant}\n"
                in section), section
        print(f"{pages} pages written by the child, {parent_pages} by the parent: {summary['cow_faults']} faults")


def check_several(program, constant):
    """Each forkdemo of a workload is told its own pages."""
    line = "forkdemo --pages 3 --parent 2; forkdemo --pages 1; forkdemo --pages 2 --parent 9"
    for fork, (pages, parent_pages) in zip((3, 5, 7), ((3, 2), (1, 0), (2, 9))):  # the shell's lie between
        result = subprocess.run([*program, "--json", "--workload", line, "--fork", str(fork)], stdin=subprocess.DEVNULL,
                                capture_output=True, timeout=120, check=True)
        summary = json.loads(result.stdout)["cow_summary"]
        assert (summary["pages_named"], summary["parent_pages_named"], summary["constant"]) == (pages, parent_pages, constant), (
            fork, summary)


def main(forkscope, system="lunaix"):
    program = [forkscope, "fork", "--os", system]
    rest = {}
    for pages in COUNTS:
        fork = report(program, pages)
        assert [stop["stop"] for stop in fork["stops"]] == STOPS[system], fork["stops"]
        assert all(stop["own_cycles"] > 0 and stop["instructions"] > 0 for stop in fork["stops"])
        assert sum(stop["own_cycles"] for stop in fork["stops"]) == fork["own_cycles"], "the stops do not add up"
        assert sum(stop["instructions"] for stop in fork["stops"]) == fork["instructions"]
        assert fork["findings"] == [], fork["findings"]
        assert fork["ptes"] and fork["frames"] and fork["flushes"]
        rest[pages] = check_faults(fork, pages)
        print(f"{pages} pages written by the child: {fork['cow_summary']['cow_faults']} copy-on-write faults")
    assert len({tuple(value) for value in rest.values()}) == 1, f"the constant is not constant: {rest}"
    for engine in ("interp", "block"):
        assert check_faults(report(program, 7, 0, "--engine", engine), 7) == rest[7]
    print(f"constant: {rest[0]}")
    check_sum(program, len(rest[0]))
    check_several(program, len(rest[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
