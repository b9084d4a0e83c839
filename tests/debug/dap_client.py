#!/usr/bin/env python3
"""The Debug Adapter Protocol: a small client drives sessions forwards and back, and clients that misbehave.

Usage: dap_client.py FORKSCOPE [unittest arguments]
"""

import base64
import json
import queue
import subprocess
import sys
import threading
import unittest

PROGRAM = ""
SECONDS = 120
DEMO = ["--append", "run=forkdemo --pages 2", "-m", "16M"]


class Client:
    """One adapter, and what it has said."""

    def __init__(self):
        self.process = subprocess.Popen([PROGRAM, "dap"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.sequence = 0
        self.messages = queue.Queue()
        self.events = []
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        out = self.process.stdout
        while True:
            length = None
            while True:
                line = out.readline()
                if not line:
                    self.messages.put(None)
                    return
                if line == b"\r\n":
                    break
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            self.messages.put(json.loads(out.read(length)))

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, command, **arguments):
        self.sequence += 1
        body = json.dumps({"seq": self.sequence, "type": "request", "command": command, "arguments": arguments}).encode()
        self.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return self.sequence

    def message(self):
        message = self.messages.get(timeout=SECONDS)
        if message is None:
            raise EOFError
        if message["type"] == "event":
            self.events.append(message)
        return message

    def answer(self, sequence):
        while True:
            message = self.message()
            if message["type"] == "response" and message["request_seq"] == sequence:
                return message

    def ask(self, command, **arguments):
        """The body of an answer that must be good."""
        answer = self.answer(self.send(command, **arguments))
        if not answer["success"]:
            raise AssertionError("%s: %s" % (command, answer["message"]))
        return answer["body"]

    def refused(self, command, **arguments):
        answer = self.answer(self.send(command, **arguments))
        assert not answer["success"], answer
        return answer["message"]

    def event(self, name):
        """The first of these that nobody has taken yet."""
        while True:
            for at, event in enumerate(self.events):
                if event["event"] == name:
                    return self.events.pop(at)["body"]
            self.message()

    def move(self, command, **arguments):
        self.ask(command, **arguments)
        return self.event("stopped")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.listener.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except OSError:
                pass


class Case(unittest.TestCase):
    def client(self):
        client = Client()
        self.addCleanup(client.close)
        return client

    def launched(self, *, os="lunaix", setup=None, **arguments):
        client = self.client()
        self.able = client.ask("initialize", adapterID="forkscope", linesStartAt1=True)
        client.ask("launch", args=["--os", os, *DEMO], **arguments)
        client.event("initialized")
        if setup:
            setup(client)
        client.ask("configurationDone")
        return client, client.event("stopped")

    def top(self, client, thread):
        return client.ask("stackTrace", threadId=thread, levels=20)["stackFrames"]

    def name_of(self, client, thread):
        return next(one["name"] for one in client.ask("threads")["threads"] if one["id"] == thread)

    def scope(self, client, frame, name):
        scopes = client.ask("scopes", frameId=frame["id"])["scopes"]
        reference = next(one["variablesReference"] for one in scopes if one["name"] == name)
        return {one["name"]: one for one in client.ask("variables", variablesReference=reference)["variables"]}


class Session(Case):
    def test_an_editor_goes_through_a_fork_and_back(self):
        def setup(client):
            points = client.ask("setFunctionBreakpoints", breakpoints=[{"name": "dup_proc"}, {"name": "no_such_name"}])
            self.assertEqual([one["verified"] for one in points["breakpoints"]], [True, False])
            self.assertIn("no_such_name", points["breakpoints"][1]["message"])

        client, stop = self.launched(setup=setup, until="")
        self.assertTrue(self.able["supportsStepBack"])
        self.assertEqual(stop["reason"], "function breakpoint")
        forward = []  # init forks before the demo does, and what is inlined begins more than once
        while "bin/forkdemo" not in self.name_of(client, stop["threadId"]):
            forward.append(self.top(client, stop["threadId"])[0]["instructionPointerReference"])
            stop = client.move("continue", threadId=stop["threadId"])
        self.assertTrue(forward)
        frames = self.top(client, stop["threadId"])
        at = [frame["name"] for frame in frames].index("dup_proc")  # what it calls first is inlined into it
        self.assertEqual(frames[at + 1]["name"], "fork_process")
        self.assertEqual(frames[at]["source"]["name"], "fork.c")
        text = client.ask("source", sourceReference=frames[at + 1]["source"]["sourceReference"])["content"]
        self.assertIn("dup_proc", text.splitlines()[frames[at + 1]["line"] - 1])

        # By lines forwards and back: the same places in the other order.
        places = [frames[0]["line"]]
        for _ in range(3):
            stop = client.move("next", threadId=stop["threadId"])
            self.assertEqual(stop["reason"], "step")
            places.append(self.top(client, stop["threadId"])[0]["line"])
        self.assertEqual(len(set(places)), 4, places)
        back = []
        for _ in range(3):
            stop = client.move("stepBack", threadId=stop["threadId"])
            back.append(self.top(client, stop["threadId"])[0]["line"])
        self.assertEqual(back, places[-2::-1])

        stop = client.move("continue", threadId=stop["threadId"])
        while "ended" not in stop["description"]:
            stop = client.move("continue", threadId=stop["threadId"])

        # From the end all the way back, and forwards again: the same places in the other order.
        def travel(command, stop):
            places = []
            stop = client.move(command, threadId=stop["threadId"])
            while stop["reason"] == "function breakpoint":
                places.append(self.top(client, stop["threadId"])[0]["instructionPointerReference"])
                stop = client.move(command, threadId=stop["threadId"])
            return places, stop

        back, stop = travel("reverseContinue", stop)
        self.assertIn("beginning", stop["description"])
        again, stop = travel("continue", stop)
        self.assertEqual(back, again[::-1])
        self.assertEqual(again[:len(forward)], forward)
        self.assertGreater(len(again), len(forward))
        client.ask("disconnect")
        self.assertEqual(client.process.wait(SECONDS), 0)

    def test_lines_instructions_and_stops_of_fork_are_stopped_at(self):
        def setup(client):
            line = client.ask("setBreakpoints", source={"path": "/src/guest/personality/lunaix/fork.c"},
                              breakpoints=[{"line": 25}, {"line": 100000}])["breakpoints"]
            self.assertEqual([one["verified"] for one in line], [True, False])
            lines = client.ask("breakpointLocations", source={"path": "lunaix/fork.c"}, line=20, endLine=30)
            self.assertIn(25, [one["line"] for one in lines["breakpoints"]])
            self.refused = client.ask("setExceptionBreakpoints", filters=["stop", "nothing"])["breakpoints"]

        client, stop = self.launched(setup=setup, until="")
        self.assertEqual([one["verified"] for one in self.refused], [True, False])
        seen = []
        while stop["reason"] == "exception" and "guest has ended" not in stop["description"]:
            seen.append(stop["description"])
            stop = client.move("continue", threadId=stop["threadId"])
        self.assertGreaterEqual(len(seen), 3, seen)
        self.assertEqual(stop["reason"], "breakpoint")
        frames = self.top(client, stop["threadId"])
        self.assertIn(("region_maybe_cow", 25), [(frame["name"], frame["line"]) for frame in frames[:2]])
        frame = frames[0]
        self.assertEqual(len(stop["hitBreakpointIds"]), 1)
        client.ask("setBreakpoints", source={"path": "/src/guest/personality/lunaix/fork.c"}, breakpoints=[])
        client.ask("setExceptionBreakpoints", filters=[])

        code = client.ask("disassemble", memoryReference=frame["instructionPointerReference"], instructionOffset=-4,
                          instructionCount=10)["instructions"]
        self.assertEqual(len(code), 10)
        self.assertEqual(code[4]["address"], frame["instructionPointerReference"])
        after = code[5]["address"]
        client.ask("setInstructionBreakpoints", breakpoints=[{"instructionReference": after}])
        stop = client.move("continue", threadId=stop["threadId"])
        self.assertEqual(stop["reason"], "instruction breakpoint")
        here = self.top(client, stop["threadId"])[0]
        self.assertEqual(here["instructionPointerReference"], after)
        stop = client.move("stepBack", threadId=stop["threadId"], granularity="instruction")
        self.assertEqual(self.top(client, stop["threadId"])[0]["instructionPointerReference"], code[4]["address"])

        memory = client.ask("readMemory", memoryReference=code[4]["address"], count=4)
        self.assertEqual(base64.b64decode(memory["data"]).hex()[:2], code[4]["instructionBytes"][:2])
        hole = client.ask("readMemory", memoryReference="0x1000", count=16)
        self.assertEqual((hole["data"], hole["unreadableBytes"]), ("", 16))

    def test_values_unfold_as_far_as_they_are_asked_for(self):
        client, stop = self.launched(until="dup_proc")
        frame = self.top(client, stop["threadId"])[0]
        arguments = {**self.scope(client, frame, "Arguments"), **self.scope(client, frame, "Locals")}
        self.assertTrue(arguments)
        current = client.ask("evaluate", expression="current_thread->process", frameId=frame["id"], context="watch")
        self.assertNotEqual(current["variablesReference"], 0)
        parts = client.ask("variables", variablesReference=current["variablesReference"])["variables"]
        pid = next(one for one in parts if one["name"] == "pid")
        again = client.ask("evaluate", expression=pid["evaluateName"], frameId=frame["id"], context="hover")
        self.assertEqual(again["result"], pid["value"])
        registers = self.scope(client, frame, "Registers")
        self.assertEqual(int(registers["eip"]["value"], 16), int(frame["instructionPointerReference"], 16))
        self.assertIn("cr3", self.scope(client, frame, "System registers"))
        self.assertTrue(self.scope(client, frame, "TLB"))
        self.assertTrue(any("rw user" in one["value"] for one in self.scope(client, frame, "Page tables").values()))

        # In the console commands of the stepper are commands, and an expression is an expression.
        self.assertIn("fork", client.ask("evaluate", expression="where", frameId=frame["id"], context="repl")["result"])
        self.assertEqual(client.ask("evaluate", expression="current_thread->process->pid", frameId=frame["id"],
                                    context="repl")["result"], pid["value"])
        self.assertIn("there is no 'nobody'", client.refused("evaluate", expression="nobody", frameId=frame["id"],
                                                  context="watch"))
        client.ask("evaluate", expression="step entry", context="repl")
        stop = client.event("stopped")
        self.assertEqual(stop["reason"], "goto")
        self.assertIn("no such frame", client.refused("scopes", frameId=frame["id"]))

    def test_data_that_is_written_stops_forwards_and_back(self):
        client, stop = self.launched(until="dup_proc")
        frame = self.top(client, stop["threadId"])[0]
        current = client.ask("evaluate", expression="*current_thread->process", frameId=frame["id"], context="watch")
        info = client.ask("dataBreakpointInfo", variablesReference=current["variablesReference"], name="state")
        self.assertIsNotNone(info["dataId"], info)
        points = client.ask("setDataBreakpoints", breakpoints=[{"dataId": info["dataId"], "accessType": "write"}])
        self.assertTrue(points["breakpoints"][0]["verified"])
        stop = client.move("reverseContinue", threadId=stop["threadId"])
        self.assertIn("breakpoint", stop["reason"])
        self.assertRegex(stop["description"], r"bytes at physical 0x[0-9a-f]+ written: 0x0 -> 0x1 at commit_process")

    def test_a_running_guest_answers_and_pauses(self):
        client = self.client()
        client.ask("initialize")
        client.ask("launch", args=["-m", "16M", "--append", "run=sh"], until="")
        client.event("initialized")
        client.ask("configurationDone")
        self.assertTrue(client.ask("threads")["threads"], "between two slices")
        self.assertIn("running", client.refused("next", threadId=1))
        client.ask("setFunctionBreakpoints", breakpoints=[{"name": "no_such_function_yet"}])
        client.ask("pause", threadId=1)
        stop = client.event("stopped")
        self.assertEqual(stop["reason"], "pause")
        client.ask("terminate")
        client.event("terminated")

    def test_what_the_guest_says_comes_as_output(self):
        client, stop = self.launched(until="")
        self.assertIn("the guest has ended", stop["description"])
        said = "".join(event["body"]["output"] for event in client.events
                       if event["event"] == "output" and event["body"]["category"] == "stdout")
        self.assertIn("wrote", said)

    def test_a_variable_is_set_in_the_past_and_that_is_a_branch(self):
        client, stop = self.launched(until="dup_proc")
        stop = client.move("next", threadId=stop["threadId"])
        stop = client.move("stepBack", threadId=stop["threadId"])
        frame = self.top(client, stop["threadId"])[0]
        scopes = client.ask("scopes", frameId=frame["id"])["scopes"]
        registers = next(one for one in scopes if one["name"] == "Registers")["variablesReference"]
        client.ask("setVariable", variablesReference=registers, name="ebx", value="0x1234")
        self.assertEqual(self.scope(client, frame, "Registers")["ebx"]["value"], "0x00001234")
        branches = client.ask("evaluate", expression="branches", context="repl")["result"]
        self.assertIn("branch 2", branches)


class Hostile(Case):
    def refusal(self, data):
        """What the adapter says before it ends, and how."""
        client = self.client()
        try:
            client.write(data)
            client.process.stdin.close()
        except BrokenPipeError:
            pass  # it has seen enough
        texts = []
        try:
            while True:
                message = client.message()
                if message["type"] == "event" and message["event"] == "output":
                    texts.append(message["body"]["output"])
        except EOFError:
            pass
        return "".join(texts), client.process.wait(SECONDS)

    def test_frames_that_are_broken_end_the_session_with_a_word(self):
        for data, word in ((b"Content-Length: 99999999999999\r\n\r\n{}", "at most"),
                           (b"Content-Length: 999999999999999999999999\r\n\r\n{}", "no number"),
                           (b"Content-Length: -1\r\n\r\n{}", "no number"),
                           (b"Content-Type: json\r\n\r\n{}", "no Content-Length"),
                           (b"hello\r\n\r\n", "without a colon"),
                           (b"x" * 100000, "no head")):
            text, code = self.refusal(data)
            self.assertIn(word, text, data[:60])
            self.assertEqual(code, 1, data[:60])

    def test_json_that_is_wrong_is_said_and_the_session_goes_on(self):
        client = self.client()
        for body, word in ((b"{", "no JSON"), (b"[1]", "no object"), (b"[" * 100000, "too deeply"),
                           (b'{"type":"request","arguments":' + b'{"a":' * 50000 + b"1" + b"}" * 50001, "too deeply"),
                           (b"\xff\xfe", "no JSON")):
            client.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            self.assertIn(word, client.event("output")["output"], body[:40])
        self.assertIn("not supported", client.refused("fly"))
        self.assertIn("too early", client.refused("next"))
        self.assertIn("args", client.refused("launch", args=["--no-such-option"]))
        self.assertIn("protocol", client.refused("launch", args=["--serial", "stdio"]))
        self.assertTrue(client.ask("initialize", linesStartAt1="yes", adapterID=[1, 2])["supportsStepBack"])

    def test_arguments_of_other_types_are_answered(self):
        client, stop = self.launched(until="dup_proc")
        commands = ["setBreakpoints", "setFunctionBreakpoints", "setInstructionBreakpoints", "setDataBreakpoints",
                    "setExceptionBreakpoints", "breakpointLocations", "threads", "stackTrace", "scopes", "variables",
                    "setVariable", "dataBreakpointInfo", "evaluate", "source", "readMemory", "disassemble"]
        odd = [{}, {"breakpoints": 5, "source": "x"}, {"breakpoints": [None, {"line": -1}, {"name": {}}]},
               {"frameId": -1, "variablesReference": 2 ** 60, "threadId": 2 ** 40, "sourceReference": -7},
               {"memoryReference": "0xffffffff", "count": 2 ** 62, "offset": -2 ** 62, "instructionCount": 2 ** 62,
                "instructionOffset": -2 ** 62}, {"memoryReference": "nowhere"}, {"expression": "(" * 5000},
               {"filters": [1, "stop"], "filterOptions": [{"filterId": "stop", "condition": "&&"}]}]
        for command in commands:
            for arguments in odd:
                client.answer(client.send(command, **arguments))
        self.assertIn("dup_proc", [frame["name"] for frame in self.top(client, stop["threadId"])])

    def test_a_client_may_vanish_at_any_moment(self):
        for words in ((), ("initialize",), ("initialize", "launch"), ("initialize", "launch", "configurationDone")):
            client = self.client()
            for word in words:
                client.send(word, args=[*DEMO])
            client.process.stdin.close()
            self.assertEqual(client.process.wait(SECONDS), 0, words)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
