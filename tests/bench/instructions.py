#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""@file bench/instructions.py  Rows of what callgrind counted in tests/bench/hot.c, so that they stand beside the times.

usage: instructions.py CALLGRIND_FILE [NAME]

The file holds a dump for each path (--combine-dumps=yes), whose trigger says "ROW SYSTEM UNITS". Prints a JSON object a row,
of those whose name begins with NAME. Status 0: there was one at least; 1: the file
is none, or rows cannot be written; 2: misuse; 3: NAME begins no row.
"""
import json
import re
import sys

TRIGGER = re.compile(r"desc: Trigger: Client Request: (\S+) (\S+) (\d+)$")
TOTALS = re.compile(r"totals: (\d+)")


def rows_of(lines):
    """The first sum behind a trigger is that dump's. No path is without an instruction: a 0 says that nothing was counted."""
    row = None
    for line in lines:
        if match := TRIGGER.match(line):
            row = (f"instructions/{match[1]}", match[2], int(match[3]))
        elif row and (match := TOTALS.match(line)):
            name, system, units = row
            if int(match[1]) == 0 or units == 0:
                raise ValueError(f"{name} of {system}: nothing was counted")
            unit = "per entry" if "/" in name.removeprefix("instructions/") else "per page"
            yield {"name": name, "unit": unit, "system": system, "instructions": int(match[1]) / units, "ns": None,
                   "spread": None, "samples": [], "bytes": None}
            row = None


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            counted = list(rows_of(file))
        if not counted:
            raise ValueError(f"{sys.argv[1]}: nothing was counted")
        rows = [row for row in counted if row["name"].startswith("".join(sys.argv[2:]))]
        sys.stdout.writelines(json.dumps(row) + "\n" for row in rows)
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        print(f"instructions.py: {error}", file=sys.stderr)
        return 1
    if not rows:
        print(f"instructions.py: no row begins with \"{sys.argv[2]}\"", file=sys.stderr)
    return 0 if rows else 3


if __name__ == "__main__":
    sys.exit(main())
