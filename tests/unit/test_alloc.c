/* SPDX-License-Identifier: MIT */
/* Allocator hooks: the default ones, the typed calls on them, and the counting hooks that the other tests rely on. */
#include "base/alloc.h"
#include "support/counting_alloc.h"
#include "support/test.h"

#include <stdlib.h>

static bool all_bytes_are(const unsigned char *p, size_t n, unsigned char value)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != value) return false;
    }
    return true;
}

/* Blocks of 0, 1, 24, 100, 4096 and 100000 bytes at every power of two from 1 to 64 Ki, dirtied before they go back. */
static void check_zeroed_and_aligned(const struct rmap_allocator *a)
{
    const size_t sizes[] = {0, 1, 24, 100, 4096, 100000};
    for (size_t align = 1; align <= 65536; align *= 2) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            for (unsigned again = 0; again < 2; again++) {
                unsigned char *p = a->alloc(a->ctx, sizes[i], align);
                CHECK(p != NULL);
                CHECK_EQ((uintptr_t)p % align, 0);
                CHECK(all_bytes_are(p, sizes[i], 0));
                memset(p, 0xa5, sizes[i]);
                a->free(a->ctx, p, sizes[i], align);
            }
        }
    }
}

RMAP_TEST(alloc, default_hooks_are_one_complete_static_table)
{
    const struct rmap_allocator *a = rmap_alloc_default();
    CHECK(a != NULL);
    CHECK_EQ(a, rmap_alloc_default());
    CHECK_EQ(a->struct_size, sizeof *a);
    CHECK(a->alloc && a->free);
}

RMAP_TEST(alloc, default_memory_is_zeroed_and_aligned)
{
    check_zeroed_and_aligned(rmap_alloc_default());
}

RMAP_TEST(alloc, default_says_NULL_when_it_cannot)
{
    const struct rmap_allocator *a = rmap_alloc_default();
    CHECK(a->alloc(a->ctx, SIZE_MAX / 2, 16) == NULL);
    CHECK(a->alloc(a->ctx, SIZE_MAX / 2, 4096) == NULL);
}

struct thing {
    uint64_t words[5];
};

RMAP_TEST(alloc, typed_calls_release_what_they_asked_for)
{
    struct test_alloc t;
    test_alloc_init(&t);

    struct thing *thing = RMAP__NEW(&t.a, struct thing);
    CHECK(thing != NULL);
    CHECK(all_bytes_are((const unsigned char *)thing, sizeof *thing, 0));
    CHECK_EQ((uintptr_t)thing % alignof(max_align_t), 0);
    CHECK_EQ(t.live_bytes, sizeof *thing);
    CHECK_EQ(t.live_blocks, 1);

    void *bytes = rmap__alloc(&t.a, 7);
    CHECK_EQ(t.live_bytes, sizeof *thing + 7);
    rmap__free(&t.a, bytes, 7);
    rmap__free(&t.a, NULL, 7);
    RMAP__DELETE(&t.a, thing);
    CHECK_EQ(t.live_bytes, 0);
    CHECK_EQ(t.live_blocks, 0);
    CHECK_EQ(t.peak_bytes, sizeof *thing + 7);
}

RMAP_TEST(counting_alloc, memory_is_zeroed_and_aligned)
{
    struct test_alloc t;
    test_alloc_init(&t);
    check_zeroed_and_aligned(&t.a);
    CHECK_EQ(t.live_blocks, 0);
    CHECK_EQ(t.live_bytes, 0);
    CHECK_EQ(t.failed, 0);
}

/* Bit i of the answer: did the i-th of eight allocations succeed? */
static unsigned pattern_of_eight(struct test_alloc *t)
{
    unsigned pattern = 0;
    for (unsigned i = 0; i < 8; i++) {
        void *p = rmap__alloc(&t->a, 10);
        if (p) pattern |= 1U << i;
        rmap__free(&t->a, p, 10);
    }
    return pattern;
}

RMAP_TEST(counting_alloc, fails_the_chosen_call_once_or_for_ever)
{
    struct test_alloc t;
    test_alloc_init(&t);
    CHECK_EQ(pattern_of_eight(&t), 0xff);
    CHECK_EQ(t.calls, 8);

    t.fail_at = t.calls + 3; /* the third from here */
    CHECK_EQ(pattern_of_eight(&t), 0xfb);
    CHECK_EQ(t.failed, 1);

    t.fail_at = t.calls + 3;
    t.fail_forever = true;
    CHECK_EQ(pattern_of_eight(&t), 0x03);
    CHECK_EQ(t.failed, 7);
    CHECK_EQ(t.calls, 24);

    t.fail_at = 0; /* and 0 ends it */
    CHECK_EQ(pattern_of_eight(&t), 0xff);
    CHECK_EQ(t.live_blocks, 0);
}
