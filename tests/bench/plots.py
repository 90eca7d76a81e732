#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""@file bench/plots.py  Draws a benchmark's JSON (report.py) as SVG, by gnuplot.

usage: plots.py FILE.json DIRECTORY

Writes bench-lookup.svg, bench-paths.svg, bench-fork.svg, bench-search.svg, bench-bytes.svg and
bench-instructions.svg; one that has no rows is left out, and named. Status 0: drawn; 1: gnuplot failed; 2: misuse.
"""
import json
import math
import pathlib
import subprocess
import sys

from report import shorten

# Colours that those who see few colours can tell apart (Okabe and Ito, 2008), and greys for what is no rival.
COLOURS = {"objrmap": "#d55e00", "pv_chunk": "#0072b2", "pte_chain": "#56b4e9", "anon_vma_chain": "#009e73",
           "flat_group": "#e69f00", "anonmm": "#cc79a7", "full_scan": "#f0e442", "raw": "#000000", "kernel": "#808080"}
HEAD = """set terminal svg size {width},{height} font 'sans-serif,13' noenhanced background '#ffffff'
set datafile missing '?'
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
set key outside right top Left reverse samplen 2
"""
MAPPERS = (1, 2, 10, 100, 1000)
HOT = {"fork": "fork", "exit": "exit", "fault": "first touch", "cow": "copy on write", "move": "own move",
       "look/single/1": "look-up,\\n1 mapper", "look/single/10": "look-up,\\n10 mappers",
       "look/batch/10": "look-ups in batch,\\n10 mappers", "unmap/10": "unmap in batch,\\n10 mappers"}


class Figures:
    """Rows by name and system, of one kind of figure."""

    def __init__(self, rows, kind):
        self.of = {(r["name"], r["system"]): r[kind] for r in rows if r.get(kind) is not None and r[kind] > 0}

    def systems(self, names):
        return [s for s in COLOURS if any((name, s) in self.of for name in names)]

    def present(self, names):
        return [name for name in names if any((name, s) in self.of for s in COLOURS)]

    def text(self, name, system):
        return f"{self.of[name, system]:.6g}" if (name, system) in self.of else "?"


def block(label, lines):
    return f"${label} << END\n" + "\n".join(lines) + "\nEND\n"


def style(system):
    return f"lc rgb '{COLOURS[system]}'"


def over_mappers(figures, title, parts):
    """Curves over the number of mappers, a panel for each of `parts`: (word in the rows' names, heading)."""
    names = [f"look/{word}/{k}" for word, _ in parts for k in MAPPERS]
    systems = figures.systems(names)
    if not systems:
        return None
    out = HEAD.format(width=1040, height=430)
    for word, _ in parts:
        rows = [" ".join([str(k)] + [figures.text(f"look/{word}/{k}", s) for s in systems]) for k in MAPPERS]
        out += block(word, rows)
    out += f"set multiplot layout 1,2 title '{title}'\nset logscale xy\nset xrange [0.8:1300]\nset xlabel 'mappers of a page'\n"
    out += "set xtics (1, 2, 10, 100, 1000)\nset style data linespoints\nset tmargin at screen 0.82\nset bmargin at screen 0.15\n"
    values = [figures.of[key] for key in figures.of if key[0] in names]
    out += f"set yrange [{min(values) / 2:.3g}:{max(values) * 2:.3g}]\n"  # the same in both
    for i, (word, heading) in enumerate(parts):
        out += f"set lmargin at screen {0.10 + 0.37 * i:.2f}\nset rmargin at screen {0.41 + 0.37 * i:.2f}\n"
        out += "set key at screen 0.99,0.82 right top\n" if i else "unset key\n"
        curves = [f"${word} using 1:{n} title '{s}' {style(s)} lw {3 if s in ('objrmap', 'raw') else 1.5} pt {n + 3} ps 0.6"
                  + (" dt 2" if s == "raw" else "") for n, s in enumerate(systems, 2)]
        out += f"set title '{heading}'\nset ylabel '{'ns per entry' if not i else ''}'\nplot " + ", ".join(curves) + "\n"
    return out + "unset multiplot\n"


def grouped_bars(figures, title, ylabel, groups):
    """Bars side by side; `groups` is row -> what is written below."""
    names = figures.present(groups)
    systems = figures.systems(names)
    if not systems:
        return None
    out = HEAD.format(width=max(620, 300 + 140 * len(names)), height=430)
    out += block("data", [f'"{groups[name]}" ' + " ".join(figures.text(name, s) for s in systems) for name in names])
    out += f"set title '{title}'\nset ylabel '{ylabel}'\nset style data histograms\nset style histogram clustered gap 1.5\n"
    out += "set xtics scale 0 font ',10'\nset bmargin 4\n"
    out += "set style fill solid border rgb '#404040'\nset boxwidth 0.9\n"
    low = min(figures.of[key] for key in figures.of if key[0] in names)
    out += "" if low < 1 else "set format y '%.0f'\n"
    out += f"set logscale y\nset yrange [{10 ** math.floor(math.log10(low)) / 2:.3g}:*]\nset xrange [-0.6:{len(names) - 0.4}]\n"
    bars = [f"$data using {n}:xtic(1) title '{s}' {style(s)}" for n, s in enumerate(systems, 2)]
    return out + "plot " + ", ".join(bars) + "\n"


def single_bars(figures, title, ylabel, name, note):
    """One row, a bar for each system, its figure above it; `note` below."""
    systems = figures.systems([name])
    if not systems:
        return None
    out = HEAD.format(width=900, height=430)
    out += block("data", [f'{i} "{s}" {figures.text(name, s)} {int(COLOURS[s][1:], 16)} "{shorten(figures.of[name, s])}"'
                          for i, s in enumerate(systems)])
    out += f"set title '{title}'\nset ylabel '{ylabel}'\nset xlabel '{note}'\n"
    out += "set logscale y\nunset key\nset style fill solid border rgb '#404040'\n"
    out += "set xtics scale 0 font ',11'\n"
    values = [figures.of[name, s] for s in systems]
    out += f"set boxwidth 0.6\nset xrange [-0.6:{len(systems) - 0.4}]\nset yrange [{min(values) / 3:.3g}:{max(values) * 3:.3g}]\n"
    return out + "plot $data using 1:3:4:xtic(2) with boxes lc rgb variable, '' using 1:3:5 with labels offset 0,0.7\n"


def scripts(rows, quick):
    ns, instructions = Figures(rows, "ns"), Figures(rows, "instructions")
    mib = Figures([r | {"bytes": r["bytes"] / 2**20} for r in rows if r.get("bytes") is not None], "bytes")
    small = "; smaller worlds than that: --quick" if quick else ""
    return {
        "lookup": over_mappers(ns, "Who maps this page? Cost of a look-up, an entry found",
                               [("single", "one page at a time"), ("batch", "512 neighbours")]),
        "paths": grouped_bars(ns, "What every program pays", "ns per page (log)",
                              {"fork": "fork", "exit": "exit", "fault": "first touch",
                               "fault/contents": "first touch,\\nwith contents", "cow": "copy on write",
                               "cow/contents": "copy on write,\\nwith contents", "move/own": "own move"}),
        "fork": grouped_bars(ns, "Fork of 256 MiB, by what became of its pages before", "ns per page (log)",
                             {"fork": "read-only since\\nan earlier fork", "fork/first": "written since\\nthe last fork",
                              "fork/shared": "another child\\nis alive"}),
        "search": grouped_bars(ns, "Where searches hurt" + small, "ns per page (log)",
                               {"G1": "private to 1 of\\n1,000 children", "G5/same/second": "left in 1 of\\n10,000 spaces",
                                "G5/random/second": "each left in\\nanother space", "two/dead": "2 of 1,000,\\nowner dead"}),
        "bytes": single_bars(mib, "Reverse map of 1 GiB shared by 51 spaces" + small, "MiB (log)", "bytes/1GiB-51",
                             "objrmap: with 16 bytes a page for owner and index, which are counted for nobody else"),
        "instructions": grouped_bars(instructions, "Instructions, counted by callgrind", "instructions per page or entry (log)",
                                     {f"instructions/{name}": title for name, title in HOT.items()}),
    }


def main():
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    folder = pathlib.Path(sys.argv[2])
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            run = json.load(file)
            drawn = scripts(run["rows"], run["quick"])
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError, KeyError) as error:
        print(f"plots.py: {error}", file=sys.stderr)
        return 2
    status = 0
    for name, script in drawn.items():
        path = folder / f"bench-{name}.svg"
        if script is None:
            print(f"plots.py: no rows for {path}", file=sys.stderr)
            continue
        # In the folder, so that no character of its name needs to be one that gnuplot can quote.
        done = subprocess.run(["gnuplot"], input=f"set output '{path.name}'\n{script}", cwd=folder, text=True,
                              capture_output=True, check=False)
        if done.returncode:
            print(f"plots.py: {path}: {done.stderr.strip()}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
