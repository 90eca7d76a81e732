/* SPDX-License-Identifier: MIT */
/*
 * Fork tree × fork × zap, exit × walk: one page, three spaces, every order of their steps.
 *
 *     0 ── [ep 0] ── [open]         space 0 maps the page, alone, at first; spaces 1 and 2 are born by forks of whoever
 *             └─ 1 ── [ep 0] …      lives: a chain 0-1-2, or two children of 0, in one or in two of its epochs. Each
 *                      └─ 2         space forks, zaps, writes or exits as it likes; beside them all runs one walk.
 *
 * Shown, at every step that could break it:
 *     INV-1  every mapping is in a candidate of page.owner, every swap entry in one of slot.owner (tightening, too)
 *     INV-2  mapcount >= entries that map the page, and >= translations that a processor may still hold (INV-6)
 *     INV-5  DONE: every mapping was visited, or copied from a source that was visited before (INV-4 is what makes it so)
 *     a walk that has unmapped and says DONE leaves no mapping; nobody reads an epoch that a tree edit has freed
 *
 * What a step stands for is said beside it, with its function in lib/core. A step is atomic where the code is: one
 * read-modify-write, what happens under the exclusive group lock, one load of an entry, one look under a run lock. Looks take
 * no run lock but for a hit that the visitor works on; tables may be looked up ahead, all at once. Taken as given: tags (an
 * owner is the epoch that its tag leads to), the hint (a guess that the frame check decides), entries' attributes.
 *
 * Switched off one at a time by -D, and then refuted: see spin.sh.
 */
#ifndef SPACES
#define SPACES 3
#endif
#ifndef WALKS
#define WALKS 1
#endif
#define EPOCHS 3 /* of one node, merged ones included: each fork opens one at most */
#define NIL 255
#define EPOCH(n, k) ((n) * EPOCHS + (k))
#define NODE(e) ((e) / EPOCHS)

#define NONE 0
#define MAPS 1
#define SWAP 2

/* The tree. Epochs of a node are in order of their numbers. */
bool in_tree[SPACES], is_member[SPACES], exists[SPACES * EPOCHS];
byte parent[SPACES]; /* an epoch */
byte order[SPACES];  /* among the children of one epoch */
byte open[SPACES];   /* which epoch */
byte edits;          /* made under the exclusive group lock */
byte readers;        /* holders of the group lock, shared: the exclusive ones are one step each */

/* Spaces, each with the one entry. */
bool runs_threads[SPACES], forking[SPACES], run_lock[SPACES];
byte entry[SPACES];
bool table[SPACES];   /* there is one for the entry; made by a fork's first copy, and kept */
bool newborn[SPACES]; /* a fork is copying to it */
bool cached[SPACES];  /* a processor may still use a translation to the page */
bool visited[SPACES]; /* by the present walk, or copied from one that was */
byte born = 1;        /* spaces so far */

/* The page and its slot. */
bool page_lock, stable;
byte mapcount, owner, slot_count, slot_owner;

/* The walk's position, which tree edits keep right (struct rmap__position, registered). */
byte at_node = NIL, at_epoch = NIL, at_kid = NIL;
bool at_enter;

/* Only inside d_steps. */
hidden byte i, j, k, x, y, z, yes;

#include "fork_check.inc"
#include "fork_tree.inc"

/* ---- counts ---- */

/* rmap__page_count_down, after the flush. */
#ifdef NO_STABLE
#define LOWER(n) d_step { mapcount = mapcount - n; check_counts() }
#else
#define LOWER(n) d_step { mapcount = mapcount - n; stable = false; check_counts() }
#endif

/* rmap_zap, and what its gather does afterwards. Each line is a step; a locked run is one. */
inline zap(s)
{
#ifdef LOWER_BEFORE_CLEAR
    if
    :: entry[s] == MAPS -> LOWER(1)
    :: else
    fi;
#endif
    d_step { !run_lock[s] -> had = entry[s]; entry[s] = NONE; check_counts() }; /* zap_entry: exchange */
    if
    :: had == MAPS ->
#ifdef LOWER_BEFORE_FLUSH
        LOWER(1);
        cached[s] = false
#else
        cached[s] = false; /* rmap_gather_flush_now */
#ifndef LOWER_BEFORE_CLEAR
        LOWER(1) /* rmap_gather_finish */
#endif
#endif
    :: had == SWAP -> d_step { slot_count--; check_counts() } /* the slot is put after the entry went */
    :: else
    fi
}

/* ---- a space's life; fork, exit and write faults exclude each other by the space lock, so one process does ---- */

/* Both runs are held from the look to the child's entry; the count is another word, which walks load meanwhile. */
inline fork_copy(p, c)
{
    d_step { !run_lock[p] && !run_lock[c] -> run_lock[p] = true; run_lock[c] = true; table[c] = true }; /* run_make */
    if
    :: entry[p] == MAPS ->
#ifndef COUNT_AFTER_ENTRY
        mapcount++; /* copy_mapping: rmap__page_count_up keeps STABLE */
#endif
        d_step {
            entry[c] = MAPS; cached[c] = true; visited[c] = visited[p];
            check_copy();
            run_lock[c] = false; run_lock[p] = false
        };
#ifdef COUNT_AFTER_ENTRY
        mapcount++
#endif
    :: entry[p] == SWAP ->
        slot_count++; /* copy_swap */
        d_step { entry[c] = SWAP; check_copy(); run_lock[c] = false; run_lock[p] = false }
    fi
}

/* The group section of rmap_fork_begin: into the tree, mark. */
inline fork_begin(p, c, more)
{
    d_step {
        readers == 0 ->
        attach(p, c, more);
        forking[p] = true;
        newborn[c] = true;
#ifndef TIGHTEN_AFTER_FORK
        edits++
#endif
    }
}

inline leave(s)
{
    d_step {
        readers == 0 ->
        remove(s);
#ifndef TIGHTEN_AFTER_LEAVE
        edits++;
#endif
        check_owners()
    }
}

proctype Space(byte s)
{
    byte had, child;
    bool more;

end: /* not born */
    runs_threads[s];
end_life:
    do
    :: d_step { born < SPACES && entry[s] != NONE -> child = born; born++ };
        if
        :: more = false
        :: more = true
        fi;
#ifdef INSERT_AFTER_COPY
        fork_copy(s, child);
        fork_begin(s, child, more);
#else
        fork_begin(s, child, more);
        fork_copy(s, child);
#endif
        if
        :: d_step { forking[s] = false; newborn[child] = false; runs_threads[child] = true } /* rmap_fork_commit: fork_end */
        :: zap(child);                                               /* rmap_fork_abort */
#ifdef ABORT_MARK_LAST
            leave(child);
            forking[s] = false;
            newborn[child] = false
#else
            d_step { forking[s] = false; newborn[child] = false };
            leave(child)
#endif
        fi
    :: entry[s] != NONE -> zap(s)
    :: entry[s] == NONE -> leave(s); break
    :: d_step { /* write fault: reuse of rmap__fault_cow, page and run locked; a copy is a zap as far as this page goes */
            entry[s] == MAPS && mapcount == 1 && slot_count == 0 && !page_lock && !run_lock[s] &&
                owner != EPOCH(s, open[s]) ->
            owner = EPOCH(s, open[s]); /* rmap_page_reuse: home_tag */
            check_owners()
        }
    od
}

/* ---- the walk ---- */

#ifdef CHILD_BEFORE_SOURCE
#define TIGHTENS false /* the bound is kept for the right order only */
#else
#define TIGHTENS true
#endif

/* ahead_peek: the tables of all candidates to come, before any of their entries is read. */
inline look_ahead()
{
    d_step {
        ahead = true;
        i = 0;
        do
        :: i == SPACES -> break
        :: i < SPACES ->
#if defined(ENTRY_AHEAD) /* what is not mapped then is not looked at again */
            absent[i] = (entry[i] != MAPS);
#elif defined(NO_NEWBORN)
            absent[i] = !table[i];
#else
            absent[i] = !table[i] && !newborn[i];
#endif
            i++
        od
    }
}

#define SEEN(s) (is_member[s] && !(ahead && absent[s]))

/*
 * Look into space s: visit_member. One load, pass_by, tells a miss; a hit that is only counted (never unmap's) is told by it, too.
 * For any other the run is locked, and the look that counts is the one under the lock: look_into.
 */
inline look_into(s)
{
    nodes++;
    if
    :: !SEEN(s)
    :: SEEN(s) && entry[s] != MAPS
    :: SEEN(s) && entry[s] == MAPS && !takes -> visited[s] = true; hit = s
    :: SEEN(s) && entry[s] == MAPS && takes && !run_lock[s] -> run_lock[s] = true; locked = true; hit = s
    fi
}

inline page_hit(s)
{
    mark = forking[s]; /* page_meet: sampled at the hit, no sooner than the entry */
    visited[s] = true;
    if
    :: takes ->
        slot_count++; /* unmap_visit: count before entry */
        d_step { entry[s] = SWAP; taken++; check_owners(); check_counts() };
        cached[s] = false /* flush_in_run */
    :: else
    fi;
    d_step { /* bound_hit, and one load decides */
        hits++;
        if
        :: low == NIL -> anc = s; anc_epoch = NIL
        :: TIGHTENS && low != NIL && anc_epoch == NIL && edits == edits_seen ->
            x = s;
            do
            :: NODE(parent[x]) == anc -> break
            :: else -> x = NODE(parent[x])
            od;
            anc_epoch = parent[x]
        :: else
        fi;
        low = anc;
        low_epoch = anc_epoch;
        if
        :: locked -> run_lock[s] = false; locked = false
        :: else
        fi;
        hit = NIL;
        if
#ifdef NO_STABLE
        :: mapcount == hits -> done = true; open_page = false; check_done()
#else
        :: stable && mapcount == hits -> done = true; open_page = false; check_done()
#endif
        :: else
        fi
    }
}

/* page_end's last step: the owner moves down. Not when the tree changed while a bounded walk had let the lock go. */
inline tighten()
{
#ifdef MARK_AFTER_LOAD
    if
    :: low != NIL && low_epoch == NIL && is_member[low] -> mark = forking[low]
    :: else
    fi;
#endif
#ifdef NO_FORKING_MARK
    mark = false;
#endif
    d_step {
        if
        :: TIGHTENS && done && low != NIL && nodes > hits && edits == edits_seen ->
            assert(in_tree[low]);
            if
            :: low_epoch != NIL -> z = low_epoch
            :: low_epoch == NIL && mark -> newest_closed(low)
            :: else -> z = EPOCH(low, open[low])
            fi;
#ifdef TIGHTEN_NEWEST /* the youngest epoch that may be meant, not the oldest */
            if
            :: low_epoch != NIL -> newest_closed(low)
            :: else
            fi;
#endif
            assert(exists[z]);
            if
            :: !takes -> owner = z
            :: takes && fresh -> slot_owner = z
            :: else
            fi;
            check_owners()
        :: else
        fi
    }
}

proctype Walk()
{
    byte hits, nodes, taken, step, hit = NIL, low, low_epoch, anc, anc_epoch, edits_seen, walks;
    bool takes, fresh, done, open_page, mark, locked, ahead, absent[SPACES];

    do
    :: walks == WALKS -> break
    :: else ->
        walks++;
        if
        :: takes = false /* referenced, write_protect, each_mapping */
        :: takes = true  /* unmap */
        fi;
        atomic { !page_lock -> page_lock = true };
        readers++; /* group lock, shared */
        if
        :: takes -> d_step {
                fresh = (slot_count == 0); /* unmap_begin */
                if
                :: fresh -> slot_owner = owner
                :: else
                fi
            }
        :: else
        fi;
        d_step { /* page_begin; visited is no part of the code */
            stable = true;
            hits = 0; nodes = 0; taken = 0; mark = false;
            low = NIL; low_epoch = NIL; anc = NIL; anc_epoch = NIL;
            edits_seen = edits;
            done = (mapcount == 0);
            open_page = !done;
            i = 0;
            do
            :: i == SPACES -> break
            :: i < SPACES -> visited[i] = false; i++
            od;
            if
            :: owner == NIL -> at_node = NIL
            :: else -> at_node = NODE(owner); at_enter = true; at_kid = NIL
            fi
        };
        do
        :: !open_page -> break
        :: else ->
            if
            :: !ahead -> readers-- /* a bounded walk gives the group lock away for a moment; one that does not has fewer orders */
            :: !ahead -> look_ahead() /* no more of that until the tables are used */
            :: ahead
            fi;
            atomic {
                if
                :: !ahead -> readers++
                :: else
                fi;
                d_step {
                    position_step(step);
                    if
                    :: step == CLIMBED && edits == edits_seen && anc == at_kid -> /* bound_climb */
                        anc = at_node;
                        anc_epoch = at_epoch
                    :: else
                    fi
                };
#ifdef CHILD_BEFORE_SOURCE
                if
                :: step == CLIMBED -> look_into(at_kid)
                :: step == ENDED && owner != NIL -> look_into(NODE(owner))
                :: else
                fi
#else
                if
                :: step == ENTERED -> look_into(at_node)
                :: else
                fi
#endif
            };
            if
            :: hit != NIL -> page_hit(hit)
            :: else
            fi;
            if
            :: step == ENDED && open_page -> d_step { /* page_end */
                    open_page = false;
                    done = (mapcount == hits);
                    if
                    :: done -> check_done()
                    :: else
                    fi
                }
            :: else
            fi
        od;
        tighten();
        d_step {
            at_node = NIL; at_epoch = NIL; at_kid = NIL; at_enter = false;
            ahead = false;
            i = 0;
            do
            :: i == SPACES -> break
            :: i < SPACES -> absent[i] = false; i++
            od
        };
        readers--;
        if
        :: taken > 0 -> LOWER(taken) /* rmap_gather_finish, after the group lock */
        :: else
        fi;
        page_lock = false
    od
}

init
{
    d_step {
        i = 0;
        do
        :: i == SPACES -> break
        :: i < SPACES -> parent[i] = NIL; i++
        od;
        in_tree[0] = true;
        is_member[0] = true;
        exists[EPOCH(0, 0)] = true;
        entry[0] = MAPS;
        table[0] = true;
        cached[0] = true;
        mapcount = 1;
        owner = EPOCH(0, 0);
        slot_owner = NIL
    };
    atomic {
        run Walk();
        i = 0;
        do
        :: i == SPACES -> break
        :: i < SPACES -> run Space(i); i++
        od;
        runs_threads[0] = true
    }
}
