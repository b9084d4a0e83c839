#!/usr/bin/env python3
"""Writes vga_font.inc: 256 glyphs of 8x16 pixels in code page 437 order, from the console fonts of Debian's package
console-setup-linux. Usage: make_font.py DIRECTORY-WITH-VGA16.psf.gz-FILES > vga_font.inc
Only needed when the table is to be made anew; the build uses the table as it is."""
import gzip
import pathlib
import struct
import sys

HEIGHT = 16
CONTROL_GLYPHS = "\0☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
# The console fonts lack the two filled pointers; drawn here, a row a number.
DRAWN = {
    "\0": [0] * HEIGHT,
    "►": [0, 0x80, 0xC0, 0xE0, 0xF0, 0xF8, 0xFE, 0xF8, 0xF0, 0xE0, 0xC0, 0x80, 0, 0, 0, 0],
    "◄": [0, 0x02, 0x06, 0x0E, 0x1E, 0x3E, 0xFE, 0x3E, 0x1E, 0x0E, 0x06, 0x02, 0, 0, 0, 0],
}


def glyphs_of(path):
    """Character to glyph of one PSF version 1 file: header, glyphs, then lists of UCS-2 codes ended by FFFF.
    The first code of a list is what the glyph was drawn for; the others make do with it."""
    data = gzip.open(path).read()
    magic, mode, height = struct.unpack_from("<HBB", data)
    if magic != 0x0436 or height != HEIGHT:
        return {}
    count = 512 if mode & 1 else 256
    found, index, first = {}, 0, True
    for (code,) in struct.iter_unpack("<H", data[4 + count * HEIGHT :]):
        if code == 0xFFFF:
            index, first = index + 1, True
        elif first:
            found.setdefault(chr(code), list(data[4 + index * HEIGHT : 4 + (index + 1) * HEIGHT]))
            first = False
    return found


def main():
    known = dict(DRAWN)
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*-VGA16.psf.gz")):
        for character, glyph in glyphs_of(path).items():
            known.setdefault(character, glyph)
    upper = bytes(range(32, 256)).decode("cp437").replace("\x7f", "⌂")
    print("// Made by devices/vga/font/make_font.py. Glyphs of u_vga16, Copyright (c) 2000, 2001 Dmitry Bolkhovityanov,")
    print("// MIT/X licence (text in devices/vga/font/LICENCE). Code page 437, 16 rows a glyph, bit 7 leftmost.")
    for number, character in enumerate(CONTROL_GLYPHS + upper):
        rows = ", ".join(f"0x{row:02X}" for row in known[character])
        print(f"{rows}, // {number:02X}")


main()
