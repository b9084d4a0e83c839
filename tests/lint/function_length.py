#!/usr/bin/env python3
"""No function is longer than 60 lines (50 in the guest's C), from the first line of its signature to its closing brace.

C and C++ are read by their braces: comments, strings and preprocessor lines are blanked, then each opening brace outside of a
function is judged by the text before it: a scope (namespace, class), an initialiser, or a function's body.
"""

import ast
import re

import sources

LIMIT = 60
GUEST_LIMIT = 50

SCOPE = re.compile(r"^(?:inline\s+)?namespace\b|^extern\s*\"\"$|^export$")
TYPE = re.compile(r"^(?:typedef\s+|static\s+|const\s+|constexpr\s+|inline\s+|volatile\s+|extern\s+|friend\s+)*"
                  r"(?:class|struct|union|enum)\b[^()=]*$")
ATTRIBUTE = re.compile(r"\[\[[^\]]*\]\]|\b(?:alignas|__attribute__|__declspec|decltype|noexcept)\s*\((?:[^()]|\((?:[^()]|"
                       r"\([^()]*\))*\))*\)")
PREPROCESSOR = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.MULTILINE)
NAME = re.compile(r"([\w:~]+(?:<[^<>]*>)?|operator\s*\S+?)\s*\(")


def blank(text):
    """The text without comments, strings and preprocessor lines, every line in its place."""
    return PREPROCESSOR.sub(lambda match: "\n" * match.group(0).count("\n"), sources.without_comments(text))


def without_template(header):
    """The header without its leading template<…> parameter lists."""
    header = header.strip()
    while match := re.match(r"template\s*<", header):
        depth, end = 1, match.end()
        while depth and end < len(header):
            depth += {"<": 1, ">": -1}.get(header[end], 0)
            end += 1
        header = header[end:].strip()
    return re.sub(r"^requires\s+[\w:<>, ]+?\s(?=\w)", "", header)


def outside_parentheses(header):
    """The header with what stands in parentheses dropped, the parentheses kept."""
    kept, depth = [], 0
    for character in header:
        depth -= character == ")"
        if depth == 0:
            kept.append(character)
        depth += character == "("
    return "".join(kept)


def kind_of(header):
    """'scope', 'function', or 'initialiser' for the text before an opening brace."""
    header = ATTRIBUTE.sub("", without_template(header)).strip()
    if SCOPE.match(header) or TYPE.match(header):
        return "scope"
    plain = re.sub(r"operator\s*[^\s\w(]+", "operator", outside_parentheses(header))
    if "(" not in plain or re.search(r"(?<![=!<>])=(?!=)", plain):
        return "initialiser"
    # A constructor's list of members: `: member_` before the brace opens the member's initialiser, not the body.
    if re.search(r"\)\s*(?:const|noexcept|\s)*:(?!:)", plain) and not re.search(r"[)}]\s*$", plain):
        return "initialiser"
    return "function"


def functions(text):
    """(name, first line, last line) of each function defined in C or C++ text."""
    text = blank(text)
    start, stack = 0, []  # start: where the header under way begins; stack: (kind, where its header began)
    in_function, parentheses = 0, 0
    for position, character in enumerate(text):
        if character in "()":
            parentheses += 1 if character == "(" else -1
        elif character == "{":
            kind = "inner" if in_function else "initialiser" if parentheses > 0 else kind_of(text[start:position])
            stack.append((kind, start, parentheses))
            in_function += kind in ("function", "inner")
            parentheses = 0
            if kind == "scope":
                start = position + 1
        elif character == "}" and stack:
            kind, begun, parentheses = stack.pop()
            in_function -= kind in ("function", "inner")
            if kind == "function":
                yield describe(text, begun, position)
            if kind in ("function", "scope"):
                start = position + 1
        elif not in_function and parentheses == 0 and (character == ";" or access_label(text, start, position)):
            start = position + 1


def access_label(text, start, position):
    return text[position] == ":" and text[start:position].strip() in ("public", "private", "protected")


def describe(text, begun, end):
    first = begun + len(text[begun:end]) - len(text[begun:end].lstrip())
    name = NAME.search(without_template(text[first:end]))
    return name.group(1) if name else "?", text.count("\n", 0, first) + 1, text.count("\n", 0, end) + 1


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno


def check(root):
    for path in sources.files(root):
        if path.endswith(".py"):
            found = python_functions(sources.read(root, path) or "")
        elif path.endswith(sources.CXX + sources.C + (".ipp",)):
            found = functions(sources.read(root, path) or "")
        else:
            continue
        limit = GUEST_LIMIT if path.startswith("guest/") else LIMIT
        for name, first, last in found:
            if last - first + 1 > limit:
                yield f"{path}:{first}: {name} has {last - first + 1} lines, more than {limit}"


if __name__ == "__main__":
    sources.main(check)
