/* SPDX-License-Identifier: MIT */
/** @file support/world_verbs.c  The page verbs on one page, with the lock, the reference and the swap slot that they need. */
#include "support/world.h"

static void hold(struct rmap_page *page)
{
    rmap_page_get(page);
    rmap_page_lock(page);
}

static void release(struct world *w, struct rmap_page *page)
{
    rmap_page_unlock(w->r, page);
    rmap_page_put(w->r, page);
}

static struct rmap_result age(struct world *w, struct rmap_page *page, unsigned flags)
{
    struct rmap_result res;
    hold(page);
    CHECK_OK(rmap_referenced(w->r, &page, 1, flags, &res));
    release(w, page);
    return res;
}

struct rmap_result world_referenced(struct world *w, struct rmap_page *page)
{
    return age(w, page, 0);
}

struct rmap_result world_look(struct world *w, struct rmap_page *page)
{
    return age(w, page, RMAP_KEEP_ACCESSED);
}

struct rmap_result world_protect(struct world *w, struct rmap_page *page)
{
    struct rmap_result res;
    hold(page);
    CHECK_OK(rmap_write_protect(w->r, &page, 1, 0, &res));
    release(w, page);
    return res;
}

/* Page held. A slot that the walk left without entries is given back, if the page is still mapped: it may be written to. */
static struct rmap_result unmap_held(struct world *w, struct rmap_page *page, unsigned flags)
{
    struct rmap_result res;
    int err = rmap_swap_cache_add(w->swap, page);
    if (err != RMAP_ERR_EXISTS) CHECK_OK(err);
    CHECK_OK(rmap_unmap(w->r, &page, 1, flags, &res));
    if (res.outcome != RMAP_DONE && rmap_swap_get_ops()->count(w->swap, page->swap) == 0)
        CHECK_OK(rmap_swap_cache_del(w->swap, page));
    return res;
}

struct rmap_result world_unmap(struct world *w, struct rmap_page *page, unsigned flags)
{
    hold(page);
    struct rmap_result res = unmap_held(w, page, flags);
    release(w, page);
    return res;
}

bool world_swap_out(struct world *w, struct rmap_page *page)
{
    int written = RMAP_ERR_IO_WRITE;
    hold(page);
    bool done = unmap_held(w, page, 0).outcome == RMAP_DONE;
    if (done && (rmap_page_flags(page) & RMAP_PAGE_DIRTY)) {
        CHECK_OK(rmap_swap_write(w->swap, &page, 1, &written));
        done = written == 0;
    }
    if (done) CHECK_OK(rmap_swap_cache_del(w->swap, page));
    release(w, page);
    return done;
}

struct rmap_result world_migrate(struct world *w, struct rmap_page *page, struct rmap_page **now)
{
    struct rmap_page *target = world_new_page(w);
    struct rmap_result res;
    hold(page);
    CHECK(rmap_page_try_lock(target));
    CHECK_OK(rmap_migrate(w->r, &page, &target, 1, 0, &res));
    release(w, page);
    *now = res.outcome == RMAP_DONE ? target : page;
    rmap_page_unlock(w->r, target);
    rmap_page_put(w->r, target);
    return res;
}

static int note_mapper(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    const struct world_space *s = m->user;
    uint64_t *mappers = ctx;
    (void)vpn, (void)entry;
    *mappers |= (uint64_t)1 << (s->number & 63);
    return 0;
}

struct rmap_result world_each(struct world *w, struct rmap_page *page, uint64_t *mappers)
{
    struct rmap_result res;
    *mappers = 0;
    hold(page);
    CHECK_OK(rmap_each_mapping(w->r, &page, 1, 0, note_mapper, mappers, &res));
    release(w, page);
    return res;
}

uint64_t world_mappers(struct world *w, struct rmap_page *page)
{
    uint64_t mappers;
    CHECK_EQ(world_each(w, page, &mappers).outcome, RMAP_DONE);
    return mappers;
}
