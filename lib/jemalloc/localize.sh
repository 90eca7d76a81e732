#!/bin/sh
# SPDX-License-Identifier: MIT
# Make the static libobjrmap-jemalloc.a: our object and the jemalloc members that it needs, linked into one object in which
# only rmap_alloc_jemalloc_* is left global. Usage: localize.sh LD OBJCOPY AR JEMALLOC_ARCHIVE OUTPUT OBJECT...
set -eu
ld=$1 objcopy=$2 ar=$3 jemalloc=$4 output=$5
shift 5
joined=$output.o
"$ld" -r -o "$joined" "$@" "$jemalloc"
"$objcopy" --wildcard --keep-global-symbol='rmap_alloc_jemalloc_*' "$joined"
rm -f "$output"
"$ar" rcs "$output" "$joined"
rm -f "$joined"
