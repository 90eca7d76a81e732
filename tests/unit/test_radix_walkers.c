/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_radix_walkers.c  Page-table walkers written from the architectures' manuals find in our tables
 * exactly what was set: same frames, same permissions, faults elsewhere. They know nothing of the library's formats and
 * geometries.
 */
#include "unit/radix_world.h"

#include "support/prng.h"

/* What a processor in user mode gets for an address; `pa` is a byte address. */
struct translation {
    bool ok, write, exec, accessed, dirty;
    uint64_t pa;
};
static const struct translation page_fault = {0};

static uint64_t read64(struct world *w, uint64_t phys) { return *words_at(w, phys); }

/* Intel SDM vol. 3, 4.5: four levels, or five with LA57. CR3 holds the root; U and W must be set at every level. */
static struct translation walk_x86(struct world *w, uint64_t va, int levels)
{
    uint64_t table = rmap_radix_root(&w->mmu);
    bool user = true, write = true, exec = true;
    for (int level = levels - 1;; level--) {
        uint64_t e = read64(w, table + 8 * (va >> (12 + 9 * level) & 0x1ff));
        if (!(e & 1)) return page_fault;
        user = user && (e & 4);
        write = write && (e & 2);
        exec = exec && !(e >> 63);
        uint64_t next = e & 0x000ffffffffff000;
        if (level > 0) {
            if (e & 0x80) return page_fault; /* a huge page: never made here */
            table = next;
            continue;
        }
        return (struct translation){user, write, exec, e & 0x20, e & 0x40, next | (va & 0xfff)};
    }
}

/* RISC-V privileged spec, 4.3.2, virtual address translation process, in its steps. Reserved bits must be zero. */
static struct translation walk_riscv(struct world *w, uint64_t va, int levels)
{
    uint64_t a = rmap_radix_root(&w->mmu);
    for (int i = levels - 1; i >= 0; i--) {
        uint64_t pte = read64(w, a + 8 * (va >> (12 + 9 * i) & 0x1ff));
        bool v = pte & 1, r = pte & 2, wr = pte & 4, x = pte & 8, u = pte & 0x10;
        if (!v || (!r && wr) || pte >> 54) return page_fault;
        uint64_t ppn = pte >> 10 & 0xfffffffffff;
        if (r || x) {
            if (i > 0 || !r || !u) return page_fault; /* a superpage: never made here */
            return (struct translation){true, wr, x, pte & 0x40, pte & 0x80, ppn << 12 | (va & 0xfff)};
        }
        if (pte & 0xd0) return page_fault; /* D, A, U are reserved in pointers */
        a = ppn << 12;
    }
    return page_fault;
}

/*
 * Arm ARM D8, stage 1, EL0, T0SZ = 16, TTBR0. A granule of 2^g bytes resolves g - 3 bits a level; the first level takes
 * what is left of 48. Output addresses have 48 bits.
 */
static struct translation walk_aarch64(struct world *w, uint64_t va, int granule)
{
    const int stride = granule - 3;
    uint64_t table = rmap_radix_root(&w->mmu);
    if (va >> 48) return page_fault;
    for (int level = granule == 16 ? 1 : 0; level <= 3; level++) {
        int low = granule + (3 - level) * stride, high = low + stride > 48 ? 48 : low + stride;
        uint64_t index = va >> low & ((UINT64_C(1) << (high - low)) - 1);
        uint64_t d = read64(w, table + 8 * index);
        uint64_t address = d & 0x0000ffffffffffff & ~((UINT64_C(1) << granule) - 1);
        if ((d & 3) != 3) return page_fault; /* invalid, reserved, or a block: never made here */
        if (level < 3) {
            if (d >> 59) return page_fault; /* hierarchical restrictions: never set here */
            if (granule == 16 && (d & 0xf000)) return page_fault;
            table = address;
            continue;
        }
        bool user = d & 0x40, read_only = d & 0x80, af = d & 0x400;
        bool normal_memory = !(d & 0x1c), inner_shareable = (d & 0x300) == 0x300;
        if (!user || !normal_memory || !inner_shareable) return page_fault;
        uint64_t offset = va & ((UINT64_C(1) << granule) - 1);
        return (struct translation){true, !read_only, !(d >> 54 & 1), af, d >> 55 & 1, address | offset};
    }
    return page_fault;
}

static struct translation walk_x86_4(struct world *w, uint64_t va) { return walk_x86(w, va, 4); }
static struct translation walk_x86_5(struct world *w, uint64_t va) { return walk_x86(w, va, 5); }
static struct translation walk_sv39(struct world *w, uint64_t va) { return walk_riscv(w, va, 3); }
static struct translation walk_sv48(struct world *w, uint64_t va) { return walk_riscv(w, va, 4); }
static struct translation walk_4k(struct world *w, uint64_t va) { return walk_aarch64(w, va, 12); }
static struct translation walk_16k(struct world *w, uint64_t va) { return walk_aarch64(w, va, 14); }
static struct translation walk_64k(struct world *w, uint64_t va) { return walk_aarch64(w, va, 16); }

struct machine {
    const struct rmap_radix_geometry *g;
    struct translation (*walk)(struct world *w, uint64_t va);
    unsigned va_bits, page_shift, pa_bits;
};

/*
 * 300 pages at random addresses, a quarter of them neighbours of others, among them the first and the last page; a
 * third of the entries are not present. The walkers see the tables also while a run is locked.
 */
static void agree(struct machine m, bool in_guest)
{
    enum { PAGES = 300 };
    static struct {
        rmap_vpn_t vpn;
        rmap_pfn_t pfn;
        unsigned attrs;
        enum rmap_pte_kind kind;
    } set[PAGES];
    const struct rmap_pte_format *f = m.g->format;
    struct world w;
    struct prng p;
    prng_init(&p, 7 + m.va_bits + m.page_shift);
    world_init(&w, m.g, in_guest);
    CHECK_EQ(w.mmu.pages, UINT64_C(1) << (m.va_bits - m.page_shift));
    CHECK_EQ(f->page_shift, m.page_shift);

    for (int n = 0; n < PAGES; n++) {
        rmap_vpn_t vpn = n == 0   ? 0
                         : n == 1 ? w.mmu.pages - 1
                         : n % 4  ? prng_below(&p, w.mmu.pages) >> prng_below(&p, m.va_bits - m.page_shift)
                                  : (set[n - 1].vpn + 1) % w.mmu.pages;
        set[n].vpn = vpn;
        set[n].pfn = prng_next(&p) & ((UINT64_C(1) << (m.pa_bits - m.page_shift)) - 1);
        set[n].attrs = (unsigned)prng_below(&p, 1u << RMAP_ATTR_COUNT);
        set[n].kind = n % 3 ? RMAP_PTE_PRESENT : (enum rmap_pte_kind)(1 + prng_below(&p, 4));
        for (int before = 0; before < n; before++) { /* the last one set counts */
            if (set[before].vpn == vpn) set[before] = set[n];
        }
        rmap_pte_t e = rmap_pte_make(f, set[n].pfn, set[n].attrs);
        set_entry(&w.mmu, vpn, rmap_pte_to_kind(f, e, set[n].kind));
    }
    for (int n = 0; n < PAGES; n++) {
        const rmap_vpn_t vpn = set[n].vpn;
        const uint64_t offset = prng_below(&p, UINT64_C(1) << m.page_shift);
        struct rmap_mmu_run run;
        CHECK_OK(find(&w.mmu, vpn, vpn + 1, &run));
        struct translation t = m.walk(&w, vpn << m.page_shift | offset);
        unlock(&w.mmu, &run);
        CHECK_EQ(t.ok, set[n].kind == RMAP_PTE_PRESENT);
        if (!t.ok) continue;
        CHECK_EQ(t.pa, set[n].pfn << m.page_shift | offset);
        CHECK_EQ(t.write, set[n].attrs >> RMAP_ATTR_WRITE & 1);
        CHECK_EQ(t.exec, set[n].attrs >> RMAP_ATTR_EXEC & 1);
        CHECK_EQ(t.accessed, set[n].attrs >> RMAP_ATTR_ACCESSED & 1);
        CHECK_EQ(t.dirty, set[n].attrs >> RMAP_ATTR_DIRTY & 1);
    }
    for (int n = 0; n < 10 * PAGES; n++) { /* what nobody set is not there */
        rmap_vpn_t vpn = (set[n % PAGES].vpn + prng_below(&p, 64)) % w.mmu.pages;
        bool known = false;
        for (int i = 0; i < PAGES; i++) known = known || set[i].vpn == vpn;
        if (!known) CHECK(!m.walk(&w, vpn << m.page_shift).ok);
    }
    world_fini(&w);
}

#define MACHINE(name, ...)                                          \
    RMAP_TEST(radix_walkers, name##_walker_finds_exactly_what_was_set) \
    {                                                               \
        agree((struct machine){__VA_ARGS__}, false);                \
        agree((struct machine){__VA_ARGS__}, true);                 \
    }
MACHINE(x86_64, &rmap_radix_x86_64, walk_x86_4, 48, 12, 52)
MACHINE(x86_64_la57, &la57, walk_x86_5, 57, 12, 52)
MACHINE(sv39, &rmap_radix_sv39, walk_sv39, 39, 12, 56)
MACHINE(sv48, &rmap_radix_sv48, walk_sv48, 48, 12, 56)
MACHINE(aarch64_4k, &rmap_radix_aarch64_4k, walk_4k, 48, 12, 48)
MACHINE(aarch64_16k, &rmap_radix_aarch64_16k, walk_16k, 48, 14, 48)
MACHINE(aarch64_64k, &rmap_radix_aarch64_64k, walk_64k, 48, 16, 48)

/* One address of each, worked out by hand: which word of which table names which next one. Root at 0x40000000. */
RMAP_TEST(radix_walkers, x86_64_tables_of_one_page_word_by_word)
{
    struct world w;
    world_init(&w, &rmap_radix_x86_64, true);
    /* 0x00007f80c0604000: PML4 index 255, PDPT 3, PD 3, PT 4 → frame 0xabcde, writable, not executable */
    set_entry(&w.mmu, 0x7f80c0604, rmap_pte_make(w.g->format, 0xabcde, 1u << RMAP_ATTR_WRITE));
    CHECK_EQ(rmap_radix_root(&w.mmu), 0x40000000);
    uint64_t pml4e = read64(&w, 0x40000000 + 8 * 255);
    CHECK_EQ(pml4e & 0xfff, 7);
    uint64_t pdpte = read64(&w, (pml4e - 7) + 8 * 3);
    uint64_t pde = read64(&w, (pdpte - 7) + 8 * 3);
    CHECK_EQ(pde & 0xfff, 7);
    CHECK_EQ(read64(&w, (pde - 7) + 8 * 4), 0x80000000abcde007);
    world_fini(&w);
}

RMAP_TEST(radix_walkers, sv39_tables_of_one_page_word_by_word)
{
    struct world w;
    world_init(&w, &rmap_radix_sv39, true);
    /* 0x80403000: VPN[2] 2, VPN[1] 2, VPN[0] 3 → frame 0x80200, writable */
    set_entry(&w.mmu, 0x80403, rmap_pte_make(w.g->format, 0x80200, 1u << RMAP_ATTR_WRITE));
    uint64_t second = read64(&w, 0x40000000 + 8 * 2);
    CHECK_EQ(second & 0x3ff, 1);
    uint64_t third = read64(&w, (second >> 10 << 12) + 8 * 2);
    CHECK_EQ(third & 0x3ff, 1);
    CHECK_EQ(read64(&w, (third >> 10 << 12) + 8 * 3), 0x20080017);
    world_fini(&w);
}

RMAP_TEST(radix_walkers, aarch64_64k_tables_of_one_page_word_by_word)
{
    struct world w;
    world_init(&w, &rmap_radix_aarch64_64k, true);
    /* 0x40060050000: level 1 index 1 (bits 47:42), level 2 index 3 (41:29), level 3 index 5 (28:16) → frame 0x1234 */
    set_entry(&w.mmu, 0x4006005, rmap_pte_make(w.g->format, 0x1234, 1u << RMAP_ATTR_WRITE | 1u << RMAP_ATTR_EXEC));
    uint64_t two = read64(&w, 0x40000000 + 8 * 1);
    CHECK_EQ(two & 0xffff, 3);
    uint64_t three = read64(&w, (two - 3) + 8 * 3);
    CHECK_EQ(three & 0xffff, 3);
    CHECK_EQ(read64(&w, (three - 3) + 8 * 5), 0x0020000012340b43);
    world_fini(&w);
}
