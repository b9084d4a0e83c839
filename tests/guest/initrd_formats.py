#!/usr/bin/env python3
"""The guest finds everything in its initrd, packed again as people do: in every format of tar, with a long path, a long
name and a hard link. Usage: initrd_formats.py FORKSCOPE INITRD
"""

import os
import subprocess
import sys
import tarfile
import tempfile

DEEP = ("data/a_directory_with_quite_a_long_name_indeed/and_another_one_below_it_that_is_long_too/"
        "third_level_of_names/file_at_the_end")
LONG = "data/" + "n" * 70
FORMATS = ("ustar", "gnu", "pax")
COMMAND = (f"run=cat {DEEP} && cat {LONG} && cat data/hard && cd /data && ls && wc ../data/x hard "
           "&& cd /data/a_directory_with_quite_a_long_name_indeed/and_another_one_below_it_that_is_long_too && pwd")


def repack(initrd, target, form):
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(initrd) as archive:
            archive.extractall(folder)
        os.makedirs(os.path.join(folder, os.path.dirname(DEEP)))
        for name, text in ((DEEP, "found deep\n"), (LONG, "found long\n"), ("data/x", "found hard\n")):
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write(text)
        os.link(os.path.join(folder, "data/x"), os.path.join(folder, "data/hard"))
        os.symlink("x", os.path.join(folder, "data/soft"))
        subprocess.run(["tar", f"--format={form}", "--sort=name", "-C", folder, "-cf", target, "."], check=True)


def main():
    program, initrd = sys.argv[1:]
    for form in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            target = os.path.join(folder, "initrd.tar")
            repack(initrd, target, form)
            result = subprocess.run([program, "run", "--headless", "--initrd", target, "--append", COMMAND], check=False,
                                    stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        text = (result.stdout + result.stderr).decode(errors="replace").replace("\r", "")
        print(f"--- {form}\n{text}")
        assert result.returncode == 0, f"{form}: exit code {result.returncode}"
        for line in ("found deep", "found long", "found hard", "n" * 70, "hard", os.path.dirname(os.path.dirname("/" + DEEP)),
                     "initrd: ./data/soft is left out"):
            assert line in text.splitlines(), f"{form}: '{line}' was not said"


if __name__ == "__main__":
    main()
