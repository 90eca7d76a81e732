# SPDX-License-Identifier: MIT
"""Cases of TRACK by hand (CASES: each function's text draws its world), and the small worlds of which all schedules
with two preemptions at most run (SCHEDULES)."""
from explore import dfs
from lineage_model import need, run
from track_model import COPY, TRACK, TrackModel
from track_table import LIMIT, covers, fan_out, with_records, without_images


def quiet(m):
    """Everything holds, and every page is found, by a full walk."""
    m.check()
    for page in list(m.pages):
        found = run(m.walk(page, 'look'))
        need(found is None or found[2], 'a quiet walk is incomplete')


class Unexpected(AssertionError):
    """A case went another way than its text says (a mutation is refuted by the checker alone, not by this)."""


def expect(condition, *what):
    if not condition:
        raise Unexpected(*what)


def world(mut=(), at=(0,), policy=TRACK, **options):
    m = TrackModel(mut, policy=policy, **options)
    s = m.add_root()
    for va in at:
        run(m.write(s, va))
    return m, s


def step(m, *operations):
    out = None
    for op in operations:
        out = run(op)
        quiet(m)
    return out


def same(*entries):
    expect(len({id(e.page) for e in entries}) == 1 and entries[0].page, 'not one shared page')


def case_tables(mut):
    """Records join, cut and fall into two; the most that cover one index is found"""
    t = with_records((), [(2, 8, 100)])
    expect(with_records(t, [(8, 9, 100), (3, 4, 0)]) == ((2, 9, 100),), 'join')
    expect(without_images(t, 104, 106) == ((2, 4, 100), (6, 8, 100)) and without_images(t, 0, 102) == t, 'cut')
    expect(without_images(t, 90, 110) == () and fan_out(with_records(t, [(7, 9, 5)])) == 2 and covers(t, 7, 107), 'fan')


def case_sibling(mut):
    """S 0 -> 10 after a fork: one page, the sibling keeps 0; nothing is copied, and the table is S's alone"""
    m, s = world(mut)
    t = step(m, m.fork(s))
    step(m, m.move(s, 0, 10))
    same(s.pt[10], t.pt[0])
    expect(m.copies == 0 and s.table == ((0, 1, 10),) and t.table == (), 'table', s.table)
    for kind, hits in (('ref', 2), ('wp', 2), ('unmap', 2)):
        expect(step(m, m.walk((s.pt[10].page), kind))[1] == hits, kind)


def case_chain(mut):
    """0 -> 10 -> 20: one record, not two"""
    m, s = world(mut)
    t = step(m, m.fork(s))
    step(m, m.move(s, 0, 10), m.move(s, 10, 20))
    same(s.pt[20], t.pt[0])
    expect(s.table == ((0, 1, 20),), s.table)


def case_there_and_back(mut):
    """0 -> 10 -> 0: no record is left, and a swap entry is not MOVED any more"""
    m, s = world(mut)
    t = step(m, m.fork(s))
    step(m, m.move(s, 0, 10), m.move(s, 10, 0))
    same(s.pt[0], t.pt[0])
    expect(s.table == (), s.table)
    step(m, m.walk(s.pt[0].page, 'unmap'), m.move(s, 0, 10), m.move(s, 10, 0))
    expect(s.moved == 0 and s.table == (), 'count')


def case_move_then_fork(mut):
    """The child of the mover has the table, and is found at the moved place; the mover writes, its child reads"""
    m, s = world(mut)
    t = step(m, m.fork(s))
    step(m, m.move(s, 0, 10))
    c = step(m, m.fork(s))
    same(s.pt[10], c.pt[10], t.pt[0])
    expect(c.table is s.table, 'by reference')
    step(m, m.write(s, 10), m.unmap_one(s, 10), m.unmap_one(t, 0))
    expect(s.table == () and c.table == ((0, 1, 10),), 'each its own')
    expect(step(m, m.walk(c.pt[10].page, 'ref'))[1] == 1, 'found')


def case_fork_then_move_in_child(mut):
    """The child moves, then the grandchild moves on; three places of one page"""
    m, s = world(mut)
    c = step(m, m.fork(s))
    step(m, m.move(c, 0, 10))
    g = step(m, m.fork(c))
    step(m, m.move(g, 10, 20))
    same(s.pt[0], c.pt[10], g.pt[20])
    expect((s.table, c.table, g.table) == ((), ((0, 1, 10),), ((0, 1, 20),)), 'tables')
    expect(step(m, m.walk(s.pt[0].page, 'unmap'))[1] == 3, 'found')
    step(m, m.read(g, 20), m.read(s, 0), m.read(c, 10))
    same(s.pt[0], c.pt[10], g.pt[20])


def case_alias(mut):
    """Two pages of index 0 in one space: the original at 10, a new one made at 0, which moves to 20 and to 10"""
    m, s = world(mut)
    t = step(m, m.fork(s))
    step(m, m.move(s, 0, 10), m.write(s, 0))
    u = step(m, m.fork(s))
    step(m, m.move(s, 0, 20))
    same(s.pt[10], t.pt[0], u.pt[10])
    same(s.pt[20], u.pt[0])
    expect(s.pt[10].page.index == s.pt[20].page.index == 0 and s.table == ((0, 1, 10), (0, 1, 20)), s.table)
    for page in (s.pt[10].page, s.pt[20].page):
        step(m, m.walk(page, 'unmap'), m.evict(page))
    step(m, m.read(s, 20), m.read(s, 10), m.move(s, 20, 10))
    step(m, m.read(u, 0))
    expect(s.table == ((0, 1, 10),), s.table)
    same(s.pt[10], u.pt[0])


def case_same_index_range(mut):
    """A range whose entries come from two places: two differences, two records"""
    m, s = world(mut, (0, 1, 5))
    step(m, m.fork(s))
    step(m, m.move(s, 5, 2), m.move(s, 0, 20, 3))
    expect(s.table == ((5, 6, 17), (0, 2, 20)) and m.copies == 0, s.table)
    step(m, m.unmap_one(s, 21))
    expect(s.table == ((5, 6, 17), (0, 1, 20)), s.table)


def case_part_of_a_range(mut):
    """0, 1, 2 move together, then the middle one moves on: its part of the record goes, the ends stay"""
    m, s = world(mut, (0, 1, 2))
    t = step(m, m.fork(s))
    step(m, m.move(s, 0, 10, 3), m.move(s, 11, 30))
    expect(s.table == ((0, 1, 10), (2, 3, 10), (1, 2, 29)), s.table)
    for place, index in ((10, 0), (30, 1), (12, 2)):
        same(s.pt[place], t.pt[index])


def case_fan_out(mut):
    """The page at 0 is shared and moved away, again and again: after LIMIT places of index 0 the next is a copy"""
    m, s = world(mut)
    for k in range(LIMIT + 2):
        step(m, m.write(s, 0), m.fork(s), m.move(s, 0, 10 + k))
    expect(m.copies == 2 and m.refused == 2 and fan_out(s.table) == LIMIT, m.copies)
    step(m, m.unmap_one(s, 10), m.write(s, 0), m.fork(s), m.move(s, 0, 30))
    expect(m.copies == 2, 'room again')


def case_hull_fan_out(mut):
    """Pairs (k, 40-k) move, inner ones first: each has few records, but 20, between them all, has many"""
    m, s = world(mut, [va for va in range(41) if va != 20], hull=True)
    step(m, m.fork(s))
    for k in range(19, 19 - LIMIT - 2, -1):
        step(m, m.move(s, k, 100 * (20 - k), 41 - 2 * k))
    expect(m.refused == 2 and fan_out(s.table) == LIMIT and m.copies == 4, 'refused', m.refused, m.copies)


def case_swap_out_at_moved_place(mut):
    """Out at 10 and 0, in by either side first; last, a write: its page is at home at 10"""
    for order in (0, 1):
        m, s = world(mut)
        t = step(m, m.fork(s))
        step(m, m.move(s, 0, 10))
        page = s.pt[10].page
        step(m, m.walk(page, 'unmap'))
        expect(s.moved == 1 and page.slot.moved, 'marks')
        step(m, m.evict(page))
        step(m, *[m.read(s, 10), m.read(t, 0)][::1 - 2 * order])
        same(s.pt[10], t.pt[0])
        expect(s.moved == 0 and s.pt[10].page.index == 0, 'index')
        step(m, m.unmap_one(t, 0), m.write(s, 10))
        expect(s.pt[10].page.index == 10, 'home')


def case_swap_entry_moved(mut):
    """On swap when it moves: the record lets it be shared again; moved under COPY it is copied at swap-in"""
    for policy in (TRACK, COPY):
        m, s = world(mut, policy=policy)
        t = step(m, m.fork(s))
        page = s.pt[0].page
        step(m, m.walk(page, 'unmap'), m.move(s, 0, 10), m.read(s, 10), m.read(t, 0))
        expect((s.pt[10].page is t.pt[0].page) == (policy == TRACK), policy)


def case_swapoff(mut):
    """swapoff finds entries at images, and where COPY has put them"""
    for policy in (TRACK, COPY):
        m, s = world(mut, policy=policy)
        t = step(m, m.fork(s))
        step(m, m.walk(s.pt[0].page, 'unmap'), m.move(s, 0, 10))
        c = step(m, m.fork(s))
        step(m, m.swapoff(s.pt[10].slot))
        expect(s.pt[10].page and t.pt[0].page and c.pt[10].page and not m.slots, 'all in')


def case_exit(mut):
    """The mover exits, entries first; its child is found at the moved place; then the sibling exits"""
    m, s = world(mut)
    t = step(m, m.fork(s))
    step(m, m.move(s, 0, 10))
    c = step(m, m.fork(s))
    step(m, m.exit(s))
    same(c.pt[10], t.pt[0])
    step(m, m.walk(t.pt[0].page, 'unmap'), m.exit(t), m.read(c, 10), m.write(c, 10))
    expect(c.pt[10].page.index == 10, 'home')


def case_tightened(mut):
    """Only C maps the page, at an image: a look-up takes the owner to C; C forks and moves on, and all is found"""
    m, s = world(mut)
    others = [step(m, m.fork(s)) for _ in range(4)]
    c = others[1]
    step(m, m.move(c, 0, 10))
    for x in [s] + others[:1] + others[2:]:
        step(m, m.unmap_one(x, 0))
    page = c.pt[10].page
    step(m, m.walk(page, 'ref'))
    expect(m.peek(page.owner).epoch.node.space is c and page.index == 0, 'tightened')
    g = step(m, m.fork(c))
    step(m, m.move(c, 10, 20))
    same(g.pt[10], c.pt[20])
    expect(step(m, m.walk(page, 'unmap'))[1] == 2, 'found')


def case_policy(mut):
    """Tracked, then the policy is COPY: found and swapped in as before; the next move copies, and its record goes"""
    m, s = world(mut)
    t = step(m, m.fork(s))
    step(m, m.move(s, 0, 10))
    s.policy = COPY
    step(m, m.walk(s.pt[10].page, 'unmap'), m.read(s, 10), m.read(t, 0))
    same(s.pt[10], t.pt[0])
    step(m, m.move(s, 10, 20))
    expect(m.copies == 1 and s.table == (), s.table)


def case_taken_back(mut):
    """A move of tracked pages that moves on and fails half-way: everything is back, and needs no frame for it"""
    m, s = world(mut, (0, 1, 2))
    t = step(m, m.fork(s))
    step(m, m.move(s, 0, 10, 3), m.move(s, 10, 20, 3, fail=2))
    expect(s.table == ((0, 3, 10),) and m.copies == 0, s.table)
    for k in range(3):
        same(s.pt[10 + k], t.pt[k])


def case_prune(mut):
    """What was written at its moved place needs no record: at the bound, pruning makes room for the next move"""
    for pruning in (False, True):
        m, s = world(mut, pruning=pruning)
        for k in range(LIMIT + 1):
            step(m, m.write(s, 0), m.fork(s), m.move(s, 0, 10 + k), m.write(s, 10 + k))
        expect(m.copies + pruning == 1 and fan_out(s.table) == (1 if pruning else LIMIT), 'at the bound', m.copies)
        step(m, m.prune(s))
        expect(s.table == (), s.table)


CASES = [(name[5:].replace('_', ' '), f) for name, f in list(globals().items()) if name.startswith('case_')]


# ---- all schedules of small cases ------------------------------------------------------------------------------------
def small(make, at=(0,)):
    """S and T share the page at 0; S has moved it to 1. There may be others, which lie before it in S."""
    def build(mut):
        m, s = world(mut, at)
        t = run(m.fork(s))
        run(m.move(s, 0, 1))
        return m, make(m, s, t, s.pt[1].page)
    return build


def swapped(make):
    def build(mut):
        m, s = world(mut)
        t = run(m.fork(s))
        run(m.move(s, 0, 1))
        page = s.pt[1].page
        run(m.walk(page, 'unmap'))
        return m, make(m, s, t, page)
    return build


def half(make):
    """As swapped, and S has its page in again: T alone has a swap entry."""
    def both(m, s, t, page):
        run(m.read(s, 1))
        return make(m, s, t, page)
    return swapped(both)


def schedules(build, limit, mut=()):
    """Those with at most two preemptions: -> how many."""
    return dfs(build, mut, limit, pb=2)[0]


SCHEDULES = {
    'move, unmap': small(lambda m, s, t, p: [m.move(s, 1, 2), m.walk(p, 'unmap')]),
    'move, write-protect': small(lambda m, s, t, p: [m.move(s, 1, 2), m.walk(p, 'wp')]),
    'move there and back, referenced': small(lambda m, s, t, p: [m.move(s, 1, 0), m.walk(p, 'ref')]),
    'fork, unmap': small(lambda m, s, t, p: [m.fork(s), m.walk(p, 'unmap')]),
    'zap, referenced': small(lambda m, s, t, p: [m.unmap_one(s, 1), m.walk(p, 'ref')]),
    'exit, unmap': small(lambda m, s, t, p: [m.exit(s), m.walk(p, 'unmap')], at=(0, 5)),
    'move, other side writes': small(lambda m, s, t, p: [m.move(s, 1, 2), m.write(t, 0)]),
    'write, unmap': small(lambda m, s, t, p: [m.write(s, 1), m.walk(p, 'unmap')]),
    'both swap in': swapped(lambda m, s, t, p: [m.read(s, 1), m.read(t, 0)]),
    'swap in, zap': swapped(lambda m, s, t, p: [m.read(s, 1), m.unmap_one(s, 1)]),
    'move, other side swaps in': swapped(lambda m, s, t, p: [m.move(s, 1, 2), m.read(t, 0)]),
    'move of the one that is in, other side swaps in': half(lambda m, s, t, p: [m.move(s, 1, 2), m.read(t, 0)]),
    'unmap, other side swaps in': half(lambda m, s, t, p: [m.walk(p, 'unmap'), m.read(t, 0)]),
    'fork, other side swaps in': swapped(lambda m, s, t, p: [m.fork(s), m.read(t, 0)]),
    'move, fork of the other side, unmap': small(lambda m, s, t, p: [m.move(s, 1, 2), m.fork(t), m.walk(p, 'unmap')]),
}
