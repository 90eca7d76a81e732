/* SPDX-License-Identifier: MIT */
/** @file mmu/radix_config.c  Geometry, format and hooks: checked once, made into shifts and masks. */
#include <string.h>

#include "mmu/radix_internal.h"

#define ROOT_ALIGN_MIN 64 /* bytes: what base registers ask of roots of a few entries */
#define CAPS_KNOWN (RMAP_MMU_NO_TLB | RMAP_MMU_ACCESSED_EXACT | RMAP_MMU_ACCESSED_NEEDS_FLUSH)

static unsigned total_bits(const struct rmap_radix_geometry *g)
{
    unsigned bits = 0;
    for (unsigned level = 0; level < g->levels; level++) bits += g->bits[level];
    return bits;
}

static bool geometry_ok(const struct rmap_radix_geometry *g)
{
    if (!g->format || rmap_pte_format_check(g->format) != 0) return false;
    if (g->levels < 1 || g->levels > RMAP__RADIX_LEVELS) return false;
    for (unsigned level = 0; level < g->levels; level++) {
        if (g->bits[level] < 1 || g->bits[level] > RMAP__RADIX_BITS_MAX) return false;
    }
    if (total_bits(g) > RMAP_VPN_BITS) return false;
    if (g->levels == 1) return true; /* no upper entry */

    const uint64_t payload = rmap_pte_payload_mask(g->format), present = g->format->present_mask;
    if ((g->table_present & ~g->table_mask) || !(g->table_present & present)) return false;
    if ((g->table_mask & payload) || (g->lock_bit & (payload | g->table_mask | present))) return false;
    unsigned runs = g->bits[0] > 9 ? 1u << (g->bits[0] - 9) : 1;
    return (unsigned)__builtin_popcountll(g->lock_bit) >= runs;
}

static int allocator_check(const struct rmap_allocator *a)
{
    if (a->struct_size != sizeof *a) return RMAP_ERR_STRUCT_SIZE;
    return a->alloc && a->free ? 0 : RMAP_ERR_NULL_ARG;
}

static int options_check(const struct rmap_radix_options *o)
{
    if (!o) return RMAP_ERR_NULL_ARG;
    if (o->struct_size != sizeof *o) return RMAP_ERR_STRUCT_SIZE;
    if (!o->geometry) return RMAP_ERR_NULL_ARG;
    int error = o->alloc ? allocator_check(o->alloc) : 0;
    if (error) return error;
    const struct rmap_radix_table_ops *t = o->tables;
    if (t && t->struct_size != sizeof *t) return RMAP_ERR_STRUCT_SIZE;
    if (t && !(t->alloc && t->free && t->to_phys && t->to_ptr)) return RMAP_ERR_NULL_ARG;
    if (o->caps & ~(unsigned)CAPS_KNOWN) return RMAP_ERR_INVALID;
    return geometry_ok(o->geometry) ? 0 : RMAP_ERR_INVALID;
}

static void shape(struct rmap__radix_config *c, const struct rmap_radix_geometry *g)
{
    const size_t page = (size_t)1 << g->format->page_shift;
    unsigned shift = 0;
    c->levels = g->levels;
    for (unsigned level = 0; level < g->levels; level++) {
        c->shift[level] = (uint8_t)shift;
        c->index_mask[level] = ((uint32_t)1 << g->bits[level]) - 1;
        shift += g->bits[level];
        /* An upper entry names whole frames, so what it points to starts a page; the root is named by a register. */
        size_t least = level == g->levels - 1 ? ROOT_ALIGN_MIN : page;
        size_t bytes = sizeof(rmap_pte_t) << g->bits[level];
        c->table_bytes[level] = bytes > least ? bytes : least;
    }
    c->pages = (rmap_vpn_t)1 << shift;
    c->run_shift = (uint8_t)(g->bits[0] > 9 ? 9 : g->bits[0]);
    c->page_shift = (uint8_t)g->format->page_shift;
    c->payload_shift = (uint8_t)g->format->payload_shift;
    c->phys_rotate = (uint8_t)((g->format->page_shift - g->format->payload_shift) & 63);
    c->payload_mask = rmap_pte_payload_mask(g->format);
    c->present_mask = g->format->present_mask;
    c->table_mask = g->table_mask;
    c->table_present = g->table_present;
    c->lock_bits = g->levels == 1 ? ~(uint64_t)0 : g->lock_bit;
}

static void flush(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    const struct rmap__radix_config *c = ((struct rmap_radix *)mmu)->config;
    c->flush(c->flush_ctx, ranges, n);
}

static bool active(void *mmu)
{
    const struct rmap__radix_config *c = ((struct rmap_radix *)mmu)->config;
    return c->active(c->flush_ctx);
}

static size_t table_bytes(void *mmu)
{
    return atomic_load_explicit(&((struct rmap_radix *)mmu)->bytes, memory_order_relaxed);
}

int rmap__radix_config_create(const struct rmap_radix_options *options, struct rmap__radix_config **out)
{
    int error = options_check(options);
    if (error) return error;
    const struct rmap_allocator *alloc = options->alloc ? options->alloc : rmap_alloc_default();
    struct rmap__radix_config *c = RMAP__NEW(alloc, struct rmap__radix_config);
    if (!c) return RMAP_ERR_NOMEM;

    c->alloc = *alloc;
    shape(c, options->geometry);
    c->identity = !options->tables;
    if (options->tables) c->tables = *options->tables;
    c->tables_ctx = options->tables_ctx;
    c->flush = options->flush;
    c->active = options->active;
    c->flush_ctx = options->flush_ctx;
    c->ops = (struct rmap_mmu_ops){
        .struct_size = sizeof c->ops,
        .name = options->geometry->name,
        .format = options->geometry->format,
        .caps = options->caps | (options->flush ? 0u : (unsigned)RMAP_MMU_NO_TLB),
        .run_find = rmap__radix_run_find,
        .run_make = rmap__radix_run_make,
        .run_unlock = rmap__radix_run_unlock,
        .reserve = rmap__radix_reserve,
        .unreserve = rmap__radix_unreserve,
        .trim = rmap__radix_trim,
        .flush = options->flush ? flush : NULL,
        .active = options->active ? active : NULL,
        .table_bytes = table_bytes,
        .run_peek = rmap__radix_run_peek,
        .run_lock = rmap__radix_run_lock,
    };
    atomic_init(&c->refs, 1);
    *out = c;
    return 0;
}

void rmap__radix_config_put(struct rmap__radix_config *c)
{
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1) return;
    const struct rmap_allocator alloc = c->alloc;
    RMAP__DELETE(&alloc, c);
}
