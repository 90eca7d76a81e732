/* SPDX-License-Identifier: MIT */
/**
 * @file property/ops_processor.c  Loads and stores by translations that are cached: the processor of tlb_mmu.h, or this
 * machine's own through a window of the host MMU. What they see must be what the oracle says, whatever was not flushed.
 */
#include "property/ops.h"

#include <string.h>
#include <unistd.h>

/* ---- windows: a pipe copies from and to them, and answers EFAULT instead of trapping ---- */

static unsigned char *window_at(const struct game *g, unsigned s, rmap_vpn_t v, unsigned word)
{
    unsigned char *base = rmap_host_base(&game_member(g, s)->mmu);
    return base + (v << ORACLE_PAGE_SHIFT) + oracle_word_offset[word];
}

static bool window_load(struct game *g, unsigned char *at, uint64_t *out)
{
    if (write(g->pipe[1], at, 8) != 8) return false;
    return read(g->pipe[0], out, 8) == 8;
}

static bool window_store(struct game *g, unsigned char *at, uint64_t value)
{
    uint64_t rest;
    if (write(g->pipe[1], &value, 8) != 8) return false;
    if (read(g->pipe[0], at, 8) == 8) return true;
    if (read(g->pipe[0], &rest, 8) != 8) game_fail(g, "the pipe is broken");
    return false;
}

static bool window_access(struct game *g, unsigned s, rmap_vpn_t v, unsigned w, unsigned access, uint64_t *value)
{
    unsigned char *at = window_at(g, s, v, w);
    return access & RMAP_WRITE ? window_store(g, at, *value) : window_load(g, at, value);
}

static bool tlb_access(struct game *g, unsigned s, rmap_vpn_t v, unsigned w, unsigned access, uint64_t *value)
{
    rmap_pfn_t pfn;
    if (tlb_mmu_access(tlb_mmu_of(&game_member(g, s)->mmu), v, access, &pfn)) return false;
    unsigned char *at = game_frame(g, pfn) + oracle_word_offset[w];
    if (access & RMAP_WRITE)
        memcpy(at, value, 8);
    else
        memcpy(value, at, 8);
    return true;
}

/* One access without help. */
static bool access_word(struct game *g, unsigned s, rmap_vpn_t v, unsigned w, unsigned access, uint64_t *value)
{
    return (g->c.mmu == GAME_HOST ? window_access : tlb_access)(g, s, v, w, access, value);
}

static int resolve(struct game *g, unsigned s, rmap_vpn_t v, unsigned access)
{
    if (g->c.mmu != GAME_HOST) return rmap_space_fault(g->space[s], v, access);
    return rmap_host_fault(g->host, window_at(g, s, v, 0), access);
}

void op_processor(struct game *g)
{
    if (g->c.mmu == GAME_RADIX) {
        op_fault(g);
        return;
    }
    int s = ops_any_space(g);
    if (s < 0) return;
    struct oracle_space *o = &g->o.space[s];
    const unsigned access = game_chance(g, 1, 2) ? RMAP_WRITE : RMAP_READ;
    const rmap_vpn_t v = ops_any_page(g, (unsigned)s, access);
    const unsigned w = (unsigned)game_below(g, ORACLE_WORDS);
    if (access == RMAP_READ && o->page[v].mapped && o->page[v].prot && !(o->page[v].prot & RMAP_READ))
        return; /* hardware can read whatever it may write or execute */
    const int expected = oracle_access_check(o, v, access);
    const uint64_t stamp = ops_stamp(g);
    uint64_t value = stamp;
    game_note(g, "processor %s s%d:%llu word %u", access == RMAP_WRITE ? "stores" : "loads", s, (unsigned long long)v,
              w);
    ops_touch(g, (unsigned)s, v, 1);

    bool done = access_word(g, (unsigned)s, v, w, access, &value);
    for (unsigned tries = 0; !done && tries < 3; tries++) {
        int rc = resolve(g, (unsigned)s, v, access);
        ops_note_fault(g, rc);
        if (!ops_judge(g, rc, expected, ENV_FAULT)) return;
        done = access_word(g, (unsigned)s, v, w, access, &value);
    }
    if (expected) game_fail(g, "a translation allows what the region does not");
    if (!done) game_fail(g, "the fault is resolved, but the access still faults");
    if (access == RMAP_WRITE)
        o->page[v].word[w] = stamp;
    else if (value != o->page[v].word[w])
        game_fail(g, "loaded %llu, must be %llu", (unsigned long long)value, (unsigned long long)o->page[v].word[w]);
}

/* Nobody runs on the space for a while; or all windows are emptied. */
void op_rest(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0 || g->c.mmu == GAME_RADIX) return;
    game_note(g, g->c.mmu == GAME_HOST ? "drop all projections" : "s%d rests", s);
    if (g->c.mmu == GAME_HOST)
        rmap_host_drop_all(g->host);
    else
        tlb_mmu_set_active(tlb_mmu_of(&game_member(g, (unsigned)s)->mmu), game_chance(g, 1, 2));
}

/*
 * The translation is about to be forgotten, and another processor uses it until then: it may still store. Whatever
 * happens to the page, the store comes before it (INV-7). And the frame may not have been given away (INV-6).
 */
void ops_last_use(void *ctx, struct tlb_mmu *t, rmap_vpn_t v)
{
    struct game *g = ctx;
    const struct tlb_entry *x = &t->tlb[v];
    const struct rmap_page *page = rmap_page_find(g->r, x->pfn);
    const unsigned n = (unsigned)x->pfn;
    if (t->space < 0) game_fail(g, "flush of a space that never ran");
    if (page->refcount == 0)
        game_fail(g, "frame %u is free before the flush of s%d:%u (INV-6)", n, t->space, (unsigned)v);
    const rmap_vpn_t moved = v - g->move.from;
    if (g->move.space == t->space && moved < g->move.count && rmap_radix_peek(&t->tables, g->move.to + moved))
        game_fail(g, "s%d:%u is at its new place before the flush of its old one (B15)", t->space, (unsigned)v);
    if (rmap_page_flags(page) & RMAP_PAGE_SPECIAL) return;
    if (rmap_page_mapcount(page) == 0)
        game_fail(g, "frame %u is not counted as mapped before the flush of s%d:%u (INV-6)", n, t->space, (unsigned)v);
    bool busy = g->space_touched == t->space && v >= g->first_touched && v - g->first_touched < g->count_touched;
    if (!x->write || busy || !game_chance(g, 1, 3)) return;
    const unsigned w = (unsigned)game_below(g, ORACLE_WORDS);
    const uint64_t stamp = ops_stamp(g);
    memcpy(game_frame(g, x->pfn) + oracle_word_offset[w], &stamp, sizeof stamp);
    g->o.space[t->space].page[v].word[w] = stamp;
    g->last_stores++;
    game_note_more(g, " [last store s%d:%u]", t->space, (unsigned)v);
}

/* ---- after each operation ---- */

static void check_window(struct game *g, unsigned s)
{
    for (rmap_vpn_t v = 0; v < ORACLE_PAGES; v++) {
        const struct oracle_page *p = &g->o.space[s].page[v];
        const unsigned w = (unsigned)game_below(g, ORACLE_WORDS);
        uint64_t value = p->word[w];
        if (!window_access(g, s, v, w, RMAP_READ, &value)) continue;
        if (!p->mapped || p->prot == RMAP_NONE)
            game_fail(g, "the window shows s%u:%u, which may not be accessed", s, (unsigned)v);
        if (value != p->word[w])
            game_fail(g, "the window shows s%u:%u word %u as %llu, must be %llu", s, (unsigned)v, w,
                      (unsigned long long)value, (unsigned long long)p->word[w]);
        if (!window_access(g, s, v, w, RMAP_WRITE, &value)) continue;
        if (!(p->prot & RMAP_WRITE) || !(g->scan.entry[s][v].attrs >> RMAP_ATTR_WRITE & 1))
            game_fail(g, "the window of s%u:%u can be written", s, (unsigned)v);
    }
}

void ops_check_translations(struct game *g)
{
    if (g->c.mmu == GAME_HOST) {
        int s = g->space_touched >= 0 && g->space[g->space_touched] ? g->space_touched : ops_any_space(g);
        if (s >= 0) check_window(g, (unsigned)s);
        s = ops_any_space(g);
        if (s >= 0) check_window(g, (unsigned)s);
    }
    if (g->c.mmu != GAME_TLB) return;
    for (unsigned s = 0; s < ORACLE_SPACES; s++) {
        for (rmap_vpn_t v = 0; g->space[s] && v < ORACLE_PAGES; v++) {
            const char *wrong = tlb_mmu_check(tlb_mmu_of(&game_member(g, s)->mmu), v, g->scan.entry[s][v].raw);
            if (wrong) game_fail(g, "the translation of s%u:%u %s", s, (unsigned)v, wrong);
        }
    }
}
