#!/usr/bin/env python3
"""Names of tests, as ctest lists them, are words: no bytes of a parameter, no index, no comment."""

import os
import re
import subprocess

import sources

# What GoogleTest and CMake make of a parameter without a name; a name ends in a word.
UNNAMED = re.compile(r"GetParam|byte object|<|#|/\d+$")
LISTED = re.compile(r"^\s*Test\s+#\d+: (.*)$", re.MULTILINE)


def violations(listing):
    """One line for each bad name in what `ctest -N` prints."""
    names = LISTED.findall(listing)
    if not names:
        yield "ctest lists no tests"
    for name in names:
        if UNNAMED.search(name):
            yield f"{name[:100]}: a parameter without a name: give its type a PrintTo and the suite PrintToStringParamName()"


def check(_root):
    build = os.environ.get("FORKSCOPE_BUILD")
    if not build:
        raise sources.Skip("FORKSCOPE_BUILD does not say where the tests were built")
    ctest = os.environ.get("FORKSCOPE_CTEST", "ctest")
    yield from violations(subprocess.run([ctest, "-N", "--test-dir", build], capture_output=True, check=True, text=True).stdout)


if __name__ == "__main__":
    sources.main(check)
