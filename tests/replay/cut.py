#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make a small trace out of a recorded one, well-formed like it.

usage: cut.py TRACE[.xz] --spaces N --pages K [--xz] > SMALL

Kept are the first N spaces, under new numbers (a forked space goes if its parent has gone), with every map, unmap, prot, drop
and move of theirs, and of their faults those at one in K pages, chosen by page number.  With --xz the output is compressed.

The two traces kept beside this script were made so:
  cut.py python.trace.xz --spaces 14 --pages 8 --xz > python-small.trace.xz
  cut.py redis.trace.xz --spaces 59 --pages 24 --xz > redis-small.trace.xz

Status 0: done; 2: misuse, or a trace that cannot be read.
"""
import lzma
import sys

HEADING = "# objrmap-trace 1"


def wanted(vpn, k):
    """One page in k, spread evenly and without a pattern that programs could have, too."""
    return (vpn * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) >> 32 < 0x100000000 // k


def cut(lines, spaces, k):
    names = {}  # space in the trace: its number in the small one
    for line in lines:
        w = line.split()
        if w[0] == "new" or w[0] == "fork" and w[1] in names:
            if len(names) < spaces:
                names[w[-1]] = str(len(names) + 1)
        if w[1] not in names or w[0] == "fork" and w[2] not in names:
            continue
        if w[0] in ("r", "w") and not wanted(int(w[2], 16), k):
            continue
        w[1] = names[w[1]]
        if w[0] == "fork":
            w[2] = names[w[2]]
        yield " ".join(w) + "\n"


def refuse(text):
    print("cut.py: " + text, file=sys.stderr)
    return 2


def main(argv):
    if "--help" in argv or "-h" in argv:
        print(__doc__.strip())
        return 0
    args = list(argv)
    packed = "--xz" in args
    if packed:
        args.remove("--xz")
    try:
        (trace, a, spaces, b, pages) = args
        spaces, pages = int(spaces), int(pages)
        if (a, b) != ("--spaces", "--pages") or spaces < 1 or pages < 1:
            raise ValueError
    except ValueError:
        return refuse("wants TRACE --spaces N --pages K (try --help)")
    try:
        with (lzma.open if trace.endswith(".xz") else open)(trace, "rt", encoding="ascii") as f:
            if f.readline().rstrip("\n") != HEADING:
                return refuse(trace + ": not a trace")
            text = HEADING + "\n" + "".join(cut(f, spaces, pages))
    except (OSError, EOFError, ValueError, IndexError, lzma.LZMAError) as error:
        return refuse("%s: %s" % (trace, error))
    data = text.encode("ascii")
    sys.stdout.buffer.write(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME) if packed else data)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
