/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_swap_random.c  100,000 random operations on the swap map, each compared with a reference that keeps
 * plain arrays of frames and slots. SEED=n replays a run. Two devices of 30 and 25 slots, 160 frames of 512 bytes.
 */
#include "support/prng.h"
#include "unit/swap_world.h"

#define STEPS 100000
#define DEVICES 2
#define SLOTS_MAX 30

static struct world w;
static struct rmap_member other; /* only an owner for set_home */
static struct faulty_device second;
static struct prng rng;

struct ref_frame {
    bool used, held, dirty, anon; /* held: we have its lock and a reference between steps */
    unsigned mapped, seed;
    rmap_vpn_t index;
    rmap_swp_t entry;
};
struct ref_slot {
    bool live, bad, written, moved;
    uint32_t count;
    unsigned seed;
    rmap_vpn_t index;
    rmap_owner_t owner;
    struct ref_frame *cached;
};
static struct ref_frame frames[FRAMES];
static struct ref_slot slots[DEVICES + 1][SLOTS_MAX];
static const uint32_t slots_of[DEVICES + 1] = {0, 30, 25};

static struct ref_slot *slot_of(rmap_swp_t e) { return &slots[rmap_swp_device(e)][rmap_swp_slot(e)]; }
static struct rmap_page *page_of(const struct ref_frame *f) { return &w.page[f - frames]; }
static struct ref_frame *frame_of(const struct rmap_page *p) { return &frames[p - w.page]; }
static unsigned below(unsigned n) { return (unsigned)prng_below(&rng, n); }
static rmap_swp_t random_entry(void)
{
    unsigned d = 1 + below(DEVICES);
    return rmap_swp_make(d, below(slots_of[d]));
}

/* ---- the reference's own rules ---- */

static void ref_part(struct ref_frame *f)
{
    struct ref_slot *s = slot_of(f->entry);
    s->cached = NULL;
    f->entry = 0;
    f->dirty = true;
    if (s->count == 0) *s = (struct ref_slot){.bad = s->bad};
}
/* Whatever nobody needs goes; a held page goes when it is let go. */
static void ref_settle(void)
{
    for (struct ref_frame *f = frames; f < frames + FRAMES; f++) {
        if (!f->used || f->held || f->mapped) continue;
        if (f->entry && slot_of(f->entry)->count == 0) ref_part(f);
        if (!f->entry) *f = (struct ref_frame){0};
    }
}

static void compare(unsigned step)
{
    uint64_t used = 0, bad = 0, caching = 0, entries = 0;
    for (unsigned d = 1; d <= DEVICES; d++)
        for (uint32_t i = 0; i < slots_of[d]; i++) {
            const struct ref_slot *s = &slots[d][i];
            struct rmap_slot_home home;
            rmap_swp_t e = rmap_swp_make(d, i);
            used += s->live, bad += s->bad, caching += s->cached != NULL, entries += s->count;
            if (w.ops->count(w.s, e) != s->count) TEST_FAIL("step %u: count of %u:%u", step, d, i);
            int rc = w.ops->get_home(w.s, e, &home);
            if ((rc == 0) != s->live) TEST_FAIL("step %u: life of %u:%u", step, d, i);
            if (rc) continue;
            if (home.owner != s->owner || home.index != s->index || home.moved != s->moved ||
                home.cached != (s->cached ? page_of(s->cached) : NULL))
                TEST_FAIL("step %u: home of %u:%u", step, d, i);
        }
    struct rmap_swap_stats st = stats_of(&w);
    CHECK_EQ(st.slots_used, used);
    CHECK_EQ(st.slots_bad, bad);
    CHECK_EQ(st.cached, caching);
    CHECK_EQ(st.entries, entries);
    for (struct ref_frame *f = frames; f < frames + FRAMES; f++) {
        const struct rmap_page *p = page_of(f);
        if (w.used[f - frames] != f->used) TEST_FAIL("step %u: life of frame %td", step, f - frames);
        if (!f->used) continue;
        unsigned flags = rmap_page_flags(p);
        bool cached = flags & RMAP_PAGE_SWAPCACHE, dirty = flags & RMAP_PAGE_DIRTY, locked = flags & RMAP_PAGE_LOCKED;
        if (cached != (f->entry != 0) || p->swap != f->entry || dirty != f->dirty || locked != f->held ||
            rmap_page_mapcount(p) != f->mapped || rmap_page_index(p) != f->index)
            TEST_FAIL("step %u: frame %td has flags %#x, swap %#x", step, f - frames, flags, p->swap);
        if (!holds(&w, p, f->seed)) TEST_FAIL("step %u: contents of frame %td", step, f - frames);
    }
    world_verify(&w);
}

/* ---- steps ---- */

static void take(struct ref_frame *f)
{
    if (f->held) return;
    rmap_page_get(page_of(f));
    CHECK(rmap_page_try_lock(page_of(f)));
}
static void let_go(struct ref_frame *f)
{
    if (!f->held) release(&w, page_of(f));
}
static struct ref_frame *random_frame(void)
{
    struct ref_frame *f = &frames[below(FRAMES)];
    for (unsigned i = 0; i < FRAMES && !f->used; i++) f = f + 1 < frames + FRAMES ? f + 1 : frames;
    return f->used ? f : NULL;
}

static void step_new(unsigned step)
{
    if (w.frames_used > FRAMES - 4) return;
    struct rmap_page *p = mapped_page(&w, step, step);
    *frame_of(p) = (struct ref_frame){
        .used = true, .dirty = true, .anon = true, .mapped = 1, .seed = step, .index = step};
    release(&w, p);
}

static int add_expected(const struct ref_frame *f, bool *steals)
{
    unsigned nfree = 0, spare = 0;
    *steals = false;
    if (!f->anon) return RMAP_ERR_INVALID;
    if (f->entry && !(slot_of(f->entry)->bad && !slot_of(f->entry)->count)) return RMAP_ERR_EXISTS;
    for (unsigned d = 1; d <= DEVICES; d++)
        for (uint32_t i = 0; i < slots_of[d]; i++) {
            const struct ref_slot *s = &slots[d][i];
            nfree += !s->live && !s->bad;
            spare += s->live && !s->bad && !s->count && s->cached && !s->cached->held && s->cached != f;
        }
    *steals = !nfree && spare;
    return nfree || spare ? 0 : RMAP_ERR_NO_SLOT;
}
static void step_add(struct ref_frame *f)
{
    bool steals;
    take(f);
    int want = add_expected(f, &steals);
    CHECK_ERR(rmap_swap_cache_add(w.s, page_of(f)), want);
    for (struct ref_frame *v = frames; steals && v < frames + FRAMES; v++) {
        if (v == f || !v->entry || (rmap_page_flags(page_of(v)) & RMAP_PAGE_SWAPCACHE)) continue;
        CHECK(slot_of(v->entry)->count == 0 && !v->held);
        ref_part(v);
        steals = false;
    }
    CHECK(!steals);
    if (!want) {
        if (f->entry) ref_part(f);
        f->entry = page_of(f)->swap;
        f->dirty = true;
        CHECK(!slot_of(f->entry)->live && !slot_of(f->entry)->bad);
        *slot_of(f->entry) = (struct ref_slot){
            .live = true, .index = f->index, .owner = rmap_page_owner(page_of(f)), .cached = f};
    }
    let_go(f);
}

static void step_dup(rmap_swp_t e)
{
    uint32_t n = below(4);
    struct ref_slot *s = slot_of(e);
    CHECK_ERR(w.ops->dup(w.s, e, n), s->live ? RMAP_OK : RMAP_ERR_ABSENT);
    if (s->live) s->count += n;
}
static void step_put(rmap_swp_t e)
{
    struct ref_slot *s = slot_of(e);
    if (!s->count) return;
    uint32_t n = below(2) ? s->count : 1 + below(s->count);
    w.ops->put(w.s, e, n);
    s->count -= n;
    if (!s->count && !s->cached) *s = (struct ref_slot){.bad = s->bad};
}

static void step_write(void)
{
    struct rmap_page *pages[40];
    int results[40], want[40];
    unsigned n = 0, fail = below(4) ? 0 : 1 + below(8), seen = 0;
    for (struct ref_frame *f = frames; f < frames + FRAMES && n < 40; f++)
        if (f->entry && below(2)) pages[n++] = page_of(f), take(f);
    for (unsigned i = n; i > 1; i--) {
        unsigned k = below(i);
        struct rmap_page *p = pages[k];
        pages[k] = pages[i - 1], pages[i - 1] = p;
    }
    w.dev.write_error = below(2) ? RMAP_ERR_IO_WRITE : RMAP_ERR_NOMEM;
    w.dev.fail_write_at = fail ? w.dev.writes + fail : 0;
    CHECK_OK(rmap_swap_write(w.s, pages, n, results));
    for (unsigned i = 0; i < n; i++) {
        struct ref_frame *f = frame_of(pages[i]);
        struct ref_slot *s = slot_of(f->entry);
        CHECK(i == 0 || f->entry > frame_of(pages[i - 1])->entry);
        want[i] = 0;
        if (f->dirty || !s->written) {
            bool failed = rmap_swp_device(f->entry) == 1 && ++seen == fail;
            if (failed) want[i] = w.dev.write_error;
            if (want[i] != RMAP_ERR_NOMEM) s->bad = want[i] == RMAP_ERR_IO_WRITE;
            s->written = !want[i];
            s->seed = f->seed;
            f->dirty = want[i] != 0;
        }
        CHECK_ERR(results[i], want[i]);
    }
    for (unsigned i = 0; i < n; i++) let_go(frame_of(pages[i]));
}

static void step_del(struct ref_frame *f)
{
    const struct ref_slot *s = f->entry ? slot_of(f->entry) : NULL;
    int want = !s ? RMAP_ERR_ABSENT : s->count && (f->dirty || f->mapped || !s->written) ? RMAP_ERR_BUSY : 0;
    take(f);
    CHECK_ERR(rmap_swap_cache_del(w.s, page_of(f)), want);
    if (!want) ref_part(f);
    let_go(f);
}

static void step_load(rmap_swp_t e)
{
    if (w.frames_used > FRAMES - 4) return;
    struct ref_slot *s = slot_of(e);
    struct faulty_device *dev = rmap_swp_device(e) == 1 ? &w.dev : &second;
    unsigned trouble = below(8);
    struct rmap_page *p = new_page(&w);
    dev->fail_read_at = trouble == 0 ? dev->reads + 1 : 0;
    dev->spoil_read_at = trouble == 1 ? dev->reads + 1 : 0;
    int want = !s->live ? RMAP_ERR_ABSENT : s->cached ? RMAP_ERR_EXISTS : !s->written || trouble == 0 ? RMAP_ERR_IO_READ
               : trouble == 1 ? RMAP_ERR_CORRUPT : 0;
    CHECK_ERR(rmap_swap_cache_load(w.s, e, p), want);
    if (!want) {
        *frame_of(p) = (struct ref_frame){.used = true, .seed = s->seed, .entry = e}; /* no index before it is mapped */
        s->cached = frame_of(p);
    }
    release(&w, p);
}

/* A fault on an entry whose page is cached: one mapping more, one entry fewer. */
static void step_map(rmap_swp_t e)
{
    struct ref_slot *s = slot_of(e);
    struct ref_frame *f = s->cached;
    if (!f || !s->count || f->mapped > 3) return;
    take(f);
    CHECK_EQ(rmap_swap_cache_find(w.s, e), page_of(f));
    CHECK_OK(rmap_page_map_swapin(&w.m, page_of(f), e));
    w.ops->put(w.s, e, 1);
    rmap_page_put(w.r, page_of(f));
    if (!f->mapped) f->index = s->index;
    f->mapped++, f->anon = true, s->count--;
    let_go(f);
}
static void step_unmap(struct ref_frame *f)
{
    if (!f->mapped) return;
    unmap(&w, page_of(f));
    f->mapped--;
}
/* A write fault of the sole user: the copy goes, the contents change. */
static void step_reuse(struct ref_frame *f, unsigned step)
{
    uint32_t entries = f->entry ? slot_of(f->entry)->count : 0;
    if (!f->mapped) return;
    take(f);
    bool own = rmap_page_reuse(&w.m, page_of(f), rmap_page_index(page_of(f)));
    CHECK_EQ(own, f->mapped + entries == 1);
    if (own) {
        fill(&w, page_of(f), step);
        f->seed = step;
        f->dirty = true;
        if (f->entry) ref_part(f);
    }
    let_go(f);
}
static void step_home(rmap_swp_t e, unsigned step)
{
    struct ref_slot *s = slot_of(e);
    if (!s->live) return;
    s->owner = rmap_member_home(below(2) ? &w.m : &other);
    if (!s->cached) s->index = step;
    s->moved = below(2);
    w.ops->set_home(w.s, e, s->owner, s->index, s->moved);
}
static void step_hold(struct ref_frame *f)
{
    if (!f->held) take(f);
    f->held = !f->held;
    if (!f->held) release(&w, page_of(f));
}

static void random_step(unsigned step)
{
    struct ref_frame *f = random_frame();
    unsigned what = below(100);
    if (!f || what < 12) step_new(step);
    else if (what < 30) step_add(f);
    else if (what < 40) step_dup(random_entry());
    else if (what < 50) step_put(random_entry());
    else if (what < 55) step_write();
    else if (what < 62) step_del(f);
    else if (what < 72) step_load(random_entry());
    else if (what < 80) step_map(random_entry());
    else if (what < 92) step_unmap(f);
    else if (what < 95) step_reuse(f, step);
    else if (what < 97) step_home(random_entry(), step);
    else step_hold(f);
    ref_settle();
}

/* Everything that is left is let go of; bad slots stay bad. */
static void wind_up(void)
{
    for (struct ref_frame *f = frames; f < frames + FRAMES; f++) {
        if (f->used && f->held) step_hold(f);
        ref_settle();
        while (f->used && f->mapped) step_unmap(f);
        ref_settle();
    }
    for (unsigned d = 1; d <= DEVICES; d++)
        for (uint32_t i = 0; i < slots_of[d]; i++)
            while (slots[d][i].count) step_put(rmap_swp_make(d, i)), ref_settle();
}

/* A bad slot is lost for good, so the world begins anew every 2,500 steps: else all would be bad soon. */
RMAP_TEST(swap_random, equals_the_reference)
{
    prng_init(&rng, prng_seed_of_run(20040313));
    for (unsigned step = 1; step <= STEPS;) {
        world_begin(&w, slots_of[1]);
        memset(frames, 0, sizeof frames);
        memset(slots, 0, sizeof slots);
        CHECK_OK(rmap_member_init(w.r, &other, &(struct rmap_mmu){&empty_mmu_ops, NULL, 1 << 20}));
        faulty_device_init(&second, slots_of[2], SHIFT);
        CHECK_OK(rmap_swap_add(w.s, &second.base));
        for (unsigned end = step + 2500; step < end; step++) {
            random_step(step);
            compare(step);
        }
        wind_up();
        compare(step);
        CHECK_OK(rmap_member_leave(&other));
        world_end(&w);
    }
}
