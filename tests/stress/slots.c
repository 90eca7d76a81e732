/* SPDX-License-Identifier: MIT */
/** @file stress/slots.c  The lives of spaces, and the books of forked ones. */
#include "stress/world.h"

#include <stdlib.h>
#include <string.h>

void lock_init(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(lock, &attr);
    pthread_rwlockattr_destroy(&attr);
}

void slots_init(struct world *w)
{
    pthread_mutex_init(&w->slots, NULL);
    for (unsigned i = 0; i < w->o.spaces; i++) {
        struct slot *s = &w->slot[i];
        lock_init(&s->life);
        lock_init(&s->identity);
        for (unsigned a = 0; a < AREAS; a++) {
            lock_init(&s->area[a].layout);
            pthread_mutex_init(&s->area[a].lock, NULL);
        }
    }
}

void slots_fini(struct world *w)
{
    for (unsigned i = 0; i < w->o.spaces; i++) {
        struct slot *s = &w->slot[i];
        pthread_rwlock_destroy(&s->life);
        pthread_rwlock_destroy(&s->identity);
        for (unsigned a = 0; a < AREAS; a++) {
            pthread_rwlock_destroy(&s->area[a].layout);
            pthread_mutex_destroy(&s->area[a].lock);
        }
    }
    pthread_mutex_destroy(&w->slots);
}

/* A destroyer waits for `life` with the state changed already, so a try that fails means: look elsewhere. */
struct slot *slot_get(struct worker *me)
{
    struct world *w = me->w;
    struct slot *found = NULL;
    const unsigned hot = atomic_load_explicit(&w->hot, memory_order_relaxed) / AREAS;
    const unsigned first = chance(me, 1, 3) ? hot : below(me, w->o.spaces);
    pthread_mutex_lock(&w->slots);
    for (unsigned i = 0; i < w->o.spaces && !found; i++) {
        struct slot *s = &w->slot[(first + i) % w->o.spaces];
        if (s->state == SLOT_LIVE && !pthread_rwlock_tryrdlock(&s->life)) found = s;
    }
    pthread_mutex_unlock(&w->slots);
    return found;
}

void slot_put(struct slot *s)
{
    pthread_rwlock_unlock(&s->life);
}

static struct slot *take_free(struct worker *me)
{
    struct world *w = me->w;
    struct slot *found = NULL;
    pthread_mutex_lock(&w->slots);
    for (unsigned i = 0; i < w->o.spaces && !found; i++)
        if (w->slot[i].state == SLOT_FREE) found = &w->slot[i];
    if (found) found->state = SLOT_TAKEN;
    pthread_mutex_unlock(&w->slots);
    return found;
}

static void set_state(struct world *w, struct slot *s, enum slot_state state)
{
    pthread_mutex_lock(&w->slots);
    s->state = state;
    pthread_mutex_unlock(&w->slots);
}

static void adopt(struct worker *me, struct slot *s, struct rmap_space *space, unsigned group)
{
    s->space = space;
    s->tlb = tlb_of(&rmap_space_member(space)->mmu);
    cpu_set_resident(s->tlb, me->w->o.tlb && chance(me, 3, 4));
    atomic_store(&s->group, group);
    atomic_store(&s->lineage, atomic_fetch_add(&me->w->lineages, 1) + 1);
}

/* A fresh layout: every area in one piece, in the table of its choice. */
void slot_populate(struct worker *me, struct slot *s)
{
    for (unsigned a = 0; a < AREAS; a++) {
        const unsigned place = below(me, PLACES);
        rmap_vpn_t at = place * TABLE_PAGES + a * AREA_PAGES;
        const int rc = rmap_space_map(s->space, &at, AREA_PAGES, RMAP_READ | RMAP_WRITE, RMAP_MAP_FIXED);
        ANSWER(me, rc, RMAP_ERR_COMMIT);
        pthread_mutex_lock(&s->area[a].lock);
        for (unsigned i = 0; i < AREA_PAGES; i++) {
            struct book *b = &s->area[a].book[i];
            book_clear(b);
            b->mapped = b->accounted = rc == 0;
            b->locked = false;
            b->place = (unsigned char)place;
            b->prot = RMAP_READ | RMAP_WRITE;
        }
        pthread_mutex_unlock(&s->area[a].lock);
    }
    wild_map(me, s);
}

void op_create(struct worker *me)
{
    struct slot *s = take_free(me);
    struct rmap_space *space;
    if (!s) return;
    note(me, "create s%u", (unsigned)(s - me->w->slot));
    MUST(me, rmap_space_create(me->w->pager, &space));
    adopt(me, s, space, atomic_fetch_add(&me->w->groups, 1) + 1);
    slot_populate(me, s);
    set_state(me->w, s, SLOT_LIVE);
}

/* ---- fork ---- */

struct seen {
    unsigned changes[AREAS];
    struct book book[AREAS][AREA_PAGES];
};

static void look(struct slot *s, struct seen *seen)
{
    for (unsigned a = 0; a < AREAS; a++) {
        pthread_mutex_lock(&s->area[a].lock);
        seen->changes[a] = s->area[a].changes;
        memcpy(seen->book[a], s->area[a].book, sizeof seen->book[a]);
        pthread_mutex_unlock(&s->area[a].lock);
    }
}

static const struct rmap_region_info *region_at(const struct rmap_region_info *region, size_t n, rmap_vpn_t vpn)
{
    for (size_t i = 0; i < n; i++)
        if (vpn >= region[i].first && vpn - region[i].first < region[i].count) return &region[i];
    return NULL;
}

/* The layout changed during the fork: what the child has is looked up. A page still has one place at most. */
static void find_out(struct worker *me, struct slot *child, unsigned a, const struct seen *after)
{
    enum { MOST = TLB_PAGES };
    struct rmap_region_info *region = calloc(MOST, sizeof *region);
    if (!region) abort();
    const size_t n = rmap_space_regions(child->space, region, MOST);
    for (unsigned i = 0; i < AREA_PAGES; i++) {
        struct book *b = &child->area[a].book[i];
        *b = (struct book){.top = after->book[a][i].top, .any = true, .lazy = true};
        for (unsigned place = 0; place < PLACES; place++) {
            const struct rmap_region_info *x = region_at(region, n, place * TABLE_PAGES + a * AREA_PAGES + i);
            if (!x) continue;
            if (b->mapped) fail(me->w, "a fork: page %u of area %u is mapped at two places in the child", i, a);
            b->mapped = true;
            b->accounted = x->accounted;
            b->place = (unsigned char)place;
            b->prot = (unsigned char)x->prot;
        }
    }
    free(region);
}

static void fill_child(struct worker *me, struct slot *parent, struct slot *child, const struct seen *before,
                       const struct seen *after)
{
    for (unsigned a = 0; a < AREAS; a++) {
        struct area *area = &child->area[a];
        const bool same = before->changes[a] == after->changes[a] && before->changes[a] % 2 == 0;
        pthread_mutex_lock(&area->lock);
        area->changes += 2;
        for (unsigned i = 0; same && i < AREA_PAGES; i++)
            area->book[i] = book_forked(&before->book[a][i], &after->book[a][i], atomic_load(&parent->lineage));
        if (!same) find_out(me, child, a, after);
        pthread_mutex_unlock(&area->lock);
    }
}

void op_fork(struct worker *me)
{
    struct slot *parent = slot_get(me), *child = parent ? take_free(me) : NULL;
    struct seen *seen = child ? malloc(2 * sizeof *seen) : NULL;
    if (seen) {
        struct rmap_space *space;
        note(me, "fork s%u to s%u", (unsigned)(parent - me->w->slot), (unsigned)(child - me->w->slot));
        pthread_rwlock_rdlock(&parent->identity);
        look(parent, &seen[0]);
        int rc = rmap_space_fork(parent->space, &space);
        ANSWER(me, rc, RMAP_ERR_NO_FRAME, RMAP_ERR_COMMIT);
        if (!rc) {
            look(parent, &seen[1]);
            adopt(me, child, space, atomic_load(&parent->group));
            fill_child(me, parent, child, &seen[0], &seen[1]);
        }
        set_state(me->w, child, rc ? SLOT_FREE : SLOT_LIVE);
        pthread_rwlock_unlock(&parent->identity);
    }
    free(seen);
    if (parent) slot_put(parent);
}

/* ---- exec, exit ---- */

static void change_all(struct slot *s)
{
    for (unsigned a = 0; a < AREAS; a++) {
        pthread_mutex_lock(&s->area[a].lock);
        s->area[a].changes++;
        pthread_mutex_unlock(&s->area[a].lock);
    }
}

/* Accesses to the exact part are kept out; wild ones, walks, forks' look-ups go on. */
void op_exec(struct worker *me)
{
    struct slot *s = slot_get(me);
    if (!s) return;
    note(me, "exec s%u", (unsigned)(s - me->w->slot));
    pthread_rwlock_wrlock(&s->identity);
    for (unsigned a = 0; a < AREAS; a++) pthread_rwlock_wrlock(&s->area[a].layout);
    change_all(s);
    MUST(me, rmap_space_exec(s->space));
    atomic_store(&s->group, atomic_fetch_add(&me->w->groups, 1) + 1);
    atomic_store(&s->lineage, atomic_fetch_add(&me->w->lineages, 1) + 1);
    slot_populate(me, s);
    change_all(s);
    for (unsigned a = AREAS; a--;) pthread_rwlock_unlock(&s->area[a].layout);
    pthread_rwlock_unlock(&s->identity);
    slot_put(s);
}

static void destroy(struct worker *me, struct slot *s)
{
    pthread_rwlock_wrlock(&s->life); /* those who are inside leave */
    cpu_set_resident(s->tlb, false);
    MUST(me, rmap_space_destroy(s->space));
    s->space = NULL;
    for (unsigned a = 0; a < AREAS; a++) {
        pthread_mutex_lock(&s->area[a].lock);
        s->area[a].changes += 2;
        pthread_mutex_unlock(&s->area[a].lock);
    }
    pthread_rwlock_unlock(&s->life);
    set_state(me->w, s, SLOT_FREE);
}

void op_exit(struct worker *me)
{
    struct slot *s = slot_get(me);
    if (!s) return;
    slot_put(s);
    pthread_mutex_lock(&me->w->slots);
    const bool mine = s->state == SLOT_LIVE; /* else somebody was faster */
    if (mine) s->state = SLOT_TAKEN;
    pthread_mutex_unlock(&me->w->slots);
    if (!mine) return;
    note(me, "exit s%u", (unsigned)(s - me->w->slot));
    destroy(me, s);
}

void slots_destroy_all(struct worker *me)
{
    for (unsigned i = 0; i < me->w->o.spaces; i++)
        if (me->w->slot[i].state == SLOT_LIVE) destroy(me, &me->w->slot[i]);
}
