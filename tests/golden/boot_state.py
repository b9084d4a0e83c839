#!/usr/bin/env python3
"""Boots one kernel on Forkscope and on QEMU with SeaBIOS: what it finds at its entry must be what docs/boot-state.md says.

boot_state.py FORKSCOPE KERNEL PAGE [--update] [--direct]: the page's table has a row an item: name, Forkscope, SeaBIOS, why they
differ. "same" stands for SeaBIOS's value. --update writes both columns anew and keeps the reasons."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
TIMEOUT = 60


def told(command, folder):
    """The items that the kernel told on port E9h, by name."""
    subprocess.run(command, cwd=folder, timeout=TIMEOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    lines = (folder / "told").read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines if " " in line and not line.startswith("Forkscope"))


def rows(page):
    """Name, ours, theirs, reason of each row."""
    table = []
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4:
            table.append([cells[0].strip("`"), *cells[1:]])
    return table


def update(page, ours, theirs):
    reasons = {row[0]: row[3] for row in rows(page)}
    text = page.read_text()
    head = text[:text.index("| item |")]
    tail = text[text.index("\n\n", text.index("| item |")):]
    lines = ["| item | Forkscope | SeaBIOS | why |", "|---|---|---|---|"]
    for name, value in theirs.items():
        same = ours.get(name) == value
        lines.append(f"| `{name}` | {'same' if same else ours.get(name)} | {value} | {'' if same else reasons.get(name, '')} |".replace("|  |", "| |"))
    page.write_text(head + "\n".join(lines) + tail)


def main():
    forkscope, kernel, page = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
    qemu = shutil.which("qemu-system-i386")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        ours = told([forkscope, "run", "--headless", "--serial", "none", "--kernel", kernel, "-m", "64", "--debugcon", "file:told",
                     "--limit", "5s"], folder)
        theirs = None
        if qemu:
            theirs = told([qemu, "-kernel", kernel, "-m", "64", "-display", "none", "-debugcon", "file:told", "-device",
                           "isa-debug-exit,iobase=0xf4"], folder)
    if "--update" in sys.argv:
        update(page, ours, theirs)
        return 0
    wrong = []
    table = rows(page)
    if len(table) < 40 or set(row[0] for row in table) != set(ours):
        wrong.append("the page does not list each item")
    for item, mine, other, reason in table:
        expected = other if mine == "same" else mine
        if ours.get(item) != expected:
            wrong.append(f"{item}: Forkscope has {ours.get(item)}, the page says {expected}")
        if theirs is not None and theirs.get(item) != other:
            wrong.append(f"{item}: SeaBIOS has {theirs.get(item)}, the page says {other}")
        if (mine == "same") == bool(reason):
            wrong.append(f"{item}: a reason belongs to each difference, and to nothing else")
    for line in wrong:
        print(line)
    if not wrong and theirs is None:
        print("qemu-system-i386 is not installed: SeaBIOS's column was not checked")
        return SKIPPED
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
