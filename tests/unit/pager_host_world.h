/* SPDX-License-Identifier: MIT */
/**
 * @file unit/pager_host_world.h  The pager behind the host MMU, its windows loaded and stored by ordinary threads.
 *
 * A fault on what is away for the moment (a range that is being moved or protected) yields and retries: `waits` counts that.
 * Accesses are atomic and unknown to TSan, which cannot know that two addresses show one frame, and takes each mapping call
 * for a store to all its bytes. Their names begin with `window_`, which nothing else does: support/valgrind.supp goes by it.
 */
#ifndef RMAP_TESTS_UNIT_PAGER_HOST_WORLD_H
#define RMAP_TESTS_UNIT_PAGER_HOST_WORLD_H

#include "support/counting_alloc.h"
#include "support/test.h"

#include <errno.h>
#include <objrmap/host.h>
#include <objrmap/pager.h>
#include <objrmap/space.h>
#include <objrmap/verify.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <ucontext.h>

#define PAGE 4096u
#define WINDOW 512

/* A device that is another one, with a hook. Any number of threads may use it. */
struct hooked_device {
    struct rmap_device base;
    struct rmap_device *file;
    void (*_Atomic before_write)(void); /* called once */
};

static inline void hooked_write(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    struct hooked_device *h = (struct hooked_device *)d;
    void (*hook)(void) = atomic_exchange(&h->before_write, NULL);
    if (hook) hook();
    h->file->ops->write(h->file, io, n);
}

static inline void hooked_read(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    struct hooked_device *h = (struct hooked_device *)d;
    h->file->ops->read(h->file, io, n);
}

static inline void hooked_get_stats(struct rmap_device *d, struct rmap_device_stats *out)
{
    rmap_device_get_stats(((struct hooked_device *)d)->file, out);
}

static inline void hooked_destroy(struct rmap_device *d)
{
    rmap_device_destroy(((struct hooked_device *)d)->file);
}

static const struct rmap_device_ops hooked_ops = {
    .struct_size = sizeof hooked_ops,
    .name = "hooked",
    .write = hooked_write,
    .read = hooked_read,
    .get_stats = hooked_get_stats,
    .destroy = hooked_destroy,
};

struct world {
    struct test_alloc alloc;
    struct rmap_memory memory;
    struct rmap_host *host;
    struct rmap_mmu_provider provider;
    struct hooked_device device;
    struct rmap_pager *p;
};
static struct world w;
static atomic_ulong waits;

/* The access comes from the page fault's error code where the machine has one; else it is taken for a write. */
static inline void handle(int number, siginfo_t *info, void *context)
{
    unsigned access = RMAP_WRITE;
#if defined(__x86_64__)
    if (!(((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2)) access = RMAP_READ;
#else
    (void)context;
#endif
    const int saved = errno;
    int error = rmap_host_fault(w.host, info->si_addr, access);
    if (error == RMAP_ERR_ACCESS || error == RMAP_ERR_ABSENT) {
        waits++;
        sched_yield();
    } else if (error) {
        fprintf(stderr, "fault: %s\n", rmap_error_name(error));
        signal(number, SIG_DFL);
    }
    errno = saved;
}

static inline void world_init(uint64_t frames)
{
    memset(&w, 0, sizeof w);
    waits = 0;
    test_alloc_init(&w.alloc);
    CHECK_OK(rmap_memory_init(&w.memory, frames, 12));
    struct rmap_host_options ho = {sizeof ho, &w.memory, &w.alloc.a, WINDOW, 0};
    CHECK_OK(rmap_host_create(&ho, &w.host));
    w.provider = rmap_host_provider(w.host);
    CHECK_OK(rmap_device_temp_create(&w.alloc.a, NULL, 4096, 12, &w.device.file));
    w.device.base = (struct rmap_device){&hooked_ops, 4096, 12};
    struct rmap_pager_options po = {.struct_size = sizeof po,
                                    .alloc = &w.alloc.a,
                                    .provider = &w.provider,
                                    .memory = &w.memory,
                                    .frames = frames,
                                    .page_shift = 12,
                                    .swap = &w.device.base,
                                    .evict_batch = 8};
    CHECK_OK(rmap_pager_create(&po, &w.p));
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

static inline void verify(void)
{
    struct rmap_verify_report report;
    int rc = rmap_pager_verify(w.p, &report);
    if (rc) TEST_FAIL("%s: %s: %s", rmap_error_name(rc), report.invariant ? report.invariant : "?", report.text);
}

static inline void world_fini(void)
{
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    verify();
    CHECK_OK(rmap_pager_destroy(w.p));
    CHECK_OK(rmap_host_destroy(w.host));
    rmap_memory_fini(&w.memory);
    CHECK_EQ(w.alloc.live_bytes, 0);
}

static inline struct rmap_pager_stats stats(void)
{
    struct rmap_pager_stats s;
    CHECK_OK(rmap_pager_get_stats(w.p, &s));
    return s;
}

static inline uint64_t *word(struct rmap_space *s, rmap_vpn_t vpn, unsigned n)
{
    return (uint64_t *)(void *)((char *)rmap_host_base(&rmap_space_member(s)->mmu) + vpn * PAGE) + n;
}

__attribute__((no_sanitize_thread)) static inline uint64_t window_get(struct rmap_space *s, rmap_vpn_t vpn, unsigned n)
{
    return __atomic_load_n(word(s, vpn, n), __ATOMIC_SEQ_CST);
}

__attribute__((no_sanitize_thread)) static inline void window_put(struct rmap_space *s, rmap_vpn_t vpn, unsigned n, uint64_t value)
{
    __atomic_store_n(word(s, vpn, n), value, __ATOMIC_SEQ_CST);
}

__attribute__((no_sanitize_thread)) static inline void window_add(struct rmap_space *s, rmap_vpn_t vpn, unsigned n)
{
    __atomic_fetch_add(word(s, vpn, n), 1, __ATOMIC_SEQ_CST);
}

static inline struct rmap_space *space_with_region(uint64_t pages)
{
    struct rmap_space *s;
    rmap_vpn_t at = 0;
    CHECK_OK(rmap_space_create(w.p, &s));
    CHECK_OK(rmap_space_map(s, &at, pages, RMAP_READ | RMAP_WRITE, RMAP_MAP_FIXED));
    return s;
}

#endif
