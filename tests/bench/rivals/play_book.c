/* SPDX-License-Identifier: MIT */
/** @file bench/rivals/play_book.c  The book: things, cells, and whether all that can be seen agrees with them. See play.h. */
#include "bench/rivals/play.h"

#define FAR (4096 - sizeof(uint64_t))

/* Places: low, across a table, in the same table with a gap, across a higher table, far away. */
rmap_vpn_t play_vpn(unsigned place, unsigned page)
{
    static const rmap_vpn_t first[PLAY_PLACES] = {
        16, 512 - 9, 600, 1030, (UINT64_C(1) << 18) - 5, UINT64_C(3) << 27,
    };
    return first[place] + page;
}

uint32_t play_thing_new(struct play *p, struct rmap_page *page, uint64_t value)
{
    uint32_t t = p->free_thing;
    if (t)
        p->free_thing = p->thing[t].next_free;
    else
        t = ++p->top_thing;
    CHECK(t < PLAY_THINGS);
    play_check_new_page(p, page);
    p->thing[t] = (struct thing){.page = page, .value = value, .mapped = 1};
    return t;
}

void play_cell_clear(struct play *p, struct cell *c)
{
    struct thing *x = &p->thing[c->thing];
    if (!c->thing) return;
    if (c->on_swap)
        x->swapped--;
    else
        x->mapped--;
    if (!x->mapped && !x->swapped) {
        x->page = NULL;
        x->next_free = p->free_thing;
        p->free_thing = c->thing;
    }
    c->thing = 0;
    c->on_swap = false;
}

uint64_t play_value_in(struct play *p, const struct rmap_page *page)
{
    uint64_t near, far;
    const unsigned char *memory = p->system->contents(p->w, page);
    memcpy(&near, memory, sizeof near);
    memcpy(&far, memory + FAR, sizeof far);
    CHECK_EQ(near, far);
    return near;
}

void play_value_set(struct play *p, const struct rmap_page *page, uint64_t value)
{
    unsigned char *memory = p->system->contents(p->w, page);
    if (!p->contents) {
        CHECK(!memory);
        return;
    }
    memcpy(memory, &value, sizeof value);
    memcpy(memory + FAR, &value, sizeof value);
}

void play_check_new_page(struct play *p, const struct rmap_page *page)
{
    CHECK(page);
    for (uint32_t t = 1; t <= p->top_thing; t++) CHECK_NE(p->thing[t].page, page);
}

static bool is_writable(rmap_pte_t e)
{
    return rmap_pte_get(rmap_radix_x86_64.format, e, RMAP_ATTR_WRITE);
}

static void check_cell(struct play *p, struct actor *a, const struct cell *c, rmap_vpn_t vpn)
{
    const rmap_pte_t e = rmap_radix_peek(p->system->mmu(a->s), vpn);
    struct rmap_page *page = p->system->page(a->s, vpn);
    const struct thing *x = &p->thing[c->thing];
    if (!c->thing) {
        CHECK_EQ(e, 0);
        CHECK(!page);
    } else if (c->on_swap) {
        CHECK_EQ(rmap_pte_kind(rmap_radix_x86_64.format, e), RMAP_PTE_SWAP);
        CHECK(!page);
    } else {
        CHECK_EQ(page, x->page);
        if (is_writable(e)) CHECK_EQ(x->mapped + x->swapped, 1);
        if (p->contents) CHECK_EQ(play_value_in(p, page), x->value);
    }
}

void play_check(struct play *p)
{
    for (struct actor *a = p->actor; a < p->actor + PLAY_SPACES; a++) {
        if (!a->s) continue;
        for (unsigned i = 0; i < PLAY_PLACES; i++)
            for (unsigned k = 0; k < PLACE_PAGES; k++) check_cell(p, a, &a->cell[i][k], play_vpn(i, k));
    }
    for (uint32_t t = 1; t <= p->top_thing; t++)
        if (p->thing[t].page) CHECK_EQ(rmap_page_mapcount(p->thing[t].page), p->thing[t].mapped);
}

rmap_pte_t play_entry(struct play *p, struct actor *a, rmap_vpn_t vpn, uint64_t set, uint64_t clear)
{
    const struct rmap_mmu *m = p->system->mmu(a->s);
    struct rmap_mmu_run run;
    CHECK_OK(m->ops->run_find(m->ctx, vpn, vpn + 1, &run));
    const uint32_t i = (uint32_t)(vpn - run.first);
    const rmap_pte_t e = rmap_run_get(m, &run, i);
    if (set || clear) rmap_run_exchange(m, &run, i, (e | set) & ~clear);
    m->ops->run_unlock(m->ctx, &run);
    return e;
}
