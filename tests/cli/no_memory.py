#!/usr/bin/env python3
"""Every command of forkscope, with less and less address space: a result, or a message and exit code 1.

Usage: no_memory.py FORKSCOPE [unittest arguments]
With FORKSCOPE_LONG=1 in steps of 1 % instead of 7 %.
"""

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import unittest

import images

OK, RUNTIME_ERROR, LIMIT_REACHED = 0, 1, 4
NOT_LOADED = 127  # the dynamic loader's own: the program has not begun
SECONDS = 60
MEGABYTE = 1 << 20
FACTOR = 0.99 if os.environ.get("FORKSCOPE_LONG") == "1" else 0.93
PROGRAM = ""

OUR_FAULT = re.compile(r"our bug|terminate called|[Aa]ssertion|damaged|cut short|cut off|not a Forkscope|std::")


class Limited(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.trace = os.path.join(self.directory.name, "good.trace")
        self.snapshot = os.path.join(self.directory.name, "good.snapshot")

    def start(self, megabytes, *arguments):
        def limit():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if megabytes is not None:
                resource.setrlimit(resource.RLIMIT_AS, (int(megabytes * MEGABYTE),) * 2)

        environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
        return subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS,
                              env=environment, cwd=self.directory.name, preexec_fn=limit, check=False)

    def make_files(self):
        self.start(None, "record", "-o", self.trace, "--limit", "30000000i")
        self.start(None, "run", "--display", "none", "--serial", "none", "--limit", "30000000i", "--save", self.snapshot)

    def make_recording(self):
        path = os.path.join(self.directory.name, "good.rec")
        self.assertEqual(self.start(None, "record", "-o", path, "--pages", "2").returncode, OK)
        return path

    def ends_well_with_any_memory(self, *arguments, output=None, refused=True):
        """Down from 2 GB by halves to less than it needs, then on by FACTOR from the least that worked."""
        least = 2048.0
        works = lambda size: self.start(size, *arguments).returncode in (OK, LIMIT_REACHED)
        self.assertTrue(works(least), self.start(least, *arguments).stderr[-2000:])
        below = 8.0
        while least - below > 2:
            middle = (least + below) / 2
            least, below = (middle, below) if works(middle) else (least, middle)
        size, refusals = least, 0
        while size > 4:
            size *= FACTOR
            if output and os.path.exists(output):
                os.remove(output)
            result = self.start(size, *arguments)
            text = result.stderr.decode("utf-8", "replace")
            with self.subTest(arguments=arguments, megabytes=size):
                self.assertGreaterEqual(result.returncode, 0, f"{signal.Signals(-min(result.returncode, -1)).name}: {text[-1500:]}")
                self.assertIn(result.returncode, (OK, LIMIT_REACHED, RUNTIME_ERROR, NOT_LOADED), text[-1500:])
                self.assertNotRegex(text, OUR_FAULT)
                if result.returncode == RUNTIME_ERROR:
                    refusals += 1
                    self.assertRegex(text, "memory")
            if result.returncode == NOT_LOADED:
                break
            self.assertFalse([name for name in os.listdir(self.directory.name) if name.endswith(".part")])
        if refused:
            self.assertGreater(refusals, 0, "never too little memory: nothing was tested")

    def test_run(self):
        self.ends_well_with_any_memory("run", "--display", "none", "--serial", "none", "--limit", "3000000i")

    def test_run_with_a_large_guest(self):
        self.ends_well_with_any_memory("run", "--display", "none", "--serial", "none", "-m", "512M", "--limit", "3000000i")

    def test_a_large_guest_says_what_it_wants(self):
        for arguments, wanted in ((("-m", "512M"), "the machine wants 512 MB of memory"),
                                  (("-m", "64M", "--kernel", self.large_file()), "kernel.elf' wants 200 MB of memory")):
            result = self.start(200, "run", "--display", "none", "--serial", "none", "--limit", "1000i", *arguments)
            self.assertEqual(result.returncode, RUNTIME_ERROR, result.stderr)
            self.assertIn(wanted, result.stderr.decode())

    def test_a_file_too_large_is_refused_before_it_is_read(self):
        path = self.large_file(1 << 40)
        result = self.start(200, "run", "--display", "none", "--kernel", path)
        self.assertEqual(result.returncode, RUNTIME_ERROR)
        self.assertIn("is larger than 256 MB", result.stderr.decode())

    def large_file(self, size=200 << 20):
        """Of zeros that take no place on the disk."""
        path = os.path.join(self.directory.name, "kernel.elf")
        with open(path, "wb") as file:
            file.truncate(size)
        return path

    def test_save(self):
        path = os.path.join(self.directory.name, "new.snapshot")
        self.ends_well_with_any_memory("run", "--display", "none", "--serial", "none", "--limit", "30000000i", "--save", path)

    def test_load(self):
        self.make_files()
        self.ends_well_with_any_memory("run", "--display", "none", "--serial", "none", "--limit", "31000000i", "--load",
                                       self.snapshot)

    def test_screenshot(self):
        path = os.path.join(self.directory.name, "new.png")
        self.ends_well_with_any_memory("run", "--display", "none", "--serial", "none", "--limit", "30000000i", "--screenshot", path)

    def test_fork(self):
        self.ends_well_with_any_memory("fork")

    def test_fork_as_json(self):
        self.ends_well_with_any_memory("fork", "--json")

    def test_compare(self):
        self.ends_well_with_any_memory("compare")

    def test_step(self):
        self.ends_well_with_any_memory("step", "--display", "none", "--serial", "none", "--limit", "30000000i", "--json")

    def test_record(self):
        path = os.path.join(self.directory.name, "new.trace")
        self.ends_well_with_any_memory("record", "-o", path, "--limit", "30000000i", output=path)

    def test_step_by_commands(self):
        self.ends_well_with_any_memory("step", "--pages", "2", "-c", "next; step fault; back; back stop; why esp; continue until stop == 5; fork")

    def test_replay(self):
        self.ends_well_with_any_memory("replay", self.make_recording())

    def test_what_opens_a_recording(self):
        path = self.make_recording()
        self.ends_well_with_any_memory("fork", path)
        self.ends_well_with_any_memory("run", "--display", "none", "--serial", "none", path, "--from", "300000", "--limit", "500000i")
        self.ends_well_with_any_memory("step", path, "--at", "500000", "-c", "where; back; forks; fork")

    def test_debug_and_dap(self):
        """Nobody calls; with gdb's door open, the run goes on to its limit."""
        self.ends_well_with_any_memory("run", "--display", "none", "--serial", "none", "--limit", "3000000i", "--gdb", "127.0.0.1:0")
        self.ends_well_with_any_memory("dap", refused=False)

    def test_files_that_name_things(self):
        profile = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../guest/profiles/lunaix.toml")
        self.ends_well_with_any_memory("fork", "--profile", profile)
        kernel = os.path.join(self.directory.name, "kernel.elf")
        with open(kernel, "wb") as file:
            file.write(images.elf_with_symbol())
        self.ends_well_with_any_memory("run", "--display", "none", "--serial", "none", "--limit", "3000000i", "--symbols", kernel)

    def test_run_with_every_tally(self):
        for info in ("counters", "tlb", "unmapped"):
            self.ends_well_with_any_memory("run", "--display", "none", "--serial", "none", "--limit", "3000000i", "--info", info)
        self.ends_well_with_any_memory("fork", "--functions", "--limit", "20000000i")

    def test_help(self):
        self.ends_well_with_any_memory("--help", refused=False)

    def test_trace(self):
        self.make_files()
        for verb, *words in (("info",), ("stat",), ("dump",), ("query", "fault")):
            # Little more than what the dynamic loader needs: most sizes that are too small never reach main.
            self.ends_well_with_any_memory("trace", verb, self.trace, *words, refused=False)
        path = self.make_recording()
        for verb, *words in (("info",), ("stat",), ("dump",), ("query", "count(fault) == 3")):
            self.ends_well_with_any_memory("trace", verb, path, *words, refused=False)


if __name__ == "__main__":
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        print("skipped: there is no forkscope program to test")
        sys.exit(77)
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
