/* SPDX-License-Identifier: MIT */
/** @file property/ops.c  Choosing: which operation, which space, which pages. */
#include "property/ops.h"

static const struct {
    unsigned weight;
    op_fn *run;
} table[] = {
    {10, op_map},          {2, op_unmap},  {5, op_protect},    {14, op_move}, {2, op_lock},    {3, op_unlock},
    {2, op_dontneed},      {2, op_create}, {10, op_fork},      {1, op_exec},  {3, op_destroy}, {14, op_read},
    {40, op_write},        {8, op_fault},  {30, op_processor}, {2, op_rest},  {3, op_reclaim}, {3, op_referenced},
    {3, op_write_protect}, {3, op_wash},   {4, op_swap_out},   {3, op_pin},   {1, op_misuse},  {3, op_vacate},
    {1, op_swapoff},       {2, op_policy},
};
#define OPS (sizeof table / sizeof *table)

void ops_random(struct game *g)
{
    unsigned sum = 0, i = 0;
    for (unsigned k = 0; k < OPS; k++) sum += table[k].weight;
    uint64_t at = game_below(g, sum);
    while (at >= table[i].weight) at -= table[i++].weight;
    table[i].run(g);
}

bool ops_judge(struct game *g, int rc, int expected, unsigned env)
{
    game_note_more(g, " = %s", rc ? rmap_error_name(rc) + sizeof "RMAP_ERR" : "0");
    if (g->totals) {
        g->totals->done += rc == 0;
        g->totals->refused += rc && rc == expected;
        g->totals->no_frame += rc == RMAP_ERR_NO_FRAME;
    }
    if (rc == expected) return rc == 0;
    bool excused = !expected && (((env & ENV_FRAMES) && rc == RMAP_ERR_NO_FRAME) ||
                                 ((env & ENV_DEVICE) && g->c.errors &&
                                  (rc == RMAP_ERR_IO_READ || rc == RMAP_ERR_CORRUPT || rc == RMAP_ERR_NOMEM)));
    excused |= rc == RMAP_ERR_NOMEM && g->alloc.failed != g->failed_before;
    if (!excused) game_fail(g, "returned %s, expected %s", rmap_error_name(rc), rmap_error_name(expected));
    return false;
}

bool ops_is_gone(struct game *g, unsigned s, rmap_vpn_t first, uint64_t count)
{
    struct rmap_region_info is[ORACLE_PAGES];
    size_t n = rmap_space_regions(g->space[s], is, ORACLE_PAGES);
    for (size_t i = 0; i < n; i++)
        if (is[i].first < first + count && first < is[i].first + is[i].count) return false;
    return true;
}

int ops_any_space(struct game *g)
{
    unsigned live[ORACLE_SPACES], n = 0;
    for (unsigned s = 0; s < ORACLE_SPACES; s++)
        if (g->space[s]) live[n++] = s;
    return n ? (int)live[game_below(g, n)] : -1;
}

int ops_free_number(const struct game *g)
{
    for (int s = 0; s < ORACLE_SPACES; s++)
        if (!g->space[s]) return s;
    return -1;
}

rmap_vpn_t ops_any_page(struct game *g, unsigned s, unsigned access)
{
    rmap_vpn_t good[ORACLE_PAGES];
    unsigned n = 0;
    for (rmap_vpn_t v = 0; v < ORACLE_PAGES; v++)
        if (!oracle_access_check(&g->o.space[s], v, access)) good[n++] = v;
    return n && game_chance(g, 19, 20) ? good[game_below(g, n)] : game_below(g, ORACLE_PAGES);
}

void ops_any_range(struct game *g, unsigned s, rmap_vpn_t *first, uint64_t *count)
{
    struct rmap_region_info regions[ORACLE_PAGES];
    size_t n = oracle_regions(&g->o.space[s], regions);
    uint64_t way = game_below(g, 40);
    if (way == 0 && game_chance(g, 1, 2)) { /* nonsense: beyond the end, empty, wrapping */
        static const uint64_t odd[] = {
            0, 1, ORACLE_PAGES - 1, ORACLE_PAGES, ORACLE_PAGES + 1, UINT64_MAX, UINT64_MAX - 7};
        *first = odd[game_below(g, 7)];
        *count = odd[game_below(g, 7)];
    } else if (way < 5 || !n) { /* anywhere */
        *first = game_below(g, ORACLE_PAGES);
        *count = 1 + game_below(g, ORACLE_PAGES - *first < 16 ? ORACLE_PAGES - *first : 16);
    } else { /* in a region: all of it, or a part */
        const struct rmap_region_info *r = &regions[game_below(g, n)];
        bool all = game_chance(g, 1, 4);
        *first = r->first + (all ? 0 : game_below(g, r->count));
        *count = all ? r->count : 1 + game_below(g, r->first + r->count - *first);
    }
}

bool ops_any_stretch(struct game *g, unsigned s, rmap_vpn_t *first, uint64_t *count)
{
    const struct oracle_page *p = g->o.space[s].page;
    rmap_vpn_t v = ops_any_page(g, s, 0), end = v;
    if (!p[v].mapped) return false;
    while (v > 0 && p[v - 1].mapped) v--;
    while (end < ORACLE_PAGES && p[end].mapped) end++;
    *first = v;
    *count = end - v;
    return true;
}

unsigned ops_any_prot(struct game *g)
{
    static const unsigned common[] = {RMAP_READ | RMAP_WRITE,
                                      RMAP_READ | RMAP_WRITE,
                                      RMAP_READ | RMAP_WRITE,
                                      RMAP_READ | RMAP_WRITE,
                                      RMAP_READ | RMAP_WRITE | RMAP_EXEC,
                                      RMAP_READ,
                                      RMAP_READ | RMAP_EXEC,
                                      RMAP_NONE};
    return game_chance(g, 1, 20) ? (unsigned)game_below(g, 9) : common[game_below(g, 8)]; /* 8: no such bit */
}

void ops_touch(struct game *g, unsigned s, rmap_vpn_t first, uint64_t count)
{
    g->space_touched = (int)s;
    g->first_touched = first;
    g->count_touched = count;
}

void ops_note_fault(struct game *g, int rc)
{
    g->out_of_frames = rc == RMAP_ERR_NO_FRAME;
    g->free_allowed = 0;
    for (rmap_vpn_t v = g->first_touched; v < ORACLE_PAGES && v - g->first_touched < g->count_touched; v++)
        if (g->scan.entry[g->space_touched][v].kind != RMAP_PTE_NONE) g->free_allowed = 1;
}
