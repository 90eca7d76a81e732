# SPDX-License-Identifier: MIT
# Sourced by the tests that are shell scripts: one TAP line a check, on stdout; everything else goes to stderr.
#
#     check "what it shows" command...      ok if the command succeeds; its output is shown when it does not
#     skip "what it would show" "why not"
#     finish                                prints the plan; exit status

tap_number=0
tap_failed=0

check()
{
    tap_what=$1
    shift
    tap_number=$((tap_number + 1))
    if tap_output=$("$@" 2>&1 < /dev/null); then
        echo "ok $tap_number - $tap_what"
    else
        tap_failed=$((tap_failed + 1))
        echo "not ok $tap_number - $tap_what"
        printf '%s\n' "$tap_output" | head -40 | sed 's/^/# /'
        printf '%s: failed: %s\n%s\n' "$0" "$*" "$tap_output" >&2
    fi
}

skip()
{
    tap_number=$((tap_number + 1))
    echo "ok $tap_number - $1 # SKIP $2"
}

finish()
{
    echo "1..$tap_number"
    [ "$tap_failed" -eq 0 ]
}
