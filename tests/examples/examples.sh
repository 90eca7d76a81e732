#!/bin/sh
# SPDX-License-Identifier: MIT
# The examples do what they say, and refuse nonsense with one line on stderr and status 2, leaving nothing behind.
# Usage: examples.sh PROJECT_ROOT HELLO_RMAP CUSTOM_MMU SQLITE_BRANCHES
set -u
root=$1 hello=$2 custom=$3 branches=$4
. "$root/tests/support/tap.sh"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
TMPDIR=$work/tmp
export TMPDIR
mkdir "$TMPDIR"

hello_follows_the_fork()
{
    "$hello" > "$work/out" || return 1
    cat "$work/out"
    [ "$(grep -c 'parent at page 7' "$work/out")" -eq 1 ] && grep -q 'child at page 8, writable' "$work/out"
}

# A line for each rule; none is broken, and few are skipped.
custom_mmu_passes_the_kit()
{
    "$custom" > "$work/out" || { cat "$work/out"; return 1; }
    cat "$work/out"
    planned=$(sed -n 's/^1\.\.//p' "$work/out")
    [ "$planned" -gt 25 ] && [ "$(grep -c '^ok ' "$work/out")" -eq "$planned" ] && [ "$(grep -c '# SKIP' "$work/out")" -le 14 ]
}

left_behind() { find "$TMPDIR" -mindepth 1 | grep .; }

# RESULT, the last line, is JSON that says ok and has the promised fields above 0.
result_holds() # python_condition... on r
{
    tail -n 1 "$work/out" | python3 -c '
import json, sys
line = sys.stdin.readline()
assert line.startswith("RESULT "), line
r = json.loads(line[len("RESULT "):])
assert r["ok"] is True, r
assert 0 < r["peak_frame_bytes"] <= r["budget_bytes"] < r["image_bytes"], r
assert r["bytes_per_mapping"] == 0, r
for condition in sys.argv[1:]:
    assert eval(condition, {"r": r}), (condition, r)
' "$@"
}
runs() # arguments... -- conditions...
{
    arguments=
    while [ "$1" != -- ]; do
        arguments="$arguments $1"
        shift
    done
    shift
    # shellcheck disable=SC2086
    "$branches" $arguments > "$work/out" 2> "$work/err" || { tail -n 20 "$work/out" "$work/err"; return 1; }
    result_holds "$@" && ! left_behind
}
# A row for each open branch, the sum, and the two counts of pages, which are equal.
tells_who_has_how_much()
{
    "$branches" "$work/small.sqlite" --branches 9 --memory 2M --per-branch > "$work/out" 2> "$work/err" || return 1
    result_holds 'r["branches"] == 9' || return 1
    sed -n '/^pages of each open branch/,/^resident/p' "$work/out" | tee "$work/table"
    python3 - "$work/table" <<'END'
import re, sys
title, head, *rows, last = open(sys.argv[1]).read().splitlines()
rows = [row.split() for row in rows]
branches, all = [[float(x) for x in row[2:]] for row in rows[:-1]], [float(x) for x in rows[-1][1:]]
assert rows[0][:2] == ["root", "-"] and len(branches) > 5 and any(row[1] not in ("root", "-") for row in rows[:-1]), rows
for column in range(5):
    assert abs(sum(row[column] for row in branches) - all[column]) < 0.01, (column, all)
pages = re.findall(r"\d+", last)
assert pages[0] == pages[1] and int(pages[0]) > 0 and abs(int(pages[0]) / 256 - all[2]) < 0.01, (pages, all)
END
}
writes_a_drawing()
{
    "$branches" --branches 3 --svg "$work/run.svg" "$work/small.sqlite" --memory 2M > "$work/out" 2>&1 || return 1
    grep -q '<svg' "$work/run.svg" && grep -q '</svg>' "$work/run.svg"
}
# With one thread to the last page.
same_work_for_the_same_seed()
{
    for run in 1 2; do
        "$branches" --branches 5 --seed 77 --memory 2M --threads 1 "$work/small.sqlite" > "$work/out" 2> /dev/null || return 1
        tail -n 1 "$work/out" | grep -o '"\(seed\|virtual_bytes\|moves_reindexed\|cow_copies\)":[0-9]*' > "$work/run$run"
    done
    cat "$work/run1"
    [ -s "$work/run1" ] && cmp "$work/run1" "$work/run2"
}
# The same rows and sizes however many threads there are; which pages were evicted and copied on the way is chance.
works_with_threads() # N
{
    runs "$work/small.sqlite" --branches 10 --memory 2M --seed 5 --threads "$1" -- 'r["branches_checked"] == 10' \
        "r['threads'] == $1" "len(r['faults_by_thread']) == $1" 'sum(r["tasks_by_thread"]) == r["tasks"] > 60' \
        'sum(r["faults_by_thread"]) == r["faults"] > 0' '0 < r["work_cpu_seconds"]' '0 < r["work_seconds"] < r["seconds"]' \
        "(r['reclaim_frames'] > 0) == ($1 > 1)" 'r["reclaim_frames"] <= r["evictions"]' \
        '"space_waits" in r and "reclaim_waits" in r' || return 1
    grep '^work by' "$work/out"
    tail -n 1 "$work/out" | grep -o '"\(virtual_bytes\|forks_of_forks\|tasks\)":[0-9]*' > "$work/threads"
    cat "$work/threads"
    [ -f "$work/threads.first" ] || cp "$work/threads" "$work/threads.first"
    cmp "$work/threads" "$work/threads.first"
}
refuses() # arguments...
{
    "$branches" "$@" > "$work/out" 2> "$work/err"
    status=$?
    echo "status $status"
    cat "$work/out" "$work/err"
    [ $status -eq 2 ] && [ "$(wc -l < "$work/err")" -eq 1 ] && ! left_behind
}

# small.sqlite: 6 MiB in 20,000 rows with an index. wal.sqlite: the same in WAL mode. Beside them what is no database.
make_images()
{
    python3 - "$work" <<'END'
import sqlite3, sys
for name, mode in (("small", "delete"), ("wal", "wal")):
    db = sqlite3.connect(f"{sys.argv[1]}/{name}.sqlite")
    db.execute(f"pragma journal_mode={mode}")
    db.execute("create table text(id integer primary key, word text, body text)")
    db.executemany("insert into text(word, body) values(?, ?)", ((f"w{i % 997}", f"line {i} " * 20) for i in range(20000)))
    db.execute("create index words on text(word)")
    db.commit()
    db.close()
END
    : > "$work/empty"
    head -c 100000 /dev/zero | tr '\0' 'x' > "$work/noise"
    head -c 50000 "$work/small.sqlite" > "$work/truncated"
}
check "hello_rmap follows two pages through a fork, a write and an exit" hello_follows_the_fork
check "custom_mmu passes the conformance kit" custom_mmu_passes_the_kit
check "images can be made" make_images

check "sqlite_branches: 8 branches of the built image, swap file" runs --branches 8 -- 'r["branches_checked"] >= 8' \
    'r["evictions"] > 0' 'r["shared_evictions"] > 0' 'r["swap_ins"] > 0' 'r["cow_copies"] > 0' 'r["forks_of_forks"] > 0' \
    'r["moves_reindexed"] > 0' 'r["threads"] == 2'
check "sqlite_branches: 6 branches of an image given, lz4" runs "$work/small.sqlite" --branches 6 --memory 2M --swap lz4 -- \
    'r["branches"] == 6' 'r["swap_ins"] > 0' 'r["lz4_bytes_peak"] > 0'
check "sqlite_branches: moves copy what is shared" runs "$work/small.sqlite" --branches 12 --memory 2M --threads 1 --move copy -- \
    'r["move"] == "copy"' 'r["moves_copied"] > 0' 'r["moved_tracked"] == 0' 'r["track_bytes"] == 0'
check "sqlite_branches: moves track what is shared, and copy nothing" runs "$work/small.sqlite" --branches 12 --memory 2M \
    --threads 1 --move track -- 'r["move"] == "track"' 'r["moves_copied"] == 0' 'r["moved_tracked"] > 0' 'r["swap_in_copies"] == 0' \
    'r["track_bytes"] > 0'
check "sqlite_branches: one branch" runs "$work/small.sqlite" --branches 1 --memory 3M -- 'r["branches_checked"] >= 1'
check "sqlite_branches: the same work for the same seed" same_work_for_the_same_seed
for threads in 1 2 4; do
    check "sqlite_branches: the work of $threads thread(s)" works_with_threads $threads
done
check "sqlite_branches draws the run" writes_a_drawing
check "sqlite_branches --per-branch: the proportions add up to the pages" tells_who_has_how_much
check "an image in WAL mode is refused, or converted in a copy" sh -c '
    before=$(cksum < "$1"); "$2" "$1" --branches 2 --memory 2M; status=$?
    [ "$(cksum < "$1")" = "$before" ] && { [ $status -eq 0 ] || [ $status -eq 2 ]; }' - "$work/wal.sqlite" "$branches"

check "refused: a file that is not there" refuses "$work/absent"
check "refused: an empty file" refuses "$work/empty"
check "refused: a file that is no database" refuses "$work/noise"
check "refused: a truncated database" refuses "$work/truncated"
check "refused: a directory" refuses "$work"
check "refused: two images" refuses "$work/small.sqlite" "$work/small.sqlite"
check "refused: an unknown option" refuses --nonsense
check "refused: no branches" refuses --branches 0
check "refused: branches that are no number" refuses --branches many
check "refused: a size that is no size" refuses --memory 24Q
check "refused: a budget of the image's size or more" refuses "$work/small.sqlite" --memory 1G
check "refused: a budget below 64 frames" refuses "$work/small.sqlite" --memory 255K
check "refused: an unknown kind of swap" refuses --swap tape
check "refused: an unknown kind of move" refuses --move away
check "refused: no threads" refuses --threads 0
check "refused: threads that are no number" refuses --threads abc
check "refused: threads without end" refuses --threads 65
check "refused: a seed that is no number" refuses --seed x
check "refused: a drawing that cannot be written" refuses "$work/small.sqlite" --memory 2M --branches 2 --svg "$work/absent/run.svg"
if [ "$(id -u)" -eq 0 ]; then
    skip "refused: an unreadable file" "root reads everything"
else
    cp "$work/small.sqlite" "$work/unreadable"
    chmod 000 "$work/unreadable"
    check "refused: an unreadable file" refuses "$work/unreadable"
fi
finish
