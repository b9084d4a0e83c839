# Sourced by the scripts beside it. Debian's packages go into a temporary folder with everything that they depend on, so that
# the versions named are the versions run, whatever this machine has.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
root=$tmp/root

# debian PACKAGE=VERSION…: downloads and unpacks them below $root.
debian() {
    mkdir -p "$root" "$tmp/archives/partial"
    : >"$tmp/status"
    apt-get -qq -y --download-only --no-install-recommends -o Dir::State::status="$tmp/status" \
        -o Dir::Cache::archives="$tmp/archives" -o Debug::NoLocking=1 -o APT::Sandbox::User=root install "$@" >"$tmp/apt.log" 2>&1 ||
        { tail -n 3 "$tmp/apt.log" >&2; echo "cannot download $*: is the package list current (apt-get update)?" >&2; exit 2; }
    local archive
    for archive in "$tmp"/archives/*.deb; do dpkg-deb -x "$archive" "$root"; done
}

# from_root PROGRAM ARGUMENT…: runs a program of $root with $root's own libraries.
from_root() {
    local program=$1
    shift
    "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" "$root/$program" "$@"
}

qemu_version=1:7.2+dfsg-7+deb12u18+b3
# qemu ARGUMENT…: Debian's qemu-system-i386, once `debian qemu-system-x86=$qemu_version` was called.
qemu() {
    QEMU_MODULE_DIR=$root/usr/lib/x86_64-linux-gnu/qemu timeout 60 "$root/lib64/ld-linux-x86-64.so.2" \
        --library-path "$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" "$root/usr/libexec/qemu-system-i386" \
        -L "$root/usr/share/seabios" -L "$root/usr/share/qemu" "$@"
}

# ports: reads qtest commands (outb PORT VALUE, inb PORT) and does them on a PC that runs nothing; prints what each inb gave.
ports() {
    qemu -machine pc -S -qtest stdio -display none -nodefaults -vga none "$@" 2>/dev/null |
        sed -n 's/^OK 0x00*\([0-9a-f][0-9a-f]\)$/\1/p' | tr '\n' ' ' | sed 's/ $//'
}

# expect WHAT SEEN WANTED: prints what was seen; fails if it is not what this finding says.
expect() {
    printf '%s: %s\n' "$1" "$2"
    [[ $2 == "$3" ]] || { printf 'CHANGED: this finding saw %s\n' "$3" >&2; exit 1; }
}

# kernel: assembles standard input behind kernel.inc (host's nasm and ld) into $tmp/kernel.elf.
kernel() {
    command -v nasm >/dev/null || { echo "nasm is missing: apt-get install nasm" >&2; exit 2; }
    { printf '%%include "kernel.inc"\n'; printf 'section .text\n'; cat; } >"$tmp/kernel.asm"
    nasm -f elf32 -I "$(dirname "${BASH_SOURCE[0]}")/" -o "$tmp/kernel.o" "$tmp/kernel.asm"
    ld -m elf_i386 --no-warn-rwx-segments -N -Ttext=0x100000 -o "$tmp/kernel.elf" "$tmp/kernel.o" 2>/dev/null
}

# boot ARGUMENT…: runs $tmp/kernel.elf on QEMU and prints what it wrote to port E9h.
boot() {
    qemu -m 16 -nodefaults -display none -vga none -no-reboot -kernel "$tmp/kernel.elf" -debugcon stdio \
        -device isa-debug-exit,iobase=0xf4,iosize=4 "$@" | tr -d '\r' | sed 's/ $//'
}
