#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of tests/README.md is true: every test that it names exists, and every requirement, invariant and scenario has a row.

usage: scenario_table.py SOURCE_ROOT

A name is suite/test (in a file test_*.c that has the suite, where the test must stand as a word, or as the beginning of one if it ends
in "_" or "…"), suite or suite/ (such a file), a file or folder under tests/, or spin/<model>. A row whose last cell begins with "not yet" is
skipped, and says so. Scenario numbers come from the scenarios beside the
project; without those the rows that there are are checked. Prints TAP, one test a row; status 1 if one fails.
"""
import pathlib
import re
import sys

ROW = re.compile(r"\| (S\d+|INV-\d+|[A-H]\d+) \|(.*)\|(.*)\|$")
NAME = re.compile(r"`([^`]+)`")
SCENARIO = re.compile(r"\b([A-H]\d+) (?=[a-zA-Z0-9])")
REQUIRED = [f"S{n}" for n in range(1, 14)] + [f"INV-{n}" for n in range(1, 9)]


def suites(tests):
    """suite -> the text of its file; a file has its own name for a suite, and may have others"""
    text_of = {}
    for file in sorted(tests.rglob("test_*.c")):
        text = file.read_text()
        for suite in {file.stem.removeprefix("test_"), *re.findall(r"RMAP_TEST\((\w+),", text)}:
            text_of[suite] = text_of.get(suite, "") + text
    return text_of


def exists(name, tests, text_of):
    if name.startswith("-"):  # an option of an example, in a row that names examples.sh
        return True
    if (tests / name).exists() or (tests.parent / name).exists() or (tests / f"{name}.pml").exists():
        return True
    suite, _, test = name.partition("/")
    if suite not in text_of:
        return False
    word = re.escape(test.rstrip("…"))
    end = "" if not test or test[-1] in "_…" else r"\b"
    # Names that macros join with their suite's stand in the source with or without the prefix of the scenario.
    return re.search(rf"\b{word}{end}", text_of[suite]) is not None


def wanted(root):
    scenarios = root.parent / "shared" / "SCENARIOS.md"
    if not scenarios.exists():
        return REQUIRED
    text = scenarios.read_text()
    return REQUIRED + list(dict.fromkeys(SCENARIO.findall(text[text.index("## A.") :])))


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__, file=sys.stderr)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    root = pathlib.Path(sys.argv[1]).resolve()
    tests = root / "tests"
    text_of = suites(tests)
    rows, later = {}, {}
    for line in (tests / "README.md").read_text().splitlines():
        if match := ROW.match(line):
            rows.setdefault(match[1], []).extend(NAME.findall(match[3]))
            if match[3].strip().startswith("not yet"):
                later[match[1]] = match[3].strip()
    ids = list(dict.fromkeys(wanted(root) + list(rows)))
    print(f"1..{len(ids)}")
    bad = 0
    for number, row in enumerate(ids, 1):
        if row in later:
            print(f"ok {number} - {row} # SKIP {later[row]}")
            continue
        names = rows.get(row, [])
        wrong = [name for name in names if not exists(name, tests, text_of)]
        for name in wrong:
            print(f"# {row}: there is no test {name}")
        if not names:
            print(f"# {row}: no test is named")
        good = names and not wrong
        bad += not good
        print(f"{'ok' if good else 'not ok'} {number} - {row}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
