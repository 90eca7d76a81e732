/* SPDX-License-Identifier: MIT */
/**
 * @file bench/host_fault.c  The host MMU beside its limits: a bare fault handler, and a plain mapping of a populated memfd.
 *
 *     space:   page 0 1 2 3 4 5 …        host/fault: every other page is present: no neighbours to project along
 *              frm  a . b . c . …        host/scan:  all are, their frames in order as first touches give them out
 *
 * The windows are forgotten between samples, untimed; their reservations have been touched before, in both contestants.
 */
#include "bench/scenarios.h"

#include "bench/clan.h"

#include <objrmap/host.h>
#include <objrmap/pager.h>
#include <objrmap/space.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE ((size_t)4096)
#define SCATTER 2 /* of so many pages one is present */

struct stage {
    struct rmap_memory memory;
    struct rmap_host *host;
    struct rmap_mmu_provider provider;
    struct rmap_pager *pager;
    struct rmap_space *space;
    unsigned char *window, *bare; /* the space's; a reservation of the same size */
    size_t pages, stride;         /* in both; one page in `stride` is present */
    size_t touched;               /* how many are */
    rmap_pfn_t *frame;            /* [touched] */
    uint32_t *order;              /* [touched] in which they are touched */
    void *plain;                  /* the mapping of the memfd that was scanned last, or NULL */
};

/* What the handlers serve. */
static struct stage *served;

/* The cause of a fault: a store, as far as the machine tells; else taken for one, which the entries allow. */
static unsigned access_of(void *context)
{
#if defined(__x86_64__)
    return ((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2 ? RMAP_WRITE : RMAP_READ;
#else
    (void)context;
    return RMAP_WRITE;
#endif
}

static void on_objrmap(int number, siginfo_t *info, void *context)
{
    if (rmap_host_fault(served->host, info->si_addr, access_of(context))) signal(number, SIG_DFL);
}

/* The least that anybody could do: which frame is it, map it there, try again. */
static void on_bare(int number, siginfo_t *info, void *context)
{
    const int caller_errno = errno;
    size_t page = (size_t)((unsigned char *)info->si_addr - served->bare) / PAGE, i = page / served->stride;
    (void)context;
    if (page >= served->pages || mmap(served->bare + page * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                                      served->memory.fd, (off_t)(served->frame[i] * PAGE)) == MAP_FAILED)
        signal(number, SIG_DFL);
    errno = caller_errno;
}

static void handle_with(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

static rmap_pfn_t frame_of(struct rmap_space *s, rmap_vpn_t vpn)
{
    struct rmap_mmu *mmu = &rmap_space_member(s)->mmu;
    struct rmap_mmu_run run;
    MUST(mmu->ops->run_find(mmu->ctx, vpn, vpn + 1, &run));
    rmap_pte_t e = rmap_run_get(mmu, &run, (uint32_t)(vpn - run.first));
    mmu->ops->run_unlock(mmu->ctx, &run);
    return rmap_pte_pfn(mmu->ops->format, e);
}

static void stage_open(struct stage *a, size_t touched, size_t stride)
{
    *a = (struct stage){.pages = touched * stride, .stride = stride, .touched = touched};
    const uint64_t frames = touched + 64;
    MUST(rmap_memory_init(&a->memory, frames, 12));
    MUST(rmap_host_create(&(struct rmap_host_options){.struct_size = sizeof(struct rmap_host_options),
                                                      .memory = &a->memory,
                                                      .window_pages = a->pages},
                          &a->host));
    a->provider = rmap_host_provider(a->host);
    MUST(rmap_pager_create(&(struct rmap_pager_options){.struct_size = sizeof(struct rmap_pager_options),
                                                        .provider = &a->provider,
                                                        .memory = &a->memory,
                                                        .frames = frames,
                                                        .page_shift = 12},
                           &a->pager));
    MUST(rmap_space_create(a->pager, &a->space));
    rmap_vpn_t at = 0;
    MUST(rmap_space_map(a->space, &at, a->pages, RMAP_READ | RMAP_WRITE, RMAP_MAP_FIXED));
    a->window = rmap_host_base(&rmap_space_member(a->space)->mmu);
    a->bare = mmap(NULL, a->pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    a->frame = malloc(touched * sizeof *a->frame);
    a->order = malloc(touched * sizeof *a->order);
    MUST_HOLD(a->bare != MAP_FAILED && a->frame && a->order);

    served = a;
    handle_with(on_objrmap);
    for (size_t i = 0; i < touched; i++) {
        *(volatile uint64_t *)(void *)(a->window + i * stride * PAGE) = i;
        a->order[i] = (uint32_t)i;
    }
    for (size_t i = 0; i < touched; i++) a->frame[i] = frame_of(a->space, i * stride);
}

static void stage_close(struct stage *a)
{
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    if (a->plain) munmap(a->plain, a->touched * PAGE);
    munmap(a->bare, a->pages * PAGE);
    free(a->frame);
    free(a->order);
    MUST(rmap_space_destroy(a->space));
    MUST(rmap_pager_destroy(a->pager));
    MUST(rmap_host_destroy(a->host));
    rmap_memory_fini(&a->memory);
}

/* Load a word of each present page, in order. Every one says which it is. @return ns a page. */
static double touch_each(const struct stage *a, const unsigned char *base, size_t stride)
{
    bool right = true;
    double begin = cpu_ns();
    for (size_t i = 0; i < a->touched; i++)
        right &= *(const volatile uint64_t *)(const void *)(base + a->order[i] * stride * PAGE) == a->order[i];
    double ns = cpu_ns() - begin;
    MUST_HOLD(right);
    return ns / (double)a->touched;
}

static double through_objrmap(void *ctx)
{
    struct stage *a = ctx;
    handle_with(on_objrmap);
    rmap_host_drop_all(a->host);
    return touch_each(a, a->window, a->stride);
}

static double through_bare(void *ctx)
{
    struct stage *a = ctx;
    handle_with(on_bare);
    MUST_HOLD(mmap(a->bare, a->pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                   0) == a->bare);
    return touch_each(a, a->bare, a->stride);
}

/* One mapping of the whole memory, which the system fills by faults of its own. */
static double through_memfd(void *ctx)
{
    struct stage *a = ctx;
    const size_t bytes = a->touched * PAGE;
    if (a->plain) munmap(a->plain, bytes);
    double begin = cpu_ns();
    a->plain = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, a->memory.fd, (off_t)(a->frame[0] * PAGE));
    double ns = cpu_ns() - begin;
    MUST_HOLD(a->plain != MAP_FAILED);
    return ns / (double)a->touched + touch_each(a, a->plain, 1);
}

/* The plain mapping shows what the space does only if first touches got frames in order. */
static bool frames_in_order(const struct stage *a)
{
    for (size_t i = 1; i < a->touched; i++)
        if (a->frame[i] != a->frame[0] + i) return false;
    return true;
}

static void faults(void)
{
    struct stage a;
    progress("host/fault: single pages, whose mappings are gone");
    stage_open(&a, bench_settings.quick ? 2048 : 8192, SCATTER);
    free(a.order);
    a.order = shuffled(a.touched);
    measure("host/fault", "ns/fault",
            (struct contestant[]){{"objrmap", through_objrmap, &a}, {"bare", through_bare, &a}, {0}});
    stage_close(&a);
}

static void scans(void)
{
    struct stage a;
    progress("host/scan: a resident space, whose mappings are gone");
    stage_open(&a, bench_settings.quick ? 16384 : 65536, 1);
    if (frames_in_order(&a))
        measure("host/scan", "ns/page",
                (struct contestant[]){{"objrmap", through_objrmap, &a}, {"memfd", through_memfd, &a}, {0}});
    else
        print_absent("host/scan", "objrmap", "first touches did not get frames in order");
    stage_close(&a);
}

void scenario_host(void)
{
    if (wanted("host/fault")) faults();
    if (wanted("host/scan")) scans();
}
