/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_pager_verify_reports.c  Each report of rmap_pager_verify says what is broken, where, and in numbers.
 *
 * The tests of the pager end with rmap_pager_verify and believe it; here each of its lines is provoked alone, by one wrong field
 * that is put right again afterwards. What the core and the swap map say is theirs: test_verify_reports.c, test_swapentries.c.
 */
#include "pager_world.h"

#include <pager/pager_internal.h>
#include <swap/swap_internal.h>

/*  s:  [10,14) RW: 10 written and shared with the child, 11 written by s alone, 12 is on swap, 13 read
 *      [16,18) R, once RW: 16 written      [20,22) R: 20 read      [22,24) NONE      [30,32) RW: 30 written; locked */
struct scene {
    struct world w;
    struct rmap_space *s;
    struct rmap__frames *fs;
    const struct rmap_pte_format *f;
};

static void scene_init(struct scene *x)
{
    world_init(&x->w, 32, 100, 0);
    x->s = space_new(&x->w);
    x->fs = &x->w.p->frames;
    x->f = &rmap_pte_format_soft;
    map_at(x->s, 10, 4, RW);
    map_at(x->s, 20, 2, RMAP_READ);
    map_at(x->s, 22, 2, RMAP_NONE);
    map_at(x->s, 30, 2, RW);
    put(x->s, 12, 12);
    evict_all(&x->w);
    put(x->s, 10, 10);
    map_at(x->s, 16, 2, RW);
    space_fork(&x->w, x->s);
    put(x->s, 11, 11);
    put(x->s, 16, 16);
    CHECK_OK(rmap_space_protect(x->s, 16, 2, RMAP_READ));
    get(x->s, 13);
    get(x->s, 20);
    CHECK_OK(rmap_space_lock(x->s, 30, 2));
    world_verify(&x->w);
}

static void scene_fini(struct scene *x)
{
    world_fini(&x->w);
}

static void says(int line, struct scene *x, const char *what, const char *words)
{
    struct rmap_verify_report report = {.invariant = "unset"};
    const int rc = rmap_pager_verify(x->w.p, &report);
    if (rc != RMAP_ERR_VERIFY || !report.invariant || strcmp(report.invariant, what) || !strstr(report.text, words))
        test__fail(__FILE__, line, "expected %s: …%s…, got %s: %s: %s", what, words, rmap_error_name(rc),
                   report.invariant ? report.invariant : "(null)", report.text);
    CHECK_ERR(rmap_pager_verify(x->w.p, NULL), RMAP_ERR_VERIFY);
}
/* With `field` = `value` it says so; then all is well again. */
#define WRONG(field, value, what, words)                                                                               \
    do {                                                                                                               \
        const __typeof__(field) saved = (field);                                                                       \
        (field) = (value);                                                                                             \
        says(__LINE__, &x, what, words);                                                                               \
        (field) = saved;                                                                                               \
        world_verify(&x.w);                                                                                            \
    } while (0)

static void entry_says(int line, struct scene *x, rmap_vpn_t vpn, rmap_pte_t e, const char *what, const char *words)
{
    const rmap_pte_t before = poke(x->s, vpn, e);
    says(line, x, what, words);
    poke(x->s, vpn, before);
    world_verify(&x->w);
}
#define ENTRY(vpn, e, what, words) entry_says(__LINE__, &x, vpn, e, what, words)
#define WITH(vpn, attribute) rmap_pte_set(x.f, entry(x.s, vpn), RMAP_ATTR_##attribute, true)

RMAP_TEST(pager_verify_reports, frames_are_free_or_in_use_or_lost_and_counted)
{
    struct scene x;
    scene_init(&x);
    const rmap_pfn_t free_pfn = 31, used_pfn = rmap_pte_pfn(x.f, entry(x.s, 11));
    CHECK(rmap__frame_is_free(x.fs, free_pfn) && !rmap__frame_is_free(x.fs, used_pfn));
    struct rmap__frame *is_free = &x.fs->frame[free_pfn];
    uint64_t *map = x.fs->free_map;

    WRONG(is_free->page.refcount, 1, "frames", "frame 31 is free but has 1 references");
    WRONG(map[0], map[0] | (uint64_t)1 << used_pfn, "frames", "is free but has 1 references");
    WRONG(map[0], map[0] & ~((uint64_t)1 << free_pfn), "frames", "frame 31 is in use but has 0 references");
    rmap_page_set_flags(&is_free->page, RMAP_PAGE_POISON);
    says(__LINE__, &x, "frames", "frame 31 is lost and free");
    rmap_page_clear_flags(&is_free->page, RMAP_PAGE_POISON);
    WRONG(x.fs->free, x.fs->free + 1, "frames", "0 lost of 32");
    WRONG(x.fs->lost, 1, "frames", "0 lost of 32");
    WRONG(x.fs->used_peak, 1, "frames", "peak 1");
    WRONG(x.fs->free_clusters, x.fs->free_clusters + 1, "frames", "clusters are wholly free");
    scene_fini(&x);
}

RMAP_TEST(pager_verify_reports, every_frame_in_use_is_on_a_list_and_no_other)
{
    struct scene x;
    scene_init(&x);
    struct rmap__frame *used = &x.fs->frame[rmap_pte_pfn(x.f, entry(x.s, 11))], *is_free = &x.fs->frame[31];
    WRONG(used->list, RMAP__LIST_NONE, "lists", "is in use on list 2");
    WRONG(is_free->list, RMAP__LIST_ACTIVE, "lists", "frame 31 is free on list 0");
    WRONG(x.fs->frame[x.w.p->zero_pfn].list, RMAP__LIST_INACTIVE, "lists", "is in use on list 1");
    WRONG(used->list, !used->list, "lists", "frames, count");
    WRONG(x.fs->listed[RMAP__LIST_INACTIVE], 99, "lists", "count 99");

    /* lost: poisoned, and nothing refers to it */
    x.fs->free_map[0] &= ~((uint64_t)1 << 31);
    x.fs->free--;
    x.fs->lost++;
    rmap_page_set_flags(&is_free->page, RMAP_PAGE_POISON);
    world_verify(&x.w);
    WRONG(is_free->list, RMAP__LIST_ACTIVE, "lists", "frame 31 is lost on list 0");
    rmap_page_clear_flags(&is_free->page, RMAP_PAGE_POISON);
    x.fs->lost--;
    x.fs->free++;
    x.fs->free_map[0] |= (uint64_t)1 << 31;
    scene_fini(&x);
}

RMAP_TEST(pager_verify_reports, an_entry_allows_no_more_than_its_region_and_its_page_do)
{
    struct scene x;
    scene_init(&x);
    const rmap_pte_t zero = entry(x.s, 20);
    CHECK_EQ(rmap_pte_pfn(x.f, zero), x.w.p->zero_pfn);
    CHECK_EQ(rmap_page_mapcount(page_at(&x.w, x.s, 10)), 2);

    ENTRY(40, zero, "entries", "at page 40 lies outside all regions");
    ENTRY(22, zero, "entries", "at page 22 is present where nothing may be accessed");
    ENTRY(16, WITH(16, WRITE), "entries", "at page 16 is writable in a read-only region");
    ENTRY(11, WITH(11, EXEC), "entries", "at page 11 is executable in a region that is not");
    ENTRY(11, WITH(11, LOCKED), "entries", "at page 11 is locked in a region that is not");
    /* the core looks first, and sees these */
    ENTRY(13, WITH(13, WRITE), "INV-1", "special frame");
    ENTRY(10, WITH(10, WRITE), "exclusive", "is writable at vpn 0xa and mapped 2 times");
    put(x.s, 13, 13);
    evict_all(&x.w);
    get(x.s, 13);
    ENTRY(13, WITH(13, WRITE), "INV-3", "is writable at vpn 0xd and has a swap copy");
    scene_fini(&x);
}

RMAP_TEST(pager_verify_reports, regions_are_ordered_disjoint_merged_and_at_rest)
{
    struct scene x;
    scene_init(&x);
    const char *words = "not ordered, disjoint and merged";
    struct rmap__region *a = rmap__region_find(&x.s->regions, 10), *b = rmap__region_find(&x.s->regions, 20),
                        *c = rmap__region_find(&x.s->regions, 22);
    WRONG(a->count, 0, "regions", words);
    WRONG(a->count, 11, "regions", words);
    WRONG(a->first, x.s->regions.end, "regions", words);
    WRONG(a->count, x.s->regions.end, "regions", words);
    WRONG(a->locking, true, "regions", words);
    WRONG(c->prot, b->prot, "regions", words);
    scene_fini(&x);
}

/* S11: the space's charge against its regions', above and below, and the sums */
RMAP_TEST(pager_verify_reports, S11_charges_add_up)
{
    struct scene x;
    scene_init(&x);
    WRONG(x.s->charged, 7, "charges", "regions charge 8 pages, the space 7");
    WRONG(x.s->charged, 9, "charges", "the space 9");
    WRONG(x.w.p->stats.committed, 99, "charges", "2 spaces charge 16 pages, the pager counts 2 and 99");
    WRONG(x.w.p->stats.spaces, 9, "charges", "the pager counts 9 and 16");
    WRONG(x.w.p->commit_limit, 15, "charges", "limit 15");
    scene_fini(&x);
}

RMAP_TEST(pager_verify_reports, what_the_core_and_the_swap_map_find_is_passed_on)
{
    struct scene x;
    scene_init(&x);
    struct rmap_page *page = page_at(&x.w, x.s, 11);
    WRONG(page->index_flags, page->index_flags + ((uint64_t)1 << 12), "INV-1", "");
    WRONG(x.w.p->swap->stats.slots_used, 9, "swap", "used slots: 1 found, 9 counted");
    scene_fini(&x);
}
