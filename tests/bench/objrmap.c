/* SPDX-License-Identifier: MIT */
/**
 * @file bench/objrmap.c  The library as one of the measured systems: its public calls, used as an embedder would use them.
 *
 * There is one thread, so a page that is mapped or cached stays while we look at it, and its mappings' or its slot's reference
 * is the caller's that page locks and verbs want. Copy on write: the gather lowers the count, which is after the page was
 * unlocked. Migration alone needs one of its own: nothing maps the old page when the library unlocks it.
 */
#include "bench/pool.h"
#include "scale/must.h"

#include <objrmap/migrate.h>
#include <objrmap/move.h>
#include <objrmap/rmap.h>
#include <objrmap/stats.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 512 /* pages of one verb call */
#define ATTR(a) (1u << RMAP_ATTR_##a)

struct world {
    struct rmap *r;
    struct bench_pool pool;
    bool track;
    uint64_t spaces;
    uint64_t bytes_alone; /* of the library's allocations, before the first space came */
};

struct space {
    struct rmap_member m;
    struct world *w;
};

static struct world *world_of(struct bench_world *w)
{
    return (struct world *)w;
}
static struct space *space_of(struct bench_space *s)
{
    return (struct space *)s;
}

/* ---- frames ---- */

static int frame_alloc(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    (void)near;
    *out = pool_take(ctx);
    return 0;
}

static void frame_free(void *ctx, rmap_pfn_t pfn)
{
    pool_give(ctx, pfn);
}

static void *frame_address(void *ctx, rmap_pfn_t pfn)
{
    struct bench_pool *p = ctx;
    return p->contents ? p->contents + (pfn - POOL_FIRST_PFN) * POOL_PAGE : NULL;
}

static void frame_copy(void *ctx, rmap_pfn_t dst, rmap_pfn_t src)
{
    struct bench_pool *p = ctx;
    if (p->contents) memcpy(frame_address(p, dst), frame_address(p, src), POOL_PAGE);
}

static void frame_clear(void *ctx, rmap_pfn_t pfn)
{
    struct bench_pool *p = ctx;
    if (p->contents) memset(frame_address(p, pfn), 0, POOL_PAGE);
}

static const struct rmap_frame_ops frame_ops = {.struct_size = sizeof frame_ops,
                                                .alloc = frame_alloc,
                                                .free = frame_free,
                                                .copy = frame_copy,
                                                .clear = frame_clear,
                                                .address = frame_address};

/* ---- world and spaces ---- */

static struct bench_world *w_open(const struct bench_options *options)
{
    struct world *w = calloc(1, sizeof *w);
    MUST_HOLD(w);
    pool_init(&w->pool, options, 0);
    w->track = options->track;
    MUST(rmap_create(&(struct rmap_options){.struct_size = sizeof(struct rmap_options),
                                            .alloc = &w->pool.records.alloc,
                                            .frames = &frame_ops,
                                            .frames_ctx = &w->pool,
                                            .swap = slots_ops(),
                                            .swap_ctx = &w->pool.slots},
                     &w->r));
    w->pool.slots.r = w->r;
    MUST(rmap_frames_add(w->r, &(struct rmap_frame_section){.base = (struct rmap_page *)w->pool.descriptors,
                                                            .stride = w->pool.stride,
                                                            .first = POOL_FIRST_PFN,
                                                            .count = w->pool.frames}));
    w->bytes_alone = w->pool.records.bytes;
    return (struct bench_world *)w;
}

static void w_close(struct bench_world *bw)
{
    struct world *w = world_of(bw);
    MUST(rmap_destroy(w->r));
    pool_fini(&w->pool);
    free(w);
}

static struct space *space_new(struct world *w, struct rmap_mmu *mmu)
{
    struct space *s = calloc(1, sizeof *s);
    MUST_HOLD(s);
    s->w = w;
    w->spaces++;
    pool_mmu_create(&w->pool, mmu);
    return s;
}

static struct bench_space *w_create(struct bench_world *bw)
{
    struct world *w = world_of(bw);
    struct rmap_mmu mmu;
    struct space *s = space_new(w, &mmu);
    MUST(rmap_member_init(w->r, &s->m, &mmu));
    MUST(rmap_member_set_policy(&s->m, w->track ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY));
    return (struct bench_space *)s;
}

static struct bench_space *s_fork(struct bench_space *bparent)
{
    struct space *parent = space_of(bparent);
    struct rmap_mmu mmu;
    struct space *child = space_new(parent->w, &mmu);
    struct rmap_fork f;
    MUST(rmap_fork_begin(&parent->m, &child->m, &mmu, &f));
    MUST(rmap_fork_copy(&f, 0, mmu.pages, RMAP_FORK_COW));
    rmap_fork_commit(&f);
    return (struct bench_space *)child;
}

static void s_exit(struct bench_space *bs)
{
    struct space *s = space_of(bs);
    struct rmap_mmu mmu = s->m.mmu;
    MUST(rmap_zap(&s->m, 0, mmu.pages, NULL));
    MUST(rmap_member_leave(&s->m));
    pool_mmu_destroy(&s->w->pool, &mmu);
    s->w->spaces--;
    free(s);
}

/* Regions are the embedder's: the library keeps nothing of them. */
static void s_map(struct bench_space *bs, rmap_vpn_t first, uint64_t count)
{
    (void)bs, (void)first, (void)count;
}

static void s_unmap(struct bench_space *bs, rmap_vpn_t first, uint64_t count)
{
    MUST(rmap_zap(&space_of(bs)->m, first, count, NULL));
}

static void s_move(struct bench_space *bs, rmap_vpn_t from, rmap_vpn_t to, uint64_t count)
{
    MUST(rmap_move(&space_of(bs)->m, from, to, count, NULL));
}

/* ---- faults ---- */

/* The entry of vpn; its run locked if a table is there. */
static bool look(struct space *s, rmap_vpn_t vpn, struct rmap_mmu_run *run, rmap_pte_t *e)
{
    *e = 0;
    if (s->m.mmu.ops->run_find(s->m.mmu.ctx, vpn, vpn + 1, run)) return false;
    *e = rmap_run_get(&s->m.mmu, run, (uint32_t)(vpn - run->first));
    return true;
}

static void leave(struct space *s, struct rmap_mmu_run *run)
{
    s->m.mmu.ops->run_unlock(s->m.mmu.ctx, run);
}

static void look_or_make(struct space *s, rmap_vpn_t vpn, bool table, struct rmap_mmu_run *run)
{
    const struct rmap_mmu_ops *o = s->m.mmu.ops;
    struct rmap_tables t;
    if (table) {
        MUST(o->run_find(s->m.mmu.ctx, vpn, vpn + 1, run));
        return;
    }
    memset(&t, 0, sizeof t);
    MUST(o->reserve(s->m.mmu.ctx, vpn, &t));
    MUST(o->run_make(s->m.mmu.ctx, vpn, &t, run));
    o->unreserve(s->m.mmu.ctx, &t);
}

/* A new page that the space alone maps: cleared, or a copy of `from`. The caller has a reference. */
static struct rmap_page *new_page(struct world *w, const struct rmap_page *from)
{
    struct rmap_page *page;
    MUST(rmap_page_alloc(w->r, RMAP_PFN_NONE, &page));
    if (!w->pool.contents) return page;
    if (from)
        frame_copy(&w->pool, pool_pfn(&w->pool, page), pool_pfn(&w->pool, from));
    else
        frame_clear(&w->pool, pool_pfn(&w->pool, page));
    return page;
}

static void install(struct space *s, const struct rmap_mmu_run *run, rmap_vpn_t vpn, struct rmap_page *page)
{
    const struct rmap_pte_format *f = s->m.mmu.ops->format;
    MUST(rmap_page_map_new(&s->m, page, vpn));
    rmap_run_set(&s->m.mmu, run, (uint32_t)(vpn - run->first),
                 rmap_pte_make(f, pool_pfn(&s->w->pool, page), ATTR(WRITE)));
}

static void first_touch(struct space *s, rmap_vpn_t vpn, bool table)
{
    struct rmap_page *page = new_page(s->w, NULL);
    struct rmap_mmu_run run;
    look_or_make(s, vpn, table, &run);
    install(s, &run, vpn, page);
    leave(s, &run);
    rmap_page_put(s->w->r, page);
}

/* The entry of vpn, which maps `page`, is replaced by one of a private copy. Page locked; the gather has its count. */
static void copy_on_write(struct space *s, rmap_vpn_t vpn, struct rmap_page *page, struct rmap_gather *g)
{
    struct rmap_page *copy = new_page(s->w, page);
    struct rmap_mmu_run run;
    rmap_pte_t e;
    MUST_HOLD(look(s, vpn, &run, &e));
    e = rmap_run_exchange(&s->m.mmu, &run, (uint32_t)(vpn - run.first), 0);
    if (rmap_pte_get(s->m.mmu.ops->format, e, RMAP_ATTR_DIRTY)) rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
    rmap_gather_flush(g, &s->m, vpn, e, RMAP_FLUSH_ALL);
    rmap_gather_flush_now(g);
    rmap_page_unmap(g, &s->m, page);
    install(s, &run, vpn, copy);
    leave(s, &run);
    rmap_page_put(s->w->r, copy);
}

static bool reuse(struct space *s, rmap_vpn_t vpn, struct rmap_page *page)
{
    struct rmap_mmu_run run;
    rmap_pte_t e;
    if (rmap_page_mapcount(page) != 1) return false;
    MUST_HOLD(look(s, vpn, &run, &e));
    const bool own = rmap_page_reuse(&s->m, page, vpn);
    if (own) {
        const rmap_pte_t writable = rmap_pte_set(s->m.mmu.ops->format, e, RMAP_ATTR_WRITE, true);
        rmap_run_exchange(&s->m.mmu, &run, (uint32_t)(vpn - run.first), writable);
    }
    leave(s, &run);
    return own;
}

static void s_read(struct bench_space *bs, rmap_vpn_t vpn);

static void s_write(struct bench_space *bs, rmap_vpn_t vpn)
{
    struct space *s = space_of(bs);
    const struct rmap_pte_format *f = s->m.mmu.ops->format;
    struct rmap_mmu_run run;
    rmap_pte_t e;
    const bool table = look(s, vpn, &run, &e);
    if (table) leave(s, &run);
    if (!e) {
        first_touch(s, vpn, table);
        return;
    }
    if (rmap_pte_kind(f, e) == RMAP_PTE_SWAP) {
        s_read(bs, vpn);
        MUST_HOLD(look(s, vpn, &run, &e));
        leave(s, &run);
    }
    if (rmap_pte_get(f, e, RMAP_ATTR_WRITE)) return;
    struct rmap_page *page = pool_page(&s->w->pool, rmap_pte_pfn(f, e));
    struct rmap_gather g;
    rmap_gather_init(&g, s->w->r);
    rmap_page_lock(page);
    if (!reuse(s, vpn, page)) copy_on_write(s, vpn, page, &g);
    rmap_page_unlock(s->w->r, page);
    rmap_gather_finish(&g);
}

static void s_read(struct bench_space *bs, rmap_vpn_t vpn)
{
    struct space *s = space_of(bs);
    struct rmap *r = s->w->r;
    const struct rmap_pte_format *f = s->m.mmu.ops->format;
    struct rmap_mmu_run run;
    rmap_pte_t e;
    if (!look(s, vpn, &run, &e)) return;
    leave(s, &run);
    if (rmap_pte_kind(f, e) != RMAP_PTE_SWAP) return;
    const rmap_swp_t entry = rmap_pte_swp(f, e);
    struct rmap_slot_home home;
    MUST(slots_ops()->get_home(&s->w->pool.slots, entry, &home));
    struct rmap_page *page = slots_load(&s->w->pool.slots, entry);
    struct rmap_gather g;
    rmap_gather_init(&g, r);
    if (!rmap_member_may_map(&s->m, home.index, vpn)) { /* it was moved without a record: its copy is due now */
        struct rmap_page *copy = new_page(s->w, page);
        look_or_make(s, vpn, true, &run);
        install(s, &run, vpn, copy);
        rmap_gather_swap(&g, &s->m, vpn, entry);
        rmap_page_put(r, copy);
    } else {
        look_or_make(s, vpn, true, &run);
        MUST(rmap_page_map_swapin(&s->m, page, entry));
        rmap_gather_swap(&g, &s->m, vpn, entry);
        rmap_run_set(&s->m.mmu, &run, (uint32_t)(vpn - run.first),
                     rmap_pte_make(f, pool_pfn(&s->w->pool, page), 0));
    }
    leave(s, &run);
    rmap_page_unlock(r, page);
    rmap_gather_finish(&g);
    rmap_page_put(r, page);
}

/* ---- verbs ---- */

static void unmap_pages(struct world *w, struct rmap_page *const *pages, size_t n, struct rmap_result *results)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            MUST_HOLD(rmap_page_try_lock(pages[i]));
        else
            rmap_page_lock(pages[i]);
        slots_cache(&w->pool.slots, pages[i]); /* its reference keeps the page from here on */
    }
    MUST(rmap_unmap(w->r, pages, n, 0, results));
    for (size_t i = 0; i < n; i++) rmap_page_unlock(w->r, pages[i]);
}

static void migrate_pages(struct world *w, struct rmap_page *const *pages, size_t n, struct rmap_result *results)
{
    struct rmap_page *target[BATCH];
    for (size_t i = 0; i < n; i++) {
        rmap_page_get(pages[i]);
        MUST(rmap_page_alloc(w->r, RMAP_PFN_NONE, &target[i]));
    }
    MUST(rmap_migrate(w->r, pages, target, n, RMAP_LOCK_PAGES, results));
    for (size_t i = 0; i < n; i++) {
        rmap_page_put(w->r, pages[i]);
        rmap_page_put(w->r, target[i]);
    }
}

static void w_verb(struct bench_world *bw, enum bench_verb verb, struct rmap_page *const *pages, size_t n,
                   struct bench_tally *tally)
{
    struct world *w = world_of(bw);
    struct rmap_result results[BATCH];
    for (size_t done = 0, part; done < n; done += part, pages += part) {
        part = n - done < BATCH ? n - done : BATCH;
        switch (verb) {
        case BENCH_LOOK:
            MUST(rmap_referenced(w->r, pages, part, RMAP_KEEP_ACCESSED | RMAP_LOCK_PAGES, results));
            break;
        case BENCH_AGE:
            MUST(rmap_referenced(w->r, pages, part, RMAP_LOCK_PAGES, results));
            break;
        case BENCH_PROTECT:
            MUST(rmap_write_protect(w->r, pages, part, RMAP_LOCK_PAGES, results));
            break;
        case BENCH_UNMAP:
            unmap_pages(w, pages, part, results);
            break;
        case BENCH_MIGRATE:
            migrate_pages(w, pages, part, results);
            break;
        }
        for (size_t i = 0; i < part; i++) {
            MUST_HOLD(results[i].outcome == RMAP_DONE);
            tally->hits += results[i].hits;
            tally->visits += results[i].visits;
        }
    }
}

static void w_evict(struct bench_world *bw, struct rmap_page *const *pages, size_t n)
{
    struct world *w = world_of(bw);
    for (size_t i = 0; i < n; i++) {
        MUST_HOLD(!rmap_page_mapcount(pages[i]));
        rmap_page_get(pages[i]);
        rmap_page_lock(pages[i]);
        slots_uncache(&w->pool.slots, pages[i]);
        rmap_page_unlock(w->r, pages[i]);
        rmap_page_put(w->r, pages[i]);
    }
}

/* ---- looks from outside ---- */

static struct rmap_page *s_page(struct bench_space *bs, rmap_vpn_t vpn)
{
    struct space *s = space_of(bs);
    const struct rmap_pte_format *f = s->m.mmu.ops->format;
    const rmap_pte_t e = rmap_radix_peek(&s->m.mmu, vpn);
    return rmap_pte_maps(f, e) ? pool_page(&s->w->pool, rmap_pte_pfn(f, e)) : NULL;
}

static const struct rmap_mmu *s_mmu(struct bench_space *bs)
{
    return &space_of(bs)->m.mmu;
}

static unsigned char *w_contents(struct bench_world *bw, const struct rmap_page *page)
{
    return pool_contents(&world_of(bw)->pool, page);
}

static void w_bytes(struct bench_world *bw, struct bench_bytes *out)
{
    struct world *w = world_of(bw);
    struct rmap_stats stats;
    MUST(rmap_stats_get(w->r, &stats));
    *out = (struct bench_bytes){
        .regions = stats.track_bytes, /* a record is of a moved range */
        .spaces = w->pool.records.bytes - w->bytes_alone - stats.track_bytes + w->spaces * sizeof(struct rmap_member)};
}

static uint64_t w_frames_free(struct bench_world *bw)
{
    return world_of(bw)->pool.free_count;
}

const struct bench_system bench_objrmap = {.name = "objrmap",
                                           .open = w_open,
                                           .close = w_close,
                                           .create = w_create,
                                           .fork = s_fork,
                                           .exit = s_exit,
                                           .map = s_map,
                                           .unmap = s_unmap,
                                           .write = s_write,
                                           .read = s_read,
                                           .move = s_move,
                                           .verb = w_verb,
                                           .evict = w_evict,
                                           .page = s_page,
                                           .mmu = s_mmu,
                                           .contents = w_contents,
                                           .bytes = w_bytes,
                                           .frames_free = w_frames_free};
