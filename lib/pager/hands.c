/* SPDX-License-Identifier: MIT */
/**
 * @file pager/hands.c  Frames in the hands of faults: taken, and not yet pages that anybody else can see.
 *
 * A fault that finds no frame waits while others have some in hand: they give them back, or make the entry that it wants.
 * The reasons, and why it ends, are in docs/design/pager-locks.md.
 */
#include <pager/pager_internal.h>

struct rmap__hands_seen rmap__hands_look(struct rmap_pager *p)
{
    return (struct rmap__hands_seen){.returned = p->frames.returned, .settled = p->frames.settled};
}

void rmap__hands_enter(struct rmap_pager *p)
{
    atomic_fetch_add(&p->frames.in_hand, 1);
}

/*
 * Whoever waits raises `waiters` before it looks; whoever changes something looks at `waiters` afterwards: one of the two
 * sees the other. The wait itself is under [F], so no wake is lost between look and sleep.
 */
void rmap__hands_leave(struct rmap_pager *p)
{
    struct rmap__frames *fs = &p->frames;
    atomic_fetch_add(&fs->settled, 1);
    atomic_fetch_sub(&fs->in_hand, 1);
    if (!fs->waiters) return;
    rmap__mutex_lock(&fs->lock, RMAP__RANK_FRAMES);
    pthread_cond_broadcast(&fs->changed);
    rmap__mutex_unlock(&fs->lock, RMAP__RANK_FRAMES);
}

bool rmap__hands_wait(struct rmap_pager *p, struct rmap__hands_seen seen, unsigned own)
{
    struct rmap__frames *fs = &p->frames;
    rmap__mutex_lock(&fs->lock, RMAP__RANK_FRAMES);
    fs->waiters++;
    if (atomic_fetch_sub(&fs->in_hand, 1) == 1) pthread_cond_broadcast(&fs->changed); /* all wait: there is no frame */
    while (fs->in_hand && fs->returned == seen.returned + own && fs->settled == seen.settled)
        pthread_cond_wait(&fs->changed, &fs->lock);
    fs->waiters--;
    const bool again = fs->returned != seen.returned + own || fs->settled != seen.settled;
    rmap__mutex_unlock(&fs->lock, RMAP__RANK_FRAMES);
    return again;
}
