/* SPDX-License-Identifier: MIT */
/**
 * @file kit/broken_mmu.h  A sound MMU in a wrapper whose operations a test replaces, to break one rule.
 *
 *     BROKEN(it_does_not_skip_holes, "run-skips-holes ") { b->ops.run_find = find_in_first_block_only; }
 *
 * is a test: with the replacement the kit must say that exactly these rules are broken.
 */
#ifndef RMAP_TESTS_KIT_BROKEN_MMU_H
#define RMAP_TESTS_KIT_BROKEN_MMU_H

#include "kit/kit_check.h"
#include "kit/opaque_mmu.h"

/** One MMU: the sound one inside, and what the broken operations keep. */
struct wrap {
    struct rmap_mmu inner;
    struct rmap_mmu_ops ops;       /* for an MMU … */
    struct rmap_pte_format format; /* … with a format of its own */
    bool active;
    unsigned sets; /* calls of set() */
    size_t bytes;  /* the most that there were */
    struct {
        bool valid;
        rmap_vpn_t vpn;
        rmap_pfn_t pfn;
    } note; /* one page that touch() remembers */
};

/** What the test at hand breaks; filled by broken_begin() with what is sound. The ctx of all hooks. */
struct broken {
    struct opaque_device device;
    struct rmap_mmu_ops ops;
    struct rmap_mmu_provider provider;
    struct rmap_testing_mmu t;
    unsigned patience;
};
/* Of the calling thread alone: a case that hangs keeps what it has. */
extern struct broken *b;

void broken_begin(void);
/** The kit says that exactly these rules are broken ("id id "). */
void broken_check(const char *rules);

#define BROKEN(name, rules)                                                                                            \
    static void break_##name(void);                                                                                    \
    RMAP_TEST(kit_broken, name)                                                                                        \
    {                                                                                                                  \
        broken_begin();                                                                                                \
        break_##name();                                                                                                \
        broken_check(rules);                                                                                           \
    }                                                                                                                  \
    static void break_##name(void)

static inline const struct rmap_mmu_ops *inner_ops(void *mmu)
{
    return ((struct wrap *)mmu)->inner.ops;
}
static inline void *inner_ctx(void *mmu)
{
    return ((struct wrap *)mmu)->inner.ctx;
}

/* ---- the sound operations ---- */
int sound_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run);
int sound_make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run);
void sound_unlock(void *mmu, struct rmap_mmu_run *run);
int sound_reserve(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t);
void sound_unreserve(void *mmu, struct rmap_tables *t);
void sound_trim(void *mmu, rmap_vpn_t first, rmap_vpn_t end);
rmap_pte_t sound_get(void *mmu, const struct rmap_mmu_run *run, uint32_t i);
void sound_set(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e);
rmap_pte_t sound_exchange(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e);
void sound_flush(void *mmu, const struct rmap_flush_range *ranges, size_t n);
void sound_update(void *mmu, const struct rmap_mmu_run *run, rmap_vpn_t vpn, unsigned access);
size_t sound_table_bytes(void *mmu);
int sound_create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out);
int sound_touch(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn);

#endif
