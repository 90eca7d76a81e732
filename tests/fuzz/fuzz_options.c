/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz/fuzz_options.c  Constructors and their option structs (H5), verbs and their arguments (H1): refused without a
 * trace, or working.
 *
 * A byte chooses the constructor, the bytes behind it its options; see options.h.
 */
#include "fuzz/options.h"

#include <stdlib.h>

#define BLOCK_MAX ((size_t)1 << 20)

static void *capped_alloc(void *ctx, size_t size, size_t align)
{
    struct options_memory *m = ctx;
    const size_t failed = m->counting.failed;
    void *p = size <= BLOCK_MAX ? m->counting.a.alloc(m->counting.a.ctx, size, align) : NULL;
    if (!p && m->counting.failed == failed)
        m->counting.failed++; /* too large; or the system refused it, or its alignment */
    return p;
}

static void capped_free(void *ctx, void *p, size_t size, size_t align)
{
    struct options_memory *m = ctx;
    m->counting.a.free(m->counting.a.ctx, p, size, align);
}

void options_memory_init(struct options_memory *m)
{
    test_alloc_init(&m->counting);
    m->refused = 0;
    m->elsewhere = false;
    m->capped =
        (struct rmap_allocator){.struct_size = sizeof m->capped, .ctx = m, .alloc = capped_alloc, .free = capped_free};
}

bool options_odd(struct fuzz *f)
{
    return fuzz_below(f, 8) == 7;
}

size_t options_struct_size(struct fuzz *f, size_t right)
{
    const size_t sizes[] = {0, right - 1, right + 1, right - 8, right + 8, 2 * right, SIZE_MAX, (size_t)fuzz_word(f)};
    if (!options_odd(f)) return right;
    return sizes[fuzz_below(f, sizeof sizes / sizeof *sizes)];
}

uint64_t options_number(struct fuzz *f, uint64_t right)
{
    static const uint64_t borders[] = {0,
                                       1,
                                       2,
                                       8,
                                       9,
                                       11,
                                       12,
                                       15,
                                       16,
                                       17,
                                       20,
                                       21,
                                       64,
                                       256,
                                       257,
                                       1024,
                                       1025,
                                       (1 << 26) - 1,
                                       1 << 26,
                                       (1 << 26) + 1,
                                       1 << 27,
                                       (1 << 27) + 1,
                                       UINT32_MAX,
                                       UINT64_C(1) << 32,
                                       (UINT64_C(1) << 52) - 1,
                                       UINT64_C(1) << 52,
                                       (UINT64_C(1) << 52) + 1,
                                       INT64_MAX,
                                       UINT64_C(1) << 63,
                                       UINT64_MAX - 4095,
                                       UINT64_MAX};
    const unsigned way = fuzz_below(f, 16);
    if (way < 12) return right;
    if (way == 15) return fuzz_word(f);
    if (way == 14) return right + fuzz_below(f, 3) - 1;
    return borders[fuzz_below(f, sizeof borders / sizeof *borders)];
}

const struct rmap_allocator *options_alloc(struct fuzz *f, struct options_memory *m)
{
    m->variant = m->capped;
    switch (fuzz_below(f, 32)) {
    case 0:
        m->variant.struct_size = options_struct_size(f, sizeof m->variant);
        return &m->variant;
    case 1:
        m->variant.alloc = NULL;
        return &m->variant;
    case 2:
        m->variant.free = NULL;
        return &m->variant;
    case 3:
        return NULL;
    case 4:
        m->counting.fail_at = m->counting.calls + 1 + fuzz_below(f, 16);
        m->counting.fail_forever = fuzz_below(f, 2);
        return &m->capped;
    default:
        return &m->capped;
    }
}

bool options_alloc_is_sound(const struct rmap_allocator *a)
{
    return !a || (a->struct_size == sizeof *a && a->alloc && a->free);
}

bool options_memory_refused(struct options_memory *m)
{
    const bool refused = m->counting.failed > m->refused || m->elsewhere;
    m->refused = m->counting.failed;
    m->elsewhere = false;
    return refused;
}

void options_memory_elsewhere(struct options_memory *m)
{
    m->elsewhere = true;
}

bool options_answer(const char *file, int line, struct options_memory *m, int rc, uint64_t allowed, size_t blocks)
{
    if (rc > 0 || rc <= -64 || (rc && !(allowed >> -rc & 1)))
        test__fail(file, line, "%s (%d) is no documented answer", rmap_error_name(rc), rc);
    if (!options_memory_refused(m) && rc == RMAP_ERR_NOMEM) test__fail(file, line, "NOMEM, but no memory was refused");
    if (rc && m->counting.live_blocks != blocks)
        test__fail(file, line, "%s, but %zu blocks live, before it %zu did", rmap_error_name(rc),
                   m->counting.live_blocks, blocks);
    return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static void (*const of[])(struct fuzz *, struct options_memory *) = {
        options_of_instance, options_of_swap,  options_of_device, options_of_radix, options_of_host,
        options_of_memory,   options_of_pager, options_of_calls,  options_of_calls, options_of_member,
    };
    struct fuzz f;
    fuzz_begin(&f, bytes, n);
    for (unsigned i = 0; i < 8 && (i == 0 || fuzz_more(&f)); i++) {
        static struct options_memory m;
        options_memory_init(&m);
        of[fuzz_below(&f, sizeof of / sizeof *of)](&f, &m);
        CHECK_EQ(m.counting.live_blocks, 0);
    }
    return 0;
}
