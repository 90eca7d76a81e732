#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the public headers say that each function may answer, as a C table for the tests of failures; and a look whether
those tests have a case for each function, whose `.call` calls it. Run by the build: a public function without a case fails it.
Inline functions need none if they can neither fail nor ask: they answer no int and call no function of the library."""
import argparse
import pathlib
import re
import sys

# Libraries of their own: the allocator on jemalloc fails as jemalloc does, the conformance kit has no allocator.
OTHER_LIBRARIES = ("jemalloc.h", "testing.h")


def headers_of(folder):
    files = sorted(folder.glob("*.h"))
    if not files:
        raise OSError(f"no headers in {folder}")
    return [(f.name, f.read_text()) for f in files if f.name not in OTHER_LIBRARIES]


def calls_in(body):
    return set(re.findall(r"\b(\w+)\(", re.sub(r"/\*.*?\*/", " ", body, flags=re.S)))


def error_codes(headers):
    """Name -> number."""
    text = dict(headers)["error.h"]
    return {name: int(n) for name, n in re.findall(r"^\s*X\((\w+), (\d+), ", text, re.M)}


def inline_functions(text):
    """(name, result type, body) of each."""
    for result, name, body in re.findall(r"^static inline ([\w *]*?)(\w+)\([^;{]*?\)\n\{\n(.*?)^\}", text, re.S | re.M):
        yield name, result.strip(), body


def functions(headers):
    """Name -> (header, the comment before it). Functions that follow one comment share it."""
    found = {}
    declared = {name for _, text in headers for name in re.findall(r"^RMAP_API (?!extern)[^;(]*?(\w+)\(", text, re.M)}
    for header, text in headers:
        for name, result, body in inline_functions(text):
            if result == "int" or calls_in(body) & declared:
                found[name] = (header, body)
        comment = ""
        for m in re.finditer(r"(/\*\*.*?\*/)|^RMAP_API (?!extern)[^;(]*?(\w+)\(", text, re.S | re.M):
            if m.group(1) and m.group(1).startswith("/**<"):
                continue
            if m.group(1):
                comment = re.sub(r"\n\s*\*", " ", m.group(1))
            else:
                found[m.group(2)] = (header, comment)
    return found


def codes_of(name, table, numbers, seen=()):
    """A bit for each error that the comment names, or that of a function does which it refers to ("as rmap_…")."""
    if name in seen or name not in table:
        return 0
    comment = table[name][1]
    mask = 0
    for word in re.findall(r"\b(?:RMAP_ERR_)?([A-Z_]+)\b", comment):
        mask |= 1 << numbers[word] if word in numbers else 0
    for other in re.findall(r"\bas (rmap_\w+)", comment):
        mask |= codes_of(other, table, numbers, (*seen, name))
    return mask


def reached_from(function, bodies):
    """What the function calls, itself or by others of its file."""
    reached, todo = set(), [function]
    while todo:
        new = calls_in(bodies.get(todo.pop(), "")) - reached
        reached |= new
        todo += new
    return reached


def cases(files):
    """(file, names, what its call reaches) of each case in the tables."""
    for f in files:
        text = f.read_text()
        bodies = {name: body for name, body in re.findall(r"^\w[\w *]*?(\w+)\([^;{]*?\)\n\{\n(.*?)^\}", text, re.S | re.M)}
        for entry in re.split(r"(?=\.names\s*=\s*\")", text)[1:]:
            literals = re.match(r"\.names\s*=\s*((?:\"[^\"]*\"\s*)+),", entry)
            call = re.search(r"\.call\s*=\s*(\w+)", entry)
            if not literals or not call:
                raise OSError(f"{f}: a case without names or call: {entry[:60]!r}")
            names = "".join(re.findall(r"\"([^\"]*)\"", literals.group(1))).split()
            yield f, names, reached_from(call.group(1), bodies)


def complaints(table, found):
    tried = set()
    for f, names, reached in found:
        tried.update(names)
        for name in names:
            if name not in table:
                yield f"{f.name}: {name}: a case names it, but it is no public function"
            elif name not in reached:
                yield f"{f.name}: {name}: the case that names it does not call it, not by its .call"
    for name in sorted(set(table) - tried):
        yield f"include/objrmap/{table[name][0]}: {name}: no case in tests/fault tries it"


def main():
    p = argparse.ArgumentParser(description=__doc__, epilog="exit status: 0, 1 (a function without a case), 2 (misuse)")
    p.add_argument("headers", type=pathlib.Path, help="folder of the public headers")
    p.add_argument("output", type=pathlib.Path, help="the C table to write")
    p.add_argument("cases", type=pathlib.Path, nargs="+", help="C files with tables of cases")
    a = p.parse_args()
    headers = headers_of(a.headers)
    numbers, table = error_codes(headers), functions(headers)
    wrong = list(complaints(table, cases(a.cases)))
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        return 1
    rows = [f'    {{"{name}", UINT32_C({codes_of(name, table, numbers):#x})}},\n' for name in sorted(table)]
    title = "/* Generated by fault/documented.py: the errors that each function's comment names. */\n"
    a.output.write_text(title + "".join(rows))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        print(f"documented.py: {error}", file=sys.stderr)
        sys.exit(2)
