/* SPDX-License-Identifier: MIT */
/*
 * Walk × move × fault: a page that S moves from A to B while T, which shares it, and S itself write to it.
 *
 *     S:  A ──move──▶ B        page X, at index A at first, is mapped by S at A and by T at A, or by S alone (ALONE);
 *     T:  A                    it has a slot as soon as the walker gives it one. A private copy is no page of this model.
 *
 * S moves (space lock exclusive), a thread of S reads or writes at A or B (shared), two of T read and write at A, a
 * walker looks at X or unmaps it, twice. The policy is COPY; TRACK has a model of its own (tests/model). A page that has
 * a slot stays in the cache: what becomes of one that leaves it is in slot_life.pml.
 *
 * Shown, at every step that could break it:
 *     INV-1  X is mapped at X.index in a candidate of X.owner; swap entries are at slot.index, or the slot is MOVED
 *     INV-2  mapcount >= entries, those in flight and stale translations included (INV-6); INV-3 the same of the slot
 *     B3     a walk never says "unmapped", or DONE, of a page in flight; owner and index stand still while it is locked
 *     B15    nothing stale is left at the source when the entry appears at the destination
 *     E1, E3 whoever may write to X in place is its only user; nobody's content changes under it; no entry is overwritten
 *
 * What a step stands for is said beside it. A step is atomic where the code is: one read-modify-write, a locked run.
 * Switched off one at a time by -D, and then refuted: see spin.sh.
 */
#define NONE 0
#define MAPS 1     /* X, read-only */
#define WRITES 2   /* X, writable */
#define SWAPPED 3  /* X's slot */
#define PRIVATE 4  /* another page, this space's own */

/* Places: where an entry can be. */
#define SA 0
#define SB 1
#define TA 2
#define PLACES 3
#define INDEX_A 0
#define INDEX_B 1
#define IN_S 1
#define IN_T 2
#define SPACE_OF(p) (p == TA -> IN_T : IN_S)
#define INDEX_OF(p) (p == SB -> INDEX_B : INDEX_A)

byte entry[PLACES];
bool cached[PLACES]; /* a processor may use a translation from here to X */
bool run_lock[PLACES], visited[PLACES];
byte region_s = SA;  /* where S has its region now */
byte faults;         /* holders of S's space lock, shared */
bool moving;         /* exclusive */
bool in_flight;      /* X's entry of S is between its two places */

/* X and its slot. */
bool page_lock, stable, swapcache, freed, slot_moved;
byte mapcount, owner, index, slot_count, slot_owner, slot_index;

hidden byte i, j, k, x;

inline check()
{
    i = 0; j = 0; k = 0; x = 0;
    do
    :: i == PLACES -> break
    :: i < PLACES ->
        if
        :: entry[i] == MAPS || entry[i] == WRITES ->
            j++;
            assert(index == INDEX_OF(i) && (owner & SPACE_OF(i)))                                  /* INV-1 */
        :: entry[i] == SWAPPED ->
            k++;
            assert(swapcache && (slot_owner & SPACE_OF(i)) && (slot_index == INDEX_OF(i) || slot_moved))
        :: else -> j = j + (cached[i] && !(in_flight && i == SA)) /* the flight's one count holds both */
        fi;
        x = x + (entry[i] == WRITES);
        i++
    od;
    assert(mapcount >= j + in_flight);                                                              /* INV-2, 6 */
    assert(slot_count >= k);                                                                        /* INV-3 */
    assert(x == 0 || (x == 1 && j == 1 && slot_count == 0));                                        /* E1, E3 */
    assert(!freed || j == 0)
}

/* ---- counts ---- */

/* rmap__page_count_down, after the flush */
inline count_down(n)
{
    d_step {
        assert(mapcount >= n);
        mapcount = mapcount - n;
        stable = false;
        freed = (mapcount == 0 && !swapcache);
        check();
        assert(!freed || !in_flight)
    }
}

/* ---- move: move_range of core/move.c ---- */

/* take_off: run of A locked, the page tried. What flies: entry; own or shared. */
inline take_off()
{
    tried = false;
    d_step { !run_lock[SA] -> run_lock[SA] = true; flyer = entry[SA] };
    d_step {
        tried = (flyer == NONE || flyer == PRIVATE || !page_lock);
        if
        :: flyer != NONE && flyer != PRIVATE && tried -> page_lock = true
        :: else
        fi
    };
    if
    :: !tried -> run_lock[SA] = false
    :: else
    fi
}

proctype Move()
{
    byte flyer;
    bool tried, shared, same;

    atomic { !moving && faults == 0 -> moving = true };
off:
    take_off();
    if
    :: !tried -> !page_lock; goto off /* wait for whoever holds it */
    :: tried && flyer == NONE -> run_lock[SA] = false; goto landed
    :: tried && flyer == PRIVATE -> /* another page, its own: flies like X, locked by nobody else */
        d_step { entry[SA] = NONE; run_lock[SA] = false };
        d_step { !run_lock[SB] -> assert(entry[SB] == NONE); entry[SB] = PRIVATE };
        goto landed
    :: tried && (flyer == MAPS || flyer == WRITES) ->
        shared = (mapcount != 1); /* page_is_own: two loads */
        if
        :: swapcache && slot_count > 0 -> shared = true
        :: else
        fi;
        if
        :: shared -> page_lock = false; run_lock[SA] = false; goto copy_one
        :: else
        fi;
        goto fly
    :: tried && flyer == SWAPPED ->
        shared = (slot_count != 1); /* take_swap: the page is cached, and locked */
        if
        :: mapcount > 0 -> shared = true
        :: else
        fi;
        goto fly
    fi;
fly:
    same = false;
    d_step { entry[SA] = NONE; in_flight = (flyer != SWAPPED); run_lock[SA] = false };
#ifdef LAND_UNLOCKED
    page_lock = false;
#endif
#ifdef LOWER_AT_TAKE_OFF
    if
    :: flyer != SWAPPED -> cached[SA] = false; count_down(1)
    :: else
    fi;
#endif
#ifdef LAND_BEFORE_FLUSH
    skip;
#else
    cached[SA] = false; /* land: rmap_gather_flush_now */
#endif
#ifdef LOWER_AT_TAKE_OFF
    if
    :: flyer != SWAPPED -> mapcount++
    :: else
    fi;
#endif
    d_step { !run_lock[SB] -> run_lock[SB] = true };
    if
    :: shared -> slot_moved = (slot_moved || slot_index != INDEX_B) /* land_swap; land_page has only own ones */
    :: else ->
        if
        :: flyer == SWAPPED -> d_step { slot_owner = IN_S; slot_index = INDEX_B; slot_moved = false }
        :: else
        fi;
#ifndef INDEX_AFTER_UNLOCK
        owner = IN_S;
        index = INDEX_B;
#endif
        if
        :: flyer != SWAPPED && swapcache -> d_step { slot_owner = IN_S; slot_index = INDEX_B; slot_moved = false }
        :: else
        fi
    fi;
    d_step {
        assert(entry[SB] == NONE);
        assert(flyer == SWAPPED || !cached[SA]); /* B15 */
        entry[SB] = flyer;
        cached[SB] = (flyer != SWAPPED);
        in_flight = false;
        run_lock[SB] = false;
#ifndef INDEX_AFTER_UNLOCK
        check()
#endif
    };
#ifndef LAND_UNLOCKED
    page_lock = false;
#endif
#ifdef INDEX_AFTER_UNLOCK
    owner = IN_S;
    index = INDEX_B;
#endif
    goto landed;
copy_one:
    atomic { !page_lock -> page_lock = true };
    same = (mapcount + slot_count != 1); /* it may have become ours */
    if
    :: same ->
        d_step {
            !run_lock[SA] ->
            same = (entry[SA] == MAPS); /* or evicted */
            if
            :: same -> entry[SA] = NONE
            :: else
            fi;
            check()
        }
    :: else
    fi;
    if
    :: same ->
#ifdef LOWER_BEFORE_FLUSH
        count_down(1);
#endif
        cached[SA] = false;
        d_step { !run_lock[SB] -> assert(entry[SB] == NONE); entry[SB] = PRIVATE }
    :: else
    fi;
    page_lock = false;
#ifndef LOWER_BEFORE_FLUSH
    if
    :: same -> count_down(1) /* rmap_gather_finish */
    :: else
    fi;
#endif
    if
    :: same -> goto landed
    :: else -> goto off
    fi;
landed:
    region_s = SB;
    moving = false
}

/* ---- a fault at place p, to read or to write: rounds() of pager/fault.c ---- */

inline fault(p)
{
    tried = false;
again:
    same = false;
    d_step { !run_lock[p] -> seen = entry[p] }; /* look() */
    if
    :: seen == NONE ->
        assert(p != TA); /* what T has cannot go */
        d_step { /* rmap__fault_new, where a region is */
            !run_lock[p] ->
            if
            :: entry[p] == NONE -> assert(false) /* S has content: a new page here would lose it */
            :: else
            fi
        };
        goto again
    :: seen == PRIVATE || seen == WRITES || (seen == MAPS && !write)
    :: seen == MAPS && write -> /* rmap__fault_cow */
        atomic { !page_lock -> page_lock = true };
#ifdef NO_RECHECK
        d_step { !run_lock[p] -> same = true; run_lock[p] = true };
#else
        d_step { !run_lock[p] -> same = (entry[p] == seen); run_lock[p] = same };
#endif
        if
        :: !same -> page_lock = false; goto again
        :: else
        fi;
        own = (mapcount == 1); /* rmap_page_reuse: two loads */
        if
        :: swapcache && slot_count > 0 -> own = false
        :: else
        fi;
        if
        :: own ->
            d_step { swapcache = false; slot_moved = false }; /* forget */
            d_step {
                owner = SPACE_OF(p);
                index = INDEX_OF(p);
                entry[p] = WRITES;
                cached[p] = true;
                run_lock[p] = false;
                check()
            };
            page_lock = false
        :: else -> /* copy(): made with the run unlocked */
            run_lock[p] = false;
            d_step {
                !run_lock[p] ->
#ifndef NO_RECHECK
                same = (entry[p] == seen);
#endif
                if
                :: same -> entry[p] = PRIVATE
                :: else
                fi;
                check()
            };
            if
            :: same -> cached[p] = false
            :: else
            fi;
            page_lock = false;
            if
            :: same -> count_down(1)
            :: else -> goto again
            fi
        fi
    :: seen == SWAPPED -> /* rmap__fault_swap; the page is in the cache */
#ifndef SWAPIN_UNLOCKED
        atomic { !page_lock -> page_lock = true };
#endif
        d_step { !run_lock[p] -> same = (entry[p] == seen); run_lock[p] = same };
        if
        :: !same ->
#ifndef SWAPIN_UNLOCKED
            page_lock = false;
#endif
            goto again
        :: same && (slot_index != INDEX_OF(p) || (write && (mapcount > 0 || slot_count > 1))) -> /* take_copy */
            d_step { entry[p] = PRIVATE; run_lock[p] = false; check() }
        :: else -> /* map_cached */
            d_step { mapcount++; first = (mapcount == 1) };
            d_step {
                if
                :: first -> index = slot_index; owner = SPACE_OF(p)
                :: else -> owner = slot_owner
                fi;
                entry[p] = MAPS;
                cached[p] = true;
                run_lock[p] = false;
                check()
            };
            tried = true
        fi;
#ifndef SWAPIN_UNLOCKED
        page_lock = false;
#endif
        d_step { slot_count--; check() }; /* gather; an orphan's end is in slot_life.pml */
        if
        :: tried && write -> goto again /* a write looks once more */
        :: else
        fi
    fi
}

proctype FaultS()
{
    byte seen, p;
    bool write, same, own, first, tried;

    if
    :: write = true
    :: write = false
    fi;
    if
    :: p = SA
    :: p = SB
    fi;
#ifdef FAULT_IN_FLIGHT
    if
    :: region_s == p || moving -> fault(p)
    :: else
    fi
#else
    atomic { !moving -> faults++ };
    if
    :: region_s == p -> fault(p)
    :: else /* no region: an access error */
    fi;
    faults--
#endif
}

proctype FaultT(bool write)
{
    byte seen;
    bool same, own, first, tried;

    fault(TA)
}

/* ---- the walk, by a holder of the page lock: eviction's two, or a look ---- */

inline visit(p)
{
    if
    :: (owner & SPACE_OF(p)) && !done && INDEX_OF(p) == at ->
        nodes++;
        d_step {
            !run_lock[p] ->
            hit = (entry[p] == MAPS || entry[p] == WRITES);
            run_lock[p] = hit
        };
        if
        :: hit && takes ->
            slot_count++;
            d_step { entry[p] = SWAPPED; check() };
            cached[p] = false
        :: else
        fi;
        if
        :: hit ->
            d_step {
                hits++;
                visited[p] = true;
                found = SPACE_OF(p);
                run_lock[p] = false;
                done = (stable && mapcount == hits)
            }
        :: else
        fi
    :: else
    fi
}

proctype Walk()
{
    byte hits, nodes, at, found, rounds;
    bool takes, done, hit, fresh;

    do
    :: rounds == 2 || freed -> break
    :: else ->
        rounds++;
        if
        :: takes = false
        :: takes = true
        fi;
        atomic { !page_lock -> page_lock = true };
        if
        :: freed || (mapcount == 0 && takes) -> page_lock = false; goto next
        :: else
        fi;
        at = index; /* fill_cluster */
        if
        :: takes -> /* rmap_swap_cache_add, unmap_begin: with no entries the slot's home is the page's */
            d_step {
                if
                :: !swapcache && mapcount > 0 -> swapcache = true; slot_owner = owner; slot_index = index
                :: else
                fi;
                fresh = (slot_count == 0)
            };
            if
            :: !swapcache -> page_lock = false; goto next
            :: swapcache && fresh -> d_step { slot_owner = owner; slot_index = at; slot_moved = false }
            :: else
            fi
        :: else
        fi;
        d_step { stable = true; hits = 0; nodes = 0; found = 0; visited[SA] = false; visited[SB] = false; visited[TA] = false };
        done = (mapcount == 0);
        if
        :: at == INDEX_A -> visit(SA)
        :: else -> visit(SB)
        fi;
        visit(TA);
        d_step {
            done = done || (mapcount == hits);
            assert(at == index); /* it stands still under the page lock */
            assert(!done || !in_flight); /* B3 */
            i = 0;
            do
            :: i == PLACES -> break
            :: i < PLACES -> assert(!done || (entry[i] != MAPS && entry[i] != WRITES) || visited[i]); i++
            od;
            i = 0
        };
        if
        :: done && hits == 1 && nodes > hits -> /* tighten */
            d_step {
                if
                :: takes && fresh -> slot_owner = found
                :: !takes -> owner = found
                :: else
                fi;
                check()
            }
        :: else
        fi;
        if
        :: takes && hits > 0 -> count_down(hits)
        :: else
        fi;
        page_lock = false;
next:   hits = 0; nodes = 0; found = 0
    od
}

init
{
    d_step {
        index = INDEX_A;
        entry[SA] = MAPS; cached[SA] = true;
#ifdef ALONE
        entry[TA] = PRIVATE; mapcount = 1;
#else
        entry[TA] = MAPS; cached[TA] = true; mapcount = 2;
#endif
        owner = IN_S | IN_T
    };
    atomic { run Move(); run FaultS(); run FaultT(false); run FaultT(true); run Walk() }
}
