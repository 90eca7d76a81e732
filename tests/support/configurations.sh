# SPDX-License-Identifier: MIT
# Sourced by tests/run, tests/matrix, tests/coverage and */run (bash): the ways in which the project is built and tested, as data,
# so that each is written once.

configurations=(gcc-debug gcc-release clang-debug clang-release clang-units bare asan-ubsan asan-ubsan-clang tsan tsan-threads
    valgrind shapes shapes-clang coverage bench fuzz aarch64 aarch64-compile)

# configuration NAME: sets what describes it; status 1 if there is none of that name.
#   title     in words
#   folder    where it is built
#   compilers CC and CXX; meson's own choice, which is gcc, if empty
#   packages  what Debian must have installed
#   setup     arguments of `meson setup`
#   targets   what is built: everything if empty
#   tests     arguments of `meson test`: all tests if empty; "none" for a build that is not run
configuration()
{
    folder=build/$1 compilers=() targets=() tests=()
    packages=(binutils gcc g++ libc6-dev meson ninja-build pkg-config python3 libcriterion-dev libsqlite3-dev liblz4-dev
        liblzma-dev libxxhash-dev libbsd-dev libjemalloc-dev spin)
    case $1 in
    clang* | tsan* | *-clang | fuzz)
        compilers=(clang clang++)
        packages+=(clang libclang-rt-dev llvm)
        ;;
    esac
    local assertions=(--buildtype=debugoptimized -Dwerror=true -Ddebug_level=1)
    local release=(--buildtype=release -Dwerror=true -Ddebug_level=0)
    local sanitizers=(--buildtype=debugoptimized -Ddebug_level=1 -Dtest_runner=plain -Djemalloc=disabled)
    local libraries=(objrmap:shared_library objrmap:static_library objrmap-testing:shared_library objrmap-testing:static_library
        objrmap-jemalloc libobjrmap-jemalloc.a) # what is installed
    # Not pager_host_threads: see tests/meson.build.
    local threads=(bounded host_threads page_lock pager_threads radix_sleep radix_threads swapthreads)

    case $1 in
    gcc-debug)
        title="gcc, assertions, each test in a process of its own" folder=build/gcc
        setup=("${assertions[@]}" -Dtest_runner=criterion)
        ;;
    gcc-release)
        title="gcc, release, assertions off"
        setup=("${release[@]}" -Dtest_runner=criterion)
        tests=(--no-suite model)
        ;;
    clang-debug)
        title="clang, assertions"
        setup=("${assertions[@]}" -Dtest_runner=criterion)
        tests=(--no-suite model)
        ;;
    clang-release)
        title="clang, release, assertions off" folder=build/clang
        setup=("${release[@]}" -Dtest_runner=criterion)
        tests=(--no-suite model)
        ;;
    clang-units)
        title="clang, release, assertions off: unit tests, headers alone, a consumer of the installed library" folder=build/clang
        setup=("${release[@]}" -Dtest_runner=criterion)
        targets=(unit-programs "${libraries[@]}")
        tests=(--suite unit --suite shape)
        ;;
    bare)
        title="gcc, assertions, without what is optional: no lz4, no jemalloc, no examples, plain runner"
        setup=("${assertions[@]}" -Dtest_runner=plain -Dlz4=disabled -Djemalloc=disabled -Dexamples=false)
        tests=(--no-suite model)
        ;;
    asan-ubsan)
        title="gcc, address and undefined-behaviour sanitizers, leak check" folder=build/sanitizers
        setup=("${sanitizers[@]}" -Db_sanitize=address,undefined)
        ;;
    asan-ubsan-clang)
        title="clang, address and undefined-behaviour sanitizers, leak check"
        setup=("${sanitizers[@]}" -Db_sanitize=address,undefined -Db_lundef=false)
        tests=(--no-suite model)
        ;;
    tsan)
        title="clang, thread sanitizer: stress and all unit tests that it can run"
        setup=("${sanitizers[@]}" -Db_sanitize=thread -Db_lundef=false)
        tests=(--timeout-multiplier 20 --suite unit --suite stress --no-suite no-tsan)
        ;;
    tsan-threads)
        title="clang, thread sanitizer: stress and the unit tests of threads" folder=build/tsan
        setup=("${sanitizers[@]}" -Db_sanitize=thread -Db_lundef=false)
        targets=(stress "${threads[@]/#/test_}")
        tests=(--timeout-multiplier 3 stress "${threads[@]}")
        ;;
    valgrind)
        title="gcc, assertions, unit tests under valgrind's memcheck"
        packages+=(valgrind)
        setup=("${assertions[@]}" -Dtest_runner=plain)
        tests=(--setup valgrind --suite unit --no-suite no-valgrind)
        ;;
    shapes | shapes-clang)
        title="${compilers[0]-gcc}: headers alone, include directions, exported names, a consumer of the installed library"
        setup=("${release[@]}" -Dtest_runner=plain -Dexamples=false)
        targets=("${libraries[@]}")
        tests=(--suite shape)
        ;;
    coverage)
        title="gcc -O0, release code, gcov's counters"
        setup=(--buildtype=plain -Dc_args="-O0 -g -fprofile-update=atomic" -Db_coverage=true -Dwerror=true
            -Ddebug_level=0 -Dtest_runner=plain)
        tests=(--timeout-multiplier 5 --no-suite model --no-suite shape)
        ;;
    bench)
        title="gcc, release: what a user of the library gets"
        packages+=(valgrind gnuplot-nox)
        setup=("${release[@]}" -Dtest_runner=plain -Dexamples=false)
        targets=(tests/bench bench_hot bench_replay)
        tests=(none) # tests/bench/run does
        ;;
    fuzz)
        title="clang, libFuzzer, address and undefined-behaviour sanitizers"
        # Comparisons are not traced: it costs half of the speed, and there are few magic numbers here.
        setup=("${sanitizers[@]}" -Dexamples=false -Dfuzzer=true -Db_sanitize=address,undefined -Db_lundef=false
            "-Dc_args=-fsanitize=fuzzer-no-link -fno-sanitize-coverage=trace-cmp")
        targets=(tests/fuzz/fuzz_*.c)
        targets=("${targets[@]##*/}")
        targets=("${targets[@]%.c}")
        tests=(none) # tests/fuzz/run does
        ;;
    aarch64 | aarch64-compile)
        title="gcc for 64-bit ARM, assertions" folder=build/aarch64
        packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
        setup=(--cross-file tests/support/aarch64.ini "${assertions[@]}" -Dtest_runner=plain -Dlz4=disabled -Djemalloc=disabled
            -Dexamples=false)
        if [ "$1" = aarch64 ]; then
            title+=", unit tests under qemu-user"
            packages+=(qemu-user-static)
            tests=(--timeout-multiplier 10 --suite unit --no-suite no-qemu)
        else
            title+=", compiled only"
            tests=(none)
        fi
        ;;
    *) return 1 ;;
    esac
}
