/* SPDX-License-Identifier: MIT */
/** @file stress/layout.c  Operations that change what an area is. Accesses to that area are kept out; all else goes on. */
#include "stress/world.h"

struct change {
    struct slot *s;
    struct area *area;
    unsigned a, first, end; /* pages [first, end) of the area */
};

static rmap_vpn_t vpn_of(const struct change *c, unsigned place, unsigned i)
{
    return place * TABLE_PAGES + c->a * AREA_PAGES + i;
}

static bool change_begin(struct worker *me, struct change *c, const char *what)
{
    c->s = slot_get(me);
    if (!c->s) return false;
    c->a = some_area(me);
    c->area = &c->s->area[c->a];
    c->first = below(me, AREA_PAGES);
    c->end = c->first + 1 + below(me, AREA_PAGES - c->first);
    if (chance(me, 1, 4)) c->first = 0, c->end = AREA_PAGES;
    note(me, "%s s%u area %u [%u, %u)", what, (unsigned)(c->s - me->w->slot), c->a, c->first, c->end);
    pthread_rwlock_wrlock(&c->area->layout);
    pthread_mutex_lock(&c->area->lock);
    c->area->changes++;
    pthread_mutex_unlock(&c->area->lock);
    return true;
}

static void change_end(struct change *c)
{
    pthread_mutex_lock(&c->area->lock);
    c->area->changes++;
    pthread_mutex_unlock(&c->area->lock);
    pthread_rwlock_unlock(&c->area->layout);
    slot_put(c->s);
}

/* Shorten the range to what is mapped at one place, and, if asked, alike in a region's eyes. @return false: nothing is. */
static bool one_piece(struct change *c, bool alike)
{
    const struct book *b = c->area->book, *x = &b[c->first];
    unsigned n = c->first;
    while (n < c->end && b[n].mapped && b[n].place == x->place &&
           (!alike || (b[n].prot == x->prot && b[n].accounted == x->accounted && b[n].locked == x->locked)))
        n++;
    c->end = n;
    return c->end > c->first;
}

static void unmap_places(struct worker *me, const struct change *c, unsigned but)
{
    for (unsigned place = 0; place < PLACES; place++) {
        if (place == but) continue;
        MUST(me, rmap_space_unmap(c->s->space, vpn_of(c, place, c->first), c->end - c->first));
        tlb_expect_flushed(c->s->tlb, vpn_of(c, place, c->first), c->end - c->first, RMAP_FLUSH_ALL, "unmap");
        pthread_mutex_lock(&c->area->lock);
        for (unsigned i = c->first; i < c->end; i++)
            if (c->area->book[i].place == place) c->area->book[i].mapped = false;
        pthread_mutex_unlock(&c->area->lock);
    }
}

void op_unmap(struct worker *me)
{
    struct change c;
    if (!change_begin(me, &c, "unmap")) return;
    unmap_places(me, &c, PLACES);
    change_end(&c);
}

static unsigned choose_prot(struct worker *me)
{
    const unsigned n = below(me, 12);
    return n == 0 ? RMAP_NONE : n < 4 ? RMAP_READ : RMAP_READ | RMAP_WRITE;
}

void op_map(struct worker *me)
{
    struct change c;
    if (!change_begin(me, &c, "map")) return;
    const unsigned place = below(me, PLACES), prot = choose_prot(me);
    const bool keep = chance(me, 1, 4);
    unmap_places(me, &c, place);
    bool there = false;
    for (unsigned i = c.first; i < c.end; i++) there |= c.area->book[i].mapped;
    rmap_vpn_t at = vpn_of(&c, place, c.first);
    int rc = rmap_space_map(c.s->space, &at, c.end - c.first, prot, RMAP_MAP_FIXED | (keep ? RMAP_MAP_NOREPLACE : 0));
    if (keep && there && rc != RMAP_ERR_EXISTS) fail(me->w, "a map replaces what is there");
    if (!(keep && there)) ANSWER(me, rc, RMAP_ERR_COMMIT);
    if (!rc) tlb_expect_flushed(c.s->tlb, at, c.end - c.first, RMAP_FLUSH_ALL, "map");
    pthread_mutex_lock(&c.area->lock);
    for (unsigned i = c.first; !rc && i < c.end; i++) {
        struct book *b = &c.area->book[i];
        book_clear(b);
        b->mapped = true;
        b->place = (unsigned char)place;
        b->prot = (unsigned char)prot;
        b->accounted = prot & RMAP_WRITE;
        b->locked = false;
    }
    pthread_mutex_unlock(&c.area->lock);
    change_end(&c);
}

void op_move(struct worker *me)
{
    struct change c;
    if (!change_begin(me, &c, "move")) return;
    if (one_piece(&c, true)) {
        const unsigned from = c.area->book[c.first].place, place = (from + 1 + below(me, PLACES - 1)) % PLACES;
        rmap_vpn_t to = vpn_of(&c, place, c.first);
        int rc = rmap_space_move(c.s->space, vpn_of(&c, from, c.first), c.end - c.first, c.end - c.first,
                                 RMAP_MOVE_FIXED, &to);
        ANSWER(me, rc, RMAP_ERR_NO_FRAME, RMAP_ERR_COMMIT, RMAP_ERR_BUSY);
        if (!rc) tlb_expect_flushed(c.s->tlb, vpn_of(&c, from, c.first), c.end - c.first, RMAP_FLUSH_ALL, "move");
        pthread_mutex_lock(&c.area->lock);
        for (unsigned i = c.first; !rc && i < c.end; i++) c.area->book[i].place = (unsigned char)place;
        pthread_mutex_unlock(&c.area->lock);
    }
    change_end(&c);
}

void op_protect(struct worker *me)
{
    struct change c;
    if (!change_begin(me, &c, "protect")) return;
    if (one_piece(&c, false)) {
        const unsigned prot = choose_prot(me);
        const rmap_vpn_t at = vpn_of(&c, c.area->book[c.first].place, c.first);
        int rc = rmap_space_protect(c.s->space, at, c.end - c.first, prot);
        ANSWER(me, rc, RMAP_ERR_COMMIT);
        if (!rc && !(prot & RMAP_WRITE))
            tlb_expect_flushed(c.s->tlb, at, c.end - c.first, prot ? RMAP_FLUSH_WRITE : RMAP_FLUSH_ALL, "protect");
        pthread_mutex_lock(&c.area->lock);
        for (unsigned i = c.first; !rc && i < c.end; i++) {
            c.area->book[i].prot = (unsigned char)prot;
            if (prot & RMAP_WRITE) c.area->book[i].accounted = true;
        }
        pthread_mutex_unlock(&c.area->lock);
    }
    change_end(&c);
}

static void advise(struct worker *me, enum rmap_advice advice)
{
    struct change c;
    if (!change_begin(me, &c, advice == RMAP_ADVISE_FREE ? "free" : "dontneed")) return;
    if (one_piece(&c, false)) {
        const rmap_vpn_t at = vpn_of(&c, c.area->book[c.first].place, c.first);
        bool locked = false;
        for (unsigned i = c.first; i < c.end; i++) locked |= c.area->book[i].locked;
        const int rc = rmap_space_advise(c.s->space, at, c.end - c.first, advice);
        if (rc != (locked ? RMAP_ERR_BUSY : 0)) fail(me->w, "advise: %s", rmap_error_name(rc));
        if (!rc)
            tlb_expect_flushed(c.s->tlb, at, c.end - c.first,
                               advice == RMAP_ADVISE_FREE ? RMAP_FLUSH_WRITE : RMAP_FLUSH_ALL, "advise");
        pthread_mutex_lock(&c.area->lock);
        for (unsigned i = c.first; !rc && i < c.end; i++) {
            struct book *b = &c.area->book[i];
            if (advice == RMAP_ADVISE_DONTNEED) {
                book_clear(b);
            } else {
                b->lazy = true;
                b->marked = false;
                b->serial++;
            }
        }
        pthread_mutex_unlock(&c.area->lock);
    }
    change_end(&c);
}

void op_dontneed(struct worker *me)
{
    advise(me, RMAP_ADVISE_DONTNEED);
}

void op_free(struct worker *me)
{
    advise(me, RMAP_ADVISE_FREE);
}

/* Whatever was written since the last snapshot of it must be named. What else is named cannot be said. */
void op_snapshot(struct worker *me)
{
    struct change c;
    if (!change_begin(me, &c, "snapshot")) return;
    const unsigned place = below(me, PLACES), count = c.end - c.first;
    const rmap_vpn_t at = vpn_of(&c, place, c.first);
    uint64_t seen = 0, written = 0;
    struct rmap_snapped out;
    if (chance(me, 1, 2)) MUST(me, rmap_space_written(c.s->space, at, count, &seen, NULL));
    MUST(me, rmap_space_snapshot(c.s->space, at, count, &written, &out));
    if (!out.pinned) tlb_expect_flushed(c.s->tlb, at, count, RMAP_FLUSH_WRITE, "snapshot");
    pthread_mutex_lock(&c.area->lock);
    for (unsigned i = c.first; i < c.end; i++) {
        struct book *b = &c.area->book[i];
        if (!b->mapped || b->place != place) continue;
        const bool was_seen = seen >> (i - c.first) & 1 && !b->lazy; /* else its contents may have gone in between */
        if ((b->marked || was_seen) && !(written >> (i - c.first) & 1))
            fail(me->w, "a snapshot does not name page %u, which was written", (unsigned)(at + i - c.first));
        b->marked = false;
    }
    pthread_mutex_unlock(&c.area->lock);
    change_end(&c);
}

/* Few, and not for long: what is locked does not go, and shared pages stay half unmapped because of it. */
void op_lock(struct worker *me)
{
    struct change c;
    if (!change_begin(me, &c, "lock")) return;
    if (c.end - c.first > 3) c.end = c.first + 3;
    if (one_piece(&c, false)) {
        const rmap_vpn_t at = vpn_of(&c, c.area->book[c.first].place, c.first);
        bool barred = false;
        for (unsigned i = c.first; i < c.end; i++) barred |= c.area->book[i].prot == RMAP_NONE;
        int rc = rmap_space_lock(c.s->space, at, c.end - c.first);
        if (barred != (rc == RMAP_ERR_ACCESS)) fail(me->w, "lock: %s", rmap_error_name(rc));
        if (!barred) ANSWER(me, rc, RMAP_ERR_NO_FRAME);
        pthread_mutex_lock(&c.area->lock);
        for (unsigned i = c.first; !rc && i < c.end; i++) c.area->book[i].locked = true;
        pthread_mutex_unlock(&c.area->lock);
    }
    change_end(&c);
}

void op_unlock(struct worker *me)
{
    struct change c;
    if (!change_begin(me, &c, "unlock")) return;
    c.first = 0;
    c.end = AREA_PAGES;
    if (one_piece(&c, false)) {
        MUST(me, rmap_space_unlock(c.s->space, vpn_of(&c, c.area->book[0].place, 0), c.end));
        pthread_mutex_lock(&c.area->lock);
        for (unsigned i = 0; i < c.end; i++) c.area->book[i].locked = false;
        pthread_mutex_unlock(&c.area->lock);
    }
    change_end(&c);
}

void op_policy(struct worker *me)
{
    struct slot *s = slot_get(me);
    if (!s) return;
    MUST(me, rmap_space_set_move_policy(s->space, chance(me, 1, 2) ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY));
    slot_put(s);
}
