#!/usr/bin/env python3
"""The core compiles where there is no x86, no file and no glibc: in a browser, on aarch64."""

import re

import include_rules
import sources

# What libc++ 13 (Emscripten 3.1.6), libstdc++ 12 and a freestanding reader of ELF have in common.
PORTABLE = frozenset("""
    algorithm array bit cerrno charconv climits cmath compare concepts cstddef cstdint cstdio cstdlib cstring deque exception
    functional initializer_list iomanip iterator limits list map memory mutex new numeric optional ostream queue set span
    sstream stdexcept string string_view tuple type_traits typeinfo unordered_map unordered_set utility variant vector
    elf.h fmt/format.h spdlog/spdlog.h spdlog/sinks/base_sink.h xxhash.h
""".split())

# Files of the core that need more, each left out or empty on targets that lack it.
HOST_FILES = {
    "cpu/numbers/simd_operations.hpp": {"emmintrin.h"},
    "emu/symbols/elf_lines_dwarf.cpp": {"dwarf.h", "gelf.h", "elfutils/libdw.h", "libelf.h"},
    "emu/symbols/line_tables_main.cpp": {"fstream"},
    "emu/symbols/symbolizer.cpp": {"filesystem", "fstream"},
}

# The host's own instructions, behind #if defined(__x86_64__), with portable code beside them.
X86_FILES = ("cpu/numbers/float80_fast.hpp", "cpu/numbers/simd_operations.hpp")
X86 = re.compile(r"\b(?:__)?asm(?:__)?\b(?= *(?:volatile|goto)?\b *\()|\b_mm_\w+|\b__builtin_ia32_\w+|\b__m(?:64|128|256|512)[id]?\b")

# A library of its own, for x86-64 hosts alone.
HOST_FOLDER = "cpu/engine/translator/"

FORBIDDEN = (
    (re.compile(r"\bstd::bit_cast\b"), "libc++ 13 lacks std::bit_cast: __builtin_bit_cast(To, value)"),
    (re.compile(r"\bstd::(?:ranges|format|source_location|jthread|stop_token|latch|barrier|atomic_ref)\b"),
     "libc++ 13 lacks it"),
    (re.compile(r"(?<!long )(?<!\w)(?:unsigned )?long(?! long)(?= \w| *[>,*&)])"), "long has 4 bytes in a browser and 8 here: u64 or u32"),
)


def check_text(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, reason in FORBIDDEN:
            if match := pattern.search(line):
                yield f"{path}:{number}: {match.group(0).strip()}: {reason}"
        if path not in X86_FILES and (match := X86.search(line)):
            yield f"{path}:{number}: {match.group(0)}: the host's instructions belong into {' or '.join(X86_FILES)}"
    if path in X86_FILES and "defined(__x86_64__)" not in text:
        yield f"{path}: the host's instructions without #if defined(__x86_64__)"


def check(root):
    for path in sources.files(root):
        if sources.room_of(path) not in include_rules.CORE or not path.endswith(sources.CXX) or path.startswith(HOST_FOLDER):
            continue
        for line, _, angled in include_rules.includes(root, path):
            if angled and angled not in PORTABLE and angled not in HOST_FILES.get(path, ()):
                yield f"{path}:{line}: <{angled}> is not on every target of the core"
        yield from check_text(path, sources.without_comments(sources.read(root, path) or ""))


if __name__ == "__main__":
    sources.main(check)
