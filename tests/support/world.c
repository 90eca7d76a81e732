/* SPDX-License-Identifier: MIT */
/** @file support/world.c  Making, forking, ending and checking the world's spaces. See the header. */
#include "support/world.h"

#include <stdlib.h>

/* ---- frames ---- */

static int frame_alloc(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    struct world *w = ctx;
    (void)near;
    if (w->runs) world_broken(w, "a frame is allocated while a run is held");
    if (w->on_frame) w->on_frame(w);
    if (++w->frame_calls == w->frame_fail_at || !w->free_count) return RMAP_ERR_NO_FRAME;
    *out = w->free_frames[--w->free_count];
    w->frame[*out - WORLD_PFN].used = true;
    w->frames_used++;
    return 0;
}

static void frame_free(void *ctx, rmap_pfn_t pfn)
{
    struct world *w = ctx;
    struct world_frame *f = &w->frame[pfn - WORLD_PFN];
    if (w->runs) world_broken(w, "a frame is freed while a run is held");
    if (!f->used) world_broken(w, "frame %#llx freed twice", (unsigned long long)pfn);
    if (f->cached) world_broken(w, "INV-6: frame %#llx freed, %u translations to it are cached", (unsigned long long)pfn, f->cached);
    f->used = false;
    w->frames_used--;
    w->free_frames[w->free_count++] = pfn;
    if (w->memory) memset(world_contents(w, pfn), 0xdb, (size_t)1 << WORLD_PAGE_SHIFT);
}

static void frame_lost(void *ctx, rmap_pfn_t pfn)
{
    struct world *w = ctx;
    frame_free(ctx, pfn);
    w->free_count--; /* freed to the top of the stack: never handed out */
    w->frames_lost++;
}

static void frame_copy(void *ctx, rmap_pfn_t dst, rmap_pfn_t src)
{
    struct world *w = ctx;
    if (w->runs) world_broken(w, "a frame is copied while a run is held");
    if (w->on_copy) w->on_copy(w);
    w->copies++;
    if (w->memory) memcpy(world_contents(w, dst), world_contents(w, src), (size_t)1 << WORLD_PAGE_SHIFT);
}

static void frame_clear(void *ctx, rmap_pfn_t pfn)
{
    struct world *w = ctx;
    if (w->memory) memset(world_contents(w, pfn), 0, (size_t)1 << WORLD_PAGE_SHIFT);
}

static void *frame_address(void *ctx, rmap_pfn_t pfn)
{
    struct world *w = ctx;
    return w->memory ? world_contents(w, pfn) : NULL;
}

static const struct rmap_frame_ops frame_ops = {.struct_size = sizeof frame_ops,
                                                .alloc = frame_alloc,
                                                .free = frame_free,
                                                .copy = frame_copy,
                                                .clear = frame_clear,
                                                .address = frame_address,
                                                .lost = frame_lost};

struct rmap_page *world_descriptor(struct world *w, uint64_t n)
{
    return (struct rmap_page *)(void *)(w->descriptors + n * w->o.stride);
}

struct rmap_page *world_new_page(struct world *w)
{
    struct rmap_page *page;
    CHECK_OK(rmap_page_alloc(w->r, RMAP_PFN_NONE, &page));
    return page;
}

unsigned char *world_contents(struct world *w, rmap_pfn_t pfn)
{
    return w->memory + ((pfn - WORLD_PFN) << WORLD_PAGE_SHIFT);
}

/* ---- the world ---- */

static void *hook_alloc(void *ctx, size_t size, size_t align)
{
    struct world *w = ctx;
    if (w->runs) world_broken(w, "memory is allocated while a run is held");
    return w->alloc.a.alloc(w->alloc.a.ctx, size, align);
}

static void hook_free(void *ctx, void *p, size_t size, size_t align)
{
    struct world *w = ctx;
    if (w->runs) world_broken(w, "memory is freed while a run is held");
    w->alloc.a.free(w->alloc.a.ctx, p, size, align);
    if (w->on_free) w->on_free(w);
}

static void make_frames(struct world *w)
{
    w->descriptors = calloc(w->o.frames, w->o.stride);
    w->frame = calloc(w->o.frames, sizeof *w->frame);
    w->free_frames = calloc(w->o.frames, sizeof *w->free_frames);
    if (!w->o.no_contents) w->memory = calloc(w->o.frames, (size_t)1 << WORLD_PAGE_SHIFT);
    for (uint64_t i = w->o.frames; i--;) w->free_frames[w->free_count++] = WORLD_PFN + i;
}

static void make_swap(struct world *w)
{
    CHECK_OK(rmap_swap_create(&(struct rmap_swap_options){.struct_size = sizeof(struct rmap_swap_options),
                                                          .alloc = &w->hooks,
                                                          .page_shift = WORLD_PAGE_SHIFT},
                              &w->swap));
    faulty_device_init(&w->device, w->o.slots, WORLD_PAGE_SHIFT);
    CHECK_OK(rmap_swap_add(w->swap, &w->device.base));
}

void world_init(struct world *w, const struct world_options *o)
{
    memset(w, 0, sizeof *w);
    if (o) w->o = *o;
    if (!w->o.geometry) w->o.geometry = &rmap_radix_soft;
    if (!w->o.frames) w->o.frames = 256;
    if (!w->o.slots) w->o.slots = 64;
    if (!w->o.stride) w->o.stride = sizeof(struct rmap_page);
    test_alloc_init(&w->alloc);
    w->hooks = (struct rmap_allocator){.struct_size = sizeof w->hooks, .ctx = w, .alloc = hook_alloc, .free = hook_free};
    world_mmu_init(w);
    make_frames(w);
    if (!w->o.no_swap && !w->o.no_contents) make_swap(w);
    CHECK_OK(rmap_create(&(struct rmap_options){.struct_size = sizeof(struct rmap_options),
                                                .alloc = &w->hooks,
                                                .frames = &frame_ops,
                                                .frames_ctx = w,
                                                .swap = w->swap ? w->o.swap_ops ? w->o.swap_ops : rmap_swap_get_ops() : NULL,
                                                .swap_ctx = w->swap},
                         &w->r));
    if (w->swap) CHECK_OK(rmap_swap_bind(w->swap, w->r));
    CHECK_OK(rmap_frames_add(w->r, &(struct rmap_frame_section){.base = world_descriptor(w, 0),
                                                                .stride = w->o.stride,
                                                                .first = WORLD_PFN,
                                                                .count = w->o.frames}));
}

void world_fini(struct world *w)
{
    CHECK_STR(w->broken, "");
    while (w->space_count) world_exit(w->spaces[w->space_count - 1]);
    if (w->special) rmap_page_put(w->r, w->special);
    CHECK_EQ(w->frames_used, 0);
    CHECK_STR(w->broken, "");
    CHECK_OK(rmap_destroy(w->r));
    if (w->swap) CHECK_OK(rmap_swap_destroy(w->swap));
    CHECK_EQ(w->alloc.live_blocks, 0);
    free(w->descriptors);
    free(w->frame);
    free(w->free_frames);
    free(w->memory);
    free(w->spaces);
}

/* ---- spaces ---- */

/* Room first, so that nothing fails later. */
static void spaces_reserve(struct world *w)
{
    if (w->space_count < w->space_room) return;
    w->space_room = w->space_room ? 2 * w->space_room : 16;
    w->spaces = realloc(w->spaces, w->space_room * sizeof(*w->spaces));
}

struct world_space *world_space_adopt(struct world_space *s)
{
    s->number = s->w->births++;
    s->w->spaces[s->w->space_count++] = s;
    return s;
}

static int space_blank_try(struct world *w, struct world_space **out)
{
    spaces_reserve(w);
    struct world_space *s = calloc(1, sizeof *s);
    s->w = w;
    s->m.user = s;
    int err = rmap_radix_create(&(struct rmap_radix_options){.struct_size = sizeof(struct rmap_radix_options),
                                                             .geometry = w->o.geometry,
                                                             .alloc = &w->hooks,
                                                             .caps = RMAP_MMU_NO_TLB},
                                &s->radix);
    s->mmu = (struct rmap_mmu){&w->ops, s, s->radix.pages};
    if (err) free(s);
    else *out = s;
    return err;
}

struct world_space *world_space_blank(struct world *w)
{
    struct world_space *s = NULL;
    CHECK_OK(space_blank_try(w, &s));
    return s;
}

void world_space_free(struct world_space *s)
{
    for (size_t i = 0; i < s->cached; i++) s->w->frame[s->tlb[i].pfn - WORLD_PFN].cached--;
    rmap_radix_destroy(&s->radix);
    free(s->tlb);
    free(s);
}

struct world_space *world_space(struct world *w)
{
    struct world_space *s = world_space_blank(w);
    CHECK_OK(rmap_member_init(w->r, &s->m, &s->mmu));
    CHECK_OK(rmap_member_set_policy(&s->m, w->o.policy));
    world_space_adopt(s);
    return s;
}

int world_fork_try(struct world_space *parent, struct world_space **out)
{
    struct world_space *child;
    struct rmap_fork f;
    int err = space_blank_try(parent->w, &child);
    if (err) return err;
    if (!(err = rmap_fork_begin(&parent->m, &child->m, &child->mmu, &f))) {
        err = rmap_fork_copy(&f, 0, parent->mmu.pages, RMAP_FORK_COW);
        if (err) rmap_fork_abort(&f);
        else rmap_fork_commit(&f);
    }
    if (err) {
        world_space_free(child);
        return err;
    }
    world_space_adopt(child);
    *out = child;
    return 0;
}

struct world_space *world_fork(struct world_space *parent)
{
    struct world_space *child = NULL;
    CHECK_OK(world_fork_try(parent, &child));
    return child;
}

void world_exit(struct world_space *s)
{
    struct world *w = s->w;
    size_t i = 0;
    while (w->spaces[i] != s) i++;
    memmove(&w->spaces[i], &w->spaces[i + 1], (--w->space_count - i) * sizeof *w->spaces);
    CHECK_OK(rmap_zap(&s->m, 0, s->mmu.pages, NULL));
    CHECK_OK(rmap_member_leave(&s->m));
    CHECK_ERR(rmap_member_leave(&s->m), RMAP_ERR_DEAD);
    world_space_free(s);
}

void world_zap(struct world_space *s, rmap_vpn_t first, uint64_t count) { CHECK_OK(rmap_zap(&s->m, first, count, NULL)); }

struct rmap_moved world_move(struct world_space *s, rmap_vpn_t from, rmap_vpn_t to, uint64_t count)
{
    struct rmap_moved moved;
    CHECK_OK(rmap_move(&s->m, from, to, count, &moved));
    return moved;
}

/* ---- looking ---- */

rmap_pte_t world_entry(struct world_space *s, rmap_vpn_t vpn) { return rmap_radix_peek(&s->radix, vpn); }

enum rmap_pte_kind world_kind(struct world_space *s, rmap_vpn_t vpn)
{
    return rmap_pte_kind(s->mmu.ops->format, world_entry(s, vpn));
}

bool world_attr(struct world_space *s, rmap_vpn_t vpn, enum rmap_pte_attr a)
{
    return rmap_pte_get(s->mmu.ops->format, world_entry(s, vpn), a);
}

void world_set_entry(struct world_space *s, rmap_vpn_t vpn, rmap_pte_t e)
{
    struct rmap_tables t = {.count = 0};
    struct rmap_mmu_run run;
    CHECK_OK(s->mmu.ops->reserve(s->mmu.ctx, vpn, &t));
    CHECK_OK(s->mmu.ops->run_make(s->mmu.ctx, vpn, &t, &run));
    rmap_run_exchange(&s->mmu, &run, (uint32_t)(vpn - run.first), e);
    s->mmu.ops->run_unlock(s->mmu.ctx, &run);
    s->mmu.ops->unreserve(s->mmu.ctx, &t);
}

struct rmap_page *world_page(struct world_space *s, rmap_vpn_t vpn)
{
    rmap_pte_t e = world_entry(s, vpn);
    const struct rmap_pte_format *f = s->mmu.ops->format;
    return rmap_pte_maps(f, e) ? rmap_page_find(s->w->r, rmap_pte_pfn(f, e)) : NULL;
}

struct rmap_page *world_page_or_cached(struct world_space *s, rmap_vpn_t vpn)
{
    struct rmap_slot_home home;
    if (world_kind(s, vpn) != RMAP_PTE_SWAP) return world_page(s, vpn);
    CHECK_OK(rmap_swap_get_ops()->get_home(s->w->swap, rmap_pte_swp(s->mmu.ops->format, world_entry(s, vpn)), &home));
    return home.cached;
}

struct rmap_stats world_stats(struct world *w)
{
    struct rmap_stats st;
    CHECK_OK(rmap_stats_get(w->r, &st));
    return st;
}

/* ---- checking ---- */

void world_broken(struct world *w, const char *format, ...)
{
    if (w->broken[0]) return;
    va_list ap;
    va_start(ap, format);
    vsnprintf(w->broken, sizeof w->broken, format, ap);
    va_end(ap);
}

const char *world_find_fault(struct world *w)
{
    static char text[256];
    struct rmap_verify_report report;
    if (w->broken[0]) return w->broken;
    int err = rmap_verify(w->r, &report);
    if (err) {
        const char *what = report.invariant ? report.invariant : rmap_error_name(err);
        snprintf(text, sizeof text, "rmap_verify: %s: %s", what, report.text);
        return text;
    }
    if (w->swap && rmap_swap_verify(w->swap, text, sizeof text)) return text;
    for (size_t i = 0; i < w->space_count; i++) {
        if (w->spaces[i]->m.forking) continue; /* it is flushed at the commit, and runs no sooner */
        const char *stale = world_tlb_stale(w->spaces[i]);
        if (stale) return stale;
    }
    return NULL;
}

void world_check(struct world *w)
{
    const char *fault = world_find_fault(w);
    if (fault) TEST_FAIL("%s", fault);
}
