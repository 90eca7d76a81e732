/* SPDX-License-Identifier: MIT */
/** @file core/group.c  Members and the lives of groups. */
#include <core/position.h>
#include <core/track.h>

int rmap__mmu_check(const struct rmap_mmu *mmu)
{
    if (!mmu || !mmu->ops) return RMAP_ERR_NULL_ARG;
    const struct rmap_mmu_ops *o = mmu->ops;
    if (o->struct_size != sizeof *o) return RMAP_ERR_STRUCT_SIZE;
    if (!o->run_find || !o->run_make || !o->run_unlock || !o->reserve || !o->unreserve) return RMAP_ERR_NULL_ARG;
    if (!o->run_peek != !o->run_lock) return RMAP_ERR_NULL_ARG;
    if (!o->flush && !(o->caps & RMAP_MMU_NO_TLB)) return RMAP_ERR_NULL_ARG;
    if (mmu->pages == 0 || mmu->pages > RMAP_VPN_MAX) return RMAP_ERR_INVALID;
    return rmap_pte_format_check(o->format);
}

static struct rmap__group *group_create(struct rmap *r, const struct rmap_pte_format *format)
{
    struct rmap__group *g = RMAP__NEW(&r->alloc, struct rmap__group);
    if (!g) return NULL;
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&g->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    g->r = r;
    g->format = format;
    LIST_INIT(&g->visits);
    pthread_spin_init(&g->visits_lock, PTHREAD_PROCESS_PRIVATE);
    rmap__mutex_lock(&r->lock, RMAP__RANK_INSTANCE);
    LIST_INSERT_HEAD(&r->groups, g, link);
    rmap__mutex_unlock(&r->lock, RMAP__RANK_INSTANCE);
    RMAP__COUNT(r, groups, 1);
    return g;
}

static void group_free(struct rmap *r, struct rmap__group *g)
{
    pthread_rwlock_destroy(&g->lock);
    pthread_spin_destroy(&g->visits_lock);
    RMAP__DELETE(&r->alloc, g);
    RMAP__UNCOUNT(r, groups, 1);
}

/* A group without members: gone if no tag is left either, else kept aside until its last page or slot lets go. */
static void group_retire(struct rmap__group *g)
{
    struct rmap *r = g->r;
    rmap__mutex_lock(&r->lock, RMAP__RANK_INSTANCE);
    LIST_REMOVE(g, link);
    if (atomic_load_explicit(&g->tags, memory_order_acquire)) {
        LIST_INSERT_HEAD(&r->ghosts, g, link);
        atomic_fetch_add_explicit(&r->ghost_count, 1, memory_order_relaxed);
        g = NULL;
    }
    rmap__mutex_unlock(&r->lock, RMAP__RANK_INSTANCE);
    if (!g) return;
    group_free(r, g);
}

void rmap__ghosts_reap(struct rmap *r)
{
    rmap__mutex_lock(&r->lock, RMAP__RANK_INSTANCE);
    struct rmap__group *g, *next;
    for (g = LIST_FIRST(&r->ghosts); g; g = next) {
        next = LIST_NEXT(g, link);
        if (!rmap__group_trywrlock(g)) continue; /* somebody looks at one of its pages */
        struct rmap__tag *dead = rmap__tags_reap(g);
        rmap__group_unlock(g);
        rmap__tags_free(g, dead);
        if (atomic_load_explicit(&g->tags, memory_order_acquire)) continue;
        LIST_REMOVE(g, link);
        atomic_fetch_sub_explicit(&r->ghost_count, 1, memory_order_relaxed);
        group_free(r, g);
    }
    rmap__mutex_unlock(&r->lock, RMAP__RANK_INSTANCE);
}

static void member_reset(struct rmap *r, struct rmap_member *m, const struct rmap_mmu *mmu)
{
    void *user = m->user;
    memset(m, 0, sizeof *m);
    m->user = user;
    m->r = r;
    m->mmu = *mmu;
}

int rmap_member_init(struct rmap *r, struct rmap_member *m, const struct rmap_mmu *mmu)
{
    if (!r || !m) return RMAP_ERR_NULL_ARG;
    if (m->node) return RMAP_ERR_EXISTS;
    int err = rmap__mmu_check(mmu);
    if (err) return err;
    struct rmap__spare spare;
    if ((err = rmap__spare_fill(r, &spare, 1, 1))) return err;
    struct rmap__group *g = group_create(r, mmu->ops->format);
    if (!g) {
        rmap__spare_drop(r, &spare);
        return RMAP_ERR_NOMEM;
    }
    member_reset(r, m, mmu);
    rmap__group_wrlock(g);
    rmap__tree_plant(g, m, &spare);
    rmap__group_unlock(g);
    return 0;
}

void rmap__member_remove(struct rmap_member *m)
{
    struct rmap__group *g = rmap__member_group(m);
    struct rmap *r = m->r;
    struct rmap__garbage garbage = {0};
    struct rmap__track *track = m->track;
    rmap__group_wrlock(g);
    m->track = NULL;
    rmap__tree_remove(g, m, &garbage);
    struct rmap__tag *dead = rmap__tags_reap(g);
    bool last = g->members == 0;
    rmap__group_unlock(g);
    rmap__tags_free(g, dead);
    rmap__garbage_free(r, &garbage);
    rmap__track_put(r, track);
    if (last) group_retire(g);
    if (atomic_load_explicit(&r->ghost_count, memory_order_relaxed)) rmap__ghosts_reap(r);
}

int rmap_member_leave(struct rmap_member *m)
{
    if (!m) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    if (m->forking || m->newborn || m->mapped || m->swapped) return RMAP_ERR_BUSY;
    rmap__member_remove(m);
    return 0;
}

int rmap_member_set_policy(struct rmap_member *m, enum rmap_move_policy policy)
{
    if (!m) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    if (policy != RMAP_MOVE_POLICY_COPY && policy != RMAP_MOVE_POLICY_TRACK) return RMAP_ERR_INVALID;
    m->policy = policy;
    return 0;
}

int rmap_member_trim(struct rmap_member *m, rmap_vpn_t first, uint64_t count)
{
    if (!m) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    int err = rmap__range_check(&m->mmu, first, count);
    if (err || !m->mmu.ops->trim) return err;
    struct rmap__group *g = rmap__member_group(m);
    rmap__group_wrlock(g);
    m->mmu.ops->trim(m->mmu.ctx, first, first + count);
    rmap__group_unlock(g);
    return 0;
}

bool rmap_member_is_candidate(struct rmap_member *m, const struct rmap_page *page)
{
    if (!m || !page || !m->node) return false;
    rmap_owner_t owner = rmap_page_owner(page);
    if (!owner) return false;
    struct rmap__tag *t = rmap__owner_tag(owner);
    if (t->group != rmap__member_group(m)) return false;
    rmap__group_rdlock(t->group);
    bool yes = rmap__epoch_covers(rmap__tag_find(t)->epoch, m->node);
    rmap__group_unlock(t->group);
    return yes;
}

int rmap_group_get_shape(struct rmap_member *m, struct rmap_group_shape *out)
{
    if (!m || !out) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    struct rmap__group *g = rmap__member_group(m);
    rmap__group_rdlock(g);
    *out = (struct rmap_group_shape){.members = g->members, .nodes = g->nodes, .epochs = g->epochs, .tags = g->tags};
    rmap__group_unlock(g);
    out->bytes = sizeof *g + out->nodes * sizeof(struct rmap__node) + out->epochs * sizeof(struct rmap__epoch) +
                 out->tags * sizeof(struct rmap__tag);
    return 0;
}

uint64_t rmap_group_members(struct rmap_member *m)
{
    struct rmap_group_shape s;
    return rmap_group_get_shape(m, &s) ? 0 : s.members;
}

rmap_owner_t rmap_member_home(struct rmap_member *m)
{
    return m && m->node ? rmap__tag_owner(m->home_tag) : 0;
}
