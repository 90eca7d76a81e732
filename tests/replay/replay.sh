#!/bin/sh
# SPDX-License-Identifier: MIT
# Traces replay with all, half and a quarter of their frames; malformed ones are refused, with the number of the line.
# Usage: replay.sh PROJECT_ROOT RMAP_REPLAY [--real]    --real: also recorded traces, where they lie beside the project
set -u
root=$1 replay=$2 real=${3:-}
. "$root/tests/support/tap.sh"
traces=$root/../shared/traces

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
TMPDIR=$work
export TMPDIR

# The last run's figures hold: Python conditions on r.
holds() # condition...
{
    python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))
for condition in sys.argv[2:]:
    assert eval(condition, {"r": r}), (condition, r)
' "$work/json" "$@"
}
replays() # arguments... -- conditions...
{
    arguments=
    while [ "$1" != -- ]; do
        arguments="$arguments $1"
        shift
    done
    shift
    # shellcheck disable=SC2086
    "$replay" $arguments --json > "$work/json" || return 1
    holds 'r["budget_frames"] == max(16, -(-r["peak_frames"] * r["memory_percent"] // 100))' \
        'r["used_frames_peak"] <= r["budget_frames"]' 'r["pages_checked"] >= r["faults"]' \
        'all(w["visits"] >= w["hits"] for w in r["walks_by_mappers"])' 'r["verifications"] > 0' "$@"
}
program=$replay
refuses() # arguments... (a line on stderr, status 2)
{
    "$program" "$@" > "$work/out" 2> "$work/err" < /dev/null
    status=$?
    echo "status $status: $(cat "$work/err")"
    [ $status -eq 2 ] && [ ! -s "$work/out" ] && [ "$(wc -l < "$work/err")" -eq 1 ]
}
# Each case: the number of the line, and what follows the heading (and the beginning of the class).
malformed() # beginning case...
{
    beginning=$1
    shift
    for case in "$@"; do
        printf "# objrmap-trace 1\n$beginning${case#* }" > "$work/bad.trace"
        refuses "$work/bad.trace" || { echo "not refused: $case"; return 1; }
        grep -q "^$work/bad.trace:${case%% *}: ." "$work/err" || { echo "another line: $case"; cat "$work/err"; return 1; }
    done
}
heading_is_wanted()
{
    for text in '' '\n' '# objrmap-trace 2\n' '# objrmap-trace 1' '# objrmap-trace 1 \n' ' # objrmap-trace 1\n' '#objrmap-trace 1\n' \
        '# objrmap-trace 10\n' '# objrmap-trace 1\r\n' 'new 1\n' '\0\0\0\0\n' 'SQLite format 3\0'; do
        printf "$text" > "$work/bad.trace"
        refuses "$work/bad.trace" || { echo "not refused: $text"; return 1; }
        grep -q "^$work/bad.trace:1: ." "$work/err" || return 1
    done
}
# One byte less or one byte other, anywhere.
xz_is_checked()
{
    python3 - "$work" "$root/tests/replay/redis-small.trace.xz" <<'END' || return 1
import lzma, sys
work, small = sys.argv[1], open(sys.argv[2], "rb").read()
for n in (1, 5, 11, 12, 13, 40, len(small) // 2, len(small) - 40, len(small) - 12, len(small) - 4, len(small) - 1):
    open(f"{work}/cut-{n}.xz", "wb").write(small[:n])
    open(f"{work}/flipped-{n}.xz", "wb").write(small[:n] + bytes([small[n] ^ 0x41]) + small[n + 1:])
open(f"{work}/more.xz", "wb").write(small + b"more")
open(f"{work}/none.xz", "wb").close()
open(f"{work}/plain.xz", "wb").write(lzma.decompress(small))
wide = [{"id": lzma.FILTER_LZMA2, "dict_size": 128 << 20, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3, "nice_len": 32}]
open(f"{work}/dictionary.xz", "wb").write(lzma.compress(b"# objrmap-trace 1\nnew 1\n", filters=wide))
open(f"{work}/line.xz", "wb").write(lzma.compress(b"# objrmap-trace 1\nnew 1\n" + b"7" * (64 << 20)))
END
    for file in "$work"/*.xz; do
        refuses "$file" || { echo "not refused: $file"; return 1; }
    done
    refuses "$work/dictionary.xz"; grep -q 'more than 128 MiB' "$work/err" || { cat "$work/err"; return 1; }
    refuses "$work/line.xz"; grep -q ":3: .*longer than" "$work/err" || { cat "$work/err"; return 1; }
    refuses "$work/cut-$(($(wc -c < "$root/tests/replay/redis-small.trace.xz") / 2)).xz"
    grep -q 'cut short' "$work/err"
}
# Every kind of move, of own and of inherited pages, and ranges that shared mappings interrupt; what it comes to is plain.
by_hand()
{
    {
        echo '# objrmap-trace 1'
        echo 'new 1'
        echo 'map 1 100 10 rw- a'   # 100 [ a  ] 110 [ s ] 118 [ f ] 120
        echo 'map 1 110 8 rw- s'
        echo 'map 1 118 8 r-x f'
        echo 'map 1 fffffff00 100 rw- k'
        for page in 100 101 105 10f fffffffff 110; do echo "w 1 $page"; done
        for page in 118 106 102 111; do echo "r 1 $page"; done
        echo 'drop 1 104 18'        # across all three
        echo 'r 1 105'              # zeroes again
        echo 'prot 1 10c 10 rw-'    # across all three
        echo 'w 1 10f'
        echo 'w 1 11b'
        echo 'fork 1 2'
        echo 'move 2 100 4 200 4 1'       # to elsewhere: two written pages, one zero page
        echo 'move 2 fffffff00 100 300 10 3' # shrinks as it goes: the written page is lost
        echo 'move 2 200 4 200 8 1'       # grows in place
        echo 'w 2 207'
        echo 'move 2 200 8 400 8 5'       # the old range stays, empty
        echo 'w 2 200'
        echo 'move 2 400 8 500 c 3'       # grows as it goes
        echo 'w 2 50b'
        echo 'move 2 500 c 500 2 1'       # shrinks in place
        echo 'move 2 118 8 600 2 1'       # two regions, of which one is kept in part
        echo 'move 1 104 c 700 c 1'       # own and inherited
        echo 'move 1 110 8 800 20 1'      # shared: skipped
        echo 'move 1 118 4 118 4 1'       # nothing to do
        echo 'unmap 1 11c 4'
        for page in 100 101 70b; do echo "w 1 $page"; done
        for page in 500 501 200; do echo "r 2 $page"; done
        echo 'exit 1'
        for page in 500 501 200; do echo "w 2 $page"; done
        echo 'map 2 900 4 rw- a'
        for page in 900 903; do echo "w 2 $page"; done
        echo 'drop 2 900 4'         # and nobody looks again
        echo 'new 3'
    } > "$work/hand.trace"
    replays "$work/hand.trace" --move "$1" --check-all -- 'r["events"] == 50' 'r["skipped_maps"] == 1' 'r["skipped_faults"] == 2' \
        'r["skipped_ranges"] == 3' 'r["spaces"] == 3' 'r["forks"] == 1' 'r["moves"] == 9' "$2"
}
same_figures_again()
{
    for run in 1 2; do
        "$replay" "$root_of_small/python-small.$ending" --memory 50 --json > "$work/run$run" || return 1
    done
    cmp "$work/run1" "$work/run2"
}
# Bytes that are no UTF-8, and what JSON has names for.
any_name_is_json()
{
    python3 - "$work" "$replay" "$root_of_small/redis-small.$ending" <<'END'
import json, os, shutil, subprocess, sys
work, replay, small = map(os.fsencode, sys.argv[1:])
name = work + b"/\377\x80 \xc3\xa9\"\\\n\x1f\x7f" + small[small.rindex(b".trace"):]
shutil.copyfile(small, name)
out = subprocess.run([replay, name, b"--json"], stdout=subprocess.PIPE, check=True).stdout
assert json.loads(out.decode("ascii"))["trace"] == name.decode("latin-1"), out
os.unlink(name)
END
}
text_says_it_all()
{
    "$replay" "$root_of_small/redis-small.$ending" --memory 25 > "$work/out" || return 1
    for word in events skipped frames faults COWs evictions swap moves re-indexed 'visits per hit' checked; do
        grep -q "$word" "$work/out" || { echo "no word of: $word"; cat "$work/out"; return 1; }
    done
}
# As many copies on write as the page model beside the traces counts, which knows nothing of frames, swap or fork trees.
copies_as_the_model() # TRACE arguments...
{
    cow=$(python3 "$traces/trace_check.py" "$1" | sed -n 's/.*, cow \([0-9]*\),.*/\1/p')
    [ -n "$cow" ] || return 1
    replays "$@" -- "r['cow_copies'] == $cow"
}
cut_from_recorded() # NAME spaces pages
{
    python3 "$root/tests/replay/cut.py" "$traces/$1.trace.xz" --spaces "$2" --pages "$3" > "$work/cut" || return 1
    python3 -c 'import lzma, sys; sys.stdout.buffer.write(lzma.open(sys.argv[1]).read())' \
        "$root/tests/replay/$1-small.trace.xz" | cmp - "$work/cut" && python3 "$traces/trace_check.py" "$root/tests/replay/$1-small.trace.xz"
}

"$replay" "$root/tests/replay/redis-small.trace.xz" --checks 0 > "$work/out" 2> "$work/err"
if grep -q 'built without liblzma' "$work/err"; then
    skip "compressed traces" "built without liblzma"
    python3 -c 'import lzma, sys
for name in sys.argv[2:]: open(f"{sys.argv[1]}/{name}.trace", "wb").write(lzma.open(f"'"$root"'/tests/replay/{name}.trace.xz").read())' \
        "$work" python-small redis-small
    root_of_small=$work ending=trace
else
    check "compressed traces are checked, and bounded" xz_is_checked
    root_of_small=$root/tests/replay ending=trace.xz
fi

for percent in 100 50 25; do
    for move in copy track; do
        case $move in
        copy) other='r["moves_tracked"] == 0 and r["moves_copied"] > 0' ;;
        track) other='r["moves_tracked"] > 0 and r["moves_copied"] == 0 and r["swap_in_copies"] == 0' ;;
        esac
        pressed='True'
        [ $percent -eq 100 ] || pressed='r["evictions"] > r["shared_evictions"] > 0 and r["swap_ins"] > 0 < r["swap_outs"]'
        check "python, small: moves $move, $percent % of the frames" replays "$root_of_small/python-small.$ending" \
            --memory $percent --move $move -- "$other" "$pressed" 'r["moves_reindexed"] > 0' 'r["forks"] == 12' 'r["cow_copies"] > 0'
        check "redis, small: moves $move, $percent % of the frames" replays "$root_of_small/redis-small.$ending" \
            --memory $percent --move $move -- "$pressed" 'r["cow_copies"] > 2000' 'r["skipped_maps"] == 15' 'r["moves"] == 0'
    done
done
check "a swap file, and all pages at exits" replays "$root_of_small/redis-small.$ending" --memory 25 --swap file --check-all --checks 3 -- \
    'r["swap"] == "file"' 'r["verifications"] == 3' 'r["pages_checked"] > 2 * r["faults"]'
check "every kind of move, parts of ranges, by hand: copy" by_hand copy \
    '(r["moves_copied"], r["moves_reindexed"], r["moves_tracked"]) == (3, 6, 0)'
check "every kind of move, parts of ranges, by hand: track" by_hand track \
    '(r["moves_copied"], r["moves_reindexed"], r["moves_tracked"]) == (0, 2, 7)'
check "the same trace gives the same figures" same_figures_again
check "figures for people" text_says_it_all
check "figures as JSON, whatever the trace's name" any_name_is_json
check "--help" sh -c '"$1" --help | grep -q "^usage: rmap_replay TRACE"' - "$replay"

check "malformed: the heading" heading_is_wanted
check "malformed: words" malformed 'new 1\n' '3 \n' '3  exit 1\n' '3 exit  1\n' '3 exit 1 \n' '3 exit\n' '3 exit \n' '3 exit 1 1\n' \
    '3 exit\t1\n' '3 EXIT 1\n' '3 exi 1\n' '3 exits 1\n' '3 exit 1\r\n' '3 # a comment\n' '3 \0\n' '3 exit 1\0\n' '3 \377\376\n' \
    '3 w 1\n' '3 map 1 10 1 rw-\n' '3 map 1 10 1 rw- a a\n' '3 move 1 10 1 20 1\n' '3 exit 1' '4 map 1 1 1 rw- a\nexit 1' \
    '3 exit 1                                                                                                                   \n'
check "malformed: space ids" malformed 'new 1\n' '3 exit 0\n' '3 exit 2\n' '3 exit -1\n' '3 exit +1\n' '3 exit 0x1\n' '3 exit a\n' \
    '3 exit 268435456\n' '3 exit 4294967297\n' '3 exit 18446744073709551617\n' '3 exit 1.\n' '3 new 1\n' '3 new 3\n' '3 new 0\n' \
    '3 fork 1 1\n' '3 fork 1 3\n' '3 fork 2 2\n' '3 fork 2 3\n' '4 fork 1 2\nfork 2 2\n' '4 exit 1\nexit 1\n' '4 exit 1\nfork 1 2\n' \
    '4 exit 1\nnew 1\n' '4 exit 1\nmap 1 1 1 rw- a\n'
check "malformed: page numbers and counts" malformed 'new 1\nmap 1 10 10 rw- a\n' '4 map 1 100 0 rw- a\n' '4 map 1 1000000000 1 rw- a\n' \
    '4 map 1 fffffffff 2 rw- a\n' '4 map 1 fffffffff fffffffff rw- a\n' '4 map 1 100 ffffffffffffffff rw- a\n' \
    '4 map 1 10000000000000100 1 rw- a\n' '4 map 1 100 1000000001 rw- a\n' '4 map 1 0x100 1 rw- a\n' '4 map 1 F00 1 rw- a\n' \
    '4 map 1 100 -1 rw- a\n' '4 map 1 g 1 rw- a\n' '4 w 1 1000000000\n' '4 unmap 1 10 0\n' '4 drop 1 10 0\n' '4 prot 1 10 0 rw-\n' \
    '4 move 1 10 10 20 0 1\n' '4 move 1 10 10 fffffffff 10 1\n' '4 move 1 10 10 10 1000000000 1\n'
check "malformed: protections, kinds, flags" malformed 'new 1\nmap 1 10 10 rw- a\n' '4 map 1 100 1 rw a\n' '4 map 1 100 1 rwx- a\n' \
    '4 map 1 100 1 wr- a\n' '4 map 1 100 1 RW- a\n' '4 map 1 100 1 rws a\n' '4 map 1 100 1 7 a\n' '4 prot 1 10 1 rwp\n' '4 prot 1 10 1\n' \
    '4 map 1 100 1 rw- b\n' '4 map 1 100 1 rw- aa\n' '4 map 1 100 1 rw- A\n' '4 map 1 100 1 rw- -\n' '4 move 1 10 10 20 10 8\n' \
    '4 move 1 10 10 20 10 0\n' '4 move 1 10 10 20 10 2\n' '4 move 1 10 10 20 10 4\n' '4 move 1 10 10 20 10 x\n' '4 move 1 10 10 20 11 5\n' \
    '4 move 1 10 10 10 10 5\n'
check "malformed: mapped already" malformed 'new 1\nmap 1 10 10 rw- a\nmap 1 40 10 rw- s\n' '5 map 1 10 10 rw- a\n' '5 map 1 f 2 rw- a\n' \
    '5 map 1 1f 1 rw- f\n' '5 map 1 18 1 rw- s\n' '5 map 1 0 100 rw- k\n' '5 map 1 4f 1 rw- a\n' '5 move 1 10 10 31 10 1\n' \
    '5 move 1 10 10 40 10 3\n' '5 move 1 10 10 18 10 1\n' '5 move 1 10 10 8 10 1\n' '5 move 1 10 10 10 31 1\n' '5 move 1 10 8 10 9 1\n' \
    '5 move 1 10 1 1f 1 1\n' '5 move 1 40 0 10 10 1\n'
check "malformed: not mapped" malformed 'new 1\nmap 1 10 10 rw- a\nmap 1 30 10 rw- a\n' '5 unmap 1 f 1\n' '5 unmap 1 f 2\n' '5 unmap 1 1f 2\n' \
    '5 unmap 1 10 21\n' '5 unmap 1 0 100\n' '5 drop 1 20 1\n' '5 drop 1 18 18\n' '5 prot 1 3f 2 r--\n' '5 prot 1 10 30 r--\n' \
    '5 move 1 20 1 50 1 1\n' '5 move 1 18 18 50 18 1\n' '5 move 1 20 0 50 1 1\n' '5 move 1 3f 2 3f 1 1\n' '6 unmap 1 10 10\nw 1 10\n' \
    '6 unmap 1 18 1\ndrop 1 10 10\n' '6 move 1 10 10 50 10 1\nw 1 10\n' '6 move 1 10 10 50 8 1\nw 1 58\n' '6 fork 1 2\nw 2 20\n'
check "malformed: faults" malformed 'new 1\nmap 1 10 10 r-- a\nmap 1 20 10 --- a\nmap 1 30 10 -w- s\n' '6 w 1 10\n' '6 w 1 20\n' '6 r 1 20\n' \
    '6 r 1 f\n' '6 w 1 40\n' '6 r 1 0\n' '6 w 1 fffffffff\n' '6 w 2 30\n' '7 prot 1 30 1 r--\nw 1 30\n' '7 prot 1 10 1 ---\nr 1 10\n' \
    '7 prot 1 10 8 rw-\nw 1 18\n' '7 move 1 10 10 50 10 1\nw 1 50\n' '7 fork 1 2\nw 2 10\n'
check "malformed: moves of nothing" malformed 'new 1\nmap 1 10 10 rw- a\nmap 1 20 10 rw- s\n' '5 move 1 10 0 50 10 1\n' '5 move 1 20 0 20 1 1\n' \
    '5 move 1 1f 0 50 10 1\n'
many_spaces()
{
    { echo '# objrmap-trace 1'; seq 1 4097 | sed 's/^/new /'; } > "$work/bad.trace"
    refuses "$work/bad.trace" && grep -q ':4098: more than 4096 spaces' "$work/err"
}
many_regions()
{
    { echo '# objrmap-trace 1'; echo 'new 1'; seq 1 65600 | while read -r i; do printf 'map 1 %x 1 rw- a\n' $((i * 2)); done; } > "$work/bad.trace"
    refuses "$work/bad.trace" && grep -q ': more than 65530 regions' "$work/err"
}
many_pages()
{
    python3 - > "$work/bad.trace" <<'END'
print("# objrmap-trace 1\nnew 1\nmap 1 0 10000 rw- a")
for page in range(1 << 16): print(f"w 1 {page:x}")
for child in range(2, 20): print(f"fork 1 {child}")
END
    refuses "$work/bad.trace" && grep -q ':65547: more than 524288 pages' "$work/err"
}
check "malformed: more spaces than can be" many_spaces
check "malformed: more regions than can be" many_regions
check "malformed: more pages than can be" many_pages
printf '# objrmap-trace 1\n' > "$work/nothing.trace"
check "malformed: no events" refuses "$work/nothing.trace"

small=$root_of_small/redis-small.$ending
check "refused: no trace" refuses
check "refused: two traces" refuses "$small" "$small"
check "refused: a file that is not there" refuses "$work/absent"
check "refused: a compressed file that is not there" refuses "$work/absent.xz"
check "refused: a directory" refuses "$work"
mkfifo "$work/pipe"
check "refused: a pipe" refuses "$work/pipe"
check "refused: an unknown argument" refuses "$small" --nonsense
for percent in 0 101 -5 25% half '' 99999999999999999999; do
    check "refused: --memory '$percent'" refuses "$small" --memory "$percent"
done
check "refused: --memory without a value" refuses "$small" --memory
check "refused: an unknown way to move" refuses "$small" --move away
check "refused: an unknown swap device" refuses "$small" --swap tape
check "refused: quiet points that are no number" refuses "$small" --checks often

program=$root/tests/replay/cut.py
printf 'new 1\n' > "$work/bad.trace"
printf '# objrmap-trace 1\nnew\n' > "$work/short.trace"
check "cut.py refuses: nothing to cut" refuses
check "cut.py refuses: no spaces" refuses "$work/hand.trace" --spaces 0 --pages 1
check "cut.py refuses: a file that is not there" refuses "$work/absent" --spaces 1 --pages 1
check "cut.py refuses: what is no trace" refuses "$work/bad.trace" --spaces 1 --pages 1
check "cut.py refuses: an event without a space" refuses "$work/short.trace" --spaces 1 --pages 1
program=$root/tests/replay/all
check "all refuses: an unknown argument" refuses --nonsense
check "all refuses: a share that is no number" refuses --memory half
check "all refuses: a file that is not there" refuses "$work/absent"

if [ "$real" != --real ]; then
    skip "recorded traces" "a slow build"
elif [ $ending = trace ]; then
    skip "recorded traces" "built without liblzma"
elif [ ! -d "$traces" ]; then
    skip "recorded traces" "they are not beside the project"
else
    check "recorded: shell, 25 %" replays "$traces/shell.trace.xz" --memory 25 -- 'r["forks"] == 648' 'r["shared_evictions"] > 0'
    check "recorded: stress, 25 %, track" replays "$traces/stress.trace.xz" --memory 25 --move track -- 'r["moves"] > 12000'
    check "recorded: build, 50 %" replays "$traces/build.trace.xz" --memory 50 -- 'r["cow_copies"] == 0' 'r["evictions"] > 0'
    check "recorded: apache, 25 %" replays "$traces/apache.trace.xz" --memory 25 -- 'r["skipped_ranges"] > 10000'
    check "recorded: shell copies on write what the model says" copies_as_the_model "$traces/shell.trace.xz" --memory 50
    for name in python redis; do
        check "$name, small, copies on write what the model says" copies_as_the_model "$root/tests/replay/$name-small.trace.xz" \
            --memory 25 --move track
    done
    check "python-small is cut from the recorded trace" cut_from_recorded python 14 8
    check "redis-small is cut from the recorded trace" cut_from_recorded redis 59 24
fi
finish
