#!/usr/bin/env python3
"""Where systems rightly differ, each personality's fork behaves as its original does (program forkfacts).

Usage: fork_facts.py FORKSCOPE [--os lunaix,...]
"""

import argparse
import subprocess
import sys

EVERYWHERE = {
    "a shared page touched before fork": "common",
    "a shared page first touched after fork": "common",
}
FACTS = {
    "lunaix": {
        "an exclusive page in the child": "zero",  # the region is there, its pages are absent
        "a page of INHERIT_NONE in the child": "zero",
        "writing pages that are no longer shared": "a copy each",
        "another thread's stack in the child": "not mapped",
        "fork with a full process table": "out of memory",
        "rfork": "none",
    },
    "freebsd": {
        "an exclusive page in the child": "not mapped",
        "a page of INHERIT_NONE in the child": "not mapped",
        "writing pages that are no longer shared": "no copy",
        "another thread's stack in the child": "inherited",
        "fork with a full process table": "try again",
        "rfork": "there is",
    },
    "minix": {
        "an exclusive page in the child": "zero",
        "a page of INHERIT_NONE in the child": "zero",
        "writing pages that are no longer shared": "no copy",
        "another thread's stack in the child": "not mapped",
        "fork with a full process table": "try again",
        "rfork": "none",
    },
}


def facts_of(program, system):
    result = subprocess.run([program, "run", "--headless", "--os", system, "--append", "run=forkfacts"],
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    text = result.stdout.decode(errors="replace").replace("\r", "")
    assert result.returncode == 0, (system, result.returncode, text, result.stderr.decode(errors="replace"))
    lines = [line.split(": ") for line in text.splitlines() if line.startswith("forkfacts: ")]
    return {line[1]: line[2] for line in lines}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--os", default="lunaix", help="systems, separated by commas")
    options = parser.parse_args()
    wrong = 0
    for system in options.os.split(","):
        facts = facts_of(options.program, system)
        for what, answer in {**EVERYWHERE, **FACTS[system]}.items():
            if facts.get(what) != answer:
                wrong += 1
                print(f"WRONG: {system}: {what}: {facts.get(what)}, not {answer}")
        print(f"{system}: {facts}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
