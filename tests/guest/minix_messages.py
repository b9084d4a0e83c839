#!/usr/bin/env python3
"""MINIX: a fork is seven messages, a page fault one, and what is copied is copied where the README says.

Usage: minix_messages.py FORKSCOPE
"""

import json
import subprocess
import sys

FORK_MESSAGES = {"0": 1, "1": 1, "2": 0, "3": 0, "2b": 1, "4": 2, "5": 2}  # delivered while each stop was under way
ORDER = ["0", "1", "2", "3", "2b", "4", "5"]


def report(program, pages, parent_pages):
    """The JSON report of one forkdemo."""
    result = subprocess.run([program, "fork", "--os", "minix", "--json", "--pages", str(pages), "--parent-pages",
                             str(parent_pages)], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    assert result.returncode == 0, (result.returncode, result.stderr.decode())
    return json.loads(result.stdout)


def check_fork(fork):
    """The messages and the copies inside fork, stop by stop."""
    assert fork["findings"] == [], fork["findings"]
    assert [stop["stop"] for stop in fork["stops"]] == ORDER, fork["stops"]
    assert fork["counts"]["messages"] == sum(FORK_MESSAGES.values()), fork["counts"]
    for stop in fork["stops"]:
        counts = stop["counts"]
        assert counts["messages"] == FORK_MESSAGES[stop["stop"]], (stop["stop"], counts)
        assert counts["frames_copied"] == (1 if stop["stop"] == "2b" else 0), (stop["stop"], counts)
    assert {flush["reason"] for flush in fork["flushes"]} == {"cr3"}, fork["flushes"]
    assert any(stop["function"] == "do_fork" for stop in fork["stops"])


def check_faults(fork, pages):
    """One message for each fault, and a copy only where the page had another place."""
    faults = [fault for fault in fork["faults"] if fault["belongs"]]
    assert all(fault["messages"] == 1 for fault in faults), faults
    for fault in faults:
        assert fault["frames_copied"] == (1 if fault["class"] == "cow-copy" else 0), fault
        assert fault["class"] == fault["stated_class"], fault
    child = [fault for fault in faults if fault["side"] == "child"]
    assert len(child) == pages and all(fault["class"] == "cow-copy" for fault in child), child


def main(program):
    for pages, parent_pages in ((0, 0), (1, 0), (7, 3), (64, 64)):
        fork = report(program, pages, parent_pages)
        check_fork(fork)
        check_faults(fork, pages)
        print(f"{pages} pages by the child, {parent_pages} by the parent: {fork['counts']['messages']} messages in fork, "
              f"{len(fork['faults'])} faults of one message each")


if __name__ == "__main__":
    main(sys.argv[1])
