/* SPDX-License-Identifier: MIT */
/** @file bench/rivals/slab.c  Where a slab gets its blocks, and that it gives all back. See the header. */
#include "bench/rivals/slab.h"

void slab_init(struct slab *s, struct rival_world *w, size_t bytes)
{
    MUST_HOLD(bytes >= sizeof(void *) && bytes % 8 == 0 && bytes <= SLAB_BLOCK / 2);
    *s = (struct slab){.w = w, .bytes = bytes};
}

void slab_fini(struct slab *s)
{
    MUST_HOLD(!s->used);
    while (s->blocks) {
        void **block = s->blocks;
        s->blocks = *block;
        rival_free(s->w, block, SLAB_BLOCK);
    }
    s->free_records = NULL;
}

void slab__refill(struct slab *s)
{
    char *block = rival_alloc(s->w, SLAB_BLOCK);
    *(void **)block = s->blocks;
    s->blocks = block;
    /* The lowest addresses are handed out first. */
    for (size_t i = SLAB_BLOCK / s->bytes - 1; i; i--) {
        void **record = (void **)(block + i * s->bytes);
        *record = s->free_records;
        s->free_records = record;
    }
}
