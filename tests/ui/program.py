#!/usr/bin/env python3
"""The window and its pictures as a person meets them: through the program. Usage: program.py FORKSCOPE Screenshot|Window|Load|Stepper|BothWays|Clicks|Buttons|Rows|Hasty|LongMove|NoDisplay.
Exit codes: 0 passed, 1 failed, 77 cannot run here."""

import collections
import contextlib
import ctypes
import ctypes.util
import itertools
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
WIDTH, HEIGHT = 1600, 1000


def run(arguments, **options):
    return subprocess.run(arguments, capture_output=True, timeout=120, stdin=subprocess.DEVNULL, **options)


def check(condition, what):
    if not condition:
        print("FAILED:", what)
        sys.exit(1)


def png_size(data):
    check(data[:8] == b"\x89PNG\r\n\x1a\n", "the file is no PNG")
    return struct.unpack(">II", data[16:24])


def without_display():
    return {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}


def screenshot(program):
    """--screenshot needs no display, is the same twice, and says what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for name in ("first.png", "second.png"):
            path = os.path.join(folder, name)
            ran = run([program, "fork", "--pages", "4", "--screenshot", path], env=without_display())
            check(ran.returncode == 0, f"fork --screenshot ended with {ran.returncode}: {ran.stderr.decode()}")
            with open(path, "rb") as file:
                pictures.append(file.read())
        # Without the tree: the program brings the guest's sources along.
        elsewhere = os.path.join(folder, "elsewhere.png")
        ran = run([program, "fork", "--pages", "4", "--screenshot", elsewhere], env=without_display(), cwd=folder)
        check(ran.returncode == 0, f"fork --screenshot elsewhere ended with {ran.returncode}: {ran.stderr.decode()}")
        with open(elsewhere, "rb") as file:
            check(file.read() == pictures[0], "the picture depends on the folder that the program was started in")
        check(png_size(pictures[0]) == (WIDTH, HEIGHT), f"the picture measures {png_size(pictures[0])}")
        check(pictures[0] == pictures[1], "two runs gave two different pictures")
        prompt = os.path.join(folder, "prompt.png")
        ran = run([program, "run", "--headless", "--until", "serial:$ ", "--limit", "5s", "--screenshot", prompt],
                  env=without_display())
        check(ran.returncode == 0, f"run --screenshot ended with {ran.returncode}: {ran.stderr.decode()}")
        with open(prompt, "rb") as file:
            check(file.read() != pictures[0], "another moment gave the same picture")
        for path, reason in (("/dev/full", "No space left on device"), ("/nowhere/x.png", "No such file or directory")):
            ran = run([program, "fork", "--pages", "1", "--screenshot", path], env=without_display())
            message = ran.stderr.decode()
            check(ran.returncode == 1 and path in message and reason in message,
                  f"{path}: exit code {ran.returncode}, message: {message}")


def no_display(program):
    """A window that is asked for where there is no display is an error with advice, not a program that hangs."""
    environment = without_display()
    environment.pop("SDL_VIDEODRIVER", None)
    ran = run([program, "run", "--display", "sdl", "--serial", "none"], env=environment)
    check(ran.returncode == 1 and b"--headless" in ran.stderr, f"exit code {ran.returncode}, message: {ran.stderr.decode()}")
    # A display is named but nobody serves it: as without one, and a word about it.
    environment["DISPLAY"] = ":4711"
    ran = run([program, "run", "--until", "serial:$ "], env=environment)
    check(ran.returncode == 0 and b"$ " in ran.stdout and b"going on without a window" in ran.stderr,
          f"stale DISPLAY: exit code {ran.returncode}, message: {ran.stderr.decode()}")
    ran = run([program], env=environment)
    check(ran.returncode == 0 and b"Stops" in ran.stdout, f"stale DISPLAY: exit code {ran.returncode}, {ran.stderr.decode()}")
    if shutil.which("Xvfb") is None:
        return
    # A display of 256 colours opens, and then SDL has no renderer for it.
    with tempfile.TemporaryDirectory() as folder:
        display = Display(folder, depth=8)
        environment["DISPLAY"] = display.name
        try:
            ran = run([program, "run", "--until", "serial:$ "], env=environment)
            check(ran.returncode == 0 and b"$ " in ran.stdout and b"going on without a window" in ran.stderr,
                  f"no renderer: exit code {ran.returncode}, message: {ran.stderr.decode()}")
            ran = run([program], env=environment)
            check(ran.returncode == 0 and b"Stops" in ran.stdout, f"no renderer: exit code {ran.returncode}, {ran.stderr.decode()}")
        finally:
            display.close()


class Display:
    """A virtual X server that keeps its screen in a file (X window dump format)."""

    def __init__(self, folder, depth=24):
        self.folder = folder
        read, write = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{WIDTH}x{HEIGHT}x{depth}", "-fbdir", folder, "-nolisten", "tcp"],
            pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as number:
            self.name = ":" + number.readline().strip()

    def rows(self):
        """The screen's pixels as 0xRRGGBB, row by row."""
        with open(os.path.join(self.folder, "Xvfb_screen0"), "rb") as file:
            data = file.read()
        header = struct.unpack(">25I", data[:100])
        header_size, width, height, line, entries = header[0], header[4], header[5], header[12], header[19]
        start = header_size + entries * 12
        for y in range(0, height):
            row = data[start + y * line:start + y * line + 4 * width]
            yield [pixel & 0xFFFFFF for (pixel,) in struct.iter_unpack("<I", row)]

    def row(self, y, left, right):
        return next(itertools.islice(self.rows(), y, None))[left:right]

    def position(self):
        """Where the machine is in its history: the place of the needle on the timeline, in pixels; -1: there is none."""
        row = self.row(BAR_Y - 8, BAR_LEFT, BAR_RIGHT + 2)
        return row.index(NEEDLE) if NEEDLE in row else -1

    def colours(self):
        """How many pixels the screen has of each colour."""
        return collections.Counter(itertools.chain.from_iterable(self.rows()))

    def press(self, *keys, hold=0.05):
        """Presses keys one after the other, by X key code, as a person would; a list is a chord."""
        with self.hands() as (test, x11, display):
            for key in keys:
                chord = key if isinstance(key, list) else [key]
                for down, part in [(1, part) for part in chord] + [(0, part) for part in reversed(chord)]:
                    test.XTestFakeKeyEvent(display, part, down, 0)
                    x11.XFlush(display)
                    time.sleep(hold)

    def drag(self, *places):
        """Presses the mouse button at the first place, moves it along the others, and lets it go."""
        with self.hands() as (test, x11, display):
            for number, (x, y) in enumerate(places):
                test.XTestFakeMotionEvent(display, -1, x, y, 0)
                x11.XFlush(display)
                time.sleep(0.25)
                if number == 0:
                    test.XTestFakeButtonEvent(display, 1, 1, 0)
                    x11.XFlush(display)
                    time.sleep(0.25)
            test.XTestFakeButtonEvent(display, 1, 0, 0)
            test.XTestFakeMotionEvent(display, -1, WIDTH // 2, HEIGHT // 2, 0)  # away, and its tooltip with it
            x11.XFlush(display)

    def click(self, x, y, times=1):
        with self.hands() as (test, x11, display):
            test.XTestFakeMotionEvent(display, -1, x, y, 0)
            x11.XFlush(display)
            time.sleep(0.3)
            for _ in range(times):
                for down in (1, 0):
                    test.XTestFakeButtonEvent(display, 1, down, 0)
                    x11.XFlush(display)
                    time.sleep(0.06)

    def type(self, text):
        time.sleep(0.3)
        self.press(*[KEYS[letter] for letter in text])
        self.press(ENTER, hold=0.3)  # it is looked for once a frame, unlike letters

    def clipboard(self):
        """What another program would paste; None: nobody offers anything."""
        with self.hands() as (_, x11, display):
            for name in ("XDefaultRootWindow", "XInternAtom", "XCreateSimpleWindow"):
                getattr(x11, name).restype = ctypes.c_ulong
            atoms = [ctypes.c_ulong(x11.XInternAtom(display, name, 0)) for name in (b"CLIPBOARD", b"UTF8_STRING", b"PASTED")]
            window = ctypes.c_ulong(x11.XCreateSimpleWindow(display, ctypes.c_ulong(x11.XDefaultRootWindow(display)),
                                                            0, 0, 1, 1, 0, ctypes.c_ulong(0), ctypes.c_ulong(0)))
            x11.XConvertSelection(display, *atoms, window, ctypes.c_ulong(0))
            x11.XFlush(display)
            kind, width, count, left, data = (ctypes.c_ulong(), ctypes.c_int(), ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_char_p())
            end = time.monotonic() + 5
            while not data.value and time.monotonic() < end:
                time.sleep(0.1)
                x11.XGetWindowProperty(display, window, atoms[2], ctypes.c_long(0), ctypes.c_long(1000), 0, ctypes.c_ulong(0),
                                       *map(ctypes.byref, (kind, width, count, left, data)))
            return data.value.decode() if data.value else None

    @contextlib.contextmanager
    def hands(self):
        x11 = ctypes.CDLL(ctypes.util.find_library("X11"))
        test = ctypes.CDLL(ctypes.util.find_library("Xtst"))
        x11.XOpenDisplay.restype = ctypes.c_void_p
        display = ctypes.c_void_p(x11.XOpenDisplay(self.name.encode()))
        yield test, x11, display
        x11.XCloseDisplay(display)

    def close(self):
        self.server.terminate()
        self.server.wait(10)


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.3)
    return False


# Of emu/ui/theme.hpp.
PRIVATE, KERNEL, RUNNING, STOPPED = 0x4C9AE8, 0x6E7B91, 0x7CC97C, 0xFFD166
NEEDLE, BRANCH = 0xF2F4F8, 0x7CC97C
SHARED_READ_ONLY, SHARED_WRITABLE = 0xE8A23A, 0xC65FD3
F5, F10, F11, SHIFT, ESCAPE = 71, 76, 95, 50, 9  # X key codes of a PC keyboard: set 1 scan code + 8
BAR_LEFT, BAR_RIGHT, BAR_Y = 14, 926, 79  # of the timeline, in a window that fills the screen
LETTERS = {letter: code for row, first in (("qwertyuiop", 24), ("asdfghjkl", 38), ("zxcvbnm", 52))
           for code, letter in enumerate(row, first)}
ENTER, SPACE, SLASH, CONTROL = 36, 65, 61, 37
KEYS = {**LETTERS, " ": SPACE, "/": SLASH, **{digit: code for code, digit in enumerate("1234567890", 10)}}
# x, y, width, height; and places to click at, in a window that fills the screen.
ANSWER, TLB = (1180, 765, 400, 200), (755, 765, 400, 200)
LINE, POINTS = (772, 40, 818, 22), (755, 785, 385, 180)
CODE, FORKS = (284, 560, 440, 405), (985, 606, 600, 120)
CHILD_CELL, COMMAND_LINE, BREAKPOINTS_TAB = (1280, 208), (1000, 51), (890, 758)
FORK_STOP, FIRST_POINT_GOES, FIRST_BRANCH_GOES = (1040, 632), (1144, 793), (1144, 793)
BUTTONS = {"over": (146, 51), "out": (241, 51), "evict": (419, 51)}
BACK_BUTTONS = {"over": (106, 51), "out": (197, 51), "evict": (374, 51)}
BRANCH_BUTTONS = (940, 72, 60, 16)
CHOSEN, BUTTON = 0x6CB6FF, 0x2B313B


class Window:
    """The program with a window that fills a virtual screen, and somebody who looks at it."""

    def __init__(self, folder, program, *arguments):
        self.serial = os.path.join(folder, "serial")
        self.display = Display(folder)
        environment = {**without_display(), "DISPLAY": self.display.name, "SDL_VIDEODRIVER": "x11", "SDL_AUDIODRIVER": "dummy"}
        self.process = subprocess.Popen([program, *arguments, "--serial", "file:" + self.serial], env=environment,
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def colour(self, colour):
        return self.display.colours().get(colour, 0)

    def said(self, text):
        with open(self.serial, "rb") as file:
            return text in file.read()

    def stopped(self):
        shown = self.display.colours()
        return shown.get(STOPPED, 0) > shown.get(RUNNING, 0)

    def protected(self):
        return self.colour(SHARED_READ_ONLY) > 1000

    def branches(self):
        return self.display.row(BAR_Y - 6, BAR_LEFT, BAR_RIGHT + 8).count(BRANCH)

    def panel(self, rect):
        """The pixels of a part of the screen: x, y, width, height."""
        x, y, width, height = rect
        return [row[x:x + width] for row in itertools.islice(self.display.rows(), y, y + height)]

    def command(self, words):
        before = self.panel(LINE)
        self.display.click(*COMMAND_LINE)
        wait_for(lambda: self.panel(LINE) != before, 5)  # the cursor stands there
        self.display.type(words)

    def chosen_row(self, rect):
        """The height at which a part of the screen has the frame around the chosen row; -1: it has none."""
        heights = [y for y, row in enumerate(self.panel(rect)) if row.count(CHOSEN) > rect[2] // 2]
        return heights[0] if heights else -1

    def settled(self, rect):
        """A part of the screen once it stands still."""
        seen = [self.panel(rect)]
        wait_for(lambda: seen.append(self.panel(rect)) or seen[-1] == seen[-2])
        return seen[-1]

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(20) == 0, f"the window closed with {self.process.returncode}: {self.process.stderr.read()}")


@contextlib.contextmanager
def window_of(program, *arguments, hands=True):
    if shutil.which("Xvfb") is None:
        print("Xvfb is not installed")
        sys.exit(SKIPPED)
    if hands and ctypes.util.find_library("Xtst") is None:
        print("libXtst is not installed: no keys can be pressed")
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory() as folder:
        opened = Window(folder, program, *arguments)
        try:
            yield opened
            if "FORKSCOPE_PICTURES" in os.environ:
                shutil.copy(os.path.join(folder, "Xvfb_screen0"), os.environ["FORKSCOPE_PICTURES"])
            opened.close()
        finally:
            if opened.process.poll() is None:
                opened.process.kill()
                opened.process.wait()
            opened.display.close()


def prompt(opened, saved):
    """A guest at its prompt is shown, and takes keys."""
    check(wait_for(lambda: opened.colour(KERNEL) > 100), "the page tables are not shown")
    check(opened.colour(PRIVATE) > 20, "the program's pages are not shown")
    opened.display.press(*[LETTERS[letter] for letter in "help"], ENTER)
    check(wait_for(lambda: opened.said(b"help\r\n") or opened.said(b"help\n")), "keys did not reach the guest")
    check(not saved or not opened.said(b"Forkscope guest kernel"), "the guest was booted, not loaded")


def window(program):
    """The window opens, shows the machine, takes keys for itself and for the guest, and closes in good order."""
    with window_of(program, "run") as opened:
        check(wait_for(lambda: os.path.exists(opened.serial) and opened.said(b"$ ")), "the guest's prompt did not come")
        prompt(opened, saved=False)
        check(opened.colour(RUNNING) > 20, "the status does not say that the guest runs")
        opened.display.press(F5)
        check(wait_for(opened.stopped), "F5 did not pause the guest")


def load(program):
    """A snapshot opens in the window, shows the machine that was saved before it runs on, and takes keys for the guest."""
    with tempfile.TemporaryDirectory() as folder:
        snapshot = os.path.join(folder, "prompt.snapshot")
        ran = run([program, "run", "--headless", "--until", "serial:$ ", "--save", snapshot], env=without_display())
        check(ran.returncode == 0, f"--save ended with {ran.returncode}: {ran.stderr.decode()}")
        with window_of(program, "run", "--load", snapshot) as opened:
            prompt(opened, saved=True)


def stepper(program):
    """`step` stops in the window inside fork, continues with F5 and F11, and ends with the guest's own status."""
    with window_of(program, "step", "--until", "stop:2b") as opened:
        check(wait_for(lambda: opened.colour(SHARED_WRITABLE) > 100 and opened.stopped()),
              "the stepper is not before the protection of the pages")
        check(opened.colour(PRIVATE) < 400, "pages are private already")
        opened.display.press(F11)
        check(wait_for(lambda: opened.protected() and opened.stopped()), "F11 did not run to where the pages are protected")
        opened.display.press(F5)
        check(wait_for(lambda: not opened.protected()), "F5 did not continue the guest")


def both_ways(program):
    """Keys and the timeline's bar go back and forth, keys of the window do not start a branch, other keys do."""
    with window_of(program, "step", "--until", "stop:2b") as opened:
        display, protected = opened.display, opened.protected
        check(wait_for(lambda: display.position() > 800), "the timeline is not shown, or does not end in the present")
        check(not protected(), "pages are protected before the stop that does it")
        display.press(F11)
        check(wait_for(protected), "F11 did not run to where the pages are protected")
        display.press([SHIFT, F11])
        check(wait_for(lambda: not protected()), "Shift+F11 did not go back to before the protection")
        display.press(F11)
        check(wait_for(protected), "F11 did not go forwards again in the past")
        middle = (BAR_LEFT + BAR_RIGHT) // 2
        display.drag((BAR_RIGHT - 40, BAR_Y), (middle + 100, BAR_Y), (middle, BAR_Y))
        check(wait_for(lambda: abs(display.position() - (middle - BAR_LEFT)) < 30), f"the drag led elsewhere: {display.position()} pixels")
        check(not protected(), "the tables do not show the past")
        display.drag((BAR_LEFT - 6, BAR_Y))
        check(wait_for(lambda: 0 <= display.position() < 10), "the beginning of history is not where the bar begins")
        display.press([SHIFT, F10])
        display.drag((BAR_RIGHT, BAR_Y))
        check(wait_for(protected), "the present is not where the bar ends")
        check(opened.branches() == 0, "one of these keys started a branch")
        display.press([SHIFT, F10], LETTERS["a"])
        check(wait_for(lambda: opened.branches() > 0), "a key in the past started no branch that is shown")


def clicks(program):
    """A click says what a cell is, a double click goes to the moment that made it; commands are typed, text is copied."""
    with window_of(program, "step", "--until", "stop:2b") as opened:
        display = opened.display
        check(wait_for(lambda: opened.colour(SHARED_WRITABLE) > 100 and opened.stopped()), "fork is not shown")
        check(wait_for(lambda: display.position() > 800), "the timeline does not end in the present")
        before = opened.panel(ANSWER)
        display.click(*CHILD_CELL)
        check(wait_for(lambda: opened.panel(ANSWER) != before), "a click on a page's cell gave no answer")
        time.sleep(2)  # it was no double one
        check(display.position() > 800, "a single click moved the machine")
        present, shared = display.position(), opened.colour(SHARED_WRITABLE)
        display.click(*CHILD_CELL, times=2)
        check(wait_for(lambda: display.position() < present - 5), "a double click on a page's cell went nowhere")
        check(wait_for(lambda: opened.colour(SHARED_WRITABLE) < shared), "the child's page is there before it was made")
        check(opened.branches() == 0, "a click started a branch")
        display.click(*COMMAND_LINE)
        display.type("goto end")
        check(wait_for(lambda: display.position() == present), "a typed command did not move the machine")
        before = opened.panel(POINTS)
        display.type("break fault")
        display.click(*BREAKPOINTS_TAB)
        check(wait_for(lambda: opened.panel(POINTS) != before), "the breakpoint is not listed")
        check(opened.branches() == 0, "what was typed reached the guest")


def buttons(program):
    """A button of a grain leads where its command leads, both ways."""
    with window_of(program, "step", "--until", "stop:2b") as opened:
        display = opened.display
        check(wait_for(lambda: opened.colour(SHARED_WRITABLE) > 100 and opened.stopped()), "fork is not shown")
        opened.command("mark here")
        here = opened.settled(CODE)
        for verb, places in (("step", BUTTONS), ("back", BACK_BUTTONS)):
            for grain, place in places.items():
                opened.command(f"{verb} {grain}")
                check(wait_for(lambda: opened.panel(CODE) != here), f"'{verb} {grain}' moved nothing")
                there = opened.settled(CODE)
                opened.command("goto here")
                check(wait_for(lambda: opened.panel(CODE) == here), f"'goto here' does not lead back from '{verb} {grain}'")
                display.click(*place)
                check(wait_for(lambda: opened.panel(CODE) == there), f"the button for '{verb} {grain}' leads elsewhere")
                opened.command("goto here")
                check(wait_for(lambda: opened.panel(CODE) == here), "'goto here' leads elsewhere")
        check(opened.branches() == 0, "a button started a branch")


def rows(program):
    """Rows are copied and searched for; breakpoints, bookmarks and branches go by the buttons behind them."""
    with window_of(program, "step", "--until", "stop:2b") as opened:
        display = opened.display
        check(wait_for(lambda: opened.colour(SHARED_WRITABLE) > 100 and opened.stopped()), "fork is not shown")
        display.click(*FORK_STOP)
        check(wait_for(lambda: opened.chosen_row(FORKS) >= 0), "the row that was clicked is not marked")
        first = opened.chosen_row(FORKS)
        time.sleep(1)
        display.press([CONTROL, LETTERS["c"]])
        copied = []
        check(wait_for(lambda: copied.append(display.clipboard()) or "0 enter" in (copied[-1] or "")), f"the row was not copied: {copied[-1:]}")
        opened.command("/register")
        check(wait_for(lambda: opened.chosen_row(FORKS) > first), "the search does not mark a row farther down")
        found = opened.chosen_row(FORKS)
        opened.command("/address")
        check(wait_for(lambda: first < opened.chosen_row(FORKS) < found), "the search does not go on from the top")
        display.click(*BREAKPOINTS_TAB)
        time.sleep(1)
        empty = opened.settled(POINTS)
        for words in ("break fault", "mark here"):
            opened.command(words)
            check(wait_for(lambda: opened.panel(POINTS) != empty), f"'{words}' is not listed")
            opened.settled(POINTS)
            display.click(*FIRST_POINT_GOES)
            check(wait_for(lambda: opened.panel(POINTS) == empty), f"the button behind '{words}' does not remove it")
        display.press([SHIFT, F11], LETTERS["a"])
        check(wait_for(lambda: opened.branches() > 0), "a key in the past started no branch that is shown")
        buttons_shown = lambda: any(BUTTON in row for row in opened.panel(BRANCH_BUTTONS))
        check(wait_for(buttons_shown), "two branches have no buttons")
        display.click(*FIRST_BRANCH_GOES)
        check(wait_for(lambda: not buttons_shown()), "the button behind the branch does not drop it")


def hasty(program):
    """Keys that come with the click on the line for commands, faster than frames, are the line's: none is lost, none the guest's."""
    with window_of(program, "step") as opened:
        display = opened.display
        check(wait_for(lambda: display.position() > 800 and opened.stopped()), "the timeline does not end in the present")
        present = display.position()
        for words in ("goto begin", "goto end", "goto begin"):
            with display.hands() as (test, x11, connection):
                test.XTestFakeMotionEvent(connection, -1, *COMMAND_LINE, 0)
                x11.XFlush(connection)
                time.sleep(0.5)
                for down in (1, 0):
                    test.XTestFakeButtonEvent(connection, 1, down, 0)
                for key in [*(SPACE if letter == " " else LETTERS[letter] for letter in words), ENTER]:
                    for down in (1, 0):
                        test.XTestFakeKeyEvent(connection, key, down, 0)
                x11.XFlush(connection)
            begins = words == "goto begin"
            check(wait_for(lambda: (display.position() < 30) if begins else (display.position() == present)), f"'{words}' did not move the machine")
        check(opened.branches() == 0, "what was typed reached the guest")


def long_move(program):
    """A move that takes long shows how far it is, waits with other keys, and ends with Esc where it began."""
    with window_of(program, "run", "--append", "run=forkstorm 20000") as opened:
        display = opened.display
        check(wait_for(lambda: display.position() > 800), "the timeline is not shown")
        time.sleep(8)
        display.press(F5)
        check(wait_for(lambda: opened.stopped() and display.position() > 800), "F5 did not pause the guest")
        whole = display.position()
        display.press([SHIFT, F5])
        check(wait_for(lambda: 0 < display.position() < whole - 20), "the bar does not show how far the search is")
        display.press(LETTERS["a"], ESCAPE)
        check(wait_for(lambda: display.position() > whole - 5), "Esc did not lead back to where the search began")
        time.sleep(1)
        check(display.position() > whole - 5, "the search went on")
        check(opened.branches() == 0, "a key meanwhile started a branch")


if __name__ == "__main__":
    {"Screenshot": screenshot, "Window": window, "Load": load, "Stepper": stepper, "BothWays": both_ways, "Clicks": clicks, "Buttons": buttons, "Rows": rows, "Hasty": hasty, "LongMove": long_move, "NoDisplay": no_display}[sys.argv[2]](os.path.abspath(sys.argv[1]))
