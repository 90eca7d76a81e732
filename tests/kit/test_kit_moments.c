/* SPDX-License-Identifier: MIT */
/**
 * @file kit/test_kit_moments.c  An MMU that is sound but for one moment.
 *
 * test_kit_broken.c breaks one rule for good and hears its name. Here one call of one operation, the n-th of the rule under
 * way, goes wrong, for each operation and every n (at most some fifty, evenly spread). Whatever the kit was about to do, it
 * comes back, says something of the rule, and leaves nothing behind; and every rule notices something.
 */
#include "kit/broken_mmu.h"

#include <stdlib.h>

enum operation { RESERVE, MAKE, FIND, SET, EXCHANGE, GET, FLUSH, ACTIVE, TOUCH_FAULTS, TOUCH_ELSEWHERE, OPERATIONS };
static const char *const name[OPERATIONS] = {"reserve", "run_make", "run_find", "set",           "exchange",
                                             "get",     "flush",    "active",   "touch: faults", "touch: elsewhere"};

/* The one moment, and how many calls there were. */
static struct {
    enum operation operation;
    uint64_t at, calls;
} moment;

static bool now(enum operation operation)
{
    return operation == moment.operation && ++moment.calls == moment.at;
}

static int reserve(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    return now(RESERVE) ? RMAP_ERR_NOMEM : sound_reserve(mmu, vpn, t);
}
static int make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    return now(MAKE) ? RMAP_ERR_BLOCK : sound_make(mmu, vpn, t, run);
}
static int find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    return now(FIND) ? RMAP_ERR_ABSENT : sound_find(mmu, vpn, end, run);
}
static void set(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    if (!now(SET)) sound_set(mmu, run, i, e);
}
static rmap_pte_t exchange(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    return now(EXCHANGE) ? sound_get(mmu, run, i) : sound_exchange(mmu, run, i, e);
}
static rmap_pte_t get(void *mmu, const struct rmap_mmu_run *run, uint32_t i)
{
    return now(GET) ? sound_get(mmu, run, i) ^ (rmap_pte_t)1 << opaque_format.payload_shift : sound_get(mmu, run, i);
}
static void flush(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    if (!now(FLUSH)) sound_flush(mmu, ranges, n);
}
static bool (*sound_active)(void *mmu);
static bool active(void *mmu)
{
    return sound_active(mmu) != now(ACTIVE);
}
static int touch(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    if (now(TOUCH_FAULTS)) return RMAP_ERR_ACCESS;
    const int error = sound_touch(ctx, mmu, vpn, access, pfn);
    if (!error && now(TOUCH_ELSEWHERE)) *pfn += 1;
    return error;
}

/* Lies that leave the core with books that are not true stop debug builds, as they should: of these it is spared. */
static bool told_to_the_core(enum operation operation)
{
    return operation == RESERVE || operation == TOUCH_FAULTS || operation == TOUCH_ELSEWHERE;
}

/* -> how often the rule was found broken. Threads are left out: the n-th call would be somebody's. */
static unsigned run_rule(const struct rmap_testing_rule *rule, enum operation operation, uint64_t at)
{
    struct kit_log log;
    moment.operation = operation;
    moment.at = at;
    moment.calls = 0;
    kit_run(&b->t, 0, rule->id, &log);
    const bool failed = log.sum.failed == 1;
    CHECK_EQ(log.sum.passed + log.sum.failed + log.sum.skipped, 1);
    if (log.error != (failed ? RMAP_ERR_VERIFY : 0) || (failed && !strstr(log.why, ": ")))
        TEST_FAIL("%s, %s %" PRIu64 ": %s: \"%s\"", rule->id, name[operation], at, rmap_error_name(log.error), log.why);
    if (!at && failed) TEST_FAIL("%s: %s", rule->id, log.why);
    if (b->device.blocks)
        TEST_FAIL("%s, %s %" PRIu64 ": %" PRIu64 " tables are left", rule->id, name[operation], at, b->device.blocks);
    return failed;
}

static unsigned sweep(const struct rmap_testing_rule *rule, enum operation operation)
{
    unsigned broken = run_rule(rule, operation, 0);
    const uint64_t calls = moment.calls, stride = 1 + calls / 50;
    for (uint64_t at = 1; at <= calls; at += stride) broken += run_rule(rule, operation, at);
    if (calls) broken += run_rule(rule, operation, calls);
    return broken;
}

RMAP_TEST(kit_moments, whatever_goes_wrong_once_is_survived_and_every_rule_notices_something)
{
    broken_begin();
    sound_active = b->ops.active;
    b->ops.reserve = reserve;
    b->ops.run_make = make;
    b->ops.run_find = find;
    b->ops.set = set;
    b->ops.exchange = exchange;
    b->ops.get = get;
    b->ops.flush = flush;
    b->ops.active = active;
    b->t.touch = touch;
    b->t.flags = 0;

    const struct rmap_testing_rule *rule;
    char deaf[400] = "";
    for (unsigned i = 0; (rule = rmap_testing_rule_at(i)); i++) {
        unsigned broken = 0;
        const bool core = strncmp(rule->id, "core", 4) == 0;
        for (enum operation o = 0; o < OPERATIONS; o++)
            if (!core || told_to_the_core(o)) broken += sweep(rule, o);
        if (!broken) snprintf(deaf + strlen(deaf), sizeof deaf - strlen(deaf), "%s ", rule->id);
    }
    /* Two look at tables of pointers and call nothing; three need threads, and four run_peek; one is for MMUs without a TLB. */
    CHECK_STR(deaf, "ops-complete format-consistent run-excludes peek-agrees peek-takes-no-lock peek-stays-valid "
                    "run-lock-excludes no-tlb-means-none exchange-atomic ");
    free(b);
}
