#!/usr/bin/env python3
"""compare.py PRESET IMAGES NATIVE: builds the core for another target by its preset, around the images of the build IMAGES,
runs the unit tests where that target has them, and portable_report there, whose lines must be those that NATIVE, this machine's
own portable_report, prints. Exits 0, 1, or 77 where the target's tools are missing."""

import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
SKIPPED = 77

# What each preset needs, how its program is run, and its name.
TARGETS = {
    "web": (("em++", "node"), ("node", "--no-experimental-fetch"), "portable_report.js"),
    "aarch64": (("aarch64-linux-gnu-g++", "qemu-aarch64"), ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"), "portable_report"),
}
# Debian's Emscripten finds its JavaScript packages by this, whichever node is installed.
ENVIRONMENT = {**os.environ, "NODE_PATH": "/usr/share/nodejs"}


def build(preset, images):
    folder = os.path.join(ROOT, "build", preset)
    configure = ["cmake", "--preset", preset, f"-DFORKSCOPE_IMAGES={images}"]
    if preset != "web" and shutil.which("ccache"): # em++ is a script that ccache does not know
        configure.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    commands = [configure, ["ninja", "-C", folder] + (["portable_report"] if preset == "web" else [])]
    for command in commands:
        result = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{result.stdout[-4000:]}")
    return folder


def passes_unit_tests(folder):
    # As many cases as a usual run has, and fewer of the duels' accesses: the emulator below is ten times slower.
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "FORKSCOPE_LONG"}
    environment["FORKSCOPE_DUEL"] = "100000"
    return subprocess.run(["ctest", "--test-dir", folder, "--output-on-failure", "-j2"], env=environment).returncode == 0


def lines_of(command):
    begin = time.monotonic()
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{command[0]}: exit status {result.returncode}\n{result.stdout[-1000:]}\n{result.stderr[-3000:]}")
    print(f"{os.path.basename(command[0])}: {time.monotonic() - begin:.1f} s")
    return result.stdout.splitlines()


def main(preset, images, native):
    tools, runner, program = TARGETS[preset]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        print(f"skipped: {', '.join(missing)} not installed; ./run test --long installs them")
        return SKIPPED
    folder = build(preset, images)
    if preset != "web" and not passes_unit_tests(folder):
        return 1
    expected = lines_of([native])
    found = lines_of([*runner, os.path.join(folder, "tests", "portable", program)])
    different = [(e, f) for e, f in zip(expected, found) if e != f]
    for line, other in different[:10]:
        print(f"here:  {line}\nthere: {other}")
    print(f"{len(expected)} lines here, {len(found)} there, {len(different)} differ")
    return 0 if expected and len(expected) == len(found) and not different else 1


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in TARGETS:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
