#!/bin/sh
# SPDX-License-Identifier: MIT
# Each public header compiles as the only include, twice in a row, as C11 and as C++17, without a warning; and the umbrella
# names them all. Usage: alone.sh PROJECT_ROOT CC [CXX]
set -u
root=$1 cc=$2 cxx=${3:-}
. "$root/tests/support/tap.sh"

compile() # compiler language standard header
{
    printf '#include <%s>\n#include <%s>\n' "$4" "$4" |
        $1 -x "$2" "-std=$3" -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Werror -I"$root/include" -
}
compile_c() { compile "$cc" c c11 "$1"; }
compile_cxx() { compile "$cxx" c++ c++17 "$1"; }
in_umbrella() { grep -q "^#include <$1>" "$root/include/objrmap.h"; }

for header in objrmap.h $(cd "$root/include" && echo objrmap/*.h); do
    check "$header alone as C11" compile_c "$header"
    if [ -n "$cxx" ]; then
        check "$header alone as C++17" compile_cxx "$header"
    else
        skip "$header alone as C++17" "no C++ compiler"
    fi
    case $header in
    objrmap.h | objrmap/jemalloc.h | objrmap/testing.h) ;; # libraries of their own
    *) check "$header is in the umbrella" in_umbrella "$header" ;;
    esac
done
finish
