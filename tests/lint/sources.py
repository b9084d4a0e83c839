"""What every check here needs: the project's files, its rooms, and source text without comments and strings.

Each check is a program `check.py [--root DIR]` that prints one line a violation and exits 0 (none), 1 (some) or 77 (cannot
run here, with the reason).
"""

import argparse
import os
import re
import subprocess
import sys

SKIPPED = 77  # ctest's SKIP_RETURN_CODE

ROOMS = (
    "emu/base", "emu/files", "mmu", "cpu", "devices", "emu/machine", "emu/symbols", "emu/trace", "emu/observe", "emu/session",
    "emu/report", "emu/view", "emu/ui", "emu/terminal", "emu/debug", "emu/cli", "guest", "roms", "tests",
)
CXX = (".cpp", ".hpp", ".cc", ".hh", ".cxx")
C = (".c", ".h")


def files(root):
    """The paths, relative to root, that are or would be committed: what git knows or does not ignore; without git, all
    but build/."""
    try:
        listed = subprocess.run(
            ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True, check=True).stdout.decode().split("\0")
        found = {path for path in listed if path and os.path.isfile(os.path.join(root, path))}
    except (OSError, subprocess.CalledProcessError):
        found = set()
        for folder, folders, names in os.walk(root):
            folders[:] = [f for f in folders if f not in (".git", "__pycache__") and
                          not (f == "build" and folder == root)]
            found |= {os.path.relpath(os.path.join(folder, name), root) for name in names}
    return sorted(found)


def read(root, path):
    """The file's text, or None if it is not text."""
    with open(os.path.join(root, path), "rb") as file:
        data = file.read()
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def room_of(path):
    """The room a file lies in, or None (top level)."""
    for room in ROOMS:
        if path.startswith(room + "/"):
            return room
    return None


_TOKEN = re.compile(
    r'R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)"'  # raw string
    r'|//(?:\\\n|[^\n])*'
    r'|/\*.*?\*/'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",       # not a digit separator
    re.DOTALL)


def without_comments(text, keep_strings=False):
    """C or C++ text of the same length in lines, comments blanked, and strings emptied unless they are kept."""

    def replacement(match):
        token = match.group(0)
        newlines = "\n" * token.count("\n")
        if token.startswith(("//", "/*")):
            return " " + newlines
        return token if keep_strings else '""' + newlines

    return _TOKEN.sub(replacement, text)


def comments(path, text):
    """(line number, the line's comment text without its markers) for each line of comment in a source file."""
    if path.endswith(CXX + C + (".S", ".def", ".inc", ".ld")):
        for match in _TOKEN.finditer(text):
            if match.group(0).startswith(("//", "/*")):
                first = text.count("\n", 0, match.start()) + 1
                for number, line in enumerate(match.group(0).split("\n"), first):
                    yield number, re.sub(r"^\s*(?://+|/\*+|\*(?!/))? ?|\s*\*/\s*$", "", line)
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if match := re.match(r"\s*(?:#+!?|;+) ?(.*)", line):
                yield number, match.group(1)


def main(check):
    """Runs check(root) -> iterable of violation lines, as this module's head promises."""
    parser = argparse.ArgumentParser()
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    parser.add_argument("--root", default=os.path.normpath(default))
    try:
        violations = list(check(parser.parse_args().root))
    except Skip as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    for violation in violations:
        print(violation)
    print(f"{len(violations)} violation{'' if len(violations) == 1 else 's'}")
    sys.exit(1 if violations else 0)


class Skip(Exception):
    """The check cannot run here."""
