/* SPDX-License-Identifier: MIT */
/**
 * @file pager/mremap.c  move: shrink and grow in place, or carry a range elsewhere.
 *
 *     from       from+count                 to          to+keep      to+new_count
 *     [ kept part |  tail  ]      ──▶       [ kept part  | grown part ]
 *
 * Order of a relocation: everything that can be refused (place, memory, charges); a fixed target is emptied; the grown
 * part is made, and populated if it is locked; the core moves the entries, and puts them back if it fails; then the
 * regions follow, from memory that was taken at the start.
 */
#include <pager/pager_internal.h>

#define MOVE_FLAGS ((unsigned)(RMAP_MOVE_FIXED | RMAP_MOVE_KEEP_OLD | RMAP_MOVE_MAYMOVE))

struct move {
    struct rmap_space *s;
    rmap_vpn_t from, to;
    uint64_t count, new_count;
    bool keep_old;
    /* the source region's */
    unsigned prot;
    bool locked, accounted;
    struct rmap__region_stock stock;
};

static void add_region(struct move *mv, rmap_vpn_t first, uint64_t count)
{
    struct rmap__region *r = rmap__region_add(&mv->s->regions, first, count, mv->prot, &mv->stock);
    r->locked = mv->locked;
    r->accounted = mv->accounted;
    if (mv->accounted) rmap__commit_charge(mv->s, count);
}

/* Map [first, first + count), whose charge is reserved, like the source. Not merged yet, so that it can be undone without a cut. */
static int grow(struct move *mv, rmap_vpn_t first, uint64_t count)
{
    add_region(mv, first, count);
    int rc = mv->locked ? rmap__populate(mv->s, first, first + count) : 0;
    if (rc) rmap__unmap_range(mv->s, first, first + count, &mv->stock);
    return rc;
}

static int shrink_in_place(struct move *mv)
{
    const rmap_vpn_t first = mv->from + mv->new_count, end = mv->from + mv->count;
    int rc = rmap__stock_fill(&mv->s->regions, &mv->stock, rmap__regions_cuts(&mv->s->regions, first, end));
    return rc ? rc : rmap__unmap_range(mv->s, first, end, &mv->stock);
}

static bool can_grow_in_place(const struct move *mv)
{
    const rmap_vpn_t end = mv->from + mv->count;
    const uint64_t more = mv->new_count - mv->count;
    if (more > mv->s->mmu.pages - end) return false;
    const struct rmap__region *next = rmap__region_from(&mv->s->regions, end);
    return !next || next->first >= end + more;
}

static int grow_in_place(struct move *mv)
{
    struct rmap__regions *rs = &mv->s->regions;
    const rmap_vpn_t end = mv->from + mv->count;
    const uint64_t more = mv->new_count - mv->count;
    int rc = rmap__stock_fill(rs, &mv->stock, 1);
    if (rc || (rc = rmap__commit_reserve(mv->s, mv->accounted ? more : 0, 0)) || (rc = grow(mv, end, more))) return rc;
    rmap__regions_merge(rs, end, end + more);
    return 0;
}

/* The old range: gone, or kept as a mapping without contents (and so without need of being locked). */
static void settle_source(struct move *mv)
{
    struct rmap__regions *rs = &mv->s->regions;
    const rmap_vpn_t end = mv->from + mv->count;
    if (!mv->keep_old) {
        rmap__unmap_range(mv->s, mv->from, end, &mv->stock);
    } else if (mv->locked) {
        rmap__regions_cut(rs, mv->from, end, &mv->stock);
        rmap__region_find(rs, mv->from)->locked = false;
        rmap__regions_merge(rs, mv->from, end);
    }
}

static int relocate(struct move *mv)
{
    struct rmap_space *s = mv->s;
    struct rmap__regions *rs = &s->regions;
    const rmap_vpn_t to_end = mv->to + mv->new_count;
    const uint64_t kept = mv->count < mv->new_count ? mv->count : mv->new_count, grown = mv->new_count - kept;

    unsigned cuts = rmap__regions_cuts(rs, mv->from, mv->from + mv->count) + rmap__regions_cuts(rs, mv->to, to_end);
    int rc = rmap__stock_fill(rs, &mv->stock, cuts + 2);
    uint64_t add = mv->accounted ? mv->new_count : 0, sub = rmap__regions_pages(rs, mv->to, to_end, true);
    if (mv->accounted && !mv->keep_old) sub += mv->count;
    if (rc || (rc = rmap__commit_reserve(s, add, sub))) return rc;

    if ((rc = rmap__unmap_range(s, mv->to, to_end, &mv->stock))) {
        rmap__commit_unreserve(s, add);
        return rc;
    }
    struct rmap_moved moved;
    if (!grown || !(rc = grow(mv, mv->to + kept, grown))) {
        rc = rmap_move(rmap__space_member(s), mv->from, mv->to, kept, &moved);
        if (rc && grown) rmap__unmap_range(s, mv->to + kept, to_end, &mv->stock);
    }
    if (rc) {
        if (mv->accounted) rmap__commit_unreserve(s, kept);
        rmap__trim(s, mv->to, to_end);
        return rc;
    }
    add_region(mv, mv->to, kept);
    settle_source(mv);
    rmap__regions_merge(rs, mv->to, to_end);
    RMAP__STAT(s->p, moves_reindexed, moved.reindexed);
    RMAP__STAT(s->p, moves_copied, moved.copied);
    RMAP__STAT(s->p, moves_tracked, moved.tracked);
    RMAP__STAT(s->p, moves_swap, moved.swap_moved + moved.swap_shared);
    return 0;
}

static int move_locked(struct move *mv, unsigned flags, rmap_vpn_t *to)
{
    const struct rmap__region *r = rmap__region_find(&mv->s->regions, mv->from);
    if (!r || mv->count > rmap__region_end(r) - mv->from) return RMAP_ERR_ABSENT;
    mv->prot = r->prot;
    mv->locked = r->locked;
    mv->accounted = r->accounted;
    mv->to = *to;

    int rc;
    if (flags & RMAP_MOVE_FIXED) {
        rc = relocate(mv);
    } else if (!mv->keep_old && mv->new_count <= mv->count) {
        mv->to = mv->from;
        rc = mv->new_count < mv->count ? shrink_in_place(mv) : 0;
    } else if (!mv->keep_old && can_grow_in_place(mv)) {
        mv->to = mv->from;
        rc = grow_in_place(mv);
    } else if (!(flags & (RMAP_MOVE_MAYMOVE | RMAP_MOVE_KEEP_OLD))) {
        rc = RMAP_ERR_NOMEM;
    } else if (!(rc = rmap__regions_hole(&mv->s->regions, *to, mv->new_count, &mv->to))) {
        rc = relocate(mv);
    }
    if (rc) return rc;
    RMAP__STAT(mv->s->p, moves, 1);
    *to = mv->to;
    return 0;
}

int rmap_space_move(struct rmap_space *s, rmap_vpn_t from, uint64_t count, uint64_t new_count, unsigned flags,
                    rmap_vpn_t *to)
{
    if (!s || !to) return RMAP_ERR_NULL_ARG;
    if (flags & ~MOVE_FLAGS) return RMAP_ERR_INVALID;
    int rc = rmap__space_range(s, from, count);
    if (rc || (rc = rmap__space_range(s, flags & RMAP_MOVE_FIXED ? *to : 0, new_count))) return rc;
    if ((flags & RMAP_MOVE_KEEP_OLD) && count != new_count) return RMAP_ERR_INVALID;
    if ((flags & RMAP_MOVE_FIXED) && *to < from + count && from < *to + new_count) return RMAP_ERR_INVALID;
    struct rmap__call c;
    if ((rc = rmap__space_enter_exclusive(&c, s))) return rc;
    struct move mv = {.s = s, .from = from, .count = count, .new_count = new_count};
    mv.keep_old = flags & RMAP_MOVE_KEEP_OLD;
    rc = move_locked(&mv, flags, to);
    rmap__stock_drop(&s->regions, &mv.stock);
    rmap__space_leave(&c);
    return rc;
}
