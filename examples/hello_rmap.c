/* SPDX-License-Identifier: MIT */
/*
 * hello_rmap: the core alone, behind page tables in memory. Two spaces share a page by fork; one writes and gets its own
 * copy; then we ask, of each frame, who maps it, and take a page away from everybody at once. No pager, no swap.
 */
#include <objrmap.h>
#include <stdio.h>
#include <stdlib.h>

#define FRAMES 16
static struct rmap_page descriptor[FRAMES]; /* one per frame: all that the reverse map stores */
static char frame[FRAMES][16];              /* the "memory" (pages are short here) */

/* The embedder owns the frames. */
static int frame_alloc(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    (void)ctx, (void)near;
    for (*out = 0; *out < FRAMES; ++*out)
        if (!descriptor[*out].refcount) return 0;
    return RMAP_ERR_NO_FRAME;
}
static void frame_free(void *ctx, rmap_pfn_t pfn)
{
    (void)ctx, (void)pfn;
}
static void frame_copy(void *ctx, rmap_pfn_t to, rmap_pfn_t from)
{
    (void)ctx;
    for (unsigned i = 0; i < sizeof frame[0]; i++) frame[to][i] = frame[from][i];
}

static void must(int err, const char *what)
{
    if (err) fprintf(stderr, "hello_rmap: %s: %s\n", what, rmap_strerror(err)), exit(1);
}

/* Put a new page at vpn: what a fault handler does. `with` is copied if given, and whatever was mapped there goes. */
static struct rmap_page *put_page(struct rmap_member *m, rmap_vpn_t vpn, struct rmap_page *with)
{
    struct rmap_page *page;
    struct rmap_tables tables = {0};
    struct rmap_mmu_run run;
    const struct rmap_mmu_ops *o = m->mmu.ops;
    must(rmap_page_alloc(m->r, RMAP_PFN_NONE, &page), "frame");
    if (with) frame_copy(NULL, rmap_page_pfn(m->r, page), rmap_page_pfn(m->r, with));
    must(o->reserve(m->mmu.ctx, vpn, &tables), "tables");
    if (with) must(rmap_zap(m, vpn, 1, NULL), "zap");
    must(o->run_make(m->mmu.ctx, vpn, &tables, &run), "run");
    must(rmap_page_map_new(m, page, vpn), "map");
    rmap_run_set(&m->mmu, &run, (uint32_t)(vpn - run.first),
                 rmap_pte_make(o->format, rmap_page_pfn(m->r, page), 1u << RMAP_ATTR_WRITE));
    o->run_unlock(m->mmu.ctx, &run);
    o->unreserve(m->mmu.ctx, &tables);
    rmap_page_put(m->r, page); /* its mapping keeps it now */
    return page;
}

static int show_mapping(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    printf("    %s at page %llu%s\n", (const char *)m->user, (unsigned long long)vpn,
           rmap_pte_get(ctx, e, RMAP_ATTR_WRITE) ? ", writable" : "");
    return 0;
}
static void who_maps(struct rmap *r, struct rmap_page *page)
{
    struct rmap_result res;
    rmap_pfn_t pfn = rmap_page_pfn(r, page);
    printf("frame %llu (\"%s\") is mapped by\n", (unsigned long long)pfn, frame[pfn]);
    rmap_page_lock(page);
    must(rmap_each_mapping(r, &page, 1, 0, show_mapping, (void *)&rmap_pte_format_soft, &res), "walk");
    rmap_page_unlock(r, page);
    printf("    = %u mapping(s), %u space(s) visited, %s\n", res.hits, res.visits,
           res.outcome == RMAP_DONE ? "all found" : "incomplete");
}

int main(void)
{
    struct rmap_frame_ops frames = {
        .struct_size = sizeof frames, .alloc = frame_alloc, .free = frame_free, .copy = frame_copy};
    struct rmap_options options = {.struct_size = sizeof options, .frames = &frames};
    struct rmap_radix_options tables = {
        .struct_size = sizeof tables, .geometry = &rmap_radix_soft, .caps = RMAP_MMU_NO_TLB};
    struct rmap_frame_section section = {descriptor, sizeof descriptor[0], 0, FRAMES};
    struct rmap_member parent = {.user = "parent"}, child = {.user = "child"};
    struct rmap_mmu parent_mmu, child_mmu;
    struct rmap *r;
    must(rmap_create(&options, &r), "instance");
    must(rmap_frames_add(r, &section), "frames");
    must(rmap_radix_create(&tables, &parent_mmu), "page tables");
    must(rmap_radix_create(&tables, &child_mmu), "page tables");
    must(rmap_member_init(r, &parent, &parent_mmu), "parent");

    struct rmap_page *hello = put_page(&parent, 7, NULL), *world = put_page(&parent, 8, NULL);
    snprintf(frame[rmap_page_pfn(r, hello)], sizeof frame[0], "hello");
    snprintf(frame[rmap_page_pfn(r, world)], sizeof frame[0], "world");

    struct rmap_fork fork;
    must(rmap_fork_begin(&parent, &child, &child_mmu, &fork), "fork");
    must(rmap_fork_copy(&fork, 0, parent.mmu.pages, RMAP_FORK_COW), "fork");
    rmap_fork_commit(&fork);
    puts("after fork:");
    who_maps(r, hello);
    who_maps(r, world);

    struct rmap_page *own = put_page(&child, 8, world); /* the child writes page 8 */
    snprintf(frame[rmap_page_pfn(r, own)], sizeof frame[0], "World!");
    puts("after the child wrote page 8:");
    who_maps(r, world);
    who_maps(r, own);

    must(rmap_zap(&parent, 7, 2, NULL), "zap"); /* the parent exits; its page lives on in the child */
    must(rmap_member_leave(&parent), "exit");
    puts("after the parent exited:");
    who_maps(r, hello);

    must(rmap_verify(r, NULL), "verify");
    must(rmap_zap(&child, 0, child.mmu.pages, NULL), "zap");
    must(rmap_member_leave(&child), "exit");
    rmap_radix_destroy(&parent_mmu);
    rmap_radix_destroy(&child_mmu);
    must(rmap_destroy(r), "destroy");
    return 0;
}
