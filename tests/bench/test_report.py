#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""@file bench/test_report.py  What becomes of rows, on rows made up here: no target is met or missed by a slip of the
arithmetic, no figure goes missing on its way into table and plots. Prints TAP.
"""
import json
import os
import pathlib
import re
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


class Skip(Exception):
    """Why a case cannot be seen here."""


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


def a_figure_of_nothing_meets_no_target():
    """A difference of two times that drowned in noise, on either side, is not measured; never a ratio of 0."""
    for samples in ([0, 0, 0], [0, 5, 5], [-1, 5, 5]):
        for over, under in ((samples, [1, 2, 3]), ([1, 2, 3], samples)):
            (t,) = judged([row("x", "a", over), row("x", "b", under)], ("x", "a", "b", "<=", 1))
            assert t["value"] is None and t["met"] is None, t
            assert t["why"] == f"{'a' if over is samples else 'b'}: a figure of 0 or less", t
    for a, b in ((0, 0), (0, 7), (7, 0)):
        (t,) = judged([row("x", "a", bytes=a), row("x", "b", bytes=b)], ("x", "a", "b", "<=", 1))
        assert t["value"] is None and t["met"] is None, t


def time_is_not_compared_with_bytes():
    (t,) = judged([row("x", "a", [1]), row("x", "b", bytes=2)], ("x", "a", "b", "<=", 1))
    assert t["value"] is None and t["why"] == "ns of a, bytes of b", t


def targets_are_the_issues():
    """By name, relation and limit: a second copy, so that a limit is not moved by the way."""
    limits = {t.name: (t.relation, t.limit) for t in targets.TARGETS if not t.beside}
    wanted = {f"look/batch/{k}: objrmap/raw": ("<=", 1.0) for k in (1, 2, 10, 100, 1000)}
    wanted |= {f"look/single/{k}: objrmap/raw": ("<=", 1.6) for k in (1, 2, 10, 100, 1000)}
    wanted |= {"star/absent: objrmap/raw-full": ("<=", 0.5)}
    wanted |= {"fork: objrmap/pv_chunk": ("<=", 0.4), "fork: objrmap/full_scan": ("<=", 1.1)}
    wanted |= {"fork: objrmap/kernel": ("<=", 0.15)}
    wanted |= {"exit: objrmap/pv_chunk": ("<=", 0.4), "exit: objrmap/kernel": ("<=", 0.15)}
    wanted |= {"G1: flat_group/objrmap": (">=", 100), "G1: anonmm/objrmap": (">=", 1), "G1: anon_vma_chain/objrmap": (">", 1)}
    wanted |= {"two/dead: anonmm/objrmap": (">=", 100), "move/own: objrmap/kernel": ("<=", 1.0)}
    wanted |= {"bytes/1GiB-51: objrmap/pv_chunk": ("<=", 1 / 60), "host/fault: objrmap/bare": ("<=", 1.25)}
    wanted |= {"host/scan: objrmap/memfd": ("<=", 2.0)}
    assert limits == wanted, (limits.items() ^ wanted.items())
    limits = {t.name: (t.relation, t.limit) for t in targets.TARGETS if t.beside}
    wanted = {f"fork/{k}: objrmap/pv_chunk": ("<=", 0.4) for k in ("first", "shared")}
    wanted |= {f"fork/{k}: objrmap/full_scan": ("<=", 1.1) for k in ("first", "shared")}
    wanted |= {"fork/first: objrmap/kernel": ("<=", 0.15), "two/siblings: anonmm/objrmap": (">=", 100)}
    wanted |= {f"star{how}/{k}: objrmap/raw": ("<=", 0.5) for how in ("", "/single") for k in ("empty", "other")}
    wanted |= {"star/single/absent: objrmap/raw-full": ("<=", 0.5)}
    assert limits == wanted, (limits.items() ^ wanted.items())
    names = [t.name for t in targets.TARGETS]
    assert len(set(names)) == len(names) and all(t.note for t in targets.TARGETS)


def printed_by(text, name):
    """Does a C source with this text print a row of that name: as a literal, or by a format and its words and numbers?"""
    literals = set(re.findall(r'"((?:[^"\\\n]|\\.)*)"', text))
    if name in literals:
        return True
    for literal in literals:
        if "%" not in literal or not re.match(r"[a-z]", literal, re.IGNORECASE):
            continue
        pattern = re.escape(literal).replace("%s", "([^/]+)").replace("%u", "([0-9]+)")
        if match := re.fullmatch(pattern, name):
            return all(part in literals or (part.isdecimal() and re.search(rf"\b{part}\b", text)) for part in match.groups())
    return False


def every_target_is_of_a_row_that_is_measured():
    """A row that is renamed in C takes its target with it, and not away: tests/bench/run says so, and this without a run."""
    sources = [path.read_text(encoding="utf-8") for path in (*HERE.glob("scenario_*.c"), HERE / "host_fault.c")]
    lost = sorted({t.row for t in targets.TARGETS if not any(printed_by(text, t.row) for text in sources)})
    assert not lost, lost
    text = 'look("look/%s/%u", "single", 10); measure("fork/1", "x %s");'
    asked = ("fork/1", "fork/2", "fork", "look/single/10", "look/batch/10", "look/single/100", "look/single")
    assert [name for name in asked if printed_by(text, name)] == ["fork/1", "look/single/10"]


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
    lines = list(report.rows_tables([row("bytes/1GiB-51", "objrmap", bytes=5), row("bytes/space", "objrmap", bytes=3)]))
    assert lines[2] == "| row | unit | objrmap | what is counted |" and "16 B" in lines[4] and lines[5].endswith("|  |"), lines


def misses_are_listed_with_their_values():
    rows = [row("x", "a", [3]), row("x", "b", [1]), row("y", "a", absent="less than the noise"), row("y", "b", [1])]
    wanted = [targets.Target(name, "a", "b", "<=", 2, "a note", beside) for name in ("x", "y") for beside in (False, True)]
    lines = list(report.target_lines(report.judge(rows, wanted)))
    for first, title in ((0, "### Targets"), (len(lines) // 2, "### Beside the targets: the same limits in neighbouring cases")):
        assert lines[first] == title and lines[first + 4] == "| x: a/b | a note | 3.00 | <= 2.00 | **no** |", lines
        assert lines[first + 7:first + 12] == ["0 of 2 are met.", "", "* missed: x: a/b is 3.00, wanted <= 2.00",
                                               "* not measured: y: a/b: a: less than the noise", ""], lines


def run(text, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        rows, out = pathlib.Path(folder, "rows"), pathlib.Path(folder, "out.json")
        rows.write_text(text)
        out.write_text("[]")
        done = subprocess.run([sys.executable, HERE / "report.py", *(arguments or [rows, "--json", out])], capture_output=True,
                              text=True, check=False)
        assert sorted(path.name for path in pathlib.Path(folder).iterdir()) == ["out.json", "rows"], "what was temporary is there"
        return done, json.loads(out.read_text()) or None


def all_rows():
    """Of each target, all that it needs."""
    pairs = {(t.row, system) for t in targets.TARGETS for system in (t.over, t.under)}
    return [row(name, system, [1, 2]) for name, system in sorted(pairs)]


def as_text(rows):
    return "\n".join(json.dumps(r) for r in rows)


def the_program_writes_both():
    rows = [r for r in all_rows() if r["name"] != "fork" and r["system"] != "kernel"]
    rows += [row("fork", "objrmap", [1, 2]), row("fork", "pv_chunk", [10, 10]), row("fork", "full_scan", [1, 1])]
    rows += [row(name, "kernel", absent="not allowed") for name in ("fork", "fork/first", "exit", "move/own")]
    done, out = run(as_text(rows))
    assert done.returncode == 0 and not done.stderr, done
    assert len(out["rows"]) == len(rows) and len(out["targets"]) == len(targets.TARGETS) and out["quick"] is False, out
    by_name = {t["name"]: t for t in out["targets"]}
    assert by_name["fork: objrmap/pv_chunk"]["met"] is True and by_name["exit: objrmap/kernel"]["met"] is None
    mine = sum(not t.beside for t in targets.TARGETS)
    assert f" of {mine} are met." in done.stdout and f" of {len(targets.TARGETS) - mine} are met." in done.stdout, done.stdout


def a_target_without_a_row_is_a_failure():
    """Both sides, each of the targets; what there is is written all the same."""
    rows = all_rows()
    assert run(as_text(rows))[0].returncode == 0
    for gone in ("objrmap", "kernel"):
        done, out = run(as_text(r for r in rows if (r["name"], r["system"]) != ("exit", gone)))
        assert done.returncode == 1 and len(out["rows"]) == len(rows) - 1 and "### Targets" in done.stdout, done
        assert done.stderr.startswith("report.py: ") and len(done.stderr.splitlines()) == 1, done
        assert "exit: objrmap/kernel" in done.stderr and "fork" not in done.stderr, done


def a_table_that_cannot_be_written_is_a_failure_in_one_line():
    with tempfile.TemporaryDirectory() as folder:
        rows, out = pathlib.Path(folder, "rows"), pathlib.Path(folder, "out.json")
        command = [sys.executable, HERE / "report.py", rows, "--json", out]
        few = [r for r in all_rows() if r["name"].startswith("host")]  # less than a buffer: written at the end of all
        for made, only in ((all_rows(), ""), (few, "host")):
            rows.write_text(as_text(made))
            for where in (">&-", "> /dev/full", "| true"):
                script = f"unset PYTHONUNBUFFERED; set -o pipefail; (sleep 0.2; exec \"$@\") {where}"
                done = subprocess.run(["bash", "-c", script, "-", *command, "--only", only], capture_output=True, text=True,
                                      check=False)
                assert done.returncode == 1 and re.fullmatch(r"report.py: stdout: .*\n", done.stderr), (where, done)
                assert len(json.loads(out.read_text())["rows"]) == len(made)


def json_goes_where_it_is_wanted_whole_or_not_at_all():
    with tempfile.TemporaryDirectory() as folder:
        rows, link, out = (pathlib.Path(folder, name) for name in ("rows", "link", "out.json"))
        rows.write_text(as_text(all_rows()))
        link.symlink_to(out)
        done = subprocess.run([sys.executable, HERE / "report.py", rows, "--json", link], capture_output=True, check=False)
        assert done.returncode == 0 and link.is_symlink() and json.loads(out.read_text())["rows"], done
        before = out.read_text()
        script = 'ulimit -f 1; exec "$@"'  # as if the disk were full behind the first KiB
        command = [sys.executable, HERE / "report.py", rows, "--json"]
        done = subprocess.run(["bash", "-c", script, "-", *command, out], capture_output=True, check=False)
        assert done.returncode == 2 and out.read_text() == before and len(done.stderr.splitlines()) == 1, done
        assert sorted(path.name for path in pathlib.Path(folder).iterdir()) == ["link", "out.json", "rows"], "half a file is left"
        fifo = pathlib.Path(folder, "fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # has room for all of it
        subprocess.run([*command, fifo], stdout=subprocess.DEVNULL, check=True)
        with open(reader, encoding="utf-8") as file:
            assert fifo.is_fifo() and file.read() == before


def a_run_of_some_rows_has_their_targets():
    with tempfile.TemporaryDirectory() as folder:
        rows, out = pathlib.Path(folder, "rows"), pathlib.Path(folder, "out.json")
        rows.write_text(as_text(all_rows()))
        batches = {f"look/batch/{k}" for k in plots.MAPPERS}
        for only, names in (("fork", {"fork", "fork/first", "fork/shared"}), ("look/batch", batches), ("age", set())):
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
    keys = set(row("fork", "a", instructions=1))
    assert all(set(r) == keys for r in instructions.rows_of(DUMPS.splitlines(True))), keys
    try:
        rows = list(instructions.rows_of(DUMPS.replace("8192", "0").splitlines(True)))
    except ValueError:
        return
    assert False, rows


def counts_of_some_rows():
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "callgrind.out")
        for text, only, status, lines in ((DUMPS, "", 0, 2), (DUMPS, "instructions/look", 0, 1), (DUMPS, "fork", 3, 0),
                                          ("version: 1\n", "", 1, 0), (DUMPS.replace("8192", "0"), "", 1, 0)):
            file.write_text(text)
            done = subprocess.run([sys.executable, HERE / "instructions.py", file, only], capture_output=True, text=True,
                                  check=False)
            assert done.returncode == status and len(done.stdout.splitlines()) == lines, (only, done)
            assert len(done.stderr.splitlines()) == (status > 0), done


def made_up():
    systems = ("objrmap", "pv_chunk", "raw", "kernel")
    names = [f"look/{how}/{k}" for how in ("single", "batch") for k in plots.MAPPERS]
    names += ["fork", "fork/first", "exit", "G1", "two/dead"]
    rows = [row(name, s, [3 + i]) for name in names for i, s in enumerate(systems)]
    rows += [row("bytes/1GiB-51", s, bytes=2**20 * (1 + i)) for i, s in enumerate(systems[:2])]
    rows += [row("instructions/fork", s, instructions=50 + i) for i, s in enumerate(systems[:2])]
    rows += [row("fork", "stranger", [1]), row("exit", "anonmm", absent="too slow"), row("G1", "flat_group", [0, 0, 0])]
    return rows


def a_plot_shows_what_there_is():
    drawn = plots.scripts(made_up(), False)
    assert sorted(drawn) == ["bytes", "fork", "instructions", "lookup", "paths", "search"] and all(drawn.values()), drawn
    assert "written since" in drawn["fork"] and "is alive" not in drawn["fork"], drawn["fork"]
    assert '"fork" 3 4 5 6' in drawn["paths"] and "stranger" not in drawn["paths"], drawn["paths"]
    assert "10 3 4 5" in drawn["lookup"] and '1 "pv_chunk" 2' in drawn["bytes"] and '"fork" 50 51' in drawn["instructions"], drawn
    assert "--quick" in plots.scripts(made_up(), True)["bytes"] and "--quick" not in drawn["bytes"]
    assert set(plots.scripts([], False).values()) == {None}


def gnuplot_understands_it():
    """tests/bench/run installs gnuplot, the other builds do not want it."""
    if not shutil.which("gnuplot"):
        raise Skip("there is no gnuplot")
    with tempfile.TemporaryDirectory(suffix="it's \"here\"") as folder:
        run_file = pathlib.Path(folder, "run.json")
        run_file.write_text("".join(report.json_lines({"cpu": "none"}, False, made_up(), [])))
        done = subprocess.run([sys.executable, HERE / "plots.py", run_file, folder], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0 and not done.stderr, done
        for svg in ("lookup", "paths", "fork", "search", "bytes", "instructions"):
            text = pathlib.Path(folder, f"bench-{svg}.svg").read_text()
            assert "objrmap" in text and text.rstrip().endswith("</svg>") and len(text) < 60_000, svg


def the_command_refuses_misuse():
    for arguments in (["--fast"], ["fork"], ["--only"], ["--json"], ["--plots", ""], ["--json", "/nowhere/at/all.json"],
                      ["--json", f"{HERE}/"], ["--json", HERE], ["--json", f"{HERE}/new/"], ["--plots", f"{__file__}/new"],
                      ["--plots", __file__]):
        done = subprocess.run([HERE / "run", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and not done.stdout and done.stderr.startswith("tests/bench/run: "), (arguments, done)
    done = subprocess.run([HERE / "run", "--quick", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("usage: tests/bench/run"), done


def main():
    cases = [ratios_are_paired_by_round, rounds_that_cannot_be_paired_are_compared_by_their_medians, every_relation_at_its_limit,
             bytes_are_compared_as_they_are, what_is_missing_is_said, a_figure_of_nothing_meets_no_target,
             time_is_not_compared_with_bytes, targets_are_the_issues, every_target_is_of_a_row_that_is_measured,
             numbers_for_people, the_table_has_systems_across_and_strangers_last, misses_are_listed_with_their_values,
             the_program_writes_both, a_target_without_a_row_is_a_failure,
             a_table_that_cannot_be_written_is_a_failure_in_one_line, json_goes_where_it_is_wanted_whole_or_not_at_all,
             a_run_of_some_rows_has_their_targets, bad_rows_are_refused, misuse_is_refused,
             counts_belong_to_the_dump_that_was_asked_for, counts_of_some_rows, a_plot_shows_what_there_is,
             gnuplot_understands_it, the_command_refuses_misuse]
    failed = 0
    print(f"1..{len(cases)}")
    for i, case in enumerate(cases, 1):
        try:
            case()
            print(f"ok {i} - {case.__name__}")
        except Skip as why:
            print(f"ok {i} - {case.__name__} # SKIP {why}")
        except AssertionError as error:
            failed += 1
            print(f"# {error}"[:2000].replace("\n", "\n# "))
            print(f"not ok {i} - {case.__name__}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
