/* SPDX-License-Identifier: MIT */
/**
 * @file stress/pins.c  Pins: a page of mine keeps its frame, and what I write to the page is in that frame, whatever
 * reclaim, migration and forks do meanwhile, until the layout of its area changes.
 */
#include "stress/world.h"

static struct book book_of(struct slot *s, const struct pin *p)
{
    struct area *area = &s->area[p->area];
    pthread_mutex_lock(&area->lock);
    const struct book b = area->book[p->index];
    pthread_mutex_unlock(&area->lock);
    return b;
}

/* The layout is held still. I alone write the page, so its frame is still, too. */
static void check(struct worker *me, const struct pin *p, const char *when)
{
    const struct book b = book_of(p->slot, p);
    struct stamp stamp;
    const char *error = stamp_parse(rmap_page_address(me->w->r, p->page), &stamp);
    const rmap_pfn_t pfn = rmap_page_pfn(me->w->r, p->page);
    char text[160];
    if (error) fail(me->w, "a pinned frame %s: %s", when, error);
    if (stamp.group && stamp.group != atomic_load(&p->slot->group))
        fail(me->w, "a pinned frame %s holds another group's page", when);
    if (!book_allows(&b, &stamp, p->lineage))
        fail(me->w, "s%u area %u page %u: its pinned frame %u %s holds version %llu of lineage %u; book: %s",
             (unsigned)(p->slot - me->w->slot), p->area, p->index, (unsigned)pfn, when,
             (unsigned long long)stamp.version, stamp.lineage, book_text(&b, text, sizeof text));
}

void op_pin(struct worker *me)
{
    struct pin *p = me->pin;
    while (p < me->pin + PINS && p->page) p++;
    if (p == me->pin + PINS) return;
    struct slot *s = slot_get(me);
    if (!s) return;
    p->slot = s;
    p->area = some_area(me);
    p->index = below(me, AREA_PAGES);
    while ((p->area * AREA_PAGES + p->index) % me->w->o.threads != me->number) p->index = (p->index + 1) % AREA_PAGES;
    pthread_rwlock_rdlock(&me->w->pinning);
    pthread_rwlock_rdlock(&s->area[p->area].layout);
    const struct book b = book_of(s, p);
    const rmap_vpn_t vpn = b.place * TABLE_PAGES + p->area * AREA_PAGES + p->index;
    if (b.mapped && b.prot & RMAP_WRITE) {
        note(me, "pin s%u page %u", (unsigned)(s - me->w->slot), (unsigned)vpn);
        if (ANSWER(me, rmap_space_pin(s->space, vpn, &p->page), RMAP_ERR_NO_FRAME, RMAP_ERR_BUSY)) {
            p->page = NULL;
        } else {
            pthread_mutex_lock(&s->area[p->area].lock);
            p->changes = s->area[p->area].changes;
            pthread_mutex_unlock(&s->area[p->area].lock);
            p->lineage = atomic_load(&s->lineage);
            check(me, p, "at once");
        }
    }
    pthread_rwlock_unlock(&s->area[p->area].layout);
    pthread_rwlock_unlock(&me->w->pinning);
    slot_put(s);
}

/* Is the pinned page still where it was? The slot may hold another space by now. */
static void check_later(struct worker *me, const struct pin *p)
{
    struct slot *s = p->slot;
    pthread_mutex_lock(&me->w->slots);
    const bool held = s->state == SLOT_LIVE && !pthread_rwlock_tryrdlock(&s->life);
    pthread_mutex_unlock(&me->w->slots);
    if (!held) return;
    struct area *area = &s->area[p->area];
    pthread_rwlock_rdlock(&area->layout);
    pthread_mutex_lock(&area->lock);
    const bool same = area->changes == p->changes && atomic_load(&s->lineage) == p->lineage;
    pthread_mutex_unlock(&area->lock);
    if (same) check(me, p, "later");
    pthread_rwlock_unlock(&area->layout);
    slot_put(s);
}

void op_unpin(struct worker *me)
{
    struct pin *p = &me->pin[below(me, PINS)];
    if (!p->page) return;
    note(me, "unpin");
    check_later(me, p);
    rmap_page_unpin(me->w->r, p->page);
    p->page = NULL;
}

void pins_drop(struct worker *me)
{
    for (unsigned i = 0; i < PINS; i++)
        if (me->pin[i].page) rmap_page_unpin(me->w->r, me->pin[i].page);
}
