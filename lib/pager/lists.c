/* SPDX-License-Identifier: MIT */
/** @file pager/lists.c  The two generations of frames. What reclaim works on is *isolated*: on no list, referenced. */
#include <pager/pager_internal.h>

/* [F] held. */
static void take_out(struct rmap__frames *fs, struct rmap__frame *f)
{
    TAILQ_REMOVE(&fs->list[f->list], f, link);
    fs->listed[f->list]--;
    f->list = RMAP__LIST_NONE;
}

/* Those of the frame's cluster that are in the list, too. [F] held. */
static size_t isolate_cluster(struct rmap_pager *p, const struct rmap__frame *of, enum rmap__list_name list,
                              struct rmap_page **out, size_t max)
{
    struct rmap__frames *fs = &p->frames;
    const rmap_pfn_t pfn = (rmap_pfn_t)(of - fs->frame), first = pfn - pfn % RMAP__CLUSTER;
    size_t n = 0;
    for (rmap_pfn_t i = first; i < first + RMAP__CLUSTER && i < fs->total && n < max; i++) {
        struct rmap__frame *f = &fs->frame[i];
        if (f->list != list || f->along == p->reclaim_number || !rmap_page_try_get(&f->page)) continue;
        f->along = p->reclaim_number;
        take_out(fs, f);
        out[n++] = &f->page;
    }
    return n;
}

size_t rmap__list_isolate(struct rmap_pager *p, enum rmap__list_name list, struct rmap_page **out, size_t max)
{
    struct rmap__frames *fs = &p->frames;
    size_t n = 0;
    rmap__mutex_lock(&fs->lock, RMAP__RANK_FRAMES);
    for (uint64_t left = fs->listed[list]; n < max && left; left--) {
        struct rmap__frame *f = TAILQ_LAST(&fs->list[list], rmap__frame_list);
        if (!rmap_page_try_get(&f->page)) {
            /* Just being handed out, or on its way back: not ours to touch. */
            TAILQ_REMOVE(&fs->list[list], f, link);
            TAILQ_INSERT_HEAD(&fs->list[list], f, link);
            continue;
        }
        take_out(fs, f);
        out[n++] = &f->page;
        if (p->swap_around < 2) continue;
        const size_t along = isolate_cluster(p, f, list, out + n, max - n);
        n += along;
        p->along += along;
        if (left > fs->listed[list] + 1) left = fs->listed[list] + 1;
    }
    rmap__mutex_unlock(&fs->lock, RMAP__RANK_FRAMES);
    return n;
}

void rmap__list_put(struct rmap_pager *p, struct rmap_page *page, enum rmap__list_name list)
{
    struct rmap__frames *fs = &p->frames;
    struct rmap__frame *f = (struct rmap__frame *)page;
    rmap__mutex_lock(&fs->lock, RMAP__RANK_FRAMES);
    RMAP_ASSERT(f->list == RMAP__LIST_NONE);
    TAILQ_INSERT_HEAD(&fs->list[list], f, link);
    f->list = list;
    fs->listed[list]++;
    rmap__mutex_unlock(&fs->lock, RMAP__RANK_FRAMES);
}

void rmap__list_take_place(struct rmap_pager *p, struct rmap_page *page, struct rmap_page *target)
{
    struct rmap__frames *fs = &p->frames;
    struct rmap__frame *old = (struct rmap__frame *)page, *f = (struct rmap__frame *)target;
    rmap__mutex_lock(&fs->lock, RMAP__RANK_FRAMES);
    if (old->list != RMAP__LIST_NONE && f->list != RMAP__LIST_NONE) {
        TAILQ_REMOVE(&fs->list[f->list], f, link);
        fs->listed[f->list]--;
        f->list = old->list;
        TAILQ_INSERT_AFTER(&fs->list[f->list], old, f, link);
        fs->listed[f->list]++;
    }
    rmap__mutex_unlock(&fs->lock, RMAP__RANK_FRAMES);
}

uint64_t rmap__list_count(struct rmap_pager *p, enum rmap__list_name list)
{
    rmap__mutex_lock(&p->frames.lock, RMAP__RANK_FRAMES);
    uint64_t n = p->frames.listed[list];
    rmap__mutex_unlock(&p->frames.lock, RMAP__RANK_FRAMES);
    return n;
}
