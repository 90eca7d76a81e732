/* SPDX-License-Identifier: MIT */
/** @file scale/crowd.c  Frames, spaces and walks of a crowd. See the header. */
#include "scale/crowd.h"

#include <objrmap/radix.h>
#include <objrmap/verify.h>
#include <stdlib.h>

#define FIRST_PFN 5000 /* no frame number is a page number of a small space */

#define VERIFY_MOST 1100000 /* entries: more take long to look through */

/* ---- memory ---- */

static void *count_alloc(void *ctx, size_t size, size_t align)
{
    struct crowd *c = ctx;
    void *p = rmap_alloc_default()->alloc(NULL, size, align);
    if (p) c->live_bytes += size;
    return p;
}

static void count_free(void *ctx, void *p, size_t size, size_t align)
{
    struct crowd *c = ctx;
    c->live_bytes -= size;
    rmap_alloc_default()->free(NULL, p, size, align);
}

/* ---- frames ---- */

static int frame_alloc(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    struct crowd *c = ctx;
    (void)near;
    if (!c->free_count) return RMAP_ERR_NO_FRAME;
    *out = c->free_frames[--c->free_count];
    return 0;
}

static void frame_free(void *ctx, rmap_pfn_t pfn)
{
    struct crowd *c = ctx;
    c->free_frames[c->free_count++] = pfn;
}

static void frame_copy(void *ctx, rmap_pfn_t dst, rmap_pfn_t src)
{
    (void)ctx, (void)dst, (void)src;
}

static const struct rmap_frame_ops frame_ops = {
    .struct_size = sizeof frame_ops, .alloc = frame_alloc, .free = frame_free, .copy = frame_copy};

/* ---- the crowd ---- */

static struct rmap_mmu mmu_of(struct crowd *c, uint32_t s)
{
    c->space[s].table = (struct flat_table){.pages = c->pages, .slots = c->entries + s * c->pages};
    return flat_mmu(&c->space[s].table);
}

void crowd_open(struct crowd *c, uint32_t spaces, rmap_vpn_t pages, uint64_t frames)
{
    *c = (struct crowd){.spaces = spaces, .pages = pages, .frames = frames};
    c->alloc = (struct rmap_allocator){sizeof c->alloc, c, count_alloc, count_free};
    c->descriptors = calloc(frames, sizeof *c->descriptors);
    c->free_frames = calloc(frames, sizeof *c->free_frames);
    c->space = calloc(spaces, sizeof *c->space);
    c->entries = calloc(spaces * pages, sizeof *c->entries);
    MUST_HOLD(c->descriptors && c->free_frames && c->space && c->entries);
    for (uint64_t i = frames; i--;) c->free_frames[c->free_count++] = FIRST_PFN + i;
    slots_init(&c->slots, (uint32_t)frames);
    MUST(rmap_create(&(struct rmap_options){.struct_size = sizeof(struct rmap_options),
                                            .alloc = &c->alloc,
                                            .frames = &frame_ops,
                                            .frames_ctx = c,
                                            .swap = slots_ops(),
                                            .swap_ctx = &c->slots},
                     &c->r));
    c->slots.r = c->r;
    MUST(rmap_frames_add(
        c->r, &(struct rmap_frame_section){
                  .base = c->descriptors, .stride = sizeof *c->descriptors, .first = FIRST_PFN, .count = frames}));
    c->bytes_alone = c->live_bytes;
    struct rmap_mmu mmu = mmu_of(c, 0);
    MUST(rmap_member_init(c->r, &c->space[0].m, &mmu));
}

void crowd_close(struct crowd *c)
{
    if (c->spaces * c->pages <= VERIFY_MOST) MUST(rmap_verify(c->r, NULL));
    for (uint32_t s = c->spaces; s--;) /* the youngest first: the tree stays small work */
        if (c->space[s].m.node) crowd_exit(c, s);
    MUST_HOLD(c->free_count == c->frames);
    slots_fini(&c->slots);
    MUST(rmap_destroy(c->r));
    MUST_HOLD(c->live_bytes == 0);
    free(c->descriptors);
    free(c->free_frames);
    free(c->space);
    free(c->entries);
}

void crowd_fork(struct crowd *c, uint32_t parent, uint32_t child)
{
    struct rmap_mmu mmu = mmu_of(c, child);
    struct rmap_fork f;
    MUST(rmap_fork_begin(&c->space[parent].m, &c->space[child].m, &mmu, &f));
    MUST(rmap_fork_copy(&f, 0, c->pages, RMAP_FORK_COW));
    rmap_fork_commit(&f);
}

void crowd_exit(struct crowd *c, uint32_t s)
{
    crowd_zap(c, s, 0, c->pages);
    MUST(rmap_member_leave(&c->space[s].m));
}

void crowd_zap(struct crowd *c, uint32_t s, rmap_vpn_t first, uint64_t count)
{
    if (count) MUST(rmap_zap(&c->space[s].m, first, count, NULL));
}

struct rmap_moved crowd_move(struct crowd *c, uint32_t s, rmap_vpn_t from, rmap_vpn_t to, uint64_t count)
{
    struct rmap_moved moved;
    MUST(rmap_move(&c->space[s].m, from, to, count, &moved));
    return moved;
}

/* ---- accesses ---- */

static RMAP_ATOMIC(rmap_pte_t) * entry_of(struct crowd *c, uint32_t s, rmap_vpn_t vpn)
{
    return &c->space[s].table.slots[vpn];
}

struct rmap_page *crowd_page(struct crowd *c, uint32_t s, rmap_vpn_t vpn)
{
    const struct rmap_pte_format *f = rmap_radix_soft.format;
    const rmap_pte_t e = *entry_of(c, s, vpn);
    return rmap_pte_maps(f, e) ? rmap_page_find(c->r, rmap_pte_pfn(f, e)) : NULL;
}

static bool write_in_place(struct crowd *c, uint32_t s, rmap_vpn_t vpn)
{
    struct rmap_page *page = crowd_page(c, s, vpn);
    if (!page || rmap_page_mapcount(page) != 1) return false;
    rmap_page_get(page);
    rmap_page_lock(page);
    const bool own = rmap_page_reuse(&c->space[s].m, page, vpn);
    if (own) *entry_of(c, s, vpn) = rmap_pte_set(rmap_radix_soft.format, *entry_of(c, s, vpn), RMAP_ATTR_WRITE, true);
    rmap_page_unlock(c->r, page);
    rmap_page_put(c->r, page);
    return own;
}

struct rmap_page *crowd_write(struct crowd *c, uint32_t s, rmap_vpn_t vpn)
{
    struct rmap_page *page;
    crowd_read(c, s, vpn);
    if (write_in_place(c, s, vpn)) return crowd_page(c, s, vpn);
    crowd_zap(c, s, vpn, 1);
    MUST(rmap_page_alloc(c->r, RMAP_PFN_NONE, &page));
    MUST(rmap_page_map_new(&c->space[s].m, page, vpn));
    *entry_of(c, s, vpn) = rmap_pte_make(rmap_radix_soft.format, rmap_page_pfn(c->r, page), 1u << RMAP_ATTR_WRITE);
    rmap_page_put(c->r, page);
    return page;
}

void crowd_read(struct crowd *c, uint32_t s, rmap_vpn_t vpn)
{
    const struct rmap_pte_format *f = rmap_radix_soft.format;
    RMAP_ATOMIC(rmap_pte_t) *e = entry_of(c, s, vpn);
    if (rmap_pte_kind(f, *e) != RMAP_PTE_SWAP) return;
    const rmap_swp_t entry = rmap_pte_swp(f, *e);
    struct rmap_page *page = slots_load(&c->slots, entry);
    struct rmap_gather g;
    rmap_gather_init(&g, c->r);
    MUST(rmap_page_map_swapin(&c->space[s].m, page, entry));
    rmap_gather_swap(&g, &c->space[s].m, vpn, entry);
    *e = rmap_pte_make(f, rmap_page_pfn(c->r, page), 0);
    rmap_page_unlock(c->r, page);
    rmap_gather_finish(&g);
    rmap_page_put(c->r, page);
}

/* ---- walks ---- */

static uint32_t count(struct tally *t, const struct rmap_result *res)
{
    MUST_HOLD(res->outcome == RMAP_DONE);
    t->walks++;
    t->hits += res->hits;
    t->visits += res->visits;
    t->nodes += res->nodes;
    if (res->visits > t->most) t->most = res->visits;
    return res->hits;
}

uint32_t crowd_look(struct crowd *c, struct rmap_page *page, struct tally *t)
{
    struct rmap_result res;
    rmap_page_get(page);
    rmap_page_lock(page);
    MUST(rmap_referenced(c->r, &page, 1, 0, &res));
    rmap_page_unlock(c->r, page);
    rmap_page_put(c->r, page);
    return count(t, &res);
}

uint32_t crowd_unmap(struct crowd *c, struct rmap_page *page, struct tally *t)
{
    struct rmap_result res;
    rmap_page_get(page);
    rmap_page_lock(page);
    slots_cache(&c->slots, page);
    MUST(rmap_unmap(c->r, &page, 1, 0, &res));
    slots_uncache(&c->slots, page);
    rmap_page_unlock(c->r, page);
    rmap_page_put(c->r, page);
    return count(t, &res);
}

/* ---- books ---- */

struct rmap_stats crowd_stats(struct crowd *c)
{
    struct rmap_stats stats;
    MUST(rmap_stats_get(c->r, &stats));
    return stats;
}

double crowd_bytes_per_space(struct crowd *c)
{
    const struct rmap_stats stats = crowd_stats(c);
    return (double)(c->live_bytes - c->bytes_alone - stats.track_bytes) / (double)stats.members;
}
