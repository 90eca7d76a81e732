/* SPDX-License-Identifier: MIT */
/**
 * @file core/position.h  Where a look-up is in the order of candidates (INV-4).
 *
 * Candidates of an epoch `top` of node N: N's space; then, for each epoch from `top` to the newest, its children oldest first,
 * each with its whole subtree in pre-order. A position says what is done: everything up to and with the subtree of `kid`, which
 * hangs on `epoch` of `node`; or, if `enter`, everything before `node`. It is iterative and has no stack, so it can be left
 * lying: while the group lock is dropped a registered position (struct rmap__visit) is kept right by the tree's edits.
 *
 *        N ── [top] ─────────── [epoch] ──── [open]
 *               │   │              │    │
 *               A   B             kid   C ◀─ comes next
 *               done               done
 */
#ifndef RMAP_CORE_POSITION_H
#define RMAP_CORE_POSITION_H

#include <core/core.h>

enum rmap__step {
    RMAP__STEP_END,     /* no candidate is left */
    RMAP__STEP_ENTERED, /* pos->node is the next candidate; its space may have exited */
    RMAP__STEP_CLIMBED, /* the subtree of pos->kid is done; of a leaf it is not said */
};

static inline struct rmap__position rmap__position_before(struct rmap__node *n)
{
    return (struct rmap__position){.node = n, .enter = true};
}

/** One step on. Group lock held since the last step, or the position registered. `top` as it is now. Cost: O(1). */
static inline enum rmap__step rmap__position_step(struct rmap__position *p, struct rmap__epoch *top)
{
    if (!p->node || !top) return RMAP__STEP_END;
    if (p->enter) {
        p->enter = false;
        p->epoch = p->node == top->node ? top : TAILQ_FIRST(&p->node->epochs);
        p->kid = NULL;
        return RMAP__STEP_ENTERED;
    }
    if (!p->node->kids && p->node != top->node) { /* a leaf, as most are: on beside it, its epochs need not be looked at */
        p->kid = p->node;
        p->epoch = p->kid->parent;
        p->node = p->epoch->node;
    }
    for (;;) {
        struct rmap__node *kid = p->kid ? TAILQ_NEXT(p->kid, link) : TAILQ_FIRST(&p->epoch->kids);
        if (kid) {
            *p = (struct rmap__position){.node = kid, .epoch = TAILQ_FIRST(&kid->epochs)};
            return RMAP__STEP_ENTERED;
        }
        struct rmap__epoch *newer = TAILQ_NEXT(p->epoch, link);
        if (!newer) break;
        p->epoch = newer;
        p->kid = NULL;
    }
    if (p->node == top->node) {
        p->node = NULL;
        return RMAP__STEP_END;
    }
    p->kid = p->node;
    p->epoch = p->node->parent;
    p->node = p->epoch->node;
    return RMAP__STEP_CLIMBED;
}

/* ---- position.c: look-ups that let the group lock go in between (F2) ---- */

/**
 * What a look-up does before it lets others in: spaces looked into (or, of one space, tables), and steps in the tree, of
 * which a space that is looked into takes two, and dead ones may stand close together. So a fork that waits for the lock
 * waits for so much, however large the group is.
 */
#define RMAP__STEP_VISITS 256
#define RMAP__STEP_NODES 4096

static inline bool rmap__visit_is_tired(const struct rmap__visit *v)
{
    return v->looked >= RMAP__STEP_VISITS || v->steps >= RMAP__STEP_NODES;
}

/** Register: `owner` (with a reference kept by the caller) or 0 for the whole tree. Group lock held, shared suffices, here
 *  and below. */
void rmap__visit_begin(struct rmap__group *g, struct rmap__visit *v, rmap_owner_t owner);
/** Register one that began by itself: its fields but the link are filled in. */
void rmap__visit_register(struct rmap__group *g, struct rmap__visit *v);
void rmap__visit_end(struct rmap__group *g, struct rmap__visit *v);
/** The next candidate that has a space; NULL: none is left (at.node is NULL then), or the look-up is tired. */
struct rmap_member *rmap__visit_next(struct rmap__group *g, struct rmap__visit *v);
/** A registered look-up lets others in: the group lock is dropped and taken again, shared. No member may be used after it
 *  that is not asked for again. */
void rmap__visit_rest(struct rmap__group *g, struct rmap__visit *v);
/** The look-up has done with a table of m, where it is, and wants the next: one more thing looked at, and others are let in
 *  if it is tired. @return false: m has left meanwhile, and must not be used. */
bool rmap__visit_goes_on_in(struct rmap__group *g, struct rmap__visit *v, const struct rmap_member *m);
/** The epoch whose candidates are looked for, as it is now; NULL when they are all gone. */
struct rmap__epoch *rmap__visit_top(const struct rmap__group *g, const struct rmap__visit *v);

/* What the tree's edits do to registered positions. Exclusive group lock; called before the edit. */

/** Node n, dead and without children, is about to go. */
void rmap__visits_unlink(struct rmap__group *g, struct rmap__node *n);
/** Epoch `from` is about to be absorbed by `to`, the next newer one of its node; it has no children any more. */
void rmap__visits_absorb(struct rmap__group *g, struct rmap__epoch *from, struct rmap__epoch *to);
/** `child`, the only one, is about to take the place of its dead parent. */
void rmap__visits_replace(struct rmap__group *g, struct rmap__node *child);

#endif
