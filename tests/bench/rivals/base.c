/* SPDX-License-Identifier: MIT */
/** @file bench/rivals/base.c  Worlds and spaces of rivals, and what can be seen of them from outside. */
#include "bench/rivals/base.h"

#include <stdlib.h>
#include <string.h>

/* A world, with what its slots need of it. */
struct home {
    struct rival_world w;
    struct bench_pool pool;
    struct slots_pages pages;
};

static struct rmap_page *page_for_slot(void *ctx)
{
    return rival_page_new(ctx);
}

static void put_by_slot(void *ctx, struct rmap_page *page)
{
    rival_page_put(ctx, page);
}

static uint64_t bit_of(const struct rmap_pte_format *f, enum rmap_pte_attr a)
{
    MUST_HOLD(f->attr[a].mask && f->attr[a].mask == f->attr[a].on);
    return f->attr[a].mask;
}

static struct rival_bits bits_of(const struct rmap_pte_format *f, const struct bench_pool *pool)
{
    MUST_HOLD(f->present_mask == f->present_value);
    return (struct rival_bits){.present = f->present_value,
                               .fixed = f->fixed | (f->attr[RMAP_ATTR_EXEC].mask & ~f->attr[RMAP_ATTR_EXEC].on),
                               .write = bit_of(f, RMAP_ATTR_WRITE),
                               .accessed = bit_of(f, RMAP_ATTR_ACCESSED),
                               .dirty = bit_of(f, RMAP_ATTR_DIRTY),
                               .locked = bit_of(f, RMAP_ATTR_LOCKED),
                               .soft_dirty = bit_of(f, RMAP_ATTR_SOFT_DIRTY),
                               .frame = rmap_pte_payload_mask(f),
                               .kind = (uint64_t)7 << f->kind_shift,
                               .frame_shift = f->payload_shift,
                               .kind_shift = f->kind_shift,
                               .descriptors = (uintptr_t)pool->descriptors,
                               .stride = pool->stride,
                               .frames = pool->frames};
}

struct bench_world *rival_open(const struct rival_ops *ops, const struct bench_options *options)
{
    struct home *h = calloc(1, sizeof *h);
    MUST_HOLD(h && ops->walk && ops->bytes);
    struct rival_world *w = &h->w;
    pool_init(&h->pool, options, ops->page_extra);
    h->pages = (struct slots_pages){page_for_slot, put_by_slot, w};
    h->pool.slots.pages = &h->pages;
    *w = (struct rival_world){.ops = ops, .options = *options, .pool = &h->pool};
    w->bits = bits_of(rmap_radix_x86_64.format, w->pool);
    TAILQ_INIT(&w->spaces);
    if (ops->world_init) ops->world_init(w);
    return (struct bench_world *)w;
}

void rival_close(struct bench_world *bw)
{
    struct rival_world *w = rival_of(bw);
    MUST_HOLD(TAILQ_EMPTY(&w->spaces));
    if (w->ops->world_fini) w->ops->world_fini(w);
    pool_fini(w->pool);
    free(w); /* the home begins with it */
}

struct rival_space *rival_space_new(struct rival_world *w)
{
    struct rival_space *s = calloc(1, sizeof *s + w->ops->space_bytes);
    MUST_HOLD(s);
    *s = (struct rival_space){.w = w, .number = w->births++, .own = s + 1};
    pool_mmu_create(w->pool, &s->mmu);
    TAILQ_INSERT_TAIL(&w->spaces, s, link);
    w->living++;
    return s;
}

struct bench_space *rival_create(struct bench_world *bw)
{
    struct rival_space *s = rival_space_new(rival_of(bw));
    if (s->w->ops->space_init) s->w->ops->space_init(s, NULL);
    return (struct bench_space *)s;
}

void rival_exit(struct bench_space *bs)
{
    struct rival_space *s = rival_space_of(bs);
    struct rival_world *w = s->w;
    if (w->ops->exit) w->ops->exit(s);
    rival_zap(s, 0, s->mmu.pages);
    if (w->ops->space_fini) w->ops->space_fini(s);
    pool_mmu_destroy(w->pool, &s->mmu);
    TAILQ_REMOVE(&w->spaces, s, link);
    w->living--;
    free(s);
}

void rival_map(struct bench_space *bs, rmap_vpn_t first, uint64_t count)
{
    struct rival_space *s = rival_space_of(bs);
    if (s->w->ops->region_map) s->w->ops->region_map(s, first, count);
}

void rival_unmap(struct bench_space *bs, rmap_vpn_t first, uint64_t count)
{
    struct rival_space *s = rival_space_of(bs);
    rival_zap(s, first, count);
    if (s->w->ops->region_unmap) s->w->ops->region_unmap(s, first, count);
}

void rival_make(struct rival_space *s, rmap_vpn_t vpn, struct rmap_mmu_run *run)
{
    const struct rmap_mmu_ops *o = s->mmu.ops;
    if (!o->run_find(s->mmu.ctx, vpn, vpn + 1, run)) return;
    struct rmap_tables t;
    memset(&t, 0, sizeof t);
    MUST(o->reserve(s->mmu.ctx, vpn, &t));
    MUST(o->run_make(s->mmu.ctx, vpn, &t, run));
    o->unreserve(s->mmu.ctx, &t);
}

/* ---- memory for records ---- */

void *rival_alloc(struct rival_world *w, size_t bytes)
{
    const struct rmap_allocator *a = &w->pool->records.alloc;
    void *p = a->alloc(a->ctx, bytes, bytes == ARENA_BLOCK ? ARENA_BLOCK : ARENA_STEP);
    MUST_HOLD(p);
    return p;
}

void rival_free(struct rival_world *w, void *p, size_t bytes)
{
    const struct rmap_allocator *a = &w->pool->records.alloc;
    a->free(a->ctx, p, bytes, bytes == ARENA_BLOCK ? ARENA_BLOCK : ARENA_STEP);
}

/* ---- looks from outside ---- */

struct rmap_page *rival_page(struct bench_space *bs, rmap_vpn_t vpn)
{
    const struct rival_space *s = rival_space_of(bs);
    const struct rival_bits *b = &s->w->bits;
    const rmap_pte_t e = rmap_radix_peek(&s->mmu, vpn);
    return e && rival_counts(b, e) ? rival_entry_page(s->w, b, e) : NULL;
}

const struct rmap_mmu *rival_mmu(struct bench_space *s)
{
    return &rival_space_of(s)->mmu;
}

unsigned char *rival_contents(struct bench_world *w, const struct rmap_page *page)
{
    return pool_contents(rival_of(w)->pool, page);
}

void rival_bytes(struct bench_world *bw, struct bench_bytes *out)
{
    struct rival_world *w = rival_of(bw);
    *out = (struct bench_bytes){.pages = w->ops->page_extra * w->pool->frames,
                                .spaces = w->ops->space_bytes * w->living};
    w->ops->bytes(w, out);
}

uint64_t rival_frames_free(struct bench_world *w)
{
    return rival_of(w)->pool->free_count;
}
