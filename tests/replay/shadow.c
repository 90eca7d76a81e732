/* SPDX-License-Identifier: MIT */
/** @file replay/shadow.c  See the header: chunks of 16 pages in a red-black tree, so that no trace makes it slow. */
#include "replay/shadow.h"
#include "replay/room.h"

#define CHUNK 16

struct shadow_chunk {
    RB_ENTRY(shadow_chunk) node;
    uint64_t first; /* a multiple of CHUNK */
    unsigned has;   /* a bit for each page with an entry */
    struct stamp stamp[CHUNK];
};

static int order(const struct shadow_chunk *a, const struct shadow_chunk *b)
{
    return a->first < b->first ? -1 : a->first > b->first;
}

RB_GENERATE_INTERNAL(shadow_tree, shadow_chunk, node, order, static __attribute__((unused)))

/* The tree's macros want a tree that they may change. */
static struct shadow_tree *tree_of(const struct shadow *s)
{
    return (struct shadow_tree *)&s->tree;
}

static struct shadow_chunk *chunk_at(const struct shadow *s, uint64_t vpn)
{
    struct shadow_chunk key = {.first = vpn / CHUNK * CHUNK};
    return RB_FIND(shadow_tree, tree_of(s), &key);
}

/* The first chunk that may have pages from vpn on. */
static struct shadow_chunk *chunk_from(const struct shadow *s, uint64_t vpn)
{
    struct shadow_chunk key = {.first = vpn / CHUNK * CHUNK};
    return RB_NFIND(shadow_tree, tree_of(s), &key);
}

void shadow_fini(struct shadow *s)
{
    struct shadow_chunk *c, *next;
    for (c = RB_MIN(shadow_tree, &s->tree); c; c = next) {
        next = RB_NEXT(shadow_tree, &s->tree, c);
        RB_REMOVE(shadow_tree, &s->tree, c);
        free(c);
    }
    s->pages = 0;
}

void shadow_copy(const struct shadow *from, struct shadow *to)
{
    struct shadow_chunk *c;
    RB_FOREACH(c, shadow_tree, tree_of(from))
    {
        struct shadow_chunk *copy = room_for(1, sizeof *copy);
        *copy = *c;
        RB_INSERT(shadow_tree, &to->tree, copy);
    }
    to->pages = from->pages;
}

const struct stamp *shadow_find(const struct shadow *s, uint64_t vpn)
{
    const struct shadow_chunk *c = chunk_at(s, vpn);
    return c && c->has >> vpn % CHUNK & 1 ? &c->stamp[vpn % CHUNK] : NULL;
}

const struct stamp *shadow_next(const struct shadow *s, uint64_t *vpn)
{
    for (struct shadow_chunk *c = chunk_from(s, *vpn); c; c = RB_NEXT(shadow_tree, tree_of(s), c)) {
        if (*vpn < c->first) *vpn = c->first;
        for (; *vpn < c->first + CHUNK; ++*vpn)
            if (c->has >> *vpn % CHUNK & 1) return &c->stamp[*vpn % CHUNK];
    }
    return NULL;
}

void shadow_set(struct shadow *s, uint64_t vpn, const struct stamp *stamp)
{
    struct shadow_chunk *c = chunk_at(s, vpn);
    if (!c) {
        c = room_for(1, sizeof *c);
        c->first = vpn / CHUNK * CHUNK;
        RB_INSERT(shadow_tree, &s->tree, c);
    }
    s->pages += !(c->has >> vpn % CHUNK & 1);
    c->has |= 1u << vpn % CHUNK;
    c->stamp[vpn % CHUNK] = *stamp;
}

static void clear_page(struct shadow *s, uint64_t vpn)
{
    struct shadow_chunk *c = chunk_at(s, vpn);
    c->has &= ~(1u << vpn % CHUNK);
    s->pages--;
    if (c->has) return;
    RB_REMOVE(shadow_tree, &s->tree, c);
    free(c);
}

void shadow_clear(struct shadow *s, uint64_t first, uint64_t end)
{
    while (shadow_next(s, &first) && first < end) clear_page(s, first++);
}

void shadow_move(struct shadow *s, uint64_t from, uint64_t to, uint64_t count)
{
    const struct stamp *stamp;
    const uint64_t end = from + count, shift = to - from; /* wraps, and back */
    for (uint64_t vpn = from; (stamp = shadow_next(s, &vpn)) && vpn < end; vpn++) {
        const struct stamp carried = *stamp;
        clear_page(s, vpn);
        shadow_set(s, vpn + shift, &carried);
    }
}
