#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does the test suite notice when one line of the library is wrong? Break it in one place after the other, and see.

usage: mutate.py list [--why]            the mutations
       mutate.py check                   does each still apply, in exactly one place?
       mutate.py apply NAME TREE         break the copy of the project in TREE (not this one)
       mutate.py run [NAME...] [--jobs N] [--quick S] [--all] [--record] [--scratch DIR]

run copies the project to DIR (build/mutation), builds it as tests/run's first build (gcc, assertions on; with the plain
runner, one process for a file of tests), and sees that every test passes. Then for each mutation, or for those named: change
the copy, build and run one test after the other until one fails, crashes, or does not end (a "hang", killed after 40 seconds
and twenty times its usual time), change it back. Those tests come first that are likely to see it: what killed this mutation, then others
of the same file, at the time of the last --record (killed.txt); then tests named like the file, then the quick ones.

--jobs N    so many copies and builds at once (2)     --all     do not stop at the first: which tests see the mutation?
--record    write killed.txt anew                     --quick S   a first look: without the tests that took S seconds or more

Status 0: 95 % are killed, and no survivor is unexplained. 1: otherwise, or a mutation is stale or does not compile.
2: misuse, or the unmutated build fails.
"""
import argparse
import concurrent.futures
import json
import pathlib
import queue
import sys
import threading
import time

sys.dont_write_bytecode = True  # nothing is left in the source tree
import mutations  # noqa: E402
import suite  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIST, KILLED = HERE / 'mutations.txt', HERE / 'killed.txt'
OPTIONS = ['--buildtype=debugoptimized', '-Dwerror=true', '-Ddebug_level=1', '-Dtest_runner=plain']
WANTED_PERCENT = 95
COMMON = {'pager', 'swap'}  # words that say little in a name


def last_killers():
    """-> {mutation: test} of the last recorded run."""
    if not KILLED.exists():
        return {}
    rows = (line.split() for line in KILLED.read_text(encoding='utf-8').splitlines() if not line.startswith('#'))
    return {row[0]: row[1] for row in rows if len(row) > 1}


def order(m, listed, killers, tests, limit):
    """The tests' names, the most promising first; only those that take less than `limit` seconds."""
    beside = [killers[o.name] for o in listed if o.file == m.file and o.name in killers]
    stem = pathlib.Path(m.file).stem
    quick = sorted(tests, key=lambda t: tests[t].seconds)
    alike = [t for t in quick if set(t.split('_')) & set(stem.split('_')) - COMMON]
    chosen = [killers[m.name]] if m.name in killers else []
    return [t for t in dict.fromkeys(chosen + beside + alike + quick) if t in tests and tests[t].seconds < limit]


class Outcome:
    def __init__(self, m):
        self.mutation, self.killers, self.seconds, self.trouble = m, [], 0.0, ''

    def row(self):
        if self.trouble:
            return 'does not compile'
        if not self.killers:
            return 'SURVIVES' + (' (explained)' if self.mutation.survives else '')
        return ', '.join(f'{name}: {verdict}' for name, verdict in self.killers)


def try_one(tree, m, names, seconds, every):
    """Break, test, mend."""
    result, began = Outcome(m), time.monotonic()
    path = tree.root / m.file
    before = path.read_text(encoding='utf-8')
    path.write_text(mutations.mutated(m, before), encoding='utf-8')
    try:
        for name in names:
            result.trouble = tree.make(tree.tests[name].targets) or ''
            if result.trouble:
                break
            verdict = tree.run(name, seconds[name])[0]
            if verdict != 'passed':
                result.killers.append((name, verdict))
                if not every:
                    break
    finally:
        path.write_text(before, encoding='utf-8')
    result.seconds = time.monotonic() - began
    return result


def baseline(tree, jobs, memory):
    """Everything must pass before anything is broken; how long each test takes is remembered. One that passed before, and is
    the same program, is not run again: `memory` is a file that says so."""
    trouble = tree.make([], jobs)
    if trouble:
        raise suite.Broken('the unmutated build fails:\n' + trouble)
    passed = json.loads(memory.read_text(encoding='utf-8')) if memory.exists() else {}

    def once(name):
        test, digest = tree.tests[name], tree.digest(name)
        if digest and passed.get(name, [None])[0] == digest:
            test.seconds = passed[name][1]
            return
        verdict, test.seconds, text = tree.run(name, 5)
        if verdict != 'passed':
            raise suite.Broken(f'unmutated, {name} has not passed, but: {verdict}\n{text[-3000:]}')
        passed[name] = [digest, test.seconds]

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(once, tree.tests):
            pass
    memory.write_text(json.dumps(passed), encoding='utf-8')


def work(todo, tree, plan, seconds, every, done, lock):
    while True:
        try:
            m = todo.get_nowait()
        except queue.Empty:
            return
        result = try_one(tree, m, plan[m.name], seconds, every)
        with lock:
            done[m.name] = result
            print(f'{len(done):4}  {m.name:34} {result.seconds:6.1f}  {result.row()}', flush=True)
            if result.trouble:
                print(result.trouble)


def write_killed(listed, done, before):
    """Those that were not tried now keep what they had."""
    rows = []
    for m in listed:
        killer = done[m.name].killers[:1] if m.name in done else [(before[m.name], '')] if m.name in before else []
        rows += [f'{m.name} {test}' for test, _ in killer]
    KILLED.write_text('# SPDX-License-Identifier: MIT\n# By mutate.py run --record: which test killed which mutation. '
                      'Read to try that one first.\n' + '\n'.join(rows) + '\n', encoding='utf-8')


def verdict_of(chosen, done):
    """Print what was found. -> exit status."""
    killed = [m for m in chosen if done[m.name].killers]
    left = [m for m in chosen if not done[m.name].killers]
    print()
    for m in chosen:
        print(f'{m.name:36} {done[m.name].seconds:7.1f} s  {done[m.name].row()}')
    for m in left:
        print(f"{m.name} in {m.file} survives: {m.survives or 'UNEXPLAINED: ' + m.why}")
    for m in killed:
        if m.survives:
            print(f'{m.name} is said to survive, and was killed by {done[m.name].row()}')
    hangs = sum(any(v == 'hang' for _, v in done[m.name].killers) for m in killed)
    percent = 100 * len(killed) / len(chosen)
    print(f'{len(chosen)} mutations, {len(killed)} killed ({hangs} by a hang), {len(left)} survived: {percent:.1f} %')
    good = percent >= WANTED_PERCENT and all(m.survives for m in left) and not any(d.trouble for d in done.values())
    return 0 if good else 1


def run(args, listed):
    known = {m.name: m for m in listed}
    unknown = [name for name in args.names if name not in known]
    if unknown:
        raise mutations.Bad(f"no such mutation: {' '.join(unknown)}")
    chosen = [known[name] for name in args.names] or listed
    if check(listed):
        return 1
    began, killers = time.monotonic(), last_killers()
    scratch = pathlib.Path(args.scratch).resolve()
    trees = [suite.Tree(ROOT, scratch / str(i)) for i in range(args.jobs)]
    for tree in trees:
        tree.setup(OPTIONS)
    baseline(trees[0], args.jobs, scratch / 'passed.json')
    print(f'unmutated: {len(trees[0].tests)} tests pass, {time.monotonic() - began:.0f} s with the build', flush=True)
    plan = {m.name: order(m, listed, killers, trees[0].tests, args.quick) for m in chosen}
    seconds = {name: test.seconds for name, test in trees[0].tests.items()}
    todo, done, lock = queue.Queue(), {}, threading.Lock()
    for m in chosen:
        todo.put(m)
    threads = [threading.Thread(target=work, args=(todo, t, plan, seconds, args.all, done, lock)) for t in trees]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(done) < len(chosen):
        raise suite.Broken('a worker has stopped; see above')
    status = verdict_of(chosen, done)
    print(f'{time.monotonic() - began:.0f} s')
    if args.record:
        write_killed(listed, done, killers)
    return status


def check(listed):
    troubles = [(m.name, mutations.stale(m, ROOT)) for m in listed]
    for name, why in troubles:
        if why:
            print(f'{name} is stale: {why}')
    return 1 if any(why for _, why in troubles) else 0


def apply(args, listed):
    m = next((m for m in listed if m.name == args.name), None)
    if not m:
        raise mutations.Bad(f'no such mutation: {args.name}')
    tree = pathlib.Path(args.tree).resolve()
    if tree == ROOT:
        raise mutations.Bad('that is this very tree; give a copy')
    path = tree / m.file
    path.write_text(mutations.mutated(m, path.read_text(encoding='utf-8')), encoding='utf-8')
    print(f'{m.name}: {path}')
    return 0


def arguments():
    p = argparse.ArgumentParser(usage=__doc__.split('usage: ', 1)[1].split('\n\n')[0], add_help=False)
    p.add_argument('-h', '--help', action='store_true')
    sub = p.add_subparsers(dest='command')
    sub.add_parser('list').add_argument('--why', action='store_true')
    sub.add_parser('check')
    one = sub.add_parser('apply')
    one.add_argument('name')
    one.add_argument('tree')
    many = sub.add_parser('run')
    many.add_argument('names', nargs='*')
    many.add_argument('--jobs', type=int, default=2, choices=range(1, 65), metavar='N')
    many.add_argument('--quick', type=float, default=float('inf'), metavar='S')
    many.add_argument('--all', action='store_true')
    many.add_argument('--record', action='store_true')
    many.add_argument('--scratch', default=str(ROOT / 'build' / 'mutation'))
    return p.parse_args()


def main():
    args = arguments()
    if args.help or not args.command:
        print(__doc__)
        return 0 if args.help else 2
    listed = mutations.read(LIST)
    if args.command == 'list':
        for m in listed:
            print(f'{m.name:36} {m.file}' + (f'\n    {m.why}' if args.why else ''))
        print(f'{len(listed)} mutations in {len({m.file for m in listed})} files')
        return 0
    if args.command == 'check':
        status = check(listed)
        if not status:
            print(f'{len(listed)} mutations apply')
        return status
    return apply(args, listed) if args.command == 'apply' else run(args, listed)


if __name__ == '__main__':
    try:
        sys.exit(main())
    except (mutations.Bad, suite.Broken, OSError) as e:
        print(f'mutate.py: {e}', file=sys.stderr)
        sys.exit(2)
