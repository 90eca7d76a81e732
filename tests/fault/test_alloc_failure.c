/* SPDX-License-Identifier: MIT */
/**
 * @file fault/test_alloc_failure.c  Every public verb with the Nth allocation failing, once and for ever: it happened,
 * or nothing did; the books are in order; the retry works; nothing leaks. Calls that promise not to allocate do not. A
 * public function that no case names, or that its case does not call, fails the last test. Scenarios: A6, B7, H3.
 */
#include "fault/stage.h"

#include <dirent.h>
#include <stdlib.h>

#define NTH_MAX 1000

/* Too large for a stack that a failed check leaves by a long jump. */
static struct stage stage;

/* ---- what can be observed without disturbing it ---- */

struct observed {
    uint64_t entries, frames, committed, regions, live_bytes;
};

static uint64_t entries_of(struct rmap_space *s)
{
    const struct rmap_mmu *mmu = &rmap_space_member(s)->mmu;
    struct rmap_mmu_run run;
    uint64_t sum = 0;
    for (rmap_vpn_t at = 0; !mmu->ops->run_find(mmu->ctx, at, 20000, &run); at = run.first + run.count) {
        for (uint32_t i = 0; i < run.count; i++) sum = (sum ^ rmap_run_get(mmu, &run, i)) * UINT64_C(0x100000001b3) + 1;
        mmu->ops->run_unlock(mmu->ctx, &run);
    }
    return sum;
}

static struct observed observe(struct stage *g)
{
    const struct rmap_pager_stats st = stats(&g->w);
    return (struct observed){.entries = entries_of(g->parent) ^ entries_of(g->child) ^ entries_of(g->guest),
                             .frames = st.frames_used,
                             .committed = st.committed,
                             .regions = st.regions,
                             .live_bytes = g->w.alloc.live_bytes};
}

static void check_unchanged(const struct verb *v, const struct observed *a, const struct observed *b)
{
    const bool loose = v->flags & LOOSE;
    if (!loose && a->entries != b->entries) TEST_FAIL("%s failed, but entries have changed", v->names);
    if (!loose && a->frames != b->frames) TEST_FAIL("%s failed, and took frames", v->names);
    if (!loose && a->live_bytes != b->live_bytes)
        TEST_FAIL("%s failed: %llu bytes before, %llu after", v->names, (unsigned long long)a->live_bytes,
                  (unsigned long long)b->live_bytes);
    if (a->committed != b->committed || a->regions != b->regions)
        TEST_FAIL("%s failed, but regions or charges have changed", v->names);
}

/* ---- one case, one failure ---- */

/* @return true while the Nth allocation was one of the verb's. */
static bool fail_nth(const struct verb *v, size_t nth, bool forever)
{
    struct stage *g = &stage;
    struct test_alloc *t = &g->w.alloc;
    stage_init(g);
    if (v->prepare) v->prepare(g);
    const struct observed before = observe(g);
    t->fail_at = t->calls + nth;
    t->fail_forever = forever;
    t->failed = 0;
    int rc = v->call(g);
    const bool hit = t->failed > 0;
    t->fail_at = 0;
    if (rc) {
        if (rc != RMAP_ERR_NOMEM || !hit) TEST_FAIL("%s, allocation %zu: %s", v->names, nth, rmap_error_name(rc));
        const struct observed after = observe(g);
        check_unchanged(v, &before, &after);
        stage_check(g);
        if (g->furnished) expect(g->guest, 100, 8, 1100);
        CHECK_OK(v->call(g)); /* the retry */
    } else if (hit && !(v->flags & SPARING)) {
        TEST_FAIL("%s, allocation %zu: failed, and nobody noticed", v->names, nth);
    }
    if (v->undo) v->undo(g);
    if (v->clear) v->clear(g);
    stage_check(g);
    stage_fini(g);
    return hit;
}

static void fail_all(const struct verb *v, bool forever)
{
    for (; v->names; v++) {
        size_t nth = 1;
        while (fail_nth(v, nth, forever)) CHECK(++nth < NTH_MAX);
        if (nth == 1) TEST_FAIL("%s is said to allocate, and does not", v->names);
    }
}

RMAP_TEST(alloc_failure, of_each_allocation_of_the_mm_verbs)
{
    fail_all(fault_verbs_space, false);
    fail_all(fault_verbs_space, true);
}
RMAP_TEST(alloc_failure, of_each_allocation_of_the_core)
{
    fail_all(fault_verbs_core, false);
    fail_all(fault_verbs_core, true);
}
RMAP_TEST(alloc_failure, of_each_allocation_of_the_parts)
{
    fail_all(fault_verbs_parts, false);
    fail_all(fault_verbs_parts, true);
}

RMAP_TEST(alloc_failure, does_not_concern_what_promises_not_to_allocate)
{
    struct stage *g = &stage;
    for (const struct verb *v = fault_verbs_quiet; v->names; v++) {
        stage_init(g);
        if (v->prepare) v->prepare(g);
        size_t calls = g->w.alloc.calls;
        CHECK_OK(v->call(g));
        if (g->w.alloc.calls != calls) TEST_FAIL("%s: %zu allocations", v->names, g->w.alloc.calls - calls);
        if (v->undo) v->undo(g);
        if (v->clear) v->clear(g);
        stage_check(g);
        stage_fini(g);
    }
}

/* ---- nobody is forgotten ---- */

/* Does `text` hold `name` as a word, followed by `next` (0: by a blank or the end)? */
static bool has_word(const char *text, const char *name, char next)
{
    const size_t n = strlen(name);
    for (const char *at = text; (at = strstr(at, name)); at++) {
        const bool begins = at == text || (at[-1] != '_' && (at[-1] < 'a' || at[-1] > 'z'));
        if (begins && (next ? at[n] == next : at[n] == ' ' || !at[n])) return true;
    }
    return false;
}

static bool in_a_table(const char *name)
{
    static const struct verb *const tables[] = {fault_verbs_space, fault_verbs_core, fault_verbs_parts,
                                                fault_verbs_quiet};
    for (unsigned i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct verb *v = tables[i]; v->names; v++)
            if (has_word(v->names, name, 0)) return true;
    return false;
}

/* Append a file, or all files of a folder, to a text. */
static void read_into(char *text, size_t room, const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) TEST_FAIL("cannot read %s", path);
    size_t at = strlen(text), n = fread(text + at, 1, room - at - 1, f);
    text[at + n] = 0;
    CHECK(feof(f));
    fclose(f);
}
static void read_folder(char *text, size_t room, const char *root, const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", root, folder);
    DIR *dir = opendir(path);
    if (!dir) TEST_FAIL("cannot read %s", path);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s/%s", root, folder, e->d_name);
        read_into(text, room, path);
    }
    closedir(dir);
}

RMAP_TEST(alloc_failure, is_tried_on_every_public_function)
{
    static char headers[1 << 18], cases[1 << 18];
    const char *root = getenv("OBJRMAP_SOURCE_ROOT");
    if (!root) TEST_SKIP("OBJRMAP_SOURCE_ROOT is not set");
    headers[0] = cases[0] = 0;
    read_folder(headers, sizeof headers, root, "include/objrmap");
    read_folder(cases, sizeof cases, root, "tests/fault");
    unsigned found = 0, missing = 0;
    for (char *at = headers; (at = strstr(at, "\nRMAP_API ")); at++) {
        char *end = strpbrk(at, "(;"), *name = end;
        if (!end || *end == ';') continue; /* data */
        while (name[-1] == '_' || (name[-1] >= '0' && name[-1] <= '9') || (name[-1] >= 'a' && name[-1] <= 'z')) name--;
        *end = 0;
        /* Libraries of their own: the allocator on jemalloc fails as jemalloc does, the kit has no allocator. */
        const bool exempt = strncmp(name, "rmap_alloc_jemalloc_", sizeof "rmap_alloc_jemalloc_" - 1) == 0 ||
                            strncmp(name, "rmap_testing_", sizeof "rmap_testing_" - 1) == 0;
        const bool named = in_a_table(name), called = has_word(cases, name, '(');
        *end = '(';
        found++;
        if (exempt || (named && called)) continue;
        missing++;
        fprintf(stderr, "%.*s: %s\n", (int)(end - name), name,
                named ? "its case does not call it" : "no case names it");
    }
    CHECK(found > 90);
    CHECK_EQ(missing, 0);
}
