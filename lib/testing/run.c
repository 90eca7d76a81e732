/* SPDX-License-Identifier: MIT */
/** @file testing/run.c  The driver: each case with a fresh MMU, in order, on this thread or on one that may hang. */
#include <testing/kit.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool rmap__kit_fail(struct rmap__kit *k, const char *format, ...)
{
    if (k->failed) return false;
    k->failed = true;
    va_list args;
    va_start(args, format);
    vsnprintf(k->text, sizeof k->text, format, args);
    va_end(args);
    return false;
}

static void add_vpn(struct rmap__kit *k, rmap_vpn_t vpn)
{
    unsigned at = k->vpns;
    if (vpn >= k->pages || k->vpns == RMAP__KIT_VPNS) return;
    while (at > 0 && k->vpn[at - 1] > vpn) at--;
    if (at > 0 && k->vpn[at - 1] == vpn) return;
    memmove(&k->vpn[at + 1], &k->vpn[at], (k->vpns - at) * sizeof k->vpn[0]);
    k->vpn[at] = vpn;
    k->vpns++;
}

/* Both ends and the middle first: there is room for some fifty more. */
static void choose_vpns(struct rmap__kit *k)
{
    k->vpns = 0;
    add_vpn(k, 0);
    add_vpn(k, k->pages - 1);
    add_vpn(k, k->pages - 2);
    add_vpn(k, k->pages / 2 - 1);
    add_vpn(k, k->pages / 2);
    for (unsigned bit = 1; bit < RMAP_VPN_BITS; bit++) {
        add_vpn(k, (rmap_vpn_t)1 << bit);
        if (bit <= 12) add_vpn(k, ((rmap_vpn_t)1 << bit) - 1);
    }
}

/* Why the case cannot be looked at; NULL if it can. */
static const char *missing(const struct rmap__kit *k, unsigned needs)
{
    const struct rmap_testing_mmu *t = k->t;
    if (!k->o || !k->f) return "the MMU has no ops, or no format";
    const unsigned caps = k->o->caps;
    if ((needs & KIT_TOUCH) && !t->touch) return "no touch hook";
    if ((needs & KIT_THREADS) && !(t->flags & RMAP_TESTING_THREADS)) return "RMAP_TESTING_THREADS is not set";
    if ((needs & KIT_FAIL_TABLES) && !t->fail_tables) return "no fail_tables hook";
    if ((needs & KIT_SET_ACTIVE) && !k->o->active) return "the MMU has no active()";
    if ((needs & KIT_SET_ACTIVE) && !t->set_active) return "no set_active hook";
    if ((needs & KIT_UPDATE) && !k->o->update) return "the MMU has no update()";
    if ((needs & KIT_TRIM) && !k->o->trim) return "the MMU has no trim()";
    if ((needs & KIT_TABLE_BYTES) && !k->o->table_bytes) return "the MMU has no table_bytes()";
    if ((needs & KIT_PEEK) && !k->o->run_peek) return "the MMU has no run_peek()";
    if ((needs & KIT_TLB) && (caps & RMAP_MMU_NO_TLB)) return "NO_TLB: it is never flushed";
    if ((needs & KIT_NO_TLB) && !(caps & RMAP_MMU_NO_TLB)) return "the MMU does not claim NO_TLB";
    if ((needs & KIT_EXACT) && !(caps & RMAP_MMU_ACCESSED_EXACT)) return "the MMU does not claim ACCESSED_EXACT";
    if ((needs & KIT_ACCESSED) && !k->f->attr[RMAP_ATTR_ACCESSED].mask) return "the format has no accessed attribute";
    if ((needs & KIT_DIRTY) && !k->f->attr[RMAP_ATTR_DIRTY].mask) return "the format has no dirty attribute";
    return NULL;
}

static void look(struct rmap__kit *k, const struct rmap__kit_case *c)
{
    struct rmap__kit_mmu *m = rmap__kit_open(k);
    if (!m) return;
    k->o = m->mmu.ops;
    k->f = k->o ? k->o->format : NULL;
    k->pages = m->mmu.pages;
    if (k->pages < RMAP_TESTING_PAGES_MIN) {
        k->error = RMAP_ERR_RANGE;
    } else {
        choose_vpns(k);
        if (c->step != KIT_FORM) k->skip = missing(k, c->needs);
        if (!k->skip) c->run(k);
    }
    rmap__kit_close_all(k);
}

/* ---- a case on a thread of its own ---- */

struct watch {
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
    struct rmap__kit *k;
    const struct rmap__kit_case *c;
};

static void *watched(void *ctx)
{
    struct watch *w = ctx;
    look(w->k, w->c);
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->done_cond);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* @return false if the case did not come back: its thread, `k` and what it knows must be left alone for ever. */
static bool look_with_patience(struct rmap__kit *k, const struct rmap__kit_case *c, unsigned seconds)
{
    struct watch *w = calloc(1, sizeof *w);
    pthread_t thread;
    if (!w) {
        k->error = RMAP_ERR_NOMEM;
        return true;
    }
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->done_cond, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&w->lock, NULL);
    w->k = k;
    w->c = c;
    if (pthread_create(&thread, NULL, watched, w)) {
        free(w);
        k->error = RMAP_ERR_NOMEM;
        return true;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)seconds;
    pthread_mutex_lock(&w->lock);
    while (!w->done && pthread_cond_timedwait(&w->done_cond, &w->lock, &until) != ETIMEDOUT) {
    }
    const bool done = w->done;
    pthread_mutex_unlock(&w->lock);
    if (!done) {
        pthread_detach(thread);
        return false;
    }
    pthread_join(thread, NULL);
    pthread_cond_destroy(&w->done_cond);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return true;
}

/* ---- all cases ---- */

struct run {
    struct rmap__kit *k; /* NULL: left to a case that hangs */
    const struct rmap_testing_options *options;
    const struct rmap__kit_case *broken; /* the first rule that is */
    struct rmap_testing_summary sum;
};

static void report(struct run *r, unsigned number, const struct rmap__kit_case *c, enum rmap_testing_result result,
                   const char *text)
{
    const struct rmap_testing_outcome outcome = {.number = number,
                                                 .planned = r->options->only ? 1 : rmap__kit_case_count,
                                                 .rule = &c->rule,
                                                 .result = result,
                                                 .text = text};
    r->sum.passed += result == RMAP_TESTING_PASSED;
    r->sum.failed += result == RMAP_TESTING_FAILED;
    r->sum.skipped += result == RMAP_TESTING_SKIPPED;
    if (result == RMAP_TESTING_FAILED && !r->broken) r->broken = c;
    if (r->options->report) r->options->report(r->options->report_ctx, &outcome);
}

static int run_case(struct run *r, unsigned number, const struct rmap__kit_case *c)
{
    struct rmap__kit *k = r->k;
    if (!k || (r->broken && r->broken->step < c->step)) {
        char text[80];
        snprintf(text, sizeof text, "%s is broken", r->broken->rule.id);
        report(r, number, c, RMAP_TESTING_SKIPPED, text);
        return 0;
    }
    const struct rmap_testing_mmu *t = k->t;
    memset(k, 0, sizeof *k);
    k->t = t;
    if (r->options->patience) {
        if (!look_with_patience(k, c, r->options->patience)) {
            r->k = NULL;
            report(r, number, c, RMAP_TESTING_FAILED, "it hangs: a lock is taken twice, or never given up");
            return 0;
        }
    } else {
        look(k, c);
    }
    if (k->error) return k->error;
    if (k->failed)
        report(r, number, c, RMAP_TESTING_FAILED, k->text);
    else if (k->skip)
        report(r, number, c, RMAP_TESTING_SKIPPED, k->skip);
    else
        report(r, number, c, RMAP_TESTING_PASSED, "");
    return 0;
}

int rmap_testing_run(const struct rmap_testing_mmu *mmu, const struct rmap_testing_options *options,
                     struct rmap_testing_summary *summary)
{
    const struct rmap_testing_options all = {.struct_size = sizeof all};
    if (summary) memset(summary, 0, sizeof *summary);
    if (!mmu) return RMAP_ERR_NULL_ARG;
    if (!options) options = &all;
    if (mmu->struct_size != sizeof *mmu || options->struct_size != sizeof *options) return RMAP_ERR_STRUCT_SIZE;
    if (!mmu->provider || !mmu->provider->create || !mmu->provider->destroy) return RMAP_ERR_NULL_ARG;
    if (mmu->provider->struct_size != sizeof *mmu->provider) return RMAP_ERR_STRUCT_SIZE;
    if (mmu->frames < RMAP_TESTING_FRAMES_MIN || mmu->first_frame > RMAP_PFN_NONE - mmu->frames) return RMAP_ERR_RANGE;

    struct run r = {.k = calloc(1, sizeof *r.k), .options = options};
    if (!r.k) return RMAP_ERR_NOMEM;
    r.k->t = mmu;
    int error = 0;
    unsigned number = 0;
    for (unsigned i = 0; i < rmap__kit_case_count && !error; i++) {
        const struct rmap__kit_case *c = &rmap__kit_cases[i];
        if (options->only && strcmp(options->only, c->rule.id) != 0) continue;
        error = run_case(&r, ++number, c);
    }
    free(r.k);
    if (summary) *summary = r.sum;
    if (error) return error;
    if (!number) return RMAP_ERR_ABSENT;
    return r.sum.failed ? RMAP_ERR_VERIFY : 0;
}
