#!/usr/bin/env python3
"""Runs the rows of docs/peers.md on Forkscope and on a peer: each cell must be what was seen.

    peers.py --forkscope F --images FOLDER --page PAGE qemu|bochs|grub|interp

A table whose first column is "row" has a column a machine; a cell in bold is what the machine does against the manual. "either"
in the manual's column: it allows several outcomes; "not said": it names none.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "privileged"))
import machines  # noqa: E402  (the path comes first)

OPEN = ("either", "not said")
COLUMNS = ("manual", "Forkscope", "QEMU", "QEMU -smp 2", "Bochs", "GRUB")
SECONDS = 90


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(page):
    """Each row of each table of rows: name to {column: cell}."""
    rows, header = {}, None
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            header = None
        elif header is None:
            header = cells(line)
        elif header[0] == "row" and not line.startswith("|--"):
            name, *rest = cells(line)
            known = rows.setdefault(name.strip("`"), {})
            known.update({column: cell for column, cell in zip(header[1:], rest) if column in COLUMNS})
    return rows


def outcomes(log):
    """Name to outcome of each line that a kernel printed."""
    return dict(re.findall(r"^([a-z0-9_]+): (.*)$", log.replace("\r", ""), re.M))


def told(log, name):
    """What a loader did with the kernel of a row, and what it told the one that every loader takes."""
    if name != "told":
        return {f"multiboot_{name}": "accepted" if machines.END in log else "refused"}
    found = outcomes(log)
    return {f"multiboot_{key}_words": "words" if found.get(key, "").startswith("some ") else "file and words"
            for key in ("line", "module") if found.get(key, "").endswith("some words")}


def on_forkscope(options, engine, folder):
    found = outcomes(machines.forkscope(options.forkscope, engine, options.images / "rows.elf", "", folder, SECONDS))
    for name in ("told", "unknown_bit", "physical_entry"):
        log = os.path.join(folder, name + ".log")
        machines.run([options.forkscope, "run", "--headless", "--direct", "--serial", "none", "--engine", engine, "--kernel",
                      options.images / f"{name}.elf", "--append", "some words", "--initrd",
                      f"{options.images}/told.elf some words", "--debugcon", "file:" + log], SECONDS)
        found |= told(machines.read(log), name)
    return {"Forkscope": found}


def run_qemu(folder, arguments):
    machines.need("qemu-system-i386")
    log = os.path.join(folder, "log")
    machines.run(["qemu-system-i386", "-cpu", "pentium2", "-m", "16", "-display", "none", "-net", "none", "-no-reboot",
                  "-debugcon", "file:" + log, "-device", "isa-debug-exit,iobase=0xf4,iosize=1", *arguments], SECONDS)
    text = machines.read(log)
    if os.path.exists(log):
        os.remove(log)
    return text


def on_qemu(options, folder):
    kernel = options.images / "rows.elf"
    found = outcomes(run_qemu(folder, ["-kernel", kernel]))
    found |= outcomes(run_qemu(folder, ["-bios", options.images / "reset.rom"]))
    for name in ("told", "unknown_bit", "physical_entry"):
        found |= told(run_qemu(folder, ["-kernel", options.images / f"{name}.elf", "-append", "some words", "-initrd",
                                        f"{options.images}/told.elf some words"]), name)
    return {"QEMU": found, "QEMU -smp 2": outcomes(run_qemu(folder, ["-smp", "2", "-kernel", kernel]))}


def on_bochs(options, folder):
    found = outcomes(machines.bochs(options.images / "rows.elf", "", folder, SECONDS))
    return {"Bochs": found | outcomes(machines.run_bochs([f"romimage: file={options.images}/reset.rom"], folder, SECONDS))}


def on_grub(options, folder):
    """One script: GRUB tries the kernels of two rows and tells the third one how that went."""
    machines.need("qemu-system-i386", "grub-mkrescue", "xorriso", "mformat")
    tree = pathlib.Path(folder, "tree")
    (tree / "boot" / "grub").mkdir(parents=True)
    script = ""
    for name in ("unknown_bit", "physical_entry"):
        shutil.copy(options.images / f"{name}.elf", tree)
        script += f"if multiboot /{name}.elf; then set {name}=accepted; else set {name}=refused; fi\n"
    shutil.copy(options.images / "told.elf", tree)
    script += "multiboot /told.elf $unknown_bit $physical_entry some words\nmodule /told.elf some words\nboot\n"
    (tree / "boot" / "grub" / "grub.cfg").write_text(script, encoding="utf-8")
    disc = os.path.join(folder, "grub.iso")
    made = subprocess.run(["grub-mkrescue", "-o", disc, tree], capture_output=True, text=True, check=False)
    if made.returncode != 0 or not os.path.exists(disc):
        machines.skip("grub-mkrescue cannot write a disc here: " + made.stderr.strip()[-200:])
    line, module = re.findall(r"^(?:line|module): (.*)$", run_qemu(folder, ["-m", "64", "-cdrom", disc]), re.M) or ("", "")
    words = re.fullmatch(r"(.*)(accepted|refused) (accepted|refused) some words", line)
    if not words:
        return {"GRUB": {}}
    return {"GRUB": {"multiboot_unknown_bit": words[2], "multiboot_physical_entry": words[3],
                     "multiboot_line_words": "file and words" if words[1] else "words",
                     "multiboot_module_words": "words" if module == "some words" else "file and words"}}


def compare(page, found):
    """What is wrong in the columns of the machines that were run."""
    wrong = []
    for machine, outcome in found.items():
        listed = {name for name, row in page.items() if machine in row}
        if machine not in ("QEMU -smp 2",):
            wrong += [f"{name}: the page has no cell for {machine}" for name in sorted(set(outcome) - listed)]
        for name in sorted(listed):
            cell = page[name][machine].strip("*")
            if outcome.get(name) != cell:
                wrong.append(f"{name}: {machine} has \"{outcome.get(name)}\", the page says \"{cell}\"")
    return wrong


def misprints(page):
    """Cells that are bold without being against the manual, or the other way round; rows where Forkscope is."""
    wrong = [] if len(page) >= 40 else [f"the page has {len(page)} rows"]
    for name, row in page.items():
        manual = row.get("manual")
        for machine, cell in row.items():
            against = manual is not None and manual not in OPEN and cell.strip("*") != manual
            if machine != "manual" and cell.startswith("**") != against:
                wrong.append(f"{name}: bold is what is against the manual, and nothing else ({machine})")
            if machine == "Forkscope" and against:
                wrong.append(f"{name}: Forkscope is against the manual")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("forkscope", "images", "page"):
        parser.add_argument("--" + name, required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("against", choices=["forkscope", "qemu", "bochs", "grub", "interp"])
    options = parser.parse_args()
    page = tables(options.page)
    with tempfile.TemporaryDirectory(prefix="forkscope-peers-") as folder:
        if options.against == "forkscope":
            found = on_forkscope(options, "block", folder)
        elif options.against == "interp":
            found = on_forkscope(options, "interp", folder)
        else:
            found = {"qemu": on_qemu, "bochs": on_bochs, "grub": on_grub}[options.against](options, folder)
    wrong = misprints(page) + compare(page, found)
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
