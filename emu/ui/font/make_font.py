#!/usr/bin/env python3
"""Writes mono.inc and mono_bold.inc: the letters that the window uses, of DejaVu Sans Mono, as the bytes of a TrueType file.
Usage: make_font.py DIRECTORY-WITH-DEJAVU-TTF-FILES, in this folder; needs fontTools. Only needed when the tables are to be
made anew; the build uses them as they are."""
import io
import pathlib
import sys

from fontTools import subset, ttLib

CHARACTERS = "".join(map(chr, range(0x20, 0x7F))) + "·×–…←→↓■▶▸▾●✓✗▌"
FACES = {"DejaVuSansMono.ttf": "mono.inc", "DejaVuSansMono-Bold.ttf": "mono_bold.inc"}


def letters(path):
    options = subset.Options(hinting=False, layout_features=[], name_IDs=[0, 1, 2], recalc_timestamp=False)
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "FFTM", "kern"]
    font = ttLib.TTFont(path, recalcTimestamp=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=CHARACTERS)
    subsetter.subset(font)
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()


for face, table in FACES.items():
    data = letters(pathlib.Path(sys.argv[1]) / face)
    rows = [", ".join(str(byte) for byte in data[i:i + 24]) + ",\n" for i in range(0, len(data), 24)]
    pathlib.Path(table).write_text(f"// {face}, letters only; licence in LICENCE; made by make_font.py.\n" + "".join(rows))
