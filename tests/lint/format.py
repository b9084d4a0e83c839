#!/usr/bin/env python3
"""C++ and the guest's C are formatted as .clang-format says. The headers of guest/abi keep their columns."""

import os
import re
import shutil
import subprocess

import sources

PROGRAMS = ("clang-format-14", "clang-format")  # Debian 12's first: other versions format differently


def check(root):
    program = next((found for found in map(shutil.which, PROGRAMS) if found), None)
    if program is None:
        raise sources.Skip("clang-format is not installed (./run test installs it)")
    chosen = [path for path in sources.files(root) if path.endswith(sources.CXX) or path.endswith(sources.C) and
              path.startswith("guest/") and not path.startswith("guest/abi/")]
    counts = {}
    for start in range(0, len(chosen), 100):
        result = subprocess.run([program, "--dry-run", "--style=file", *chosen[start:start + 100]], cwd=root,
                                capture_output=True, text=True)
        for path, line in re.findall(r"^(.+?):(\d+):\d+: (?:warning|error): code should be clang-formatted",
                                     result.stderr, re.MULTILINE):
            counts.setdefault(path, []).append(line)
        if result.returncode != 0:
            yield f"clang-format failed: {result.stderr.strip()[:400]}"
    for path, lines in sorted(counts.items()):
        yield f"{path}:{lines[0]}: {len(lines)} places are not as clang-format would have them: {os.path.basename(program)} -i {path}"


if __name__ == "__main__":
    sources.main(check)
