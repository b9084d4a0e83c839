#!/usr/bin/env bash
# Expected: source lines come from .debug_line; .debug_aranges is an index that compilers may leave out (DWARF 4, 6.1) and clang does.
# Seen: without it libdw 0.188 (here through eu-addr2line) finds no line and reports no error, where binutils finds the line.
# Matters: a kernel linked with a script that drops the section, or built by clang, has "no debug information" in tools that ask
# dwfl_module_getsrc; walking the units with dwarf_nextcu and dwarf_getsrclines does find it.
source "$(dirname "$0")/install.bash"
debian elfutils=0.188-2.1
cd "$tmp"
printf 'int f(int x)\n{\n    return x + 1;\n}\nint main(void) { return f(2); }\n' >a.c
gcc -g -O0 -o with a.c
objcopy --remove-section .debug_aranges with without
address=0x$(nm with | awk '/ T f$/ { print $1 }')
line() { sed 's/.*a.c:/a.c:/; s/^\(a.c:[0-9]*\):.*/\1/; s/ (discriminator.*//'; }
expect "with the section: libdw, binutils" \
    "$(from_root usr/bin/eu-addr2line -e with "$address" | line), $(addr2line -e with "$address" | line)" "a.c:2, a.c:2"
expect "without it: libdw, binutils" \
    "$(from_root usr/bin/eu-addr2line -e without "$address" | line), $(addr2line -e without "$address" | line)" "??:0, a.c:2"
