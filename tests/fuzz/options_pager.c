/* SPDX-License-Identifier: MIT */
/** @file fuzz/options_pager.c  Pagers with odd options; one that is made must run a small life, and end. */
#include "fuzz/options.h"

#include <objrmap/pager.h>
#include <objrmap/radix.h>
#include <objrmap/space.h>

#define PAGES 24 /* more than the fewest frames, so that something is evicted, if there is swap */

/* Done, or refused: errors are of memory and of room. */
static bool expected(struct options_memory *m, int rc)
{
    const bool refused = options_memory_refused(m);
    return !rc || rc == RMAP_ERR_NO_FRAME || rc == RMAP_ERR_COMMIT || (rc == RMAP_ERR_NOMEM && refused);
}

/* Two spaces, 24 pages each: what is written is read, whatever the pager was told. */
static void live(struct options_memory *m, struct rmap_pager *p, unsigned shift)
{
    struct rmap_space *s, *child = NULL;
    rmap_vpn_t at = 0;
    int rc = rmap_space_create(p, &s);
    CHECK(rc == RMAP_ERR_INVALID || expected(m, rc)); /* INVALID: tables of another page size */
    if (rc) return;
    rc = rmap_space_map(s, &at, PAGES, RMAP_READ | RMAP_WRITE, 0);
    CHECK(expected(m, rc));
    uint64_t written = 0;
    for (uint64_t v = 0; !rc && v < PAGES; v++) {
        uint64_t word = v + 1000;
        rc = rmap_space_write(s, (at + v) << shift, &word, sizeof word, NULL);
        CHECK(expected(m, rc));
        written += !rc;
    }
    rc = rmap_space_fork(s, &child);
    CHECK(expected(m, rc));
    CHECK(rmap_reclaim(p, 8) >= 0);
    for (uint64_t v = 0; !rc && v < written; v++) {
        uint64_t word = 0;
        int err = rmap_space_read(child, (at + v) << shift, &word, sizeof word, NULL);
        CHECK(expected(m, err));
        if (!err) CHECK_EQ(word, v + 1000);
    }
    rc = rmap_pager_verify(p, NULL);
    CHECK(expected(m, rc));
    CHECK_ERR(rmap_pager_destroy(p), RMAP_ERR_BUSY);
    if (child) CHECK_OK(rmap_space_destroy(child));
    CHECK_OK(rmap_space_destroy(s));
}

static struct rmap_device *device_of(struct fuzz *f, struct options_memory *m, unsigned shift)
{
    struct rmap_device *d = NULL;
    const unsigned way = fuzz_below(f, 4);
    const uint64_t slots = options_number(f, 40);
    if (way == 0) return NULL;
    if (options_odd(f)) shift = 9 + fuzz_below(f, 12);
    if (way == 1 || rmap_device_lz4_create(&m->capped, slots, shift, 0, &d))
        rmap_device_temp_create(&m->capped, NULL, slots, shift, &d);
    return d; /* NULL where slots or shift are none that a device takes */
}

void options_of_pager(struct fuzz *f, struct options_memory *m)
{
    static const struct rmap_radix_geometry *const geometries[] = {
        &rmap_radix_soft, &rmap_radix_x86_64, &rmap_radix_sv39, &rmap_radix_aarch64_16k, &rmap_radix_aarch64_64k};
    const struct rmap_radix_geometry *g = geometries[fuzz_below(f, 5)];
    const struct rmap_radix_options radix = {
        .struct_size = sizeof radix, .geometry = g, .alloc = &m->capped, .caps = RMAP_MMU_NO_TLB};
    const unsigned shift = (unsigned)options_number(f, g->format->page_shift);
    struct rmap_mmu_provider whole, provider;
    struct rmap_memory memory = {.fd = -1}, other;
    CHECK_OK(rmap_radix_provider_init(&radix, &whole));
    provider = whole;
    provider.struct_size = options_struct_size(f, sizeof provider);
    if (options_odd(f)) provider.create = NULL;
    if (options_odd(f)) provider.destroy = NULL;
    if (options_odd(f)) provider.memory = &other;
    const bool own = fuzz_below(f, 2) || rmap_memory_init(&memory, 16 + fuzz_below(f, 20), g->format->page_shift);
    if (options_odd(f) && !own) provider.memory = &memory;
    struct rmap_device *d = device_of(f, m, g->format->page_shift);
    const size_t blocks = m->counting.live_blocks;
    struct rmap_pager_options o = {
        .struct_size = options_struct_size(f, sizeof o),
        .alloc = options_alloc(f, m),
        .provider = options_odd(f) ? NULL : &provider,
        .memory = own ? NULL : &memory,
        .frames = options_number(f, 16 + fuzz_below(f, 20)),
        .page_shift = shift,
        .commit_limit = options_odd(f) ? options_number(f, PAGES) : 0,
        .swap = d,
        .move_policy = (enum rmap_move_policy)(options_odd(f) ? fuzz_below(f, 256) : fuzz_below(f, 2)),
        .evict_batch = (unsigned)options_number(f, fuzz_below(f, 20)),
    };
    if (!o.alloc && o.frames > 1 << 16) o.frames = 16; /* else gigabytes of descriptors, from nobody who counts them */
    struct rmap_pager *const nobody = (struct rmap_pager *)(void *)m, *p = nobody;
    const bool asked = !options_odd(f);
    o.swap_around = (unsigned)options_number(f, 16 >> fuzz_below(f, 6)); /* the last draw: kept inputs mean what they meant */
    const bool provider_sound = provider.struct_size == sizeof provider && provider.create && provider.destroy &&
                                (!provider.memory || provider.memory == o.memory);
    const bool memory_sound = !o.memory || (memory.page_shift == shift && memory.frames >= o.frames);
    int rc = rmap_pager_create(&o, asked ? &p : NULL);
    /* The device comes last, after what may fail for want of memory. */
    const bool device_sound = !d || d->page_shift == shift;
    const bool sound = asked && o.struct_size == sizeof o && options_alloc_is_sound(o.alloc) && o.provider &&
                       provider_sound && memory_sound && o.frames >= 16 && o.frames <= UINT64_C(1) << 32 &&
                       shift >= 12 && shift <= 16 && o.evict_batch <= 256 &&
                       o.swap_around <= 16 && !(o.swap_around & (o.swap_around - 1)) &&
                       (unsigned)o.move_policy <= RMAP_MOVE_POLICY_TRACK;
    CHECK(rc || device_sound);
    OPTIONS_SOUND(sound && !device_sound && rc == RMAP_ERR_INVALID ? RMAP_OK : rc, sound);
    const uint64_t allowed =
        OPTIONS_COMMON | OPTIONS_BIT(RMAP_ERR_RANGE) | OPTIONS_BIT(RMAP_ERR_INVALID) | OPTIONS_BIT(RMAP_ERR_SYSTEM);
    if (OPTIONS_ANSWER(m, rc, allowed, blocks)) {
        live(m, p, shift);
        CHECK_OK(rmap_pager_destroy(p));
    } else {
        CHECK_EQ(p, nobody);
        rmap_device_destroy(d); /* it stayed ours */
    }
    rmap_memory_fini(&memory);
    rmap_radix_provider_fini(&whole);
}
