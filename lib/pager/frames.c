/* SPDX-License-Identifier: MIT */
/**
 * @file pager/frames.c  Page frames under a budget: the core's frame_ops.
 *
 * Free frames are a bit map. Neighbouring pages get neighbouring frames where that is possible, since an MMU that maps
 * whole runs (host) needs fewer of them then: first the frame that the caller asked for, else the first frame of a
 * wholly free cluster (which leaves room for the pages that follow), else any. Every frame that is handed out enters
 * the active list at once, because the core allocates frames, too (a move that copies), which the pager would otherwise
 * never see.
 */
#include <pager/pager_internal.h>

#define BUSY_ROUNDS 16 /* reclaims in a row that found others at work and freed nothing, before there is no frame */
#define CLUSTER_MASK (((uint64_t)1 << RMAP__CLUSTER) - 1)

/* Is the cluster of `pfn` wholly free? [F] held. */
static bool cluster_is_free(const struct rmap__frames *fs, rmap_pfn_t pfn)
{
    unsigned shift = pfn % 64 / RMAP__CLUSTER * RMAP__CLUSTER;
    return (fs->free_map[pfn / 64] >> shift & CLUSTER_MASK) == CLUSTER_MASK;
}

static uint64_t used(const struct rmap__frames *fs)
{
    return fs->total - fs->free - fs->lost;
}

static void set_free(struct rmap__frames *fs, rmap_pfn_t pfn)
{
    fs->free_map[pfn / 64] |= (uint64_t)1 << pfn % 64;
    fs->free++;
    fs->free_clusters += cluster_is_free(fs, pfn);
}

static void set_used(struct rmap__frames *fs, rmap_pfn_t pfn)
{
    fs->free_clusters -= cluster_is_free(fs, pfn);
    fs->free_map[pfn / 64] &= ~((uint64_t)1 << pfn % 64);
    fs->free--;
    if (used(fs) > fs->used_peak) fs->used_peak = used(fs);
}

/* A bit for each cluster of the word that is wholly free, at the cluster's lowest bit. */
static uint64_t whole_clusters(uint64_t word)
{
    for (unsigned step = 1; step < RMAP__CLUSTER; step *= 2) word &= word >> step;
    uint64_t lowest = 0;
    for (unsigned i = 0; i < 64; i += RMAP__CLUSTER) lowest |= (uint64_t)1 << i;
    return word & lowest;
}

static bool is_shut(const struct rmap__frames *fs, rmap_pfn_t pfn)
{
    return pfn >= fs->shut_first && pfn < fs->shut_end;
}

/* The frames of a word that may be handed out. [F] held. */
static uint64_t open_bits(const struct rmap__frames *fs, uint64_t w)
{
    uint64_t bits = fs->free_map[w];
    if (w * 64 >= fs->shut_end || w * 64 + 64 <= fs->shut_first) return bits;
    for (unsigned i = 0; i < 64; i++)
        if (is_shut(fs, w * 64 + i)) bits &= ~((uint64_t)1 << i);
    return bits;
}

enum what { FRAME, CLUSTER, SHUT_FRAME };

/* First frame at or after the cursor that is free (of the shut ones only if wanted), or that begins a free cluster; NONE if
 * there is none. [F] held. */
static rmap_pfn_t search(struct rmap__frames *fs, enum what what)
{
    for (uint64_t n = 0; n < fs->words; n++) {
        uint64_t w = (fs->cursor + n) % fs->words;
        uint64_t bits = what == SHUT_FRAME ? fs->free_map[w] : open_bits(fs, w);
        if (what == CLUSTER) bits = whole_clusters(bits);
        if (!bits) continue;
        fs->cursor = w;
        return w * 64 + (unsigned)__builtin_ctzll(bits);
    }
    return RMAP_PFN_NONE;
}

static int pick(struct rmap_pager *p, rmap_pfn_t near, rmap_pfn_t *out)
{
    struct rmap__frames *fs = &p->frames;
    if (!fs->free) return RMAP_ERR_NO_FRAME;
    rmap_pfn_t pfn = near < fs->total && rmap__frame_is_free(fs, near) && !is_shut(fs, near)
                         ? near
                         : search(fs, fs->free_clusters ? CLUSTER : FRAME);
    if (pfn == RMAP_PFN_NONE && fs->free_clusters) pfn = search(fs, FRAME);
    if (pfn == RMAP_PFN_NONE)
        pfn = search(fs, SHUT_FRAME); /* better than none: whoever empties the range comes by again */
    set_used(fs, pfn);
    struct rmap__frame *f = &fs->frame[pfn];
    TAILQ_INSERT_HEAD(&fs->list[RMAP__LIST_ACTIVE], f, link);
    f->list = RMAP__LIST_ACTIVE;
    fs->listed[RMAP__LIST_ACTIVE]++;
    *out = pfn;
    return 0;
}

/* Below the low mark reclaim is worth a try; without any free frame a must. @return frames wanted, 0: none. */
static uint64_t shortage(struct rmap_pager *p)
{
    rmap__mutex_lock(&p->frames.lock, RMAP__RANK_FRAMES);
    const uint64_t free = p->frames.free;
    const bool needed = free == 0 || (free < p->low_frames && !p->frames.stuck);
    rmap__mutex_unlock(&p->frames.lock, RMAP__RANK_FRAMES);
    return needed ? p->low_frames - free + p->evict_batch : 0;
}

/* *returned: frames that had come back by the time of this look. */
static int take(struct rmap_pager *p, rmap_pfn_t near, rmap_pfn_t *out, uint64_t *returned)
{
    rmap__mutex_lock(&p->frames.lock, RMAP__RANK_FRAMES);
    int rc = pick(p, near, out);
    *returned = p->frames.returned;
    rmap__mutex_unlock(&p->frames.lock, RMAP__RANK_FRAMES);
    return rc;
}

static bool any_returned(struct rmap_pager *p, uint64_t since)
{
    rmap__mutex_lock(&p->frames.lock, RMAP__RANK_FRAMES);
    bool any = p->frames.returned != since;
    rmap__mutex_unlock(&p->frames.lock, RMAP__RANK_FRAMES);
    return any;
}

/* Pages that other threads have locked now may be had in a moment. */
static void reclaim(struct rmap_pager *p, uint64_t wanted)
{
    uint64_t freed = 0;
    for (unsigned i = 0; !freed && i < BUSY_ROUNDS; i++) {
        if (i) sched_yield();
        freed = rmap__reclaim(p, wanted);
        if (!p->saw_busy) break;
    }
    rmap__mutex_lock(&p->frames.lock, RMAP__RANK_FRAMES);
    p->frames.stuck = freed == 0;
    rmap__mutex_unlock(&p->frames.lock, RMAP__RANK_FRAMES);
}

/* Direct reclaim, in the thread that needs a frame, unless another thread's has helped while we waited for it. @return was
 * it done? */
static bool refill(struct rmap_pager *p)
{
    if (!shortage(p) || !rmap__reclaim_begin(p)) return false;
    const uint64_t wanted = shortage(p);
    if (wanted) reclaim(p, wanted);
    rmap__reclaim_end(p);
    return wanted;
}

bool rmap__frames_afford(struct rmap_pager *p, uint64_t n)
{
    refill(p);
    return rmap__frames_to_spare(p, n);
}

bool rmap__frames_to_spare(struct rmap_pager *p, uint64_t n)
{
    rmap__mutex_lock(&p->frames.lock, RMAP__RANK_FRAMES);
    const bool can = p->frames.free >= p->low_frames + n;
    rmap__mutex_unlock(&p->frames.lock, RMAP__RANK_FRAMES);
    return can;
}

/* There was no frame to be had. `again`: nor after a reclaim a moment ago, which has tried bad slots. @return true if some
 * have come back since, by whomever. */
static bool refill_hard(struct rmap_pager *p, uint64_t since, bool again)
{
    if (!rmap__reclaim_begin(p)) return false;
    if (again) p->retries.in_vain = p->evict_batch;
    if (!any_returned(p, since)) reclaim(p, p->evict_batch);
    rmap__reclaim_end(p);
    return any_returned(p, since);
}

static int frame_alloc(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    struct rmap_pager *p = ctx;
    uint64_t returned;
    int rc;
    bool again = refill(p);
    /* What came free may go to others: then there is progress, and so another try. */
    while ((rc = take(p, near, out, &returned)) == RMAP_ERR_NO_FRAME && refill_hard(p, returned, again)) again = false;
    return rc;
}

/* [F] held. */
static void unlist(struct rmap__frames *fs, struct rmap__frame *f)
{
    if (f->list == RMAP__LIST_NONE) return;
    TAILQ_REMOVE(&fs->list[f->list], f, link);
    fs->listed[f->list]--;
    f->list = RMAP__LIST_NONE;
}

static void frame_lost(void *ctx, rmap_pfn_t pfn)
{
    struct rmap_pager *p = ctx;
    struct rmap__frames *fs = &p->frames;
    rmap__mutex_lock(&fs->lock, RMAP__RANK_FRAMES);
    unlist(fs, &fs->frame[pfn]);
    fs->lost++;
    rmap__mutex_unlock(&fs->lock, RMAP__RANK_FRAMES);
}

static void frame_free(void *ctx, rmap_pfn_t pfn)
{
    struct rmap_pager *p = ctx;
    struct rmap__frames *fs = &p->frames;
    rmap__mutex_lock(&fs->lock, RMAP__RANK_FRAMES);
    unlist(fs, &fs->frame[pfn]);
    RMAP_ASSERT(!rmap__frame_is_free(fs, pfn));
    set_free(fs, pfn);
    fs->returned++;
    if (fs->waiters) pthread_cond_broadcast(&fs->changed);
    fs->stuck = false;
    rmap__mutex_unlock(&fs->lock, RMAP__RANK_FRAMES);
}

static void frame_copy(void *ctx, rmap_pfn_t dst, rmap_pfn_t src)
{
    struct rmap_pager *p = ctx;
    memcpy(rmap__frame_address(p, dst), rmap__frame_address(p, src), (size_t)1 << p->page_shift);
}

static void frame_clear(void *ctx, rmap_pfn_t pfn)
{
    struct rmap_pager *p = ctx;
    memset(rmap__frame_address(p, pfn), 0, (size_t)1 << p->page_shift);
}

static void *frame_address(void *ctx, rmap_pfn_t pfn)
{
    return rmap__frame_address(ctx, pfn);
}

const struct rmap_frame_ops rmap__frame_ops = {
    .struct_size = sizeof rmap__frame_ops,
    .alloc = frame_alloc,
    .free = frame_free,
    .copy = frame_copy,
    .clear = frame_clear,
    .address = frame_address,
    .lost = frame_lost,
};

void rmap__frames_shut(struct rmap_pager *p, rmap_pfn_t first, rmap_pfn_t end)
{
    rmap__mutex_lock(&p->frames.lock, RMAP__RANK_FRAMES);
    p->frames.shut_first = first;
    p->frames.shut_end = end;
    rmap__mutex_unlock(&p->frames.lock, RMAP__RANK_FRAMES);
}

uint64_t rmap__frames_used(struct rmap_pager *p)
{
    rmap__mutex_lock(&p->frames.lock, RMAP__RANK_FRAMES);
    uint64_t n = used(&p->frames);
    rmap__mutex_unlock(&p->frames.lock, RMAP__RANK_FRAMES);
    return n;
}

bool rmap__frame_is_lost(struct rmap_pager *p, rmap_pfn_t pfn)
{
    const struct rmap_page *page = &p->frames.frame[pfn].page;
    rmap__mutex_lock(&p->frames.lock, RMAP__RANK_FRAMES);
    bool lost = (rmap_page_flags(page) & RMAP_PAGE_POISON) && !page->refcount;
    rmap__mutex_unlock(&p->frames.lock, RMAP__RANK_FRAMES);
    return lost;
}

bool rmap__frame_retire(struct rmap_pager *p, rmap_pfn_t pfn)
{
    struct rmap__frames *fs = &p->frames;
    rmap__mutex_lock(&fs->lock, RMAP__RANK_FRAMES);
    bool is_free = rmap__frame_is_free(fs, pfn);
    if (is_free) {
        rmap_page_set_flags(&fs->frame[pfn].page, RMAP_PAGE_POISON);
        fs->lost++;
        set_used(fs, pfn);
    }
    rmap__mutex_unlock(&fs->lock, RMAP__RANK_FRAMES);
    return is_free;
}

int rmap__frames_init(struct rmap_pager *p, uint64_t frames)
{
    struct rmap__frames *fs = &p->frames;
    fs->total = frames;
    fs->words = (frames + 63) / 64;
    fs->frame = rmap__alloc(&p->alloc, frames * sizeof *fs->frame);
    fs->free_map = rmap__alloc(&p->alloc, fs->words * sizeof *fs->free_map);
    if (fs->frame && fs->free_map) {
        pthread_mutexattr_t attr;
        pthread_mutexattr_init(&attr);
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP); /* held for moments: spin before a system call */
        pthread_mutex_init(&fs->lock, &attr);
        pthread_mutexattr_destroy(&attr);
        pthread_cond_init(&fs->changed, NULL);
    } else {
        rmap__free(&p->alloc, fs->frame, frames * sizeof *fs->frame);
        rmap__free(&p->alloc, fs->free_map, fs->words * sizeof *fs->free_map);
        return RMAP_ERR_NOMEM;
    }
    for (unsigned i = 0; i < RMAP__LISTS; i++) TAILQ_INIT(&fs->list[i]);
    for (rmap_pfn_t pfn = 0; pfn < frames; pfn++) {
        fs->frame[pfn].list = RMAP__LIST_NONE;
        set_free(fs, pfn);
    }
    return 0;
}

void rmap__frames_fini(struct rmap_pager *p)
{
    struct rmap__frames *fs = &p->frames;
    pthread_cond_destroy(&fs->changed);
    pthread_mutex_destroy(&fs->lock);
    rmap__free(&p->alloc, fs->frame, fs->total * sizeof *fs->frame);
    rmap__free(&p->alloc, fs->free_map, fs->words * sizeof *fs->free_map);
}
