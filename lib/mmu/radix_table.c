/* SPDX-License-Identifier: MIT */
/** @file mmu/radix_table.c  Memory of page tables: allocate, reserve ahead of a lock, give back. */
#include "mmu/radix_internal.h"

uint64_t rmap__radix_table_phys(const struct rmap__radix_config *c, rmap__slot *table)
{
    return c->identity ? (uint64_t)(uintptr_t)table : c->tables.to_phys(c->tables_ctx, table);
}

rmap_pte_t rmap__radix_table_entry(const struct rmap__radix_config *c, rmap__slot *table)
{
    return rmap__radix_table_phys(c, table) >> c->page_shift << c->payload_shift | c->table_present;
}

void rmap__radix_table_free(const struct rmap__radix_config *c, unsigned level, rmap__slot *table)
{
    size_t bytes = c->table_bytes[level];
    if (c->identity)
        c->alloc.free(c->alloc.ctx, table, bytes, bytes);
    else
        c->tables.free(c->tables_ctx, table, bytes);
}

rmap__slot *rmap__radix_table_new(const struct rmap__radix_config *c, unsigned level)
{
    size_t bytes = c->table_bytes[level];
    rmap__slot *table =
        c->identity ? c->alloc.alloc(c->alloc.ctx, bytes, bytes) : c->tables.alloc(c->tables_ctx, bytes);
    if (!table) return NULL;
    /* An address that the hardware or an upper entry cannot hold is no memory for a table. */
    uint64_t phys = rmap__radix_table_phys(c, table);
    if ((phys & (bytes - 1)) || phys >> c->page_shift > c->payload_mask >> c->payload_shift) {
        rmap__radix_table_free(c, level, table);
        return NULL;
    }
    return table;
}

/* How many tables are missing on the way to vpn: those of the lowest levels. */
static unsigned missing_tables(const struct rmap_radix *r, rmap_vpn_t vpn)
{
    const struct rmap__radix_config *c = r->config;
    rmap__slot *table = r->root;
    for (unsigned level = c->levels - 1; level > 0; level--) {
        rmap_pte_t e = rmap__radix_load(&table[rmap__radix_index(c, level, vpn)]);
        if (rmap__radix_is_absent(c, e)) return level;
        if (!rmap__radix_is_table(c, e)) return 0; /* run_make will say BLOCK */
        table = rmap__radix_table(c, e);
    }
    return 0;
}

int rmap__radix_reserve(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    const struct rmap_radix *r = mmu;
    const struct rmap__radix_config *c = r->config;
    if (vpn >= c->pages) return RMAP_ERR_RANGE;

    unsigned made = 0; /* bit set of levels, to be undone */
    for (unsigned level = missing_tables(r, vpn); level-- > 0;) {
        if (t->table[level]) continue;
        t->table[level] = rmap__radix_table_new(c, level);
        if (!t->table[level]) {
            for (unsigned l = 0; l < RMAP__RADIX_LEVELS; l++) {
                if (!(made >> l & 1)) continue;
                rmap__radix_table_free(c, l, t->table[l]);
                t->table[l] = NULL;
                t->count--;
            }
            return RMAP_ERR_NOMEM;
        }
        made |= 1u << level;
        t->count++;
    }
    return 0;
}

void rmap__radix_unreserve(void *mmu, struct rmap_tables *t)
{
    const struct rmap_radix *r = mmu;
    for (unsigned level = 0; level < RMAP__RADIX_LEVELS && t->count; level++) {
        if (!t->table[level]) continue;
        rmap__radix_table_free(r->config, level, t->table[level]);
        t->table[level] = NULL;
        t->count--;
    }
}

void rmap__radix_free_below(const struct rmap__radix_config *c, rmap__slot *table, unsigned level)
{
    if (level == 0) return;
    for (uint64_t i = 0; i <= c->index_mask[level]; i++) {
        rmap_pte_t e = rmap__radix_load(&table[i]);
        if (!rmap__radix_is_table(c, e)) continue;
        rmap__slot *below = rmap__radix_table(c, e);
        rmap__radix_free_below(c, below, level - 1);
        rmap__radix_table_free(c, level - 1, below);
    }
}
