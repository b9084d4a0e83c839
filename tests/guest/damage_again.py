#!/usr/bin/env python3
"""The damage of each seeded bug is there again after going back and forward, at the same place; so is a stale translation.

Usage: damage_again.py --images FOLDER --program FORKSCOPE
"""

import argparse
import json
import os
import subprocess
import sys

import seeded_bugs


def said(name):
    """What the guest says when the damage shows, as far as translations of then are still in the TLB."""
    before, mark, _ = seeded_bugs.DAMAGE[name].partition("DAMAGE")
    return before + mark


def answers(options, name, commands):
    """The stepper's answers, from where the damage is said."""
    words = [options.program, "step", "--kernel", os.path.join(options.images, f"kernel-lunaix-{name}.elf"),
             "--initrd", os.path.join(options.images, "initrd.tar"), "--append", seeded_bugs.command_line(name),
             "--until", f'serial("{said(name)}")', "--json", "-c", ";".join(commands)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    decoder, found, text = json.JSONDecoder(), [], done.stdout.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].strip()
    if len(found) != len(commands):
        raise RuntimeError(f"{len(found)} answers to {len(commands)} commands: {done.stdout}{done.stderr}")
    return found


def check(options, name):
    """Yields what is not the same again."""
    (first,) = answers(options, name, ["where"])
    count = first["position"]["instructions"]
    commands = ["where", "tlb", f"goto {count * 3 // 4}", f'continue until serial("{said(name)}")', "where", "tlb",
                "back 1000", f"goto {count}", "tlb"]
    found = answers(options, name, commands)
    for answer in found:
        if not answer["ok"]:
            yield f"{name}: {answer['command']}: {answer.get('error')}"
    # The end of what was run so far is where the damage was said: a move stops there in any case.
    if found[4]["position"] != found[0]["position"]:
        yield f"{name}: the damage was said at {found[0]['position']}, and again at {found[4]['position']}"
    if name == "wrong-invlpg" and found[1]["tlb"]["stale"] == 0:
        yield f"{name}: the TLB holds nothing stale where the damage is said"
    if found[5]["tlb"] != found[1]["tlb"] or found[8]["tlb"] != found[1]["tlb"]:
        yield f"{name}: the TLB is another than it was"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--program", required=True)
    options = parser.parse_args()
    wrong = []
    for name in seeded_bugs.DAMAGE:
        found = list(check(options, name))
        print(f"{name}: {'WRONG' if found else 'the same again'}")
        wrong += found
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
