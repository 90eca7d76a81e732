#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""@file bench/report.py  From rows to what can be read: one JSON file, a Markdown table, and the targets with what misses them.

usage: report.py ROWS... --json FILE [--machine KEY=VALUE]... [--quick] [--only NAME]

ROWS are files of JSON objects, one a line, as the program tests/bench/bench prints them: name, system, unit, and of ns, spread,
samples (by round), bytes, instructions, absent (why there is no figure) what there is. --only: a run of rows whose name begins
so, which is not asked about other targets.

Status 0: written; 1: the same, but a target's row is not there at all, not even as absent, or the table could not be written;
2: misuse, or rows that are none, or no JSON.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import sys

import targets as data

SYSTEMS = ("objrmap", "pv_chunk", "pte_chain", "anon_vma_chain", "flat_group", "anonmm", "full_scan", "raw", "kernel")
FIGURES = ("ns", "bytes", "instructions")
TITLES = {"ns": "Times", "bytes": "Bytes", "instructions": "Instructions (callgrind)"}


class BadRows(Exception):
    pass


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def check_row(row):
    """What is wrong with it, or None."""
    if not isinstance(row, dict):
        return "not an object"
    for key in ("name", "system"):
        if not isinstance(row.get(key), str) or not row[key]:
            return f"no {key}"
    for key in (*FIGURES, "spread"):
        if row.get(key) is not None and not number(row[key]):
            return f"{key} is no number"
    if not isinstance(row.get("samples", []), list) or not all(number(s) for s in row.get("samples", [])):
        return "samples are not numbers"
    if figure_of(row) is None and not isinstance(row.get("absent"), str):
        return "neither a figure nor why it is absent"
    return None


def figure_of(row):
    """The kind of figure that a row has, or None."""
    return next((kind for kind in FIGURES if row.get(kind) is not None), None)


def read_rows(paths):
    """Rows in their order. A contestant has one row of a name: said twice, it is an error."""
    rows, seen = [], set()
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line_number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise BadRows(f"{path}:{line_number}: {error}") from error
                wrong = check_row(row)
                if not wrong and (row["name"], row["system"]) in seen:
                    wrong = f"{row['name']} of {row['system']} a second time"
                if wrong:
                    raise BadRows(f"{path}:{line_number}: {wrong}")
                seen.add((row["name"], row["system"]))
                rows.append(row)
    return rows


def ratio(over, under):
    """(value, None): the median of the ratios by round; the figures' ratio without rounds to pair. (None, why): there is none."""
    for row in (over, under):
        if figure_of(row) is None:
            return None, f"{row['system']}: {row['absent']}"
    kind = figure_of(over)
    if figure_of(under) != kind:
        return None, f"{kind} of {over['system']}, {figure_of(under)} of {under['system']}"
    a, b = over.get("samples") or [], under.get("samples") or []
    if kind != "ns" or len(a) != len(b) or not a:
        a, b = [over[kind]], [under[kind]]
    for row, figures in ((over, a), (under, b)):
        if min(figures) <= 0:  # a difference that drowned in noise, or nothing that was kept: no ratio says anything
            return None, f"{row['system']}: a figure of 0 or less"
    return statistics.median(x / y for x, y in zip(a, b)), None


def judge(rows, wanted):
    """A dict for each target: value and met are None where rows are missing, and `why` says which."""
    found = {(row["name"], row["system"]): row for row in rows}
    out = []
    for target in wanted:
        pair = [found.get((target.row, system)) for system in (target.over, target.under)]
        missing = [s for s, row in zip((target.over, target.under), pair) if row is None]
        value, why = (None, "no row of " + ", ".join(missing)) if missing else ratio(*pair)
        met = None if value is None else data.RELATIONS[target.relation](value, target.limit)
        out.append({"name": target.name, "value": value, "relation": target.relation, "limit": target.limit, "met": met,
                    "note": target.note, "beside": target.beside})
        if why:
            out[-1]["why"] = why
    return out


def lost(rows, wanted):
    """Names of targets of which a row is missing without a word. What is absent with a reason is not lost."""
    found = {(row["name"], row["system"]) for row in rows}
    return [t.name for t in wanted if not {(t.row, t.over), (t.row, t.under)} <= found]


def json_lines(machine, quick, rows, judged):
    """One object; a row and a target a line, so that two runs can be compared by diff."""
    yield f'{{"machine": {json.dumps(machine)},\n"quick": {json.dumps(quick)},\n'
    for key, things in (("rows", rows), ("targets", judged)):
        yield f'"{key}": [\n' + ",\n".join(json.dumps(thing) for thing in things) + ("],\n" if key == "rows" else "]}\n")


def write_json(path, lines):
    """All of it or nothing: a file that was there before stays until the new one is whole. What is no file is written into."""
    if path.exists() and not path.is_file():
        path.write_text("".join(lines), encoding="utf-8")
        return
    path = path.resolve()
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        new.write_text("".join(lines), encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


# ---- Markdown ----


def shorten(value):
    """Three digits that count; whole numbers with commas above a hundred."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def spread_text(spread, value):
    """To the same place after the point as the value."""
    digits = shorten(value)
    places = len(digits.partition(".")[2])
    return f"{spread:,.{places}f}"


def cell(row):
    if row is None:
        return ""
    kind = figure_of(row)
    if kind is None:
        return "absent"
    text = shorten(row[kind])
    return f"{text} ± {spread_text(row['spread'], row[kind])}" if kind == "ns" and row.get("spread") is not None else text


def table(head, lines):
    yield "| " + " | ".join(head) + " |"
    yield "|---|---|" + "--:|" * (len(head) - 2)
    for line in lines:
        yield "| " + " | ".join(line) + " |"
    yield ""


def rows_tables(rows):
    """One table for each kind of figure: scenarios down, systems across, whoever else was there in the last column."""
    for kind in FIGURES:
        names = list(dict.fromkeys(row["name"] for row in rows if figure_of(row) == kind))
        if not names:
            continue
        mine = [row for row in rows if row["name"] in names and figure_of(row) in (kind, None)]
        columns = [s for s in SYSTEMS if any(row["system"] == s for row in mine)]
        others = any(row["system"] not in columns for row in mine)
        noted = any(name in data.ROW_NOTES for name in names)
        lines = []
        for name in names:
            here = {row["system"]: row for row in mine if row["name"] == name}
            unit = next((row["unit"] for row in here.values() if row.get("unit")), "")
            beside = ", ".join(f"{s} {cell(row)}" for s, row in here.items() if s not in columns)
            note = data.ROW_NOTES.get(name, "")
            lines.append([name, unit, *(cell(here.get(s)) for s in columns), *([beside] * others), *([note] * noted)])
        yield f"### {TITLES[kind]}"
        yield ""
        yield from table(["row", "unit", *columns, *(["beside"] * others), *(["what is counted"] * noted)], lines)


def absent_lines(rows):
    whys = {}
    for row in rows:
        if figure_of(row) is None:
            whys.setdefault((row["system"], row["absent"]), []).append(row["name"])
    if whys:
        yield "Absent: " + "; ".join(f"{system} in {', '.join(names)} ({why})" for (system, why), names in whys.items()) + "."
        yield ""


def judgement(targets):
    """A table, and below it how many are met and, one a line, which are not."""
    words = {True: "yes", False: "**no**", None: "not measured"}
    lines = []
    for t in targets:
        value = shorten(t["value"]) if t["value"] is not None else "-"
        lines.append([t["name"], t["note"], value, f"{t['relation']} {shorten(t['limit'])}", words[t["met"]]])
    yield from table(["target", "of what", "value", "limit", "met"], lines)
    yield f"{sum(t['met'] is True for t in targets)} of {len(targets)} are met."
    yield ""
    misses = [f"* missed: {t['name']} is {shorten(t['value'])}, wanted {t['relation']} {shorten(t['limit'])}" for t in targets
              if t["met"] is False]
    unknown = [f"* not measured: {t['name']}: {t['why']}" for t in targets if t["met"] is None]
    yield from misses + unknown
    if misses or unknown:
        yield ""


def target_lines(judged):
    for title, besides in (("Targets", False), ("Beside the targets: the same limits in neighbouring cases", True)):
        mine = [t for t in judged if t["beside"] == besides]
        if mine:
            yield f"### {title}"
            yield ""
            yield from judgement(mine)


def markdown(machine, quick, rows, judged):
    yield "Machine: " + "; ".join(f"{key} {value}" for key, value in machine.items()) + ("; --quick" if quick else "") + "."
    yield ("Times are medians of rounds in which the systems take turns, ± half the distance between the quartiles; "
           "a ratio is the median of the rounds' ratios.")
    yield ""
    yield from rows_tables(rows)
    yield from absent_lines(rows)
    yield from target_lines(judged)


def print_lines(lines):
    """Status 1 if stdout cannot be written: closed, a pipe that nobody reads, a full disk."""
    try:
        if sys.stdout is None:
            raise OSError("closed")
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()
    except OSError as error:
        print(f"report.py: stdout: {error}", file=sys.stderr)
        sys.stdout = None  # or it is flushed once more at the end
        return 1
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="+", metavar="ROWS")
    parser.add_argument("--json", required=True, metavar="FILE")
    parser.add_argument("--machine", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", metavar="NAME")
    arguments = parser.parse_args()
    machine = dict(pair.partition("=")[::2] for pair in arguments.machine)
    wanted = [t for t in data.TARGETS if t.row.startswith(arguments.only)]
    try:
        rows = read_rows(arguments.rows)
        if not rows:
            raise BadRows("there are no rows: " + " ".join(arguments.rows))
        judged = judge(rows, wanted)
        write_json(pathlib.Path(arguments.json), json_lines(machine, arguments.quick, rows, judged))
    except (BadRows, OSError, UnicodeDecodeError) as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 2
    status = print_lines(markdown(machine, arguments.quick, rows, judged))
    if missing := lost(rows, wanted):
        print("report.py: no row, not even an absent one, for the targets " + "; ".join(missing), file=sys.stderr)
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
