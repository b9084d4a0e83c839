"""What the boot tests share: arguments, running an emulator against the clock, and the verdict."""
import argparse
import os
import re
import selectors
import shutil
import subprocess
import sys
import time

SKIPPED = 77


def parse_arguments(description):
    """Returns the options that every boot test takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd")
    parser.add_argument("--append", default="", help="the kernel's command line")
    parser.add_argument("--memory", type=int, default=64, help="in MB")
    parser.add_argument("--cpu", help="the emulator's name of a CPU model")
    parser.add_argument("--timeout", type=float, default=60, help="in seconds")
    parser.add_argument("--status", type=int, help="the status with which the guest must end the machine")
    parser.add_argument("--panic", action="store_true", help="the guest must panic")
    parser.add_argument("--expect", action="append", default=[], help="a regular expression that must match")
    parser.add_argument("--forbid", action="append", default=[], help="a regular expression that must not match")
    options = parser.parse_args()
    for path in (options.kernel, options.initrd):
        if path and not os.path.exists(path):
            parser.error(f"no such file: {path} (build the targets guest_kernel_lunaix and guest_initrd)")
    return options


def skip(reason):
    """Leaves with the status that means skipped."""
    print("skipped:", reason)
    sys.exit(SKIPPED)


def skip_without(program):
    """Leaves as skipped where a program is not installed."""
    if shutil.which(program) is None:
        skip(program + " is not installed")


def stop(process):
    """Ends an emulator that we started."""
    if process.poll() is None:
        process.kill()
    process.wait()


def run_until(command, timeout, last_words):
    """Runs an emulator whose output is the guest's. Returns the output and the exit code, which is None where it had
    to be stopped: because its time was over, or because the guest said its last words."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output, deadline, settle = b"", time.monotonic() + timeout, 0.5
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    try:
        while time.monotonic() < deadline:
            if selector.select(timeout=0.1):
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    return output.decode(errors="replace"), process.wait(timeout=10)
                output += piece
            if last_words.encode() in output:
                deadline = min(deadline, time.monotonic() + settle)
                settle = 1e9
        return output.decode(errors="replace"), None
    finally:
        stop(process)


def run_watching_file(command, timeout, path, last_words):
    """Runs an emulator that writes the guest's output into a file; returns the output."""
    def read():
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + timeout
    try:
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
            if last_words in read():
                time.sleep(0.5)
                break
        return read()
    finally:
        stop(process)


def judge(options, output, status, panic):
    """Compares what happened with what had to happen; prints the output and every difference; returns 0 or 1."""
    text = output.replace("\r\n", "\n")
    wrong = [f"/{pattern}/ does not match" for pattern in options.expect if not re.search(pattern, text, re.MULTILINE)]
    wrong += [f"/{pattern}/ matches" for pattern in options.forbid if re.search(pattern, text, re.MULTILINE)]
    if (panic in text) != options.panic:
        wrong.append("the guest panicked" if panic in text else "the guest did not panic")
    if options.status is not None and status != options.status:
        wrong.append(f"the guest ended with {status}, not {options.status}" if status is not None
                     else "the guest did not end the machine")
    print(text)
    for line in wrong:
        print("WRONG:", line)
    return 1 if wrong else 0
