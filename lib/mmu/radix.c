/* SPDX-License-Identifier: MIT */
/** @file mmu/radix.c  One space's tables from the outside: create, destroy, root, peek, and a provider of them. */
#include "mmu/radix_internal.h"

/* NULL unless the MMU is one of ours. */
static struct rmap_radix *radix_of(const struct rmap_mmu *mmu)
{
    return mmu && mmu->ctx && mmu->ops && mmu->ops->run_find == rmap__radix_run_find ? mmu->ctx : NULL;
}

int rmap__radix_make(struct rmap__radix_config *config, struct rmap_mmu *out)
{
    struct rmap_radix *r = RMAP__NEW(&config->alloc, struct rmap_radix);
    if (!r) return RMAP_ERR_NOMEM;
    const unsigned top = config->levels - 1;
    r->root = rmap__radix_table_new(config, top);
    if (!r->root) {
        RMAP__DELETE(&config->alloc, r);
        return RMAP_ERR_NOMEM;
    }
    r->config = config;
    atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
    atomic_init(&r->lock, 0);
    atomic_init(&r->bytes, config->table_bytes[top]);
    *out = (struct rmap_mmu){.ops = &config->ops, .ctx = r, .pages = config->pages};
    return 0;
}

int rmap_radix_create(const struct rmap_radix_options *options, struct rmap_mmu *out)
{
    if (!out) return RMAP_ERR_NULL_ARG;
    struct rmap__radix_config *config;
    int error = rmap__radix_config_create(options, &config);
    if (error) return error;
    error = rmap__radix_make(config, out);
    rmap__radix_config_put(config); /* the space has its own reference */
    return error;
}

void rmap_radix_destroy(struct rmap_mmu *mmu)
{
    struct rmap_radix *r = radix_of(mmu);
    if (!r) return;
    struct rmap__radix_config *c = r->config;
    rmap__radix_free_below(c, r->root, c->levels - 1);
    rmap__radix_table_free(c, c->levels - 1, r->root);
    RMAP__DELETE(&c->alloc, r);
    *mmu = (struct rmap_mmu){0};
    rmap__radix_config_put(c);
}

uint64_t rmap_radix_root(const struct rmap_mmu *mmu)
{
    const struct rmap_radix *r = radix_of(mmu);
    return r ? rmap__radix_table_phys(r->config, r->root) : 0;
}

rmap_pte_t rmap_radix_peek(const struct rmap_mmu *mmu, rmap_vpn_t vpn)
{
    const struct rmap_radix *r = radix_of(mmu);
    if (!r || vpn >= r->config->pages) return 0;
    rmap__slot *table = r->root;
    for (unsigned level = r->config->levels - 1; level > 0; level--) {
        rmap_pte_t e = rmap__radix_load(&table[rmap__radix_index(r->config, level, vpn)]);
        if (!rmap__radix_is_table(r->config, e)) return 0;
        table = rmap__radix_table(r->config, e);
    }
    return rmap__radix_load(&table[rmap__radix_index(r->config, 0, vpn)]);
}

/* The provider's context is a config: its spaces share one ops table. Radix tables cause no faults: no client. */
static int provider_create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    (void)client;
    return ctx && out ? rmap__radix_make(ctx, out) : RMAP_ERR_NULL_ARG;
}

static void provider_destroy(void *ctx, struct rmap_mmu *mmu)
{
    (void)ctx;
    rmap_radix_destroy(mmu);
}

int rmap_radix_provider_init(const struct rmap_radix_options *options, struct rmap_mmu_provider *out)
{
    if (!out) return RMAP_ERR_NULL_ARG;
    struct rmap__radix_config *config;
    int error = rmap__radix_config_create(options, &config);
    if (error) return error;
    *out = (struct rmap_mmu_provider){
        .struct_size = sizeof *out, .ctx = config, .create = provider_create, .destroy = provider_destroy};
    return 0;
}

void rmap_radix_provider_fini(struct rmap_mmu_provider *provider)
{
    if (!provider || !provider->ctx) return;
    rmap__radix_config_put(provider->ctx);
    *provider = (struct rmap_mmu_provider){0};
}
