#!/bin/sh
# boot_sector.sh COMPILER SOURCE KERNEL OUTPUT: assembles the boot sector for a kernel of that size.
set -eu
blocks=$((($(stat -c %s "$3") + 511) / 512))
"$1" -m32 -c "-DKERNEL_BLOCKS=$blocks" "$2" -o "$4.o"
ld -m elf_i386 --oformat binary -Ttext=0x7c00 "$4.o" -o "$4"
rm "$4.o"
