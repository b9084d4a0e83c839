#!/usr/bin/env python3
"""gdb's remote protocol over the socket: clients that come, go and misbehave, and Debian's gdb with scripts.

Usage: remote.py FORKSCOPE [unittest arguments]; KERNEL in the environment: the built-in guest's kernel with its symbols
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = ""
KERNEL = os.environ.get("KERNEL", "")
SECONDS = 60
DEMO = ("--append", "run=forkdemo --pages 4")


class Guest:
    """A machine that waits for gdb on a port of its own choice."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        match = re.search(r"target remote (127\.0\.0\.1):(\d+)", line)
        if match is None:
            raise AssertionError(line + self.process.stderr.read())
        self.place = (match[1], int(match[2]))

    def close(self):
        self.process.kill()
        self.process.communicate()

    def ends(self):
        """Waits until the program exits, and returns its exit code."""
        self.process.communicate(timeout=SECONDS)
        return self.process.returncode


def debug(*arguments):
    return Guest("debug", "--headless", "--serial", "none", "--gdb", "127.0.0.1:0", *arguments)


def framed(payload):
    return b"$" + payload + b"#" + b"%02x" % (sum(payload) & 255)


class Client:
    def __init__(self, guest):
        self.wire = socket.create_connection(guest.place, timeout=SECONDS)
        self.rest = b""

    def close(self):
        self.wire.close()

    def packet(self):
        while True:
            match = re.search(rb"\$([^#]*)#..", self.rest)
            if match:
                self.rest = self.rest[match.end():]
                return match[1].decode("latin-1")
            data = self.wire.recv(65536)
            if not data:
                raise EOFError
            self.rest += data

    def ask(self, payload):
        self.wire.sendall(framed(payload))
        return self.packet()


class Case(unittest.TestCase):
    def guest(self, *arguments, start=debug):
        guest = start(*arguments)
        self.addCleanup(guest.process.stderr.close)
        self.addCleanup(guest.close)
        return guest

    def client(self, guest):
        client = Client(guest)
        self.addCleanup(client.close)
        return client


class Server(Case):
    def test_one_client_comes_after_the_other(self):
        guest = self.guest()
        for _ in range(20):
            client = self.client(guest)
            self.assertEqual(client.ask(b"qAttached"), "1")
            self.assertRegex(client.ask(b"?"), "^T05thread:ffff;")
            client.close()

    def test_a_second_client_is_turned_away(self):
        guest = self.guest()
        first = self.client(guest)
        self.assertEqual(first.ask(b"qAttached"), "1")
        with self.assertRaises((EOFError, ConnectionError)):
            self.client(guest).ask(b"qAttached")
        self.assertEqual(first.ask(b"qAttached"), "1")

    def test_a_port_in_use_is_named_and_what_to_do(self):
        guest = self.guest()
        result = subprocess.run([PROGRAM, "debug", "--headless", "--gdb", "%s:%d" % guest.place], capture_output=True,
                                text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(result.stderr, r"cannot listen for gdb on 127\.0\.0\.1:\d+: .*in use; choose another port")

    def test_a_place_that_is_none_is_a_usage_error(self):
        for place in ("nowhere", "127.0.0.1", "127.0.0.1:65536", "300.1.1.1:1", ":", "tcp:"):
            result = subprocess.run([PROGRAM, "run", "--headless", "--gdb", place], capture_output=True, text=True,
                                    timeout=SECONDS, stdin=subprocess.DEVNULL)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn("HOST:PORT", result.stderr)

    def test_killing_ends_the_run_and_detaching_lets_it_go_on(self):
        guest = self.guest(*DEMO)
        self.client(guest).wire.sendall(framed(b"k"))
        self.assertEqual(guest.ends(), 0)
        guest = self.guest(*DEMO)
        self.assertEqual(self.client(guest).ask(b"D"), "OK")
        self.assertEqual(guest.ends(), 0, "the guest powered off")

    def test_a_running_guest_stops_for_a_client_and_goes_on_without_it(self):
        guest = self.guest("run", "--headless", "--serial", "none", "--gdb", "127.0.0.1:0", start=Guest)
        client = self.client(guest)
        stop = client.ask(b"?")
        self.assertEqual(client.ask(b"?"), stop, "it stands")
        client.wire.sendall(framed(b"vCont;c"))
        time.sleep(0.3)
        client.wire.sendall(b"\x03")
        self.assertRegex(client.packet(), "^T02thread:")
        client.close()
        self.assertRegex(self.client(guest).ask(b"?"), "^T05thread:", "the next one finds it held")

    def test_clients_may_vanish_at_any_byte(self):
        guest = self.guest()
        session = framed(b"qSupported:swbreak+") + framed(b"Z0,c0100000,1") + framed(b"g") + framed(b"vCont;c") + b"\x03"
        for length in range(1, len(session), 3):
            client = self.client(guest)
            client.wire.sendall(session[:length])
            client.close()
        self.assertEqual(self.client(guest).ask(b"qAttached"), "1")

    def test_a_client_that_has_enough_ends_a_search(self):
        guest = self.guest(*DEMO)
        client = self.client(guest)
        client.ask(b"Z1,%x,1" % int(re.search(r"([0-9a-f]+) T fork_process", subprocess.run(
            ["nm", KERNEL], capture_output=True, text=True).stdout)[1], 16))
        client.ask(b"vCont;c")
        question = b"qRcmd," + b"why 0xbfffe000 byte".hex().encode()

        def answer(data):
            client.wire.sendall(data)
            text = ""
            while True:
                packet = client.packet()
                if packet == "OK":
                    return text
                text += bytes.fromhex(packet[1:]).decode()

        self.assertIn("written by", answer(framed(question)))
        self.assertIn("interrupted", answer(framed(question) + b"\x03"))
        self.assertIn("written by", answer(framed(question)), "and it can be asked again")

    def test_a_flood_takes_bounded_memory_and_keeps_nobody_waiting(self):
        guest = self.guest()
        client = self.client(guest)
        client.wire.settimeout(0.5)
        client.ask(b"g")
        flood = b"-" * 65536 + framed(b"m0,2000") * 1000
        sent = 0
        try:
            while sent < 64 << 20:
                sent += client.wire.send(flood)
        except socket.timeout:
            pass  # nobody reads the answers: no more questions are taken
        with open("/proc/%d/status" % guest.process.pid, encoding="ascii") as status:
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])
        self.assertLess(peak, 300 << 10, "%d bytes of questions" % sent)
        client.close()
        self.assertEqual(self.client(guest).ask(b"qAttached"), "1")


class Gdb(Case):
    def setUp(self):
        if shutil.which("gdb") is None:
            print("gdb is not installed: skipped")
            sys.exit(77)

    def run_gdb(self, guest, script, *arguments):
        """What gdb prints for each line of the script."""
        head = ["set pagination off", "set confirm off", "set width 0", "set style enabled off",
                "target remote %s:%d" % guest.place]
        lines = head + [line for command in script for line in ("echo <<<\\n", command)] + ["echo <<<\\n"]
        with tempfile.NamedTemporaryFile("w", suffix=".gdb") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            result = subprocess.run(["gdb", "-nx", "-q", "-batch", "-x", file.name, *arguments], text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=2 * SECONDS,
                                    stdin=subprocess.DEVNULL)
        answers = result.stdout.split("<<<\n")[1:]
        self.assertEqual(len(answers), len(script) + 1, result.stdout)
        return [answer.strip() for answer in answers]

    def expect(self, guest, steps, *arguments):
        """steps: a command, and what its answer must match."""
        answers = self.run_gdb(guest, [command for command, _ in steps], *arguments)
        for (command, pattern), answer in zip(steps, answers):
            self.assertRegex(answer, pattern, command)
        return answers

    def test_starts_in_real_mode_at_the_reset_vector(self):
        self.expect(self.guest(), (
            ("print/x $pc", r"= 0xfffffff0"),
            ("x/i $pc", r"=> 0xfffffff0:\s+ljmp\s+\$0xf000,\$0x73a"),
            ("print/x $ip_offset", r"= 0xfff0"),
            ("print/x $cs_base", r"= 0xffff0000"),
            ("print $cr0.PE", r"= false"),
            ("print $cr0", r"PE = false.*ET = true.*PG = false"),
            ("set architecture i386", r"set to .i386"),
            ("x/i $pc", r"ljmp\s+\$0x[0-9a-f]+,\$0xf000073a"),
            ("set architecture i8086", r"set to .i8086"),
            ("x/i $pc", r"ljmp\s+\$0xf000,\$0x73a"),
            ("stepi", r"0x000f073a"),
            ("info registers eflags cr4 gdtr_limit xmm0", r"eflags +0x2 .*\ncr4 .*\ngdtr_limit +0xffff.*\nxmm0 "),
            ("info float", r"R7: "),
        ))

    def test_stops_in_fork_and_steps_its_stops(self):
        self.expect(self.guest(*DEMO), (
            ("hbreak fork_process", r"Hardware assisted breakpoint 1"),
            ("continue", r"hit Breakpoint 1"),
            ("info threads", r"\* \d+ +Thread 1 \(pid 1 bin/init, thread 1"),
            ("continue", r"hit Breakpoint 1"),
            ("info threads", r"Thread 1 \(pid 1 bin/init[^\n]* trace_write \([^\n]*\n\* \d+ +Thread 2 \(pid 2 "),
            ("backtrace 3", r"#0 +fork_process .*\n#1 .* sys_fork "),
            ("print $cr0.PG", r"= true"),
            ("monitor pt fork_process", r"large page"),
            ("monitor stop 2", r"armed"),
            ("continue", r"Forkscope: stop 2 is met"),
            ("monitor when", r"instruction \d+, cycle \d+.*\nat .*\npid 2 "),
            ("monitor step-stop", r"armed"),
            ("continue", r"Forkscope: fork, stop 3"),
            ("monitor fork", r"and has not returned yet"),
            ("delete", r"^$"),
            ("tbreak switch_thread", r"breakpoint 2"),
            ("continue", r"hit Temporary breakpoint 2"),
        ), KERNEL)

    def test_finds_who_writes_an_entry(self):
        begin = (("hbreak fork_process", r"breakpoint 1"), ("continue", r"hit Breakpoint 1"),
                 ("continue", r"hit Breakpoint 1"), ("delete", r"^$"))
        stack_page = 0xBFFFE000
        answers = self.expect(self.guest(*DEMO), begin + (
            ("monitor pt 0x%x" % stack_page, r"table entry +[0-9a-f]+ at [0-9a-f]+ +PWU"),), KERNEL)
        entry = int(re.search("table entry +[0-9a-f]+ at ([0-9a-f]+)", answers[-2])[1], 16)
        self.expect(self.guest(*DEMO), begin + (
            ("maint packet Qqemu.PhyMemMode:1", r"OK"),
            ("watch *(unsigned*)0x%x" % entry, r"Hardware watchpoint 2"),
            ("continue", r"hit Hardware watchpoint 2"),
            ("maint packet Qqemu.PhyMemMode:0", r"OK"),
            ("maintenance flush register-cache", r"^"), # gdb keeps what it could not read
            ("backtrace", r"fork_process"),
            ("monitor pt 0x%x" % stack_page, r"table entry +[0-9a-f]+ at [0-9a-f]+ +P-U"),
            ("print $dr7", r"L0 = 0x0|L0 = false"),
        ), KERNEL)

    def test_reads_physical_memory_and_changes_registers(self):
        answers = self.expect(self.guest(*DEMO), (
            ("hbreak fork_process", r"breakpoint 1"),
            ("continue", r"hit Breakpoint 1"),
            ("x/4xb fork_process", r":\t0x"),
            ("maint packet Qqemu.PhyMemMode:1", r"received: .OK"),
            ("x/4xb (char*)fork_process - 0xc0000000", r":\t0x"),
            ("maint packet Qqemu.PhyMemMode:0", r"received: .OK"),
            ("set $eax = 0x1234", r"^$"),
            ("maintenance flush register-cache", r"^"),
            ("print/x $eax", r"= 0x1234"),
            ("set {int}$sp = 77", r"^$"),
            ("print *(int*)$sp", r"= 77"),
            ("stepi", r"."),
            ("kill", r"killed"),
        ), KERNEL)
        self.assertEqual(answers[2].split("\t")[1:], answers[4].split("\t")[1:], "the same code, linear and physical")

    def test_goes_back_in_a_recording_that_was_opened_before_gdb_came(self):
        with tempfile.TemporaryDirectory() as folder:
            recording = os.path.join(folder, "fork.rec")
            subprocess.run([PROGRAM, "record", "-o", recording], check=True, stdin=subprocess.DEVNULL, capture_output=True,
                           timeout=SECONDS)
            guest = self.guest("run", recording, "--from", "700000", "--headless", "--serial", "none", "-S", "--gdb",
                               "127.0.0.1:0", start=Guest)
            self.expect(guest, (
                ("monitor when", r"instruction 700000,"),
                ("stepi", r"."),
                ("reverse-stepi", r"."),
                ("reverse-stepi", r"."),
                ("monitor when", r"instruction 699999,"),
                ("kill", r"killed"),
            ))
            self.assertEqual(guest.ends(), 0)

    def test_goes_back_to_the_writer_of_an_entry(self):
        stack_page = 0xBFFFE000
        begin = (("hbreak fork_process", r"breakpoint 1"), ("continue", r"hit Breakpoint 1"),
                 ("continue", r"hit Breakpoint 1"), ("monitor pt 0x%x" % stack_page, r"table entry +[0-9a-f]+ at [0-9a-f]+ +PWU"),
                 ("monitor stop 5", r"armed"), ("continue", r"stop 5 is met"))
        answers = self.expect(self.guest(*DEMO), begin, KERNEL)
        entry = int(re.search("table entry +[0-9a-f]+ at ([0-9a-f]+)", answers[3])[1], 16)
        self.expect(self.guest(*DEMO), begin + (
            ("monitor pt 0x%x" % stack_page, r"table entry +[0-9a-f]+ at [0-9a-f]+ +P-U"),
            ("maint packet Qqemu.PhyMemMode:1", r"OK"),
            ("watch *(unsigned*)0x%x" % entry, r"Hardware watchpoint 2"),
            ("reverse-continue", r"hit Hardware watchpoint 2"),
            ("maint packet Qqemu.PhyMemMode:0", r"OK"),
            ("maintenance flush register-cache", r"^"),
            ("backtrace", r"fork_process"),
            ("monitor pt 0x%x" % stack_page, r"table entry +[0-9a-f]+ at [0-9a-f]+ +PWU"),
            ("x/i $pc", r"mov +%e.x,\(%e.x\)|mov .*,"),
            ("delete 2", r"^$"),
            ("stepi", r"."),
            ("monitor pt 0x%x" % stack_page, r"table entry +[0-9a-f]+ at [0-9a-f]+ +P-U"),
            ("reverse-continue", r"hit Breakpoint 1, fork_process"),
            ("reverse-stepi", r"."),
            ("stepi", r"fork_process"),
            ("reverse-continue", r"hit Breakpoint 1, fork_process"),
            ("info threads", r"\* \d+ +Thread 1 \(pid 1"),
            ("reverse-continue", r"No more reverse-execution history"),
            ("print/x $pc", r"= 0xfffffff0"),
            ("reverse-stepi", r"No more reverse-execution history"),
            ("monitor when", r"instruction 0, .*\n.*\n.*\nthe past goes from instruction 0 to \d+; this is in it"),
            ("monitor branch on", r"starts a branch"),
            ("set $eax = 5", r"^$"),
            ("monitor branch", r"\* 2 +from instruction 0 to 0, off branch 1"),
            ("continue", r"hit Breakpoint 1, fork_process"),
        ), KERNEL)

    def test_refuses_to_change_the_past(self):
        guest = self.guest(*DEMO)
        client = self.client(guest)
        for _ in range(3):
            client.ask(b"s")
        self.assertEqual(client.ask(b"P0=01000000"), "OK")
        self.assertRegex(client.ask(b"bs"), "^T05thread")
        self.assertRegex(client.ask(b"P0=02000000"), "^E.this is in the past")
        self.assertEqual(client.ask(b"M1000,1:00"), "E14")
        self.assertRegex(client.ask(b"bc"), "^T05replaylog:begin:;thread")

    def test_sees_the_guest_power_off_and_may_leave(self):
        guest = self.guest(*DEMO)
        self.expect(guest, (("continue", r"(?s)Forkscope: the guest powered the machine off.*SIGTRAP"),
                            ("detach", r"detached")), KERNEL)
        self.assertEqual(guest.ends(), 0)


class Mi(Case):
    """gdb as an editor's extension drives it: by machine interface, with the commands that cpptools sends."""

    def setUp(self):
        if shutil.which("gdb") is None:
            print("gdb is not installed: skipped")
            sys.exit(77)
        self.gdb = subprocess.Popen(["gdb", "-nx", "-q", "-i=mi"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True)
        self.addCleanup(self.gdb.stdout.close)
        self.addCleanup(self.gdb.stdin.close)
        self.addCleanup(self.gdb.wait)
        self.addCleanup(self.gdb.kill)
        self.token = 1000
        self.last_stop = ""

    def line(self):
        line = self.gdb.stdout.readline()
        if not line:
            raise EOFError
        return line.strip()

    def ask(self, command, pattern=r"\^done"):
        """The result of a command, which must match. What comes before it is kept."""
        self.token += 1
        self.gdb.stdin.write("%d%s\n" % (self.token, command))
        self.gdb.stdin.flush()
        said = []
        while True:
            said.append(self.line())
            if said[-1].startswith("*stopped"):
                self.last_stop = said[-1]
            if said[-1].startswith("%d^" % self.token):
                self.assertRegex(said[-1], pattern, command + "\n" + "\n".join(said))
                return "\n".join(said)

    def move(self, command):
        """Where the machine stops after it."""
        self.last_stop = ""
        self.ask(command, r"\^running")
        while not self.last_stop:
            line = self.line()
            if line.startswith("*stopped"):
                self.last_stop = line
        return self.last_stop

    def test_an_editor_breaks_steps_looks_and_goes_back(self):
        guest = self.guest(*DEMO)
        self.ask("-gdb-set mi-async off")
        self.ask("-gdb-set breakpoint auto-hw on")
        self.ask("-file-exec-and-symbols " + KERNEL)
        self.ask("-target-select remote %s:%d" % guest.place, r"\^connected")
        self.assertIn("ReverseStep", self.ask('-interpreter-exec console "maint packet qSupported"'))
        self.ask("-break-insert -h region_maybe_cow", r'\^done,bkpt=\{number="1",type="hw breakpoint"')
        stop = self.move("-exec-continue")
        self.assertRegex(stop, r'reason="breakpoint-hit".*bkptno="1".*func="region_maybe_cow".*file="[^"]*fork.c"')

        threads = self.ask("-thread-info")
        self.assertRegex(threads, r"bin/forkdemo|bin/init")
        frames = self.ask("-stack-list-frames")
        self.assertRegex(frames, r'level="0".*func="region_maybe_cow".*level="1"')
        self.ask("-stack-list-arguments --simple-values", r'name="')
        thread = re.search(r'thread-id="(\d+)"', stop)[1]
        self.ask("-stack-list-variables --thread " + thread + " --frame 0 --simple-values", r"variables=\[")
        self.ask("-var-create cpu * current_thread->process->pid", r'name="cpu",.*value="1"')
        self.ask("-data-evaluate-expression $cr0.PG", r'value="true"')
        self.ask("-data-read-memory-bytes $eip 4", r'contents="[0-9a-f]{8}"')
        self.ask("-data-list-register-values x 8", r'number="8"')
        self.ask("-data-disassemble -s $pc -e $pc+16 -- 2", r"asm_insns")
        self.assertIn("instruction", self.ask('-interpreter-exec console "monitor when"'))

        lines = [re.search(r'line="(\d+)"', stop)[1]]
        for command in ("-exec-next", "-exec-step"):
            stop = self.move(command)
            self.assertIn('reason="end-stepping-range"', stop)
            lines.append(re.search(r'line="(\d+)"', stop)[1])
        self.assertNotEqual(lines[0], lines[1])
        self.assertIn('reason="end-stepping-range"', self.move("-exec-step-instruction --reverse"))
        self.move("-exec-next --reverse")
        stop = self.move("-exec-continue --reverse")
        self.assertRegex(stop, r'bkptno="1"|addr="0xfffffff0"')
        self.ask("-break-delete 1")
        self.assertIn('addr="0xfffffff0"', self.move("-exec-continue --reverse"), "power-on")
        self.ask("-target-detach")


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)
