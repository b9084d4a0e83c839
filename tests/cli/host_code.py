#!/usr/bin/env python3
"""`--info code:ADDRESS`: each guest instruction of a block that ran often, in order, beside host code that disassembles.

Usage: host_code.py FORKSCOPE [unittest arguments]
"""

import json
import subprocess
import sys
import unittest

FUNCTION = "region_maybe_cow"


def code(*words):
    result = subprocess.run([sys.argv[1], "run", "--headless", "--serial", "none", "--append", "run=forkstorm 20", *words],
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    return result.returncode, result.stdout.decode(), result.stderr.decode()


class HostCode(unittest.TestCase):
    def test_stands_beside_the_guests(self):
        status, out, _ = code("--engine", "jit", "--info", f"code:{FUNCTION}", "--json")
        self.assertEqual(status, 0)
        report = json.loads(out)
        self.assertGreater(report["blocks"], 0)
        guest = [int(row["guest"], 16) for row in report["rows"] if row["guest"]]
        self.assertEqual(int(report["address"], 16), guest[0])
        self.assertGreater(len(guest), 3)
        self.assertEqual(guest, sorted(guest))
        self.assertNotIn("??", [row["code"] for row in report["rows"]] + [row["instruction"] for row in report["rows"]])
        first = report["rows"][0]
        self.assertEqual(first["instruction"], "(entry)")
        self.assertTrue(first["code"].startswith("sub    r12, "), first)  # its clocks, from those that are left

    def test_is_shown_to_people(self):
        status, out, _ = code("--engine", "jit", "--info", f"code:{FUNCTION}")
        self.assertEqual(status, 0)
        self.assertIn("(slow ways, exits)", out)
        self.assertIn(FUNCTION, out)

    def test_is_not_there_without_a_translator(self):
        status, out, _ = code("--engine", "block", "--info", f"code:{FUNCTION}", "--json")
        self.assertEqual((status, json.loads(out)["blocks"]), (0, 0))

    def test_of_nowhere_is_refused(self):
        status, _, err = code("--info", "code:no_such_function")
        self.assertEqual(status, 2)
        self.assertIn("no_such_function", err)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
