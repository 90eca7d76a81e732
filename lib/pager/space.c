/* SPDX-License-Identifier: MIT */
/**
 * @file pager/space.c  The lives of spaces: create, exec, destroy.
 *
 * The provider is called with nothing locked: making a window may block, and a fault that another thread resolves for the
 * provider wants a space lock.
 */
#include <pager/pager_internal.h>

int rmap__space_range(const struct rmap_space *s, rmap_vpn_t first, uint64_t count)
{
    return count && first < s->mmu.pages && count <= s->mmu.pages - first ? 0 : RMAP_ERR_RANGE;
}

static int client_fault(void *ctx, rmap_vpn_t vpn, unsigned access)
{
    return rmap_space_fault(ctx, vpn, access);
}

int rmap__space_alloc(struct rmap_pager *p, struct rmap_space **out)
{
    struct rmap_space *s = RMAP__NEW(&p->alloc, struct rmap_space);
    if (!s) return RMAP_ERR_NOMEM;
    s->p = p;
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    const struct rmap_mmu_client client = {.ctx = s, .fault = client_fault};
    int rc = p->provider.create(p->provider.ctx, &client, &s->mmu);
    if (rc) {
        pthread_rwlock_destroy(&s->lock);
        RMAP__DELETE(&p->alloc, s);
        return rc;
    }
    rmap__regions_init(&s->regions, &p->alloc, s->mmu.pages);
    if (!s->mmu.ops || !s->mmu.ops->format || s->mmu.ops->format->page_shift != p->page_shift) {
        rmap__space_free(s);
        return RMAP_ERR_INVALID;
    }
    *out = s;
    return 0;
}

void rmap__space_free(struct rmap_space *s)
{
    const struct rmap_allocator *alloc = &s->p->alloc;
    s->p->provider.destroy(s->p->provider.ctx, &s->mmu);
    rmap__regions_clear(&s->regions);
    pthread_rwlock_destroy(&s->lock);
    RMAP__DELETE(alloc, s);
}

static int by_address(const struct rmap_space *a, const struct rmap_space *b)
{
    return (a > b) - (a < b);
}
RB_GENERATE_INTERNAL(rmap__space_tree, rmap_space, node, by_address, static __attribute__((unused)))

struct rmap_space *rmap__space_hold(struct rmap_pager *p, const struct rmap_member *m)
{
    /* A space's members lie inside it: look for the space that contains their address. */
    rmap__mutex_lock(&p->lock, RMAP__RANK_BOOKS);
    struct rmap_space *s = RB_ROOT(&p->by_address);
    while (s && ((const char *)m < (const char *)s || (const char *)m >= (const char *)(s + 1)))
        s = (const char *)m < (const char *)s ? RB_LEFT(s, node) : RB_RIGHT(s, node);
    if (s) s->holds++;
    rmap__mutex_unlock(&p->lock, RMAP__RANK_BOOKS);
    return s;
}

void rmap__space_let_go(struct rmap_space *s)
{
    struct rmap_pager *p = s->p;
    rmap__mutex_lock(&p->lock, RMAP__RANK_BOOKS);
    if (--s->holds == 0) pthread_cond_broadcast(&p->unheld);
    rmap__mutex_unlock(&p->lock, RMAP__RANK_BOOKS);
}

void rmap__space_list(struct rmap_space *s)
{
    struct rmap_pager *p = s->p;
    rmap__mutex_lock(&p->lock, RMAP__RANK_BOOKS);
    LIST_INSERT_HEAD(&p->spaces, s, link);
    RB_INSERT(rmap__space_tree, &p->by_address, s);
    if (++p->stats.spaces > p->stats.spaces_peak) p->stats.spaces_peak = p->stats.spaces;
    rmap__mutex_unlock(&p->lock, RMAP__RANK_BOOKS);
}

void rmap__space_unlist(struct rmap_space *s)
{
    struct rmap_pager *p = s->p;
    rmap__mutex_lock(&p->lock, RMAP__RANK_BOOKS);
    LIST_REMOVE(s, link);
    RB_REMOVE(rmap__space_tree, &p->by_address, s);
    p->stats.spaces--;
    rmap__fault_counters_add(s, &p->stats);
    while (s->holds) pthread_cond_wait(&p->unheld, &p->lock);
    rmap__mutex_unlock(&p->lock, RMAP__RANK_BOOKS);
}

void rmap__space_clear(struct rmap_space *s)
{
    rmap_zap(rmap__space_member(s), 0, s->mmu.pages, NULL);
    rmap__commit_uncharge(s, s->charged);
    rmap__regions_clear(&s->regions);
}

/* Become the first member of a new group. */
static int join(struct rmap_space *s, struct rmap_member *m)
{
    int rc = rmap_member_init(s->p->r, m, &s->mmu);
    if (!rc) rmap_member_set_policy(m, s->p->move_policy);
    return rc;
}

int rmap_space_create(struct rmap_pager *p, struct rmap_space **out)
{
    if (!p || !out) return RMAP_ERR_NULL_ARG;
    struct rmap_space *s;
    int rc = rmap__space_alloc(p, &s);
    if (rc) return rc;
    struct rmap__call c;
    if (!(rc = rmap__call_begin(&c, p))) {
        if (!(rc = join(s, rmap__space_member(s)))) rmap__space_list(s);
        rmap__call_end(&c);
    }
    if (rc)
        rmap__space_free(s);
    else
        *out = s;
    return rc;
}

int rmap_space_exec(struct rmap_space *s)
{
    struct rmap__call c;
    int rc = rmap__space_enter_exclusive(&c, s);
    if (rc) return rc;
    /* The new group is joined first, since that may fail. Until the old one is left both members name the same tables,
     * but no page belongs to the new group yet, so no walk comes here through it. */
    struct rmap_member *old = rmap__space_member(s), *fresh = &s->member[!s->current];
    fresh->user = old->user;
    if (!(rc = join(s, fresh))) {
        rmap__space_clear(s);
        rmap__trim(s, 0, s->mmu.pages);
        if (!(rc = rmap_member_leave(old))) /* refused as in rmap_space_destroy */
            s->current = !s->current;
        else
            rmap_member_leave(fresh);
    }
    rmap__space_leave(&c);
    return rc;
}

int rmap_space_destroy(struct rmap_space *s)
{
    struct rmap__call c;
    int rc = rmap__space_enter_exclusive(&c, s);
    if (rc) return rc;
    rmap__space_clear(s);
    rc = rmap_member_leave(rmap__space_member(s)); /* refused for a huge entry that is none of ours: the space stays */
    s->dead = rc == 0;
    rmap__space_leave(&c);
    if (rc) return rc;
    rmap__space_unlist(s);
    rmap__space_free(s);
    return 0;
}

int rmap_space_set_move_policy(struct rmap_space *s, enum rmap_move_policy policy)
{
    struct rmap__call c;
    int rc = rmap__space_enter_exclusive(&c, s);
    if (rc) return rc;
    rc = rmap_member_set_policy(rmap__space_member(s), policy);
    rmap__space_leave(&c);
    return rc;
}

struct rmap_member *rmap_space_member(struct rmap_space *s)
{
    return s ? rmap__space_member(s) : NULL;
}

void rmap_space_set_user(struct rmap_space *s, void *user)
{
    if (s) s->user = user;
}

void *rmap_space_user(const struct rmap_space *s)
{
    return s ? s->user : NULL;
}
