# SPDX-License-Identifier: MIT
"""A copy of the tree with a build of its own: built target by target, tested test by test."""
import filecmp
import hashlib
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import subprocess
import time

LEFT_OUT = {'.git', 'build', '__pycache__'}
SUITES = {'unit', 'property', 'fault', 'kit', 'scale', 'oracle', 'replay', 'fuzz', 'stress', 'examples'}  # those that run the library
OUTPUT_MAX = 1 << 20   # bytes kept of what a test prints: one gone wild prints without end
MEMORY_MAX = 6 << 30   # of private data
HANG_SECONDS = 40      # beside twenty times what the test took in the unmutated build


class Broken(Exception):
    """Nothing can be said about mutations."""


def sync(source, target):
    """Make target's files those of source; unchanged ones keep their time stamps."""
    wanted = set()
    for folder, folders, files in os.walk(source):
        folders[:] = [d for d in folders if d not in LEFT_OUT]
        here = pathlib.Path(folder)
        for name in files:
            part = here.relative_to(source) / name
            wanted.add(part)
            to = target / part
            if not to.exists() or not filecmp.cmp(here / name, to, shallow=False):
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(here / name, to)
    for folder, folders, files in os.walk(target):
        folders[:] = [d for d in folders if d not in LEFT_OUT]
        for name in files:
            path = pathlib.Path(folder, name)
            if path.relative_to(target) not in wanted:
                path.unlink()


class Test:
    def __init__(self, described, targets):
        self.name = described['name']
        self.cmd, self.env = described['cmd'], described['env']
        self.targets = [targets[d] for d in described['depends'] if d in targets]
        self.seconds = 0.0


class Tree:
    """One copy, for one worker."""

    def __init__(self, source, folder):
        self.root, self.build = folder, folder / 'build'
        self.root.mkdir(parents=True, exist_ok=True)
        sync(source, self.root)
        self.tests = {}

    def setup(self, options):
        again = ['--reconfigure'] if (self.build / 'build.ninja').exists() else []
        self._must(['meson', 'setup', *again, str(self.build), str(self.root), *options])
        targets = {}
        for t in json.loads(self._must(['meson', 'introspect', '--targets', str(self.build)])):
            targets[t['id']] = os.path.relpath(t['filename'][0], self.build)
        for described in json.loads(self._must(['meson', 'introspect', '--tests', str(self.build)])):
            if {s.split(':')[-1] for s in described['suite']} & SUITES:
                self.tests[described['name']] = Test(described, targets)

    def _must(self, command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.root, check=False)
        if done.returncode:
            raise Broken(f"{' '.join(command[:3])} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        return done.stdout

    def make(self, targets, jobs=1):
        """Build. -> None, or what the compiler says."""
        done = subprocess.run(['ninja', '-C', str(self.build), f'-j{jobs}', *targets], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return None if done.returncode == 0 else done.stdout[-3000:]

    def digest(self, name):
        """Of the program that the test is, with the libraries that it may load; None for a script, which reads who knows what."""
        test, sum_ = self.tests[name], hashlib.sha256()
        if not test.cmd[0].startswith(str(self.build)):
            return None
        for path in sorted({self.build / t for t in test.targets} | set((self.build / 'lib').rglob('*.so.*.*'))):
            if path.is_file():
                sum_.update(path.read_bytes())
        return sum_.hexdigest()

    def run(self, name, seconds_before):
        """Run one test, built before. -> (verdict, seconds, output); 'passed', 'crashed', 'hang', 'failed', or the case that
        failed first. (After a failed case the next one of the file may crash, since what that left is not cleared away.)"""
        test = self.tests[name]
        env = {**os.environ, **test.env, 'MALLOC_PERTURB_': '165'}
        began = time.monotonic()
        limit = HANG_SECONDS + 20 * seconds_before
        with subprocess.Popen(test.cmd, cwd=self.build, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_limits) as process:
            output, hung = _listen(process, began + limit)
        text = output.decode('utf-8', 'replace')
        case = next((line for line in text.splitlines() if line.startswith('not ok')), '')
        if case:
            verdict = case.split('::')[-1].split(' - ')[-1].strip()
        elif hung:
            verdict = 'hang'
        elif process.returncode < 0:
            verdict = 'crashed'
        else:
            verdict = 'passed' if process.returncode in (0, 77) else 'failed'
        return verdict, time.monotonic() - began, text


def _limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MAX, MEMORY_MAX))


def _listen(process, deadline):
    """Read until the process ends. -> (output, True if it had to be killed). Its children go with it."""
    output, hung, open_pipe = b'', False, True
    while process.poll() is None:
        if time.monotonic() > deadline:
            hung = True
            break
        if open_pipe and select.select([process.stdout], [], [], 0.2)[0]:
            piece = os.read(process.stdout.fileno(), 65536)
            open_pipe = bool(piece)
            output = (output + piece)[:OUTPUT_MAX]
        elif not open_pipe:
            time.sleep(0.01)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    while open_pipe and select.select([process.stdout], [], [], 0)[0]:
        piece = os.read(process.stdout.fileno(), 65536)
        open_pipe = bool(piece)
        output = (output + piece)[:OUTPUT_MAX]
    process.wait()
    return output, hung
