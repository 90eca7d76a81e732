#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The program bench prints what the report reads: one JSON object a line, a row for each system. Times are not judged.

usage: smoke.py BENCH
Prints TAP; status 1 if something fails.
"""
import json
import subprocess
import sys

KEYS = {"name", "unit", "system", "ns", "spread", "samples", "bytes"}


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=100)


def rows(program, *arguments):
    done = run(program, "--quick", "--rounds", "2", *arguments)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(row) - {"absent"} == KEYS for row in found), found
    return found


def systems_of(program):
    return [row["system"] for row in rows(program, "--only", "bytes/region")]


def times(program):
    systems = systems_of(program)
    found = rows(program, "--only", "fork/1")
    assert "objrmap" in systems and "full_scan" in systems, systems
    assert [(row["name"], row["system"]) for row in found] == [("fork/1", s) for s in systems], found
    for row in found:
        assert len(row["samples"]) == 2 and min(row["samples"]) > 0, row
        assert min(row["samples"]) <= row["ns"] <= max(row["samples"]) and row["bytes"] is None, row
        assert row["unit"] == "ns/call" and "absent" not in row, row


def bytes_kept(program):
    for row in rows(program, "--only", "bytes/region"):
        assert row["name"] == "bytes/region" and row["ns"] is None and row["samples"] == [], row
        assert row["bytes"] >= 0, row


def prefix(program):
    names = {row["name"] for row in rows(program, "--only", "move/")}
    assert names == {"move/own", "move/copy", "move/track"}, names


def misuse(program):
    for arguments in (["--rounds", "0"], ["--rounds", "x"], ["--what"], ["word"]):
        done = run(program, *arguments)
        assert done.returncode == 2 and not done.stdout and done.stderr, (arguments, done)
    assert run(program, "--list").returncode == 0


def no_row(program):
    done = run(program, "--only", "nothing")
    assert done.returncode == 3 and not done.stdout and "no row begins with" in done.stderr.splitlines()[-1], done


def full_disk(program):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([program, "--quick", "--only", "bytes/region"], stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=100)
    assert done.returncode == 1 and "rows are lost" in done.stderr, done


CASES = {
    "a row of times for each system": times,
    "rows of bytes": bytes_kept,
    "--only takes beginnings of names": prefix,
    "misuse is refused": misuse,
    "--only that names no row has a status of its own": no_row,
    "rows that cannot be written are no success": full_disk,
}


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__, file=sys.stderr)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    failed = 0
    print(f"1..{len(CASES)}")
    for number, (name, case) in enumerate(CASES.items(), 1):
        try:
            case(sys.argv[1])
            print(f"ok {number} {name}")
        except (AssertionError, ValueError, KeyError, subprocess.TimeoutExpired) as why:
            failed += 1
            print(f"not ok {number} {name}\n# {str(why)[:2000]}".replace("\n", "\n# ").replace("# # ", "# "))
    return failed > 0


sys.exit(main())
