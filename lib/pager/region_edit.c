/* SPDX-License-Identifier: MIT */
/** @file pager/region_edit.c  Regions: cut, add, remove, merge, clone, with memory from a stock filled before. */
#include <pager/region_tree.h>

#include <base/assert.h>

RB_GENERATE(rmap__region_tree, rmap__region, node, rmap__region_order)

void rmap__regions_init(struct rmap__regions *rs, const struct rmap_allocator *alloc, rmap_vpn_t end)
{
    RB_INIT(&rs->tree);
    rs->alloc = alloc;
    rs->end = end;
}

static void insert(struct rmap__regions *rs, struct rmap__region *r)
{
    RB_INSERT(rmap__region_tree, &rs->tree, r);
    rs->count++;
}

static void drop(struct rmap__regions *rs, struct rmap__region *r)
{
    rs->count--;
    RB_REMOVE(rmap__region_tree, &rs->tree, r);
    RMAP__DELETE(rs->alloc, r);
}

void rmap__regions_clear(struct rmap__regions *rs)
{
    for (struct rmap__region *r; (r = RB_ROOT(&rs->tree));) drop(rs, r);
}

int rmap__stock_fill(const struct rmap__regions *rs, struct rmap__region_stock *stock, unsigned n)
{
    RMAP_ASSERT(stock->count + n <= RMAP__STOCK_MAX);
    for (; n; n--) {
        struct rmap__region *r = RMAP__NEW(rs->alloc, struct rmap__region);
        if (!r) {
            rmap__stock_drop(rs, stock);
            return RMAP_ERR_NOMEM;
        }
        stock->spare[stock->count++] = r;
    }
    return 0;
}

void rmap__stock_drop(const struct rmap__regions *rs, struct rmap__region_stock *stock)
{
    while (stock->count) RMAP__DELETE(rs->alloc, stock->spare[--stock->count]);
}

static struct rmap__region *take(struct rmap__region_stock *stock)
{
    RMAP_ASSERT(stock->count > 0);
    return stock->spare[--stock->count];
}

/* Copy of all but the tree links. */
static void set_range(struct rmap__region *r, const struct rmap__region *like, rmap_vpn_t first, uint64_t count)
{
    r->first = first;
    r->count = count;
    r->prot = like->prot;
    r->locked = like->locked;
    r->accounted = like->accounted;
    r->locking = like->locking;
}

static void cut_at(struct rmap__regions *rs, rmap_vpn_t at, struct rmap__region_stock *stock)
{
    struct rmap__region *low = rmap__region_find(rs, at);
    if (!low || low->first == at) return;
    struct rmap__region *high = take(stock);
    set_range(high, low, at, rmap__region_end(low) - at);
    low->count = at - low->first;
    insert(rs, high);
}

void rmap__regions_cut(struct rmap__regions *rs, rmap_vpn_t first, rmap_vpn_t end, struct rmap__region_stock *stock)
{
    cut_at(rs, first, stock);
    cut_at(rs, end, stock);
}

struct rmap__region *rmap__region_add(struct rmap__regions *rs, rmap_vpn_t first, uint64_t count, unsigned prot,
                                      struct rmap__region_stock *stock)
{
    struct rmap__region *r = take(stock);
    r->first = first;
    r->count = count;
    r->prot = prot;
    insert(rs, r);
    return r;
}

void rmap__regions_remove(struct rmap__regions *rs, rmap_vpn_t first, rmap_vpn_t end)
{
    struct rmap__region *r = rmap__region_from(rs, first), *next;
    for (; r && r->first < end; r = next) {
        next = rmap__region_next(r);
        RMAP_ASSERT(r->first >= first && rmap__region_end(r) <= end);
        drop(rs, r);
    }
}

void rmap__regions_merge(struct rmap__regions *rs, rmap_vpn_t first, rmap_vpn_t end)
{
    struct rmap__region *r = rmap__region_from(rs, first ? first - 1 : 0), *next;
    for (; r && (next = rmap__region_next(r)) && next->first <= end; r = next) {
        if (!rmap__regions_mergeable(r, next)) continue;
        r->count += next->count;
        drop(rs, next);
        next = r;
    }
}

int rmap__regions_clone(const struct rmap__regions *from, struct rmap__regions *to)
{
    for (struct rmap__region *r = rmap__region_first(from); r; r = rmap__region_next(r)) {
        struct rmap__region *copy = RMAP__NEW(to->alloc, struct rmap__region);
        if (!copy) {
            rmap__regions_clear(to);
            return RMAP_ERR_NOMEM;
        }
        set_range(copy, r, r->first, r->count);
        copy->locked = false;
        insert(to, copy);
    }
    rmap__regions_merge(to, 0, to->end);
    return 0;
}
