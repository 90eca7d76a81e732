# SPDX-License-Identifier: MIT
"""The list of mutations as data: read, matched against a tree, applied. Apart from mutate.py so that the cheap check needs
no build.

    = zap-no-flush                      a name
    file lib/core/zap.c                 relative to the root
    why S5, INV-6: …                    the rule that it breaks
    survives …                          only if no test can kill it: the reason
        context line                    as in a diff: a space, - or + in front of the line of source
    -   old line
    +   new line

Lines of source are compared without the blanks at their ends, so that the list outlives an indentation. Context and old
lines together must occur exactly once in the file; otherwise the mutation is stale, and belongs to be looked at again.
"""
import pathlib

FIELDS = ('file', 'why', 'survives')


class Bad(Exception):
    """The list, or what was asked of it, is wrong."""


class Mutation:
    def __init__(self, name, line):
        self.name, self.line = name, line
        self.file = self.why = self.survives = ''
        self.hunk = []  # (mark, text)

    def old(self):
        return [text for mark, text in self.hunk if mark in ' -']

    def complaint(self):
        """What is wrong with its form, or None."""
        if not self.file or not self.why:
            return 'needs a file and a reason (why)'
        if not self.old() or not any(mark in '+-' for mark, _ in self.hunk):
            return 'needs lines to match, and a change'
        return None


def read(path):
    """-> list of Mutation, in the order of the file."""
    found, names = [], set()
    for number, line in enumerate(pathlib.Path(path).read_text(encoding='utf-8').splitlines(), 1):
        field = line.split(' ', 1)[0]
        if not line.strip() or line.startswith('#'):
            continue
        if line.startswith('= '):
            found.append(Mutation(line[2:].strip(), number))
            if found[-1].name in names:
                raise Bad(f'{path}:{number}: {found[-1].name} is there twice')
            names.add(found[-1].name)
        elif found and field in FIELDS:
            setattr(found[-1], field, line.split(' ', 1)[1].strip())
        elif found and line[0] in ' -+':
            found[-1].hunk.append((line[0], line[1:].strip()))
        else:
            raise Bad(f'{path}:{number}: not understood: {line}')
    for m in found:
        if m.complaint():
            raise Bad(f'{path}:{m.line}: {m.name} {m.complaint()}')
    return found


def places(m, lines):
    """Where in the lines the old text begins."""
    old, bare = m.old(), [line.strip() for line in lines]
    return [i for i in range(len(bare) - len(old) + 1) if bare[i:i + len(old)] == old]


def stale(m, root):
    """Why the mutation does not apply to the tree, or None."""
    path = pathlib.Path(root, m.file)
    if not path.is_file():
        return f'{m.file} does not exist'
    hits = len(places(m, path.read_text(encoding='utf-8').splitlines()))
    return None if hits == 1 else f'its lines are {hits} times in {m.file}, not once'


def mutated(m, text):
    """The file's text with the mutation applied."""
    lines = text.splitlines()
    where = places(m, lines)
    if len(where) != 1:
        raise Bad(f'{m.name} is stale: its lines are {len(where)} times in {m.file}, not once')
    at, new = where[0], []
    indent = ''
    for mark, changed in m.hunk:
        if mark != '+':
            line = lines[at]
            indent = line[:len(line) - len(line.lstrip())]
            at += 1
            if mark == ' ':
                new.append(line)
        else:
            new.append(indent + changed)
    return '\n'.join(lines[:where[0]] + new + lines[at:]) + '\n'
