#!/bin/sh
# SPDX-License-Identifier: MIT
# The Linux oracle as tests: the two sides agree; what is found is found again from the printed program; a library that is not
# told of a kind of step is noticed. Usage: linux_diff.sh PROJECT_ROOT LINUX_DIFF STEPS
set -u
root=$1 diff=$2 steps=$3
. "$root/tests/support/tap.sh"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# Status 77 is none of the library's failures: then it is noted, and the check is passed over.
asked() # arguments...
{
    "$diff" "$@"
    status=$?
    [ $status -ne 77 ] || : > "$work/gave-up"
    return $status
}
check_or_skip() # what command...
{
    what=$1
    shift
    rm -f "$work/gave-up"
    if "$@" > "$work/said" 2>&1 < /dev/null; then
        check "$what" true
    elif [ -e "$work/gave-up" ]; then
        skip "$what" "this machine swaps its memory out, again and again"
    else
        check "$what" sh -c 'cat "$1"; exit 1' - "$work/said"
    fi
}
agrees()
{
    asked --steps "$steps" > "$work/out"
    status=$?
    cat "$work/out"
    sed 's/^/# /' "$work/out" >&3
    return $status
}
is_noticed() # kind
{
    asked --leave-out "$1" > "$work/found"
    [ $? -eq 1 ] && grep -v '^seeds' "$work/found" > "$work/program" && [ "$(grep -vc '^#' "$work/program")" -le 12 ] || {
        cat "$work/found"
        return 1
    }
    asked --program "$work/program" --no-shrink
    [ $? -eq 0 ] || return 1 # told of everything again
    asked --program "$work/program" --no-shrink --leave-out "$1"
    [ $? -eq 1 ]
}
is_read_back()
{
    for seed in 1 2 3 4 5 6 7 8; do
        "$diff" --print --seed $seed > "$work/one" && "$diff" --print --program "$work/one" > "$work/two" &&
            [ "$(wc -l < "$work/one")" -eq 251 ] && diff "$work/one" "$work/two" || return 1
    done
}
refuses() # arguments...
{
    "$diff" "$@" > "$work/out" 2> "$work/err"
    [ $? -eq 2 ] && [ ! -s "$work/out" ] && [ "$(wc -l < "$work/err")" -eq 1 ]
}
refuses_line() # the second line of a program
{
    printf 'world copy soft none 576 1\n%s\n' "$1" > "$work/bad"
    refuses --program "$work/bad" && grep -q "line 2" "$work/err"
}

exec 3>&2
why=
"$diff" --steps 1 > "$work/out" 2>&1
if [ $? -eq 77 ]; then
    why=$(sed -n 's/^skipped[^:]*: //p' "$work/out")
    skip "$steps steps agree with the kernel" "$why"
    skip "noticed: the library is not told of a kind of step" "$why"
fi
if [ -z "$why" ]; then
    check_or_skip "$steps steps agree with the kernel" agrees
    for kind in write dontneed unmap move; do
        check_or_skip "noticed, made small, and found again from the printed program: the library is not told of $kind" is_noticed $kind
    done
fi
check "a printed program is read back as it was" is_read_back
check "refused: an unknown argument" refuses --nonsense
check "refused: no number" refuses --steps many
check "refused: a kind that cannot be left out" refuses --leave-out fork
check "refused: a file that is not there" refuses --program "$work/nothing"
for line in "jump s0" "fork s0" "fork s0 s8" "map s0 60+5 rw new" "map s0 1+1 rw here" "write s0 1+1 2 3" "protect s0 1+1 w" "world copy soft none 576 1"; do
    check "refused: $line" refuses_line "$line"
done
finish
