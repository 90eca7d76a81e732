#!/bin/sh
# SPDX-License-Identifier: MIT
# The rules of TRACK (docs/design/track.md) as a running model: they hold, and the checker notices when one is switched off.
# SEED=n in the environment is the first seed. Needs the fork tree's model, ../shared/model; skips without it.
# Usage: track.sh PROJECT_ROOT PYTHON
set -u
root=$1 python=$2
. "$root/tests/support/tap.sh"
seed=${SEED:-1}
echo "# SEED=$seed"

model() # what option...
{
    what=$1
    shift
    if [ -f "$root/../shared/model/lineage_model.py" ]; then
        check "$what" "$python" "$root/tests/model/track_explore.py" --seed "$seed" "$@"
    else
        skip "$what" "no ../shared/model beside the project"
    fi
}

export OBJRMAP_SOURCE_ROOT="$root"
model "S12, B16: cases by hand" --cases
model "random sequences against a copy of everything" --sequences 40
model "random interleavings of walks, moves, forks, zaps and faults" --interleavings 40
model "all schedules of small cases with at most two preemptions" --schedules 1000
model "every rule is needed: without it the checker finds something" --mutations
finish
