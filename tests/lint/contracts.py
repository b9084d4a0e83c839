#!/usr/bin/env python3
"""A function of the guest's C is documented once: in its header or at its definition, for two texts drift apart.

A comment in a header documents the declarations directly below it, up to the next comment or blank line; a heading has a blank
line below it. At a definition the comment directly above counts. personality.h is excepted: it says what the mechanism relies
on, and each personality's definition what this personality does.
"""

import re

import sources

DOOR = "guest/kernel/personality.h"
INCLUDE = re.compile(r'^#include "([^"\n]+)"', re.MULTILINE)
DECLARATION = re.compile(r"(?!static\b|typedef\b|extern\b)\w[\w\s*]*?[\s*](\w+)\([^{]*$")
DEFINITION = re.compile(r"\*/\n(?!static\b)\w[\w\s*]*?[\s*](\w+)\([^;{}]*\)\s*\{")


def documented_declarations(text):
    """The names of the functions that a header declares under a comment."""
    documented, in_comment = False, False
    for line in text.splitlines():
        if in_comment or line.startswith("/*"):
            in_comment = "*/" not in line
            documented = True
        elif not line.strip() or line.startswith(("#", "}")):
            documented = False
        elif documented and (match := DECLARATION.match(line)):
            yield match.group(1)


def documented_definitions(text):
    """(line number, name) of each function that a source defines below a comment."""
    for match in DEFINITION.finditer(text):
        yield text.count("\n", 0, match.start()) + 2, match.group(1)


def check(root):
    texts = {path: sources.read(root, path) or "" for path in sources.files(root)
             if path.startswith("guest/") and path.endswith(sources.C)}
    declared = {path: set(documented_declarations(text)) for path, text in texts.items()
                if path.endswith(".h") and path != DOOR}
    for path, text in texts.items():
        if not path.endswith(".c"):
            continue
        for number, name in documented_definitions(text):
            for header in INCLUDE.findall(text):
                if name in declared.get(header, ()):
                    yield f"{path}:{number}: {name} is documented in {header} too: say it once"


if __name__ == "__main__":
    sources.main(check)
