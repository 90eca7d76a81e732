/* SPDX-License-Identifier: MIT */
/**
 * @file fault/test_failures.c  Every public verb with the Nth request of each kind refused, once and for ever, N = 1, 2, 3 …
 * until the verb asks for no more: it is done, or nothing is, or it stopped half-way exactly as documented; the error is
 * one that the header names for this function; contents are right, the books in order; once nothing is refused any more the
 * retry works; nothing leaks. A verb asks for the kinds that its case says, for each of them, and for no other.
 * FAULT_TRACE=1 in the environment says each trial before it begins. Scenarios: A6, B7, C5, H3.
 */
#include "fault/documented.h"
#include "fault/stage.h"

#include <stdlib.h>

#define NTH_MAX 1000

/* Too large for a stack that a failed check leaves by a long jump. */
static struct stage stage;

/* What was seen, for the last line of a table of verbs. */
static struct {
    uint32_t codes;
    unsigned trials, refused, half_way, survived;
} seen;

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
                             .live_bytes = g->w.alloc.live_bytes + g->tables.live_bytes};
}

/* Flags that the trials of this verb have needed. */
static unsigned needed;

/* Something differs after a failure: the case must say that it may. */
static void check_excused(const struct verb *v, unsigned flag, const char *what, uint64_t before, uint64_t after)
{
    if (before == after) return;
    needed |= flag;
    if (!(v->flags & flag))
        TEST_FAIL("%s failed, but %s changed: %llu before, %llu after", v->names, what, (unsigned long long)before,
                  (unsigned long long)after);
}

/* Where frames are short, reclaim changes entries, frames and slots for its own reasons; what the spaces say stays. */
static void check_unchanged(const struct verb *v, const struct stage *g, const struct observed *a,
                            const struct observed *b)
{
    check_excused(v, REPLACES, "charges", a->committed, b->committed);
    check_excused(v, REPLACES, "regions", a->regions, b->regions);
    if (g->kind != PLENTY) return;
    check_excused(v, LOOSE_ENTRIES, "entries", a->entries, b->entries);
    check_excused(v, LOOSE_FRAMES, "frames", a->frames, b->frames);
    check_excused(v, LOOSE_BYTES, "bytes", a->live_bytes, b->live_bytes);
}

static void check_flags_needed(const struct verb *v)
{
    static const char *const name[] = {"LOOSE_ENTRIES", "LOOSE_FRAMES", "LOOSE_BYTES", "REPLACES"};
    for (unsigned i = 0; i < sizeof name / sizeof *name; i++)
        if (v->flags & ~needed & 1u << i) TEST_FAIL("%s: no trial needs %s", v->names, name[i]);
}

/* ---- one trial ---- */

struct trial {
    enum stage_kind stage;
    enum fault_kind kind;
    uint64_t nth; /* 0: nothing is refused */
    bool forever;
};

static const char *stage_name(enum stage_kind s)
{
    return s == PLENTY ? "PLENTY" : s == TIGHT ? "TIGHT" : "WINDOWS";
}

static void begin(const struct verb *v, const struct trial *t)
{
    if (getenv("FAULT_TRACE"))
        fprintf(stderr, "%s: %s, %s %llu%s\n", v->names, stage_name(t->stage),
                t->nth ? fault_kinds[t->kind].name : "nothing", (unsigned long long)t->nth,
                t->forever ? " and for ever" : "");
    stage_init(&stage, t->stage);
    if (v->prepare) v->prepare(&stage);
}

static void end(const struct verb *v)
{
    if (v->undo) v->undo(&stage);
    if (v->clear) v->clear(&stage);
    stage_check(&stage);
    stage_fini(&stage);
}

static void check_code(const struct verb *v, const struct trial *t, int rc)
{
    const struct fault_kind_info *k = &fault_kinds[t->kind];
    const uint32_t bit = UINT32_C(1) << -rc;
    if (!(bit & k->codes)) TEST_FAIL("%s answers %s when it is refused %s", v->names, rmap_error_name(rc), k->what);
    if (!(bit & documented_codes(v->names)))
        TEST_FAIL("%s answers %s, which its header does not name", v->names, rmap_error_name(rc));
    seen.codes |= bit;
}

/* Is success right although something was refused? A fault that is refused a frame just after reclaim has freed some tries
 * again. */
static bool can_do_without(const struct verb *v, const struct trial *t)
{
    return (v->without >> t->kind & 1) || (t->kind == FAULT_FRAME && t->stage != PLENTY && !t->forever);
}

/* @return true while the Nth request was one of the verb's. */
static bool refuse_nth(const struct verb *v, const struct trial *t)
{
    struct stage *g = &stage;
    begin(v, t);
    const struct observed before = observe(g);
    fault_begin_failing(t->kind, t->nth, t->forever);
    const int rc = v->call(g);
    fault_end();
    const bool hit = fault_refused() > 0;
    if (rc && !hit) TEST_FAIL("%s, nothing refused: %s", v->names, rmap_error_name(rc));
    if (rc == 0 && hit && !can_do_without(v, t))
        TEST_FAIL("%s was refused %s, number %llu, and nobody noticed", v->names, fault_kinds[t->kind].what,
                  (unsigned long long)t->nth);
    seen.trials++;
    seen.refused += hit;
    seen.half_way += rc == STOPPED_HALF_WAY;
    seen.survived += rc == 0 && hit;
    if (rc < 0) {
        const struct observed after = observe(g);
        check_unchanged(v, g, &before, &after);
        check_code(v, t, rc);
    }
    if (v->check) v->check(g, rc);
    if (rc) {
        stage_check(g);
        CHECK_OK(v->call(g)); /* the retry */
        if (v->check) v->check(g, 0);
    }
    end(v);
    return hit;
}

/* ---- one verb ---- */

static unsigned stages_of(const struct verb *v)
{
    return v->stages ? v->stages : STAGE_ALL;
}

/* `text` holds all of them. @return it. */
static const char *kinds_of(unsigned set, char *text)
{
    text[0] = 0;
    for (unsigned k = 0; k < FAULT_KIND_COUNT; k++)
        if (set >> k & 1) strcat(strcat(text, " "), fault_kinds[k].name);
    return text;
}

/* What it asks for when nothing is refused, in all its stages: no more and no less than it says. */
static void check_what_it_meets(const struct verb *v)
{
    unsigned met = 0;
    for (unsigned s = PLENTY; s < STAGE_ALL; s <<= 1) {
        if (!(stages_of(v) & s)) continue;
        const struct trial t = {.stage = (enum stage_kind)s};
        begin(v, &t);
        fault_begin();
        CHECK_OK(v->call(&stage));
        fault_end();
        if (v->check) v->check(&stage, 0);
        for (unsigned k = 0; k < FAULT_KIND_COUNT; k++)
            if (fault_met((enum fault_kind)k)) met |= 1u << k;
        end(v);
    }
    char text[128];
    if (met & ~v->meets) TEST_FAIL("%s asks for%s, and does not say so", v->names, kinds_of(met & ~v->meets, text));
    if (v->meets & ~met) TEST_FAIL("%s is said to ask for%s, and does not", v->names, kinds_of(v->meets & ~met, text));
}

static void refuse_everything(const struct verb *v)
{
    needed = 0;
    for (unsigned s = PLENTY; s < STAGE_ALL; s <<= 1) {
        for (unsigned k = 0; k < FAULT_KIND_COUNT; k++) {
            if (!(stages_of(v) & s) || !((v->meets & ~v->never) >> k & 1)) continue;
            /* Addresses that are never given back are the process's loss: no call can report it. */
            for (unsigned forever = 0; forever <= (k != FAULT_MUNMAP); forever++) {
                struct trial t = {.stage = (enum stage_kind)s, .kind = (enum fault_kind)k, .forever = forever};
                for (t.nth = 1; refuse_nth(v, &t); t.nth++) CHECK(t.nth < NTH_MAX);
            }
        }
    }
    check_flags_needed(v);
}

static bool has_lz4(void)
{
    struct rmap_device *d;
    const int rc = rmap_device_lz4_create(rmap_alloc_default(), 1, 12, 0, &d);
    if (rc == RMAP_ERR_UNSUPPORTED) return false;
    CHECK_OK(rc);
    rmap_device_destroy(d);
    return true;
}

static void try_all(const struct verb *v, const char *table)
{
    const bool lz4 = has_lz4();
    memset(&seen, 0, sizeof seen);
    for (; v->names; v++) {
        if (v->lz4 && !lz4) {
            fprintf(stderr, "%s: left out, this build has no lz4\n", v->names);
            continue;
        }
        check_what_it_meets(v);
        refuse_everything(v);
    }
    fprintf(stderr, "%s: %u trials, %u refused, of these %u done all the same, %u half-way; errors:", table,
            seen.trials, seen.refused, seen.survived, seen.half_way);
    for (int code = 1; code < 32; code++)
        if (seen.codes >> code & 1) fprintf(stderr, " %s", rmap_error_name(-code) + sizeof "RMAP_ERR_" - 1);
    fprintf(stderr, "\n");
}

RMAP_TEST(failures, of_the_mm_verbs)
{
    try_all(fault_verbs_space, "mm verbs");
}
RMAP_TEST(failures, of_moves)
{
    try_all(fault_verbs_move, "moves");
}
RMAP_TEST(failures, of_faults_and_accesses)
{
    try_all(fault_verbs_touch, "touch");
}
RMAP_TEST(failures, of_reclaim)
{
    try_all(fault_verbs_reclaim, "reclaim");
}
RMAP_TEST(failures, of_the_core)
{
    try_all(fault_verbs_core, "core");
}
RMAP_TEST(failures, of_the_parts)
{
    try_all(fault_verbs_parts, "parts");
}
RMAP_TEST(failures, of_swap)
{
    try_all(fault_verbs_swap, "swap");
}
RMAP_TEST(failures, of_what_asks_for_little)
{
    try_all(fault_verbs_quiet, "quiet");
}
RMAP_TEST(failures, of_what_ends_things)
{
    try_all(fault_verbs_end, "end");
}
