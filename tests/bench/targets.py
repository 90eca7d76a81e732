# SPDX-License-Identifier: MIT
"""@file bench/targets.py  What the library is to reach, as data: ratios of two rows of one run, and their limits.

A target is the ratio of two systems in one row, `over` / `under`, compared with `limit` by `relation`. Ratios are taken round by
round, so that both sides had the same noise, and their median counts (report.py).
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

    @property
    def name(self):
        return f"{self.row}: {self.over}/{self.under}"


MAPPERS = (1, 2, 10, 100, 1000)

TARGETS = [
    *(Target(f"look/batch/{k}", "objrmap", "raw", "<=", 1.0, "per entry; neighbours share descents") for k in MAPPERS),
    *(Target(f"look/single/{k}", "objrmap", "raw", "<=", 1.6, "per entry") for k in MAPPERS),
    Target("fork", "objrmap", "pv_chunk", "<=", 0.4, "per present page"),
    Target("fork", "objrmap", "full_scan", "<=", 1.1, "per present page"),
    Target("fork", "objrmap", "kernel", "<=", 0.15, "per present page"),
    Target("exit", "objrmap", "pv_chunk", "<=", 0.4, "per shared page"),
    Target("exit", "objrmap", "kernel", "<=", 0.15, "per shared page"),
    Target("G1", "flat_group", "objrmap", ">=", 100, "unmap of all pages"),
    Target("G1", "anonmm", "objrmap", ">=", 1, "no slower than anonmm"),
    Target("G1", "anon_vma_chain", "objrmap", ">", 1, "which pays its bytes per region"),
    Target("two/dead", "anonmm", "objrmap", ">=", 100, "a page shared by 2 of 1,000, owner dead, second look-up"),
    Target("star/absent", "objrmap", "raw-full", "<=", 0.5, "a visited member that has no table there, against a descent to an entry"),
    Target("star/empty", "objrmap", "raw", "<=", 0.5, "a visited member whose table is empty there; beside star/absent"),
    Target("star/other", "objrmap", "raw", "<=", 0.5, "a visited member with another page there; beside star/absent"),
    Target("move/own", "objrmap", "kernel", "<=", 1.0, "per page; the kernel's mremap by entries"),
    Target("bytes/1GiB-51", "objrmap", "pv_chunk", "<=", 1 / 60, "16 B owner and index counted on our side"),
    Target("host/fault", "objrmap", "bare", "<=", 1.25, "a bare SIGSEGV, mmap, retry"),
    Target("host/scan", "objrmap", "memfd", "<=", 2.0, "first touch of a plain populated memfd mapping"),
]
