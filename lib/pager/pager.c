/* SPDX-License-Identifier: MIT */
/** @file pager/pager.c  The pager as an object: what it is made of, in which order it comes and goes. */
#include <pager/pager_internal.h>

static int options_check(const struct rmap_pager_options *o)
{
    if (o->struct_size != sizeof *o) return RMAP_ERR_STRUCT_SIZE;
    if (!o->provider) return RMAP_ERR_NULL_ARG;
    if (o->provider->struct_size != sizeof *o->provider) return RMAP_ERR_STRUCT_SIZE;
    if (!o->provider->create || !o->provider->destroy) return RMAP_ERR_NULL_ARG;
    if (o->alloc && o->alloc->struct_size != sizeof *o->alloc) return RMAP_ERR_STRUCT_SIZE;
    if (o->alloc && (!o->alloc->alloc || !o->alloc->free)) return RMAP_ERR_NULL_ARG;
    if (o->frames < RMAP__FRAMES_MIN || o->frames > RMAP__FRAMES_MAX) return RMAP_ERR_RANGE;
    if (o->page_shift < 12 || o->page_shift > 16 || o->evict_batch > RMAP__EVICT_MAX) return RMAP_ERR_RANGE;
    if (o->memory && (o->memory->page_shift != o->page_shift || o->memory->frames < o->frames)) return RMAP_ERR_RANGE;
    if (o->swap_around > RMAP__CLUSTER || (o->swap_around & (o->swap_around - 1))) return RMAP_ERR_RANGE;
    if (o->move_policy != RMAP_MOVE_POLICY_COPY && o->move_policy != RMAP_MOVE_POLICY_TRACK) return RMAP_ERR_INVALID;
    if (o->provider->memory && o->provider->memory != o->memory) return RMAP_ERR_INVALID;
    return 0;
}

/* None of these can fail with what Linux's C libraries put into them. */
static void locks_init(struct rmap_pager *p)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&p->reclaim_lock, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_mutex_init(&p->vacate_lock, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->unheld, NULL);
}

static void locks_fini(struct rmap_pager *p)
{
    pthread_cond_destroy(&p->unheld);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->vacate_lock);
    pthread_mutex_destroy(&p->reclaim_lock);
}

/* Slot map, instance, frame section, zero page. Each step is undone by core_fini as far as it came. */
static int core_init(struct rmap_pager *p)
{
    const struct rmap_swap_options so = {.struct_size = sizeof so, .alloc = &p->alloc, .page_shift = p->page_shift};
    int rc = rmap_swap_create(&so, &p->swap);
    if (rc) return rc;
    const struct rmap_options ro = {
        .struct_size = sizeof ro,
        .alloc = &p->alloc,
        .frames = &rmap__frame_ops,
        .frames_ctx = p,
        .swap = rmap_swap_get_ops(),
        .swap_ctx = p->swap,
    };
    if ((rc = rmap_create(&ro, &p->r))) return rc;
    if ((rc = rmap_swap_bind(p->swap, p->r))) return rc;
    const struct rmap_frame_section section = {
        .base = &p->frames.frame->page,
        .stride = sizeof *p->frames.frame,
        .first = 0,
        .count = p->frames.total,
    };
    if ((rc = rmap_frames_add(p->r, &section))) return rc;
    if ((rc = rmap_page_alloc(p->r, 0, &p->zero))) return rc;
    struct rmap_page *listed;
    rmap__list_isolate(p, RMAP__LIST_ACTIVE, &listed, 1);
    rmap_page_put(p->r, listed);
    rmap_page_set_flags(p->zero, RMAP_PAGE_SPECIAL);
    p->zero_pfn = rmap_page_pfn(p->r, p->zero);
    rmap__frame_ops.clear(p, p->zero_pfn);
    return 0;
}

/* Nothing in here can be refused: spaces are gone and no frame but the zero frame is in use. */
static void core_fini(struct rmap_pager *p)
{
    if (p->zero) {
        rmap_page_clear_flags(p->zero, RMAP_PAGE_SPECIAL);
        rmap_page_put(p->r, p->zero);
    }
    if (p->swap) rmap_swap_destroy(p->swap);
    if (p->r) rmap_destroy(p->r);
}

static void set_marks(struct rmap_pager *p, unsigned evict_batch)
{
    uint64_t eighth = p->frames.total / 8, low = p->frames.total / 64;
    uint64_t batch = evict_batch ? evict_batch : RMAP__EVICT_DEFAULT;
    p->evict_batch = (unsigned)(batch < eighth ? batch : eighth);
    p->low_frames = low < p->evict_batch ? low : p->evict_batch;
    if (p->low_frames == 0) p->low_frames = 1;
}

int rmap_pager_create(const struct rmap_pager_options *options, struct rmap_pager **out)
{
    if (!options || !out) return RMAP_ERR_NULL_ARG;
    int rc = options_check(options);
    if (rc) return rc;
    const struct rmap_allocator alloc = options->alloc ? *options->alloc : *rmap_alloc_default();
    struct rmap_pager *p = RMAP__NEW(&alloc, struct rmap_pager);
    if (!p) return RMAP_ERR_NOMEM;
    p->alloc = alloc;
    p->provider = *options->provider;
    p->page_shift = options->page_shift;
    p->commit_limit = options->commit_limit;
    p->move_policy = options->move_policy;
    p->swap_around = options->swap_around ? options->swap_around : 1;
    LIST_INIT(&p->spaces);

    locks_init(p);
    p->memory = options->memory ? options->memory : &p->own_memory;
    if (!options->memory && (rc = rmap_memory_init(&p->own_memory, options->frames, p->page_shift))) goto no_memory;
    if ((rc = rmap__frames_init(p, options->frames))) goto no_frames;
    set_marks(p, options->evict_batch);
    if ((rc = core_init(p))) goto no_core;
    /* Last, since the device stays the caller's if anything fails. */
    if (options->swap && (rc = rmap_pager_add_swap(p, options->swap))) goto no_core;
    *out = p;
    return 0;

no_core:
    core_fini(p);
    rmap__frames_fini(p);
no_frames:
    if (!options->memory) rmap_memory_fini(&p->own_memory);
no_memory:
    locks_fini(p);
    RMAP__DELETE(&alloc, p);
    return rc;
}

int rmap_pager_destroy(struct rmap_pager *p)
{
    if (!p) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__call_begin(&c, p);
    if (rc) return rc;
    rmap__call_end(&c);
    if (!LIST_EMPTY(&p->spaces) || rmap__frames_used(p) > 1) return RMAP_ERR_BUSY; /* the last call: nobody else's */

    const struct rmap_allocator alloc = p->alloc;
    core_fini(p);
    rmap__frames_fini(p);
    if (p->memory == &p->own_memory) rmap_memory_fini(&p->own_memory);
    locks_fini(p);
    RMAP__DELETE(&alloc, p);
    return 0;
}

struct rmap *rmap_pager_rmap(struct rmap_pager *p)
{
    return p ? p->r : NULL;
}

struct rmap_swap *rmap_pager_swap(struct rmap_pager *p)
{
    return p && p->has_swap ? p->swap : NULL;
}

int rmap_pager_add_swap(struct rmap_pager *p, struct rmap_device *device)
{
    if (!p || !device) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__call_begin(&c, p);
    if (rc) return rc;
    rmap__mutex_lock(&p->lock, RMAP__RANK_BOOKS);
    rc = rmap_swap_add(p->swap, device);
    if (!rc) p->has_swap = true;
    rmap__mutex_unlock(&p->lock, RMAP__RANK_BOOKS);
    rmap__call_end(&c);
    return rc;
}

int64_t rmap_reclaim(struct rmap_pager *p, uint64_t n)
{
    if (!p) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__call_begin(&c, p);
    if (rc) return rc;
    uint64_t freed = 0;
    if (rmap__reclaim_begin(p)) {
        freed = rmap__reclaim(p, n);
        rmap__reclaim_end(p);
    }
    rmap__call_end(&c);
    return (int64_t)freed;
}
