# SPDX-License-Identifier: MIT
# Sourced (bash), after configurations.sh, by tests/run, tests/matrix, tests/coverage and the commands that run one program for longer
# (tests/bench/run, tests/fuzz/run, tests/stress/run, tests/oracle/run, tests/replay/all): build and test one configuration.

limit=0 # seconds, of all runs together; 0: none
logs=() # of all runs, for support/summary.py
broken=0 # runs that failed before or beside their tests

# What is left of the limit, as `timeout` wants it.
left()
{
    local seconds=$((limit - SECONDS))
    [ "$limit" -eq 0 ] && echo 0 || echo $((seconds > 1 ? seconds : 1))
}

# step TITLE COMMAND...: run quietly, show the end of the output if it fails.
step()
{
    local title=$1 status
    shift
    echo "    $title ..."
    timeout --foreground --kill-after=10 "$(left)" "$@" > "$folder.log" 2>&1
    status=$?
    [ $status -eq 0 ] || {
        tail -n 60 "$folder.log"
        echo "    $title: failed with status $status (all of it: $folder.log)"
    }
    return $status
}

# build_configuration NAME [TARGET...]: the targets, if there are any, replace the configuration's own. Status 2 if it cannot be built.
build_configuration()
{
    local name=$1 again=() environment=(env -u CC -u CXX)
    configuration "$name" || return 2
    [ ${#compilers[@]} -eq 0 ] || environment=(env "CC=${compilers[0]}" "CXX=${compilers[1]}")
    shift
    [ $# -eq 0 ] || targets=("$@")
    echo "== $name: $title ($folder)"
    mkdir -p build
    [ ! -f "$folder/build.ninja" ] || again=(--reconfigure)
    if ! { step configure "${environment[@]}" meson setup "${again[@]}" "$folder" "${setup[@]}" &&
        step build "${environment[@]}" meson compile -C "$folder" "${targets[@]}"; }; then
        broken=$((broken + 1))
        return 2
    fi
}

# run_configuration NAME
# Status 0: all tests passed; 1: some did not; 2: it could not be built.
run_configuration()
{
    local log status
    build_configuration "$1" || return 2
    [ "${tests[*]}" != none ] || return 0

    rm -f "$folder"/meson-logs/testlog*.json
    timeout --foreground --kill-after=10 "$(left)" meson test -C "$folder" --no-rebuild --print-errorlogs "${tests[@]}"
    status=$?
    log=$(find "$folder/meson-logs" -name 'testlog*.json') # one: a test setup puts its name into it
    [ -z "$log" ] || logs+=("$log")
    if [ -z "$log" ] || [ $status -ge 124 ]; then
        echo "    the tests did not end by themselves (status $status)"
        broken=$((broken + 1))
    fi
    [ $status -eq 0 ] || return 1
}
