#!/usr/bin/env python3
"""What `record` writes: done again, reported, opened at a place, gone on from; killed, damaged, and of another machine.

Usage: recordings.py FORKSCOPE [unittest arguments]
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
import unittest

import bad_input
import images
from bad_input import LIMIT_REACHED, OK, RUNTIME_ERROR, USAGE

EQUAL = re.compile(rb"^\d+ instructions, \d+ hashes: equal\n$")
HEADLESS = ("run", "--display", "none")


def catches(process, number):
    """Whether a process that has not been waited for has a handler of its own for a signal."""
    with open(f"/proc/{process.pid}/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt:"))
    return int(caught.split()[1], 16) >> (number - 1) & 1 != 0


class Recordings(bad_input.Case):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory.name, "a.rec")

    def record(self, *arguments, code=OK):
        result = self.start("record", "-o", self.path, *arguments)
        self.assertEqual(result.returncode, code, result.text)
        self.assertIn("everything that was typed", result.text)
        with open(self.path, "rb") as file:
            return file.read()

    def hash_at(self, *arguments):
        return self.start(*arguments, "--hash").stdout.split(b"\n")[-2]

    def expect_equal(self, path, *arguments):
        result = self.start("replay", path, *arguments)
        self.assertRegex(result.stdout, EQUAL)
        self.assertEqual(result.returncode, OK, result.text)
        return result

    def test_are_equal_on_both_engines(self):
        for machine in (("--os", "minix", "--cpu", "i486", "--tlb", "random:3"),
                        ("--os", "freebsd", "--cpu", "pentium", "--clock", "cache", "--direct")):
            self.record(*machine, "--pages", "2", "--type", "x", "--engine", "interp")
            self.expect_equal(self.path)
            self.expect_equal(self.path, "--engine", "interp")

    def test_give_the_report_of_the_run(self):
        self.record("--pages", "3")
        for arguments in ((), ("--json",), ("--fork", "2")):
            live = self.start("fork", "--pages", "3", *arguments)
            again = self.start("fork", self.path, *arguments)
            self.assertEqual(again.stdout, live.stdout)
            self.assertEqual(again.returncode, live.returncode, again.text)

    def test_open_at_a_place_and_go_on_from_there(self):
        self.record("--append", "run=forkstorm 150")
        workload = ("--serial", "none", "--append", "run=forkstorm 150")
        for place in (1000000, 17000000, 20000000):
            straight = self.hash_at(*HEADLESS, *workload, "--limit", f"{place}i")
            self.assertEqual(self.hash_at("step", self.path, "--at", str(place), "--display", "none"), straight)
            later = self.hash_at(*HEADLESS, *workload, "--limit", f"{place + 500000}i")
            self.assertEqual(self.hash_at(*HEADLESS, self.path, "--from", str(place), "--limit", f"{place + 500000}i"), later)
        self.refuses(USAGE, "not in the recording", *HEADLESS, self.path, "--from", "99999999999")
        self.refuses(USAGE, "--from", *HEADLESS, "--from", "5")

    def test_are_asked_as_traces_are(self):
        self.record("--pages", "2")
        trace = os.path.join(self.directory.name, "a.trace")
        self.start(*HEADLESS, "--serial", "none", "--append", "run=forkdemo --pages 2", "--trace", trace)
        for condition in ("stop == 2b", "fault && cr3 != 0", "maps(cr3)", "fault(forkdemo:main)"):
            of_trace = self.start("trace", "query", trace, condition)
            of_recording = self.start("trace", "query", self.path, condition)
            self.assertEqual(of_recording.returncode, of_trace.returncode, of_recording.text)
        dump = self.start("trace", "dump", self.path, "--kind", "page_fault").stdout
        self.assertEqual(self.start("trace", "query", self.path, "fault").stdout, dump)
        self.assertEqual(self.start("trace", "query", self.path, "fault", "--lines", "3").stdout.count(b"\n"), 3)
        third = self.start("trace", "query", self.path, "count(fault) == 3")
        self.assertEqual((third.returncode, third.stdout), (OK, dump.split(b"\n")[2] + b"\n"))
        none = self.start("trace", "query", self.path, "fault(0x123)")
        self.assertEqual((none.returncode, none.stdout), (LIMIT_REACHED, b""))
        self.assertRegex(none.text, r"'fault\(0x123\)' was not met: \d+ events were read")

    def test_decide_what_makes_the_run(self):
        self.record("--limit", "300000i", code=LIMIT_REACHED)
        for option, value in (("--os", "minix"), ("--cpu", "i386"), ("-m", "32M"), ("--append", "quiet"), ("--tlb", "tiny")):
            self.refuses(USAGE, option, "fork", self.path, option, value)
        self.refuses(USAGE, "--type", "fork", self.path, "--type", "a")

    def test_hold_the_fork_profile(self):
        profile = os.path.join(self.directory.name, "mine.toml")
        with open(os.path.join(os.path.dirname(__file__), "../../guest/profiles/lunaix.toml"), encoding="utf-8") as file:
            text = file.read().replace("lunaix", "mine")
        with open(profile, "w", encoding="utf-8") as file:
            file.write(text)
        live = self.start("fork", "--pages", "3", "--profile", profile)
        self.record("--pages", "3", "--profile", profile)
        os.remove(profile)
        again = self.start("fork", self.path)
        self.assertEqual(again.stdout, live.stdout)
        self.assertNotEqual(self.start("fork", self.path, "--profile", "freebsd").stdout, live.stdout)
        with open(profile, "w", encoding="utf-8") as file:
            file.write(text.replace('functions = ["', 'functions = ["absent_', 1))
        self.refuses(USAGE, "absent_", "record", "-o", self.path, "--profile", profile)

    def test_say_that_forks_before_a_place_are_not_followed(self):
        self.record("--append", "run=forkstorm 150")
        at = ("step", self.path, "--at", "19000000", "--display", "none", "-c")
        partial = self.start(*at, "fork").stdout
        self.assertIn(b"`forks` follows them", partial)
        followed = self.start(*at, "forks; fork; fork 1; forks").stdout
        self.assertNotIn(b"`forks` follows them", followed)
        self.assertRegex(followed, rb"\n(\d+) forks from the beginning to instruction 19000000\n(?s:.*)\n"
                                   rb"\1 forks from the beginning to instruction 19000000\n")

    def test_hold_the_persons_own_kernel(self):
        kernel = self.file("kernel.elf", images.elf())
        self.record("--kernel", kernel, "--limit", "100000i", code=LIMIT_REACHED)
        os.remove(kernel)
        self.expect_equal(self.path)
        self.assertEqual(self.start("step", self.path, "--at", "500", "--display", "none").returncode, OK)

    def test_begin_at_a_snapshot(self):
        saved = os.path.join(self.directory.name, "saved")
        self.start(*HEADLESS, "--serial", "none", "--append", "run=forkdemo", "--limit", "3000000i", "--save", saved)
        self.record("--load", saved)
        os.remove(saved)
        self.expect_equal(self.path)
        self.expect_equal(self.path, "--engine", "interp")

    def test_of_a_killed_program_are_good_as_far_as_they_go(self):
        running = subprocess.Popen([bad_input.PROGRAM, "record", "-o", self.path, "--append", "run=forkstorm 100000"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + bad_input.SECONDS
        while (not os.path.exists(self.path) or os.path.getsize(self.path) < 3000000) and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
        running.wait(bad_input.SECONDS)
        for command in (("replay",), (*HEADLESS, "--serial", "none", "--limit", "1000i"), ("step", "--display", "none", "--at", "1000"),
                        ("trace", "stat")):
            result = self.start(*command, self.path)
            self.assertIn(result.returncode, (OK, LIMIT_REACHED), result.text)
            self.assertIn("did not end in order", result.text)
        self.expect_equal(self.path)

    def test_info_finds_a_changed_byte_wherever_it_lies(self):
        whole, numbers = self.record("--pages", "2"), random.Random(9)
        self.assertIn(b"chunks     all sound\n", self.start("trace", "info", self.path).stdout)
        for _ in range(12):
            content = bytearray(whole)
            content[numbers.randrange(len(content) // 20, len(content))] ^= 1
            result = self.start("trace", "info", self.file("changed.rec", content))
            self.assertNotIn(b"chunks     all sound\n", result.stdout)
            self.assertRegex(result.text, "damaged|did not end in order")

    def test_being_opened_end_by_control_c_with_a_word(self):
        self.record("--append", "run=forkstorm 150")
        for command in (("step", "--display", "none", "--at", "19000000", "-c", "where"), ("fork",), ("replay",),
                        (*HEADLESS, "--serial", "none", "--from", "19000000", "--limit", "60s")):
            running = subprocess.Popen([bad_input.PROGRAM, *command, self.path], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            deadline = time.monotonic() + bad_input.SECONDS
            while running.poll() is None and not catches(running, signal.SIGINT) and time.monotonic() < deadline:
                pass
            running.send_signal(signal.SIGINT)
            text = running.communicate(timeout=bad_input.SECONDS)[1]
            with self.subTest(command=command):
                self.assertEqual(running.returncode, LIMIT_REACHED, text)
                self.assertIn(b"stopped by Ctrl-C or a signal", text)

    def test_are_stepped_through_with_a_history_only(self):
        self.record("--pages", "2")
        self.refuses(USAGE, "needs a history", "step", "--display", "none", "--history", "0", "-c", "where", self.path)

    def test_damaged_in_any_way_are_refused_or_equal(self):
        whole, numbers = self.record("--pages", "2"), random.Random(5)
        for _ in range(25):
            content = bytearray(whole[:numbers.choice((len(whole), numbers.randrange(len(whole))))])
            for _ in range(numbers.randint(1, 3)):
                content[numbers.randrange(len(content))] ^= 1 << numbers.randrange(8)
            result = self.start("replay", self.file("damaged.rec", content))
            self.assertIn(result.returncode, (OK, RUNTIME_ERROR), result.text)
            if result.returncode == OK:
                self.assertRegex(result.stdout, EQUAL)
            else:
                self.assertRegex(result.text, bad_input.ADVICE)
        for path in (os.path.join(self.directory.name, "absent"), self.directory.name, self.file("empty", b""),
                     self.file("noise", numbers.randbytes(5000))):
            self.refuses(RUNTIME_ERROR, re.escape(path), "replay", path)
            self.refuses(RUNTIME_ERROR, re.escape(path), "fork", path)


if __name__ == "__main__":
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        print("skipped: there is no forkscope program to test")
        sys.exit(77)
    bad_input.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
