#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Count what meson's test logs hold, subtests one by one; say how long each suite took, summed over its tests (they run side by
side); name what failed; the last line is "N passed, N failed".

usage: summary.py BROKEN TESTLOG...     BROKEN: runs that failed before or beside their tests, counted as failures

A test that crashed, timed out or stopped short of its plan counts as one failure if no subtest of it is one already.
"""
import json
import re
import sys

RESULT = re.compile(r'^(not )?ok\b\s*(\d+)?\s*-?\s*([^#]*)(#\s*(SKIP|TODO)\S*)?', re.IGNORECASE)
FINE = {'OK', 'EXPECTEDFAIL', 'SKIP'}


def count(test):
    """-> (passed, failed names, skipped) of one line of a test log."""
    passed, failed, skipped, seen = 0, [], 0, 0
    for line in (test.get('stdout') or '').splitlines():
        match = RESULT.match(line)
        if not match:
            continue
        seen += 1
        if match.group(5):
            skipped += 1
        elif match.group(1):
            failed.append(f"{test['name']}: {match.group(3).strip()}")
        else:
            passed += 1
    good = test['result'] in FINE
    if good and seen == 0:
        if test['result'] == 'SKIP':
            skipped += 1
        else:
            passed += 1
    if not good and not failed:
        failed.append(f"{test['name']}: {test['result'].lower()} (exit status {test.get('returncode')})")
    return passed, failed, skipped


def suite_of(test):
    """The first suite of "project:suite+suite / name"."""
    return test['name'].split(' / ')[0].split(':')[-1].split('+')[0]


def main():
    broken, logs = int(sys.argv[1]), sys.argv[2:]
    passed, failed, skipped = 0, [], 0
    for log in logs:
        folder, seconds = log.split('/meson-logs')[0], {}
        with open(log, encoding='utf-8') as lines:
            for test in map(json.loads, lines):
                test_passed, test_failed, test_skipped = count(test)
                passed += test_passed
                failed += [f'{folder}: {name}' for name in test_failed]
                skipped += test_skipped
                suite = suite_of(test)
                seconds[suite] = seconds.get(suite, 0) + test['duration']
        print(f'{folder}, seconds: ' + ', '.join(f'{suite} {seconds[suite]:.0f}' for suite in sorted(seconds)))
    for name in failed:
        print(f'FAILED {name}')
    failures = len(failed) + broken
    print(f'{passed} passed, {failures} failed' + (f', {skipped} skipped' if skipped else ''))
    return 1 if failures or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
