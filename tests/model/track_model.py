# SPDX-License-Identifier: MIT
"""The TRACK policy of move as a running model: the fork tree's model (lineage_model) with track tables.

The rules T1 to T13 are in docs/design/track.md; a comment here names the one that it follows. As in the model below,
each operation is a generator: a yield is a point where others may run, yield 'B' says that it is blocked. `mut` holds
the names of rules that are switched off.
"""
import random

from lineage_model import Cursor, Loose, Model, Pte, Slot, need, wait
from track_table import LIMIT, covers, fan_out, places, with_records, without_images

COPY, TRACK = 'COPY', 'TRACK'


def users(page, slot):
    return (page.mapcount if page else 0) + (slot.count if slot else 0)


class TrackModel(Model):
    """Options are what an implementation may decide: lazy, how often a zap keeps records (rng rolls the dice); hull,
    one record for several pages; first_hit, a walk leaves a space after a hit; pruning, a move prunes before it copies
    for want of room."""

    def __init__(m, mut=(), rng=None, policy=COPY, lazy=0.0, hull=True, first_hit=False, pruning=False,
                 limit=LIMIT):
        super().__init__(mut)
        m.rng, m.policy, m.lazy, m.hull, m.first_hit = rng or random.Random(0), policy, lazy, hull, first_hit
        m.pruning, m.limit = pruning, limit
        m.copies = m.private = m.tracked = m.rechecked = m.refused = m.image_hits = m.image_loads = m.rolled_back = 0

    def off(m, rule):
        return rule in m.mut

    # ---- tables of spaces (T1, T3) -----------------------------------------------------------------------------------
    def add_root(m):
        s = super().add_root()
        s.table, s.policy = (), m.policy
        return s

    def attach(m, s, t):  # T3: the child refers to the table from the section that inserts it
        super().attach(s, t)
        t.table, t.policy = () if m.off('no_inherit') or m.off('inherit_late') else s.table, s.policy

    def fork(m, s, abort=None):
        t = yield from super().fork(s, abort)
        if t and m.off('inherit_late'):
            t.table = s.table
        return t

    def replace(m, s, change):
        """Another table for s, made from the one that it has then; walks hold the group lock shared (T1)."""
        early = change(s.table)
        if early == s.table:
            return
        if m.off('table_unlocked'):
            s.table = change(s.table)
            return
        yield from m.glock()
        yield
        s.table = early if m.off('change_early') else change(s.table)
        m.gwr = False
        yield

    def teardown(m, s):  # exit, and the abort of a fork: the reference goes with the node, after the entries
        if m.off('exit_drops_first'):
            s.table = ()
        yield from super().teardown(s)
        s.table = None

    def unmap_range(m, s, a, n):
        """Space lock shared. Entries first, records after them, or never (T7)."""
        yield from m.rlock(s)
        if s.alive:
            if m.off('zap_drops_first'):
                yield from m.replace(s, lambda t: without_images(t, a, a + n))
            for va in range(a, a + n):
                yield from m.zap(s, va)
            if m.rng.random() >= m.lazy:
                yield from m.replace(s, lambda t: without_images(t, a, a + n))
        s.rd -= 1

    def unmap_one(m, s, va):
        yield from m.unmap_range(s, va, 1)

    def prune(m, s):
        yield from m.wlock(s)
        if s.alive:
            yield from m.replace(s, lambda t: m.live(s, t))
        s.wr = False

    def live(m, s, table):
        """T8: space lock exclusive: what covers no entry of that index is not needed."""
        def needed(i, place):
            pte = s.pt.get(place)
            return pte is not None and (pte.page or pte.slot).index == i
        return with_records((), [(i, i + 1, d) for f, e, d in table for i in range(f, e) if needed(i, i + d)])

    # ---- move (T4 to T7) ---------------------------------------------------------------------------------------------
    def move(m, s, a, b, n=1, fail=None):
        """[a, a+n) to [b, b+n). fail = k: after k places it cannot go on, and takes back what it did."""
        yield from m.wlock(s)
        if not s.alive or abs(a - b) < n or not any(va in s.pt for va in range(a, a + n)):
            s.wr = False
            return
        for va in range(b, b + n):
            yield from m.zap(s, va)
        found = (yield from m.scan(s, a, b, n)) if s.policy == TRACK else {}
        records = m.records(found)

        def free_target(table):
            return without_images(table, b, b + n)

        def grown(table):
            return with_records(free_target(table), records)

        def final(table):
            return m.drop_source(grown(table), a, n)
        if m.pruning and fan_out(final(s.table)) > m.limit:
            yield from m.replace(s, lambda t: m.live(s, t))
        judged = [i for indices in found.values() for i in indices] if m.off('bound_by_moved') else None
        track = s.policy == TRACK and (m.off('no_bound') or fan_out(final(s.table), judged) <= m.limit)
        m.refused += s.policy == TRACK and not track
        if not track:
            yield from m.replace(s, free_target)
        elif m.off('drop_early'):
            yield from m.replace(s, final)
        elif not m.off('late_record'):
            yield from m.replace(s, grown)
        for k in range(n):
            if k == fail:
                for back in reversed(range(k)):
                    yield from m.fly(s, b + back, a + back, True)
                yield from m.replace(s, free_target)
                m.rolled_back += 1
                s.wr = False
                return
            yield from m.fly(s, a + k, b + k, track)
        if m.off('late_record'):
            yield from m.replace(s, grown)
        yield from m.replace(s, lambda t: m.drop_source(t, a, n))
        s.wr = False

    def drop_source(m, table, a, n):
        if m.off('drop_by_index'):
            return tuple(r for r in table if r[1] <= a or a + n <= r[0])
        if m.off('drop_whole'):
            return tuple(r for r in table if r[1] + r[2] <= a or a + n <= r[0] + r[2])
        return without_images(table, a, a + n)

    def scan(m, s, a, b, n):
        """T4: the indices of pages and slots that seem shared, by delta. No page lock is held: it is no decision."""
        found = {}
        for va in range(a, a + n):
            pte = s.pt.get(va)
            if pte is None:
                continue
            if pte.slot and m.off('no_swap_records'):
                continue
            page = pte.page or pte.slot.page
            slot = pte.slot or page.slot
            index, mapped = (pte.page or pte.slot).index, page.mapcount if page else 0
            yield
            if mapped + (slot.count if slot else 0) != 1:
                found.setdefault(va + b - a - index, []).append(index)
        return found

    def records(m, found):
        """One for all indices of a delta, whatever lies between them, or one for each."""
        if m.hull:
            return [(min(i), max(i) + 1, delta) for delta, i in sorted(found.items())]
        return [(i, i + 1, delta) for delta, indices in sorted(found.items()) for i in indices]

    def fly(m, s, x, y, track):
        """T5: one entry from x to y. Its page, if any, is locked all the way: no walk sees it between its places."""
        while True:
            pte = s.pt.get(x)
            if pte is None:
                return
            page = pte.page or pte.slot.page
            if x not in s.run and y not in s.run and not (page and page.locked and not m.off('flight_unlocked')):
                break
            yield 'B'
        if page:
            page.locked = page.locked or not m.off('flight_unlocked')
            yield
            need(s.pt.get(x) is pte or m.off('flight_unlocked'), 'an entry changed under its page lock')
        slot = pte.slot or page.slot
        if pte.slot:
            s.moved -= x != slot.index
        if users(page, slot) == 1:  # its own: re-indexed, and home
            for thing in (page, slot):
                if thing:
                    thing.index = y
                    m.own_home(thing, s)
            if slot:
                slot.moved = False
        elif pte.slot:
            slot.moved = True
        elif not track or not (covers(s.table, page.index, y) or m.off('trust_scan') or m.off('late_record')):
            m.rechecked += track
            m.copies += 1
            yield from m.copy(s, x, y, page)
            return
        else:
            m.tracked += 1
        del s.pt[x]
        yield
        s.pt[y] = pte
        if pte.slot:
            s.moved += y != slot.index
        m.mvref(s, x, y)
        if page:
            m.release(page)

    def release(m, page):
        m.tidy(page) if m.off('flight_unlocked') else m.unlock(page)

    def copy(m, s, x, y, page):
        mine = m.new_page(y, page.content)
        mine.mapcount = 1
        m.own_home(mine, s)
        s.pt[y] = Pte(mine)
        del s.pt[x]
        m.mvref(s, x, y)
        m.release(page)
        yield from m.drop(page)

    # ---- faults (T9, T10) --------------------------------------------------------------------------------------------
    def cow(m, s, va, pte, page):
        done = yield from super().cow(s, va, pte, page)
        if done and s.pt.get(va) is pte and pte.page is page and not m.off('cow_keeps_index'):
            page.index = va  # T10: it was reused (no yield since its lock was dropped): home at this place
        return done

    def swapin(m, s, va, pte):
        slot = pte.slot
        page = slot.page
        if page is None:
            page = slot.page = m.new_page(slot.index, slot.content)
            page.slot = slot
        elif page.locked:
            yield 'B'
            return
        page.locked = True
        yield
        yield from wait(lambda: not m.gwr)
        shared = covers(s.table, slot.index, va) or m.off('swapin_uncovered')
        if m.off('swapin_copies') or (m.off('policy_gate') and s.policy == COPY):
            shared = va == slot.index
        yield
        yield from wait(lambda: va not in s.run)
        if s.pt.get(va) is not pte:
            m.unlock(page)
            return
        if not shared:
            m.private += 1
            mine = m.new_page(va, page.content)
            mine.mapcount = 1
            m.own_home(mine, s)
            s.pt[va] = Pte(mine)
            s.moved -= va != slot.index
            slot.count -= 1
            m.unlock(page)
            return
        s.run.add(va)
        need(page.index == slot.index, 'a cached page and its slot differ')
        if m.off('reindex_shared'):
            page.index = va
        if page.mapcount == 0:
            m.own_home(page, s)
        else:
            m.own_tag(page, m.find(slot.owner))
        yield
        page.mapcount += 1
        yield
        s.pt[va] = Pte(page)
        s.moved -= va != slot.index
        slot.count -= 1
        s.run.discard(va)
        m.unlock(page)

    # ---- look-up (T11, T12) ------------------------------------------------------------------------------------------
    def look_at(m, s, index):
        if m.off('no_images') or (m.off('policy_gate') and s.policy == COPY):
            return [index]
        return places(s.table, index)

    def walk(m, page, kind):
        """kind: 'ref', 'wp' (write-protect), 'unmap' (to swap), 'look' (all of it, no tightening)."""
        yield from wait(lambda: not m.gwr)
        m.grd += 1
        if page.freed or page.locked or page.mapcount == 0:
            m.grd -= 1
            return None
        page.locked, fresh = True, False
        if kind == 'unmap' and page.slot is None:
            slot = page.slot = Slot(page.index)
            slot.page, slot.content, fresh = page, page.content, True
            m.slots.add(slot)
            m.own_tag(slot, m.find(page.owner))
        page.stable = True
        yield
        m.walks += 1
        cursor, hits, done = Cursor(m, m.find(page.owner).epoch), 0, False
        while not done:
            s = cursor.next()
            if s is None:
                break
            for va in m.look_at(s, page.index):  # all places of a space before the next space
                m.image_loads += va != page.index
                yield from wait(lambda: va not in s.run)
                pte = s.pt.get(va)
                hit = pte is not None and pte.page is page
                if hit:
                    hits += 1
                    cursor.hit(s)
                    m.image_hits += va != page.index
                    if kind == 'wp':
                        pte.w = False
                    if kind == 'unmap':
                        m.to_swap(s, va, page)
                yield
                full = page.mapcount == 0 if kind == 'unmap' else page.stable and page.mapcount == hits
                if kind != 'look' and full:
                    done = True
                    m.early += 1
                if done or (hit and m.first_hit):
                    break
        m.assert_seen(page, kind, None)
        done = done or page.mapcount == (0 if kind == 'unmap' else hits)
        m.incomplete += not done
        yield
        if done and hits and kind != 'look' and (kind != 'unmap' or fresh):
            node, epoch = cursor.low
            m.own(page if kind != 'unmap' else page.slot, epoch or node.epochs[-2 if cursor.forking else -1])
        m.unlock(page)
        m.grd -= 1
        return cursor, hits, done

    def to_swap(m, s, va, page):
        slot = page.slot
        slot.count += 1
        slot.content = page.content
        if va != slot.index:
            slot.moved = slot.moved or not m.off('no_moved')
            s.moved += not m.off('no_moved_count')
        s.pt[va] = Pte(slot=slot)
        page.mapcount -= 1

    def assert_seen(m, page, kind, hits):
        left = m.mappers(page)
        if kind == 'unmap':
            need(not left, 'unmap left', left)
        if kind == 'wp':
            need(not any(t.w for s in left for t in s.pt.values() if t.page is page), 'writable left')

    def swapoff(m, slot):
        """T13. Sequential use only, as in the model below."""
        candidates = m.cands(slot.owner)
        for s in candidates:
            for va in m.look_at(s, slot.index):
                if slot.count and va in s.pt and s.pt[va].slot is slot:
                    yield from m.read(s, va)
        for s in candidates:
            if slot.count and slot.moved and s.moved and not m.off('swapoff_images_only'):
                for va in [va for va, t in s.pt.items() if t.slot is slot]:
                    yield from m.read(s, va)
        need(slot.freed or slot.count == 0, 'swapoff missed')

    # ---- checker -----------------------------------------------------------------------------------------------------
    def check(m, quiet=True, bounds=True):
        m.check_tree(bounds)
        memo, mapped, swapped = {}, {}, {}

        def candidate(s, tag):
            top = m.peek(tag)
            if top not in memo:
                memo[top] = set(m.cands(top))
            return s in memo[top]
        for s in m.spaces:
            away, seen, told = 0, set(), m.ref[s]
            for va, pte in s.pt.items():
                page, slot = pte.page or pte.slot.page, pte.slot
                thing = pte.page or slot
                need(not thing.freed and thing.owner is not None, 'a freed page or slot has an entry', s, va)
                need(thing not in seen and (page is None or page not in seen), 'a page twice in one space', s, va)
                seen.update((thing, page) if page else (thing,))
                need(candidate(s, thing.owner), 'INV-1 owner', s, va)
                need(told.get(va) == (page or slot).content, 'content', s, va)
                if slot:
                    swapped[slot] = swapped.get(slot, 0) + 1
                    away += va != slot.index
                    need(va == slot.index or slot.moved, 'INV-1 moved mark', s, va)
                else:
                    mapped[page] = mapped.get(page, 0) + 1
                    need(covers(s.table, page.index, va), 'INV-1 place', s, va, page.index, s.table)
                    need(not pte.w or not page.slot or page.locked, 'writable and cached', s, va)
            need(away == s.moved, 'moved count', s)
            if quiet:
                need(set(told) == set(s.pt), 'lost page', s)
            need(all(f < e and d and f + d >= 0 for f, e, d in s.table), 'record', s.table)
            if bounds and quiet and fan_out(s.table) > m.limit:
                raise Loose('fan-out', s.table)
        for page in m.pages:
            n = mapped.get(page, 0)
            need(n == page.mapcount or (not quiet and n < page.mapcount), 'INV-2', n, page.mapcount)
            need(not quiet or n or page.slot, 'leaked page')
        for slot in m.slots:
            n = swapped.get(slot, 0)
            need(n == slot.count or (not quiet and n < slot.count), 'INV-3', n, slot.count)
            need(n or not quiet, 'leaked slot')

    def check_tree(m, bounds):
        """The tree, tags, slots and INV-8 by the model below, to which no space seems to hold anything."""
        held = [(s, s.pt, s.moved) for s in m.spaces]
        for s, _, _ in held:
            s.pt, s.moved = {}, 0
        try:
            super().check(False, bounds)
        finally:
            for s, s.pt, s.moved in held:
                pass
