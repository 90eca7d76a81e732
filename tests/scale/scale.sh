#!/bin/sh
# SPDX-License-Identifier: MIT
# The bounds of the scale table hold; at full size docs/performance.md quotes it as it is.
# Usage: scale.sh PROJECT_ROOT SCALE [--quick]
set -u
root=$1 scale=$2 size=${3:-}
. "$root/tests/support/tap.sh"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2086
bounds_hold()
{
    "$scale" $size > "$work/table" || { cat "$work/table"; return 1; }
}
is_quoted()
{
    sed -n '/^| scenario /,/^$/p' "$root/docs/performance.md" | grep . | diff - "$work/table"
}
refuses() # arguments...
{
    "$scale" "$@" > "$work/out" 2> "$work/err"
    [ $? -eq 2 ] && [ ! -s "$work/out" ] && [ "$(wc -l < "$work/err")" -eq 1 ]
}

check "the bounds of every row hold" bounds_hold
if [ -n "$size" ]; then
    skip "docs/performance.md quotes the table" "smaller worlds"
else
    check "docs/performance.md quotes the table" is_quoted
fi
check "refused: a row that is not there" refuses --only G7
check "refused: an unknown argument" refuses --nonsense
check "refused: a file" refuses somewhere
finish
