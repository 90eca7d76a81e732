/* SPDX-License-Identifier: MIT */
/**
 * @file unit/host_world.h  The world of the host MMU's tests: frames that say who they are, spaces whose "pager" is
 * the test.
 *
 * Word 0 of frame n holds n, so a load through a window tells which frame is shown there. Entries are written by the
 * test itself through the MMU's operations; the fault function of a space only sets accessed and dirty, as hardware
 * would. load() and store() count the faults that they take and turn a fault that cannot be resolved into an error.
 */
#ifndef RMAP_TESTS_UNIT_HOST_WORLD_H
#define RMAP_TESTS_UNIT_HOST_WORLD_H

#include <objrmap/host.h>

#include "support/counting_alloc.h"
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define SPACES_MAX 64
#define ENDLESS 1000 /* an access that faults again and again, as an error of load() and store() */

/* Attributes of entries. */
#define FRESH 0u                           /* never accessed: may not be projected */
#define RO (1u << RMAP_ATTR_ACCESSED)      /* may be projected for reading */
#define CLEAN (RO | 1u << RMAP_ATTR_WRITE) /* likewise: the first store must be seen */
#define RW (CLEAN | 1u << RMAP_ATTR_DIRTY) /* may be projected for writing */

struct space {
    struct rmap_mmu mmu;
    bool open;
};

struct world {
    struct test_alloc alloc;
    struct rmap_memory mem;
    struct rmap_host *host;
    struct rmap_mmu_provider provider;
    struct space space[SPACES_MAX];
};

/* ---- entries ---- */

static inline void entry_set(struct space *s, rmap_vpn_t vpn, rmap_pte_t e)
{
    struct rmap_tables t = {0};
    struct rmap_mmu_run run;
    CHECK_OK(s->mmu.ops->reserve(s->mmu.ctx, vpn, &t));
    CHECK_OK(s->mmu.ops->run_make(s->mmu.ctx, vpn, &t, &run));
    rmap_run_exchange(&s->mmu, &run, (uint32_t)(vpn - run.first), e);
    s->mmu.ops->run_unlock(s->mmu.ctx, &run);
    s->mmu.ops->unreserve(s->mmu.ctx, &t);
}

static inline rmap_pte_t entry_get(struct space *s, rmap_vpn_t vpn)
{
    struct rmap_mmu_run run;
    if (s->mmu.ops->run_find(s->mmu.ctx, vpn, vpn + 1, &run) != 0) return 0;
    rmap_pte_t e = rmap_run_get(&s->mmu, &run, (uint32_t)(vpn - run.first));
    s->mmu.ops->run_unlock(s->mmu.ctx, &run);
    return e;
}

/* Pages [vpn, vpn + n) show frames [pfn, pfn + n). */
static inline void map(struct space *s, rmap_vpn_t vpn, rmap_pfn_t pfn, unsigned n, unsigned attrs)
{
    for (unsigned i = 0; i < n; i++) entry_set(s, vpn + i, rmap_pte_make(s->mmu.ops->format, pfn + i, attrs));
}

static inline void flush(struct space *s, rmap_vpn_t first, uint64_t count, enum rmap_flush_kind kind)
{
    s->mmu.ops->flush(s->mmu.ctx, &(struct rmap_flush_range){first, count, kind}, 1);
}

/* ---- the fault function, and accesses that may fault ---- */

static inline int resolve(void *ctx, rmap_vpn_t vpn, unsigned access)
{
    struct space *s = ctx;
    errno = EDOM; /* whoever was interrupted must not see it */
    const struct rmap_pte_format *f = s->mmu.ops->format;
    struct rmap_mmu_run run;
    int error = s->mmu.ops->run_find(s->mmu.ctx, vpn, vpn + 1, &run);
    if (error) return error;
    uint32_t i = (uint32_t)(vpn - run.first);
    rmap_pte_t e = rmap_run_get(&s->mmu, &run, i);
    if (!rmap_pte_present(f, e))
        error = RMAP_ERR_ABSENT;
    else if ((access & RMAP_WRITE) && !rmap_pte_get(f, e, RMAP_ATTR_WRITE))
        error = RMAP_ERR_ACCESS;
    if (!error) {
        e = rmap_pte_set(f, e, RMAP_ATTR_ACCESSED, true);
        if (access & RMAP_WRITE) e = rmap_pte_set(f, e, RMAP_ATTR_DIRTY, true);
        rmap_run_exchange(&s->mmu, &run, i, e);
        s->mmu.ops->update(s->mmu.ctx, &run, vpn, access);
    }
    s->mmu.ops->run_unlock(s->mmu.ctx, &run);
    return error;
}

/* The access under way in this thread, for the signal handler. */
static _Thread_local struct {
    struct rmap_host *host;
    unsigned access;
    sigjmp_buf back;
    volatile int error;
    volatile unsigned faults;
} touch;

static inline void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (!touch.host) {
        signal(sig, SIG_DFL); /* not ours: the access faults again and ends the test */
        return;
    }
    touch.faults++;
    int error = touch.faults > 1000 ? ENDLESS : rmap_host_fault(touch.host, info->si_addr, touch.access);
    if (!error) return;
    touch.error = error;
    siglongjmp(touch.back, 1);
}

static inline void catch_faults(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

/* Access a word at an address; *faults counts what it took. @return 0 or the error of the fault. TSan takes a mapping
 * call for a write to all of its bytes; here accesses race with such calls by design, and the kernel orders them. */
__attribute__((no_sanitize_thread)) static inline int access_word(struct rmap_host *host, volatile uint64_t *at,
                                                                  unsigned access, uint64_t *word, unsigned *faults)
{
    touch.host = host;
    touch.access = access;
    touch.error = 0;
    touch.faults = 0;
    if (sigsetjmp(touch.back, 1) == 0) {
        if (access & RMAP_WRITE)
            *at = *word;
        else
            *word = *at;
    }
    touch.host = NULL;
    if (faults) *faults = touch.faults;
    return touch.error;
}

static inline volatile uint64_t *word_at(struct world *w, struct space *s, rmap_vpn_t vpn, unsigned word)
{
    return (volatile uint64_t *)((char *)rmap_host_base(&s->mmu) + (vpn << w->mem.page_shift)) + word;
}

/* Which frame does the page show? The fault's error, negative, if none. */
static inline int64_t load(struct world *w, struct space *s, rmap_vpn_t vpn, unsigned *faults)
{
    uint64_t word = 0;
    int error = access_word(w->host, word_at(w, s, vpn, 0), RMAP_READ, &word, faults);
    return error ? error : (int64_t)word;
}

/* Store into word 1 of the page. */
static inline int store(struct world *w, struct space *s, rmap_vpn_t vpn, uint64_t word, unsigned *faults)
{
    return access_word(w->host, word_at(w, s, vpn, 1), RMAP_WRITE, &word, faults);
}

/* Word 1 of a frame, as the memory has it. */
static inline uint64_t stored(struct world *w, rmap_pfn_t pfn)
{
    return ((uint64_t *)(void *)(w->mem.view + (pfn << w->mem.page_shift)))[1];
}

static inline unsigned faults_of_load(struct world *w, struct space *s, rmap_vpn_t vpn)
{
    unsigned faults;
    int64_t pfn = load(w, s, vpn, &faults);
    CHECK_EQ(pfn, rmap_pte_pfn(s->mmu.ops->format, entry_get(s, vpn)));
    return faults;
}

static inline unsigned faults_of_store(struct world *w, struct space *s, rmap_vpn_t vpn)
{
    unsigned faults;
    CHECK_OK(store(w, s, vpn, vpn + 1000, &faults));
    CHECK_EQ(stored(w, rmap_pte_pfn(s->mmu.ops->format, entry_get(s, vpn))), vpn + 1000);
    return faults;
}

/* ---- making and unmaking ---- */

static inline struct space *space_open(struct world *w)
{
    for (struct space *s = w->space; s < w->space + SPACES_MAX; s++) {
        if (s->open) continue;
        CHECK_OK(w->provider.create(w->provider.ctx, &(struct rmap_mmu_client){s, resolve}, &s->mmu));
        s->open = true;
        return s;
    }
    TEST_FAIL("no more than %d spaces", SPACES_MAX);
}

static inline void space_close(struct world *w, struct space *s)
{
    w->provider.destroy(w->provider.ctx, &s->mmu);
    s->open = false;
}

static inline void world_init(struct world *w, uint64_t frames, unsigned page_shift, uint64_t window_pages,
                              uint64_t vma_limit)
{
    memset(w, 0, sizeof *w);
    catch_faults();
    test_alloc_init(&w->alloc);
    CHECK_OK(rmap_memory_init(&w->mem, frames, page_shift));
    for (uint64_t i = 0; i < frames; i++) *(uint64_t *)(void *)(w->mem.view + (i << page_shift)) = i;
    CHECK_OK(rmap_host_create(&(struct rmap_host_options){.struct_size = sizeof(struct rmap_host_options),
                                                          .memory = &w->mem,
                                                          .alloc = &w->alloc.a,
                                                          .window_pages = window_pages,
                                                          .vma_limit = vma_limit},
                              &w->host));
    w->provider = rmap_host_provider(w->host);
}

static inline struct rmap_host_stats stats_of(struct world *w)
{
    struct rmap_host_stats stats;
    CHECK_OK(rmap_host_get_stats(w->host, &stats));
    return stats;
}

static inline void world_fini(struct world *w)
{
    for (struct space *s = w->space; s < w->space + SPACES_MAX; s++)
        if (s->open) space_close(w, s);
    CHECK_EQ(stats_of(w).vmas, 0);
    CHECK_OK(rmap_host_destroy(w->host));
    rmap_memory_fini(&w->mem);
    CHECK_EQ(w->alloc.live_blocks, 0);
}

/* ---- what the kernel says ---- */

/* One page that a line of /proc/self/maps shows must be what its entry says. */
static inline void check_projected(struct space *s, rmap_vpn_t vpn, rmap_pfn_t pfn, bool writable)
{
    const struct rmap_pte_format *f = s->mmu.ops->format;
    rmap_pte_t e = entry_get(s, vpn);
    if (!rmap_pte_present(f, e) || !rmap_pte_get(f, e, RMAP_ATTR_ACCESSED) || rmap_pte_pfn(f, e) != pfn ||
        (writable && !(rmap_pte_get(f, e, RMAP_ATTR_WRITE) && rmap_pte_get(f, e, RMAP_ATTR_DIRTY))))
        TEST_FAIL("page %" PRIu64 " shows frame %" PRIu64 " (%s), its entry is 0x%" PRIx64, vpn, pfn,
                  writable ? "rw" : "r", e);
}

/* Mappings of the open windows, window by window; every projected page is held against its entry. */
static inline uint64_t kernel_vmas(struct world *w)
{
    uint64_t count = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    CHECK(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long first, end, offset;
        char prot[8];
        if (sscanf(line, "%lx-%lx %7s %lx", &first, &end, prot, &offset) != 4) continue;
        for (struct space *s = w->space; s < w->space + SPACES_MAX; s++) {
            unsigned long base = s->open ? (unsigned long)rmap_host_base(&s->mmu) : 0;
            if (!base || first >= base + (s->mmu.pages << w->mem.page_shift) || end <= base) continue;
            count++;
            if (prot[3] == 'p') {
                CHECK_STR(prot, "---p");
                continue;
            }
            for (unsigned long at = first; at < end; at += 1ul << w->mem.page_shift)
                check_projected(s, (at - base) >> w->mem.page_shift, (offset + at - first) >> w->mem.page_shift,
                                prot[1] == 'w');
        }
    }
    fclose(maps);
    return count;
}

#endif
