#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Read what a build with gcov's counters has counted, print coverage of lib/, judge it. tests/coverage runs this.

usage: coverage.py [--missing] [--lines PERCENT] [--branches PERCENT] BUILD [PART...]

Three things, and a verdict:
  lines and branches of lib/, per file (those whose path contains a PART, if one is given) and in all;
  error codes (include/objrmap/error.h): lines of lib/ that give the code and ran, lines of tests that expect it and ran. A line
    that only compares with a code does not count, nor does one of several outcomes of which one never came; nor does a test's
    own function that returns the code;
  MMU operations (struct rmap_mmu_ops): lines of core and pager that call it and ran, with each outcome if they look first
    whether there is one; functions that implement it and ran.
A static inline function of a header counts once, whichever files use it. --missing: what never ran, line by line.
Status 0; 1 below a bound, or a code or an operation was never seen; 2 misuse.
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Misuse(Exception):
    pass


def notes_of(build):
    for folder, _, names in sorted(os.walk(build)):
        for name in sorted(names):
            if name.endswith('.gcno'):
                yield os.path.join(folder, name)


def gcov(notes):
    """gcov's JSON, one document for each object; objects that never ran are there, too, with zeroes."""
    out = subprocess.run(['gcov', '--json-format', '--branch-probabilities', '--stdout', *notes], capture_output=True, text=True,
                         check=False)
    if out.returncode:
        raise Misuse(f'gcov failed: {out.stderr.strip().splitlines()[-1:]}')
    for line in out.stdout.splitlines():
        if line.startswith('{'):
            yield json.loads(line)


class Counts:
    """What ran, of all files of the project: sums over the objects that hold a line."""

    def __init__(self, build):
        self.lines = collections.defaultdict(lambda: collections.defaultdict(int))
        self.branches = collections.defaultdict(dict)  # file -> (line, function) -> [count]
        self.functions = collections.defaultdict(int)  # (file, function) -> count
        notes = list(notes_of(build))
        if not notes:
            raise Misuse(f'{build} is no build with coverage: run tests/coverage')
        for at in range(0, len(notes), 64):
            for document in gcov(notes[at:at + 64]):
                base = document['current_working_directory']
                for one in document['files']:
                    self.add(os.path.relpath(os.path.normpath(os.path.join(base, one['file'])), ROOT), one)

    def add(self, file, one):
        if file.startswith('..') or not os.path.exists(os.path.join(ROOT, file)):  # generated, or of a build before
            return
        for function in one['functions']:
            self.functions[file, function['name']] += function['execution_count']
        for line in one['lines']:
            number, function = line['line_number'], line.get('function_name')
            self.lines[file][number] += line['count']
            counts = [branch['count'] for branch in line['branches']]
            known = self.branches[file].setdefault((number, function), [0] * len(counts))
            if len(known) < len(counts):
                known += [0] * (len(counts) - len(known))
            for i, count in enumerate(counts):
                known[i] += count

    def ran(self, file, number):
        return self.lines[file].get(number, 0) > 0

    def never_taken(self, file, number):
        """-> how many branches of the line, in which function it may be, were never taken."""
        return sum(count == 0 for (line, _), counts in self.branches[file].items() if line == number for count in counts)


def text_of(file):
    with open(os.path.join(ROOT, file), encoding='utf-8') as lines:
        return lines.read().splitlines()


def percent(hit, total):
    return 100.0 * hit / total if total else 100.0


def table(counts, parts):
    """Prints lines and branches per file; -> (lines hit, lines, branches taken, branches) of all of lib/."""
    total = [0, 0, 0, 0]
    print(f'{"file":34}{"lines":>14}{"%":>8}{"branches":>14}{"%":>8}')

    def row(name, numbers):
        hit, lines, taken, branches = numbers
        print(f'{name:34}{f"{hit}/{lines}":>14}{percent(hit, lines):8.1f}{f"{taken}/{branches}":>14}{percent(taken, branches):8.1f}')

    for file in sorted(name for name in counts.lines if name.startswith('lib/')):
        lines = counts.lines[file].values()
        branches = [count for some in counts.branches[file].values() for count in some]
        numbers = [sum(c > 0 for c in lines), len(lines), sum(c > 0 for c in branches), len(branches)]
        total = [a + b for a, b in zip(total, numbers)]
        if not parts or any(part in file for part in parts):
            row(file, numbers)
    row('lib/', total)
    return total


def missing(counts, parts):
    print('\nnever ran (line), or never took (number of branches)')
    for file in sorted(name for name in counts.lines if name.startswith('lib/')):
        if parts and not any(part in file for part in parts):
            continue
        text = text_of(file)
        for number in sorted(counts.lines[file]):
            left = counts.never_taken(file, number)
            if not counts.ran(file, number):
                print(f'{file}:{number}: line: {text[number - 1].strip()}')
            elif left:
                print(f'{file}:{number}: {left}: {text[number - 1].strip()}')


def error_codes():
    """-> names, and of them those that the table calls reserved."""
    rows = re.findall(r'\bX\((\w+), \d+, "([^"]*)"\)', '\n'.join(text_of('include/objrmap/error.h')))
    if not rows:
        raise Misuse('include/objrmap/error.h has no table of errors that this understands')
    return [name for name, _ in rows], {name for name, text in rows if 'reserved' in text}


def names_it(text, code):
    """The line names the code, and not only to compare."""
    return re.search(rf'\bRMAP_ERR_{code}\b', re.sub(r'[=!]=\s*RMAP_ERR_\w+|\bcase RMAP_ERR_\w+', '', text))


def ran_each_way(counts, file, number):
    """The line ran, and where it decides, each outcome came."""
    return counts.ran(file, number) and not counts.never_taken(file, number)


def gives(counts, file, number, text, code):
    return names_it(text, code) and ran_each_way(counts, file, number)


def expects(counts, file, number, text, code):
    """A line of a test; a fake that returns the code, or leaves it in a request, expects nothing."""
    fakes = re.search(r'\breturn\b|\berror = RMAP_ERR_', text) and names_it(text, code)
    return not fakes and counts.ran(file, number)


def show_errors(counts):
    names, reserved = error_codes()
    given, wanted = collections.Counter(), collections.Counter()
    for file in counts.lines:
        if not file.startswith(('lib/', 'tests/')):
            continue
        for number, text in enumerate(text_of(file), 1):
            for code in set(re.findall(r'\bRMAP_ERR_(\w+)', text)):
                if file.startswith('tests/'):
                    wanted[code] += expects(counts, file, number, text, code)
                elif gives(counts, file, number, text, code):
                    given[code] += 1
    print(f'\n{"error code":34}{"lines of lib/":>14}{"of tests":>10}')
    unseen = []
    for code in names:
        good = (not given[code]) if code in reserved else given[code] and wanted[code]
        remark = '  reserved: nothing gives it' if code in reserved and good else '' if good else '  NEVER SEEN'
        print(f'{code:34}{given[code]:14}{wanted[code]:10}{remark}')
        if not good:
            unseen.append(code)
    return unseen


def operations():
    text = re.sub(r'/\*.*?\*/', '', '\n'.join(text_of('include/objrmap/mmu.h')), flags=re.DOTALL)
    body = re.search(r'struct rmap_mmu_ops \{(.*?)\n\};', text, re.DOTALL)
    names = re.findall(r'\(\*(\w+)\)\(', body.group(1)) if body else []
    if not names:
        raise Misuse('include/objrmap/mmu.h has no struct rmap_mmu_ops that this understands')
    return names


def function_ran(counts, file, function):
    """The function of that name that the file means: its own, else one of another file."""
    files = [file] if (file, function) in counts.functions else [other for other, known in counts.functions if known == function]
    return any(counts.functions[one, function] for one in files)


def show_operations(counts):
    known = '|'.join(operations())
    calls, implementations = collections.Counter(), collections.Counter()
    call = re.compile(rf'(?:->|\.)({known})\([^,()]*\bctx\b')
    implementation = re.compile(rf'\.({known}) = (?:[^,;?]* \? )?(\w+)')
    for file in counts.lines:
        for number, text in enumerate(text_of(file), 1):
            if file.startswith(('lib/core/', 'lib/pager/', 'include/')):
                for name in set(call.findall(text)):
                    calls[name] += ran_each_way(counts, file, number)
            for name, function in implementation.findall(text):
                implementations[name] += function_ran(counts, file, function)
    print(f'\n{"MMU operation":34}{"calling lines":>14}{"functions":>10}')
    unseen = []
    for name in operations():
        good = calls[name] and implementations[name]
        print(f'{name:34}{calls[name]:14}{implementations[name]:10}{"" if good else "  NEVER SEEN"}')
        if not good:
            unseen.append(name)
    return unseen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--missing', action='store_true')
    parser.add_argument('--lines', type=float, default=95.0)
    parser.add_argument('--branches', type=float, default=85.0)
    parser.add_argument('build')
    parser.add_argument('parts', nargs='*')
    options = parser.parse_args()
    counts = Counts(options.build)
    hit, lines, taken, branches = table(counts, options.parts)
    if options.missing:
        missing(counts, options.parts)
    unseen = show_errors(counts) + show_operations(counts)
    good = percent(hit, lines) >= options.lines and percent(taken, branches) >= options.branches and not unseen
    print(f'\nlib/: {percent(hit, lines):.2f} % of {lines} lines (at least {options.lines:g}), {percent(taken, branches):.2f} % of '
          f'{branches} branches (at least {options.branches:g}), codes and operations never seen: {" ".join(unseen) or "none"}: '
          f'{"as it should be" if good else "NOT ENOUGH"}')
    return 0 if good else 1


if __name__ == '__main__':
    try:
        sys.exit(main())
    except Misuse as misuse:
        print(f'coverage.py: {misuse}', file=sys.stderr)
        sys.exit(2)
