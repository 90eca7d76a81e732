/* SPDX-License-Identifier: MIT */
/** @file unit/test_frames.c  Frame sections, and the frames that the embedder hands out. */
#include "support/prng.h"
#include "support/world.h"

#include <core/count.h>

/* frames 5000-5255 exist; sections at 10-19 and 30-39, descriptors 48 bytes apart */
RMAP_TEST(frames, frame_sections_are_arithmetic_in_both_directions)
{
    struct world w;
    world_init(&w, NULL);
    static uint64_t memory[6 * 20];
    memset(memory, 0, sizeof memory);
    struct rmap_page *low = (struct rmap_page *)(void *)memory, *high = (struct rmap_page *)(void *)(memory + 60);
    CHECK_OK(rmap_frames_add(w.r, &(struct rmap_frame_section){high, 48, 30, 10}));
    CHECK_OK(rmap_frames_add(w.r, &(struct rmap_frame_section){low, 48, 10, 10}));
    for (unsigned i = 0; i < 10; i++) {
        CHECK(rmap_page_find(w.r, 10 + i) == (struct rmap_page *)(void *)(memory + 6 * i));
        CHECK_EQ(rmap_page_pfn(w.r, (struct rmap_page *)(void *)(memory + 6 * i)), 10 + i);
        CHECK_EQ(rmap_page_pfn(w.r, (struct rmap_page *)(void *)(memory + 60 + 6 * i)), 30 + i);
    }
    static const rmap_pfn_t outside[] = {0, 9, 20, 29, 40, 4999, 5256, RMAP_VPN_MAX, RMAP_PFN_NONE};
    for (unsigned i = 0; i < sizeof outside / sizeof *outside; i++) CHECK(!rmap_page_find(w.r, outside[i]));
    CHECK(!rmap_page_find(NULL, 10));
    CHECK_EQ(rmap_page_pfn(w.r, (struct rmap_page *)(void *)(memory + 1)), RMAP_PFN_NONE); /* between two descriptors */
    CHECK_EQ(rmap_page_pfn(w.r, (struct rmap_page *)(void *)&w), RMAP_PFN_NONE);
    CHECK_EQ(rmap_page_pfn(w.r, NULL), RMAP_PFN_NONE);
    CHECK_EQ(rmap_page_pfn(NULL, low), RMAP_PFN_NONE);
    CHECK_OK(rmap_frames_remove(w.r, 30));
    CHECK(!rmap_page_find(w.r, 30));
    CHECK(rmap_page_find(w.r, 19));
    CHECK(rmap_page_find(w.r, 5255));
    CHECK_OK(rmap_frames_remove(w.r, 10));
    world_fini(&w);
}

/* sections of 37 from frame 100 on, in strides of all kinds: each address in them, before, behind, and anywhere */
RMAP_TEST(frames, the_frame_of_an_address_is_what_a_division_says)
{
    static const size_t strides[] = {32, 40, 48, 56, 64, 72, 96, 104, 120, 128, 136, 264, 1000, 1024, 3 * 4096, 8 * 8191};
    enum { FRAMES = 37 };
    for (unsigned i = 0; i < sizeof strides / sizeof *strides; i++) {
        struct world w;
        struct prng p;
        const size_t stride = strides[i], bytes = stride * (FRAMES + 4);
        unsigned char *memory = calloc(1, bytes);
        const uintptr_t base = (uintptr_t)memory + 2 * stride;
        CHECK(memory);
        world_init(&w, NULL);
        CHECK_OK(rmap_frames_add(w.r, &(struct rmap_frame_section){(void *)base, stride, 100, FRAMES}));
        const struct rmap__section *s = &w.r->sections[0];
        CHECK_EQ(s->first, 100);
        for (uintptr_t at = (uintptr_t)memory; at < (uintptr_t)memory + bytes; at++) {
            const uintptr_t off = at - base;
            const rmap_pfn_t pfn = off % stride == 0 && off / stride < FRAMES ? 100 + off / stride : RMAP_PFN_NONE;
            if (rmap__section_pfn(s, (struct rmap_page *)at) != pfn)
                TEST_FAIL("stride %zu, %td bytes behind the first", stride, (ptrdiff_t)off);
        }
        prng_init(&p, i);
        for (unsigned n = 0; n < 10000; n++) { /* where no multiple of the stride may wrap around to */
            const uintptr_t at = n % 2 ? prng_next(&p) : base + prng_next(&p) * stride, off = at - base;
            const bool inside = off % stride == 0 && off / stride < FRAMES;
            CHECK_EQ(rmap__section_pfn(s, (struct rmap_page *)at), inside ? 100 + off / stride : RMAP_PFN_NONE);
        }
        CHECK_OK(rmap_frames_remove(w.r, 100));
        world_fini(&w);
        free(memory);
    }
}

/* sections at 10-13, 30-33 and 5000-5255; pages 7 and 8 of a space lie in the last one */
RMAP_TEST(frames, verify_tells_frames_of_several_sections_apart)
{
    struct world w;
    struct rmap_verify_report report;
    char frame[32];
    static struct rmap_page low[4], high[4];
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    CHECK_OK(rmap_frames_add(w.r, &(struct rmap_frame_section){low, sizeof *low, 10, 4}));
    CHECK_OK(rmap_frames_add(w.r, &(struct rmap_frame_section){high, sizeof *high, 30, 4}));
    world_write(s, 7, 1);
    world_write(s, 8, 2);
    CHECK_OK(rmap_verify(w.r, NULL));
    struct rmap_page *page = world_page(s, 8);
    page->mapcount++;
    CHECK_ERR(rmap_verify(w.r, &report), RMAP_ERR_VERIFY);
    page->mapcount--;
    snprintf(frame, sizeof frame, "frame 0x%" PRIx64 " ", (uint64_t)rmap_page_pfn(w.r, page));
    if (!strstr(report.text, frame)) TEST_FAIL("\"%s\" does not name %s", report.text, frame);
    CHECK_OK(rmap_frames_remove(w.r, 10));
    CHECK_OK(rmap_verify(w.r, NULL));
    CHECK_OK(rmap_frames_remove(w.r, 30));
    world_fini(&w);
}

/* H1. sections at 5000-5255 */
RMAP_TEST(frames, frame_sections_are_checked_and_refusals_change_nothing)
{
    struct world w;
    world_init(&w, NULL);
    static struct rmap_page d[4];
    const struct rmap_frame_section good = {d, sizeof *d, 100, 4};
    struct rmap_frame_section s = good;
#define REFUSED(change, error)                              \
    do {                                                    \
        s = good;                                           \
        change;                                             \
        CHECK_ERR(rmap_frames_add(w.r, &s), error);         \
        CHECK(!rmap_page_find(w.r, 100));                   \
    } while (0)
    REFUSED(s.base = NULL, RMAP_ERR_NULL_ARG);
    REFUSED(s.stride = 24, RMAP_ERR_INVALID);
    REFUSED(s.stride = 36, RMAP_ERR_UNALIGNED);
    REFUSED(s.base = (struct rmap_page *)(void *)((char *)d + 4), RMAP_ERR_UNALIGNED);
    REFUSED(s.count = 0, RMAP_ERR_RANGE);
    REFUSED(s.first = RMAP_VPN_MAX, RMAP_ERR_RANGE);
    REFUSED(s.first = RMAP_VPN_MAX - 3, RMAP_ERR_RANGE);
    REFUSED(s.count = UINT64_MAX, RMAP_ERR_RANGE);
    REFUSED((s.stride = (size_t)1 << 62, s.count = 8), RMAP_ERR_RANGE); /* bytes would wrap */
    REFUSED(s.first = WORLD_PFN - 3, RMAP_ERR_EXISTS);
    REFUSED(s.first = WORLD_PFN + 255, RMAP_ERR_EXISTS);
    REFUSED((s.first = WORLD_PFN - 1, s.count = 4), RMAP_ERR_EXISTS);
    REFUSED(w.alloc.fail_at = w.alloc.calls + 1, RMAP_ERR_NOMEM);
    CHECK_ERR(rmap_frames_add(NULL, &good), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_frames_add(w.r, NULL), RMAP_ERR_NULL_ARG);
    s = good;
    s.first = WORLD_PFN - 4; /* ends where the next one starts */
    CHECK_OK(rmap_frames_add(w.r, &s));
    CHECK_ERR(rmap_frames_remove(NULL, 0), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_frames_remove(w.r, 0), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_frames_remove(w.r, WORLD_PFN - 3), RMAP_ERR_ABSENT); /* not its first frame */
    struct rmap_page *page = world_new_page(&w);
    CHECK_ERR(rmap_frames_remove(w.r, WORLD_PFN), RMAP_ERR_BUSY);
    rmap_page_put(w.r, page);
    w.alloc.fail_at = w.alloc.calls + 1;
    CHECK_ERR(rmap_frames_remove(w.r, WORLD_PFN - 4), RMAP_ERR_NOMEM);
    CHECK(rmap_page_find(w.r, WORLD_PFN - 4));
    CHECK_OK(rmap_frames_remove(w.r, WORLD_PFN - 4));
    world_fini(&w);
}

struct odd_frames {
    rmap_pfn_t answer;
    unsigned freed;
};
static int odd_alloc(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    struct odd_frames *f = ctx;
    if (near == 77) return RMAP_ERR_SYSTEM;
    *out = f->answer;
    return 0;
}
static void odd_free(void *ctx, rmap_pfn_t pfn) { ((struct odd_frames *)ctx)->freed += pfn == 3; }
static void odd_copy(void *ctx, rmap_pfn_t dst, rmap_pfn_t src) { (void)ctx, (void)dst, (void)src; }

/* H3: a frame hook that lies. Frames 0-3. */
RMAP_TEST(frames, alloc_refuses_unknown_frames_and_frames_in_use_and_passes_errors_on)
{
    static struct rmap_page d[4];
    memset(d, 0, sizeof d);
    struct odd_frames f = {.answer = 4};
    struct rmap_frame_ops ops = {
        .struct_size = sizeof ops, .alloc = odd_alloc, .free = odd_free, .copy = odd_copy};
    struct rmap *r;
    struct rmap_page *page = NULL, *other;
    CHECK_OK(rmap_create(&(struct rmap_options){.struct_size = sizeof(struct rmap_options), .frames = &ops, .frames_ctx = &f}, &r));
    CHECK_OK(rmap_frames_add(r, &(struct rmap_frame_section){d, sizeof *d, 0, 4}));
    CHECK_ERR(rmap_page_alloc(NULL, 0, &page), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_alloc(r, 0, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_alloc(r, 77, &page), RMAP_ERR_SYSTEM);
    CHECK_ERR(rmap_page_alloc(r, 0, &page), RMAP_ERR_UNKNOWN_PAGE);
    CHECK(!page);
    f.answer = 3;
    CHECK_OK(rmap_page_alloc(r, 0, &page));
    CHECK(page == &d[3]);
    CHECK_ERR(rmap_page_alloc(r, 0, &other), RMAP_ERR_UNKNOWN_PAGE);
    CHECK_EQ(page->refcount, 1);
    rmap_page_get(page);
    CHECK(rmap_page_try_get(page));
    CHECK_EQ(page->refcount, 3);
    rmap_page_put(r, page);
    rmap_page_put(r, page);
    CHECK_EQ(f.freed, 0);
    rmap_page_put(r, page);
    CHECK_EQ(f.freed, 1);
    CHECK(!rmap_page_try_get(page));
    CHECK_EQ(page->refcount, 0);
    /* a poisoned frame does not come back */
    CHECK_OK(rmap_page_alloc(r, 0, &page));
    rmap_page_set_flags(page, RMAP_PAGE_POISON);
    rmap_page_put(r, page);
    CHECK_EQ(f.freed, 1);
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_POISON);
    CHECK_OK(rmap_destroy(r));
}
