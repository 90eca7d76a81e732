#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""@file bench/test_report.py  What becomes of rows, on rows made up here: no target is met or missed by a slip of the
arithmetic, no figure goes missing on its way into table and plots. Prints TAP.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import instructions  # noqa: E402
import plots  # noqa: E402
import report  # noqa: E402
import targets  # noqa: E402


def row(name, system, samples=None, **more):
    made = {"name": name, "system": system, "unit": "ns/page", "ns": None, "spread": None, "bytes": None}
    made["samples"] = samples or []
    if samples:
        made |= {"ns": sorted(samples)[len(samples) // 2], "spread": 0.5}
    return made | more


def judged(rows, *wanted):
    return report.judge(rows, [targets.Target(*t) for t in wanted])


def ratios_are_paired_by_round():
    """The second round was slow for both. The ratio of medians is 4/8, the median of ratios is 3/4."""
    rows = [row("fork", "a", [3, 30, 4]), row("fork", "b", [4, 40, 8])]
    (t,) = judged(rows, ("fork", "a", "b", "<=", 0.75))
    assert (t["value"], t["met"], t["limit"], t["name"]) == (0.75, True, 0.75, "fork: a/b"), t
    assert "why" not in t, t


def rounds_that_cannot_be_paired_are_compared_by_their_medians():
    (t,) = judged([row("fork", "a", [1, 2, 3]), row("fork", "b", [4, 4])], ("fork", "a", "b", "<=", 1))
    assert t["value"] == 0.5, t


def every_relation_at_its_limit():
    rows = [row("x", "a", [2]), row("x", "b", [1])]
    met = [t["met"] for t in judged(rows, ("x", "a", "b", "<=", 2), ("x", "a", "b", ">=", 2), ("x", "a", "b", ">", 2),
                                    ("x", "a", "b", "<=", 1.99), ("x", "a", "b", ">=", 2.01), ("x", "a", "b", ">", 1.99))]
    assert met == [True, True, False, False, False, True], met


def bytes_are_compared_as_they_are():
    rows = [row("bytes/1GiB-51", "objrmap", bytes=5), row("bytes/1GiB-51", "pv_chunk", bytes=301)]
    (t,) = report.judge(rows, [t for t in targets.TARGETS if t.row == "bytes/1GiB-51"])
    assert abs(t["value"] - 5 / 301) < 1e-12 and t["met"] is True, t
    rows[1]["bytes"] = 299
    (t,) = report.judge(rows, [t for t in targets.TARGETS if t.row == "bytes/1GiB-51"])
    assert t["met"] is False, t


def what_is_missing_is_said():
    rows = [row("fork", "a", [1]), row("fork", "b", absent="not allowed here"), row("exit", "a", [1])]
    both = judged(rows, ("fork", "a", "b", "<=", 1), ("exit", "a", "b", "<=", 1), ("move", "a", "b", "<=", 1))
    assert [t["value"] for t in both] == [None] * 3 and [t["met"] for t in both] == [None] * 3, both
    assert [t["why"] for t in both] == ["b: not allowed here", "no row of b", "no row of a, b"], both


def nothing_is_divided_by_zero():
    for samples in ([0, 0, 0], [0, 5, 5], [-1, 5, 5]):
        (t,) = judged([row("x", "a", [1, 2, 3]), row("x", "b", samples)], ("x", "a", "b", "<=", 1))
        assert t["value"] is None and "0 or less" in t["why"], t
    (t,) = judged([row("x", "a", [0]), row("x", "b", [2])], ("x", "a", "b", "<=", 1))
    assert (t["value"], t["met"]) == (0, True), t
    (t,) = judged([row("x", "a", bytes=0), row("x", "b", bytes=0)], ("x", "a", "b", "<=", 1))
    assert t["value"] is None, t


def time_is_not_compared_with_bytes():
    (t,) = judged([row("x", "a", [1]), row("x", "b", bytes=2)], ("x", "a", "b", "<=", 1))
    assert t["value"] is None and t["why"] == "ns of a, bytes of b", t


def targets_are_the_issues():
    """By name, relation and limit: a second copy, so that a limit is not moved by the way."""
    limits = {t.name: (t.relation, t.limit) for t in targets.TARGETS}
    wanted = {f"look/batch/{k}: objrmap/raw": ("<=", 1.0) for k in (1, 2, 10, 100, 1000)}
    wanted |= {f"look/single/{k}: objrmap/raw": ("<=", 1.6) for k in (1, 2, 10, 100, 1000)}
    wanted |= {f"star/{k}: objrmap/raw": ("<=", 0.5) for k in ("absent", "empty", "other")}
    wanted |= {"fork: objrmap/pv_chunk": ("<=", 0.4), "fork: objrmap/full_scan": ("<=", 1.1)}
    wanted |= {"fork: objrmap/kernel": ("<=", 0.15)}
    wanted |= {"exit: objrmap/pv_chunk": ("<=", 0.4), "exit: objrmap/kernel": ("<=", 0.15)}
    wanted |= {"G1: flat_group/objrmap": (">=", 100), "G1: anonmm/objrmap": (">=", 1), "G1: anon_vma_chain/objrmap": (">", 1)}
    wanted |= {"two/dead: anonmm/objrmap": (">=", 100), "move/own: objrmap/kernel": ("<=", 1.0)}
    wanted |= {"bytes/1GiB-51: objrmap/pv_chunk": ("<=", 1 / 60), "host/fault: objrmap/bare": ("<=", 1.25)}
    wanted |= {"host/scan: objrmap/memfd": ("<=", 2.0)}
    assert limits == wanted, (limits.items() ^ wanted.items())
    assert len(targets.TARGETS) == len(wanted)


def numbers_for_people():
    said = [report.shorten(x) for x in (0, 0.01234, 0.5, 1.234, 12.34, 123.4, 12345.6, -3.21, 1 / 60)]
    assert said == ["0", "0.0123", "0.500", "1.23", "12.3", "123", "12,346", "-3.21", "0.0167"], said


def the_table_has_systems_across_and_strangers_last():
    rows = [row("fork", "objrmap", [12.5]), row("fork", "memcpy", [1]), row("fork", "raw", absent="no such thing"),
            row("exit", "pv_chunk", [1234])]
    lines = list(report.rows_tables(rows))
    assert lines[2] == "| row | unit | objrmap | pv_chunk | raw | beside |", lines
    assert lines[4] == "| fork | ns/page | 12.5 ± 0.5 |  | absent | memcpy 1.00 ± 0.50 |", lines
    assert lines[5] == "| exit | ns/page |  | 1,234 ± 0 |  |  |", lines
    assert list(report.absent_lines(rows))[0] == "Absent: raw in fork (no such thing).", list(report.absent_lines(rows))


def run(text, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        rows, out = pathlib.Path(folder, "rows"), pathlib.Path(folder, "out.json")
        rows.write_text(text)
        done = subprocess.run([sys.executable, HERE / "report.py", *(arguments or [rows, "--json", out])], capture_output=True,
                              text=True, check=False)
        return done, json.loads(out.read_text()) if out.exists() else None


def the_program_writes_both():
    text = "\n".join(json.dumps(r) for r in (row("fork", "objrmap", [1, 2]), row("fork", "pv_chunk", [10, 10])))
    done, out = run(text)
    assert done.returncode == 0 and not done.stderr, done
    assert len(out["rows"]) == 2 and len(out["targets"]) == len(targets.TARGETS) and out["quick"] is False, out
    by_name = {t["name"]: t for t in out["targets"]}
    assert by_name["fork: objrmap/pv_chunk"]["met"] is True and by_name["exit: objrmap/kernel"]["met"] is None
    assert f"1 of {len(targets.TARGETS)} targets are met." in done.stdout, done.stdout


def a_run_of_some_rows_has_their_targets():
    with tempfile.TemporaryDirectory() as folder:
        rows, out = pathlib.Path(folder, "rows"), pathlib.Path(folder, "out.json")
        rows.write_text(json.dumps(row("fork", "objrmap", [1, 2])))
        for only, names in (("fork", {"fork"}), ("look/batch", {f"look/batch/{k}" for k in plots.MAPPERS}), ("age", set())):
            command = [sys.executable, HERE / "report.py", rows, "--json", out, "--only", only]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            assert {t["name"].partition(":")[0] for t in json.loads(out.read_text())["targets"]} == names, done
            assert ("### Targets" in done.stdout) == bool(names), done


def bad_rows_are_refused():
    good = json.dumps(row("fork", "a", [1]))
    bad = ["", "\n", "not json", "[]", "3", '{"name": "x"}', json.dumps(row("", "a", [1])), json.dumps(row("x", "a")),
           json.dumps(row("x", "a", ns="fast")), json.dumps(row("x", "a", ns=True)), good.replace("0.5", "NaN"),
           json.dumps(row("x", "a", [1]) | {"samples": ["1"]}), good + "\n" + good]
    for text in bad:
        done, out = run(text)
        assert done.returncode == 2 and out is None and done.stderr.startswith("report.py: "), (text, done)
        assert len(done.stderr.splitlines()) == 1, done.stderr


def misuse_is_refused():
    for arguments in ([], ["/nowhere", "--json", "/dev/null"], ["/dev/null"], ["/dev/null", "--json", "/dev/null", "--fast"]):
        done, _ = run("", *(arguments or ["--json"]))
        assert done.returncode == 2 and done.stderr and not done.stdout, (arguments, done)


DUMPS = """version: 1
desc: Trigger: Program termination
summary: 0
totals: 17
desc: Trigger: Client Request: fork objrmap 4096
summary: 0
totals: 8192
desc: Trigger: Client Request: look/batch/10 raw 100
totals: 50
"""


def counts_belong_to_the_dump_that_was_asked_for():
    got = [(r["name"], r["system"], r["instructions"], r["unit"]) for r in instructions.rows_of(DUMPS.splitlines(True))]
    wanted = [("instructions/fork", "objrmap", 2.0, "per page"),
              ("instructions/look/batch/10", "raw", 0.5, "per entry")]
    assert got == wanted, got
    try:
        rows = list(instructions.rows_of(DUMPS.replace("8192", "0").splitlines(True)))
    except ValueError:
        return
    assert False, rows


def made_up():
    systems = ("objrmap", "pv_chunk", "raw", "kernel")
    names = [f"look/{how}/{k}" for how in ("single", "batch") for k in plots.MAPPERS]
    rows = [row(name, s, [3 + i]) for name in [*names, "fork", "exit", "G1", "two/dead"] for i, s in enumerate(systems)]
    rows += [row("bytes/1GiB-51", s, bytes=2**20 * (1 + i)) for i, s in enumerate(systems[:2])]
    rows += [row("instructions/fork", s, instructions=50 + i) for i, s in enumerate(systems[:2])]
    rows += [row("fork", "stranger", [1]), row("exit", "anonmm", absent="too slow"), row("G1", "flat_group", [0, 0, 0])]
    return rows


def a_plot_shows_what_there_is():
    drawn = plots.scripts(made_up(), False)
    assert sorted(drawn) == ["bytes", "instructions", "lookup", "paths", "search"] and all(drawn.values()), drawn
    assert '"fork" 3 4 5 6' in drawn["paths"] and "stranger" not in drawn["paths"], drawn["paths"]
    assert "10 3 4 5" in drawn["lookup"] and '1 "pv_chunk" 2' in drawn["bytes"] and '"fork" 50 51' in drawn["instructions"], drawn
    assert "--quick" in plots.scripts(made_up(), True)["bytes"] and "--quick" not in drawn["bytes"]
    assert set(plots.scripts([], False).values()) == {None}


def gnuplot_understands_it():
    """Nothing to see where there is no gnuplot: tests/bench/run installs it, the other builds do not want it."""
    if not shutil.which("gnuplot"):
        return
    with tempfile.TemporaryDirectory() as folder:
        run_file = pathlib.Path(folder, "run.json")
        run_file.write_text("".join(report.json_lines({"cpu": "none"}, False, made_up(), [])))
        done = subprocess.run([sys.executable, HERE / "plots.py", run_file, folder], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0 and not done.stderr, done
        for svg in ("lookup", "paths", "search", "bytes", "instructions"):
            text = pathlib.Path(folder, f"bench-{svg}.svg").read_text()
            assert "objrmap" in text and text.rstrip().endswith("</svg>") and len(text) < 60_000, svg


def the_command_refuses_misuse():
    for arguments in (["--fast"], ["fork"], ["--only"], ["--json"], ["--plots", ""], ["--json", "/nowhere/at/all.json"]):
        done = subprocess.run([HERE / "run", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and not done.stdout and done.stderr.startswith("tests/bench/run: "), (arguments, done)
    done = subprocess.run([HERE / "run", "--quick", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("usage: tests/bench/run"), done


def main():
    cases = [ratios_are_paired_by_round, rounds_that_cannot_be_paired_are_compared_by_their_medians, every_relation_at_its_limit,
             bytes_are_compared_as_they_are, what_is_missing_is_said, nothing_is_divided_by_zero, time_is_not_compared_with_bytes,
             targets_are_the_issues, numbers_for_people, the_table_has_systems_across_and_strangers_last, the_program_writes_both,
             a_run_of_some_rows_has_their_targets,
             bad_rows_are_refused, misuse_is_refused, counts_belong_to_the_dump_that_was_asked_for, a_plot_shows_what_there_is,
             gnuplot_understands_it, the_command_refuses_misuse]
    failed = 0
    print(f"1..{len(cases)}")
    for i, case in enumerate(cases, 1):
        try:
            case()
            print(f"ok {i} - {case.__name__}")
        except AssertionError as error:
            failed += 1
            print(f"# {error}"[:2000].replace("\n", "\n# "))
            print(f"not ok {i} - {case.__name__}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
