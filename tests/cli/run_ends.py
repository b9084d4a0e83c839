#!/usr/bin/env python3
"""How a run ends, and what it says then: readers that do not read, codes, which fork is reported, bytes for terminals.

Usage: run_ends.py FORKSCOPE [unittest arguments]; FOREIGN_COW in the environment: tests/foreign's kernel
"""

import fcntl
import json
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import sys
import time
import unittest

import bad_input
import images
from bad_input import GUEST_PANIC, LIMIT_REACHED, OK, RUNTIME_ERROR, USAGE

FINDINGS, READER_GONE = 5, 141
SECONDS = 20
HEADLESS = ("run", "--display", "none")
COM1 = 0x3F8
COW = os.environ.get("FOREIGN_COW", "")
ANY_ESCAPE = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")


def speaker(text, then=b"\xeb\xfe"):
    """A kernel that writes `text` to COM1, and goes on with `then`."""
    code = b"\x66\xba" + struct.pack("<H", COM1)
    return images.elf(code + b"".join(b"\xb0" + bytes([letter]) + b"\xee" for letter in text) + then)


class Case(bad_input.Case):
    def kernel(self, *arguments, name="kernel.elf"):
        return self.file(name, speaker(*arguments))

    def endless(self):
        # mov dx, 3f8h; mov al, 'x'; again: out dx, al; jmp again
        return self.file("endless.elf", images.elf(b"\x66\xba\xf8\x03\xb0x\xee\xeb\xfd"))


class Readers(Case):
    def full_pipe(self):
        """The end of a pipe that takes nothing, and the one that nobody reads."""
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        os.set_blocking(write_end, False)
        try:
            while True:
                os.write(write_end, bytes(4096))
        except BlockingIOError:
            os.set_blocking(write_end, True)
        self.addCleanup(os.close, write_end)
        return write_end

    def test_that_do_not_read_keep_no_limit_waiting(self):
        pipe = self.full_pipe()
        result = self.start(*HEADLESS, "--kernel", self.endless(), "--limit", "3000000i", stdout=pipe)
        self.assertEqual(result.returncode, RUNTIME_ERROR, result.text)
        self.assertRegex(result.text, "nobody reads standard output: \\d+ bytes are lost")
        self.assertEqual(fcntl.fcntl(pipe, fcntl.F_GETFL) & os.O_NONBLOCK, 0, "the pipe's other holders find it changed")

    def test_that_do_not_read_keep_control_c_waiting_as_little(self):
        running = subprocess.Popen([bad_input.PROGRAM, *HEADLESS, "--kernel", self.endless()], stdin=subprocess.DEVNULL,
                                   stdout=self.full_pipe(), stderr=subprocess.PIPE)
        try:
            time.sleep(1)
            running.send_signal(signal.SIGINT)
            self.assertIn(b"Ctrl-C", running.communicate(timeout=5)[1])
            self.assertEqual(running.returncode, LIMIT_REACHED)
        finally:
            running.kill()

    def test_that_are_slow_get_everything(self):
        script = '"$0" run --display none --kernel "$1" --limit 400000i 2>/dev/null | (sleep 1; cat)'
        result = subprocess.run(["bash", "-c", script, bad_input.PROGRAM, self.endless()], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, timeout=SECONDS, check=False)
        straight = self.start(*HEADLESS, "--kernel", self.endless(), "--limit", "400000i")
        self.assertGreater(len(straight.stdout), 100000)
        self.assertEqual(result.stdout, straight.stdout)

    def test_that_have_seen_enough_end_the_run_quietly(self):
        for arguments in (("run", "--display", "none", "--kernel", self.endless()), ("fork", "--json"), ("--help",)):
            read_end, write_end = os.pipe()
            os.close(read_end)
            result = self.start(*arguments, stdout=write_end)
            os.close(write_end)
            self.assertEqual((result.returncode, result.text), (READER_GONE, ""))

    def test_of_a_terminal_that_nobody_reads(self):
        main, other = pty.openpty()
        try:
            result = self.start(*HEADLESS, "--kernel", self.endless(), "--limit", "3000000i", stdout=other)
            self.assertEqual(result.returncode, RUNTIME_ERROR)
        finally:
            os.close(main)
            os.close(other)
        self.assertEqual(self.start(*HEADLESS, "--kernel", self.endless(), "--limit", "3000000i", "--serial", "pty").returncode,
                         LIMIT_REACHED)

    def test_of_a_terminal_find_messages_on_their_own_line(self):
        main, other = pty.openpty()
        self.start(*HEADLESS, "--kernel", self.kernel(b"prompt$ "), "--limit", "2000000i", stdout=other)
        os.close(other)
        with os.fdopen(main, "rb", buffering=0) as terminal:
            self.assertEqual(terminal.read(100), b"prompt$ \r\n")

    def test_fifos_are_read_or_refused(self):
        fifo = os.path.join(self.directory.name, "fifo")
        os.mkfifo(fifo)
        limit = ("--limit", "1000i")
        for arguments in ((*HEADLESS, *limit, "--serial", f"file:{fifo}"), (*HEADLESS, *limit, "--debugcon", f"file:{fifo}"),
                          (*HEADLESS, *limit, "--kernel", fifo), (*HEADLESS, *limit, "--initrd", fifo),
                          (*HEADLESS, *limit, "--load", fifo), ("trace", "info", fifo)):
            self.refuses(RUNTIME_ERROR, re.escape(fifo), *arguments)
        kernel = self.kernel(b"hello")
        with subprocess.Popen(["bash", "-c", 'sleep 0.3; cat "$1" > "$2"', "-", kernel, fifo]):
            self.assertEqual(self.start(*HEADLESS, "--limit", "10000000i", "--kernel", fifo).stdout, b"hello")


class Stalled(Case):
    """Somebody holds the other end, and takes or gives nothing."""
    TRACED = ("--os", "lunaix", "--append", "run=forktree")

    def fifo(self, name="fifo"):
        """A FIFO of one page with a reader that does not read."""
        path = os.path.join(self.directory.name, name)
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        return path

    def pipe(self):
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, write_end)
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
        return read_end, write_end

    def interrupted(self, *arguments, stdout=subprocess.DEVNULL):
        """Code and messages of a run that is still there after three seconds, and then gets one Ctrl-C."""
        running = subprocess.Popen([bad_input.PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=stdout,
                                   stderr=subprocess.PIPE, cwd=self.directory.name)
        try:
            time.sleep(3)
            self.assertIsNone(running.poll(), "it has not waited")
            running.send_signal(signal.SIGINT)
            return running.communicate(timeout=3)[1].decode(), running.returncode
        finally:
            running.kill()

    def test_readers_of_files_keep_no_limit_waiting(self):
        for option in ("--trace", "--save", "--screenshot"):
            result = self.start(*HEADLESS, *self.TRACED, "--serial", "none", "--limit", "60000000i", option, self.fifo(option))
            self.assertEqual(result.returncode, RUNTIME_ERROR, result.text)
            self.assertIn("its reader has taken nothing for 5 seconds", result.text)
        result = self.start(*HEADLESS, "--kernel", self.endless(), "--limit", "3000000i", "--serial", f"file:{self.fifo()}")
        self.assertEqual(result.returncode, RUNTIME_ERROR, result.text)
        self.assertIn("nobody reads the file", result.text)

    def test_readers_of_files_keep_control_c_waiting_as_little(self):
        text, code = self.interrupted("record", "-o", self.fifo(), *self.TRACED)
        self.assertEqual(code, RUNTIME_ERROR, text)
        self.assertRegex(text, r"Ctrl-C ended the wait for its reader; .* \d+ events are in the file .*, \d+ are lost")

    def test_readers_of_a_report_keep_no_limit_waiting(self):
        result = self.start("fork", "--json", "--limit", "60s", stdout=self.pipe()[1])
        self.assertEqual(result.returncode, RUNTIME_ERROR, result.text)
        self.assertRegex(result.text, r"nobody reads standard output: \d+ bytes are lost")

    def test_readers_of_a_report_keep_control_c_waiting_as_little(self):
        for command in (("fork", "--json"), ("compare", "--json", "--os", "lunaix")):
            text, code = self.interrupted(*command, stdout=self.pipe()[1])
            self.assertEqual(code, RUNTIME_ERROR, text)
            self.assertRegex(text, r"Ctrl-C ended the wait for whoever reads standard output: \d+ bytes are lost")

    def test_pagers_that_rest_get_everything(self):
        read_end, write_end = self.pipe()
        with subprocess.Popen([bad_input.PROGRAM, "fork", "--json"], stdin=subprocess.DEVNULL, stdout=write_end,
                              stderr=subprocess.DEVNULL) as running, os.fdopen(read_end, "rb") as reader:
            os.dup2(2, write_end)  # the program alone holds it
            time.sleep(7)
            self.assertIsNone(running.poll(), "it has not waited")
            self.assertEqual(reader.read(), self.start("fork", "--json").stdout)
            self.assertEqual(running.wait(timeout=SECONDS), OK)

    def test_readers_of_messages_keep_nobody_waiting(self):
        write_end = self.pipe()[1]
        os.write(write_end, bytes(4096))
        running = subprocess.Popen([bad_input.PROGRAM, "run", "--kernel", "absent"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=write_end)
        try:
            self.assertEqual(running.wait(timeout=5), RUNTIME_ERROR)
        finally:
            running.kill()

    def test_writers_keep_nobody_waiting(self):
        path = os.path.join(self.directory.name, "kernel")
        os.mkfifo(path)
        writer = os.open(path, os.O_RDWR)
        self.addCleanup(os.close, writer)
        for option in ("--kernel", "--initrd", "--load"):
            os.write(writer, images.elf()[:1000])
            self.refuses(RUNTIME_ERROR, f"{re.escape(path)}' has not ended", *HEADLESS, "--limit", "1000i", option, path)


class Codes(Case):
    def test_of_results_stand_alone_on_standard_output(self):
        # mov ecx, 1234h; rdmsr
        kernel = self.file("rdmsr.elf", images.elf(bytes.fromhex("b934120000 0f32")))
        result = self.start(*HEADLESS, "--serial", "none", "--cpu", "pentium", "--kernel", kernel)
        self.assertEqual((result.returncode, result.stdout), (GUEST_PANIC, b""))
        self.assertIn("forkscope: the guest read model-specific register 0x1234", result.text)

    def test_of_a_limit_have_a_message(self):
        kernel, halts = self.kernel(b"hello"), self.kernel(b"hello", b"\xfa\xf4", name="halts.elf")
        for arguments, message in ((("--limit", "2000000i"), "the limit is reached after 2000000 instructions"),
                                   (("--limit", "2000000i", "--until", "serial:bye"),
                                    "--until serial:bye was not met: the limit is reached"),
                                   (("--until", "screen:bye"),
                                    "--until screen:bye was not met: the guest halted with interrupts off")):
            result = self.start(*HEADLESS, "--kernel", kernel if "--limit" in arguments else halts, *arguments)
            self.assertEqual(result.returncode, LIMIT_REACHED, result.text)
            self.assertIn(message, result.text)

    def test_repeated_strings_where_nothing_answers_are_exact_and_fast(self):
        # cld; then stosd, lodsd, movsd, repe cmpsd, repe scasd over such memory; movsb from it to RAM and back, not aligned
        count = (0x200000).to_bytes(4, "little").hex()
        code = "fc b878563412" + "".join(f"bf000000e0 be000000d0 b9{count} f3{op}" for op in ("ab", "ad", "a5", "a7", "af"))
        code += "bf01002000 bef10f00e0 b900001000 f3a4 be01002000 bff10f00e0 b900001000 f3a4 faf4"
        kernel = self.file("nowhere.elf", images.elf(bytes.fromhex(code)))
        seconds = lambda: resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        for memory in (("--tlb", "model"), ("--cpu", "i486")):
            hashes, took = set(), {}
            for engine in ("interp", "block"):
                # Where somebody listens, each access is one of its own.
                for listening in ((), ("--info", "unmapped")):
                    before = seconds()
                    result = self.start(*HEADLESS, "--direct", "--serial", "none", "--kernel", kernel, "--engine", engine,
                                        "--hash", *memory, *listening)
                    self.assertEqual(result.returncode, OK, result.text)
                    took[engine, bool(listening)] = seconds() - before
                    hashes.add(re.search(rb"^hash .*$", result.stdout, re.MULTILINE)[0])
            self.assertEqual(len(hashes), 1, hashes)
            for engine in ("interp", "block"):
                self.assertLess(took[engine, False], took[engine, True] / 5, took)

    def test_of_a_machine_that_nothing_wakes(self):
        # A line is open, and nothing is there. out 21h, 0dfh; out a1h, 0ffh; sti; hlt
        asleep = self.file("asleep.elf", images.elf(bytes.fromhex("b0df e621 b0ff e6a1 fb f4 ebfd")))
        for arguments, code in ((("--limit", "100000000i"), LIMIT_REACHED), ((), OK)):
            result = self.start(*HEADLESS, "--serial", "none", "--kernel", asleep, *arguments)
            self.assertEqual(result.returncode, code, result.text)
            self.assertIn("nothing can wake it", result.text)
        result = self.start(*HEADLESS, "--serial", "none", "--kernel", asleep, "--limit", "100s", "--hash")
        self.assertIn("the limit is reached", result.text)

    def test_of_a_machine_that_masks_everything_and_halts(self):
        # out 21h, 0ffh; out a1h, 0ffh; sti; hlt
        masked = self.file("masked.elf", images.elf(bytes.fromhex("b0ff e621 e6a1 fb f4 ebfd")))
        for arguments in ((), ("--limit", "100000000i"), ("--limit", "100s")):
            result = self.start(*HEADLESS, "--serial", "none", "--kernel", masked, *arguments)
            self.assertEqual(result.returncode, OK, result.text)
            self.assertIn("the guest halted with every line masked at the 8259s, or held back by one in service: nothing can wake it", result.text)

    def test_what_nothing_answers_at_is_listed(self):
        # three times: in al, 1f0h; then out 20ch, eax; mov al, [0e0000000h]; mov [0e0000ffch], eax; cli; hlt
        code = bytes.fromhex("66baf001 ec ec ec 66ba0c02 ef a0000000e0 a3fc0f00e0 fa f4")
        kernel = self.file("probes.elf", images.elf(code))
        lists = []
        for engine in ("interp", "block"):
            result = self.start(*HEADLESS, "--direct", "--serial", "none", "--engine", engine, "--kernel", kernel, "--json",
                                "--info", "unmapped")
            self.assertEqual(result.returncode, OK, result.text)
            document = json.loads(result.stdout)
            lists.append([(row["kind"], row["address"], row["reads"], row["writes"]) for row in document["unmapped"]])
            first = int(document["unmapped"][0]["first_by"], 0)
            self.assertEqual([int(row["first_by"], 0) - first for row in document["unmapped"]], [0, 7, 8])
        self.assertEqual(lists[0], [("port", "0x000001f0", 3, 0), ("port", "0x0000020c", 0, 1),
                                    ("memory", "0xe0000000", 1, 1)])
        self.assertEqual(lists[0], lists[1])

    def test_a_silent_guests_screen_is_shown(self):
        # mov dword [0b8000h], 'H'<<..: "Hi" in the first cells of a cleared row
        code = bytes.fromhex("c705 40810b00") + b"H\x07i\x07" + b"\xeb\xfe"  # row 2
        result = self.start(*HEADLESS, "--limit", "1000000i", "--kernel", self.file("screen.elf", images.elf(code)))
        self.assertRegex(result.text, r"the guest's screen ends with:\n(?s:.*)Hi")
        result = self.start(*HEADLESS, "--limit", "2000000i", "--kernel", self.kernel(b"hello"))
        self.assertNotIn("screen", result.text)

    def test_fork_shows_what_the_guest_said(self):
        for arguments, words in ((("--workload", "nosuch"), "sh: nosuch: command not found"),
                                 (("--cpu", "i386"), "KERNEL PANIC: this kernel needs an i486")):
            result = self.start("fork", *arguments)
            self.assertEqual(result.returncode, GUEST_PANIC, result.text)
            self.assertIn(words, result.text)
        result = self.start("fork", "-m", "4M", "--pages", "600")
        self.assertEqual(result.returncode, GUEST_PANIC, result.text)
        self.assertRegex(result.text, "(?i)memory")

    def test_lost_hashes_are_errors(self):
        with open("/dev/full", "wb") as full:
            for arguments in (("--hash",), ("--hash-every", "500")):
                self.refuses(RUNTIME_ERROR, "standard output", *HEADLESS, "--serial", "none", "--limit", "1000i", *arguments,
                             stdout=full)

    def test_of_memory_that_no_machine_has(self):
        for size in ("1M", "2M", "9G"):
            self.refuses(USAGE, "-m", *HEADLESS, "-m", size)

    def test_a_cut_or_damaged_trace_is_told_by_each_command(self):
        path = os.path.join(self.directory.name, "a.trace")
        self.assertEqual(self.start(*HEADLESS, "--serial", "none", "--trace", path, "--append", "run=forktree").returncode, OK)
        with open(path, "rb") as file:
            whole = file.read()
        cut = self.file("cut.trace", whole[:-100])
        damaged = self.file("damaged.trace", whole[:len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1:])
        for verb, *words in (("info",), ("stat",), ("dump",), ("query", "fault")):
            sound = self.start("trace", verb, path, *words)
            self.assertEqual((sound.returncode, sound.text), (OK, ""))
            result = self.start("trace", verb, cut, *words)
            self.assertEqual(result.returncode, OK, result.text)
            self.assertIn("did not end in order", result.text)
            result = self.start("trace", verb, damaged, *words)
            self.assertEqual(result.returncode, RUNTIME_ERROR, result.text)
            self.assertRegex(result.text, "damaged.trace.* is damaged")

    def test_a_script_of_the_stepper_that_is_interrupted_has_not_graded(self):
        words = "continue until cr3 == 1; expect cr3 == 1"
        running = subprocess.Popen([bad_input.PROGRAM, "step", "--workload", "forkstorm 20000", "-c", words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            time.sleep(2)
            running.send_signal(signal.SIGINT)
            self.assertIn(b"interrupted", running.communicate(timeout=10)[0])
            self.assertEqual(running.returncode, LIMIT_REACHED)
        finally:
            running.kill()


class Forks(Case):
    def reported(self, *arguments):
        """Number and program of the fork that is reported."""
        result = self.start("fork", *arguments)
        found = re.search(rb"^Fork (\d+): pid \d+ \(bin/(\w+)\)", result.stdout, re.MULTILINE)
        self.assertIsNotNone(found, result.text)
        return int(found[1]), found[2].decode(), result

    def test_are_the_workloads(self):
        for system in ("lunaix", "minix", "freebsd"):
            for until in ((), ("--until", "fork"), ("--until", "stop:2")):
                number, program, result = self.reported("--os", system, "--workload", "forktree", *until)
                self.assertEqual((program, result.returncode), ("forktree", OK), (system, until))
                self.assertEqual(b"and has not returned yet" in result.stdout, bool(until))
                self.assertEqual(number, 3)

    def test_in_progress_know_whose_entries_they_have_written(self):
        result = self.reported("--until", "stop:3")[2]
        self.assertRegex(result.stdout, rb"  2    child  .* ptcpy")
        self.assertRegex(result.stdout, rb"made pid 4, directory (?!0x00000000)")
        self.assertRegex(result.stdout, rb"inside fork +\d\d,\d\d\d ")
        self.assertNotIn(b"unknown", result.stdout)
        result = self.reported("--os", "freebsd", "--until", "tracepoint:fork_leave")[2]
        self.assertNotIn(b"unknown", result.stdout)

    def test_of_a_step_are_the_workloads(self):
        result = self.start("step", "--serial", "none", "--workload", "forktree", "--until", "stop:2b", "--json")
        self.assertEqual(result.returncode, OK)
        path = os.path.join(self.directory.name, "inside")
        self.start("step", "--serial", "none", "--workload", "forktree", "--until", "stop:2b", "--save", path)
        for until, fork in (("stop:5", 3), ("stop:1", 4)):
            number, program, result = self.reported("--load", path, "--until", until)
            self.assertEqual((number, program, result.returncode), (fork, "forktree", OK))
        self.assertEqual(self.reported("--load", path)[:2], (3, "forktree"))

    def test_of_a_workload_that_makes_none_are_its_shells(self):
        self.assertEqual(self.reported("--workload", "ls")[:2], (2, "sh"))
        result = self.start("fork", "--workload", "ls", "--until", "stop:1")
        self.assertEqual(result.returncode, LIMIT_REACHED)
        self.assertIn("--until stop:1 was not met", result.text)

    def test_are_chosen_by_number(self):
        self.assertEqual(self.reported("--workload", "forktree", "--fork", "1")[:2], (1, "init"))
        self.assertEqual(self.reported("--workload", "forktree", "--fork", "7")[:2], (7, "forktree"))
        self.refuses(RUNTIME_ERROR, "--fork 99: there were only the forks 1 to \\d+; choose", "fork", "--workload", "forktree", "--fork", "99")
        self.refuses(USAGE, "--fork '0'", "fork", "--fork", "0")
        number, _, result = self.reported("--workload", "forkstorm 400", "--fork", "9")
        self.assertEqual(number, 9)
        self.assertNotIn("dropped to bound memory", result.text)
        self.assertNotIn(b"dropped to bound memory", result.stdout)

    def test_of_a_foreign_kernel_take_no_workload(self):
        kernel = self.kernel(b"hello")
        for option in (("--workload", "ls"), ("--pages", "3"), ("--parent-pages", "3")):
            for command in (("fork",), ("step",), ("record", "-o", "trace")):
                self.refuses(USAGE, "--append or --type", *command, "--kernel", kernel, *option)
        result = self.start("fork", "--kernel", kernel, "--limit", "2000000i", "--type", "ls\\n")
        self.assertEqual(result.returncode, LIMIT_REACHED, result.text)
        self.assertIn("hello", result.text)


@unittest.skipUnless(os.path.exists(COW), "the foreign kernels are not built")
class Findings(Case):
    """A kernel whose copy-on-write handler grants a write to a page that the other side still maps; and our own with
    CR0.WP clear: what it writes for a program reaches pages that are shared for copying."""
    BROKEN = ("--kernel", COW, "--append", "plain bug=reuse")
    STORES = ("--append", "nowp")

    def code(self, *arguments):
        return self.start(*arguments).returncode

    def test_are_an_exit_code_of_fork_and_step(self):
        step = ("step", "--display", "none", "--serial", "none")
        self.assertEqual(self.code("fork", *self.BROKEN), FINDINGS)
        self.assertEqual(self.code("fork", "--kernel", COW, "--append", "plain"), OK)
        self.assertEqual(self.code(*step, *self.BROKEN, "--until", "serial:never"), FINDINGS, "they weigh more than a limit")
        self.assertEqual(self.code(*step, "--kernel", COW, "--append", "plain", "--until", "serial:never"), LIMIT_REACHED)
        self.assertEqual(self.code(*HEADLESS, *self.BROKEN), OK)

    def test_weigh_less_than_a_panic(self):
        result = self.start("fork", *self.STORES, "--workload", "usertests cow_kernel_stat")
        self.assertEqual(result.returncode, GUEST_PANIC)
        self.assertIn("there are findings in fork", result.text)

    def test_are_an_exit_code_of_compare(self):
        stores = ("--workload", "usertests cow_kernel_stat; echo")
        self.assertEqual(self.code("fork", *self.STORES, *stores), FINDINGS)
        self.assertEqual(self.code("compare", "--os", "lunaix", *self.STORES, *stores), FINDINGS)
        self.assertEqual(self.code("compare", "--os", "lunaix", "--workload", "forktree"), OK)

    def test_forks_that_nothing_states_end_a_run(self):
        result = self.start("fork", "--kernel", COW, "--append", "plain", "--until", "fork")
        self.assertEqual(result.returncode, OK, result.text)
        self.assertIn(b"Fork 1: ", result.stdout)
        self.assertNotIn(b"powered", result.stderr)
        result = self.start(*HEADLESS, "--kernel", COW, "--append", "create", "--until", "fork")
        self.assertEqual(result.returncode, LIMIT_REACHED, result.text)


class Snapshots(Case):
    """Saved before the guest has read what was typed; every face goes on with it."""

    def saved(self, *more):
        path = os.path.join(self.directory.name, "typing")
        result = self.start(*HEADLESS, "--serial", "none", "--type", "forktree 1 2\\n", "--limit", "300000i", "--save", path, *more)
        self.assertEqual(result.returncode, LIMIT_REACHED, result.text)
        return path

    def test_keep_keys_for_run(self):
        loaded = self.start(*HEADLESS, "--load", self.saved(), "--until", "serial:forktree 1 2\\n", "--limit", "5s")
        self.assertEqual(loaded.returncode, OK, loaded.text)

    def test_keep_keys_for_fork(self):
        loaded = self.start("fork", "--load", self.saved(), "--limit", "3s")
        self.assertEqual(loaded.returncode, LIMIT_REACHED, loaded.text)
        self.assertRegex(loaded.stdout, rb"Fork 3: pid \d+ \(bin/forktree\)")

    def test_keep_keys_for_step(self):
        loaded = self.start("step", "--display", "none", "--serial", "none", "--load", self.saved(), "--until", "stop:2b")
        self.assertEqual(loaded.returncode, OK, loaded.text)
        self.assertIn("--until stop:2b is met", loaded.text)

    def test_take_more_keys_behind_those(self):
        loaded = self.start(*HEADLESS, "--load", self.saved(), "--type", "echo be''hind\\n", "--until", "serial:\nbehind", "--limit", "5s")
        self.assertEqual(loaded.returncode, OK, loaded.text)

    def test_refuse_what_disagrees_in_each_command(self):
        path = self.saved()
        for command in (("run", "--display", "none"), ("fork",), ("step", "--display", "none"), ("record", "-o", "trace")):
            for option, value in (("-m", "32M"), ("--cpu", "i486"), ("--tlb", "tiny"), ("--clock", "cache"), ("--os", "minix"),
                                  ("--append", "quiet")):
                self.refuses(RUNTIME_ERROR, f"the saved machine has {option}", *command, "--load", path, option, value)
            self.refuses(RUNTIME_ERROR, "the saved machine has --append", *command[:1 + 2 * (len(command) > 1)],
                         "--load", path, *(("--workload", "ls") if command[0] != "run" else ("--append", "run=ls")))


class Terminals(Case):
    HOSTILE = "\x1b]0;owned\x07\x1b[31m\u009b1mred\x7f"

    def quiet(self, *arguments):
        result = self.start(*arguments)
        for text in (result.stdout, result.stderr):
            self.assertIsNone(ANY_ESCAPE.search(text), (arguments, text[:400]))
        return result

    def test_get_no_escapes_from_names_and_command_lines(self):
        folder, hostile = self.directory.name, self.HOSTILE
        kernel, trace, saved = (os.path.join(folder, hostile + name) for name in ("kernel", "trace", "saved"))
        with open(kernel, "wb") as file:
            file.write(speaker(b"hello"))
        for absent in (("run", "--kernel", kernel + "x"), ("trace", "info", trace), ("run", "--load", saved),
                       ("run", "--until", hostile), ("run", "--os", hostile), (hostile,), ("run", hostile),
                       ("run", "--save", f"/absent/{hostile}"), ("run", "--serial", f"file:/absent/{hostile}")):
            self.assertIn("\\x1b", self.quiet(*absent, *(() if absent[0] != "run" else ("--limit", "1000i"))).text)
        self.quiet("record", "--kernel", kernel, "--append", hostile, "-o", trace, "--limit", "2000000i", "--save", saved)
        info = self.quiet("trace", "info", trace)
        self.assertGreater(info.stdout.count(b"\\x1b"), 2)
        for arguments in (("trace", "stat", trace), ("trace", "dump", trace), (*HEADLESS, "--load", saved),
                          (*HEADLESS, "--kernel", kernel, "--load", saved, "--append", "x"),
                          ("fork", "--workload", hostile), ("fork", "--workload", hostile, "--json"),
                          ("compare", "--os", "lunaix", "--workload", hostile, "--limit", "2s"),
                          ("compare", "--os", "lunaix", "--workload", hostile, "--limit", "2s", "--json")):
            self.quiet(*arguments)

    def test_get_the_guests_bytes_as_they_are_or_clean(self):
        kernel = self.kernel(b"a\x1b[31mb\x9bc\rd\te\x00\n")
        raw = self.start(*HEADLESS, "--limit", "2000000i", "--kernel", kernel)
        self.assertEqual(raw.stdout, b"a\x1b[31mb\x9bc\rd\te\x00\n")
        clean = self.start(*HEADLESS, "--limit", "2000000i", "--kernel", kernel, "--serial", "stdio,clean")
        self.assertEqual(clean.stdout, b"a\\x1b[31mb\\x9bc\rd\te\\x00\n")
        silent = self.start("fork", "--limit", "2000000i", "--kernel", kernel)
        self.assertIn("a\\x1b[31mb", silent.text)


if __name__ == "__main__":
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        print("skipped: there is no forkscope program to test")
        sys.exit(77)
    bad_input.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
