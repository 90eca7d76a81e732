#!/bin/sh
# SPDX-License-Identifier: MIT
# The shared libraries export exactly the names that the headers declare RMAP_API: nothing forgotten, nothing leaked.
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
exported() # library
{
    nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort
}

same_names() # library header...
{
    so=$1
    shift
    declared "$@" > "$work/declared"
    exported "$so" > "$work/exported"
    [ -s "$work/declared" ] || { echo "no RMAP_API name found in $*"; return 1; }
    diff -u --label "declared in the headers" --label "exported by ${so##*/}" "$work/declared" "$work/exported"
}
no_internal_names() { ! exported "$1" | grep 'rmap__'; }
not_needed() { ! readelf -d "$1" | grep NEEDED | grep jemalloc; }

# shellcheck disable=SC2046
check "libobjrmap exports what its headers declare" same_names "$library" $(ls "$root"/include/objrmap/*.h | grep -v -e jemalloc -e testing)
check "libobjrmap keeps its internal names" no_internal_names "$library"
check "libobjrmap does not need jemalloc" not_needed "$library"
check "libobjrmap-testing exports its three functions" same_names "$testing_library" "$root/include/objrmap/testing.h"
check "libobjrmap-testing keeps its internal names" no_internal_names "$testing_library"
check "libobjrmap-testing does not need jemalloc" not_needed "$testing_library"
if [ -n "$jemalloc_library" ]; then
    check "libobjrmap-jemalloc exports its three functions" same_names "$jemalloc_library" "$root/include/objrmap/jemalloc.h"
    check "libobjrmap-jemalloc carries its jemalloc inside" not_needed "$jemalloc_library"
else
    skip "libobjrmap-jemalloc exports its three functions" "built without jemalloc"
    skip "libobjrmap-jemalloc carries its jemalloc inside" "built without jemalloc"
fi
finish
