#!/usr/bin/env python3
"""The guest's terminal answers keys as a person expects: editing, history, ^C, patterns, redirection into /tmp. Keys come
over the serial line, each only when the shell waits for it. Usage: terminal_keys.py FORKSCOPE [SYSTEM]
"""

import os
import pty
import select
import subprocess
import sys
import time
import tty

RUNS = "\n"  # a program runs then, and there is no prompt
UP, DOWN, RIGHT, LEFT, HOME, END, DELETE = "\033[A", "\033[B", "\033[C", "\033[D", "\033[H", "\033[F", "\033[3~"
# What is typed, and the line of output that must follow, before the next prompt; None: the prompt is all.
STEPS = (
    ("echo one\r", "one"),
    ("echo two\r", "two"),
    (UP + UP + "\r", "one"),
    (UP + UP + UP + DOWN + "\r", "two"),
    (UP + HOME + RIGHT * 5 + "X" + END + "Y\r", "XtwoY"),
    ("echo abd" + LEFT + "c\r", "abcd"),
    ("cho left" + "\001e\005!\r", "left!"),
    ("echo abc defghi\027\010xyz\r", "abcxyz"),
    ("not a command\025echo kept\r", "kept"),
    ("echo 12345" + LEFT * 3 + DELETE + "\013\010\r", "1"),
    ("\003", "$ "),
    ("half a line\003", "$ "),
    ("echo $?\r", "130"),
    ("echo " + "w" * 120 + LEFT + "\010\010end\r", "w" * 117 + "endw"),
    ("echo /s*e/*.txt\r", "/share/fork.txt /share/lines.txt"),
    ("echo /bi?/l? '*' nothing*\r", "/bin/ls * nothing*"),
    ("cd /tmp; mkdir -p a/b; echo text > a/b/c; echo more >> a/b/c; wc < a/b/c\r", "      2       2      10"),
    ("mv a/b/c a/d; cat a/*\r", "cat: a/b: is a directory"),
    ("rm a; rm -r a; ls | wc\r", "      0       0       0"),
    ("sleep 1000000\r", RUNS),
    ("\003", "sh: "),
    ("cat\r", RUNS),
    ("tex\010xt" + UP + "\r", RUNS + "text"),
    ("\004", None),
    ("\004", "init: the shell has ended, here is a new one"),
)


class Guest:
    def __init__(self, program, system):
        master, slave = pty.openpty()
        tty.setraw(slave)
        self.master, self.output = master, ""
        self.process = subprocess.Popen([program, "run", "--headless", "--os", system], stdin=slave, stdout=slave,
                                        stderr=subprocess.DEVNULL)
        os.close(slave)

    def await_text(self, text, start):
        """Waits until a text is among what was said from a place on, and reports whether it came."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if text in self.output[start:]:
                return True
            if select.select([self.master], [], [], 0.1)[0]:
                self.output += os.read(self.master, 4096).decode(errors="replace").replace("\r\n", "\n")
        return False

    def type(self, keys):
        os.write(self.master, keys.encode())

    def end(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def check(guest):
    """Yields what went wrong, and then no more: what follows is worthless."""
    if not guest.await_text("\n$ ", start=0):
        yield "no prompt"
        return
    for keys, answer in STEPS:
        start = len(guest.output)
        guest.type(keys)
        runs = answer is not None and answer.startswith(RUNS)
        expected = "" if answer is None else answer if runs else "\n" + answer
        if not guest.await_text(expected, start=start):
            yield f"{keys!r}: no {expected!r} in {guest.output[start:]!r}"
        elif not runs and not guest.await_text("$ " if answer is None else "\n$ ", start=start):
            yield f"{keys!r}: no prompt after {guest.output[start:]!r}"
        else:
            time.sleep(0.2 if runs else 0)  # until the program is there to be interrupted
            continue
        return


def main():
    guest = Guest(sys.argv[1], *(sys.argv[2:] or ["lunaix"]))
    try:
        wrong = list(check(guest))
    finally:
        guest.end()
    print(guest.output.replace("\r", "<CR>").replace("\b", "<BS>"))
    for line in wrong:
        print("WRONG:", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
