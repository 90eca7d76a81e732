/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/anonmm.c  H. Dickins' anonmm of 2004, as its announcements ("rmap 10", "rmap 11") describe it.
 *
 * One anonmm for each space, in the list of its group since exec; it lives on while pages point at it. A page points at the
 * anonmm of the space that first had it, with its address. A look-up asks that space first, then the others of the group at the
 * same address, until it has met as many mappings as the page counts. If the space is dead, the page moves to the first one
 * where it is found. mremap copies a page that others map, and re-indexes one that they do not.
 *
 *     page ─▶ anonmm ─▶ space, or dead         the group's list: [anonmm P] [anonmm A] [anonmm B] …
 *
 * In the rival's favour: a page that is written in place by the only space that maps it becomes that space's own.
 */
#include "bench/rivals/by_index.h"

#include <pthread.h>

struct anonmm {
    struct rival_space *s; /* NULL: dead, and not in the list any more */
    struct head *head;     /* counted */
    TAILQ_ENTRY(anonmm) link;
    _Atomic uint64_t refs; /* of the space, and of each page that points here */
};

/* A group since exec. */
struct head {
    pthread_rwlock_t lock; /* the list, and who is dead */
    TAILQ_HEAD(, anonmm) list;
    _Atomic uint64_t refs; /* anonmms */
};

/* A space's own bytes. */
struct own {
    struct anonmm *anonmm;
};

static struct anonmm *anonmm_of(const struct rival_space *s)
{
    return ((struct own *)s->own)->anonmm;
}

static void anonmm_put(struct rival_world *w, struct anonmm *a)
{
    struct head *h = a->head;
    if (atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1) return;
    rival_free(w, a, sizeof *a);
    if (atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1) return;
    pthread_rwlock_destroy(&h->lock);
    rival_free(w, h, sizeof *h);
}

/* The page points at `a` from now on. Page locked, or known to nobody. */
static void point_at(struct rival_world *w, struct rmap_page *page, struct anonmm *a, rmap_vpn_t vpn)
{
    struct anonmm *before = rival_owner(page);
    if (before != a) atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    rival_set_owner(page, a, vpn);
    if (before && before != a) anonmm_put(w, before);
}

/* ---- spaces ---- */

static struct head *head_new(struct rival_world *w)
{
    struct head *h = rival_alloc(w, sizeof *h);
    pthread_rwlock_init(&h->lock, NULL);
    TAILQ_INIT(&h->list);
    return h;
}

static void space_init(struct rival_space *s, struct rival_space *parent)
{
    struct anonmm *a = rival_alloc(s->w, sizeof *a);
    struct head *h = parent ? anonmm_of(parent)->head : head_new(s->w);
    a->s = s;
    a->head = h;
    atomic_init(&a->refs, 1);
    ((struct own *)s->own)->anonmm = a;
    atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    pthread_rwlock_wrlock(&h->lock);
    TAILQ_INSERT_TAIL(&h->list, a, link);
    pthread_rwlock_unlock(&h->lock);
}

static void space_fini(struct rival_space *s)
{
    struct anonmm *a = anonmm_of(s);
    pthread_rwlock_wrlock(&a->head->lock);
    TAILQ_REMOVE(&a->head->list, a, link);
    a->s = NULL;
    pthread_rwlock_unlock(&a->head->lock);
    anonmm_put(s->w, a);
}

/* ---- pages ---- */

static void point_at_own(struct rival_space *s, struct rmap_page *page, rmap_vpn_t vpn)
{
    point_at(s->w, page, anonmm_of(s), vpn);
}

static void map(struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, struct rmap_page *page, bool fresh)
{
    if (fresh) point_at_own(s, page, run->first + slot);
}

static void reuse(struct rival_space *s, rmap_vpn_t vpn, struct rmap_page *page)
{
    point_at_own(s, page, vpn);
}

static void move_run(struct rival_space *s, const struct rmap_mmu_run *from, const struct rmap_mmu_run *to, uint32_t to_slot,
                     const struct rival_batch *batch)
{
    (void)from;
    by_index_moved(s, to->first + to_slot, batch, point_at_own);
}

static void page_free(struct rival_world *w, struct rmap_page *page)
{
    struct anonmm *a = rival_owner(page);
    if (a) anonmm_put(w, a);
}

/* ---- look-up ---- */

struct look {
    struct rmap_page *page;
    rmap_vpn_t vpn;
    rival_visit_fn *visit;
    void *ctx;
    uint64_t visits;
};

/* One space. `*found`: it maps the page. @return false: the walk may stop. */
static bool look_into(struct look *x, struct rival_space *s, bool *found)
{
    struct rival_sight sight;
    x->visits++;
    *found = rival_glance(s, x->vpn, x->page, &sight);
    if (!*found) return true;
    const bool more = x->visit(x->ctx, s, &sight.run, (uint32_t)(x->vpn - sight.run.first), sight.entry);
    rival_glance_end(s, &sight);
    return more;
}

static uint64_t walk(struct rival_world *w, struct rmap_page *page, rival_visit_fn *visit, void *ctx)
{
    struct look x = {.page = page, .vpn = rmap_page_index(page), .visit = visit, .ctx = ctx};
    struct anonmm *owner = rival_owner(page), *a, *heir = NULL;
    struct head *h = owner->head;
    bool found, more = true;
    pthread_rwlock_rdlock(&h->lock);
    const bool dead = !owner->s;
    if (!dead) more = look_into(&x, owner->s, &found);
    for (a = TAILQ_FIRST(&h->list); a && more; a = TAILQ_NEXT(a, link)) {
        if (a == owner) continue;
        more = look_into(&x, a->s, &found);
        if (found && dead && !heir) heir = a;
    }
    if (heir) point_at(w, page, heir, x.vpn); /* who is in the list keeps the head */
    pthread_rwlock_unlock(&h->lock);
    return x.visits;
}

static void bytes(struct rival_world *w, struct bench_bytes *out)
{
    out->spaces += w->pool->records.bytes; /* anonmms and heads, those that only pages keep included */
}

static const struct rival_ops ops = {.name = "anonmm",
                                     .space_bytes = sizeof(struct own),
                                     .space_init = space_init,
                                     .space_fini = space_fini,
                                     .map = map,
                                     .reuse = reuse,
                                     .may_move = by_index_may_move,
                                     .may_map = by_index_may_map,
                                     .move_run = move_run,
                                     .page_free = page_free,
                                     .walk = walk,
                                     .bytes = bytes};
RIVAL_SYSTEM(anonmm, &ops);
