/* SPDX-License-Identifier: MIT */
/** @file stress/stamp.c  See the header. */
#include "stress/stamp.h"

#include <string.h>

static const unsigned spot_at[SPOTS] = {0, 1360, 2720, PAGE_BYTES - 32};

static uint64_t check_word(const uint64_t *w)
{
    uint64_t x = w[0] * UINT64_C(0x9e3779b97f4a7c15) + w[1];
    x = (x ^ (x >> 29)) * UINT64_C(0xbf58476d1ce4e5b9) + w[2];
    return (x ^ (x >> 31)) | 1;
}

static void encode(const struct stamp *s, uint64_t *w)
{
    w[0] = (uint64_t)s->group << 32 | s->lineage;
    w[1] = s->place;
    w[2] = s->version;
    w[3] = check_word(w);
}

static bool decode(const uint64_t *w, struct stamp *s)
{
    *s = (struct stamp){.group = (uint32_t)(w[0] >> 32), .lineage = (uint32_t)w[0], .place = w[1], .version = w[2]};
    return w[3] ? w[3] == check_word(w) : !(w[0] | w[1] | w[2]);
}

void stamp_fill(unsigned char *page, const struct stamp *s)
{
    uint64_t w[STAMP_WORDS];
    encode(s, w);
    memset(page, 0, PAGE_BYTES);
    for (unsigned i = 0; i < SPOTS; i++) memcpy(page + spot_at[i], w, sizeof w);
}

const char *stamp_parse(const unsigned char *page, struct stamp *out)
{
    static const unsigned char zero[PAGE_BYTES];
    uint64_t w[STAMP_WORDS];
    memcpy(w, page, sizeof w);
    if (!decode(w, out)) return "its first stamp is torn";
    for (unsigned i = 1; i < SPOTS; i++)
        if (memcmp(page + spot_at[i], w, sizeof w)) return "its stamps differ";
    for (unsigned i = 0; i + 1 < SPOTS; i++)
        if (memcmp(page + spot_at[i] + 32, zero, spot_at[i + 1] - spot_at[i] - 32))
            return "something is between its stamps";
    return NULL;
}

void stamp_store(unsigned char *frame, const struct stamp *s)
{
    uint64_t w[STAMP_WORDS];
    encode(s, w);
    for (unsigned i = 0; i < SPOTS; i++)
        for (unsigned k = 0; k < STAMP_WORDS; k++)
            __atomic_store_n((uint64_t *)(void *)(frame + spot_at[i]) + k, w[k], __ATOMIC_RELAXED);
}

bool stamp_load(const unsigned char *frame, unsigned spot, struct stamp *out)
{
    uint64_t w[STAMP_WORDS];
    for (unsigned k = 0; k < STAMP_WORDS; k++)
        w[k] = __atomic_load_n((const uint64_t *)(const void *)(frame + spot_at[spot]) + k, __ATOMIC_RELAXED);
    return decode(w, out);
}
