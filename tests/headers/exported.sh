#!/bin/sh
# SPDX-License-Identifier: MIT
# The shared libraries export exactly the names that the headers declare RMAP_API, and exactly those, with their versions, that the
# version scripts list: nothing forgotten, nothing leaked.
# Usage: exported.sh PROJECT_ROOT LIBOBJRMAP_SO LIBOBJRMAP_TESTING_SO [LIBOBJRMAP_JEMALLOC_SO]
set -u
root=$1 library=$2 testing_library=$3 jemalloc_library=${4:-}
. "$root/tests/support/tap.sh"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# RMAP_API ... name( or name[ or name; with comments and preprocessor lines taken away first.
declared() # header...
{
    cat "$@" | awk '
        { text = text $0 "\n" }
        END {
            while ((from = index(text, "/*")) > 0) {
                rest = substr(text, from + 2)
                text = substr(text, 1, from - 1) " " substr(rest, index(rest, "*/") + 2)
            }
            printf "%s", text
        }' | sed '/^[ \t]*#/d' | tr '\n' ' ' | grep -o 'RMAP_API[^;([]*' | sed 's/[ \t]*$//; s/.*[ *]//' | sort
}
exported() # library -> name@version, sorted
{
    nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@@/, "@", $3); print $3 }' | sort
}
listed() # version_script -> name@version, sorted; patterns come out as they are, and are equal to no name
{
    sed 's|/\*.*\*/||; /\/\*/,/\*\//d' "$1" | tr ';{}' '\n\n\n' | awk '
        /global:/ { inside = 1; sub(/.*global:/, "") }
        /local:/ { inside = 0 }
        NF == 1 && !inside { version = $1 }
        NF == 1 && inside { print $1 "@" version }' | sort
}

same() # what_is_left file_left what_is_right file_right
{
    [ -s "$2" ] || { echo "nothing is $1"; return 1; }
    diff -u --label "$1" --label "$3" "$2" "$4"
}
as_declared() # library header...
{
    so=$1
    shift
    declared "$@" > "$work/declared"
    exported "$so" | sed 's/@.*//' > "$work/exported"
    same "declared in the headers" "$work/declared" "exported by ${so##*/}" "$work/exported"
}
as_listed() # library version_script
{
    listed "$2" > "$work/listed"
    exported "$1" > "$work/exported"
    same "listed in ${2##*/}" "$work/listed" "exported by ${1##*/}" "$work/exported"
}
no_internal_names() { ! exported "$1" | grep 'rmap__'; }
not_needed() { ! readelf -d "$1" | grep NEEDED | grep jemalloc; }

# shellcheck disable=SC2046
check "libobjrmap exports what its headers declare" as_declared "$library" \
    $(ls "$root"/include/objrmap/*.h | grep -v -e jemalloc -e testing)
check "libobjrmap exports what its version script lists" as_listed "$library" "$root/lib/libobjrmap.map"
check "libobjrmap keeps its internal names" no_internal_names "$library"
check "libobjrmap does not need jemalloc" not_needed "$library"
check "libobjrmap-testing exports what its header declares" as_declared "$testing_library" "$root/include/objrmap/testing.h"
check "libobjrmap-testing exports what its version script lists" as_listed "$testing_library" \
    "$root/lib/testing/libobjrmap-testing.map"
check "libobjrmap-testing keeps its internal names" no_internal_names "$testing_library"
check "libobjrmap-testing does not need jemalloc" not_needed "$testing_library"
if [ -n "$jemalloc_library" ]; then
    check "libobjrmap-jemalloc exports what its header declares" as_declared "$jemalloc_library" "$root/include/objrmap/jemalloc.h"
    check "libobjrmap-jemalloc exports what its version script lists" as_listed "$jemalloc_library" \
        "$root/lib/jemalloc/libobjrmap-jemalloc.map"
    check "libobjrmap-jemalloc carries its jemalloc inside" not_needed "$jemalloc_library"
else
    skip "libobjrmap-jemalloc exports what its header declares" "built without jemalloc"
    skip "libobjrmap-jemalloc exports what its version script lists" "built without jemalloc"
    skip "libobjrmap-jemalloc carries its jemalloc inside" "built without jemalloc"
fi
finish
