#!/usr/bin/env python3
"""The shape of the tree and of each file: what lies at the top, how full folders are, READMEs and their length, how headers
open, how long files are, and what no line may hold."""

import collections
import glob
import os
import re

import sources

TOP_LEVEL = {
    "emu", "guest", "cpu", "mmu", "devices", "tests", "roms", "docs", "findings", "CMakeLists.txt", "CMakePresets.json", "run",
    "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", ".ci", ".clang-format", ".clang-tidy", ".editorconfig", ".gitattributes",
    ".gitignore",
}
README_LINES = 90
ARCHITECTURE_LINES = 250
HEADER_COMMENT_LINES = 5
PROSE_COLUMNS = 130
FILE_LINES = 600
FILES_IN_FOLDER = 25
LONG_FILES = {}  # path: why it may be longer. Tables (.def, .inc) may be anyway.
INPUTS = "tests/fuzz/corpus/"  # made by machines, for machines
LISTS = (".def", ".inc")
HEADERS = (".hpp", ".h")
CODE = sources.CXX + sources.C + (".S", ".s", ".asm", ".ld", ".py", ".sh", ".cmake", ".js", ".css", ".def", ".inc")
CODE_NAMES = ("CMakeLists.txt", "run")
FOLDERS_WITH_README = {"guest/kernel", "guest/user", "guest/personality/lunaix", "guest/personality/minix",
                       "guest/personality/freebsd", "guest/abi", "guest/bugs"}

# Written in two halves, so that this file keeps its own rules.
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
ISSUE = re.compile(r"#\d+|issue \d+")
BANNER = re.compile(r"^\s*([-=*#~/_+])\1{4,}|([-=*#~/_+])\2{4,}\s*$")
STATEMENT = re.compile(r"^(?:[\w:.>\[\]&*<-]+(?: [\w:&*<>]+)*\s*(?:\(.*\)|=[^=].*)|return\b.*|break|continue);\s*$"
                       r"|^\}?\s*(?:if|for|while|switch)\s*\(.*\)\s*\{\s*$|^\}(?: else \{)?$")
ABSOLUTE_PATH = re.compile(r"(?<![\w.$}~/-])/(?:wo" r"rk|home|root|Users)/[\w.-]+")
REGISTRY = re.compile(r"\b(?:deb|apt|ftp|mirrors?|registry|proxy|pypi|npm|crates|artifacts?|artifactory|nexus|security)"
                      r"(?:-[\w-]+)?\.(?:[\w-]+\.)+[a-z]{2,}\b")
DOCUMENT = re.compile(r"(?<![\w/])[\w./-]*[\w-]+\.md\b")
URL_HOST = re.compile(r"\bhttps?://(?:[^/\s@]*@)?([\w.-]+)")


def hosts_of_this_machine():
    """The host names of the package archives this machine uses: they belong to it and not to the project."""
    found = set()
    for path in ["/etc/apt/sources.list"] + glob.glob("/etc/apt/sources.list.d/*"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                found |= set(URL_HOST.findall(file.read()))
        except OSError:
            continue
    return found


def check_places(all_files):
    for top in sorted({path.split("/")[0] for path in all_files} - TOP_LEVEL):
        yield f"{top}: not one of the top-level entries that the project has (see ARCHITECTURE.md)"
    for name in ("README.md", "ARCHITECTURE.md", "LICENSE"):
        if name not in all_files:
            yield f"{name}: missing"
    folders = {os.path.dirname(path) for path in all_files}
    for room in sorted(set(sources.ROOMS) | FOLDERS_WITH_README):
        exists = any(folder == room or folder.startswith(room + "/") for folder in folders)
        if exists and f"{room}/README.md" not in all_files:
            yield f"{room}: has no README.md"
    files_in = collections.Counter(os.path.dirname(path) for path in all_files)
    for folder, count in sorted(files_in.items()):
        if count > FILES_IN_FOLDER and not (folder + "/").startswith(INPUTS):
            yield f"{folder}: {count} files, more than {FILES_IN_FOLDER}: divide it into folders"
    for path in all_files:
        if {"utils", "util", "common", "misc", "helpers"} & set(os.path.splitext(path)[0].split("/")):
            yield f"{path}: nothing here is called utils, common or misc: name what it does"


def check_lengths(path, lines):
    limit = None
    if path == "ARCHITECTURE.md":
        limit = ARCHITECTURE_LINES
    elif os.path.basename(path) == "README.md" and path != "README.md":
        limit = README_LINES
    elif is_code(path) and not path.endswith(LISTS) and path not in LONG_FILES:
        limit = FILE_LINES
    if limit and len(lines) > limit:
        yield f"{path}: {len(lines)} lines, more than {limit}"


def check_prose(path, lines):
    """Prose is wrapped. Rows of tables cannot be, and code is as wide as it must be."""
    code = False
    for number, line in enumerate(lines, 1):
        code ^= line.startswith("```")
        if len(line) > PROSE_COLUMNS and not code and not line.startswith(("|", "    ")):
            yield f"{path}:{number}: {len(line)} columns, more than {PROSE_COLUMNS}: wrap it"


def check_header(path, text):
    """A header opens with a comment of one to five lines, before anything else."""
    block = re.match(r"(?:[ \t]*//[^\n]*\n)+", text)
    if not block:
        block = re.match(r"\s*/\*.*?\*/", text, re.DOTALL)
    if not block:
        yield f"{path}:1: does not open with a comment: what it owns, who may call, what it promises"
        return
    count = len(block.group(0).strip("\n").splitlines())
    if count > HEADER_COMMENT_LINES:
        yield f"{path}:1: opens with a comment of {count} lines, more than {HEADER_COMMENT_LINES}"


def check_line(path, number, line, hosts):
    if line != line.rstrip():
        yield f"{path}:{number}: trailing whitespace"
    if UNFINISHED.search(line) and not ISSUE.search(line):
        yield f"{path}:{number}: unfinished business without the number of its issue"
    if match := ABSOLUTE_PATH.search(line):
        yield f"{path}:{number}: {match.group(0)} is a path of one machine"
    if match := REGISTRY.search(line):
        yield f"{path}:{number}: {match.group(0)} looks like the host of a package registry"
    elif any(host in line for host in hosts):
        yield f"{path}:{number}: names a package archive that this machine uses"


def check_documents(path, number, line, known):
    """A document that is named exists: by its path from the top, from here, or the end of its path. (The checks themselves
    name documents as examples.)"""
    if path.startswith("tests/lint/"):
        return
    for name in DOCUMENT.findall(line):
        beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
        if not known & {name, beside} and not any(other.endswith("/" + name) for other in known):
            yield f"{path}:{number}: names {name}, which does not exist"


def check_comments(path, text):
    """Banners, and code that was commented out (two statements in a row, so that prose passes)."""
    statements, previous = 0, 0
    for number, comment in sources.comments(path, text):
        if BANNER.search(comment):
            yield f"{path}:{number}: a banner"
        follows = number == previous + 1
        statements = (statements if follows else 0) + 1 if STATEMENT.match(comment) else 0
        previous = number
        if statements == 2:
            yield f"{path}:{number}: commented-out code"
    if path.endswith(sources.CXX + sources.C):
        for match in re.finditer(r"^\s*#\s*if\s+0\b", text, re.MULTILINE):
            number = text.count("\n", 0, match.end()) + 1
            yield f"{path}:{number}: code switched off with #if 0"


def is_code(path):
    return path.endswith(CODE) or os.path.basename(path) in CODE_NAMES


def check(root):
    all_files = sources.files(root)
    yield from check_places(all_files)
    hosts = hosts_of_this_machine()
    known = set(all_files)
    for path in all_files:
        text = sources.read(root, path)
        if text is None or path.startswith(INPUTS):
            continue
        lines = text.splitlines()
        yield from check_lengths(path, lines)
        if text and not text.endswith("\n"):
            yield f"{path}:{len(lines)}: no newline at the end"
        if path.endswith(HEADERS):
            yield from check_header(path, text)
        if path.endswith(".md"):
            yield from check_prose(path, lines)
        for number, line in enumerate(lines, 1):
            yield from check_line(path, number, line, hosts)
            yield from check_documents(path, number, line, known)
        if is_code(path):
            yield from check_comments(path, text)


if __name__ == "__main__":
    sources.main(check)
