/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_host_threads.c  The host MMU alone, with faults in several threads: what each fault is told, what stays
 * while it is under way, and that no thread sees what a flush has taken away. The pager behind it: test_pager_host_threads.c.
 */
#include "host_world.h"

#include "mmu/host_impl.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define YIELDS 2000 /* turns that a thread is given to do what it must not do yet */

static struct world w;

/* ---- one page, two threads ---- */

static atomic_uint inside;

/* Nobody resolves before both have come. */
static int resolve_together(void *ctx, rmap_vpn_t vpn, unsigned access)
{
    atomic_fetch_add(&inside, 1);
    while (atomic_load(&inside) < 2) sched_yield();
    return resolve(ctx, vpn, access);
}

struct visitor {
    struct space *s;
    rmap_vpn_t vpn;
    int64_t shown;
    unsigned faults;
};

static void *visit(void *arg)
{
    struct visitor *v = arg;
    v->shown = load(&w, v->s, v->vpn, &v->faults);
    return NULL;
}

/* page 3: frame 5, both threads are in its fault: projected by one, found so by the other */
RMAP_TEST(host_threads, a_page_that_two_threads_fault_on_is_mapped_once_and_both_retry)
{
    world_init(&w, 64, 12, 64, 0);
    struct space s;
    CHECK_OK(w.provider.create(w.provider.ctx, &(struct rmap_mmu_client){&s, resolve_together}, &s.mmu));
    map(&s, 3, 5, 1, FRESH);
    inside = 0;
    struct visitor a = {.s = &s, .vpn = 3}, b = a;
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, visit, &b), 0);
    visit(&a);
    pthread_join(t, NULL);
    CHECK_EQ(a.shown, 5);
    CHECK_EQ(b.shown, 5);
    CHECK_EQ(a.faults, 1);
    CHECK_EQ(b.faults, 1);
    CHECK_EQ(stats_of(&w).faults, 2);
    CHECK_EQ(stats_of(&w).projections, 1);
    w.provider.destroy(w.provider.ctx, &s.mmu);
    world_fini(&w);
}

/* ---- a window that goes ---- */

static atomic_bool gone, gone_too_early;

/* The pager's answer when the space died while the fault waited for its lock. */
static int linger(void *ctx, rmap_vpn_t vpn, unsigned access)
{
    (void)ctx, (void)vpn, (void)access;
    inside = 1;
    for (unsigned i = 0; i < YIELDS; i++) sched_yield();
    gone_too_early = gone;
    return RMAP_ERR_DEAD;
}

/* page 3's fault is under way when its window is destroyed */
RMAP_TEST(host_threads, a_window_waits_for_the_faults_under_way_in_it)
{
    world_init(&w, 64, 12, 64, 0);
    struct space s;
    CHECK_OK(w.provider.create(w.provider.ctx, &(struct rmap_mmu_client){&s, linger}, &s.mmu));
    inside = 0;
    gone = false;
    struct visitor v = {.s = &s, .vpn = 3};
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, visit, &v), 0);
    while (!inside) sched_yield();
    w.provider.destroy(w.provider.ctx, &s.mmu);
    gone = true;
    pthread_join(t, NULL);
    CHECK(!gone_too_early);
    CHECK_EQ(v.shown, RMAP_ERR_DEAD);
    world_fini(&w);
}

/* ---- a mapping that the kernel refuses ---- */

/* Page 9 is resolved; before its thread goes on, another one's page 20 is refused by the kernel, which costs all
 * projections. Without its descriptor the memory cannot be mapped. */
static int resolve_beside_a_refusal(void *ctx, rmap_vpn_t vpn, unsigned access)
{
    struct space *s = ctx;
    struct rmap_mmu_run run;
    const int fd = w.mem.fd;
    int error = vpn == 9 ? resolve(ctx, vpn, access) : 0;
    w.mem.fd = -1;
    if (!error && !(error = s->mmu.ops->run_find(s->mmu.ctx, 20, 21, &run))) {
        s->mmu.ops->update(s->mmu.ctx, &run, 20, access);
        s->mmu.ops->run_unlock(s->mmu.ctx, &run);
    }
    w.mem.fd = fd;
    return error;
}

RMAP_TEST(host_threads, a_refused_mapping_is_the_failure_of_its_own_fault_alone)
{
    world_init(&w, 64, 12, 64, 0);
    struct space s;
    CHECK_OK(w.provider.create(w.provider.ctx, &(struct rmap_mmu_client){&s, resolve_beside_a_refusal}, &s.mmu));
    map(&s, 9, 9, 1, RW);
    map(&s, 20, 2, 1, RW);
    CHECK_OK(rmap_host_fault(w.host, (void *)(uintptr_t)word_at(&w, &s, 9, 0), RMAP_READ)); /* it will fault again */
    CHECK_ERR(rmap_host_fault(w.host, (void *)(uintptr_t)word_at(&w, &s, 20, 0), RMAP_READ), RMAP_ERR_SYSTEM);
    w.provider.destroy(w.provider.ctx, &s.mmu);
    world_fini(&w);
}

static atomic_bool stop;

struct caller {
    struct space *s;
    atomic_ulong loads;
    unsigned long refused, wrong;
};

/* Pages 0, 2, … 14 of a space, whose frames follow its number. */
static void *load_in_turn(void *arg)
{
    struct caller *c = arg;
    for (rmap_vpn_t page = 0; !stop; page = (page + 2) % 16) {
        const int64_t shown = load(&w, c->s, page, NULL);
        if (shown == RMAP_ERR_SYSTEM)
            c->refused++;
        else
            c->wrong += shown != (c->s - w.space) * 16 + (int64_t)page;
        c->loads++;
    }
    return NULL;
}

enum { CALLERS = 3 };

/* Each caller begins a load after now, and ends it. */
static void let_all_load(struct caller *c)
{
    for (unsigned i = 0; i < CALLERS; i++)
        for (const unsigned long seen = c[i].loads; c[i].loads < seen + 2;) sched_yield();
}

/* Three windows, a thread in each. Again and again the memory's descriptor becomes one that cannot be mapped: all threads
 * give up everything, each for itself, and nothing is shown that should not be, refused for ever, or miscounted. */
RMAP_TEST(host_threads, windows_that_are_refused_mappings_at_the_same_time_all_recover)
{
    enum { ROUNDS = 20 };
    world_init(&w, 64, 12, 64, 24);
    struct caller c[CALLERS] = {{.s = NULL}};
    pthread_t t[CALLERS];
    stop = false;
    const int memory = fcntl(w.mem.fd, F_DUPFD_CLOEXEC, 0), none = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(memory >= 0 && none >= 0);
    for (unsigned i = 0; i < CALLERS; i++) {
        c[i].s = space_open(&w);
        for (rmap_vpn_t page = 0; page < 16; page += 2) map(c[i].s, page, i * 16 + page, 1, RW);
    }
    for (unsigned i = 0; i < CALLERS; i++) CHECK_EQ(pthread_create(&t[i], NULL, load_in_turn, &c[i]), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK(dup2(none, w.mem.fd) == w.mem.fd);
        rmap_host_drop_all(w.host);
        let_all_load(c);
        CHECK(dup2(memory, w.mem.fd) == w.mem.fd);
        let_all_load(c);
    }
    stop = true;
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(t[i], NULL);
        CHECK_EQ(c[i].wrong, 0);
        CHECK_LE(ROUNDS, c[i].refused);
        CHECK_EQ(load(&w, c[i].s, 4, NULL), i * 16 + 4);
    }
    CHECK_LE(stats_of(&w).vmas_peak, 24);
    CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
    close(memory);
    close(none);
    world_fini(&w);
}

/* ---- a window that goes while somebody needs everything ---- */

static void *load_page_3(void *space)
{
    return (void *)(intptr_t)load(&w, space, 3, NULL);
}

static void *close_it(void *space)
{
    struct space *s = space;
    w.provider.destroy(w.provider.ctx, &s->mmu);
    s->open = false;
    return NULL;
}

struct glance {
    bool emergency, wait, change;
};
static struct glance glance(void)
{
    rmap__host_lock(w.host);
    const struct glance g = {w.host->emergency, w.host->waiters, w.host->changes};
    rmap__host_unlock(w.host);
    return g;
}

/* A fault in a is refused a mapping, and about to take what x projects, whose lock we hold; then it will come to d. d is being
 * closed meanwhile: with its 17 VMAs it must stay to be found, or they count and cannot be had, and there is no room for a. */
RMAP_TEST(host_threads, a_window_that_closes_in_an_emergency_waits_for_its_end)
{
    enum { LIMIT = 24 };
    world_init(&w, 256, 12, 64, LIMIT);
    struct space *a = space_open(&w), *x = space_open(&w), *d = space_open(&w);
    if (((struct rmap__window *)x->mmu.ctx)->base > ((struct rmap__window *)d->mmu.ctx)->base) {
        struct space *lower = d;
        d = x;
        x = lower;
    }
    struct rmap__window *first = x->mmu.ctx, *last = d->mmu.ctx;
    const int memory = fcntl(w.mem.fd, F_DUPFD_CLOEXEC, 0), none = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(memory >= 0 && none >= 0);
    map(a, 3, 5, 1, RW);
    map(x, 1, 10, 1, RW);
    for (rmap_vpn_t page = 1; page < 17; page += 2) {
        map(d, page, 100 + page, 1, RW);
        CHECK_EQ(load(&w, d, page, NULL), 100 + page);
    }
    CHECK_EQ(load(&w, x, 1, NULL), 10);

    pthread_mutex_lock(&first->lock);
    pthread_t fault, end;
    CHECK(dup2(none, w.mem.fd) == w.mem.fd);
    CHECK_EQ(pthread_create(&fault, NULL, load_page_3, a), 0);
    while (!glance().emergency) sched_yield();
    pthread_mutex_lock(&last->lock);
    CHECK_EQ(pthread_create(&end, NULL, close_it, d), 0);
    struct glance g;
    while (g = glance(), !g.wait && !g.change) sched_yield();
    const bool removed = g.change;
    CHECK(dup2(memory, w.mem.fd) == w.mem.fd);
    pthread_mutex_unlock(&last->lock);
    pthread_mutex_unlock(&first->lock);
    void *shown;
    pthread_join(fault, &shown);
    pthread_join(end, NULL);
    CHECK(!removed);
    CHECK_EQ((intptr_t)shown, 5);
    CHECK_LE(stats_of(&w).vmas_peak, LIMIT);
    CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
    close(memory);
    close(none);
    world_fini(&w);
}

/* ---- two windows ---- */

/* a's lock is held, as by a system call that takes long. b faults, and is flushed: a wait for a's lock would never end. */
RMAP_TEST(host_threads, a_window_does_not_wait_for_another_one)
{
    world_init(&w, 64, 12, 64, 0);
    struct space *a = space_open(&w), *b = space_open(&w);
    map(a, 3, 5, 1, RW);
    map(b, 3, 6, 4, RW);
    struct rmap__window *held = a->mmu.ctx;
    pthread_mutex_lock(&held->lock);
    CHECK_EQ(faults_of_load(&w, b, 4), 1);
    flush(b, 4, 1, RMAP_FLUSH_ALL);
    flush(b, 5, 1, RMAP_FLUSH_WRITE);
    CHECK_EQ(faults_of_store(&w, b, 4), 1);
    CHECK_EQ(stats_of(&w).vmas, 1 + 3); /* b: gap, 3-6 rw, gap */
    pthread_mutex_unlock(&held->lock);
    CHECK_EQ(load(&w, a, 3, NULL), 5);
    CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
    world_fini(&w);
}

/* ---- handlers in a chain ---- */

static struct sigaction before;
static void *foreign;
static atomic_uint chained;

static void earlier_handler(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_addr != foreign || mprotect(foreign, 4096, PROT_READ | PROT_WRITE)) signal(sig, SIG_DFL);
    chained++;
}

static void handle_or_pass_on(int sig, siginfo_t *info, void *context)
{
    int error = rmap_host_fault(w.host, info->si_addr, touch.access);
    if (error == RMAP_ERR_ABSENT)
        before.sa_sigaction(sig, info, context);
    else if (error)
        signal(sig, SIG_DFL);
}

static void *open_and_close(void *arg)
{
    atomic_ulong *opened = arg;
    while (!stop) {
        struct space s;
        if (w.provider.create(w.provider.ctx, &(struct rmap_mmu_client){&s, resolve}, &s.mmu)) return NULL;
        w.provider.destroy(w.provider.ctx, &s.mmu);
        ++*opened;
    }
    return NULL;
}

static void *page_below(char *base)
{
    for (unsigned i = 1; i < 1000; i++) {
        void *page = mmap(base - ((size_t)i << 20), 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page != MAP_FAILED && (char *)page < base) return page;
        if (page != MAP_FAILED) munmap(page, 4096);
    }
    TEST_FAIL("no room below a window");
}

/* A page that is nobody's window, page 3 of one that stays, and others that come and go: to each its own handler. */
RMAP_TEST(host_threads, what_is_not_ours_goes_to_the_handler_before_ours)
{
    enum { ROUNDS = 500 };
    struct sigaction action;
    world_init(&w, 64, 12, 64, 0);
    memset(&action, 0, sizeof action);
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = earlier_handler;
    sigaction(SIGSEGV, &action, NULL);
    action.sa_sigaction = handle_or_pass_on;
    sigaction(SIGSEGV, &action, &before);
    struct space *s = space_open(&w);
    map(s, 3, 5, 1, RW);
    foreign = page_below(rmap_host_base(&s->mmu)); /* in the order of addresses the window comes next */
    atomic_ulong opened = 0;
    pthread_t t;
    stop = false;
    chained = 0;
    CHECK_EQ(pthread_create(&t, NULL, open_and_close, &opened), 0);
    while (!opened) sched_yield();
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t word;
        mprotect(foreign, 4096, PROT_NONE);
        access_word(w.host, foreign, RMAP_READ, &word, NULL);
        access_word(w.host, word_at(&w, s, 3, 0), RMAP_READ, &word, NULL);
        if (word != 5) break;
        rmap_host_drop_all(w.host);
    }
    stop = true;
    pthread_join(t, NULL);
    CHECK_EQ(chained, ROUNDS);
    CHECK_EQ(stats_of(&w).faults, ROUNDS);
    munmap(foreign, 4096);
    world_fini(&w);
}

/* ---- flushes ---- */

#define PAGES 4
#define FRAMES 512

/* Page i has shown all frames up to now[i]; the next one is being put there. */
static _Atomic int64_t now[PAGES];

struct reader {
    struct space *s;
    atomic_ulong loads;
    unsigned long stale, early, errors;
};

static void *read_all_the_time(void *arg)
{
    struct reader *r = arg;
    for (unsigned page = 0; !stop; page = (page + 1) % PAGES) {
        const int64_t from = now[page];
        const int64_t shown = load(&w, r->s, page, NULL);
        const int64_t to = now[page];
        r->errors += shown < 0;
        r->stale += shown >= 0 && shown < from;
        r->early += shown > to + 1;
        r->loads++;
    }
    return NULL;
}

/* Pages 0-3 change their frames, 0 to 500, under two readers: once a flush has returned, nobody sees the old one (INV-6). */
RMAP_TEST(host_threads, INV_6_no_thread_sees_a_frame_after_the_flush_that_took_it)
{
    enum { CHANGES = 2000 };
    world_init(&w, FRAMES, 12, 64, 0);
    struct space *s = space_open(&w);
    for (unsigned page = 0; page < PAGES; page++) now[page] = 0;
    map(s, 0, 0, 1, RW), map(s, 1, 0, 1, RW), map(s, 2, 0, 1, RW), map(s, 3, 0, 1, RW);
    struct reader r[2] = {{.s = s}, {.s = s}};
    pthread_t t[2];
    stop = false;
    for (unsigned i = 0; i < 2; i++) CHECK_EQ(pthread_create(&t[i], NULL, read_all_the_time, &r[i]), 0);
    while (!r[0].loads || !r[1].loads) sched_yield();
    for (unsigned i = 0; i < CHANGES; i++) {
        const unsigned page = i % PAGES;
        const int64_t next = now[page] + 1;
        map(s, page, (rmap_pfn_t)next, 1, i % 3 ? RO : RW);
        flush(s, page, 1, RMAP_FLUSH_ALL);
        now[page] = next;
        if (i % 64 == 0) rmap_host_drop_all(w.host);
        if (i % 8 == 0) sched_yield();
    }
    stop = true;
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
        CHECK_EQ(r[i].errors, 0);
        CHECK_EQ(r[i].stale, 0);
        CHECK_EQ(r[i].early, 0);
    }
    CHECK_EQ(kernel_vmas(&w), stats_of(&w).vmas);
    world_fini(&w);
}
