#!/usr/bin/env python3
"""Commit titles read `room: Sentence` (or `room, room: Sentence`), within 72 columns and without a full stop."""

import re
import subprocess

import sources

COLUMNS = 72
ROOMS = {room.split("/")[-1] for room in sources.ROOMS} | {"run", "ci", "docs", "findings", "build", "lint"}
TITLE = re.compile(r"(?P<rooms>[a-z][\w./-]*(?:, [a-z][\w./-]*)*): (?P<sentence>\S.*)")


def judge(title):
    """What is wrong with a title, or None."""
    if title.startswith(("Revert \"", "Merge ")):
        return None
    if len(title) > COLUMNS:
        return f"{len(title)} columns, more than {COLUMNS}"
    match = TITLE.fullmatch(title)
    if not match:
        return "not `room: Sentence`"
    strangers = [room for room in match["rooms"].split(", ") if room.split("/")[-1] not in ROOMS]
    if strangers:
        return f"no such room: {', '.join(strangers)}"
    if not re.match(r"[^a-z]", match["sentence"]):
        return "the sentence begins with a small letter"
    if match["sentence"].endswith("."):
        return "ends with a full stop"
    return None


def check(root):
    try:
        log = subprocess.run(["git", "-C", root, "log", "--no-merges", "--format=%h %s", "HEAD"], capture_output=True,
                             text=True, check=True).stdout
    except OSError:
        raise sources.Skip("git is not installed") from None
    except subprocess.CalledProcessError as error:
        raise sources.Skip(f"no history here: {error.stderr.strip()}") from None
    for line in log.splitlines():
        commit, _, title = line.partition(" ")
        if complaint := judge(title):
            yield f"{commit} {title}: {complaint}"


if __name__ == "__main__":
    sources.main(check)
