#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the model of TRACK (track_model.py): cases by hand, random sequences, random interleavings, all schedules of
small cases, and the mutations: each rule switched off until the checker refutes the rest. Without an option: all but
the mutations. Needs the fork tree's model in ../shared/model beside the project; without it the last line says
"skipped" and the status is 77. Status: 0 all held, 1 something broke, 2 misuse. The last line says what ran, and the
verdict."""
import argparse
import collections
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ.get('OBJRMAP_SOURCE_ROOT') or os.path.dirname(os.path.dirname(HERE))
SHARED = os.path.join(ROOT, '..', 'shared', 'model')
if os.path.exists(os.path.join(SHARED, 'lineage_model.py')):
    sys.dont_write_bytecode = True
    sys.path[:0] = [HERE, SHARED]
    from lineage_model import Broken, Loose, need, run
    from track_cases import CASES, SCHEDULES, Unexpected, quiet, schedules
    from track_model import COPY, TRACK, TrackModel
    from track_table import LIMIT
elif not {'-h', '--help'} & set(sys.argv):
    print('skipped: no ../shared/model/lineage_model.py beside the project')
    sys.exit(77)


def pick(rng, things):
    return rng.choice(sorted(things, key=lambda x: (x.index, getattr(x, 'id', 0), x.content or 0)))


def random_model(rng, mut):
    m = TrackModel(mut, rng, policy=rng.choice([COPY, TRACK, TRACK]), lazy=rng.choice([0, .5, 1]),
                   hull=rng.random() < .5, first_hit=rng.random() < .5, pruning=rng.random() < .5,
                   limit=rng.choice([1, 2, LIMIT]))
    m.pure = m.policy == TRACK and rng.random() < .5  # never anything but TRACK
    return m


# ---- random sequences and interleavings ------------------------------------------------------------------------------
def operation(m, rng, spaces, numbers, members):
    """-> (name, generator) of one random operation."""
    s, va, n, dice = rng.choice(spaces), rng.randrange(numbers), rng.choice([1, 1, 2, 3]), rng.random()
    if dice < .16:
        if len(spaces) < members:
            return 'fork', m.fork(s, abort=rng.randrange(4) if rng.random() < .1 else None)
        return 'exit', m.exit(s)
    if dice < .19:
        return 'exit', m.exit(s)
    if dice < .29:
        return 'write', m.write(s, va)
    if dice < .41:
        return 'read', m.read(s, va)
    if dice < .45:
        return 'zap', m.unmap_range(s, va, n)
    if dice < .67:
        if s.pt and rng.random() < .8:
            va = max(0, rng.choice(sorted(s.pt)) - rng.randrange(n))
        return 'move', m.move(s, va, rng.randrange(numbers), n, rng.randrange(n) if rng.random() < .1 else None)
    if dice < .69:
        return 'prune', m.prune(s)
    if dice < .71 and not m.pure:
        s.policy = rng.choice([COPY, TRACK, TRACK])
    if m.pages:
        page, kind = pick(rng, m.pages), rng.choice(['ref', 'ref', 'wp', 'unmap', 'unmap', 'unmap', 'evict', 'evict'])
        return kind, m.evict(page) if kind == 'evict' else m.walk(page, kind)
    return 'write', m.write(s, va)


def sequence(seed, count, mut=(), stat=None):
    rng = random.Random(seed)
    m = random_model(rng, mut)
    m.add_root()
    numbers, members = rng.choice([2, 4, 7, 12]), rng.choice([3, 6, 10])
    for step in range(count):
        if not m.spaces:
            m.add_root()
        if m.slots and rng.random() < .02:
            name, result = 'swapoff', run(m.swapoff(pick(rng, m.slots)))
        else:
            name, op = operation(m, rng, m.spaces, numbers, members)
            result = run(op)
        if name in ('ref', 'wp', 'unmap'):
            need(result is None or result[2], 'a walk alone is incomplete')
        try:
            quiet(m) if step % 8 == 7 else m.check()
        except (Broken, Loose) as e:
            raise type(e)(*e.args, 'after', name, 'step', step)
    if m.pure and not m.refused and m.copies + m.private:
        raise Loose('copied under TRACK', m.copies, 'in moves', m.private, 'at swap-in')
    collect(m, stat)
    return count


def interleaving(seed, steps, mut=(), stat=None):
    rng = random.Random(seed)
    m = random_model(rng, mut)
    m.add_root()
    numbers, members, tasks = rng.choice([2, 3, 5]), rng.choice([2, 4, 6]), []
    width, drain, spin = rng.choice([2, 3, 4, 6]), False, 0
    for step in range(steps):
        drain = drain or step % 80 == 79
        if drain and not tasks:
            drain = False
            quiet(m)
            if m.slots and rng.random() < .3:
                run(m.swapoff(pick(rng, m.slots)))
                m.check()
            continue
        if not drain and len(tasks) < width:
            if not m.spaces:
                m.add_root()
            tasks.append(operation(m, rng, m.spaces, numbers, members))
        task = rng.choice(tasks)
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            try:
                blocked = next(task[1]) == 'B'
            except StopIteration:
                tasks.remove(task)
                spin = 0
                break
            spin = spin + 1 if blocked else 0
            need(spin < 3000, 'deadlock', [t[0] for t in tasks])
            if blocked:
                break
        try:
            m.check(False)
        except (Broken, Loose) as e:
            raise type(e)(*e.args, 'after', task[0], 'step', step)
    collect(m, stat)
    return steps


COUNTERS = ('walks', 'early', 'incomplete', 'tracked', 'copies', 'private', 'refused', 'rechecked', 'rolled_back',
            'image_loads', 'image_hits')


def collect(m, stat):
    if stat is not None:
        for name in COUNTERS:
            stat[name] += getattr(m, name)


# ---- mutations: each is a rule switched off --------------------------------------------------------------------------
MUTATIONS = {
    'late_record': 'T4 records come after the entries',
    'trust_scan': 'T5 no second look under the page lock whether a shared page is covered',
    'flight_unlocked': 'T5 a page is not locked between its two places',
    'drop_early': 'T7 the source is dropped from the table before it is empty',
    'drop_by_index': 'T7 records are dropped by their indices instead of their images',
    'drop_whole': 'T7 a record is dropped whole if a part of it is',
    'zap_drops_first': 'T7 an unmap drops records before entries',
    'exit_drops_first': 'T3 an exit drops the table before entries',
    'no_inherit': 'T3 a child begins without its parent\'s table',
    'inherit_late': 'T3 a child has the table only when its entries are copied',
    'no_bound': 'T6 no bound',
    'bound_by_moved': 'T6 the bound is judged for the moved indices only',
    'no_swap_records': 'T4 shared swap entries get no record',
    'swapin_copies': 'T9 swap-in copies at every moved place',
    'no_images': 'T11 a walk looks at the index only',
    'policy_gate': 'T11 records count only while the policy is TRACK',
    'reindex_shared': 'T9 swap-in at a covered place re-indexes the page',
    'swapin_uncovered': 'T9 swap-in shares the page at any moved place',
    'no_moved': 'T12 unmap at an image does not mark the slot MOVED',
    'no_moved_count': 'T12 unmap at an image does not count in the space',
    'swapoff_images_only': 'T13 swapoff does not look at whole tables',
}
# Rules that cost or save, and nothing else: a run without them must hold too.
NOT_SAFETY = ('cow_keeps_index', 'table_unlocked', 'change_early')
# And these lose no mapping: they break the bound, or copy.
BOUNDS = ('no_bound', 'bound_by_moved', 'no_swap_records', 'swapin_copies')


def refute(name, seed, budget):
    """-> where the checker, not a case's own expectation, refuted it; or None."""
    k = 0
    runs = [(f'case "{title}"', case, ()) for title, case in CASES]
    runs += [(f'schedules of "{title}"', schedules, (build, 300)) for title, build in SCHEDULES.items()]
    while runs or k < budget:
        if not runs:
            runs = [(f'sequence {seed + k}', sequence, (seed + k, 200)),
                    (f'interleaving {seed + k}', interleaving, (seed + k, 800))]
            k += 1
        where, f, arguments = runs.pop(0)
        try:
            f(*arguments, mut=(name,))
        except Broken as e:
            return f'{where}: {" ".join(map(str, e.args))}'
        except Loose as e:
            if name in BOUNDS:
                return f'{where}: {" ".join(map(str, e.args))}'
        except (Unexpected, KeyError, AttributeError):
            pass  # a case lost its footing
    return None


# ---- command line ----------------------------------------------------------------------------------------------------
def arguments():
    def count(text):
        value = int(text)
        if value < 0:
            raise ValueError
        return value
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seed', type=count, default=1, help='first seed (1); each run takes the next')
    p.add_argument('--cases', action='store_true', help='the cases by hand')
    p.add_argument('--sequences', type=count, metavar='N', help='N random sequences of 300 operations')
    p.add_argument('--interleavings', type=count, metavar='N', help='N random interleavings of 1500 steps')
    p.add_argument('--schedules', type=count, metavar='N',
                   help='of each small case, at most N schedules, two preemptions')
    p.add_argument('--mutations', action='store_true', help='switch off each rule until the checker refutes the rest')
    p.add_argument('--budget', type=count, metavar='N', default=100,
                   help='sequences and interleavings for each mutation (100)')
    p.add_argument('--only', metavar='NAME,...', help='these mutations (they are listed by --only help)')
    p.add_argument('--without', metavar='NAME,...', default='', help='run all else with these rules switched off')
    a = p.parse_args()
    a.without = tuple(a.without.split(',')) if a.without else ()
    a.only = a.only.split(',') if a.only else []
    if a.only == ['help']:
        for name, what in MUTATIONS.items():
            print(f'{name:20} {what}')
        p.exit()
    for name in list(a.without) + a.only:
        if name not in MUTATIONS and name not in NOT_SAFETY:
            p.error(f'no such rule: {name} (try --only help)')
    if not (a.cases or a.mutations or a.only or a.sequences or a.interleavings or a.schedules):
        a.cases, a.sequences, a.interleavings, a.schedules = True, 40, 40, 400
    return a


def main():
    a, stat, ran, wrong = arguments(), collections.Counter(), [], 0

    def attempt(what, f, *args):
        nonlocal wrong
        try:
            return f(*args)
        except AssertionError as e:
            wrong += 1
            print(f'{what}: {type(e).__name__}: {" ".join(map(str, e.args))}')
            return 0
    print(f'seed {a.seed}')
    if a.cases:
        for title, case in CASES:
            attempt(f'case "{title}"', case, a.without)
        ran.append(f'{len(CASES)} cases')
    for kind, f, number, size in (('sequence', sequence, a.sequences, 300),
                                  ('interleaving', interleaving, a.interleavings, 1500)):
        if number:
            total = sum(attempt(f'{kind} {k}', f, k, size, a.without, stat) for k in range(a.seed, a.seed + number))
            ran.append(f'{number} {kind}s ({total} {"operations" if f is sequence else "steps"})')
    if a.schedules:
        total = sum(attempt(f'schedules of "{name}"', schedules, build, a.schedules, a.without)
                    for name, build in SCHEDULES.items())
        ran.append(f'{total} schedules')
    if stat:
        print(', '.join(f'{name} {value}' for name, value in stat.items()))
    if a.mutations or a.only:
        names = a.only or list(MUTATIONS)
        for name in names:
            where = refute(name, a.seed, a.budget)
            wrong += where is None
            print(f'{name}: {where or "NOT REFUTED"}')
        ran.append(f'{len(names)} mutations')
    print(f'track model: {", ".join(ran)}: {"ok" if not wrong else f"{wrong} BROKEN"}')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
