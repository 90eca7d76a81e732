/* SPDX-License-Identifier: MIT */
/** @file property/game.c  The game: its checks after each operation, and the words of a failure. */
#include "property/game.h"
#include "property/ops.h"
#include "support/test.h"

#include <objrmap/verify.h>
#include <stdarg.h>

/* ---- words ---- */

static char *line_of(struct game *g, uint64_t op)
{
    return g->history[op % GAME_HISTORY];
}

static void append(struct game *g, const char *format, va_list args)
{
    char *line = line_of(g, g->op);
    size_t at = strlen(line);
    vsnprintf(line + at, GAME_LINE - at, format, args);
}

void game_note(struct game *g, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line_of(g, g->op)[0] = 0;
    append(g, format, args);
    va_end(args);
}

void game_note_more(struct game *g, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    append(g, format, args);
    va_end(args);
}

void game_report(const struct game *g)
{
    static const char *const mmus[] = {"radix", "tlb", "host"};
    const struct game_config *c = &g->c;
    fprintf(stderr,
            "game: mmu %s%s, %s, caps %u, %u frames, %u slots%s, batch %u, commit limit %u, verify every %u, walk "
            "every %u%s\n",
            mmus[c->mmu], c->errors ? " with errors" : "", c->geometry->name, c->caps, (unsigned)c->frames,
            (unsigned)c->slots, c->lz4 ? " (lz4)" : "", c->evict_batch, (unsigned)c->commit_limit, c->verify_every,
            c->walk_every, c->walk_touched ? " and touched" : "");
    for (uint64_t op = g->op < GAME_HISTORY ? 1 : g->op - GAME_HISTORY + 1; op && op <= g->op; op++)
        fprintf(stderr, "  %6llu  %s\n", (unsigned long long)op, g->history[op % GAME_HISTORY]);
    fprintf(stderr, "again: SEED=%llu OPS=%llu\n", (unsigned long long)g->seed, (unsigned long long)g->op);
}

void game_fail(struct game *g, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    game_report(g);
    fprintf(stderr, "operation %llu: %s\n", (unsigned long long)g->op, text);
    TEST_FAIL("seed %llu, operation %llu (%s): %s", (unsigned long long)g->seed, (unsigned long long)g->op,
              line_of(g, g->op), text);
}

/* ---- checks ---- */

static void check_regions(struct game *g, unsigned s)
{
    struct rmap_region_info is[ORACLE_PAGES], must[ORACLE_PAGES];
    size_t n = oracle_regions(&g->o.space[s], must), got = rmap_space_regions(g->space[s], is, ORACLE_PAGES);
    for (size_t i = 0; i < n && i < got; i++)
        if (is[i].first != must[i].first || is[i].count != must[i].count || is[i].prot != must[i].prot ||
            is[i].locked != must[i].locked || is[i].accounted != must[i].accounted)
            game_fail(g, "s%u: region %zu is %u+%u prot %u locked %d accounted %d, must be %u+%u %u %d %d", s, i,
                      (unsigned)is[i].first, (unsigned)is[i].count, is[i].prot, is[i].locked, is[i].accounted,
                      (unsigned)must[i].first, (unsigned)must[i].count, must[i].prot, must[i].locked,
                      must[i].accounted);
    if (n != got) game_fail(g, "s%u has %zu regions, must have %zu", s, got, n);
}

static void check_walks(struct game *g)
{
    if (g->op % g->c.walk_every == 0) {
        for (rmap_pfn_t pfn = 0; pfn < g->c.frames; pfn++)
            if (g->scan.frame[pfn].mappings) scan_check_walk(g, pfn);
        return;
    }
    if (!g->c.walk_touched || g->space_touched < 0) return;
    for (rmap_vpn_t v = g->first_touched; v < ORACLE_PAGES && v - g->first_touched < g->count_touched; v++) {
        const struct scan_entry *e = &g->scan.entry[g->space_touched][v];
        if ((e->kind == RMAP_PTE_PRESENT || e->kind == RMAP_PTE_NO_ACCESS) && scan_is_counted(g, e->pfn))
            scan_check_walk(g, e->pfn);
    }
}

static void check_books(struct game *g)
{
    struct rmap_verify_report report;
    int rc = rmap_pager_verify(g->p, &report);
    if (rc) game_fail(g, "%s: %s", report.invariant ? report.invariant : rmap_error_name(rc), report.text);
    if (g->stats.committed != oracle_committed(&g->o))
        game_fail(g, "committed %llu, must be %llu", (unsigned long long)g->stats.committed,
                  (unsigned long long)oracle_committed(&g->o));
    for (unsigned s = 0; s < ORACLE_SPACES; s++)
        if (g->space[s]) check_regions(g, s);
}

static void check(struct game *g)
{
    scan_take(g);
    rmap_pager_get_stats(g->p, &g->stats);
    scan_check_entries(g);
    scan_check_frames(g);
    if (g->out_of_frames || g->freed_nothing) scan_check_exhausted(g, g->out_of_frames ? g->free_allowed : g->c.frames);
    ops_check_translations(g);
    if (g->space_touched >= 0 && g->space[g->space_touched]) check_regions(g, (unsigned)g->space_touched);
    if (g->op % g->c.verify_every == 0) check_books(g);
    check_walks(g);
    if (g->swap && g->op % 32 == 0) scan_check_swap(g);
}

void game_play(struct game *g, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        g->op++;
        game_note(g, "nothing");
        g->space_touched = -1;
        g->out_of_frames = g->freed_nothing = false;
        rmap_pager_get_stats(g->p, &g->before);
        g->failed_before = g->alloc.failed;
        g->alloc.fail = g->c.fail_alloc;
        ops_random(g);
        g->alloc.fail = 0;
        check(g);
    }
}
