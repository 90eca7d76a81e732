# SPDX-License-Identifier: MIT
"""@file bench/targets.py  What the library is to reach, as data: ratios of two rows of one run, and their limits.

A target is the ratio of two systems in one row, `over` / `under`, compared with `limit` by `relation`. Ratios are taken round by
round, so that both sides had the same noise, and their median counts (report.py). Some stand `beside` those: the limit of a
neighbouring row held against a harder or an easier case of the same thing.
"""
import operator
from typing import NamedTuple

RELATIONS = {"<=": operator.le, ">=": operator.ge, ">": operator.gt}


class Target(NamedTuple):
    row: str
    over: str
    under: str
    relation: str
    limit: float
    note: str = ""
    beside: bool = False

    @property
    def name(self):
        return f"{self.row}: {self.over}/{self.under}"


def beside(row, over, under, relation, limit, note):
    return Target(row, over, under, relation, limit, note, True)


# What a row counts, where its unit does not say it.
ROW_NOTES = {"bytes/1GiB-51": "objrmap: with 16 B a page for owner and index, which are counted for nobody else"}

MAPPERS = (1, 2, 10, 100, 1000)
FORKS = {"fork/first": "pages written since the last fork", "fork/shared": "another child is alive"}
STARS = {"absent": ("raw-full", "no table there; against a descent to an entry"),
         "empty": ("raw", "its table is empty there; against a descent that ends there"),
         "other": ("raw", "another page there; against a descent to that")}

TARGETS = [
    *(Target(f"look/batch/{k}", "objrmap", "raw", "<=", 1.0, "per entry; neighbours share descents") for k in MAPPERS),
    *(Target(f"look/single/{k}", "objrmap", "raw", "<=", 1.6, "per entry") for k in MAPPERS),
    Target("fork", "objrmap", "pv_chunk", "<=", 0.4, "per present page, read-only since an earlier fork"),
    Target("fork", "objrmap", "full_scan", "<=", 1.1, "per present page, read-only since an earlier fork"),
    Target("fork", "objrmap", "kernel", "<=", 0.15, "per present page, read-only since an earlier fork"),
    *(beside(row, "objrmap", "pv_chunk", "<=", 0.4, note) for row, note in FORKS.items()),
    *(beside(row, "objrmap", "full_scan", "<=", 1.1, note) for row, note in FORKS.items()),
    beside("fork/first", "objrmap", "kernel", "<=", 0.15, FORKS["fork/first"]),
    Target("exit", "objrmap", "pv_chunk", "<=", 0.4, "per shared page"),
    Target("exit", "objrmap", "kernel", "<=", 0.15, "per shared page"),
    Target("G1", "flat_group", "objrmap", ">=", 100, "unmap of all pages"),
    Target("G1", "anonmm", "objrmap", ">=", 1, "no slower than anonmm"),
    Target("G1", "anon_vma_chain", "objrmap", ">", 1, "which pays its bytes per region"),
    Target("two/dead", "anonmm", "objrmap", ">=", 100, "a page shared by 2 of 1,000, owner dead, second look-up"),
    beside("two/siblings", "anonmm", "objrmap", ">=", 100, "the same, but the two are siblings: no fork tree bounds that search"),
    Target("star/absent", "objrmap", "raw-full", "<=", 0.5, f"a visited member, in batches: {STARS['absent'][1]}"),
    *(beside(f"star/{kind}", "objrmap", STARS[kind][0], "<=", 0.5, f"a visited member, in batches: {STARS[kind][1]}")
      for kind in ("empty", "other")),
    *(beside(f"star/single/{kind}", "objrmap", under, "<=", 0.5, f"a visited member, one page at a time: {note}")
      for kind, (under, note) in STARS.items()),
    Target("move/own", "objrmap", "kernel", "<=", 1.0, "per page; the kernel's mremap by entries"),
    Target("bytes/1GiB-51", "objrmap", "pv_chunk", "<=", 1 / 60, "16 B owner and index counted on our side"),
    Target("host/fault", "objrmap", "bare", "<=", 1.25, "a bare SIGSEGV, mmap, retry"),
    Target("host/scan", "objrmap", "memfd", "<=", 2.0, "first touch of a plain populated memfd mapping"),
]
