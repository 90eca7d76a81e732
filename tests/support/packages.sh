# SPDX-License-Identifier: MIT
# Sourced by tests/run and examples/run (bash): see that the Debian packages are there, install what is missing.

# need_packages PACKAGE... (each as often as you like): returns when all are installed; exits with status 2 and the line to type when that is not possible.
need_packages()
{
    local package missing=() as_root=() log
    command -v dpkg-query > /dev/null || return 0 # not Debian: the build will say what it lacks
    for package in $(printf '%s\n' "$@" | sort -u); do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo -n)
        if ! sudo -n true 2> /dev/null; then
            printf 'Debian packages are missing. Please run:\n    sudo apt-get update && sudo apt-get install -y %s\n' "${missing[*]}" >&2
            exit 2
        fi
    fi
    echo "installing Debian packages: ${missing[*]}" >&2
    log=$(mktemp)
    if ! { "${as_root[@]}" apt-get -q update &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
            -o Dpkg::Use-Pty=0 install "${missing[@]}"; } > "$log" 2>&1 < /dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        printf 'The installation failed (above). Please run:\n    apt-get update && apt-get install -y %s\n' "${missing[*]}" >&2
        exit 2
    fi
    rm -f "$log"
}
