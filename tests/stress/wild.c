/* SPDX-License-Identifier: MIT */
/**
 * @file stress/wild.c  Pages at which everything happens at once, with no lock of the test's.
 *
 * Nothing is known of their contents but this: zero, or of the group of the space, and where the library writes, a whole
 * stamp. Half of the windows are written by the library alone, half by processors alone. One of each has a table of
 * its own, which comes and goes with it.
 */
#include "stress/world.h"

#define WINDOW 32
/* The library's, the processors'; the last one is alone in its table. */
static const rmap_vpn_t window_at[2][3] = {{256, 256 + TABLE_PAGES, 3 * TABLE_PAGES},
                                           {320, 320 + TABLE_PAGES, 4 * TABLE_PAGES}};

void wild_map(struct worker *me, struct slot *s)
{
    for (unsigned i = 0; i < 4; i++) {
        rmap_vpn_t at = window_at[i / 2][i % 2];
        ANSWER(me, rmap_space_map(s->space, &at, WINDOW, RMAP_READ | RMAP_WRITE, RMAP_MAP_FIXED), RMAP_ERR_COMMIT);
    }
}

struct wild {
    struct worker *me;
    struct slot *s;
    bool processor;
    rmap_vpn_t at; /* [at, at + count) lies in a window */
    uint64_t count;
    struct stamp stamp;
};

static rmap_vpn_t choose_range(struct wild *x, uint64_t *count)
{
    const rmap_vpn_t window = window_at[x->processor][below(x->me, 3)];
    const unsigned first = below(x->me, WINDOW);
    *count = 1 + below(x->me, WINDOW - first < 8 ? WINDOW - first : 8);
    return window + first;
}

static void store(void *ctx, unsigned char *frame)
{
    const struct wild *x = ctx;
    stamp_store(frame, &x->stamp);
}

/* Torn or not, the word that names the group was written at once. */
static void fetch(void *ctx, unsigned char *frame)
{
    struct wild *x = ctx;
    stamp_load(frame, below(x->me, SPOTS), &x->stamp);
}

static int run(struct wild *x, unsigned access)
{
    int rc = 0;
    cpu_enter(x->s->tlb);
    for (unsigned tries = 0; !rc && tries < 1000; tries++) {
        if (!cpu_access(x->s->tlb, x->at, access, access & RMAP_WRITE ? store : fetch, x)) break;
        rc = rmap_space_fault(x->s->space, x->at, access);
    }
    cpu_leave(x->s->tlb);
    return rc;
}

#define FAULT_ERRORS RMAP_ERR_ABSENT, RMAP_ERR_ACCESS, RMAP_ERR_NO_FRAME

static void write_one(struct wild *x)
{
    size_t done;
    pthread_rwlock_rdlock(&x->s->identity); /* what carries the group's number goes to that group */
    x->stamp = (struct stamp){atomic_load(&x->s->group), atomic_load(&x->s->lineage), x->at, prng_next(&x->me->rng)};
    stamp_fill(x->me->page, &x->stamp);
    int rc = x->processor ? run(x, RMAP_WRITE)
                          : rmap_space_write(x->s->space, x->at << PAGE_SHIFT, x->me->page, PAGE_BYTES, &done);
    ANSWER(x->me, rc, FAULT_ERRORS);
    pthread_rwlock_unlock(&x->s->identity);
}

static void read_one(struct wild *x)
{
    size_t done;
    const unsigned before = atomic_load(&x->s->group);
    x->stamp.group = 0;
    int rc = x->processor ? run(x, RMAP_READ)
                          : rmap_space_read(x->s->space, x->at << PAGE_SHIFT, x->me->page, PAGE_BYTES, &done);
    if (ANSWER(x->me, rc, FAULT_ERRORS)) return;
    const char *error = x->processor ? NULL : stamp_parse(x->me->page, &x->stamp);
    if (error) fail(x->me->w, "wild page %u: %s", (unsigned)x->at, error);
    const unsigned after = atomic_load(&x->s->group), found = x->stamp.group;
    /* Exec has its new group's number a moment after it has let the new group's first writer in. */
    if (found && found < before)
        fail(x->me->w, "wild page %u: group %u, of a space of group %u", (unsigned)x->at, found, before);
    if (found && found > after)
        fail(x->me->w, "wild page %u: group %u, of a space of group %u", (unsigned)x->at, found, after);
    if (found && found != before && found != after)
        fail(x->me->w, "wild page %u: group %u, of a space of groups %u and %u", (unsigned)x->at, found, before, after);
}

static void lock_some(struct wild *x)
{
    const uint64_t count = x->count < 4 ? x->count : 4;
    if (!ANSWER(x->me, rmap_space_lock(x->s->space, x->at, count), FAULT_ERRORS))
        ANSWER(x->me, rmap_space_unlock(x->s->space, x->at, count), RMAP_ERR_ABSENT);
    for (unsigned i = 0; i < WINDOW; i++) /* what was moved in between */
        ANSWER(x->me, rmap_space_unlock(x->s->space, window_at[x->processor][below(x->me, 3)] + i, 1), RMAP_ERR_ABSENT);
}

static void unmap_some(struct wild *x)
{
    if (chance(x->me, 1, 2)) x->at = window_at[x->processor][2], x->count = WINDOW;
    MUST(x->me, rmap_space_unmap(x->s->space, x->at, x->count));
}

static void pin_one(struct wild *x)
{
    struct rmap_page *page;
    if (ANSWER(x->me, rmap_space_pin(x->s->space, x->at, &page), FAULT_ERRORS, RMAP_ERR_BUSY)) return;
    rmap_page_unpin(x->me->w->r, page);
}

static void move_some(struct wild *x)
{
    uint64_t count;
    rmap_vpn_t to = choose_range(x, &count);
    if (count > x->count) count = x->count;
    const unsigned keep = chance(x->me, 1, 4) ? RMAP_MOVE_KEEP_OLD : 0;
    ANSWER(x->me, rmap_space_move(x->s->space, x->at, count, count, RMAP_MOVE_FIXED | keep, &to), RMAP_ERR_ABSENT,
           RMAP_ERR_INVALID, RMAP_ERR_NO_FRAME, RMAP_ERR_COMMIT, RMAP_ERR_BUSY);
}

static void map_some(struct wild *x)
{
    static const unsigned flags[] = {RMAP_MAP_FIXED, RMAP_MAP_FIXED, RMAP_MAP_FIXED | RMAP_MAP_NOREPLACE};
    rmap_vpn_t at = x->at;
    if (at >= 3 * TABLE_PAGES && chance(x->me, 2, 3)) return;
    ANSWER(x->me, rmap_space_map(x->s->space, &at, x->count, RMAP_READ | RMAP_WRITE, flags[below(x->me, 3)]),
           RMAP_ERR_COMMIT, RMAP_ERR_EXISTS);
}

void op_wild(struct worker *me)
{
    struct wild x = {.me = me, .s = slot_get(me), .processor = me->w->o.tlb && chance(me, 1, 2)};
    if (!x.s) return;
    struct rmap_space *space = x.s->space;
    static const unsigned prot[] = {RMAP_NONE, RMAP_READ, RMAP_READ | RMAP_WRITE, RMAP_READ | RMAP_WRITE};
    for (unsigned n = 1 + below(me, 4); n--;) {
        const unsigned kind = below(me, 24);
        x.at = choose_range(&x, &x.count);
        note(me, "wild %u s%u page %u + %u", kind, (unsigned)(x.s - me->w->slot), (unsigned)x.at, (unsigned)x.count);
        if (kind < 6)
            write_one(&x);
        else if (kind < 12)
            read_one(&x);
        else if (kind < 14)
            move_some(&x);
        else if (kind < 17)
            map_some(&x);
        else if (kind == 17)
            unmap_some(&x);
        else if (kind == 18)
            ANSWER(me, rmap_space_protect(space, x.at, x.count, prot[below(me, 4)]), RMAP_ERR_ABSENT, RMAP_ERR_COMMIT);
        else if (kind == 19)
            ANSWER(me, rmap_space_advise(space, x.at, x.count, RMAP_ADVISE_DONTNEED), RMAP_ERR_ABSENT, RMAP_ERR_BUSY);
        else if (kind == 20)
            ANSWER(me, rmap_space_advise(space, x.at, x.count, RMAP_ADVISE_FREE), RMAP_ERR_ABSENT, RMAP_ERR_BUSY);
        else if (kind == 21)
            ANSWER(me, rmap_space_fault(space, x.at, chance(me, 1, 2) ? RMAP_WRITE : RMAP_READ), FAULT_ERRORS);
        else if (kind == 22)
            pin_one(&x);
        else
            lock_some(&x);
    }
    slot_put(x.s);
}
