/* SPDX-License-Identifier: MIT */
/** @file fault/kinds.c  Counts requests by kind, and refuses the one that a test has chosen. */
#include "fault/kinds.h"

#include <string.h>

const struct fault_kind_info fault_kinds[FAULT_KIND_COUNT] = {
#define FAULT_INFO(kind, what, codes) {#kind, what, codes},
    FAULT_KINDS(FAULT_INFO)
#undef FAULT_INFO
};

static struct {
    bool watching, failing, forever;
    enum fault_kind kind;
    uint64_t nth, refused, met[FAULT_KIND_COUNT];
} now;

void fault_begin(void)
{
    memset(&now, 0, sizeof now);
    now.watching = true;
}

void fault_begin_failing(enum fault_kind kind, uint64_t nth, bool forever)
{
    fault_begin();
    now.failing = true;
    now.kind = kind;
    now.nth = nth;
    now.forever = forever;
}

void fault_end(void)
{
    now.watching = false;
}

uint64_t fault_met(enum fault_kind kind)
{
    return now.met[kind];
}

uint64_t fault_refused(void)
{
    return now.refused;
}

bool fault_now(enum fault_kind kind)
{
    if (!now.watching) return false;
    const uint64_t n = ++now.met[kind];
    const bool refused = now.failing && now.kind == kind && (n == now.nth || (now.forever && n > now.nth));
    now.refused += refused;
    return refused;
}
