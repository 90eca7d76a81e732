/* SPDX-License-Identifier: MIT */
/** @file property/kin.c  Kin: a game's configuration, its beginning, end, and words. */
#include "property/kin.h"

/* ---- words ---- */

static char *line_of(struct kin *g)
{
    return g->history[g->op % KIN_HISTORY];
}

static void append(struct kin *g, const char *format, va_list args)
{
    size_t at = strlen(line_of(g));
    vsnprintf(line_of(g) + at, KIN_LINE - at, format, args);
}

void kin_note(struct kin *g, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line_of(g)[0] = 0;
    append(g, format, args);
    va_end(args);
}

void kin_note_more(struct kin *g, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    append(g, format, args);
    va_end(args);
}

void kin_report(struct kin *g)
{
    const struct kin_config *c = &g->c;
    if (g->reported) return;
    g->reported = true;
    fprintf(
        stderr,
        "kin: %s, %u pages from %#llx, %s, caps %u%s, %u slots, forks %u %%, exits %u %%%s, walk %s, verify every %u\n",
        c->world.geometry->name, c->pages, (unsigned long long)c->vpn[0], c->dense ? "dense" : "spread", c->world.caps,
        c->world.no_slots ? ", no slots in memory" : "", (unsigned)c->world.slots, c->forks, c->exits,
        c->failures ? ", failures" : "", c->walk_all ? "all" : "one", c->verify_every);
    for (uint64_t op = g->op < KIN_HISTORY ? 1 : g->op - KIN_HISTORY + 1; op && op <= g->op; op++)
        fprintf(stderr, "  %6llu  %s\n", (unsigned long long)op, g->history[op % KIN_HISTORY]);
    fprintf(stderr, "again: SEED=%llu OPS=%llu\n", (unsigned long long)g->seed, (unsigned long long)g->op);
}

void kin_fail(struct kin *g, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    kin_report(g);
    TEST_FAIL("seed %llu, operation %llu (%s): %s", (unsigned long long)g->seed, (unsigned long long)g->op, line_of(g),
              text);
}

void kin_totals_print(const struct kin_totals *t)
{
#define KIN_TOTAL_PRINT(name) fprintf(stderr, " " #name " %llu", (unsigned long long)t->name);
    KIN_TOTALS(KIN_TOTAL_PRINT)
#undef KIN_TOTAL_PRINT
    fprintf(stderr, "\n");
}

/* ---- configuration ---- */

/* 64 pages in tables of four entries: small ranges cross tables, and a whole space is soon looked at. */
static const struct rmap_radix_geometry tiny = {
    .name = "tiny",
    .format = &rmap_pte_format_soft,
    .levels = 3,
    .bits = {2, 2, 2},
    .table_present = 1,
    .table_mask = 1 | 1 << 7,
    .lock_bit = 1 << 11,
};

static const struct {
    const struct rmap_radix_geometry *geometry;
    rmap_vpn_t vpn[KIN_PAGES];
} spread[] = {
    {&rmap_radix_soft, {0, 1, 511, 512, 1023, 5000, 100000, ((rmap_vpn_t)1 << 18) - 1}},
    {&rmap_radix_x86_64,
     {0, 511, 512, 1 << 18, (1 << 27) - 1, 1 << 27, ((rmap_vpn_t)1 << 35) + 7, ((rmap_vpn_t)1 << 36) - 1}},
    {&rmap_radix_sv39, {3, 511, 512, 1 << 17, 1 << 18, (1 << 18) + 1, (1 << 26) + 9, (1 << 27) - 1}},
};

static void configure(struct kin *g, enum kin_layout layout)
{
    static const unsigned caps[] = {0, RMAP_MMU_NO_TLB, RMAP_MMU_ACCESSED_EXACT, RMAP_MMU_ACCESSED_NEEDS_FLUSH};
    static const unsigned slots[] = {8, 32, 128, 128};
    static const unsigned pages[] = {2, 4, 8, 8}, forks[] = {12, 16, 20}, exits[] = {3, 6, 10};
    struct kin_config *c = &g->c;
    const struct rmap_radix_geometry *geometry;
    c->dense = layout == KIN_DENSE;
    if (c->dense) {
        bool is_tiny = kin_below(g, 8) > 0;
        rmap_vpn_t first = is_tiny ? kin_below(g, 57) : 504 + kin_below(g, 9);
        geometry = is_tiny ? &tiny : &rmap_radix_soft;
        for (unsigned k = 0; k < KIN_PAGES; k++) c->vpn[k] = first + k;
        c->verify_every = is_tiny ? 1 : 5;
    } else {
        unsigned i = kin_below(g, sizeof spread / sizeof *spread);
        geometry = spread[i].geometry;
        memcpy(c->vpn, spread[i].vpn, sizeof c->vpn);
        c->verify_every = 10;
    }
    c->pages = pages[kin_below(g, 4)];
    c->forks = forks[kin_below(g, 3)];
    c->exits = exits[kin_below(g, 3)];
    c->failures = kin_below(g, 3) == 0;
    c->walk_all = kin_below(g, 2);
    c->world = (struct world_options){.geometry = geometry, .frames = KIN_FRAMES};
    c->world.caps = caps[kin_below(g, 4)]; /* one by one: an initialiser's order is the compiler's */
    c->world.slots = slots[kin_below(g, 4)];
    c->world.no_slots = kin_below(g, 4) == 0;
    c->world.stride = kin_below(g, 4) ? 0 : 48;
    c->world.policy = kin_below(g, 3) ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY;
}

/* ---- a game ---- */

static void begin(struct kin *g, uint64_t seed, struct tape *tape, enum kin_layout layout, struct kin_totals *totals)
{
    memset(g, 0, sizeof *g);
    g->seed = seed;
    g->totals = totals;
    g->last_id = KIN_ZERO;
    prng_init(&g->rng, seed);
    g->rng.tape = tape;
    configure(g, layout);
    world_init(&g->w, &g->c.world);
    g->place[0].s = world_space(&g->w);
}

void kin_begin(struct kin *g, uint64_t seed, enum kin_layout layout, struct kin_totals *totals)
{
    begin(g, seed, NULL, layout, totals);
}

void kin_begin_tape(struct kin *g, struct tape *tape, enum kin_layout layout, struct kin_totals *totals)
{
    begin(g, 0, tape, layout, totals);
}

static void check(struct kin *g)
{
    kin_check(g, true);
    if (g->c.walk_all || g->op % 32 == 0)
        kin_check_walks(g);
    else
        kin_check_walk(g, kin_below(g, KIN_FRAMES));
    if (g->op % 4 == 0) kin_check_slots(g);
}

void kin_play(struct kin *g, uint64_t n)
{
    kin_scan_take(g);
    while (n--) {
        g->op++;
        kin_note(g, "nothing");
        kin_random(g);
        check(g);
    }
}

void kin_end(struct kin *g)
{
    for (unsigned left = KIN_SPACES; left;) {
        unsigned n = kin_below(g, KIN_SPACES);
        while (!g->place[n].s && n < KIN_SPACES - 1) n++;
        if (!g->place[n].s) {
            left = 0;
            for (unsigned i = 0; i < KIN_SPACES; i++) left += g->place[i].s != NULL;
            continue;
        }
        g->op++;
        kin_note(g, "in the end, s%u exits", n);
        kin_exit(g, &g->place[n]);
        check(g);
    }
    for (unsigned i = 0; i < KIN_PINS; i++)
        if (g->pinned[i]) rmap_page_unpin(g->w.r, g->pinned[i]);
    struct rmap_stats st = world_stats(&g->w);
    g->totals->tightened += st.first_lookups.walks;
    if (st.members || st.nodes || st.epochs || st.mappings)
        kin_fail(g, "%llu members, %llu nodes, %llu epochs, %llu mappings are left", (unsigned long long)st.members,
                 (unsigned long long)st.nodes, (unsigned long long)st.epochs, (unsigned long long)st.mappings);
    if (st.track_bytes || st.track_records)
        kin_fail(g, "%llu bytes, %llu records of tables are left", (unsigned long long)st.track_bytes,
                 (unsigned long long)st.track_records);
    world_fini(&g->w);
}
