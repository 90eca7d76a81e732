/* SPDX-License-Identifier: MIT */
/** @file property/ops_access.c  read, write, fault. */
#include "property/ops.h"

#include <string.h>

/* ---- read ---- */

/* A whole page, or a word, or the two words at a border. */
static void any_bytes(struct game *g, unsigned s, uint64_t *addr, size_t *bytes)
{
    uint64_t page = ops_any_page(g, s, RMAP_READ) << ORACLE_PAGE_SHIFT;
    uint64_t way = game_below(g, 50);
    *bytes = 8;
    *addr = page + oracle_word_offset[game_below(g, ORACLE_WORDS)];
    if (way < 10) {
        *addr = page;
        *bytes = ORACLE_PAGE_BYTES * (1 + game_below(g, 3));
    } else if (way < 15) {
        *addr = page + ORACLE_PAGE_BYTES - 8;
        *bytes = 16;
    } else if (way == 15) {
        *addr =
            game_chance(g, 1, 2) ? UINT64_MAX - game_below(g, 9) : ((uint64_t)ORACLE_PAGES << ORACLE_PAGE_SHIFT) - 8;
        *bytes = 16;
    }
}

/*
 * What the oracle says of [addr, addr + bytes): 0 or an error, and how many bytes come before it. RANGE forbids
 * everything.
 */
static int expect_bytes(const struct oracle_space *o, uint64_t addr, size_t bytes, unsigned access, size_t *done)
{
    *done = 0;
    const uint64_t end = (uint64_t)ORACLE_PAGES << ORACLE_PAGE_SHIFT;
    if (addr >= end || bytes > end - addr) return RMAP_ERR_RANGE;
    while (*done < bytes) {
        uint64_t at = addr + *done;
        int rc = oracle_access_check(o, at >> ORACLE_PAGE_SHIFT, access);
        if (rc) return rc;
        size_t piece = ORACLE_PAGE_BYTES - at % ORACLE_PAGE_BYTES;
        *done += piece < bytes - *done ? piece : bytes - *done;
    }
    return 0;
}

static void note_access(struct game *g, const char *what, int s, uint64_t addr, size_t bytes)
{
    game_note(g, "%s s%d:%llu byte %llu count %zu", what, s, (unsigned long long)(addr >> ORACLE_PAGE_SHIFT),
              (unsigned long long)(addr % ORACLE_PAGE_BYTES), bytes);
    ops_touch(g, (unsigned)s, addr >> ORACLE_PAGE_SHIFT, bytes / ORACLE_PAGE_BYTES + 2);
}

/* An access ends early with its own error, or with one of the environment before that. */
static void judge_bytes(struct game *g, int rc, int expected, size_t done, size_t must)
{
    bool ended_early = rc != expected && done < must && done % 8 == 0;
    ops_judge(g, rc, ended_early ? 0 : expected, ENV_FAULT);
    if (!ended_early && done != must) game_fail(g, "%zu bytes, expected %zu", done, must);
    ops_note_fault(g, rc);
}

static unsigned char oracle_byte(const struct oracle_space *o, uint64_t addr)
{
    const struct oracle_page *p = &o->page[addr >> ORACLE_PAGE_SHIFT];
    unsigned at = (unsigned)(addr % ORACLE_PAGE_BYTES);
    for (unsigned w = 0; w < ORACLE_WORDS; w++) {
        if (at < oracle_word_offset[w] || at >= oracle_word_offset[w] + 8) continue;
        unsigned char bytes[8];
        memcpy(bytes, &p->word[w], sizeof bytes);
        return bytes[at - oracle_word_offset[w]];
    }
    return 0;
}

void op_read(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    unsigned char got[3 * ORACLE_PAGE_BYTES];
    uint64_t addr;
    size_t bytes, done = 77, must;
    any_bytes(g, (unsigned)s, &addr, &bytes);
    note_access(g, "read", s, addr, bytes);
    int expected = expect_bytes(&g->o.space[s], addr, bytes, RMAP_READ, &must);
    memset(got, 0x5a, sizeof got);
    int rc = rmap_space_read(g->space[s], addr, got, bytes, &done);
    judge_bytes(g, rc, expected, done, must);
    for (size_t i = 0; i < bytes; i++) {
        unsigned char want = i < done ? oracle_byte(&g->o.space[s], addr + i) : 0x5a;
        if (got[i] != want) game_fail(g, "byte %zu read is %#x, must be %#x", i, got[i], want);
    }
}

/* ---- write ---- */

/* What a write to one page must not cost: a copy, if nobody else uses the page (E4; C9 for one on swap). */
static bool must_reuse(struct game *g, unsigned s, rmap_vpn_t v)
{
    const struct scan_entry *e = &g->scan.entry[s][v];
    if (e->kind == RMAP_PTE_PRESENT || e->kind == RMAP_PTE_NO_ACCESS)
        return scan_is_counted(g, e->pfn) && scan_users(g, e->pfn) == 1 &&
               !rmap_page_pins(rmap_page_find(g->r, e->pfn));
    if (e->kind != RMAP_PTE_SWAP || g->scan.slot_entries[rmap_swp_slot(e->swp)] != 1) return false;
    struct rmap_slot_home home;
    if (rmap_swap_get_ops()->get_home(g->swap, e->swp, &home)) return false;
    if (!rmap_member_may_map(game_member(g, s), home.index, v)) return false;
    return !home.cached || (rmap_page_mapcount(home.cached) == 0 && !rmap_page_pins(home.cached));
}

/* What it must cost: a page that is pinned and not writable stays as it is for whoever pinned it. */
static bool must_copy(struct game *g, unsigned s, rmap_vpn_t v)
{
    const struct scan_entry *e = &g->scan.entry[s][v];
    if (e->kind != RMAP_PTE_PRESENT && e->kind != RMAP_PTE_NO_ACCESS) return false;
    return !(e->attrs >> RMAP_ATTR_WRITE & 1) && rmap_page_pins(rmap_page_find(g->r, e->pfn));
}

void op_write(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    struct oracle_space *o = &g->o.space[s];
    const rmap_vpn_t v = ops_any_page(g, (unsigned)s, RMAP_WRITE);
    const unsigned w = (unsigned)game_below(g, ORACLE_WORDS);
    const bool border = w == ORACLE_WORDS - 1 && game_chance(g, 1, 3); /* the next page's first word, too */
    const uint64_t stamp[2] = {ops_stamp(g), ops_stamp(g)}, addr = (v << ORACLE_PAGE_SHIFT) + oracle_word_offset[w];
    const size_t bytes = border ? 16 : 8;
    size_t done = 77, must;
    note_access(g, "write", s, addr, bytes);
    int expected = expect_bytes(o, addr, bytes, RMAP_WRITE, &must);
    const bool reuse = !border && !expected && must_reuse(g, (unsigned)s, v), copy = must_copy(g, (unsigned)s, v);
    const rmap_pfn_t frame = g->scan.entry[s][v].pfn;
    int rc = rmap_space_write(g->space[s], addr, stamp, bytes, &done);
    judge_bytes(g, rc, expected, done, must);
    if (done >= 8) o->page[v].word[w] = stamp[0];
    if (done == 16) o->page[v + 1].word[0] = stamp[1];
    if (copy && done && scan_entry_now(g, (unsigned)s, v).pfn == frame)
        game_fail(g, "a pinned page was written in place");
    if (!reuse || rc) return;
    struct rmap_pager_stats st;
    rmap_pager_get_stats(g->p, &st);
    if (st.cow_copies != g->before.cow_copies || st.swap_in_copies != g->before.swap_in_copies)
        game_fail(g, "a page that nobody else used was copied");
}

/* ---- fault ---- */

void op_fault(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    static const unsigned accesses[] = {RMAP_READ, RMAP_READ, RMAP_WRITE, RMAP_WRITE, RMAP_EXEC, RMAP_READ | RMAP_WRITE,
                                        0,         8};
    const unsigned access = accesses[game_below(g, 8)];
    const rmap_vpn_t v =
        game_chance(g, 1, 60) ? ORACLE_PAGES + game_below(g, 3) : ops_any_page(g, (unsigned)s, access & 7);
    int expected = access == 0 || access >= 8 ? RMAP_ERR_INVALID : oracle_access_check(&g->o.space[s], v, access);
    game_note(g, "fault s%d:%llu access %u", s, (unsigned long long)v, access);
    ops_touch(g, (unsigned)s, v, 1);
    int rc = rmap_space_fault(g->space[s], v, access);
    ops_note_fault(g, rc);
    if (!ops_judge(g, rc, expected, ENV_FAULT)) return;
    struct scan_entry e = scan_entry_now(g, (unsigned)s, v);
    unsigned wanted = 1u << RMAP_ATTR_ACCESSED;
    if (access & RMAP_WRITE) wanted |= 1u << RMAP_ATTR_WRITE | 1u << RMAP_ATTR_DIRTY;
    if (e.kind != RMAP_PTE_PRESENT || (e.attrs & wanted) != wanted)
        game_fail(g, "after the fault the entry is %#llx", (unsigned long long)e.raw);
}
