#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""@file bench/replay_rows.py  bench_replay plays a recorded program to its end on every system and on the pager, and prints rows.

usage: replay_rows.py BENCH_REPLAY SOURCE_ROOT

Prints TAP; times are not judged.
"""
import json
import pathlib
import subprocess
import sys


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=200, check=False)


def rows(program, trace, moves):
    """So many parts of recorded ranges change their place. Every system replays them, and has a time and bytes."""
    done = run(program, "--rounds", "1", trace)
    assert done.returncode == 0, done
    assert f" {moves} moves," in done.stderr, done.stderr
    name = f"replay/{trace.name.partition('.')[0]}"
    found = [json.loads(line) for line in done.stdout.splitlines()]
    systems = [row["system"] for row in found if row["name"] == name]
    assert systems[0] == "objrmap" and systems[-1] == "pager" and "full_scan" in systems, systems
    assert all(row["ns"] > 0 for row in found if row["name"] == name), found
    kept = {row["system"]: row["bytes"] for row in found if row["name"] == f"{name}/bytes"}
    assert list(kept) == systems[:-1] and kept["objrmap"] > 0 == kept["full_scan"], kept


def only(program, trace):
    done = run(program, "--rounds", "1", "--only", "replay/python-small/bytes", trace)
    names = {json.loads(line)["name"] for line in done.stdout.splitlines()}
    assert done.returncode == 0 and names == {"replay/python-small/bytes"}, done
    done = run(program, "--only", "fork", trace)
    assert done.returncode == 3 and not done.stdout and len(done.stderr.splitlines()) == 1, done


def misuse(program, trace):
    for arguments in ([], ["--quick"], ["--fast", trace], ["--rounds"], ["--rounds", "0", trace], ["--rounds", "1x", trace],
                      ["--rounds", "101", trace], [trace.parent], ["/nowhere"], [__file__]):
        done = run(program, *arguments)
        assert done.returncode == 2 and not done.stdout and done.stderr, (arguments, done)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    program, traces = sys.argv[1], pathlib.Path(sys.argv[2], "tests/replay")
    python, redis = traces / "python-small.trace.xz", traces / "redis-small.trace.xz"
    if "without liblzma" in run(program, "--rounds", "1", redis).stderr:
        print("1..0 # SKIP built without liblzma")
        return 0
    cases = {"a server that forks and moves": lambda: rows(program, python, 22),
             "a server that forks to save": lambda: rows(program, redis, 0),
             "--only": lambda: only(program, python), "misuse": lambda: misuse(program, redis)}
    failed = 0
    print(f"1..{len(cases)}")
    for i, (name, case) in enumerate(cases.items(), 1):
        try:
            case()
            print(f"ok {i} - {name}")
        except (AssertionError, LookupError, ValueError, subprocess.TimeoutExpired) as error:
            failed += 1
            print(f"not ok {i} - {name}\n# " + str(error)[:2000].replace("\n", "\n# "))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
