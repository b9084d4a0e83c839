#!/usr/bin/env python3
"""A hundred generations of processes, each the child of the one before: chains of shadow objects stay short.

Usage: shadow_chains.py FORKSCOPE
The figures are the guest's own tracepoints in a recording: one for each object made, swallowed and looked past, and one
for each fault with the number of objects that it had to look at.
"""

import os
import re
import subprocess
import sys
import tempfile

GENERATIONS = 100
PAGES = 4
LONGEST = 2


def run(*arguments):
    result = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=200, check=False)
    text = (result.stdout + result.stderr).decode("utf-8", "replace")
    assert result.returncode == 0, (result.returncode, text[-2000:])
    return text


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        trace = os.path.join(folder, "trace")
        said = run(program, "record", "--os", "freebsd", "--headless", "--serial", "stdio", "--output", trace, "--append",
                   f"run=generations {GENERATIONS} {PAGES}")
        assert f"generations: {GENERATIONS} generations, {PAGES} pages each, 0 wrong" in said, said[-2000:]
        dump = run(program, "trace", "dump", "--kind", "guest_tracepoint", trace)
    lengths = {}
    for name, length in re.findall(r"id=(shadow_\w+) pid=\S+ object=\S+ (?:chain|searched)=(\d+)", dump):
        lengths.setdefault(name, []).append(int(length))
    for name, values in sorted(lengths.items()):
        print(f"{name}: {len(values)}, longest {max(values)}")
    assert len(lengths["shadow_create"]) >= GENERATIONS, "each generation writes to what it inherited"
    assert len(lengths["shadow_collapse"]) >= GENERATIONS - 1, "a death lets the child's object swallow the parent's"
    assert max(max(values) for values in lengths.values()) <= LONGEST, "a chain grew with the generations"


main(sys.argv[1])
