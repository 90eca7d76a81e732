/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz/options_calls.c  The verbs of a space with any arguments (H1, H2): a documented answer, and all books right.
 *
 * What property/game.h does within reason is done here without: ranges that wrap, flags that nobody has defined, NULL for
 * what is required. Whether a call that is taken does what it should is the games' to say.
 */
#include "fuzz/options.h"

#include <objrmap/pager.h>
#include <objrmap/radix.h>
#include <objrmap/space.h>
#include <objrmap/verify.h>

#define FRAMES 24
#define SPACES 4
#define CALLS_MAX 200
#define WORDS 64 /* of bitmaps: for 4,096 pages */

#define E(name) OPTIONS_BIT(RMAP_ERR_##name)
/* Of every call on a space; what faults, and what moves or splits, may answer besides. */
#define ANY (E(NULL_ARG) | E(RANGE))
#define FAULTS (ANY | E(ACCESS) | E(ABSENT) | E(NO_FRAME) | E(NOMEM))

struct calls {
    struct fuzz *f;
    struct options_memory *m;
    struct rmap_pager *p;
    struct rmap_space *space[SPACES];
};

static rmap_vpn_t page_number(struct fuzz *f)
{
    return options_number(f, fuzz_below(f, 64));
}

static uint64_t page_count(struct fuzz *f)
{
    return options_number(f, 1 + fuzz_below(f, 16));
}

static unsigned bits(struct fuzz *f, unsigned known)
{
    return options_odd(f) ? (unsigned)fuzz_word(f) : fuzz_below(f, known + 1);
}

/* Is there no hole of n pages? */
static bool no_hole(struct rmap_space *s, uint64_t n)
{
    static struct rmap_region_info region[2 * CALLS_MAX]; /* a call splits one at most in three */
    if (!s) return false;
    const size_t regions = rmap_space_regions(s, region, sizeof region / sizeof *region);
    CHECK_LE(regions, sizeof region / sizeof *region);
    rmap_vpn_t at = 0;
    for (size_t i = 0; i < regions; i++) {
        if (region[i].first - at >= n) return false;
        at = region[i].first + region[i].count;
    }
    return rmap_space_member(s)->mmu.pages - at < n;
}

static void call_map(struct calls *c, struct rmap_space *s)
{
    rmap_vpn_t at = options_odd(c->f) ? RMAP_VPN_NONE : page_number(c->f);
    const uint64_t n = page_count(c->f);
    const unsigned prot = bits(c->f, 7), flags = bits(c->f, 15);
    const bool full = !(flags & RMAP_MAP_FIXED) && no_hole(s, n);
    int rc = rmap_space_map(s, options_odd(c->f) ? NULL : &at, n, prot, flags);
    if (full) options_memory_elsewhere(c->m); /* NOMEM is also: no hole large enough */
    OPTIONS_ANSWER(c->m, rc, ANY | E(INVALID) | E(EXISTS) | E(UNSUPPORTED) | E(COMMIT) | E(NOMEM) | E(NO_FRAME),
                   c->m->counting.live_blocks);
    if (!rc) CHECK_LE(at + n, rmap_space_member(s)->mmu.pages);
}

static void call_range(struct calls *c, struct rmap_space *s, unsigned verb)
{
    const rmap_vpn_t at = page_number(c->f);
    const uint64_t n = page_count(c->f);
    uint64_t allowed = ANY | E(NOMEM) | E(ABSENT);
    int rc;
    switch (verb) {
    case 0:
        rc = rmap_space_unmap(s, at, n);
        break;
    case 1:
        rc = rmap_space_protect(s, at, n, bits(c->f, 7));
        allowed |= E(INVALID) | E(COMMIT);
        break;
    case 2:
        rc = rmap_space_lock(s, at, n);
        allowed |= FAULTS;
        break;
    case 3:
        rc = rmap_space_unlock(s, at, n);
        break;
    default:
        rc = rmap_space_advise(s, at, n, (enum rmap_advice)bits(c->f, 3));
        allowed |= E(INVALID) | E(BUSY);
    }
    OPTIONS_ANSWER(c->m, rc, allowed, c->m->counting.live_blocks);
}

static void call_move(struct calls *c, struct rmap_space *s)
{
    rmap_vpn_t to = page_number(c->f);
    const rmap_vpn_t from = page_number(c->f);
    const uint64_t n = page_count(c->f), new_n = fuzz_below(c->f, 2) ? n : page_count(c->f);
    const unsigned flags = bits(c->f, 7);
    const bool in_place = !(flags & (RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE | RMAP_MOVE_KEEP_OLD)) && new_n > n;
    const bool full = !(flags & RMAP_MOVE_FIXED) && no_hole(s, new_n);
    int rc = rmap_space_move(s, from, n, new_n, flags, options_odd(c->f) ? NULL : &to);
    if (full || in_place) options_memory_elsewhere(c->m); /* NOMEM is also: no hole, and cannot grow where it is */
    OPTIONS_ANSWER(c->m, rc, ANY | E(INVALID) | E(ABSENT) | E(NOMEM) | E(NO_FRAME) | E(COMMIT),
                   c->m->counting.live_blocks);
}

static void call_access(struct calls *c, struct rmap_space *s)
{
    static unsigned char buffer[3 * 4096];
    const uint64_t at = options_number(c->f, (uint64_t)fuzz_below(c->f, 64) << 12 | fuzz_below(c->f, 4096));
    const size_t n = options_odd(c->f) ? (size_t)options_number(c->f, 8) : fuzz_below(c->f, sizeof buffer);
    size_t done = 0;
    int rc;
    if (n > sizeof buffer && at < UINT64_C(1) << 30) return; /* it would be taken, and the buffer is not that long */
    switch (fuzz_below(c->f, 3)) {
    case 0:
        rc = rmap_space_read(s, at, options_odd(c->f) ? NULL : buffer, n, &done);
        break;
    case 1:
        rc = rmap_space_write(s, at, options_odd(c->f) ? NULL : buffer, n, options_odd(c->f) ? NULL : &done);
        break;
    default:
        rc = rmap_space_fault(s, page_number(c->f), bits(c->f, 7));
    }
    OPTIONS_ANSWER(c->m, rc, FAULTS | E(INVALID), c->m->counting.live_blocks);
    CHECK_LE(done, n);
}

static void call_question(struct calls *c, struct rmap_space *s)
{
    static uint64_t bitmap[WORDS];
    struct rmap_region_info regions[4];
    struct rmap_space_stats stats;
    struct rmap_usage usage;
    struct rmap_group_usage group;
    struct rmap_snapped snapped;
    const rmap_vpn_t at = page_number(c->f);
    const uint64_t n = page_count(c->f), pages = s ? rmap_space_member(s)->mmu.pages : 0;
    uint64_t written = 0;
    int rc = 0;
    switch (fuzz_below(c->f, 6)) {
    case 0: /* a range that fits is answered in the bitmap, which is not longer than this */
        if (at < pages && n <= pages - at && n > 64 * WORDS) return;
        rc = fuzz_below(c->f, 2) ? rmap_space_written(s, at, n, bitmap, &written)
                                 : rmap_space_snapshot(s, at, n, options_odd(c->f) ? NULL : bitmap, &snapped);
        break;
    case 1:
        rc = rmap_space_get_stats(s, options_odd(c->f) ? NULL : &stats);
        break;
    case 2:
        rc = rmap_space_get_usage(s, options_odd(c->f) ? NULL : &usage);
        break;
    case 3:
        rc = rmap_space_get_group_usage(s, options_odd(c->f) ? NULL : &group);
        break;
    case 4:
        (void)rmap_space_regions(s, regions, fuzz_below(c->f, 5));
        break;
    default:
        rc = rmap_space_set_move_policy(s, (enum rmap_move_policy)bits(c->f, 1));
    }
    OPTIONS_ANSWER(c->m, rc, ANY | E(INVALID), c->m->counting.live_blocks);
}

/* On all of the pager; spaces come and go. */
static void call_pager(struct calls *c, unsigned i)
{
    int64_t n;
    int rc = 0;
    switch (fuzz_below(c->f, 6)) {
    case 0:
        if (c->space[i]) CHECK_OK(rmap_space_destroy(c->space[i]));
        c->space[i] = NULL;
        rc = rmap_space_create(options_odd(c->f) ? NULL : c->p, &c->space[i]);
        break;
    case 1:
        if (c->space[i]) CHECK_OK(rmap_space_destroy(c->space[i]));
        c->space[i] = NULL;
        rc = rmap_space_fork(c->space[fuzz_below(c->f, SPACES)], &c->space[i]);
        break;
    case 2:
        rc = rmap_space_exec(c->space[i]);
        break;
    case 3:
        n = rmap_reclaim(c->p, options_number(c->f, 4));
        CHECK(n >= 0);
        break;
    case 4:
        n = rmap_pager_vacate(c->p, options_number(c->f, fuzz_below(c->f, FRAMES)), options_number(c->f, 1));
        rc = n < 0 ? (int)n : 0;
        break;
    default:
        rc = rmap_pager_verify(options_odd(c->f) ? NULL : c->p, NULL);
    }
    OPTIONS_ANSWER(c->m, rc, ANY | E(NOMEM), c->m->counting.live_blocks);
}

static void one_call(struct calls *c)
{
    const unsigned i = fuzz_below(c->f, SPACES), what = fuzz_below(c->f, 16);
    struct rmap_space *s = c->space[i];
    if (what < 3)
        call_pager(c, i);
    else if (what < 6)
        call_move(c, s);
    else if (what < 8)
        call_map(c, s);
    else if (what < 12)
        call_access(c, s);
    else if (what == 12)
        call_question(c, s);
    else
        call_range(c, s, fuzz_below(c->f, 5));
}

void options_of_calls(struct fuzz *f, struct options_memory *m)
{
    struct rmap_mmu_provider provider;
    const struct rmap_radix_options radix = {
        .struct_size = sizeof radix, .geometry = &rmap_radix_soft, .alloc = &m->capped, .caps = RMAP_MMU_NO_TLB};
    struct calls c = {.f = f, .m = m};
    struct rmap_pager_options o = {.struct_size = sizeof o,
                                   .alloc = &m->capped,
                                   .provider = &provider,
                                   .frames = FRAMES,
                                   .page_shift = 12,
                                   .commit_limit = fuzz_below(f, 2) ? 100 : 0,
                                   .move_policy = (enum rmap_move_policy)fuzz_below(f, 2)};
    struct rmap_verify_report report;
    CHECK_OK(rmap_radix_provider_init(&radix, &provider));
    if (fuzz_below(f, 4)) CHECK_OK(rmap_device_temp_create(&m->capped, NULL, 200, 12, &o.swap));
    CHECK_OK(rmap_pager_create(&o, &c.p));
    CHECK_OK(rmap_space_create(c.p, &c.space[0]));
    for (unsigned i = 0; i < CALLS_MAX && fuzz_more(f); i++) one_call(&c);
    int rc = rmap_pager_verify(c.p, &report);
    if (rc) TEST_FAIL("%s: %s", report.invariant ? report.invariant : rmap_error_name(rc), report.text);
    for (unsigned i = 0; i < SPACES; i++)
        if (c.space[i]) CHECK_OK(rmap_space_destroy(c.space[i]));
    CHECK_OK(rmap_pager_destroy(c.p));
    rmap_radix_provider_fini(&provider);
}
