#!/usr/bin/env python3
"""For any input forkscope prints a message, exits with the right code, and never crashes or hangs.

Usage: bad_input.py FORKSCOPE [unittest arguments]
"""

import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import images

OK, RUNTIME_ERROR, USAGE, GUEST_PANIC, LIMIT_REACHED = 0, 1, 2, 3, 4
SECONDS = 30  # longer is a hang
PROGRAM = ""
HEADLESS = ("run", "--display", "none", "--limit", "5000000i")

CRASH = re.compile(r"terminate called|EMU_ASSERT|[Aa]ssertion|AddressSanitizer|runtime error:|Segmentation fault|std::|basic_string")
ADVICE = re.compile(r"--\w|-m\b|\b(?:check|try|give|use|free|see|run|choose|save|record|start|name|needs?|build|copy|make|pass|allowed|known|one of)\b",
                    re.IGNORECASE)


def no_core_file():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.directory.cleanup()

    def file(self, name, content):
        path = os.path.join(self.directory.name, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def start(self, *arguments, **how):
        """Runs forkscope; a crash or a hang fails the test here."""
        environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
        try:
            result = subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, timeout=SECONDS, env=environment,
                                    cwd=self.directory.name, preexec_fn=no_core_file, check=False,
                                    **({"stdout": subprocess.PIPE} | how), stderr=subprocess.PIPE)
        except subprocess.TimeoutExpired:
            self.fail(f"forkscope {' '.join(arguments)} hangs")
        result.text = result.stderr.decode("utf-8", "replace")
        self.assertGreaterEqual(result.returncode, 0, f"died of signal {-result.returncode}: {result.text[-2000:]}")
        self.assertNotRegex(result.text, CRASH)
        return result

    def refuses(self, code, subject, *arguments, **how):
        """forkscope exits with `code`, names `subject` on stderr, and says what to do."""
        with self.subTest(arguments=arguments):
            result = self.start(*arguments, **how)
            self.assertEqual(result.returncode, code, result.text[-2000:])
            self.assertRegex(result.text, subject)
            self.assertRegex(result.text, ADVICE)
            self.assertLessEqual(len(result.text.strip().splitlines()), 12, "a message, not a flood:\n" + result.text[-2000:])

    def refuses_kernel(self, name, content, subject=""):
        path = self.file(name, content)
        self.refuses(RUNTIME_ERROR, re.escape(path) + (f"(?s:.*)(?:{subject})" if subject else ""), *HEADLESS, "--kernel", path)


class Kernel(Case):
    def test_missing(self):
        path = os.path.join(self.directory.name, "absent.elf")
        self.refuses(RUNTIME_ERROR, re.escape(path), *HEADLESS, "--kernel", path)
        self.refuses(RUNTIME_ERROR, re.escape(path), *HEADLESS, "-kernel", path)
        self.refuses(RUNTIME_ERROR, re.escape(self.directory.name), *HEADLESS, "--kernel", self.directory.name)

    def test_never_ending(self):
        self.refuses(RUNTIME_ERROR, "/dev/zero", *HEADLESS, "--kernel", "/dev/zero")

    def test_truncated(self):
        whole = images.elf()
        for length in (0, 3, 16, 51, 52, 60, 84, images.PAGE - 1, images.PAGE + 4, images.PAGE + 64, len(whole) - 1):
            self.refuses_kernel(f"truncated-{length}.elf", whole[:length])

    def test_64_bit(self):
        self.refuses_kernel("long.elf", images.elf64(), "64")

    def test_of_another_kind(self):
        self.refuses_kernel("arm.elf", images.elf(machine=40), "machine|ARM|x86|i386")
        self.refuses_kernel("big-endian.elf", images.elf(data=2))
        self.refuses_kernel("relocatable.o", images.elf(type=1))

    def test_without_multiboot_header(self):
        self.refuses_kernel("plain.elf", images.elf(header=b""), "multiboot")
        self.refuses_kernel("wrong-checksum.elf", images.elf(header=images.multiboot_header(checksum=1)), "multiboot")

    def test_with_fields_that_lie(self):
        everything = 0xFFFFFFFF
        for number, fields in enumerate((
                {"phoff": everything}, {"phoff": 0xFFFFFFF0, "phnum": 0xFFFF}, {"phnum": 0xFFFF}, {"phentsize": 0},
                {"phentsize": 1}, {"p_offset": everything}, {"p_filesz": everything}, {"p_memsz": everything},
                {"p_filesz": 0x80000000, "p_offset": 0x80000000}, {"p_paddr": 0xFFFFF000, "p_memsz": 0x2000},
                {"p_paddr": 0x80000000}, {"p_memsz": 4}, {"phnum": 0}, {"entry": 0xF0000000})):
            self.refuses_kernel(f"liar-{number}.elf", images.elf(**fields))

    def test_with_symbol_tables_that_lie(self):
        for fields in ({"shoff": 0xFFFFFFFF, "shnum": 10}, {"shoff": 1, "shnum": 0xFFFF, "shstrndx": 0xFFFE},
                       {"shoff": 0x1000, "shnum": 3, "shstrndx": 99}):
            with self.subTest(fields=fields):
                path = self.file("symbols.elf", images.elf(**fields))
                # The image can be loaded without its symbols: refusing it and running it are both right.
                self.assertIn(self.start(*HEADLESS, "--kernel", path).returncode, (RUNTIME_ERROR, LIMIT_REACHED))

    def test_flat_with_addresses_that_lie(self):
        load, everything = images.LOAD_ADDRESS, 0xFFFFFFFF
        for number, addresses in enumerate((
                (load,), (load, load + 4096, 0, 0, load), (0, load, 0, 0, load), (load, load, load - 1, 0, load),
                (load, load, load + 128, load - 1, load), (everything, everything, everything, everything, everything),
                (load, load, everything, everything, load), (load, load, load + 128, load + 128, 0xF0000000))):
            self.refuses_kernel(f"flat-{number}.bin", images.flat(addresses))

    def test_of_random_bytes(self):
        numbers = random.Random(20)
        for size in (1, 12, 52, 84, 512, 8192, 65536):
            self.refuses_kernel(f"random-{size}.bin", numbers.randbytes(size))

    def test_with_random_changes(self):
        numbers = random.Random(21)
        for _ in range(40):
            image = bytearray(images.elf())
            for _ in range(numbers.randint(1, 6)):
                image[numbers.choice((numbers.randrange(84), numbers.randrange(images.PAGE, len(image))))] = numbers.randrange(256)
            path = self.file("changed.elf", image)
            with self.subTest(image=bytes(image[:84]).hex()):
                result = self.start("run", "--display", "none", "--limit", "100000i", "--kernel", path)
                self.assertIn(result.returncode, (OK, RUNTIME_ERROR, GUEST_PANIC, LIMIT_REACHED), result.text[-2000:])

    def test_that_triple_faults_ends_with_a_report(self):
        path = self.file("triple.elf", images.elf(images.TRIPLE_FAULT))
        result = self.start(*HEADLESS, "--kernel", path)
        self.assertEqual(result.returncode, GUEST_PANIC, result.text[-2000:])
        self.assertRegex(result.text, r"(?i)triple fault")
        self.assertRegex(result.text, r"(?i)eip\b.*\b0*100048")  # where the UD2 stands

    def test_that_is_right_runs_to_the_limit(self):
        path = self.file("right.elf", images.elf())
        self.assertEqual(self.start(*HEADLESS, "--kernel", path).returncode, LIMIT_REACHED)


class Initrd(Case):
    def test_missing(self):
        path = os.path.join(self.directory.name, "absent.tar")
        self.refuses(RUNTIME_ERROR, re.escape(path), *HEADLESS, "--initrd", path)

    def test_larger_than_memory(self):
        path = self.file("large.tar", b"")
        os.truncate(path, 64 << 20)
        self.refuses(RUNTIME_ERROR, re.escape(path), *HEADLESS, "-m", "16M", "--initrd", path)

    def test_of_random_bytes_leaves_a_verdict(self):
        path = self.file("random.tar", random.Random(22).randbytes(70000))
        self.assertIn(self.start(*HEADLESS, "--initrd", path).returncode, (RUNTIME_ERROR, GUEST_PANIC, LIMIT_REACHED))


class Options(Case):
    def test_unknown(self):
        self.refuses(USAGE, "--no-such-option", *HEADLESS, "--no-such-option")
        self.refuses(USAGE, "-no-such-option", *HEADLESS, "-no-such-option", "7")
        self.refuses(USAGE, "stray", *HEADLESS, "--load", "absent.snapshot", "stray")
        self.refuses(USAGE, "stray", "compare", "stray")
        self.refuses(RUNTIME_ERROR, "recording 'stray'", *HEADLESS, "stray")

    def test_misspelt_are_guessed(self):
        for arguments, meant in ((("frok",), "fork"), (("run", "--limt", "5s"), "--limit"), (("-kernl", "x"), "-kernel"),
                                 (("fork", "--json", "--page=3"), "--pages"), (("--headles",), "--headless")):
            self.refuses(USAGE, f"did you mean {meant}\\?", *arguments)
        self.refuses(USAGE, "no option of `run` but of fork, step, record; see forkscope run --help", "run", "--pages", "3")
        self.refuses(USAGE, "no option of `trace stat` but of trace dump", "trace", "stat", "--lines", "3", "x")
        self.refuses(USAGE, "one of info, dump, query, stat", "trace", "inof", "x")

    def test_given_twice(self):
        self.refuses(USAGE, "--limit is given more than once", "run", "--limit", "1s", "--limit", "2s")

    def test_without_their_value(self):
        for option in ("--kernel", "--initrd", "-m", "--limit", "--cpu"):
            self.refuses(USAGE, f"{option} needs a value", "run", option)
        self.refuses(USAGE, "-o", "record")
        self.refuses(USAGE, "(?i)file", "trace", "info")

    def test_too_little_or_too_much_memory(self):
        self.refuses(USAGE, r"1 ?M", *HEADLESS, "-m", "1M")
        self.refuses(USAGE, r"1 ?M", "fork", "-m", "1M")
        self.refuses(USAGE, "8192 MB", *HEADLESS, "-m", "8G")

    def test_sizes_that_are_none(self):
        for size in ("abc", "", "M", "64X", "-5", "0", "1e", "64MM", "0x", "99999999999999999999", "18446744073709551615G"):
            self.refuses(USAGE, re.escape(size) or "-m '': give a value", *HEADLESS, "-m", size)

    def test_limits_that_are_none(self):
        for limit in ("abc", "10x", "", "-1i", "1e999i", "i", "s", "nan", "infi"):
            self.refuses(USAGE, re.escape(limit) or "--limit", "run", "--display", "none", "--limit", limit)

    def test_choices_that_do_not_exist(self):
        for option, value in (("--os", "plan9"), ("--cpu", "i999"), ("--engine", "steam"), ("--tlb", "purple"),
                              ("--tlb", "random:"), ("--tlb", "random:x"), ("--tlb", "tiny:2"), ("--info", "weather"), ("--info", "code:"), ("--serial", "carrier:pigeon")):
            self.refuses(USAGE, re.escape(value), *HEADLESS, option, value)
        for display in ("braille", "vnc"):
            self.refuses(USAGE, "choose sdl, tui, none or auto", "run", "--limit", "1000i", "--display", display)

    def test_pages_that_are_none(self):
        for pages in ("abc", "-1", "1.5", "99999999999999999999", ""):
            self.refuses(USAGE, re.escape(pages) or "--pages", "fork", "--pages", pages)

    def test_expressions_that_do_not_parse(self):
        for expression in ("(((", "eip ==", "", "no_such_thing == 1", "(" * 100000, "stop:6", "stop:", "--stop:0"):
            self.refuses(USAGE, re.escape(expression[:20]) or "--until", *HEADLESS, "--until", expression)

    def test_help_is_no_error(self):
        for arguments, usage in ((("--help",), "COMMAND"), (("run", "--help"), "run"), (("fork", "-h"), "fork"),
                                 (("trace", "--help"), "trace info FILE"), (("trace", "dump", "--help"), "trace dump FILE"),
                                 (("record", "--help"), "record -o FILE")):
            with self.subTest(arguments=arguments):
                result = self.start(*arguments)
                self.assertEqual(result.returncode, OK)
                self.assertIn(f"Usage: forkscope {usage} [OPTION".encode(), result.stdout)

    def test_workloads_that_would_be_ignored(self):
        path = os.path.join(self.directory.name, "a.trace")
        self.refuses(USAGE, "--append", "record", "-o", path, "--append", "run=ls", "--pages", "3")
        self.refuses(USAGE, "--workload", "fork", "--workload", "ls", "--pages", "3")

    def test_pages_of_a_recording_with_a_command_line_are_honoured(self):
        path = os.path.join(self.directory.name, "a.trace")
        self.assertEqual(self.start("record", "-o", path, "--append", "quiet", "--pages", "3").returncode, OK)
        info = self.start("trace", "info", path)
        self.assertIn(b"quiet run=forkdemo --pages 3 --parent 0", info.stdout)

    def test_a_step_without_display_says_where_it_stopped(self):
        result = self.start("step", "--serial", "none", "--until", "stop:2b")
        self.assertEqual(result.returncode, OK, result.text)
        self.assertRegex(result.text, r"stopped at dup_proc in fork_process\+0x\w+ \(fork\.c:\d+\) after \d+ instructions: --until stop:2b is met")
        result = self.start("step", "--serial", "none", "--limit", "1000i")
        self.assertRegex(result.text, "after 1000 instructions: the limit is reached")


class Output(Case):
    def test_a_full_disk(self):
        self.refuses(RUNTIME_ERROR, "/dev/full(?s:.*)[Nn]o space|[Nn]o space(?s:.*)/dev/full", "record", "-o", "/dev/full",
                     "--limit", "3000000i")
        self.refuses(RUNTIME_ERROR, "/dev/full", "fork", "--screenshot", "/dev/full")
        with open("/dev/full", "wb") as full:
            self.refuses(RUNTIME_ERROR, "(?i)standard output|stdout", "fork", "--json", stdout=full)

    def test_a_place_that_does_not_exist(self):
        path = os.path.join(self.directory.name, "no", "such", "place.trace")
        self.refuses(RUNTIME_ERROR, re.escape(path), "record", "-o", path, "--limit", "1000i")
        self.refuses(RUNTIME_ERROR, re.escape(path), *HEADLESS, "--serial", f"file:{path}")
        self.refuses(RUNTIME_ERROR, re.escape(self.directory.name), "record", "-o", self.directory.name, "--limit", "1000i")

    def test_that_never_starts_leaves_an_older_trace_alone(self):
        path = self.file("older.trace", b"good")
        for arguments in (("--kernel", "absent.elf"), ("--load", "absent.snapshot"), ("--type", "\u20ac")):
            self.assertNotEqual(self.start("record", "-o", path, "--limit", "1000i", *arguments).returncode, LIMIT_REACHED)
            with open(path, "rb") as file:
                self.assertEqual(file.read(), b"good")
        self.assertEqual(os.listdir(self.directory.name), ["older.trace"])

    def interrupted(self, number):
        """A long recording that a signal ends; returns its exit status and what `trace info` says of it."""
        path = os.path.join(self.directory.name, "cut.trace")
        running = subprocess.Popen([PROGRAM, "record", "-o", path, "--append", "run=/bin/forkstorm 100000"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + SECONDS
        while (not os.path.exists(path) or os.path.getsize(path) < 300000) and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(number)
        status = running.wait(SECONDS)
        info = self.start("trace", "info", path)
        info.text = info.stdout.decode()
        return status, info

    def test_ended_by_control_c_are_whole(self):
        status, info = self.interrupted(signal.SIGINT)
        self.assertEqual(status, LIMIT_REACHED)
        self.assertIn("in order", info.text)
        self.assertNotIn("not in order", info.text)

    def test_of_a_killed_program_open_up_to_their_last_chunk(self):
        status, info = self.interrupted(signal.SIGKILL)
        self.assertEqual(status, -signal.SIGKILL)
        self.assertEqual(info.returncode, OK)
        self.assertIn("the recording was cut off", info.text)

    def test_that_are_one_file_are_refused_before_the_start(self):
        folder = self.directory.name
        kernel, saved = self.file("kernel.elf", images.elf()), os.path.join(folder, "saved")
        self.start("run", "--display", "none", "--serial", "none", "--limit", "1000i", "--save", saved)
        os.symlink("absent", os.path.join(folder, "link"))
        os.symlink("kernel.elf", os.path.join(folder, "kernel-link"))
        os.link(kernel, os.path.join(folder, "kernel-twin"))
        os.mkdir(os.path.join(folder, "deep"))
        before = {name: open(os.path.join(folder, name), "rb").read() for name in ("kernel.elf", "saved")}
        run = ("run", "--display", "none", "--limit", "1000i")
        for arguments in (("--trace", "new", "--save", "new"), ("--trace", "new", "--save", "./new"),
                          ("--trace", "new", "--save", f"{folder}/deep/../new"), ("--save", "absent", "--screenshot", "link"),
                          ("--trace", "new", "--serial", "file:new"), ("--debugcon", "file:new", "--serial", "file:new"),
                          ("--kernel", "kernel.elf", "--save", "kernel-link"), ("--kernel", "kernel.elf", "--trace", "kernel-twin"),
                          ("--kernel", "kernel-link", "--serial", "file:kernel.elf"), ("--load", "saved", "--save", "saved"),
                          ("--initrd", "kernel.elf", "--screenshot", "kernel.elf")):
            self.refuses(USAGE, "are one file", *run, *arguments)
        with open(os.path.join(folder, "out"), "wb") as out:
            self.refuses(USAGE, "standard output", *run, "--trace", "out", stdout=out)
            # With other words in between it would be no trace.
            for words in (("run", "--display", "none"), (*run[:3], "--serial", "none", "--debugcon", "stdio"), ("fork",),
                          (*run[:3], "--serial", "none", "--hash"), (*run[:3], "--serial", "none", "--info", "tlb"),
                          ("step", "-c", "where")):
                for option in ("--trace", "--save"):
                    self.refuses(USAGE, "are one file", *words, "--limit", "1000i", option, "/dev/stdout", stdout=out)
        self.assertEqual(sorted(os.listdir(folder)), sorted(["deep", "kernel-link", "kernel-twin", "kernel.elf", "link", "out", "saved"]))
        for name, content in before.items():
            with open(os.path.join(folder, name), "rb") as file:
                self.assertEqual(file.read(), content)
        # Devices may be named twice, and standard output by its own name.
        self.assertEqual(self.start(*run, "--trace", "/dev/null", "--save", "/dev/null").returncode, LIMIT_REACHED)
        with open(os.path.join(folder, "out"), "wb") as out:
            self.assertEqual(self.start(*run, "--serial", "none", "--trace", "/dev/stdout", stdout=out).returncode, LIMIT_REACHED)

    def test_leave_each_file_that_is_read_alone(self):
        folder = self.directory.name
        profile = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../guest/profiles/lunaix.toml")
        with open(profile, "rb") as file:
            self.file("profile.toml", file.read())
        self.file("kernel.elf", images.elf_with_symbol())
        self.file("script", b"where\n")
        os.link(os.path.join(folder, "kernel.elf"), os.path.join(folder, "twin"))
        os.symlink("profile.toml", os.path.join(folder, "link"))
        before = {name: open(os.path.join(folder, name), "rb").read() for name in os.listdir(folder)}
        for command, name in ((("run", "--display", "none", "--symbols", "kernel.elf"), "twin"),
                              (("fork", "--symbols", "kernel.elf@0x100000"), "kernel.elf"),
                              (("run", "--display", "none", "--profile", "profile.toml"), "link"),
                              (("fork", "--profile", "./profile.toml"), "profile.toml"),
                              (("step", "--script", "script"), "script")):
            for option in ("--save", "--trace"):
                self.refuses(USAGE, "are one file", *command, "--limit", "1000i", option, name)
        self.refuses(USAGE, "are one file", "record", "--symbols", "kernel.elf", "-o", "twin")
        for name, content in before.items():
            with open(os.path.join(folder, name), "rb") as file:
                self.assertEqual(file.read(), content)

    def test_that_are_where_the_standard_descriptors_lead_are_refused(self):
        script = 'exec "$0" run --display none --serial none --limit 1000i --trace {} {}'
        for path, redirections in (("a", "2>a"), ("/dev/stderr", "2>a"), ("/proc/self/fd/2", "2>a"), ("/dev/stdout", ">a 2>&1"),
                                   ("./a", ">>a"), ("a", "<a")):
            self.file("a", b"")
            result = subprocess.run(["bash", "-c", script.format(path, redirections), PROGRAM], stdin=subprocess.DEVNULL,
                                    capture_output=True, timeout=SECONDS, check=False, cwd=self.directory.name)
            with self.subTest(path=path, redirections=redirections):
                self.assertEqual(result.returncode, USAGE)
                with open(os.path.join(self.directory.name, "a"), "rb") as file:
                    self.assertNotIn(b"FSCP", file.read())

    def test_with_closed_descriptors_are_whole(self):
        """The first file that is opened must not become standard output, which the serial port then writes into."""
        straight = os.path.join(self.directory.name, "straight.trace")
        self.start("record", "-o", straight, "--limit", "3000000i", "--serial", "stdio")
        with open(straight, "rb") as file:
            expected = file.read()
        for closed in ("<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"):
            path = os.path.join(self.directory.name, "closed.trace")
            script = f'exec "$0" record -o "$1" --limit 3000000i --serial stdio {closed}'
            result = subprocess.run(["bash", "-c", script, PROGRAM, path], stdin=subprocess.DEVNULL, capture_output=True,
                                    timeout=SECONDS, check=False, cwd=self.directory.name)
            with self.subTest(closed=closed):
                self.assertEqual(result.returncode, OK, result.stderr[-2000:])
                with open(path, "rb") as file:
                    self.assertEqual(file.read(), expected)


class TraceFile(Case):
    def record(self):
        path = os.path.join(self.directory.name, "good.trace")
        result = self.start("record", "-o", path, "--limit", "3000000i")
        self.assertIn(result.returncode, (OK, LIMIT_REACHED), result.text[-2000:])
        with open(path, "rb") as file:
            return file.read()

    def test_missing_or_of_random_bytes(self):
        path = os.path.join(self.directory.name, "absent.trace")
        noise = self.file("noise.trace", random.Random(23).randbytes(5000))
        empty = self.file("empty.trace", b"")
        for verb, *words in (("info",), ("dump",), ("stat",), ("query", "fault")):
            for name in (path, noise, empty, self.directory.name):
                self.refuses(RUNTIME_ERROR, re.escape(name), "trace", verb, name, *words)

    def test_query_says_what_is_wrong_with_a_condition(self):
        self.record()
        path = os.path.join(self.directory.name, "good.trace")
        self.refuses(USAGE, r"EXPR", "trace", "query", path)
        self.refuses(USAGE, r"fault && oops\n *\^\n", "trace", "query", path, "fault && oops")
        self.refuses(USAGE, r"'eax' cannot be decided: a trace holds no register but .*\n  fault && eax == 2\n {11}\^\n",
                     "trace", "query", path, "fault && eax == 2")
        self.refuses(USAGE, "fills and evictions of the TLB, which --all-events records", "trace", "query", path, "fills")

    def test_truncated_opens_up_to_its_last_chunk_or_is_refused(self):
        whole, numbers = self.record(), random.Random(24)
        for length in [4, 8, 16, 64, len(whole) - 1] + [numbers.randrange(len(whole)) for _ in range(10)]:
            path = self.file("short.trace", whole[:length])
            with self.subTest(length=length):
                self.assertIn(self.start("trace", "stat", path).returncode, (OK, RUNTIME_ERROR))

    def test_damaged_is_noticed_and_harmless(self):
        whole, numbers = self.record(), random.Random(25)
        for _ in range(20):
            position = numbers.randrange(len(whole))
            damaged = bytearray(whole)
            damaged[position] ^= 1 << numbers.randrange(8)
            path = self.file("damaged.trace", damaged)
            with self.subTest(position=position):
                result = self.start("trace", "dump", path, stdout=subprocess.DEVNULL)
                self.assertIn(result.returncode, (OK, RUNTIME_ERROR))


class Versions(Case):
    """A file of each older version and of one to come, all else right, is refused by its version or opens."""

    # As docs/chunk-files.md has it for this version of the program.
    READS = {"trace": 2, "snapshot": 2, "recording": 1}

    def test_of_files_are_those_of_the_table(self):
        version = self.start("--version").stdout.decode().split()[-1]
        page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "chunk-files.md")
        with open(page, encoding="utf-8") as file:
            self.assertRegex(file.read(), rf"\n\| {re.escape(version)} \| {self.READS['trace']} \| 1 \| {self.READS['snapshot']} \|")

    def test_other_than_ours_are_refused_by_name(self):
        trace, snapshot, recording = (os.path.join(self.directory.name, name) for name in ("trace", "snapshot", "recording"))
        self.start("record", "-o", recording, "--limit", "100000i")
        self.start("run", "--display", "none", "--serial", "none", "--limit", "100000i", "--save", snapshot, "--trace", trace)
        for kind, path, command in (("trace", trace, ("trace", "info")), ("snapshot", snapshot, (*HEADLESS, "--load")),
                                    ("recording", recording, ("replay",)), ("recording", recording, ("trace", "info"))):
            self.assertIn(self.start(*command, path).returncode, (OK, LIMIT_REACHED))
            with open(path, "rb") as file:
                whole = file.read()
            for version in (0, 1, 2, 3, 4, 0x7FFFFFFF, 0xFFFFFFFF):
                if version == self.READS[kind]:
                    continue
                other = self.file(f"other.{kind}", whole[:8] + version.to_bytes(4, "little") + whole[12:])
                self.refuses(RUNTIME_ERROR, f"is a {kind} of version {version}; this program reads version {self.READS[kind]}",
                             *command, other)


class Snapshot(Case):
    def save(self, *arguments):
        path = os.path.join(self.directory.name, "saved.snapshot")
        result = self.start("run", "--display", "none", "--serial", "none", "--limit", "300000i", "--save", path, *arguments)
        self.assertEqual(result.returncode, LIMIT_REACHED, result.text[-2000:])
        return path

    def test_of_another_machine_is_refused_by_the_option(self):
        default = self.save()
        for option, value, ours in (("-m", "32M", "64M"), ("--cpu", "i486", "p6"), ("--tlb", "random:9", "model"),
                                    ("--clock", "cache", "flat"), ("--os", "minix", "lunaix"), ("--append", "quiet", "")):
            self.refuses(RUNTIME_ERROR, rf"the saved machine has {option} '?{ours}'?, this one has {option} '?{value}",
                         *HEADLESS, "--load", default, option, value)
        kernel = self.file("kernel.elf", images.elf())
        self.refuses(RUNTIME_ERROR, "the saved machine has --os lunaix, the built-in initrd, this one has a --kernel .* no --initrd",
                     *HEADLESS, "--load", default, "--kernel", kernel)
        initrd = self.file("initrd.tar", bytes(10240))
        self.refuses(RUNTIME_ERROR, "the built-in initrd, this one has an --initrd", *HEADLESS, "--load", default, "--initrd", initrd)
        narrow = ("--cpu", "i386", "--clock", "model", "--kernel", kernel, "--bus")
        self.refuses(RUNTIME_ERROR, "--bus 16, this one has --bus 32", *HEADLESS, "--load", self.save(*narrow, "16"), *narrow, "32")

    def test_of_this_machine_goes_on(self):
        path = self.save("--append", "quiet", "--type", "ls\\n")
        straight = self.start("run", "--display", "none", "--serial", "none", "--limit", "20000000i", "--append", "quiet",
                              "--type", "ls\\n", "--hash")
        loaded = self.start("run", "--display", "none", "--serial", "none", "--limit", "20000000i", "--append", "quiet",
                            "--load", path, "--engine", "interp", "--hash")
        self.assertIn(b"hash 20000000 ", straight.stdout)
        self.assertEqual(loaded.stdout, straight.stdout)

    def test_inside_a_fork_comes_back_inside_it(self):
        straight = self.start("fork", "--pages", "3")
        path = os.path.join(self.directory.name, "inside.snapshot")
        saved = self.start("step", "--pages", "3", "--until", "stop:2b", "--display", "none", "--serial", "none", "--save", path)
        self.assertEqual(saved.returncode, OK, saved.text)
        loaded = self.start("fork", "--load", path)
        self.assertEqual(loaded.stdout, straight.stdout)
        self.assertEqual(loaded.returncode, OK)

    def test_without_its_forks_says_so(self):
        path = os.path.join(self.directory.name, "untraced.snapshot")
        trace = os.path.join(self.directory.name, "a.trace")
        # record keeps no forks.
        saved = self.start("record", "-o", trace, "--pages", "3", "--limit", "300000i", "--save", path)
        self.assertEqual(saved.returncode, LIMIT_REACHED, saved.text)
        loaded = self.start("fork", "--load", path)
        self.assertIn("saved without the forks before", loaded.text)
        self.assertIn(b"Fork ", loaded.stdout)

    def test_missing_damaged_or_of_another_kind(self):
        with open(self.save(), "rb") as file:
            whole = file.read()
        trace = os.path.join(self.directory.name, "a.trace")
        self.start("record", "-o", trace, "--limit", "100000i")
        for path, subject in ((os.path.join(self.directory.name, "absent"), "open"), (self.directory.name, "directory"),
                              (self.file("empty", b""), "too short"), (self.file("noise", random.Random(26).randbytes(5000)), "not a"),
                              (self.file("cut", whole[:len(whole) // 2]), "cut short"), (trace, "is a recording, not a snapshot"),
                              (self.file("old", b"FSCPSNAP" + (1).to_bytes(4, "little") + bytes(500)), "version 1.*version 2"),
                              (self.file("turned", whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:]), "damaged")):
            self.refuses(RUNTIME_ERROR, re.escape(path) + f"(?s:.*){subject}|{subject}(?s:.*)" + re.escape(path),
                         *HEADLESS, "--load", path)

    def test_where_none_can_be_written_is_refused_before_the_run(self):
        path = os.path.join(self.directory.name, "no", "such", "place")
        endless = ("run", "--display", "none", "--serial", "none")
        self.refuses(RUNTIME_ERROR, re.escape(path), *endless, "--save", path)
        self.refuses(RUNTIME_ERROR, re.escape(path), *endless, "--screenshot", path)
        self.refuses(RUNTIME_ERROR, "directory", *endless, "--save", self.directory.name)

    def test_that_cannot_be_written_leaves_the_older_one(self):
        path = self.save()
        with open(path, "rb") as file:
            before = file.read()
        limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "-", PROGRAM, "run", "--display", "none", "--serial", "none",
                   "--limit", "1000000i", "--save", path]
        result = subprocess.run(limited, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
        self.assertEqual(result.returncode, RUNTIME_ERROR, result.stderr)
        self.assertIn(b"File too large", result.stderr)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), before)
        self.assertEqual(os.listdir(self.directory.name), ["saved.snapshot"])


if __name__ == "__main__":
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        print("skipped: there is no forkscope program to test")
        sys.exit(77)
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
