/* SPDX-License-Identifier: MIT */
/** @file property/ops_memory.c  map, unmap, protect, lock, unlock, advise. */
#include "property/ops.h"

/* Half of the frames may be locked, so that something is left to work with. */
static bool may_lock(const struct game *g, uint64_t more)
{
    return oracle_locked(&g->o) + more <= g->c.frames / 2;
}

void op_map(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    struct oracle_space *o = &g->o.space[s];
    rmap_vpn_t at;
    uint64_t count;
    ops_any_range(g, (unsigned)s, &at, &count);
    if (count > 20 && count <= ORACLE_PAGES) count = 1 + count % 20;
    unsigned prot = ops_any_prot(g), flags = 0;
    if (game_chance(g, 1, 2)) flags |= RMAP_MAP_FIXED;
    if (game_chance(g, 1, 6)) flags |= RMAP_MAP_NOREPLACE;
    if (game_chance(g, 1, 12) && may_lock(g, count)) flags |= RMAP_MAP_LOCKED;
    if (game_chance(g, 1, 60)) flags |= RMAP_MAP_SHARED;
    if (!(flags & RMAP_MAP_FIXED) && game_chance(g, 1, 3)) at = RMAP_VPN_NONE;

    rmap_vpn_t place = at, got = at;
    int expected = oracle_map_check(&g->o, (unsigned)s, &place, count, prot, flags);
    game_note(g, "map s%d at %lld count %llu prot %u flags %#x", s, (long long)at, (unsigned long long)count, prot,
              flags);
    if (flags & RMAP_MAP_LOCKED)
        ops_touch(g, (unsigned)s, place, count); /* what is stored there before we return is late */
    int rc = rmap_space_map(g->space[s], &got, count, prot, flags);
    ops_touch(g, (unsigned)s, place, count);
    if (ops_judge(g, rc, expected, flags & RMAP_MAP_LOCKED ? ENV_FAULT : 0)) {
        if (got != place) game_fail(g, "mapped at %lld, expected %lld", (long long)got, (long long)place);
        oracle_map(o, place, count, prot, flags);
    } else {
        if (got != at) game_fail(g, "failed, but *at became %lld", (long long)got);
        /* What could not be populated is unmapped again; but nothing happens if memory is short from the start. */
        const bool late = !expected && (flags & RMAP_MAP_LOCKED);
        if (late && (rc != RMAP_ERR_NOMEM || ops_is_gone(g, (unsigned)s, place, count))) oracle_unmap(o, place, count);
    }
}

void op_unmap(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    rmap_vpn_t first;
    uint64_t count;
    ops_any_range(g, (unsigned)s, &first, &count);
    game_note(g, "unmap s%d %lld+%lld", s, (long long)first, (long long)count);
    int rc = rmap_space_unmap(g->space[s], first, count);
    ops_touch(g, (unsigned)s, first, count);
    if (ops_judge(g, rc, oracle_unmap_check(first, count), 0)) oracle_unmap(&g->o.space[s], first, count);
}

void op_protect(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    rmap_vpn_t first;
    uint64_t count;
    ops_any_range(g, (unsigned)s, &first, &count);
    unsigned prot = ops_any_prot(g);
    /* Now and then all becomes one again: crumbs are dull. */
    if (game_chance(g, 1, 2) && ops_any_stretch(g, (unsigned)s, &first, &count)) prot = RMAP_READ | RMAP_WRITE;
    game_note(g, "protect s%d %lld+%lld prot %u", s, (long long)first, (long long)count, prot);
    int rc = rmap_space_protect(g->space[s], first, count, prot);
    ops_touch(g, (unsigned)s, first, count);
    if (ops_judge(g, rc, oracle_protect_check(&g->o, (unsigned)s, first, count, prot), 0))
        oracle_protect(&g->o.space[s], first, count, prot);
}

/* Locked means resident, apart from what was never accessible since. */
static void check_resident(struct game *g, unsigned s, rmap_vpn_t first, uint64_t count)
{
    for (rmap_vpn_t v = first; v < first + count; v++) {
        struct scan_entry e = scan_entry_now(g, s, v);
        if (e.kind != RMAP_PTE_PRESENT || !(e.attrs >> RMAP_ATTR_LOCKED & 1))
            game_fail(g, "s%u:%u is not resident after lock", s, (unsigned)v);
    }
}

void op_lock(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    rmap_vpn_t first;
    uint64_t count;
    ops_any_range(g, (unsigned)s, &first, &count);
    if (count <= ORACLE_PAGES && !may_lock(g, count)) return;
    game_note(g, "lock s%d %lld+%lld", s, (long long)first, (long long)count);
    int rc = rmap_space_lock(g->space[s], first, count);
    ops_touch(g, (unsigned)s, first, count);
    if (!ops_judge(g, rc, oracle_lock_check(&g->o.space[s], first, count), ENV_FAULT)) return;
    oracle_lock(&g->o.space[s], first, count, true);
    check_resident(g, (unsigned)s, first, count);
}

void op_unlock(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    rmap_vpn_t first;
    uint64_t count;
    ops_any_range(g, (unsigned)s, &first, &count);
    if (game_chance(g, 1, 2)) ops_any_stretch(g, (unsigned)s, &first, &count);
    game_note(g, "unlock s%d %lld+%lld", s, (long long)first, (long long)count);
    int rc = rmap_space_unlock(g->space[s], first, count);
    ops_touch(g, (unsigned)s, first, count);
    if (ops_judge(g, rc, oracle_unlock_check(&g->o.space[s], first, count), 0))
        oracle_lock(&g->o.space[s], first, count, false);
}

void op_dontneed(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    rmap_vpn_t first;
    uint64_t count;
    ops_any_range(g, (unsigned)s, &first, &count);
    game_note(g, "dontneed s%d %lld+%lld", s, (long long)first, (long long)count);
    int rc = rmap_space_advise(g->space[s], first, count, RMAP_ADVISE_DONTNEED);
    ops_touch(g, (unsigned)s, first, count);
    if (ops_judge(g, rc, oracle_dontneed_check(&g->o.space[s], first, count), 0))
        oracle_dontneed(&g->o.space[s], first, count);
}
