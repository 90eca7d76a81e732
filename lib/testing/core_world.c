/* SPDX-License-Identifier: MIT */
/** @file testing/core_world.c  Frames and spaces for the core, and the fault handler that it expects of an embedder. */
#include <testing/core.h>

#include <objrmap/verify.h>

#include <stdlib.h>

/* ---- texts ---- */

bool rmap__kit_core_ok(struct rmap__kit_core *c, int error, const char *what)
{
    return KIT_CHECK(c->k, !error, "core: %s: %s says %s", c->step, what, rmap_error_name(error));
}

bool rmap__kit_core_step(struct rmap__kit_core *c, const char *step)
{
    struct rmap_verify_report report = {.invariant = NULL};
    const int error = rmap_verify(c->r, &report);
    const bool sound = KIT_CHECK(c->k, !error, "core: after %s: %s: %s", c->step,
                                 report.invariant ? report.invariant : rmap_error_name(error), report.text);
    c->step = step;
    return sound;
}

/* ---- frames: they are descriptors only ---- */

static int frame_alloc(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    struct rmap__kit_core *c = ctx;
    (void)near;
    for (unsigned i = 0; i < RMAP_TESTING_FRAMES_MIN; i++) {
        if (c->page[i].refcount) continue;
        *out = c->k->t->first_frame + i;
        return 0;
    }
    return RMAP_ERR_NO_FRAME;
}
static void frame_free(void *ctx, rmap_pfn_t pfn)
{
    (void)ctx, (void)pfn;
}
static void frame_copy(void *ctx, rmap_pfn_t dst, rmap_pfn_t src)
{
    (void)ctx, (void)dst, (void)src;
}

/* ---- beginning and end ---- */

struct rmap__kit_core *rmap__kit_core_new(struct rmap__kit *k)
{
    struct rmap__kit_core *c = calloc(1, sizeof *c);
    if (!c) {
        k->error = RMAP_ERR_NOMEM;
        return NULL;
    }
    c->k = k;
    c->step = "start";
    c->frames = (struct rmap_frame_ops){
        .struct_size = sizeof c->frames, .alloc = frame_alloc, .free = frame_free, .copy = frame_copy};
    const struct rmap_options options = {.struct_size = sizeof options, .frames = &c->frames, .frames_ctx = c};
    const struct rmap_frame_section section = {
        .base = c->page, .stride = sizeof c->page[0], .first = k->t->first_frame, .count = RMAP_TESTING_FRAMES_MIN};
    c->mmu[CORE_PARENT] = &k->mmu[0];
    c->mmu[CORE_CHILD] = rmap__kit_open(k);
    if (!k->error) k->error = rmap_create(&options, &c->r);
    if (!k->error) k->error = rmap_frames_add(c->r, &section);
    if (!k->error)
        rmap__kit_core_ok(c, rmap_member_init(c->r, &c->m[CORE_PARENT], &c->mmu[CORE_PARENT]->mmu), "member_init");
    if (!k->error) return c;
    if (c->r) rmap_destroy(c->r);
    free(c);
    return NULL;
}

void rmap__kit_core_free(struct rmap__kit_core *c)
{
    for (unsigned i = 0; i < CORE_SPACES; i++) {
        if (!c->m[i].node) continue;
        rmap_zap(&c->m[i], 0, c->mmu[i]->mmu.pages, NULL);
        rmap_member_leave(&c->m[i]);
    }
    if (!rmap__kit_core_ok(c, rmap_destroy(c->r), "destroy")) return; /* pages are still owned: c is in use */
    free(c);
}

/* ---- faults, as docs/embedding.md describes them ---- */

/* Entry of a page that its space just wrote to. */
static rmap_pte_t written(struct rmap__kit_core *c, int n)
{
    return rmap__kit_present(c->k, (unsigned)n, KIT_ATTR(ACCESSED) | KIT_ATTR(WRITE) | KIT_ATTR(DIRTY));
}

int rmap__kit_core_new_page(struct rmap__kit_core *c, unsigned space, rmap_vpn_t vpn)
{
    struct rmap_page *page;
    struct rmap_mmu_run run;
    if (!rmap__kit_core_ok(c, rmap_page_alloc(c->r, RMAP_PFN_NONE, &page), "page_alloc")) return -1;
    int n = (int)(page - c->page);
    if (rmap__kit_make(c->k, c->mmu[space], vpn, &run)) {
        if (rmap__kit_core_ok(c, rmap_page_map_new(&c->m[space], page, vpn), "page_map_new"))
            rmap_run_set(&c->mmu[space]->mmu, &run, (uint32_t)(vpn - run.first), written(c, n));
        rmap__kit_unlock(c->mmu[space], &run);
    }
    rmap_page_put(c->r, page);
    return c->k->failed ? -1 : n;
}

/* Page and run locked: a copy takes its place. */
static void copy_in(struct rmap__kit_core *c, unsigned space, const struct rmap_mmu_run *run, rmap_vpn_t vpn,
                    struct rmap_page *page, struct rmap_page *copy, struct rmap_gather *g)
{
    const struct rmap_mmu *mmu = &c->mmu[space]->mmu;
    const uint32_t i = (uint32_t)(vpn - run->first);
    if (!rmap__kit_core_ok(c, rmap_page_map_new(&c->m[space], copy, vpn), "page_map_new")) return;
    const rmap_pte_t old = rmap_run_exchange(mmu, run, i, 0);
    if (rmap_pte_get(c->k->f, old, RMAP_ATTR_DIRTY)) rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
    rmap_gather_flush(g, &c->m[space], vpn, old, RMAP_FLUSH_ALL);
    rmap_gather_flush_now(g);
    rmap_page_unmap(g, &c->m[space], page);
    rmap_run_set(mmu, run, i, written(c, (int)(copy - c->page)));
}

int rmap__kit_core_write_fault(struct rmap__kit_core *c, unsigned space, rmap_vpn_t vpn)
{
    const rmap_pfn_t pfn = rmap_pte_pfn(c->k->f, rmap__kit_get(c->mmu[space], vpn));
    struct rmap_page *page = rmap_page_find(c->r, pfn), *copy;
    struct rmap_mmu_run run;
    struct rmap_gather g;
    int n = -1;
    if (!KIT_CHECK(c->k, page, "core: %s: an entry names frame %llu", c->step, KIT_N(pfn)) ||
        !rmap__kit_core_ok(c, rmap_page_alloc(c->r, RMAP_PFN_NONE, &copy), "page_alloc"))
        return -1;
    rmap_gather_init(&g, c->r);
    rmap_page_get(page);
    rmap_page_lock(page);
    if (rmap__kit_lock(c->mmu[space], vpn, &run)) {
        const bool own = rmap__kit_core_reuse(c, space, page, vpn);
        n = (int)((own ? page : copy) - c->page);
        if (own)
            rmap_run_exchange(&c->mmu[space]->mmu, &run, (uint32_t)(vpn - run.first), written(c, n));
        else
            copy_in(c, space, &run, vpn, page, copy, &g);
        rmap__kit_unlock(c->mmu[space], &run);
    }
    rmap_page_unlock(c->r, page);
    rmap_gather_finish(&g);
    rmap_page_put(c->r, page);
    rmap_page_put(c->r, copy);
    return c->k->failed ? -1 : n;
}

/* ---- accesses ---- */

/* For an MMU without touch(): what an access would do, if nothing were cached. */
static int walk(struct rmap__kit_core *c, struct rmap__kit_mmu *m, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    const struct rmap_pte_format *f = c->k->f;
    rmap_pte_t e = rmap__kit_get(m, vpn);
    if (!rmap_pte_present(f, e)) return RMAP_ERR_ABSENT;
    if ((access & RMAP_WRITE) && !rmap_pte_get(f, e, RMAP_ATTR_WRITE)) return RMAP_ERR_ACCESS;
    e = rmap_pte_set(f, e, RMAP_ATTR_ACCESSED, true);
    if (access & RMAP_WRITE) e = rmap_pte_set(f, e, RMAP_ATTR_DIRTY, true);
    rmap__kit_exchange(m, vpn, e);
    *pfn = rmap_pte_pfn(f, e);
    return 0;
}

static int access_page(struct rmap__kit_core *c, unsigned space, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    const struct rmap_testing_mmu *t = c->k->t;
    *pfn = RMAP_PFN_NONE;
    if (!t->touch) return walk(c, c->mmu[space], vpn, access, pfn);
    return t->touch(t->ctx, &c->mmu[space]->mmu, vpn, access, pfn);
}

static const char *who(unsigned space, unsigned access)
{
    static const char *const text[2][CORE_SPACES] = {{"parent reads", "child reads"},
                                                     {"parent writes", "child writes"}};
    return text[access == RMAP_WRITE][space];
}

bool rmap__kit_core_reaches(struct rmap__kit_core *c, unsigned space, rmap_vpn_t vpn, unsigned access, int n)
{
    rmap_pfn_t pfn;
    const int error = access_page(c, space, vpn, access, &pfn);
    return KIT_CHECK(c->k, !error, "core: %s: %s page %llu and faults with %s", c->step, who(space, access), KIT_N(vpn),
                     rmap_error_name(error)) &&
           KIT_CHECK(c->k, pfn == c->k->t->first_frame + (unsigned)n,
                     "core: %s: %s page %llu and reaches frame %llu, not %llu", c->step, who(space, access), KIT_N(vpn),
                     KIT_N(pfn), KIT_N(c->k->t->first_frame + (unsigned)n));
}

bool rmap__kit_core_faults(struct rmap__kit_core *c, unsigned space, rmap_vpn_t vpn, unsigned access)
{
    rmap_pfn_t pfn;
    const int error = access_page(c, space, vpn, access, &pfn);
    return KIT_CHECK(c->k, error, "core: %s: %s page %llu and reaches frame %llu", c->step, who(space, access),
                     KIT_N(vpn), KIT_N(pfn));
}
