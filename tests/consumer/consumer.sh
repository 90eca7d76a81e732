#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the build to a temporary root and uses it as somebody else would: by pkg-config, shared and static, in C and C++.
# Proves on the way that no program gets jemalloc's malloc. Usage: consumer.sh PROJECT_ROOT BUILD_ROOT jemalloc|no CC [CXX]
set -u
root=$1 build=$2 jemalloc=$3 cc=$4 cxx=${5:-}
here=$root/tests/consumer
. "$root/tests/support/tap.sh"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
dest=$work/dest

"${MESON:-meson}" install -C "$build" --no-rebuild --quiet --destdir "$dest" >&2 || { echo "Bail out! meson install failed"; exit 1; }
pc_folder=$(dirname "$(find "$dest" -name objrmap.pc)")
library_folder=$(dirname "$pc_folder")
include_folder=$(dirname "$(find "$dest" -name objrmap.h)")
PKG_CONFIG_PATH=$pc_folder PKG_CONFIG_SYSROOT_DIR=$dest
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR

flags='-Wall -Wextra -Wpedantic -Werror -D_GNU_SOURCE'

# All flags before the libraries; words are split on purpose.
# shellcheck disable=SC2086
build_and_run() # compiler language_flags source package_config_arguments link_flags
{
    libraries=$(pkg-config $4) || return 1
    case $5 in
    *archives*) libraries=$(echo "$libraries" | sed 's/-lobjrmap\([-a-z]*\)/-l:libobjrmap\1.a/g') ;;
    esac
    $1 $2 $flags ${5%archives} -o "$work/program" "$here/$3" $libraries || return 1
    LD_LIBRARY_PATH=$library_folder "$work/program"
}
malloc_is_foreign() { build_and_run "$@"; [ $? -eq 3 ]; }
has_no_malloc() # of its own, in the program built last
{
    ! nm "$work/program" | grep -E ' [TWV] (malloc|free|calloc|realloc|mallctl)$' && nm "$work/program" | grep 'U malloc@GLIBC'
}
pc_names_no_jemalloc() { ! grep -il jemalloc $(find "$dest" -name '*.pc' ! -name objrmap-jemalloc.pc); }
jemalloc_pc_pulls_none() { ! pkg-config --static --libs objrmap-jemalloc | grep -E -e '-ljemalloc|libjemalloc'; }
objrmap_alone_needs_no_kit() { ! pkg-config --static --libs objrmap | grep testing; }
headers_are_all_there()
{
    (cd "$root/include" && find . -name '*.h' | sort) > "$work/ours"
    (cd "$include_folder" && find . -name '*.h' | sort) > "$work/theirs"
    [ "$jemalloc" = jemalloc ] || sed -i '/jemalloc/d' "$work/ours"
    diff "$work/ours" "$work/theirs"
}
# Debian's jemalloc uses static TLS, more than glibc keeps for libraries that come late: such a host must set the tunable.
plugin()
{
    # shellcheck disable=SC2046
    $cc -std=c11 -D_GNU_SOURCE -o "$work/program" "$here/plugin_host.c" $(pkg-config --cflags objrmap) &&
        GLIBC_TUNABLES=glibc.rtld.optional_static_tls=8192 "$work/program" "$library_folder/libobjrmap-jemalloc.so"
}
no_absolute_leak() { ! grep -l "$root" $(find "$dest" -name '*.pc'); }

c='-std=c11 -x c' cxx17='-std=c++17 -x c++'

check "every public header is installed" headers_are_all_there
check "pkg-config files do not name the source tree" no_absolute_leak
check "C, shared" build_and_run "$cc" "$c" consumer.c "--cflags --libs objrmap" ""
check "C, our archive, libc shared" build_and_run "$cc" "$c" consumer.c "--cflags --static --libs objrmap" "archives"
check "C, all static" build_and_run "$cc" "$c" consumer.c "--cflags --static --libs objrmap" "-static"
if [ -n "$cxx" ]; then
    check "C++, shared" build_and_run "$cxx" "$cxx17" consumer.c "--cflags --libs objrmap" ""
    check "C++, our archive, libc shared" build_and_run "$cxx" "$cxx17" consumer.c "--cflags --static --libs objrmap" "archives"
    check "C++, all static" build_and_run "$cxx" "$cxx17" consumer.c "--cflags --static --libs objrmap" "-static"
else
    skip "C++, shared" "no C++ compiler"
    skip "C++, our archive, libc shared" "no C++ compiler"
    skip "C++, all static" "no C++ compiler"
fi
testing="--cflags --libs objrmap-testing" testing_static="--cflags --static --libs objrmap-testing"
check "conformance kit, C, shared" build_and_run "$cc" "$c" consumer_testing.c "$testing" ""
check "conformance kit, C, our archives, libc shared" build_and_run "$cc" "$c" consumer_testing.c "$testing_static" "archives"
check "conformance kit, C, all static" build_and_run "$cc" "$c" consumer_testing.c "$testing_static" "-static"
if [ -n "$cxx" ]; then
    check "conformance kit, C++, shared" build_and_run "$cxx" "$cxx17" consumer_testing.c "$testing" ""
    check "conformance kit, C++, our archives, libc shared" \
        build_and_run "$cxx" "$cxx17" consumer_testing.c "$testing_static" "archives"
else
    skip "conformance kit, C++, shared" "no C++ compiler"
    skip "conformance kit, C++, our archives, libc shared" "no C++ compiler"
fi
check "a program without the kit does not need it" objrmap_alone_needs_no_kit
check "no pkg-config file but objrmap-jemalloc.pc names jemalloc" pc_names_no_jemalloc

if [ "$jemalloc" = jemalloc ]; then
    shared="--cflags --libs objrmap-jemalloc" static="--cflags --static --libs objrmap-jemalloc"
    check "objrmap-jemalloc.pc links no jemalloc" jemalloc_pc_pulls_none
    check "jemalloc arena, C, shared: malloc is libc's" build_and_run "$cc" "$c" consumer_jemalloc.c "$shared" ""
    check "jemalloc arena, C, our archives: malloc is libc's" build_and_run "$cc" "$c" consumer_jemalloc.c "$static" "archives"
    check "jemalloc arena, C, our archives: no global malloc in the program" has_no_malloc
    check "jemalloc arena, C, all static: malloc is libc's" \
        build_and_run "$cc" "$c -DCONSUMER_STATIC" consumer_jemalloc.c "$static" "-static"
    if [ -n "$cxx" ]; then
        check "jemalloc arena, C++, shared: malloc is libc's" build_and_run "$cxx" "$cxx17" consumer_jemalloc.c "$shared" ""
        check "jemalloc arena, C++, our archives: malloc is libc's" \
            build_and_run "$cxx" "$cxx17" consumer_jemalloc.c "$static" "archives"
    fi
    check "control: a program linked with jemalloc itself is told apart" \
        malloc_is_foreign "$cc" "$c" consumer_jemalloc.c "$shared" "-Wl,--no-as-needed -ljemalloc"
    check "jemalloc arena loaded as a plug-in, static TLS reserved" plugin
fi
finish
