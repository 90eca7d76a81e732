/* SPDX-License-Identifier: MIT */
/** @file property/oracle.c  See the header. Sixty-four pages a space: everything is a loop over them. */
#include "property/oracle.h"

#include <string.h>

#define PROT_ALL ((unsigned)(RMAP_READ | RMAP_WRITE | RMAP_EXEC))
#define MAP_ALL ((unsigned)(RMAP_MAP_FIXED | RMAP_MAP_NOREPLACE | RMAP_MAP_LOCKED | RMAP_MAP_SHARED))
#define MOVE_ALL ((unsigned)(RMAP_MOVE_FIXED | RMAP_MOVE_KEEP_OLD | RMAP_MOVE_MAYMOVE))

/* ---- questions ---- */

static uint64_t charged(const struct oracle_space *s, rmap_vpn_t first, rmap_vpn_t end)
{
    uint64_t n = 0;
    for (rmap_vpn_t v = first; v < end; v++) n += s->page[v].mapped && s->page[v].accounted;
    return n;
}

uint64_t oracle_committed(const struct oracle *o)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < ORACLE_SPACES; i++) n += charged(&o->space[i], 0, ORACLE_PAGES);
    return n;
}

unsigned oracle_locked(const struct oracle *o)
{
    unsigned n = 0;
    for (unsigned i = 0; i < ORACLE_SPACES; i++)
        for (unsigned v = 0; v < ORACLE_PAGES; v++) n += o->space[i].page[v].locked;
    return n;
}

static bool same_region(const struct oracle_page *a, const struct oracle_page *b)
{
    return a->mapped && b->mapped && a->prot == b->prot && a->locked == b->locked && a->accounted == b->accounted;
}

size_t oracle_regions(const struct oracle_space *s, struct rmap_region_info out[ORACLE_PAGES])
{
    size_t n = 0;
    for (rmap_vpn_t v = 0; v < ORACLE_PAGES; v++) {
        const struct oracle_page *p = &s->page[v];
        if (!p->mapped) continue;
        if (v && same_region(p - 1, p))
            out[n - 1].count++;
        else
            out[n++] = (struct rmap_region_info){v, 1, p->prot, p->locked, p->accounted};
    }
    return n;
}

void oracle_fill(const struct oracle_page *page, unsigned char out[ORACLE_PAGE_BYTES])
{
    memset(out, 0, ORACLE_PAGE_BYTES);
    for (unsigned w = 0; w < ORACLE_WORDS; w++)
        memcpy(out + oracle_word_offset[w], &page->word[w], sizeof page->word[w]);
}

static int range_check(rmap_vpn_t first, uint64_t count)
{
    return count && first < ORACLE_PAGES && count <= ORACLE_PAGES - first ? 0 : RMAP_ERR_RANGE;
}

static bool any_mapped(const struct oracle_space *s, rmap_vpn_t first, uint64_t count)
{
    for (rmap_vpn_t v = first; v < first + count; v++)
        if (s->page[v].mapped) return true;
    return false;
}

static int covered_check(const struct oracle_space *s, rmap_vpn_t first, uint64_t count)
{
    int rc = range_check(first, count);
    for (rmap_vpn_t v = first; !rc && v < first + count; v++)
        if (!s->page[v].mapped) rc = RMAP_ERR_ABSENT;
    return rc;
}

static int commit_check(const struct oracle *o, uint64_t add, uint64_t sub)
{
    if (!o->commit_limit || add <= sub) return 0;
    return oracle_committed(o) - sub + add <= o->commit_limit ? 0 : RMAP_ERR_COMMIT;
}

/* First fit at or after the hint, else from 0. */
static int hole_check(const struct oracle_space *s, rmap_vpn_t hint, uint64_t count, rmap_vpn_t *out)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        for (rmap_vpn_t v = pass == 0 ? hint : 0; v < ORACLE_PAGES && count <= ORACLE_PAGES - v; v++) {
            if (any_mapped(s, v, count)) continue;
            *out = v;
            return 0;
        }
    }
    return RMAP_ERR_NOMEM;
}

int oracle_access_check(const struct oracle_space *s, rmap_vpn_t vpn, unsigned access)
{
    if (vpn >= ORACLE_PAGES) return RMAP_ERR_RANGE;
    if (!s->page[vpn].mapped) return RMAP_ERR_ABSENT;
    return access & ~s->page[vpn].prot ? RMAP_ERR_ACCESS : 0;
}

/* ---- map, unmap ---- */

int oracle_map_check(const struct oracle *o, unsigned s, rmap_vpn_t *at, uint64_t count, unsigned prot, unsigned flags)
{
    const struct oracle_space *sp = &o->space[s];
    const bool fixed = flags & RMAP_MAP_FIXED;
    if ((prot & ~PROT_ALL) || (flags & ~MAP_ALL)) return RMAP_ERR_INVALID;
    if (flags & RMAP_MAP_SHARED) return RMAP_ERR_UNSUPPORTED;
    if ((flags & RMAP_MAP_NOREPLACE) && !fixed) return RMAP_ERR_INVALID;
    if ((flags & RMAP_MAP_LOCKED) && prot == RMAP_NONE) return RMAP_ERR_INVALID;
    int rc = range_check(fixed ? *at : 0, count);
    if (!rc && !fixed) rc = hole_check(sp, *at, count, at);
    if (rc) return rc;
    if ((flags & RMAP_MAP_NOREPLACE) && any_mapped(sp, *at, count)) return RMAP_ERR_EXISTS;
    return commit_check(o, prot & RMAP_WRITE ? count : 0, charged(sp, *at, *at + count));
}

void oracle_map(struct oracle_space *s, rmap_vpn_t at, uint64_t count, unsigned prot, unsigned flags)
{
    for (rmap_vpn_t v = at; v < at + count; v++)
        s->page[v] = (struct oracle_page){
            .mapped = true, .prot = prot, .locked = flags & RMAP_MAP_LOCKED, .accounted = prot & RMAP_WRITE};
}

int oracle_unmap_check(rmap_vpn_t first, uint64_t count)
{
    return range_check(first, count);
}

void oracle_unmap(struct oracle_space *s, rmap_vpn_t first, uint64_t count)
{
    for (rmap_vpn_t v = first; v < first + count; v++) s->page[v] = (struct oracle_page){0};
}

/* ---- attributes ---- */

int oracle_protect_check(const struct oracle *o, unsigned s, rmap_vpn_t first, uint64_t count, unsigned prot)
{
    if (prot & ~PROT_ALL) return RMAP_ERR_INVALID;
    int rc = covered_check(&o->space[s], first, count);
    if (rc) return rc;
    return commit_check(o, prot & RMAP_WRITE ? count - charged(&o->space[s], first, first + count) : 0, 0);
}

void oracle_protect(struct oracle_space *s, rmap_vpn_t first, uint64_t count, unsigned prot)
{
    for (rmap_vpn_t v = first; v < first + count; v++) {
        s->page[v].prot = prot;
        s->page[v].accounted |= (prot & RMAP_WRITE) != 0;
    }
}

int oracle_lock_check(const struct oracle_space *s, rmap_vpn_t first, uint64_t count)
{
    int rc = covered_check(s, first, count);
    for (rmap_vpn_t v = first; !rc && v < first + count; v++)
        if (s->page[v].prot == RMAP_NONE) rc = RMAP_ERR_ACCESS;
    return rc;
}

int oracle_unlock_check(const struct oracle_space *s, rmap_vpn_t first, uint64_t count)
{
    return covered_check(s, first, count);
}

void oracle_lock(struct oracle_space *s, rmap_vpn_t first, uint64_t count, bool locked)
{
    for (rmap_vpn_t v = first; v < first + count; v++) s->page[v].locked = locked;
}

int oracle_dontneed_check(const struct oracle_space *s, rmap_vpn_t first, uint64_t count)
{
    int rc = covered_check(s, first, count);
    for (rmap_vpn_t v = first; !rc && v < first + count; v++)
        if (s->page[v].locked) rc = RMAP_ERR_BUSY;
    return rc;
}

void oracle_dontneed(struct oracle_space *s, rmap_vpn_t first, uint64_t count)
{
    for (rmap_vpn_t v = first; v < first + count; v++) memset(s->page[v].word, 0, sizeof s->page[v].word);
}

/* ---- move ---- */

static bool in_one_region(const struct oracle_space *s, rmap_vpn_t first, uint64_t count)
{
    bool one = s->page[first].mapped;
    for (rmap_vpn_t v = first + 1; one && v < first + count; v++) one = same_region(&s->page[first], &s->page[v]);
    return one;
}

int oracle_move_check(const struct oracle *o, unsigned s, rmap_vpn_t from, uint64_t count, uint64_t new_count,
                      unsigned flags, rmap_vpn_t *to)
{
    const struct oracle_space *sp = &o->space[s];
    const bool fixed = flags & RMAP_MOVE_FIXED, keep = flags & RMAP_MOVE_KEEP_OLD;
    if (flags & ~MOVE_ALL) return RMAP_ERR_INVALID;
    int rc = range_check(from, count);
    if (!rc) rc = range_check(fixed ? *to : 0, new_count);
    if (rc) return rc;
    if (keep && count != new_count) return RMAP_ERR_INVALID;
    if (fixed && *to < from + count && from < *to + new_count) return RMAP_ERR_INVALID;
    if (!in_one_region(sp, from, count)) return RMAP_ERR_ABSENT;

    const bool accounted = sp->page[from].accounted;
    if (!fixed && !keep) {
        const rmap_vpn_t end = from + count;
        const uint64_t more = new_count > count ? new_count - count : 0;
        if (more <= ORACLE_PAGES - end && !any_mapped(sp, end, more)) {
            *to = from;
            return commit_check(o, accounted ? more : 0, 0);
        }
        if (!(flags & RMAP_MOVE_MAYMOVE)) return RMAP_ERR_NOMEM;
    }
    if (!fixed && (rc = hole_check(sp, *to, new_count, to))) return rc;
    uint64_t freed = charged(sp, *to, *to + new_count);
    if (accounted && !keep) freed += count;
    return commit_check(o, accounted ? new_count : 0, freed);
}

void oracle_move(struct oracle_space *s, rmap_vpn_t from, uint64_t count, uint64_t new_count, unsigned flags,
                 rmap_vpn_t to)
{
    struct oracle_page old[ORACLE_PAGES];
    const struct oracle_page fresh = {.mapped = true,
                                      .locked = s->page[from].locked,
                                      .accounted = s->page[from].accounted,
                                      .prot = s->page[from].prot};
    memcpy(old, &s->page[from], count * sizeof *old);
    for (rmap_vpn_t v = from; v < from + count; v++) {
        if (flags & RMAP_MOVE_KEEP_OLD) {
            s->page[v] = fresh;
            s->page[v].locked = false;
        } else {
            s->page[v] = (struct oracle_page){0};
        }
    }
    for (uint64_t i = 0; i < new_count; i++) s->page[to + i] = i < count ? old[i] : fresh;
}

/* ---- fork ---- */

int oracle_fork_check(const struct oracle *o, unsigned parent)
{
    return commit_check(o, charged(&o->space[parent], 0, ORACLE_PAGES), 0);
}

void oracle_fork(struct oracle *o, unsigned parent, unsigned child)
{
    o->space[child] = o->space[parent];
    oracle_lock(&o->space[child], 0, ORACLE_PAGES, false);
}
