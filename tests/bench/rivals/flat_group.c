/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/flat_group.c  The flat group of the mail of 2004-03-13 (L. Torvalds' suggestion, H. Dickins' answer).
 *
 * page.owner is the group of spaces since exec, page.index the page number. A look-up asks every space of the
 * group at that number; it stops when it has met as many mappings as the page counts. mremap copies a page that others map, and
 * re-indexes one that they do not.
 */
#include "bench/rivals/by_index.h"

#include <pthread.h>

struct group {
    pthread_rwlock_t lock; /* the list of members */
    TAILQ_HEAD(, member) members;
    uint64_t count;
};

struct member {
    struct group *group;
    struct rival_space *s;
    TAILQ_ENTRY(member) link;
};

static struct group *group_of(const struct rival_space *s)
{
    return ((struct member *)s->own)->group;
}

static void space_init(struct rival_space *s, struct rival_space *parent)
{
    struct member *m = s->own;
    struct group *g = parent ? group_of(parent) : rival_alloc(s->w, sizeof *g);
    if (!parent) {
        pthread_rwlock_init(&g->lock, NULL);
        TAILQ_INIT(&g->members);
    }
    m->group = g;
    m->s = s;
    pthread_rwlock_wrlock(&g->lock);
    TAILQ_INSERT_TAIL(&g->members, m, link);
    g->count++;
    pthread_rwlock_unlock(&g->lock);
}

/* The last one frees the group: pages and swap entries have gone before. */
static void space_fini(struct rival_space *s)
{
    struct member *m = s->own;
    struct group *g = m->group;
    pthread_rwlock_wrlock(&g->lock);
    TAILQ_REMOVE(&g->members, m, link);
    const bool last = --g->count == 0;
    pthread_rwlock_unlock(&g->lock);
    if (!last) return;
    pthread_rwlock_destroy(&g->lock);
    rival_free(s->w, g, sizeof *g);
}

static void point_at(struct rival_space *s, struct rmap_page *page, rmap_vpn_t vpn)
{
    rival_set_owner(page, group_of(s), vpn);
}

static void map(struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, struct rmap_page *page, bool fresh)
{
    if (fresh) point_at(s, page, run->first + slot);
}

static void move_run(struct rival_space *s, const struct rmap_mmu_run *from, const struct rmap_mmu_run *to, uint32_t to_slot,
                     const struct rival_batch *batch)
{
    (void)from;
    by_index_moved(s, to->first + to_slot, batch, point_at);
}

static uint64_t walk(struct rival_world *w, struct rmap_page *page, rival_visit_fn *visit, void *ctx)
{
    struct group *g = rival_owner(page);
    const rmap_vpn_t vpn = rmap_page_index(page);
    struct member *m;
    uint64_t visits = 0;
    (void)w;
    pthread_rwlock_rdlock(&g->lock);
    TAILQ_FOREACH (m, &g->members, link) {
        struct rival_sight x;
        visits++;
        if (!rival_glance(m->s, vpn, page, &x)) continue;
        const bool more = visit(ctx, m->s, &x.run, (uint32_t)(vpn - x.run.first), x.entry);
        rival_glance_end(m->s, &x);
        if (!more) break;
    }
    pthread_rwlock_unlock(&g->lock);
    return visits;
}

static void bytes(struct rival_world *w, struct bench_bytes *out)
{
    out->spaces += w->pool->records.bytes; /* groups; members are the spaces' own */
}

static const struct rival_ops ops = {.name = "flat_group",
                                     .space_bytes = sizeof(struct member),
                                     .space_init = space_init,
                                     .space_fini = space_fini,
                                     .map = map,
                                     .may_move = by_index_may_move,
                                     .may_map = by_index_may_map,
                                     .move_run = move_run,
                                     .walk = walk,
                                     .bytes = bytes};
RIVAL_SYSTEM(flat_group, &ops);
