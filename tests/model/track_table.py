# SPDX-License-Identifier: MIT
"""Track tables: immutable tuples of records (first, end, delta), sorted by (delta, first).

A record says: a page whose index lies in [first, end) may be mapped at index + delta in the space that holds the table.
Its own index is always a possible place.
"""
LIMIT = 8  # T6: records that may cover one index


def places(table, index):
    """Where a page of this index may be mapped: its index, and the images of it."""
    return [index] + [index + delta for first, end, delta in table if first <= index < end]


def covers(table, index, place):
    return place in places(table, index)


def with_records(table, records):
    """T2: records of one delta that touch or overlap become one; delta 0 needs no record."""
    out = []
    for first, end, delta in sorted(list(table) + [r for r in records if r[2]], key=lambda r: (r[2], r[0])):
        if out and out[-1][2] == delta and first <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]), delta)
        else:
            out.append((first, end, delta))
    return tuple(out)


def without_images(table, low, high):
    """T7: the parts of records whose images lie in [low, high) are gone; a record may fall into two."""
    out = []
    for first, end, delta in table:
        cut, again = max(first, min(end, low - delta)), min(end, max(first, high - delta))
        out += [(first, end, delta)] if cut >= again else [(first, cut, delta), (again, end, delta)]
    return tuple(r for r in out if r[0] < r[1])


def fan_out(table, indices=None):
    """The most records that cover one index (of these, or of all: the most is reached where a record begins)."""
    return max((len(places(table, i)) - 1 for i in ([r[0] for r in table] if indices is None else indices)), default=0)
