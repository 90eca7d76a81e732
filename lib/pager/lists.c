/* SPDX-License-Identifier: MIT */
/** @file pager/lists.c  The two generations of frames. What reclaim works on is *isolated*: on no list, referenced. */
#include <pager/pager_internal.h>

size_t rmap__list_isolate(struct rmap_pager *p, enum rmap__list_name list, struct rmap_page **out, size_t max)
{
    struct rmap__frames *fs = &p->frames;
    size_t n = 0;
    rmap__mutex_lock(&fs->lock, RMAP__RANK_FRAMES);
    for (uint64_t left = fs->listed[list]; n < max && left; left--) {
        struct rmap__frame *f = TAILQ_LAST(&fs->list[list], rmap__frame_list);
        TAILQ_REMOVE(&fs->list[list], f, link);
        if (!rmap_page_try_get(&f->page)) {
            /* Just being handed out, or on its way back: not ours to touch. */
            TAILQ_INSERT_HEAD(&fs->list[list], f, link);
            continue;
        }
        f->list = RMAP__LIST_NONE;
        fs->listed[list]--;
        out[n++] = &f->page;
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
