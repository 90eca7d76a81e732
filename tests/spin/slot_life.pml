/* SPDX-License-Identifier: MIT */
/*
 * A slot's life: unmap to swap × swap-in, from the cache or the device × last drop × eviction of the cached page.
 *
 *     P ─┐ page a: mapped by both,          one device with one slot:   count, cached page, version, home, content
 *     Q ─┘ or on swap in both               (P, Q are kin; R is not: who gets the slot next has another content)
 *     R ── page b: in memory                four frames
 *
 * An evictor takes any page; its write may fail. Who runs beside it is said by the command line: F0, F1, FR = 0 or 1: a
 * fault of P, Q, R, that reads or writes; F0B: a second one of P. Z0, Z1: a zap in P, Q. FROM_MEMORY: page a is mapped at first, else on
 * swap, ALONE: in P only.
 *
 * Shown, at every step that could break it:
 *     INV-3  slot.count >= its swap entries, and no slot is freed while an entry or the cache names it
 *     C1     whoever reads, or has on swap, has what it wrote: never another slot's content; no content is lost
 *     INV-1, INV-8  a mapping is in a candidate of page.owner, an entry in one of slot.owner, the former a part of the latter
 *     and when all have ended: counts are exact, no cached page and no slot stays that nobody uses, no frame leaks
 *
 * What a step stands for is said beside it, with its function in lib/. A step is atomic where the code is: one
 * read-modify-write of a page's flags or count, one section of the slot mutex that touches no page, one locked run.
 * Candidates are sets of spaces here (fork_walk.pml has the tree); a walk looks at all of them.
 *
 * Switched off one at a time by -D, and then refuted: see spin.sh.
 */
#include "slot_state.inc"
#include "slot_page.inc"

/* ---- a fault: rounds() of pager/fault.c; space lock shared, so zaps of the same space run beside it ---- */

#define TAKE_FRAME(into) \
    d_step { \
        i = 0; \
        do \
        :: i == FRAMES -> break \
        :: i < FRAMES && refs[i] == 0 -> into = i; break \
        :: else -> i++ \
        od; \
        if \
        :: into != NIL -> refs[into] = 1 \
        :: else \
        fi \
    }

/* rmap_page_map_new and the entry, run locked: frame f, own, with content c, is what s has there. */
inline install_new(s, f, c)
{
    mapcount[f] = 1; /* the reference in hand becomes the mapping's */
    owner[f] = BIT(s);
    dirty[f] = true;
    content[f] = c;
    entry[s] = PRESENT(f);
    view[s] = c
}

proctype Fault(byte s; bool write)
{
    byte f = NIL, page = NIL, spare = NIL, seen, version, data, puts, lowers, unlocked, put, orphaned;
    bool last, was, private;

again:
    page = NIL; /* look(): the entry, run locked */
    d_step {
        !run_lock[s] ->
        seen = entry[s];
        f = NIL;
        private = false;
        if
        :: IS_PRESENT(seen) ->
            assert(content[FRAME(seen)] == view[s]); /* C1: the access itself */
            if
            :: write && !writable[s] -> f = FRAME(seen); refs[f] = refs[f] + 1
            :: write && writable[s] -> content[FRAME(seen)] = NEW(s); view[s] = NEW(s)
            :: else
            fi
        :: else
        fi
    };
    if
    :: IS_PRESENT(seen) && f == NIL -> goto done
    :: IS_PRESENT(seen) && f != NIL -> goto cow
    :: seen == SWAPPED -> goto swap
    :: seen == NONE && spare == NIL ->
        TAKE_FRAME(spare);
        if
        :: spare == NIL -> goto done /* NO_FRAME */
        :: else -> goto again
        fi
    :: seen == NONE && spare != NIL -> /* rmap__fault_new */
        d_step {
            !run_lock[s] ->
            if
            :: entry[s] == NONE -> install_new(s, spare, NEW(s)); writable[s] = true; spare = NIL; seen = SWAPPED
            :: else
            fi;
            check()
        };
        if
        :: spare == NIL -> goto done
        :: else -> goto again
        fi
    fi;

swap: /* rmap__fault_swap */
    f = NIL;
    d_step { /* get_home; the cached page with a reference: rmap_swap_cache_find */
        !mutex ->
        if
        :: slot_live && slot_cached != NIL -> page = slot_cached; refs[page] = refs[page] + 1
        :: else
        fi;
        was = slot_live
    };
    if
    :: !was -> /* slot_is_dead: BAD_FRAME if the entry still names it, and it is dead still */
#ifdef DEAD_AT_ONE_LOOK
        d_step { !run_lock[s] -> was = (entry[s] == SWAPPED) };
#else
        d_step { !run_lock[s] && !mutex -> was = (entry[s] == SWAPPED && !slot_live) }; /* the slot again, in the run */
#endif
        assert(!was);
        goto again
    :: else
    fi;
    if
    :: page != NIL -> /* find_cached */
        lock(page);
        if
        :: !swapcache[page] -> unlock(page); drop(page); goto again
        :: else
        fi
    :: else
    fi;
    if
    :: write -> /* wants_private: others_use */
        d_step { !mutex -> private = (slot_live && slot_count > 1) };
        if
        :: page != NIL && mapcount[page] > 0 -> private = true
        :: else
        fi
    :: else
    fi;
    if
    :: (page == NIL || private) && spare == NIL ->
        if
        :: page != NIL -> unlock(page); drop(page)
        :: else
        fi;
        TAKE_FRAME(spare);
        if
        :: spare == NIL -> goto done
        :: else -> goto again
        fi
    :: else
    fi;
    if
    :: page == NIL -> /* load() */
        lock(spare);
load_again:
        puts = 0;
        d_step { /* load_begin */
            !mutex ->
            version = slot_version;
            if
            :: !slot_live -> puts = 1                     /* ABSENT */
            :: slot_live && slot_cached != NIL -> puts = 2 /* EXISTS */
            :: else -> assert(slot_written)
            fi
        };
        if
        :: puts == 1 || puts == 2 -> puts = 0; unlock(spare); goto again
        :: else
        fi;
        data = device; /* read_page */
        d_step { /* load_end */
            !mutex ->
            if
#ifdef NO_VERSION
            :: !slot_live || slot_cached != NIL -> was = true
#else
            :: !slot_live || slot_cached != NIL || slot_version != version -> was = true
#endif
            :: else ->
                was = false;
                page = spare;
                spare = NIL;
                content[page] = data;
                dirty[page] = false;
                refs[page] = refs[page] + 1;
                slot_cached = page;
                swapcache[page] = true;
                check()
            fi
        };
        if
        :: was -> goto load_again
        :: else
        fi;
        if
        :: private && spare == NIL -> /* a second frame, for the copy */
            unlock(page); drop(page);
            goto again
        :: else
        fi
    :: else
    fi;
    if
    :: private -> /* take_copy */
        data = content[page];
        d_step {
            !run_lock[s] ->
            was = (entry[s] == SWAPPED);
            if
            :: was -> install_new(s, spare, data); spare = NIL
            :: else
            fi;
            check()
        };
        if
        :: was -> puts = 1
        :: else
        fi
    :: else -> /* map_cached */
        d_step {
            !run_lock[s] ->
#ifdef NO_RECHECK
            was = true;
#else
            was = (entry[s] == SWAPPED);
#endif
            run_lock[s] = was
        };
        if
        :: was ->
            d_step { /* rmap_page_map_swapin: the count, and whether it is the first */
                mapcount[page] = mapcount[page] + 1;
                last = (mapcount[page] == 1);
                if
                :: last -> refs[page] = refs[page] + 1
                :: else
                fi
            };
            d_step {
                !mutex ->
                if
                :: last -> owner[page] = BIT(s)
#ifdef NO_WIDENING
                :: else
#else
#ifdef LAST_ENTRY_HOMES
                :: !last && slot_count == 1 -> owner[page] = BIT(s)
#endif
                :: else -> owner[page] = slot_owner
#endif
                fi
            };
            d_step {
                entry[s] = PRESENT(page);
                writable[s] = false;
                run_lock[s] = false;
                check()
            };
            puts = 1
        :: else
        fi
    fi;
    unlock(page);
    if
    :: puts > 0 -> puts = 0; entry_put() /* gather: after the entry went */
    :: else
    fi;
    drop(page);
    if
    :: was && !write -> goto done
    :: else -> goto again
    fi;

cow: /* rmap__fault_cow */
    page = NIL;
    lock(f);
    d_step {
        !run_lock[s] ->
        was = (entry[s] == seen); /* rmap__fault_recheck */
        run_lock[s] = was
    };
    if
    :: was -> /* rmap_page_reuse, run locked */
        if
        :: mapcount[f] != 1 -> private = true
        :: else
        fi;
#ifndef REUSE_IGNORES_ENTRIES
        d_step {
            !mutex ->
            if
            :: swapcache[f] && slot_count > 0 -> private = true
            :: else
            fi
        };
#endif
        if
        :: !private ->
            forget(f);
            d_step {
                dirty[f] = true;
                owner[f] = BIT(s);
                writable[s] = true;
                content[f] = NEW(s);
                view[s] = NEW(s);
                run_lock[s] = false;
                check()
            }
        :: else -> run_lock[s] = false
        fi
    :: else
    fi;
    if
    :: was && private && spare != NIL -> /* copy() */
        data = content[f];
        d_step {
            !run_lock[s] ->
            was = (entry[s] == seen);
            if
            :: was -> install_new(s, spare, NEW(s)); writable[s] = true; spare = NIL
            :: else
            fi;
            check()
        };
        unlock(f);
        if
        :: was -> count_down(f, 1)
        :: else
        fi;
        drop(f)
    :: else ->
        unlock(f);
        drop(f);
        if
        :: was && private -> TAKE_FRAME(spare)
        :: else
        fi;
        if
        :: was && private && spare == NIL -> goto done
        :: else
        fi
    fi;
    goto again;

done:
    if
    :: spare != NIL -> drop(spare)
    :: else
    fi;
    d_step { /* locals of the dead are states, too */
        f = 0; page = 0; spare = 0; seen = 0; version = 0; data = 0; puts = 0; orphaned = 0;
        last = false; was = false; private = false;
        finished++
    }
}

/* rmap_zap: the entry, run locked; then the gather. */
proctype Zap(byte s)
{
    byte seen, unlocked, put, orphaned;
    bool last, was;

    d_step {
        !run_lock[s] ->
        seen = entry[s];
        entry[s] = NONE;
        view[s] = NOTHING;
        writable[s] = false
    };
    if
    :: seen == SWAPPED -> entry_put()
    :: IS_PRESENT(seen) -> count_down(FRAME(seen), 1)
    :: else
    fi;
    d_step { seen = 0; orphaned = 0; last = false; was = false; finished++ }
}

/* rmap__evict: one page a round. */
proctype Evict()
{
    byte f, s, victim, hits, rounds, unlocked, put, orphaned;
    bool last, was, fresh, complete;

    do
    :: rounds == EVICTIONS -> break
    :: else ->
        rounds++;
        victim = NIL;
        atomic { /* rmap__list_isolate: a reference by try */
            if
            :: refs[0] > 0 && (mapcount[0] > 0 || swapcache[0]) -> f = 0
            :: refs[1] > 0 && (mapcount[1] > 0 || swapcache[1]) -> f = 1
            :: refs[2] > 0 && (mapcount[2] > 0 || swapcache[2]) -> f = 2
            :: refs[3] > 0 && (mapcount[3] > 0 || swapcache[3]) -> f = 3
            :: else -> break
            fi;
            refs[f] = refs[f] + 1
        };
        d_step { was = !page_lock[f]; page_lock[f] = true };
        if
        :: !was -> drop(f); goto next
        :: else
        fi;
        if
        :: !swapcache[f] && mapcount[f] == 0 -> unlock(f); drop(f); goto next /* give_slots */
        :: !swapcache[f] && mapcount[f] > 0 ->
            d_step { /* rmap_swap_cache_add: take_or_steal, attach */
                !mutex ->
                if
                :: slot_live && slot_count == 0 && slot_cached != NIL && !page_lock[slot_cached] ->
                    victim = slot_cached;
                    page_lock[victim] = true;
                    detach(victim)
                :: else
                fi;
                was = !slot_live;
                if
                :: was ->
                    slot_live = true;
                    slot_written = false;
                    slot_owner = owner[f];
                    dirty[f] = true;
#ifndef ADD_UNMARKED
                    orphan[f] = true;
#endif
                    slot_cached = f;
                    refs[f] = refs[f] + 1;
                    swapcache[f] = true
                :: else
                fi;
                check()
            };
            if
            :: victim != NIL -> unlock(victim); drop(victim)
            :: else
            fi;
            if
            :: !was -> unlock(f); drop(f); goto next
            :: else
            fi
        :: else
        fi;
        d_step { /* unmap_begin */
            !mutex ->
            fresh = (slot_count == 0);
            if
            :: fresh -> slot_owner = owner[f]
            :: else
            fi;
            hits = 0;
            s = 0
        };
        do
        :: s == SPACES -> break
        :: else ->
            d_step { !run_lock[s] -> was = (entry[s] == PRESENT(f) && (owner[f] & BIT(s))); run_lock[s] = was };
            if
            :: was -> /* unmap_visit */
#ifndef COUNT_AFTER_ENTRY
                d_step { !mutex -> slot_count++ };
#endif
                d_step { entry[s] = SWAPPED; writable[s] = false; run_lock[s] = false; hits++; check() };
#ifdef COUNT_AFTER_ENTRY
                d_step { !mutex -> slot_count++ }
#endif
            :: else
            fi;
            s++
        od;
        complete = (mapcount[f] == hits);
        if
        :: hits > 0 -> count_down(f, hits)
        :: else
        fi;
        if
        :: !complete && dirty[f] -> /* fail_with_slot */
            d_step { !mutex -> was = (slot_cached == f && slot_count == 0); if :: was -> detach(f) :: else fi };
            if
            :: was -> drop(f)
            :: else
            fi
        :: complete ->
            if
            :: dirty[f] -> d_step { dirty[f] = false; device = content[f]; slot_written = true; check() } /* rmap_swap_write */
            :: dirty[f] /* the write fails: the page stays */
            :: else
            fi;
            d_step { /* rmap_swap_cache_del: can_leave */
                !mutex ->
#ifdef DEL_UNWRITTEN
                was = (slot_cached == f);
#else
                was = (slot_cached == f && !dirty[f] && (slot_count == 0 || (mapcount[f] == 0 && slot_written)));
#endif
                if
                :: was -> detach(f)
                :: else
                fi;
                check()
            };
            if
            :: was -> drop(f)
            :: else
            fi
        :: else
        fi;
        unlock(f);
        drop(f);
next:   f = 0; s = 0; hits = 0; fresh = false; complete = false; was = false; last = false
    od;
    victim = 0;
    d_step { f = 0; rounds = 0; finished++ }
}

init
{
    d_step {
        slot_cached = NIL;
        /* page b of R, in frame 1 */
        entry[2] = PRESENT(1); view[2] = 2; writable[2] = true;
        content[1] = 2; refs[1] = 1; mapcount[1] = 1; owner[1] = BIT(2); dirty[1] = true;
        view[0] = 1; view[1] = 1
    };
    if
#ifndef FROM_MEMORY
    :: d_step { /* page a on swap */
            entry[0] = SWAPPED; entry[1] = SWAPPED;
            slot_live = true; slot_count = 2; slot_owner = BIT(0) | BIT(1); slot_written = true; device = 1;
#ifdef ALONE
            entry[1] = NONE; view[1] = NOTHING; slot_count = 1
#endif
        }
#else
    :: d_step { /* page a in frame 0 */
            entry[0] = PRESENT(0); entry[1] = PRESENT(0);
            content[0] = 1; refs[0] = 1; mapcount[0] = 2; owner[0] = BIT(0) | BIT(1); dirty[0] = true
        }
#endif
    fi;
    atomic {
        run Evict();
#ifdef F0
        run Fault(0, F0);
#endif
#ifdef F0B
        run Fault(0, F0B);
#endif
#ifdef F1
        run Fault(1, F1);
#endif
#ifdef Z0
        run Zap(0);
#endif
#ifdef Z1
        run Zap(1);
#endif
#ifdef FR
        run Fault(2, FR);
#endif
        processes = _nr_pr - 1
    };
    d_step { finished == processes -> check_end() }
}
