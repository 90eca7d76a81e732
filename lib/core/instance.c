/* SPDX-License-Identifier: MIT */
/** @file core/instance.c  Making and ending an instance; its counters. */
#include <core/core.h>

int rmap_create(const struct rmap_options *o, struct rmap **out)
{
    if (!o || !out || !o->frames) return RMAP_ERR_NULL_ARG;
    if (o->struct_size != sizeof *o || o->frames->struct_size != sizeof *o->frames) return RMAP_ERR_STRUCT_SIZE;
    if (o->swap && o->swap->struct_size != sizeof *o->swap) return RMAP_ERR_STRUCT_SIZE;
    if (o->alloc && o->alloc->struct_size != sizeof *o->alloc) return RMAP_ERR_STRUCT_SIZE;
    const struct rmap_swap_ops *w = o->swap;
    if (w && (!w->dup || !w->put || !w->count || !w->get_home || !w->set_home || !w->forget)) return RMAP_ERR_NULL_ARG;
    if (!o->frames->alloc || !o->frames->free || !o->frames->copy) return RMAP_ERR_NULL_ARG;
    const struct rmap_allocator *a = o->alloc ? o->alloc : rmap_alloc_default();
    if (!a->alloc || !a->free) return RMAP_ERR_NULL_ARG;
    struct rmap *r = RMAP__NEW(a, struct rmap);
    if (!r) return RMAP_ERR_NOMEM;
    r->alloc = *a;
    r->frames = o->frames;
    r->frames_ctx = o->frames_ctx;
    r->swap = o->swap;
    r->swap_ctx = o->swap_ctx;
    pthread_mutex_init(&r->lock, NULL);
    LIST_INIT(&r->groups);
    LIST_INIT(&r->ghosts);
    *out = r;
    return 0;
}

int rmap_destroy(struct rmap *r)
{
    if (!r) return RMAP_ERR_NULL_ARG;
    rmap__ghosts_reap(r);
    if (!LIST_EMPTY(&r->groups) || !LIST_EMPTY(&r->ghosts)) return RMAP_ERR_BUSY;
    rmap__free(&r->alloc, r->sections, r->section_count * sizeof *r->sections);
    pthread_mutex_destroy(&r->lock);
    struct rmap_allocator a = r->alloc;
    RMAP__DELETE(&a, r);
    return 0;
}

unsigned rmap_mapper_class(uint32_t mapcount)
{
    return rmap__mapper_class(mapcount);
}

static struct rmap_walk_stats walk_stats(const struct rmap__walk_counters *c)
{
    return (struct rmap_walk_stats){c->walks, c->visits, c->nodes, c->hits};
}

int rmap_stats_get(struct rmap *r, struct rmap_stats *out)
{
    if (!r || !out) return RMAP_ERR_NULL_ARG;
    const struct rmap__counters *c = &r->counters;
    for (unsigned v = 0; v < RMAP_WALK_VERBS; v++)
        for (unsigned k = 0; k < RMAP_MAPPER_CLASSES; k++) out->walk[v][k] = walk_stats(&c->walk[v][k]);
    out->first_lookups = walk_stats(&c->first_lookups);
    out->walks_incomplete = c->incomplete;
    out->walks_partial = c->partial;
    out->flushes = c->flushes;
    out->flushed_pages = c->flushed_pages;
    out->flushes_elided = c->flushes_elided;
    out->forks = c->forks;
    out->fork_entries = c->fork_entries;
    out->fork_copied = c->fork_copied;
    out->moved_reindexed = c->moved_reindexed;
    out->moved_copied = c->moved_copied;
    out->moved_tracked = c->moved_tracked;
    out->moved_swap = c->moved_swap;
    out->moved_swap_shared = c->moved_swap_shared;
    out->migrated = c->migrated;
    out->discarded = c->discarded;
    out->poisoned = c->poisoned;
    out->members = c->members;
    out->nodes = c->nodes;
    out->epochs = c->epochs;
    out->tags = c->tags;
    out->tree_bytes = c->nodes * sizeof(struct rmap__node) + c->epochs * sizeof(struct rmap__epoch) +
                      c->tags * sizeof(struct rmap__tag) + c->groups * sizeof(struct rmap__group);
    out->track_bytes = c->track_bytes;
    out->track_records = c->track_records;
    out->mappings = c->mappings;
    out->mappings_peak = c->mappings_peak;
    return 0;
}
