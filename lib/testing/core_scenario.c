/* SPDX-License-Identifier: MIT */
/**
 * @file testing/core_scenario.c  The core on the MMU under test: what an embedder will do, step by step.
 *
 *     parent: pages 1 2 … middle   ──fork──▶   child: the same; writes 2; moves 1 2 to the end; outlives the parent
 */
#include <testing/core.h>

#include <objrmap/move.h>

#define READ RMAP_READ
#define WRITE RMAP_WRITE

enum { PAGES = 3 }; /* of the scenario; ONE and TWO are neighbours */
enum { ONE, TWO, FAR };

struct scenario {
    struct rmap__kit_core *c;
    rmap_vpn_t vpn[PAGES];
    rmap_vpn_t dest; /* where the child moves ONE and TWO */
    int frame[PAGES];
    int child_two; /* frame of the child's own copy */
};

static bool first_touch(struct scenario *s)
{
    for (unsigned i = 0; i < PAGES; i++) {
        s->frame[i] = rmap__kit_core_new_page(s->c, CORE_PARENT, s->vpn[i]);
        if (s->frame[i] < 0 || !rmap__kit_core_reaches(s->c, CORE_PARENT, s->vpn[i], WRITE, s->frame[i])) return false;
    }
    return true;
}

/* Where tables can be made to fail, the fork fails at each of them first, and leaves nothing. */
static bool fork(struct scenario *s)
{
    struct rmap__kit_core *c = s->c;
    const struct rmap_testing_mmu *t = c->k->t;
    for (unsigned tables = 0;; tables++) {
        int error = rmap_fork_begin(&c->m[CORE_PARENT], &c->m[CORE_CHILD], &c->mmu[CORE_CHILD]->mmu, &c->fork);
        if (!rmap__kit_core_ok(c, error, "fork_begin")) return false;
        if (t->fail_tables) t->fail_tables(t->ctx, tables);
        error = rmap_fork_copy(&c->fork, 0, c->k->pages, RMAP_FORK_COW);
        if (t->fail_tables) t->fail_tables(t->ctx, RMAP_TESTING_NEVER);
        if (!error) break;
        rmap_fork_abort(&c->fork);
        if (!KIT_CHECK(c->k, error == RMAP_ERR_NOMEM && t->fail_tables && tables < 100, "core: fork_copy says %s",
                       rmap_error_name(error)) ||
            !rmap__kit_core_step(c, "fork"))
            return false;
        for (unsigned i = 0; i < PAGES; i++)
            if (!rmap__kit_core_mapped(c, s->frame[i], 1)) return false;
    }
    rmap_fork_commit(&c->fork);
    for (unsigned i = 0; i < PAGES; i++) {
        if (!rmap__kit_core_faults(c, CORE_PARENT, s->vpn[i], WRITE) ||
            !rmap__kit_core_faults(c, CORE_CHILD, s->vpn[i], WRITE) ||
            !rmap__kit_core_reaches(c, CORE_CHILD, s->vpn[i], READ, s->frame[i]) ||
            !rmap__kit_core_mapped(c, s->frame[i], 2))
            return false;
    }
    return true;
}

static bool copy_on_write(struct scenario *s)
{
    struct rmap__kit_core *c = s->c;
    s->child_two = rmap__kit_core_write_fault(c, CORE_CHILD, s->vpn[TWO]);
    if (s->child_two < 0 ||
        !KIT_CHECK(c->k, s->child_two != s->frame[TWO], "core: a shared page was found exclusive") ||
        !rmap__kit_core_reaches(c, CORE_CHILD, s->vpn[TWO], WRITE, s->child_two) ||
        !rmap__kit_core_reaches(c, CORE_PARENT, s->vpn[TWO], READ, s->frame[TWO]) ||
        !rmap__kit_core_mapped(c, s->frame[TWO], 1) || !rmap__kit_core_mapped(c, s->child_two, 1))
        return false;
    const int own = rmap__kit_core_write_fault(c, CORE_PARENT, s->vpn[TWO]);
    return KIT_CHECK(c->k, own == s->frame[TWO], "core: the only user's page was copied") &&
           rmap__kit_core_reaches(c, CORE_PARENT, s->vpn[TWO], WRITE, own);
}

/* Read; aged; not read any more; read again. */
static bool ageing(struct scenario *s)
{
    struct rmap__kit_core *c = s->c;
    const int n = s->frame[ONE];
    for (unsigned i = 0; i < 3; i++) {
        struct rmap_result res;
        const bool young = i != 1;
        if (young && !rmap__kit_core_reaches(c, CORE_PARENT, s->vpn[ONE], READ, n)) return false;
        if (!rmap__kit_core_ok(c, rmap__kit_core_referenced(c, n, &res), "referenced") ||
            !KIT_CHECK(c->k, res.outcome == RMAP_DONE && res.hits == 2, "core: referenced finds %u of 2 mappings",
                       res.hits) ||
            !KIT_CHECK(c->k, res.young == young || !c->k->f->attr[RMAP_ATTR_ACCESSED].mask,
                       "core: referenced: the page is %s",
                       young ? "not young after a read" : "young without an access"))
            return false;
    }
    return true;
}

static bool protecting(struct scenario *s)
{
    struct rmap__kit_core *c = s->c;
    struct rmap_result res;
    const int n = s->frame[TWO];
    rmap_page_clear_flags(&c->page[n], RMAP_PAGE_DIRTY);
    if (!rmap__kit_core_ok(c, rmap__kit_core_write_protect(c, n, &res), "write_protect") ||
        !KIT_CHECK(c->k, (rmap_page_flags(&c->page[n]) & RMAP_PAGE_DIRTY) || !c->k->f->attr[RMAP_ATTR_DIRTY].mask,
                   "core: write_protect has lost dirty") ||
        !rmap__kit_core_faults(c, CORE_PARENT, s->vpn[TWO], WRITE) ||
        !rmap__kit_core_ok(c, rmap_protect(&c->m[CORE_PARENT], s->vpn[ONE], 2, RMAP_PROTECT_NO_ACCESS), "protect") ||
        !rmap__kit_core_faults(c, CORE_PARENT, s->vpn[ONE], READ) ||
        !rmap__kit_core_faults(c, CORE_PARENT, s->vpn[TWO], READ) || !rmap__kit_core_mapped(c, n, 1) ||
        !rmap__kit_core_ok(c, rmap_protect(&c->m[CORE_PARENT], s->vpn[ONE], 2, RMAP_PROTECT_ACCESS), "protect"))
        return false;
    return rmap__kit_core_reaches(c, CORE_PARENT, s->vpn[ONE], READ, s->frame[ONE]) &&
           rmap__kit_core_reaches(c, CORE_PARENT, s->vpn[TWO], READ, n);
}

static bool unmap_without_swap(struct scenario *s)
{
    struct rmap__kit_core *c = s->c;
    struct rmap_result res;
    return rmap__kit_core_ok(c, rmap__kit_core_unmap(c, s->frame[ONE], &res), "unmap") &&
           KIT_CHECK(c->k, res.outcome == RMAP_PARTIAL && res.reason == RMAP_REASON_NO_SLOT,
                     "core: unmap without swap: outcome %d, reason %d", res.outcome, res.reason) &&
           rmap__kit_core_reaches(c, CORE_PARENT, s->vpn[ONE], READ, s->frame[ONE]) &&
           rmap__kit_core_reaches(c, CORE_CHILD, s->vpn[ONE], READ, s->frame[ONE]);
}

/* ONE is shared and gets a copy, TWO is the child's own and just moves. */
static bool move(struct scenario *s)
{
    struct rmap__kit_core *c = s->c;
    struct rmap_moved moved;
    if (!rmap__kit_core_ok(c, rmap_move(&c->m[CORE_CHILD], s->vpn[ONE], s->dest, 2, &moved), "move") ||
        !KIT_CHECK(c->k, moved.copied == 1 && moved.reindexed == 1,
                   "core: move copies %llu and re-indexes %llu, not 1 and 1", KIT_N(moved.copied),
                   KIT_N(moved.reindexed)))
        return false;
    const rmap_pfn_t copy = rmap_pte_pfn(c->k->f, rmap__kit_get(c->mmu[CORE_CHILD], s->dest));
    return rmap__kit_core_faults(c, CORE_CHILD, s->vpn[ONE], READ) &&
           rmap__kit_core_faults(c, CORE_CHILD, s->vpn[TWO], READ) &&
           rmap__kit_core_reaches(c, CORE_CHILD, s->dest, READ, (int)(copy - c->k->t->first_frame)) &&
           KIT_CHECK(c->k, copy != c->k->t->first_frame + (unsigned)s->frame[ONE],
                     "core: move shares a page that it should copy") &&
           rmap__kit_core_reaches(c, CORE_CHILD, s->dest + 1, READ, s->child_two) &&
           rmap__kit_core_reaches(c, CORE_PARENT, s->vpn[ONE], READ, s->frame[ONE]) &&
           rmap__kit_core_mapped(c, s->frame[ONE], 1) && rmap__kit_core_mapped(c, s->child_two, 1);
}

static bool leave(struct scenario *s, unsigned space)
{
    struct rmap__kit_core *c = s->c;
    struct rmap_zapped zapped;
    if (!rmap__kit_core_ok(c, rmap_zap(&c->m[space], 0, c->k->pages, &zapped), "zap") ||
        !KIT_CHECK(c->k, zapped.mappings == PAGES, "core: zap of the whole space removes %llu of %d mappings",
                   KIT_N(zapped.mappings), PAGES) ||
        !rmap__kit_core_ok(c, rmap_member_trim(&c->m[space], 0, c->k->pages), "member_trim"))
        return false;
    for (unsigned i = 0; i < PAGES; i++)
        if (!rmap__kit_core_faults(c, space, s->vpn[i], READ)) return false;
    return rmap__kit_core_ok(c, rmap_member_leave(&c->m[space]), "member_leave");
}

static bool parent_exits(struct scenario *s)
{
    struct rmap__kit_core *c = s->c;
    if (!leave(s, CORE_PARENT) || !rmap__kit_core_mapped(c, s->frame[FAR], 1)) return false;
    const int own = rmap__kit_core_write_fault(c, CORE_CHILD, s->vpn[FAR]);
    return KIT_CHECK(c->k, own == s->frame[FAR], "core: what the parent left was copied") &&
           rmap__kit_core_reaches(c, CORE_CHILD, s->vpn[FAR], WRITE, own);
}

static bool child_exits(struct scenario *s)
{
    struct rmap__kit_core *c = s->c;
    if (!leave(s, CORE_CHILD)) return false;
    for (unsigned i = 0; i < RMAP_TESTING_FRAMES_MIN; i++)
        if (!KIT_CHECK(c->k, !c->page[i].refcount, "core: frame %llu is in use after all have left",
                       KIT_N(c->k->t->first_frame + i)))
            return false;
    return true;
}

void rmap__kit_core_scenario(struct rmap__kit *k)
{
    static const struct {
        const char *name;
        bool (*run)(struct scenario *s);
    } step[] = {
        {"first touch", first_touch},
        {"fork", fork},
        {"copy on write", copy_on_write},
        {"ageing", ageing},
        {"protecting", protecting},
        {"unmap without swap", unmap_without_swap},
        {"move", move},
        {"the parent's exit", parent_exits},
        {"the child's exit", child_exits},
    };
    struct scenario s = {.c = rmap__kit_core_new(k), .vpn = {1, 2, k->pages / 2}, .dest = k->pages - 4};
    if (!s.c) return;
    bool ok = !k->failed;
    for (unsigned i = 0; ok && i < sizeof step / sizeof *step; i++)
        ok = rmap__kit_core_step(s.c, step[i].name) && step[i].run(&s);
    if (ok) rmap__kit_core_step(s.c, "end");
    rmap__kit_core_free(s.c);
}
