/* SPDX-License-Identifier: MIT */
/**
 * @file stress/touch.c  Reads and writes of exact pages, by the library's read() and write() and by processors.
 *
 * A page is the library's to write or a processor's, by its number: the library copies bytes in its own way, and a
 * processor that stored to the same page meanwhile would be a race of the test's making. Who alone writes a page may read
 * it either way.
 */
#include "stress/world.h"

#include <stdlib.h>
#include <string.h>

struct touch {
    struct worker *me;
    struct slot *s;
    struct area *area;
    unsigned a, i;
    rmap_vpn_t vpn;
    unsigned lineage, group;
    struct book before;
    struct stamp stamp; /* to write, or read */
    unsigned spot;      /* a processor reads this one */
    bool torn;
};

static bool by_processor(const struct touch *t)
{
    return t->me->w->o.tlb && (t->a + t->i) % 2;
}

static bool is_mine(const struct worker *me, unsigned a, unsigned i)
{
    return (a * AREA_PAGES + i) % me->w->o.threads == me->number;
}

/* ---- failures ---- */

static void wrong(const struct touch *t, const struct book *after, const char *what) __attribute__((noreturn));
static void wrong(const struct touch *t, const struct book *after, const char *what)
{
    char before_text[160], after_text[160];
    fail(t->me->w,
         "s%u (group %u, lineage %u) page %u (area %u, %u): %s; group %u, lineage %u, place %u, version %llu\n"
         "  before: %s\n  after: %s",
         (unsigned)(t->s - t->me->w->slot), t->group, t->lineage, (unsigned)t->vpn, t->a, t->i, what, t->stamp.group,
         t->stamp.lineage, (unsigned)t->stamp.place, (unsigned long long)t->stamp.version,
         book_text(&t->before, before_text, sizeof before_text), book_text(after, after_text, sizeof after_text));
}

/* ---- one access ---- */

static void store(void *ctx, unsigned char *frame)
{
    const struct touch *t = ctx;
    stamp_store(frame, &t->stamp);
}

static void fetch(void *ctx, unsigned char *frame)
{
    struct touch *t = ctx;
    t->torn = !stamp_load(frame, t->spot, &t->stamp);
}

#define PATIENCE 100000

/* As a processor does: translate, or fault and try again. */
static int run(struct touch *t, unsigned access)
{
    int rc = 0;
    cpu_enter(t->s->tlb);
    for (unsigned tries = 0; !rc; tries++) {
        if (!cpu_access(t->s->tlb, t->vpn, access, access & RMAP_WRITE ? store : fetch, t)) break;
        if (tries == PATIENCE) fail(t->me->w, "page %u: a fault is resolved again and again", (unsigned)t->vpn);
        rc = rmap_space_fault(t->s->space, t->vpn, access);
    }
    cpu_leave(t->s->tlb);
    return rc;
}

static int read_by_library(struct touch *t)
{
    size_t done;
    int rc = rmap_space_read(t->s->space, t->vpn << PAGE_SHIFT, t->me->page, PAGE_BYTES, &done);
    if (rc) return rc;
    const char *error = stamp_parse(t->me->page, &t->stamp);
    if (error) wrong(t, &t->before, error);
    return 0;
}

static int write_by_library(struct touch *t)
{
    size_t done;
    stamp_fill(t->me->page, &t->stamp);
    return rmap_space_write(t->s->space, t->vpn << PAGE_SHIFT, t->me->page, PAGE_BYTES, &done);
}

/* What the layout says, or want of memory. @return true: it was done. */
static bool check_answer(const struct touch *t, int rc, unsigned access)
{
    const struct book *b = &t->before;
    const int must = !b->mapped ? RMAP_ERR_ABSENT : access & ~(unsigned)b->prot ? RMAP_ERR_ACCESS : 0;
    if (must && rc == must) return false;
    if (must)
        fail(t->me->w, "page %u: an access is answered by %s, must be %s", (unsigned)t->vpn, rmap_error_name(rc),
             rmap_error_name(must));
    ANSWER(t->me, rc, RMAP_ERR_NO_FRAME);
    return rc == 0;
}

/* ---- reading ---- */

static void check_read(struct touch *t)
{
    pthread_mutex_lock(&t->area->lock);
    struct book *b = &t->area->book[t->i];
    const struct book after = *b;
    const bool still = after.serial == t->before.serial;
    pthread_mutex_unlock(&t->area->lock);
    const bool quiet = still && !t->before.pending;
    if (t->torn && quiet) wrong(t, &after, "a torn stamp");
    if (t->torn) return; /* being written by a processor */
    if (t->stamp.group && t->stamp.group != t->group) wrong(t, &after, "another group's");
    if (t->stamp.group && t->stamp.place != t->a * AREA_PAGES + t->i) wrong(t, &after, "another page's");
    if (!book_allows_between(&t->before, &after, &t->stamp, t->lineage))
        wrong(t, &after, "a value that it cannot have");
    if (!quiet) return;
    pthread_mutex_lock(&t->area->lock);
    if (b->serial == t->before.serial) book_learn(b, &t->stamp);
    pthread_mutex_unlock(&t->area->lock);
}

static void begin(struct touch *t)
{
    pthread_mutex_lock(&t->area->lock);
    t->before = t->area->book[t->i];
    pthread_mutex_unlock(&t->area->lock);
    t->vpn = t->before.place * TABLE_PAGES + t->a * AREA_PAGES + t->i;
    t->spot = below(t->me, SPOTS);
    t->torn = false;
}

static void read_page(struct touch *t, bool mine)
{
    begin(t);
    const bool processor = mine && t->me->w->o.tlb ? chance(t->me, 1, 2) : by_processor(t);
    note(t->me, "read s%u page %u %s", (unsigned)(t->s - t->me->w->slot), (unsigned)t->vpn, processor ? "cpu" : "lib");
    int rc = processor ? run(t, RMAP_READ) : read_by_library(t);
    if (check_answer(t, rc, RMAP_READ)) check_read(t);
}

/* ---- writing ---- */

static void write_page(struct touch *t)
{
    struct book *b = &t->area->book[t->i];
    begin(t);
    pthread_mutex_lock(&t->area->lock);
    book_begin(b);
    t->stamp = (struct stamp){t->group, t->lineage, t->a * AREA_PAGES + t->i, b->top};
    pthread_mutex_unlock(&t->area->lock);
    note(t->me, "write s%u page %u version %u %s", (unsigned)(t->s - t->me->w->slot), (unsigned)t->vpn,
         (unsigned)t->stamp.version, by_processor(t) ? "cpu" : "lib");
    int rc = by_processor(t) ? run(t, RMAP_WRITE) : write_by_library(t);
    const bool done = check_answer(t, rc, RMAP_WRITE);
    pthread_mutex_lock(&t->area->lock);
    book_end(b, done, t->lineage);
    pthread_mutex_unlock(&t->area->lock);
}

/* ---- the operations ---- */

enum what { WRITE, READ, LOOK };

static void touch_area(struct worker *me, struct slot *s, unsigned a, enum what what)
{
    struct touch t = {.me = me, .s = s, .area = &s->area[a], .a = a};
    pthread_rwlock_rdlock(&t.area->layout);
    t.group = atomic_load(&s->group);
    t.lineage = atomic_load(&s->lineage);
    for (unsigned n = 1 + below(me, 4); n--;) {
        t.i = below(me, AREA_PAGES);
        while (what != LOOK && !is_mine(me, a, t.i)) t.i = (t.i + 1) % AREA_PAGES;
        if (what == WRITE)
            write_page(&t);
        else
            read_page(&t, what == READ);
    }
    pthread_rwlock_unlock(&t.area->layout);
}

static void touch(struct worker *me, enum what what)
{
    struct slot *s = slot_get(me);
    if (!s) return;
    if (me->w->o.tlb && chance(me, 1, 16)) cpu_set_resident(s->tlb, chance(me, 3, 4));
    if (me->w->o.tlb) cpu_enter(s->tlb);
    for (unsigned n = 1 + below(me, 4); n--;) touch_area(me, s, some_area(me), what);
    if (me->w->o.tlb) cpu_leave(s->tlb);
    slot_put(s);
}

void op_write(struct worker *me)
{
    touch(me, WRITE);
}

void op_read(struct worker *me)
{
    touch(me, READ);
}

void op_look(struct worker *me)
{
    touch(me, LOOK);
}

void touch_read(struct worker *me, struct slot *s, unsigned a, unsigned i)
{
    struct touch t = {.me = me, .s = s, .area = &s->area[a], .a = a, .i = i};
    t.group = atomic_load(&s->group);
    t.lineage = atomic_load(&s->lineage);
    read_page(&t, false);
}
