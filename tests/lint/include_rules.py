#!/usr/bin/env python3
"""Who may include whom (ARCHITECTURE.md, "Rooms and doors"), that there is no cycle, and what the core must not know."""

import posixpath
import re

import sources

# What a session is made of, and what shows one to people.
WATCHED = ("emu/base/", "emu/files/", "mmu/", "cpu/", "devices/", "emu/machine/", "emu/symbols/", "emu/trace/", "emu/observe/",
           "guest/abi/")
MODELS = WATCHED + ("emu/session/",)
FACES = MODELS + ("emu/report/", "emu/view/")

# Prefixes of project headers that a room may include beside its own. guest/abi is plain C without types of either side:
# the port numbers and tracepoint ids that both sides of the emulated machine must agree on.
ALLOWED = {
    "emu/base": (),
    "emu/files": ("emu/base/",),
    "mmu": ("emu/base/",),
    "cpu": ("emu/base/", "mmu/"),
    "devices": ("emu/base/", "mmu/bus.hpp", "guest/abi/"),
    "emu/machine": ("emu/base/", "mmu/", "cpu/", "devices/", "guest/abi/"),
    "emu/symbols": ("emu/base/",),
    "emu/trace": ("emu/base/", "emu/files/", "guest/abi/"),
    "emu/observe": ("emu/base/", "mmu/", "emu/symbols/", "emu/trace/", "guest/abi/"),
    "emu/session": WATCHED,
    "emu/report": MODELS,
    "emu/view": MODELS,
    "emu/ui": FACES,
    "emu/terminal": FACES,
    "emu/debug": FACES,
    "emu/cli": FACES + ("emu/ui/", "emu/terminal/", "emu/debug/"),
    "guest": (),
    "roms": ("guest/abi/",),
    "tests": ("",),
}

CORE = ("emu/base", "mmu", "cpu", "devices", "emu/machine", "emu/symbols", "emu/trace", "emu/observe")

# What the core must not include, and why.
CORE_FORBIDS = (
    (r"SDL.*|imgui.*|ncurses.*|curses\.h|panel\.h", "the core shows nothing: that is for emu/ui"),
    (r"spdlog/.*", "logging goes through emu/base/log.hpp"),
    (r"thread|condition_variable|future|semaphore|latch|barrier|stop_token|pthread\.h|threads\.h",
     "one thread simulates"),
    (r"mutex|shared_mutex", "one thread simulates; only emu/base locks what all machines of a process share (the log)"),
    (r"sys/mman\.h|sys/ptrace\.h|ucontext\.h|signal\.h|csignal|sys/socket\.h|poll\.h|termios\.h|pty\.h|sys/ioctl\.h|dlfcn\.h",
     "the core must also compile for the browser: host facilities are for the faces"),
    (r"chrono|ctime|time\.h|sys/time\.h", "the only clock is retired cost; host time never reaches the core"),
    (r"random", "seeded numbers come from emu/base/random.hpp: the standard's distributions differ between libraries"),
)
# Libraries that one room uses for all.
ONE_ROOM = ((r"capstone(/.*|\.h)", "emu/view", "instructions are shown as emu/view disassembles them"),)
# Where the thing forbidden above has its one door.
DOORS = {"spdlog/.*": ("emu/base/log.hpp", "emu/base/log.cpp"), "mutex|shared_mutex": ("emu/base/",)}

# The guest is freestanding: of the compiler's headers only those that need no library.
FREESTANDING = {"stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "limits.h", "stdalign.h", "stdnoreturn.h"}

# Programs and servers run in ring 3 and know the kernel by its abi alone (and where the user half of memory lies).
RING_3 = re.compile(r"guest/(?:user|personality/\w+/servers)/")
BOTH_RINGS = re.compile(r"guest/(?:abi|personality/\w+/abi)/|guest/kernel/layout\.h$")

# observe listens and never touches: it sees the mmu's types only as const.
MUTABLE_VIEW = re.compile(r"(?<![\w:])(?<!const )(?:forkscope::)?(Mmu|Tlb|FastTlb|PhysicalMemory|Bus)\s*[&*]")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)', re.MULTILINE)
SOURCE = sources.CXX + sources.C + (".S", ".def", ".inc", ".ipp")


def resolve(path, name, known):
    """The project file that `#include "name"` in path means, or None if it is not ours."""
    for candidate in (posixpath.normpath(posixpath.join(posixpath.dirname(path), name)), posixpath.normpath(name)):
        if candidate in known:
            return candidate
    return None


def includes(root, path):
    """(line number, quoted name or None, angle name or None) for each include."""
    text = sources.without_comments(sources.read(root, path) or "", keep_strings=True)
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


def check_edge(path, line, target):
    room, other = sources.room_of(path), sources.room_of(target)
    if room == other == "guest" and not BOTH_RINGS.match(target) and bool(RING_3.match(path)) != bool(RING_3.match(target)):
        yield f"{path}:{line}: {target} belongs to another ring: what both know is in guest/abi or a personality's abi"
    if room is None or room == other or any(target.startswith(prefix) for prefix in ALLOWED[room]):
        return
    allowed = ", ".join(prefix.rstrip("/") for prefix in ALLOWED[room]) or "nothing of ours"
    yield f"{path}:{line}: {room} must not include {target} (it may include: {allowed})"


def check_external(path, line, quoted, angled):
    room, name = sources.room_of(path), quoted or angled
    if quoted and (room == "guest" or quoted.startswith(tuple(r + "/" for r in sources.ROOMS))):
        yield f"{path}:{line}: {quoted} does not exist"
    elif room == "guest" and name not in FREESTANDING:
        yield f"{path}:{line}: the guest is freestanding and must not include <{name}>"
    for pattern, owner, reason in ONE_ROOM:
        if re.fullmatch(pattern, name) and room not in (owner, "tests"):
            yield f"{path}:{line}: {room} must not include <{name}>: {reason}"
    if room in CORE:
        for pattern, reason in CORE_FORBIDS:
            if re.fullmatch(pattern, name) and not path.startswith(DOORS.get(pattern, ("\0",))):
                yield f"{path}:{line}: {room} must not include <{name}>: {reason}"


def check_views(root, path):
    if sources.room_of(path) != "emu/observe":
        return
    text = sources.without_comments(sources.read(root, path) or "")
    for number, line in enumerate(text.splitlines(), 1):
        if match := MUTABLE_VIEW.search(line):
            yield f"{path}:{number}: emu/observe may hold {match.group(1)} only as const: it listens and never touches"


def cycles(graph):
    """One line for each cycle found by depth-first search."""
    state, stack = {}, []

    def visit(node):
        state[node] = "open"
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if state.get(target) == "open":
                yield "cycle: " + " -> ".join(stack[stack.index(target):] + [target])
            elif target not in state:
                yield from visit(target)
        stack.pop()
        state[node] = "closed"

    for node in sorted(graph):
        if node not in state:
            yield from visit(node)


def check(root):
    all_files = sources.files(root)
    known = set(all_files)
    by_file, by_room = {}, {}
    for path in all_files:
        if not path.endswith(SOURCE) or sources.room_of(path) is None:
            continue
        for line, quoted, angled in includes(root, path):
            # In the guest <string.h> would be the compiler's, never the guest's own: that one is named with quotes.
            target = resolve(path, quoted or angled, known) if quoted or "/" in angled else None
            if target is None:
                yield from check_external(path, line, quoted, angled)
                continue
            yield from check_edge(path, line, target)
            by_file.setdefault(path, set()).add(target)
            room, other = sources.room_of(path), sources.room_of(target)
            if room != other and not target.startswith("guest/abi/"):
                by_room.setdefault(room, set()).add(other)
        yield from check_views(root, path)
    yield from cycles(by_file)
    yield from cycles(by_room)


if __name__ == "__main__":
    sources.main(check)
