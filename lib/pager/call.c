/* SPDX-License-Identifier: MIT */
/**
 * @file pager/call.c  Public calls: which of them this thread is inside, and the space lock that most of them take.
 *
 * A thread that is inside a call must not begin another one on the same pager: it might wait for a lock that it holds, or
 * that waits for it. Such calls come from hooks, and from faults on projected memory that a hook touches. Each thread
 * keeps a list of its calls on its stack; one inside a call of another pager is well (its device may be memory of this
 * one).
 */
#include <pager/pager_internal.h>

/* Reachable without allocation: faults come from signal handlers. */
static _Thread_local struct rmap__call *innermost __attribute__((tls_model("initial-exec")));

int rmap__call_begin(struct rmap__call *c, struct rmap_pager *p)
{
    for (const struct rmap__call *x = innermost; x; x = x->outer)
        if (x->p == p) return RMAP_ERR_BUSY;
    c->p = p;
    c->s = NULL;
    c->outer = innermost;
    innermost = c;
    return 0;
}

void rmap__call_end(struct rmap__call *c)
{
    RMAP_ASSERT(innermost == c);
    innermost = c->outer;
}

void rmap__space_lock_shared(struct rmap_space *s)
{
    rmap__rank_take(RMAP__RANK_SPACE, s);
    if (!pthread_rwlock_tryrdlock(&s->lock)) return;
    RMAP__STAT(s->p, space_waits, 1);
    while (pthread_rwlock_rdlock(&s->lock)) sched_yield(); /* EAGAIN: more readers than it can count */
}

void rmap__space_lock_exclusive(struct rmap_space *s)
{
    rmap__rank_take(RMAP__RANK_SPACE, s);
    if (!pthread_rwlock_trywrlock(&s->lock)) return;
    RMAP__STAT(s->p, space_waits, 1);
    pthread_rwlock_wrlock(&s->lock);
}

void rmap__space_unlock(struct rmap_space *s)
{
    pthread_rwlock_unlock(&s->lock);
    rmap__rank_drop(RMAP__RANK_SPACE, s);
}

static int enter(struct rmap__call *c, struct rmap_space *s, void (*lock)(struct rmap_space *))
{
    if (!s) return RMAP_ERR_NULL_ARG;
    int rc = rmap__call_begin(c, s->p);
    if (rc) return rc;
    lock(s);
    c->s = s;
    if (!s->dead) return 0;
    rmap__space_leave(c);
    return RMAP_ERR_DEAD;
}

int rmap__space_enter_shared(struct rmap__call *c, struct rmap_space *s)
{
    return enter(c, s, rmap__space_lock_shared);
}

int rmap__space_enter_exclusive(struct rmap__call *c, struct rmap_space *s)
{
    return enter(c, s, rmap__space_lock_exclusive);
}

void rmap__space_leave(struct rmap__call *c)
{
    rmap__space_unlock(c->s);
    rmap__call_end(c);
}
