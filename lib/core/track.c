/* SPDX-License-Identifier: MIT */
/** @file core/track.c  Tables of tracked ranges: look-up, and the making of the next table. */
#include <core/track.h>

/* ---- look-up ---- */

const struct rmap__track_record *rmap__track_next(const struct rmap__track *t, rmap_vpn_t first, rmap_vpn_t end,
                                                  uint32_t *at)
{
    uint32_t lo = *at, hi = t->count;
    while (lo < hi) { /* `reach` only grows: skip everything that ends before */
        uint32_t mid = lo + (hi - lo) / 2;
        if (t->record[mid].reach > first)
            hi = mid;
        else
            lo = mid + 1;
    }
    for (; lo < t->count && t->record[lo].first < end; lo++) {
        if (t->record[lo].end <= first) continue;
        *at = lo + 1;
        return &t->record[lo];
    }
    *at = t->count;
    return NULL;
}

bool rmap__track_covers(const struct rmap__track *t, rmap_vpn_t index, rmap_vpn_t place)
{
    if (index == place) return true;
    const struct rmap__track_record *x;
    for (uint32_t at = 0; t && (x = rmap__track_next(t, index, index + 1, &at));)
        if (index + x->delta == place) return true;
    return false;
}

bool rmap_member_may_map(struct rmap_member *m, rmap_vpn_t index, rmap_vpn_t vpn)
{
    if (!m || !m->node) return false;
    if (index == vpn) return true;
    struct rmap__group *g = rmap__member_group(m);
    rmap__group_rdlock(g);
    bool yes = rmap__track_covers(m->track, index, vpn);
    rmap__group_unlock(g);
    return yes;
}

static bool maps_at(struct rmap_member *m, rmap_vpn_t vpn, rmap_pfn_t pfn, struct rmap_mapping *out)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct rmap_mmu_run run;
    if (o->run_find(m->mmu.ctx, vpn, vpn + 1, &run)) return false;
    rmap_pte_t e = rmap_run_get(&m->mmu, &run, (uint32_t)(vpn - run.first));
    o->run_unlock(m->mmu.ctx, &run);
    *out = (struct rmap_mapping){.member = m, .vpn = vpn, .entry = e};
    return rmap_pte_maps(o->format, e) && rmap_pte_pfn(o->format, e) == pfn;
}

bool rmap__member_maps(struct rmap_member *m, rmap_vpn_t index, rmap_pfn_t pfn, struct rmap_mapping *out)
{
    const struct rmap__track *t = m->track;
    const struct rmap__track_record *x;
    if (maps_at(m, index, pfn, out)) return true;
    for (uint32_t at = 0; t && (x = rmap__track_next(t, index, index + 1, &at));)
        if (maps_at(m, index + x->delta, pfn, out)) return true;
    return false;
}

/* ---- making a table ---- */

void rmap__track_need(struct rmap__track_needs *n, rmap_vpn_t index, rmap_vpn_t place)
{
    const uint64_t delta = place - index;
    if (!delta) return; /* home again */
    for (unsigned i = 0; i < n->count; i++) {
        if (n->need[i].delta != delta) continue;
        if (index < n->need[i].first) n->need[i].first = index;
        if (index >= n->need[i].end) n->need[i].end = index + 1;
        return;
    }
    if (n->count == RMAP__TRACK_NEEDS) {
        n->overflow = true;
        return;
    }
    n->need[n->count].first = index;
    n->need[n->count].end = index + 1;
    n->need[n->count++].delta = delta;
}

static size_t track_bytes(uint32_t room)
{
    return sizeof(struct rmap__track) + room * sizeof(struct rmap__track_record);
}

static void add(struct rmap__track *t, rmap_vpn_t first, rmap_vpn_t end, uint64_t delta)
{
    if (first < end) t->record[t->count++] = (struct rmap__track_record){.first = first, .end = end, .delta = delta};
}

/* What of a record remains when nothing is left at the places [dead, dead_end): at most two parts. */
static void add_alive(struct rmap__track *t, const struct rmap__track_record *x, rmap_vpn_t dead, rmap_vpn_t dead_end)
{
    rmap_vpn_t a = x->first + x->delta, b = x->end + x->delta; /* its places */
    if (b <= dead || dead_end <= a) {
        add(t, x->first, x->end, x->delta);
        return;
    }
    if (a < dead) add(t, x->first, dead - x->delta, x->delta);
    if (dead_end < b) add(t, dead_end - x->delta, x->end, x->delta);
}

/* A need joins the records of its delta that it touches. */
static void add_joined(struct rmap__track *t, rmap_vpn_t first, rmap_vpn_t end, uint64_t delta)
{
    for (uint32_t i = 0; i < t->count;) {
        struct rmap__track_record *x = &t->record[i];
        if (x->delta != delta || x->end < first || end < x->first) {
            i++;
            continue;
        }
        if (x->first < first) first = x->first;
        if (x->end > end) end = x->end;
        *x = t->record[--t->count];
        i = 0; /* grown: look at all others again */
    }
    add(t, first, end, delta);
}

/* By `first`, nearly sorted as the records are; then what depends on the order. */
static void settle(struct rmap__track *t)
{
    for (uint32_t i = 1; i < t->count; i++) {
        struct rmap__track_record x = t->record[i];
        uint32_t j = i;
        for (; j && t->record[j - 1].first > x.first; j--) t->record[j] = t->record[j - 1];
        t->record[j] = x;
    }
    rmap_vpn_t reach = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->record[i].end > reach) reach = t->record[i].end;
        t->record[i].reach = reach;
    }
}

/* The most records that cover one index of [first, end): the number grows only where a record begins. */
static unsigned fan_out(const struct rmap__track *t, rmap_vpn_t first, rmap_vpn_t end)
{
    unsigned most = 0;
    const struct rmap__track_record *begin;
    for (uint32_t i = 0; (begin = rmap__track_next(t, first, end, &i));) {
        rmap_vpn_t here = begin->first > first ? begin->first : first;
        unsigned n = 0;
        for (uint32_t k = 0; rmap__track_next(t, here, here + 1, &k);) n++;
        if (n > most) most = n;
    }
    return most;
}

static bool within_bounds(const struct rmap__track *t, const struct rmap__track_needs *needs)
{
    if (!t || !needs->count) return true;
    if (t->count > RMAP__TRACK_RECORDS) return false;
    for (unsigned i = 0; i < needs->count; i++)
        if (fan_out(t, needs->need[i].first, needs->need[i].end) > RMAP__TRACK_FANOUT) return false;
    return true;
}

/* Has the table a record whose images reach into [first, end)? */
static bool has_image(const struct rmap__track *t, rmap_vpn_t first, rmap_vpn_t end)
{
    for (uint32_t i = 0; t && i < t->count; i++)
        if (t->record[i].first + t->record[i].delta < end && first < t->record[i].end + t->record[i].delta) return true;
    return false;
}

/* `old` without images in [dead, dead_end), then the needs; `old` itself where that changes nothing. @return 0 with a
 * reference, or NULL if it is empty; NOMEM. */
static int build(struct rmap *r, struct rmap__track *old, const struct rmap__track_needs *needs, rmap_vpn_t dead,
                 rmap_vpn_t dead_end, struct rmap__track **out)
{
    uint32_t room = needs->count;
    *out = NULL;
    if (!room && !has_image(old, dead, dead_end)) {
        rmap__track_get(old);
        *out = old;
        return 0;
    }
    for (uint32_t i = 0; old && i < old->count; i++) { /* one that reaches beyond both ends is cut in two */
        const struct rmap__track_record *x = &old->record[i];
        room += 1 + (x->first + x->delta < dead && dead_end < x->end + x->delta);
    }
    struct rmap__track *t = rmap__alloc(&r->alloc, track_bytes(room));
    if (!t) return RMAP_ERR_NOMEM;
    atomic_init(&t->refs, 1);
    t->room = room;
    t->count = 0;
    for (uint32_t i = 0; old && i < old->count; i++) add_alive(t, &old->record[i], dead, dead_end);
    for (unsigned i = 0; i < needs->count; i++)
        add_joined(t, needs->need[i].first, needs->need[i].end, needs->need[i].delta);
    settle(t);
    RMAP__COUNT(r, track_bytes, track_bytes(room));
    RMAP__COUNT(r, track_records, t->count);
    if (t->count)
        *out = t;
    else
        rmap__track_put(r, t);
    return 0;
}

int rmap__track_plan(struct rmap_member *m, const struct rmap__track_needs *needs, rmap_vpn_t from, rmap_vpn_t to,
                     uint64_t count, struct rmap__track_plan *out)
{
    static const struct rmap__track_needs none;
    struct rmap *r = m->r;
    out->during = out->after = NULL;
    if (needs->overflow) return RMAP_ERR_OVERFLOW;
    int err = build(r, m->track, needs, to, to + count, &out->during);
    if (!err) err = build(r, out->during, &none, from, from + count, &out->after);
    if (!err && !within_bounds(out->after, needs)) err = RMAP_ERR_OVERFLOW;
    if (!err) return 0;
    rmap__track_put(r, out->during);
    rmap__track_put(r, out->after);
    out->during = out->after = NULL; /* the move goes on without */
    return err;
}

void rmap__track_get(struct rmap__track *t)
{
    if (t) atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}

void rmap__track_put(struct rmap *r, struct rmap__track *t)
{
    if (!t) return;
    uint32_t before = atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel);
    RMAP_ASSERT(before > 0);
    if (before != 1) return;
    RMAP__UNCOUNT(r, track_bytes, track_bytes(t->room));
    RMAP__UNCOUNT(r, track_records, t->count);
    rmap__free(&r->alloc, t, track_bytes(t->room));
}

void rmap__track_swap(struct rmap_member *m, struct rmap__track **t)
{
    struct rmap__group *g = rmap__member_group(m);
    rmap__group_wrlock(g);
    struct rmap__track *old = m->track;
    m->track = *t;
    rmap__group_unlock(g);
    *t = old;
}

void rmap__track_forget(struct rmap_member *m, rmap_vpn_t first, uint64_t count)
{
    static const struct rmap__track_needs none;
    struct rmap__group *g = rmap__member_group(m);
    for (bool done = false; !done;) { /* another thread of the space may be faster */
        rmap__group_rdlock(g);
        struct rmap__track *old = has_image(m->track, first, first + count) ? m->track : NULL, *fresh;
        rmap__track_get(old);
        rmap__group_unlock(g);
        if (!old) return;
        done = build(m->r, old, &none, first, first + count, &fresh) != 0; /* then they stay: harmless */
        if (!done) {
            rmap__group_wrlock(g);
            done = m->track == old;
            if (done) m->track = fresh;
            rmap__group_unlock(g);
            rmap__track_put(m->r, done ? old : fresh);
        }
        rmap__track_put(m->r, old);
    }
}
