#!/bin/sh
# SPDX-License-Identifier: MIT
# The Promela models beside this script: no order of their steps breaks what they assert, and with any one rule switched off
# (-D) some order does. Each search is exhaustive, with partial order reduction; a state where somebody waits for ever is
# an error, too. Needs Debian's spin and a C compiler; skips without spin. docs/design/races.md says what the models show.
# Usage: spin.sh PROJECT_ROOT COMPILER
set -u
root=$1 compiler=$2
. "$root/tests/support/tap.sh"
models=$root/tests/spin
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
began=$(date +%s)
optimise=-O0 # the verifier of a small world is compiled for longer than it runs

# search MODEL OPTION...: what the verifier says, in $work/said
search()
{
    model=$1
    shift
    # shellcheck disable=SC2086 # the compiler may have arguments
    (cd "$work" && rm -f pan* said ./*.trail && spin -a "$@" "$models/$model.pml" &&
        $compiler $optimise -w -DSAFETY -DCOLLAPSE -DMEMLIM=4000 -o pan pan.c && ./pan -m10000 > said; cat said)
}

holds()
{
    search "$@" || return 1
    ! grep -q -e 'max search depth too small' -e 'Search not completed' "$work/said" && grep -q 'errors: 0' "$work/said"
}

is_refuted()
{
    search "$@"
    grep -q 'errors: 1' "$work/said" && grep -q -e 'assertion violated' -e 'invalid end state' "$work/said"
}

say_size()
{
    awk '/states, stored/ { states = $1 } /elapsed time/ { seconds = $4 } /^pan:1:/ { sub(/^pan:1: /, ""); why = ", " $0 }
        END { print "#     " states " states, " seconds " s" why }' "$work/said"
}

# verify WHAT MODEL OPTION...
verify()
{
    if command -v spin > /dev/null; then
        what=$1
        shift
        check "$what" holds "$@"
        say_size
    else
        skip "$1" "spin is not installed"
    fi
}

# refute MODEL "OPTION..." RULE...: each rule switched off is noticed in this world
refute()
{
    model=$1 world=$2
    shift 2
    for rule in "$@"; do
        if command -v spin > /dev/null; then
            # shellcheck disable=SC2086
            check "$model: refuted: $rule" is_refuted "$model" $world -D"$rule"
            say_size
        else
            skip "$model: refuted: $rule" "spin is not installed"
        fi
    done
}

optimise=-O1
verify "fork tree, fork, zap, exit, walk" fork_walk
optimise=-O0
refute fork_walk "" NO_STABLE NO_FORKING_MARK MARK_AFTER_LOAD CHILD_BEFORE_SOURCE INSERT_AFTER_COPY COUNT_AFTER_ENTRY \
    LOWER_BEFORE_CLEAR LOWER_BEFORE_FLUSH TIGHTEN_AFTER_FORK TIGHTEN_AFTER_LEAVE TIGHTEN_NEWEST MERGE_INTO_NEWEST \
    ABORT_MARK_LAST NO_NEWBORN ENTRY_AHEAD

verify "walk, move, fault: a shared page" move_fault
verify "walk, move, fault: a page of one space" move_fault -DALONE
refute move_fault "" LAND_UNLOCKED LAND_BEFORE_FLUSH LOWER_AT_TAKE_OFF LOWER_BEFORE_FLUSH INDEX_AFTER_UNLOCK \
    FAULT_IN_FLIGHT NO_RECHECK SWAPIN_UNLOCKED

dropped="-DF0=0 -DZ0 -DZ1" shared="-DF0=0 -DF1=0 -DZ1" twice="-DFROM_MEMORY -DF0=0 -DF0B=1"
slot_life()
{
    world=$1
    shift
    # shellcheck disable=SC2086
    verify "slot: $*" slot_life $world
}
slot_life "$dropped -DFR=0" a fault against two zaps, the slot goes to a stranger who reads it back
slot_life "$shared" two faults against a zap
slot_life "-DF0=1 -DF1=0" a write and a read fault
slot_life "-DFROM_MEMORY -DF0=1 -DZ0 -DZ1" zaps and a write fault while the mapped page is evicted
slot_life "-DFROM_MEMORY -DF0=1 -DF1=0 -DEVICTIONS=2" faults against two evictions
slot_life "$twice" one space reads and writes while a sibling is on swap
slot_life "-DALONE -DF0=0 -DF0B=1" two faults of one space, the slot is freed and comes back
refute slot_life "$dropped" NO_SECOND_TRY TRY_BEFORE_MARK NO_VERSION NO_RECHECK
refute slot_life "$shared" NO_WIDENING LAST_ENTRY_HOMES
refute slot_life "-DFROM_MEMORY -DF0=1 -DZ0 -DZ1" ADD_UNMARKED FORGET_UNCHECKED DEL_UNWRITTEN COUNT_AFTER_ENTRY
refute slot_life "$twice" REUSE_IGNORES_ENTRIES
# As the code was until this model refuted it: see "Found" in races.md.
refute slot_life "-DALONE -DF0=0 -DF0B=1" DEAD_AT_ONE_LOOK
echo "# $(($(date +%s) - began)) s"
finish
