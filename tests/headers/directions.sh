#!/bin/sh
# SPDX-License-Identifier: MIT
# Includes point one way: base <- core <- mmu, swap <- pager <- examples, tests; testing stands on the core's public headers.
# An upward or sideways edge fails.
# Usage: directions.sh PROJECT_ROOT
set -u
root=$1
. "$root/tests/support/tap.sh"

core_nouns='types error alloc page group pte mmu rmap move migrate swap instance verify stats usage'
mmu_nouns='memory radix host'
swap_nouns='device swapmap'
pager_nouns='pager space'

# The include names of a file that are the project's: <objrmap/...>, <folder of lib/...> and "...".
included() # file
{
    sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$1"
    sed -n 's/^[ \t]*#[ \t]*include[ \t]*<\([^>]*\)>.*/\1/p' "$1" | grep -E '^(objrmap(\.h|/)|(base|core|mmu|swap|pager|testing)/)'
}

public() # noun... -> the header names
{
    for noun in "$@"; do echo "objrmap/$noun.h"; done
}

# Each include of each file is one of the allowed public headers, or in an allowed folder of lib (a name without a folder is
# the file's own).
only() # folder pattern allowed_folders allowed_header...
{
    folder=$1 pattern=$2 folders=$3
    shift 3
    wrong=0 seen=0
    for file in $(find "$root/$folder" -name "$pattern" | sort); do
        seen=1
        for name in $(included "$file"); do
            case $name in
            objrmap/* | objrmap.h) allowed=" $* " want=" $name " ;;
            */*) allowed=" $folders " want=" ${name%/*} " ;;
            *) continue ;;
            esac
            case $allowed in
            *"$want"*) ;;
            *)
                echo "${file#"$root"/} includes $name"
                wrong=1
                ;;
            esac
        done
    done
    [ $seen -eq 1 ] || echo "no files in $folder"
    [ $seen -eq 1 ] && [ $wrong -eq 0 ]
}

headers_point_down() # allowed nouns, then "--", then the nouns whose headers are looked at
{
    nouns=
    while [ "$1" != -- ]; do
        nouns="$nouns $1"
        shift
    done
    shift
    status=0
    for noun in "$@"; do
        # shellcheck disable=SC2046,SC2086
        only include/objrmap "$noun.h" "" $(public $nouns) || status=1
    done
    return $status
}

# shellcheck disable=SC2046,SC2086
{
    check "core headers include core headers only" headers_point_down $core_nouns -- $core_nouns
    check "MMU headers include core and MMU headers only" headers_point_down $core_nouns $mmu_nouns -- $mmu_nouns
    check "swap headers include core and swap headers only" headers_point_down $core_nouns $swap_nouns -- $swap_nouns
    check "pager headers do not name a supplied MMU" \
        headers_point_down $core_nouns memory $swap_nouns $pager_nouns -- $pager_nouns
    check "jemalloc.h includes alloc.h only" headers_point_down alloc -- jemalloc
    check "testing.h includes core headers only" headers_point_down $core_nouns -- testing

    check "lib/base knows nothing of rmap" only lib/base '*.[ch]' base $(public types error alloc)
    check "lib/core includes no MMU, swap or pager header" only lib/core '*.[ch]' 'base core' $(public $core_nouns)
    check "lib/mmu stands on the core" only lib/mmu '*.[ch]' 'base mmu' $(public $core_nouns $mmu_nouns)
    check "lib/swap stands on the core" only lib/swap '*.[ch]' 'base swap' $(public $core_nouns $swap_nouns)
    check "lib/pager uses public headers only" only lib/pager '*.[ch]' 'base pager' \
        $(public $core_nouns memory $swap_nouns $pager_nouns)
    check "lib/jemalloc needs the allocator hooks only" only lib/jemalloc '*.[ch]' '' $(public types error alloc jemalloc)
    check "lib/testing uses the core's public headers only" only lib/testing '*.[ch]' 'testing' $(public $core_nouns testing)
    check "examples use public headers only" only examples '*.[ch]' 'sqlite' objrmap.h \
        $(public $core_nouns $mmu_nouns $swap_nouns $pager_nouns jemalloc testing)
}
finish
