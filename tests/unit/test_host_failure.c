/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_host_failure.c  The host MMU when memory, addresses or VMAs run out: errors, never stale
 * translations. What ruins a process's limits runs in a child of its own, which answers with the line of the first
 * thing that is wrong.
 */
#include "host_world.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN 0
#endif

static struct world w;

#define CHILD_CHECK(cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond)) return __LINE__;                                                                                  \
    } while (0)

/* The line on which the child found something wrong, 0 if all was well; -signal if it died. */
static int in_child(int (*run)(void))
{
    int answer[2], line = -1, status;
    CHECK_EQ(pipe(answer), 0);
    pid_t child = fork();
    if (child == 0) {
        line = run();
        _exit(write(answer[1], &line, sizeof line) == sizeof line ? 0 : 1);
    }
    close(answer[1]);
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    if (read(answer[0], &line, sizeof line) != sizeof line) line = WIFSIGNALED(status) ? -WTERMSIG(status) : -1000;
    close(answer[0]);
    return line;
}

/* ---- the allocator ---- */

/* Two windows of 2048 pages, a page in each, a read fault. Everything is taken down again. @return the first error. */
static int story(void)
{
    struct rmap_host *host;
    struct space s[2] = {{.open = false}};
    int error = rmap_host_create(&(struct rmap_host_options){.struct_size = sizeof(struct rmap_host_options),
                                                             .memory = &w.mem,
                                                             .alloc = &w.alloc.a,
                                                             .window_pages = 2048,
                                                             .vma_limit = 40},
                                 &host);
    if (error) return error;
    struct rmap_mmu_provider provider = rmap_host_provider(host);
    for (unsigned i = 0; i < 2 && !error; i++) {
        error = provider.create(host, &(struct rmap_mmu_client){&s[i], resolve}, &s[i].mmu);
        s[i].open = !error;
        struct rmap_tables t = {0};
        if (!error) error = s[i].mmu.ops->reserve(s[i].mmu.ctx, 700, &t);
        if (error) break;
        s[i].mmu.ops->unreserve(s[i].mmu.ctx, &t);
        size_t fail_at = w.alloc.fail_at;
        w.alloc.fail_at = 0; /* the test's own convenience is not the subject */
        size_t calls = w.alloc.calls;
        map(&s[i], 700, 7, 1, RW);
        w.alloc.calls = calls;
        w.alloc.fail_at = fail_at;
        uint64_t word, *page = (void *)((char *)rmap_host_base(&s[i].mmu) + (700 << 12));
        error = access_word(host, page, RMAP_READ, &word, NULL);
        if (!error) CHECK_EQ(word, 7);
    }
    for (unsigned i = 0; i < 2; i++)
        if (s[i].open) provider.destroy(host, &s[i].mmu);
    CHECK_OK(rmap_host_destroy(host));
    return error;
}

RMAP_TEST(host_failure, each_allocation_may_fail)
{
    world_init(&w, 64, 12, 64, 0);
    size_t blocks = w.alloc.live_blocks, nomem = 0, n;
    for (n = 1;; n++) {
        size_t failed = w.alloc.failed;
        w.alloc.fail_at = w.alloc.calls + n;
        int error = story();
        CHECK_EQ(w.alloc.live_blocks, blocks);
        if (w.alloc.failed == failed) {
            CHECK_OK(error);
            break;
        }
        CHECK(error == RMAP_ERR_NOMEM || error == 0); /* 0: a fault does without records that it cannot have */
        nomem += error != 0;
    }
    CHECK_LE(12, nomem);
    CHECK_LE(nomem + 1, n - 1);
    w.alloc.fail_at = 0;
    world_fini(&w);
}

/* Two windows brought four records each. One closes: the other's four must stay. */
RMAP_TEST(host_failure, a_closed_window_leaves_the_others_their_records)
{
    world_init(&w, 64, 12, 64, 0);
    struct space *s = space_open(&w);
    space_close(&w, space_open(&w));
    w.alloc.fail_at = w.alloc.calls + 1, w.alloc.fail_forever = true;
    for (rmap_vpn_t page = 0; page < 20; page += 2) {
        map(s, page, page, 1, RW);
        CHECK_EQ(faults_of_load(&w, s, page), 1);
    }
    CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
    CHECK(stats_of(&w).drops > 0);
    world_fini(&w);
}

/* ---- addresses ---- */

/* Windows of 8 TiB: after a handful the process has no addresses left. */
RMAP_TEST(host_failure, refused_addresses_are_a_system_error)
{
    if (UNDER_TSAN) TEST_SKIP("the sanitizer has most addresses already");
    world_init(&w, 64, 16, 1u << 27, 0);
    struct space *s = space_open(&w);
    map(s, 5, 7, 1, RW);
    int error = 0;
    size_t blocks = 0;
    for (unsigned i = 1; i < SPACES_MAX && !error; i++) {
        blocks = w.alloc.live_blocks;
        error = w.provider.create(w.host, &(struct rmap_mmu_client){&w.space[i], resolve}, &w.space[i].mmu);
        w.space[i].open = !error;
    }
    CHECK_ERR(error, RMAP_ERR_SYSTEM);
    CHECK_EQ(w.alloc.live_blocks, blocks);
    CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
    CHECK_EQ(load(&w, s, 5, NULL), 7);
    world_fini(&w);
}

/* ---- the system refuses every mmap: RLIMIT_AS below what is in use ---- */

static void allow_mappings(bool allowed)
{
    struct rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = allowed ? limit.rlim_max : 1;
    setrlimit(RLIMIT_AS, &limit);
}

static int without_mmap(void)
{
    struct space *s = w.space;
    uint64_t word;
    allow_mappings(false);
    entry_set(s, 12, 0);
    flush(s, 12, 1, RMAP_FLUSH_ALL);
    CHILD_CHECK(load(&w, s, 12, NULL) == RMAP_ERR_ABSENT); /* not stale */
    CHILD_CHECK(load(&w, s, 11, NULL) == RMAP_ERR_SYSTEM); /* an error, not a fault for ever */
    CHILD_CHECK(stats_of(&w).vmas == 2);
    allow_mappings(true);
    CHILD_CHECK(load(&w, s, 11, NULL) == 11);
    CHILD_CHECK(load(&w, s, 12, NULL) == RMAP_ERR_ABSENT);
    CHILD_CHECK(access_word(w.host, word_at(&w, s, 12, 0), RMAP_READ, &word, NULL) == RMAP_ERR_ABSENT);
    rmap_host_drop_all(w.host);
    CHILD_CHECK(kernel_vmas(&w) == stats_of(&w).vmas);
    return 0;
}

/* pages 10-19 in frames 10-19; a second window */
RMAP_TEST(host_failure, flushes_cannot_fail_without_mmap)
{
    if (UNDER_TSAN) TEST_SKIP("the sanitizer itself needs mappings");
    world_init(&w, 2048, 12, 2048, 0);
    struct space *s = space_open(&w);
    space_open(&w);
    map(s, 10, 10, 10, RW);
    CHECK_EQ(faults_of_load(&w, s, 10), 1);
    CHECK_EQ(in_child(without_mmap), 0);
    world_fini(&w);
}

/* ---- the process is at vm.max_map_count, by others' doing ---- */

static char *filler;
#define FILLER_PAGES ((size_t)1 << 19)

static void use_up_vmas(void)
{
    for (size_t i = 1; i < FILLER_PAGES; i += 2)
        if (mprotect(filler + (i << 12), 4096, PROT_READ) != 0) break;
    /* what is left over, by mappings that add one at a time */
    while (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) continue;
}

static int without_vmas(void)
{
    struct space *a = &w.space[0], *b = &w.space[1];
    use_up_vmas();
    CHILD_CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);

    /* The middle of a run: splitting it is refused, so all of it is forgotten. */
    entry_set(a, 15, 0);
    flush(a, 15, 1, RMAP_FLUSH_ALL);
    CHILD_CHECK(load(&w, a, 15, NULL) == RMAP_ERR_ABSENT);

    /* The same for the permission to write. */
    entry_set(b, 105, rmap_pte_make(b->mmu.ops->format, 105, RO));
    flush(b, 105, 1, RMAP_FLUSH_WRITE);
    CHILD_CHECK(store(&w, b, 105, 1, NULL) == RMAP_ERR_ACCESS);

    /* Projections give way to one that is needed. */
    use_up_vmas();
    for (rmap_vpn_t page = 10; page < 15; page++) CHILD_CHECK(load(&w, a, page, NULL) == (int64_t)page);
    for (rmap_vpn_t page = 100; page < 110; page++) CHILD_CHECK(load(&w, b, page, NULL) == (int64_t)page);
    for (rmap_vpn_t page = 200; page < 230; page += 2) CHILD_CHECK(load(&w, b, page, NULL) == (int64_t)page);
    CHILD_CHECK(load(&w, a, 15, NULL) == RMAP_ERR_ABSENT);

    /* Nothing is left to give: an error, and windows that work again when there is room. */
    rmap_host_drop_all(w.host);
    use_up_vmas();
    CHILD_CHECK(load(&w, a, 12, NULL) == RMAP_ERR_SYSTEM);
    CHILD_CHECK(load(&w, b, 204, NULL) == RMAP_ERR_SYSTEM);
    munmap(filler, FILLER_PAGES << 12);
    CHILD_CHECK(load(&w, a, 12, NULL) == 12);
    CHILD_CHECK(load(&w, b, 204, NULL) == 204);
    CHILD_CHECK(load(&w, a, 15, NULL) == RMAP_ERR_ABSENT);
    return 0;
}

/* a: pages 10-19; b: 100-109, and 200, 202, … 228; each in the frame of the same number */
RMAP_TEST(host_failure, flushes_and_faults_at_the_systems_limit_of_vmas)
{
    if (UNDER_TSAN) TEST_SKIP("the sanitizer itself needs mappings");
    world_init(&w, 2048, 12, 2048, 0);
    if (stats_of(&w).vma_limit > FILLER_PAGES / 4) {
        world_fini(&w);
        TEST_SKIP("vm.max_map_count is too high to be reached");
    }
    struct space *a = space_open(&w), *b = space_open(&w);
    map(a, 10, 10, 10, RW);
    map(b, 100, 100, 10, RW);
    for (rmap_vpn_t page = 200; page < 230; page += 2) map(b, page, page, 1, RW);
    CHECK_EQ(faults_of_load(&w, a, 10), 1);
    CHECK_EQ(faults_of_load(&w, b, 100), 1);
    for (rmap_vpn_t page = 200; page < 230; page += 2) CHECK_EQ(faults_of_load(&w, b, page), 1);
    filler = mmap(NULL, FILLER_PAGES << 12, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(filler != MAP_FAILED);
    CHECK_EQ(in_child(without_vmas), 0);
    munmap(filler, FILLER_PAGES << 12);
    world_fini(&w);
}
