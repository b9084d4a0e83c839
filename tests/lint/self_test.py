#!/usr/bin/env python3
"""The checks find what they are there to find, and leave alone what is right."""

import os
import subprocess
import tempfile
import unittest

import commits
import contracts
import function_length
import include_rules
import portable
import sources
import structure
import test_names

HEADER = "// Owns: nothing.\n// Callers: none.\n"


class Tree(unittest.TestCase):
    """A project in a temporary directory."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.root = self.directory.name

    def tearDown(self):
        self.directory.cleanup()

    def put(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def found(self, check, about):
        return [line for line in check.check(self.root) if line.startswith(about)]


class Portable(Tree):
    def violations(self, path, text):
        self.put(path, text)
        return len(self.found(portable, path))

    def test_the_core_includes_what_every_target_has(self):
        self.assertEqual(self.violations("cpu/a.cpp", "#include <vector>\n#include \"cpu/a.hpp\"\n"), 0)
        self.assertEqual(self.violations("cpu/b.cpp", "#include <unistd.h>\n"), 1)
        self.assertEqual(self.violations("emu/symbols/b.cpp", "#include <elfutils/libdw.h>\n"), 1)
        self.assertEqual(self.violations("emu/ui/b.cpp", "#include <unistd.h>\n"), 0)

    def test_nothing_that_a_library_of_the_browser_lacks(self):
        self.assertEqual(self.violations("mmu/a.cpp", "int a = std::bit_cast<int>(b); // std::bit_cast\n"), 1)
        self.assertEqual(self.violations("mmu/b.cpp", "int a = __builtin_bit_cast(int, b);\n"), 0)
        self.assertEqual(self.violations("mmu/c.cpp", "unsigned long a;\nlong long b;\nunsigned long long c;\n"), 1)

    def test_the_hosts_instructions_have_their_places(self):
        self.assertEqual(self.violations("cpu/c.cpp", 'asm volatile("nop");\n'), 1)
        self.assertEqual(self.violations("cpu/d.cpp", "auto a = _mm_add_ps(b, c);\n"), 1)
        guarded = '#if defined(__x86_64__)\nvoid f() { asm volatile("nop"); }\n#endif\n'
        self.assertEqual(self.violations("cpu/numbers/float80_fast.hpp", guarded), 0)
        self.assertEqual(self.violations("cpu/numbers/float80_fast.hpp", guarded.replace("#if", "//")), 1)


class TestNames(unittest.TestCase):
    def found(self, *names):
        return list(test_names.violations("".join(f"  Test #{n}: {name}\n" for n, name in enumerate(names, 1))))

    def test_words_are_names(self):
        self.assertEqual(self.found("Mmu.Walks", "On/Duel.Agrees/i386_fifo", "lint.structure"), [])

    def test_bytes_indexes_and_comments_are_none(self):
        self.assertEqual(len(self.found("A/B.C/1-byte object <00>", "A/B.C/0", "A/B.C/i386  # GetParam() = i386")), 3)

    def test_no_tests_are_noticed(self):
        self.assertEqual(len(self.found()), 1)


class IncludeRules(Tree):
    def edge(self, path, include, exists=""):
        if exists:
            self.put(exists, HEADER)
        self.put(path, f"#include {include}\n")
        return self.found(include_rules, path)

    def test_a_room_may_include_what_lies_beneath_it(self):
        self.assertEqual(self.edge("cpu/cpu.cpp", '"mmu/mmu.hpp"', "mmu/mmu.hpp"), [])
        self.assertEqual(self.edge("devices/pic/pic.cpp", '"mmu/bus.hpp"', "mmu/bus.hpp"), [])
        self.assertEqual(self.edge("guest/kernel/trap.c", '"../abi/ports.h"', "guest/abi/ports.h"), [])
        self.assertEqual(self.edge("tests/unit/cpu.cpp", '"cpu/cpu.hpp"', "cpu/cpu.hpp"), [])

    def test_no_room_includes_upwards_or_sideways(self):
        for path, target in (("mmu/a.cpp", "cpu/cpu.hpp"), ("cpu/a.cpp", "devices/pic/pic.hpp"),
                             ("devices/a.cpp", "cpu/cpu.hpp"), ("devices/b.cpp", "mmu/tlb/tlb.hpp"),
                             ("emu/base/a.cpp", "mmu/bus.hpp"), ("emu/observe/a.cpp", "cpu/cpu.hpp"),
                             ("emu/observe/b.cpp", "emu/machine/machine.hpp"), ("emu/machine/a.cpp", "emu/ui/window.hpp"),
                             ("emu/view/a.cpp", "emu/report/html.hpp"), ("emu/symbols/a.cpp", "emu/observe/a.hpp"),
                             ("emu/trace/a.cpp", "emu/symbols/a.hpp"), ("emu/session/a.cpp", "emu/cli/a.hpp"), ("guest/kernel/a.c", "emu/base/types.hpp"),
                             ("cpu/b.cpp", "tests/unit/fixture.hpp")):
            with self.subTest(path=path):
                self.assertEqual(len(self.edge(path, f'"{target}"', target)), 1)

    def test_a_relative_path_is_no_way_round(self):
        self.assertEqual(len(self.edge("mmu/a.cpp", '"../cpu/cpu.hpp"', "cpu/cpu.hpp")), 1)

    def test_view_alone_disassembles(self):
        for room in ("cpu", "emu/machine", "emu/ui", "emu/cli"):
            self.assertEqual(len(self.edge(f"{room}/a.cpp", "<capstone/capstone.h>")), 1, room)
        for room in ("emu/view", "tests"):
            self.assertEqual(self.edge(f"{room}/a.cpp", "<capstone/capstone.h>"), [], room)

    def test_the_core_knows_no_window_thread_or_host_memory(self):
        for name in ("SDL2/SDL.h", "SDL.h", "spdlog/sinks/basic_file_sink.h", "thread", "sys/mman.h",
                     "chrono", "mutex"):
            with self.subTest(name=name):
                self.assertEqual(len(self.edge("emu/machine/a.cpp", f"<{name}>")), 1)
                self.assertEqual(self.edge("emu/ui/a.cpp", f"<{name}>"), [])
        self.assertEqual(self.edge("emu/base/log.hpp", "<spdlog/spdlog.h>"), [])
        self.assertEqual(len(self.edge("emu/base/clock.hpp", "<spdlog/spdlog.h>")), 1)

    def test_the_rings_of_the_guest_meet_in_the_abi(self):
        server = "guest/personality/minix/servers/vm/a.c"
        for path, target, count in ((server, "guest/kernel/memory/frames.h", 1), (server, "guest/kernel/layout.h", 0),
                                    (server, "guest/personality/minix/abi/ipc.h", 0),
                                    (server, "guest/user/lib/string.h", 0), (server, "guest/personality/minix/proc.h", 1),
                                    ("guest/personality/minix/proc.c", "guest/personality/minix/servers/vm/vm.h", 1),
                                    ("guest/kernel/a.c", "guest/user/lib/string.h", 1),
                                    ("guest/user/a.c", "guest/kernel/process/process.h", 1)):
            self.assertEqual(len(self.edge(path, f'"{target}"', target)), count, (path, target))

    def test_the_guest_is_freestanding(self):
        self.assertEqual(self.edge("guest/kernel/a.c", "<stdint.h>"), [])
        self.assertEqual(len(self.edge("guest/kernel/a.c", "<stdio.h>")), 1)
        self.assertEqual(len(self.edge("guest/kernel/a.c", '"absent.h"')), 1)

    def test_an_include_in_a_comment_counts_for_nothing(self):
        self.put("mmu/a.cpp", '// #include <thread>\n/*\n#include <thread>\n*/\n')
        self.assertEqual(self.found(include_rules, "mmu/a.cpp"), [])

    def test_observe_holds_the_mmu_only_as_const(self):
        self.put("emu/observe/a.hpp", "void look(const Mmu& mmu, const Tlb* tlb);\n")
        self.assertEqual(self.found(include_rules, "emu/observe/a.hpp"), [])
        self.put("emu/observe/a.hpp", "void poke(Mmu& mmu);\n")
        self.assertEqual(len(self.found(include_rules, "emu/observe/a.hpp")), 1)

    def test_a_cycle_of_files_is_found(self):
        self.put("mmu/a.hpp", '#include "mmu/b.hpp"\n')
        self.put("mmu/b.hpp", '#include "mmu/c.hpp"\n')
        self.put("mmu/c.hpp", '#include "mmu/a.hpp"\n')
        self.assertEqual(self.found(include_rules, "cycle"), ["cycle: mmu/a.hpp -> mmu/b.hpp -> mmu/c.hpp -> mmu/a.hpp"])


class Structure(Tree):
    def lines_about(self, text, path="mmu/a.cpp"):
        self.put(path, text)
        return self.found(structure, path + ":")

    def test_right_files_pass(self):
        self.assertEqual(self.lines_about("int a; // why it is so; see #12\n"), [])
        self.assertEqual(self.lines_about(HEADER + "#pragma once\n", "mmu/a.hpp"), [])
        self.assertEqual(self.lines_about("/* Owns: a.\n * Callers: b. */\n", "guest/kernel/a.h"), [])
        self.assertEqual(self.lines_about("    *a = b;\n    *c = d;\n", "guest/kernel/a.c"), [])

    def test_headers_open_with_a_short_comment(self):
        self.assertEqual(len(self.lines_about("#pragma once\n", "mmu/a.hpp")), 1)
        self.assertEqual(len(self.lines_about("// line\n" * 6, "mmu/a.hpp")), 1)
        self.assertEqual(len(self.lines_about("/* a\n" + " * b\n" * 5 + " */\n", "guest/abi/a.h")), 1)

    def test_lengths_are_limited(self):
        self.assertEqual(len(self.lines_about("int a;\n" * 601)), 1)
        self.assertEqual(self.lines_about("ROW(1)\n" * 601, "cpu/decode/opcodes.def"), [])
        self.assertEqual(len(self.lines_about("word\n" * 91, "mmu/README.md")), 1)
        self.assertEqual(len(self.lines_about("word\n" * 251, "ARCHITECTURE.md")), 1)

    def test_prose_is_wrapped(self):
        wide = "word " * 26 + "word\n"
        self.assertEqual(len(self.lines_about(wide, "mmu/README.md")), 1)
        for text in ("| " + wide, "```\n" + wide + "```\n", "    " + wide):
            self.assertEqual(self.lines_about(text, "mmu/README.md"), [])

    def test_what_no_line_may_hold(self):
        unfinished = "TO" + "DO"
        for line in (f"// {unfinished}: later", "int a; ", "// see /" + "work/shared/x", "// " + "=" * 20,
                     "// ---- Part two " + "-" * 12, "// from deb" + ".debian.org", "#if 0",
                     "// a = b;\n// call(c);", "// if (a) {\n// }"):
            with self.subTest(line=line):
                self.assertEqual(len(self.lines_about(line + "\n")), 1)
        self.assertEqual(self.lines_about(f"// {unfinished} (#7): later\n"), [])
        self.assertEqual(self.lines_about("// Ends the run;\n// and so on.\n"), [])
        self.assertEqual(len(self.lines_about("int a;")), 1)

    def test_a_document_that_is_named_exists(self):
        absent = "PLAN" + ".md"
        self.put("mmu/README.md", "See paging.md.\n")
        self.put("docs/paging.md", "Paging.\n")
        self.assertEqual(self.lines_about("// see mmu/README.md, paging.md\n"), [])
        self.assertEqual(len(self.lines_about(f"// see {absent}\n")), 1)

    def test_rooms_have_readmes_and_the_top_level_is_closed(self):
        self.put("mmu/a.cpp", "int a;\n")
        self.put("scratch/a.txt", "a\n")
        self.put("emu/utils/a.cpp", "int a;\n")
        self.assertEqual(len(self.found(structure, "mmu: has no README")), 1)
        self.assertEqual(len(self.found(structure, "scratch:")), 1)
        self.assertEqual(len(self.found(structure, "emu/utils/a.cpp:")), 1)

    def test_a_full_folder_is_reported(self):
        for number in range(26):
            self.put(f"mmu/walk/{number}.cpp", "int a;\n")
        self.assertEqual(len(self.found(structure, "mmu/walk: 26 files")), 1)


class FunctionLength(Tree):
    def lengths(self, text):
        return {name: last - first + 1 for name, first, last in function_length.functions(text)}

    def test_functions_are_found_in_every_dress(self):
        text = """
namespace a::b {
enum class E : unsigned char { A = 1, B };
struct S : Base<int> {
    S(int x) : x_{x}, y_(x) {
        z();
    }
    bool operator==(const S& other) const { return x_ == other.x_; }
    int get() const noexcept(true) override {
        return 1;
    }
  private:
    int x_ = {}, y_{1};
    std::vector<int> table_ = {1, 2, 3};
};
template <class T, int N = 3> auto S::make(T t = T{}) -> std::vector<T> {
    const char* s = "{"; // }
    auto lambda = [&](int a) { return '}'; };
    char brace = '{';
    return {t};
}
constexpr u8 kTable[] = {
    f(1),
};
#define BODY(x) { x
extern "C" {
int main(void)
{
    if (a) {
        b = 1'000;
    }
}
}
TEST(Pit, Counts) {
}
}
"""
        self.assertEqual(self.lengths(text), {"S": 3, "operator==": 1, "get": 3, "S::make": 6, "main": 6, "TEST": 2})

    def test_long_functions_are_reported_and_the_guest_has_less_room(self):
        def body(lines):
            return "void f(void) {\n" + "    g();\n" * (lines - 2) + "}\n"
        for path, lines, count in (("mmu/a.cpp", 60, 0), ("mmu/a.cpp", 61, 1), ("guest/kernel/a.c", 50, 0),
                                   ("guest/kernel/a.c", 51, 1)):
            with self.subTest(path=path, lines=lines):
                self.put(path, body(lines))
                self.assertEqual(len(self.found(function_length, path)), count)

    def test_python_is_read_too(self):
        self.put("tests/a.py", "def f():\n" + "    g()\n" * 60)
        self.assertEqual(len(self.found(function_length, "tests/a.py")), 1)


class Contracts(Tree):
    def found_with(self, header, source, name="guest/kernel/a.h"):
        self.put(name, "/* Owns: a. */\n#define A_H\n\n" + header)
        self.put("guest/kernel/a.c", f'#include "{name}"\n\n' + source)
        return self.found(contracts, "guest/kernel/a.c:")

    def test_a_contract_stands_once(self):
        declaration, definition = "int give(int a);\n", "int give(int a) {\n    return a;\n}\n"
        comment, shared = "/* Gives. */\n", "/* Both give. */\nint take(\n    int a);\n"
        for header, source, count in ((comment + declaration, definition, 0), (declaration, comment + definition, 0),
                                      (comment + declaration, comment + definition, 1),
                                      (shared + declaration, comment + definition, 1),
                                      ("/* a.c */\n\n" + declaration, comment + definition, 0),
                                      (comment + declaration, comment + "static " + definition, 0)):
            with self.subTest(header=header, source=source):
                self.assertEqual(len(self.found_with(header, source)), count)

    def test_the_door_of_personalities_may_say_it_twice(self):
        header, source = "/* Gives. */\nint give(void);\n", "/* Door: gives. */\nint give(void) {\n}\n"
        self.assertEqual(self.found_with(header, source, contracts.DOOR), [])


class Commits(Tree):
    def test_titles(self):
        for title in ("mmu: Add the walk", "mmu, devices: Draw the doors", "emu/base: Say it", "cpu: #UD for LOCK NOP"):
            self.assertIsNone(commits.judge(title), title)
        for title in ("Add the walk", "mmu: add the walk", "mmu: Add the walk.", "kitchen: Add a sink", "mmu: ", "wip",
                      "mmu: " + "A" * 70):
            self.assertIsNotNone(commits.judge(title), title)

    def test_without_a_history_the_check_is_skipped(self):
        with self.assertRaises(sources.Skip):
            list(commits.check(self.root))


class Program(Tree):
    def test_exit_codes_tell_violations_from_none(self):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "include_rules.py")

        def status():
            return subprocess.run(["python3", program, "--root", self.root], capture_output=True, check=False).returncode
        self.put("mmu/a.cpp", "#include <vector>\n")
        self.assertEqual(status(), 0)
        self.put("mmu/a.cpp", "#include <thread>\n")
        self.assertEqual(status(), 1)


if __name__ == "__main__":
    unittest.main()
