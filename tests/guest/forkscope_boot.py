#!/usr/bin/env python3
"""Boots the built-in guest in forkscope and checks its exit code, what it says, and how long it takes.

Usage: forkscope_boot.py FORKSCOPE [--code N] [--expect REGEX]... [--most-cycles N] -- forkscope's arguments
"""

import argparse
import re
import subprocess
import sys


def main():
    split = sys.argv.index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--code", type=int, default=0)
    parser.add_argument("--expect", action="append", default=[])
    arguments = parser.parse_args(sys.argv[1:split])
    result = subprocess.run([arguments.program, *sys.argv[split + 1:]], stdin=subprocess.DEVNULL, capture_output=True,
                            timeout=240, check=False)
    text = (result.stdout + result.stderr).decode("utf-8", "replace").replace("\r", "")
    print(text[-3000:])
    assert result.returncode == arguments.code, f"exit code {result.returncode}, wanted {arguments.code}"
    for pattern in arguments.expect:
        assert re.search(pattern, text, re.MULTILINE), f"'{pattern}' was not said"


main()
