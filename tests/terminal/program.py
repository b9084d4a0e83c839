#!/usr/bin/env python3
"""The terminal face as a person meets it, in a terminal that tmux has.
Usage: program.py FORKSCOPE Steps|Commands|Choice|Interrupt|Recording|Panels|Resize|Restores|Crashes|Guest|Fallback
Exit codes: 0 passed, 1 failed, 77 cannot run here."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
PATIENCE = 20  # seconds
STATUS = re.compile(r"instruction (\d+)(?:\+\d+)?  (present|PAST)")


class Tmux:
    """One terminal with a shell in it, on a server of its own."""

    def __init__(self, folder, columns=100, rows=30):
        self.socket = os.path.join(folder, "tmux")
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("DISPLAY", "WAYLAND_DISPLAY", "TMUX", "TERM")}
        environment.update(LC_ALL="C.UTF-8", TERM="xterm-256color", HISTFILE="")
        subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                        "exec bash --norc --noprofile"], env=environment, check=True)

    def prepare(self):
        self.text("PS1='shell> '")
        self.keys("Enter")
        self.await_that(lambda picture: "\nshell>" in picture, "the shell")

    def command(self, *words):
        return subprocess.run(["tmux", "-S", self.socket, *words], capture_output=True, text=True, check=True).stdout

    def keys(self, *keys):
        self.command("send-keys", *keys)

    def text(self, text):
        self.command("send-keys", "-l", text)

    def picture(self):
        return self.command("capture-pane", "-p")

    def await_that(self, holds, what):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            picture = self.picture()
            if holds(picture):
                return picture
            time.sleep(0.05)
        fail(f"never came: {what}", picture)

    def await_text(self, text):
        return self.await_that(lambda picture: text in picture, text)

    def place(self):
        """(instruction, "present" or "PAST") of the status line."""
        match = STATUS.search(self.await_that(STATUS.search, "a status line"))
        return int(match.group(1)), match.group(2)

    def press_and_await(self, key, holds, what):
        self.keys(key)
        self.await_that(lambda picture: (match := STATUS.search(picture)) and holds(int(match.group(1)), match.group(2)), what)
        return self.place()

    def child(self):
        """What the shell runs in the foreground."""
        shell = self.command("display-message", "-p", "#{pane_pid}").strip()
        with open(f"/proc/{shell}/task/{shell}/children", encoding="ascii") as children:
            return int(children.read().split()[-1])

    def end(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True)


def fail(what, picture=""):
    print("FAILED:", what)
    print(picture)
    sys.exit(1)


def start(tmux, program, arguments="step", ready="? lists keys"):
    tmux.keys("clear; stty -g > before", "Enter")
    tmux.text(f"{program} {arguments}; echo status $?")
    tmux.keys("Enter")
    if ready:
        tmux.await_text(ready)


def check_restored(tmux):
    """The shell is there, the picture is gone, the mode of the terminal is what it was, and the cursor is seen."""
    tmux.keys("stty -g > after; cmp before after && echo same''mode", "Enter")
    picture = tmux.await_text("samemode")
    if "Registers" in picture:
        fail("the picture is still there", picture)
    if tmux.command("display-message", "-p", "#{cursor_flag} #{alternate_on}").split() != ["1", "0"]:
        fail("the cursor is hidden, or the full screen is still there", picture)


def steps(tmux, program):
    start(tmux, program)
    first = tmux.place()
    if first[1] != "present":
        fail("the first stop is not the present", tmux.picture())
    tmux.press_and_await("s", lambda at, _: at == first[0] + 1, "one instruction further")
    tmux.press_and_await("b", lambda at, when: at == first[0] and when == "PAST", "back, in the past")
    line = tmux.press_and_await("l", lambda at, _: at > first[0], "another line")
    stop = tmux.press_and_await("t", lambda at, _: at > line[0], "the next stop of fork")
    tmux.await_text("fork, stop 4: files and parent")
    tmux.press_and_await("T", lambda at, _: at < stop[0], "the stop before")
    tmux.press_and_await("f", lambda at, when: at == stop[0] and when == "present", "the present")
    fault = tmux.press_and_await("f", lambda at, _: at > stop[0], "the next fault")
    tmux.press_and_await("F", lambda at, _: at < fault[0], "the fault before")
    here = tmux.place()
    entry = tmux.press_and_await("e", lambda at, _: at != here[0], "the next entry")
    tmux.press_and_await("Enter", lambda at, when: at > entry[0] or when == "present", "the same again")
    tmux.keys("q")
    tmux.await_text("status 0")
    check_restored(tmux)


def commands(tmux, program):
    start(tmux, program)
    first = tmux.place()
    tmux.keys(":")
    tmux.text("print 6*7")
    tmux.keys("Enter")
    tmux.await_text("42")
    tmux.keys(":")
    tmux.text("pront")
    tmux.keys("Enter")
    tmux.await_text("there is no command 'pront'")
    tmux.keys(":", "Up", "Up", "BSpace")
    tmux.text("8")
    tmux.keys("Enter")
    tmux.await_text("48")
    tmux.keys("g")
    tmux.await_text(":goto")
    tmux.text(str(first[0] - 100))
    tmux.keys("Enter")
    tmux.await_that(lambda picture: STATUS.search(picture).groups() == (str(first[0] - 100), "PAST"), "a hundred before")
    tmux.keys(":")
    tmux.text("continue until halted")
    tmux.keys("C-c")  # gives the line up
    tmux.await_text("? help")
    tmux.keys("r")
    tmux.await_that(lambda picture: (match := STATUS.search(picture)) and int(match.group(1)) < first[0] - 100, "the beginning")
    tmux.keys(":")
    tmux.text("quit")
    tmux.keys("Enter")
    tmux.await_text("status 0")
    check_restored(tmux)


def choice(tmux, program):
    """A line is chosen with the arrows: Enter says what it is, Enter again goes to the moment that made it, y copies it."""
    tmux.command("set-option", "-s", "set-clipboard", "on")
    start(tmux, program)
    first = tmux.place()
    tmux.keys(":")
    tmux.text("break stop == 1")
    tmux.keys("Enter")
    tmux.await_text("breakpoint 1")
    for _ in range(7):  # to the page tables
        tmux.keys("Tab")
    tmux.await_text("bfffc000")
    tmux.keys("Down", "Down", "Enter")
    tmux.await_text("table entry")
    tmux.await_text("to the moment that made it")
    if tmux.place() != first:
        fail("looking has moved the machine", tmux.picture())
    tmux.keys("y")
    tmux.await_text("copied")
    if "p" not in tmux.command("show-buffer"):
        fail("nothing came into the clipboard", tmux.command("show-buffer"))
    tmux.keys("Enter", "Enter")
    tmux.await_that(lambda picture: (match := STATUS.search(picture)) and match.group(2) == "PAST", "the moment")
    tmux.keys("q")
    tmux.await_text("status 0")


def interrupt(tmux, program):
    """A long way forwards, in the present, ends by Ctrl-C, and one can go on from there."""
    start(tmux, program, "step --append 'run=forkstorm 20000'")
    first = tmux.place()
    tmux.keys(":")
    tmux.text("continue until count(interrupt(0x20)) == 1000000")
    tmux.keys("Enter")
    tmux.await_that(lambda picture: re.search(r"[|/\\-] continue until", picture), "the move under way")
    tmux.keys("C-c")
    tmux.await_text("interrupted")
    far = tmux.place()
    if far[0] <= first[0] or far[1] != "present":
        fail("the interrupted move has led nowhere", tmux.picture())
    tmux.press_and_await("b", lambda _, when: when == "PAST", "back from there")
    tmux.keys("q")
    tmux.await_text("status 0")
    check_restored(tmux)


def recording(tmux, program):
    """A recording opens on the full screen at a place, and is gone through both ways."""
    subprocess.run([program, "record", "-o", "run.rec", "--append", "run=forkdemo --pages 4"], check=True, capture_output=True,
                   stdin=subprocess.DEVNULL)
    start(tmux, program, "step run.rec --at 600000")
    if tmux.place() != (600000, "PAST"):
        fail("it is not at the place", tmux.picture())
    stop = tmux.press_and_await("t", lambda at, _: at > 600000, "the next stop")
    tmux.press_and_await("T", lambda at, _: at < stop[0], "the stop before")
    tmux.keys("q")
    tmux.await_text("status 0")
    check_restored(tmux)


def panels(tmux, program):
    start(tmux, program)
    for title, shows in (("Code", "mov"), ("Memory", "stack"), ("Answers", "? lists"), ("Registers", "eflags"), ("Stack", "#0"), ("Forks", "child slot"),
                         ("Page tables", "stack"), ("TLB", "agrees?"), ("Faults", "class"), ("Processes", "bin/init"), ("Events", "tracepoint"),
                         ("Breakpoints", "branch 1"), ("Screen", "Forkscope guest kernel")):
        tmux.keys("Tab")
        tmux.await_that(lambda picture: title in picture and shows in picture, f"{title} with {shows}")
    tmux.keys("z")
    tmux.await_that(lambda picture: "Registers" not in picture, "the screen alone")
    tmux.keys("Escape")
    tmux.await_text("Registers")
    tmux.keys(*["BTab"] * 5, "/")
    tmux.text("yes")
    tmux.keys("Enter")
    tmux.await_that(lambda picture: "agrees?" not in picture, "the TLB scrolled to what was searched")
    tmux.keys("Home")
    tmux.await_text("agrees?")
    tmux.keys("PPage", "NPage", "End")
    tmux.await_that(lambda picture: "agrees?" not in picture, "the TLB's end")
    tmux.keys("?")
    tmux.await_text("to the next stop of a fork")
    tmux.keys("Escape", "q")
    tmux.await_text("status 0")


def resize(tmux, program):
    start(tmux, program)
    tmux.command("resize-window", "-x", "160", "-y", "50")
    tmux.await_that(lambda picture: all(title in picture for title in ("Source", "Registers", "Stack", "Page tables", "TLB")) and
                    len(picture.splitlines()) > 45, "the large layout")
    tmux.command("resize-window", "-x", "80", "-y", "24")
    tmux.await_that(lambda picture: "? lists" in picture and "Registers" in picture, "the small layout")
    for columns, rows in ((79, 24), (80, 23), (30, 5), (1, 1)):
        tmux.command("resize-window", "-x", str(columns), "-y", str(rows))
        time.sleep(0.3)
        tmux.keys("s", "Tab", "b", ":", "x", "Escape")
    tmux.command("resize-window", "-x", "60", "-y", "10")
    tmux.await_text("the stepper needs 80 x 24")
    tmux.command("resize-window", "-x", "100", "-y", "30")
    tmux.await_text("Registers")
    tmux.keys("q")
    tmux.await_text("status 0")


def restores(tmux, program):
    start(tmux, program)
    tmux.keys("C-z")
    tmux.await_text("Stopped")
    check_restored(tmux)
    tmux.text("fg; echo status $?")
    tmux.keys("Enter")
    tmux.await_text("Registers")
    tmux.keys("s")
    tmux.await_text("> step")
    tmux.keys("C-c")  # nothing is under way
    tmux.keys("s", "q")
    tmux.await_text("status 0")
    check_restored(tmux)


def crashes(tmux, program):
    """The program dies of a signal, and the shell goes on as if it had ended."""
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM, signal.SIGHUP):
        start(tmux, program + " 2>&1")
        os.kill(tmux.child(), number)
        tmux.await_text("status 1")
        check_restored(tmux)


def guest(tmux, program):
    """--display tui: keys go to the guest until Ctrl-C."""
    start(tmux, program, "run --display tui", "\n$")
    tmux.text("echo ab''cd")
    tmux.keys("Enter")
    tmux.await_text("abcd")
    tmux.keys("C-c")
    tmux.await_text("interrupted")
    tmux.keys("b")
    tmux.await_text("PAST")
    tmux.keys("q")
    tmux.await_text("status 0")
    check_restored(tmux)


def fallback(tmux, program):
    """Where a full screen cannot be, the stepper takes lines."""
    for words, where in (("TERM=dumb ", "step"), ("", "step --display none")):
        start(tmux, words + program, where, "(fork)")
        tmux.text("step")
        tmux.keys("Enter")
        tmux.await_that(lambda picture: picture.count("(fork)") == 2, "another prompt")
        tmux.text("quit")
        tmux.keys("Enter")
        tmux.await_text("status 0")
    start(tmux, program, "run --display tui --serial stdio", "--display tui takes the terminal")
    tmux.await_text("status 2")
    start(tmux, program, "run --display tui --limit 0.01s < /dev/null", "no full screen here")
    tmux.await_text("status 4")
    tmux.command("resize-window", "-x", "70", "-y", "20")
    start(tmux, program, "step", "(fork)")
    tmux.keys("C-d")
    tmux.await_text("status 0")


def main():
    program, part = os.path.abspath(sys.argv[1]), sys.argv[2]
    if shutil.which("tmux") is None:
        print("tmux is not installed")
        sys.exit(SKIPPED)
    parts = {"Steps": steps, "Commands": commands, "Choice": choice, "Interrupt": interrupt, "Recording": recording, "Panels": panels, "Resize": resize, "Restores": restores, "Crashes": crashes,
             "Guest": guest, "Fallback": fallback}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        tmux = Tmux(folder)
        try:
            tmux.prepare()
            parts[part](tmux, program)
        finally:
            tmux.end()


if __name__ == "__main__":
    main()
