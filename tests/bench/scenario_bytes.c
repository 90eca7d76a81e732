/* SPDX-License-Identifier: MIT */
/**
 * @file bench/scenario_bytes.c  bytes: what is kept so that mappings can be found, per mapping, region and space, and for a
 * gigabyte that 51 spaces share. Tables and the rest of a descriptor are everybody's; one world lives at a time.
 */
#include "bench/clan.h"
#include "bench/scenarios.h"

#define SHARERS 51
#define OWNER_AND_INDEX                                                                                                \
    16 /* bytes of every descriptor: the library's reverse map, though part of the 32 that all have */
#define REGIONS 10000
#define REGION_SHARERS 33

/*  parent: [0, 262144) written (with --quick a quarter)  ──fork──▶ 50 children  */
static void gigabyte(const struct bench_system *sys)
{
    const rmap_vpn_t pages = bench_settings.quick ? 65536 : 262144;
    struct clan c;
    clan_open(&c, sys, SHARERS, pages, (struct bench_options){.frames = pages + 64, .slots = 64});
    clan_fork(&c);
    const struct bench_bytes b = bench_bytes_of(sys, c.w);
    const double in_descriptors = sys == &bench_objrmap ? OWNER_AND_INDEX * (double)pages : 0;
    print_bytes("bytes/1GiB-51", sys->name, bench_settings.quick ? "bytes for a quarter" : "bytes",
                (double)bench_bytes_sum(&b) + in_descriptors);
    print_bytes("bytes/mapping", sys->name, "bytes/mapping", (double)b.mappings / (double)(pages * SHARERS));
    print_bytes("bytes/space", sys->name, "bytes/space", (double)b.spaces / SHARERS);
    clan_close(&c);
}

/*  parent: 10,000 regions of one page, a hole behind each, written  ──fork──▶ 32 children. Against the same in one region  */
static void in_regions(const struct bench_system *sys)
{
    double many, one;
    struct clan c;
    clan_open(&c, sys, REGION_SHARERS, 1, (struct bench_options){.frames = REGIONS + 64, .slots = 64});
    for (rmap_vpn_t i = 1; i < REGIONS; i++) {
        sys->map(c.space[0], 2 * i, 1);
        sys->write(c.space[0], 2 * i);
    }
    clan_fork(&c);
    many = (double)bench_bytes_kept(sys, c.w);
    clan_close(&c);
    clan_open(&c, sys, REGION_SHARERS, REGIONS, (struct bench_options){.frames = REGIONS + 64, .slots = 64});
    clan_fork(&c);
    one = (double)bench_bytes_kept(sys, c.w);
    clan_close(&c);
    print_bytes("bytes/region", sys->name, "bytes/region",
                (many - one) / ((REGIONS - 1) * (double)REGION_SHARERS));
}

void scenario_bytes(void)
{
    const bool by_pages = wanted("bytes/1GiB-51") || wanted("bytes/mapping") || wanted("bytes/space");
    for (unsigned i = 0; bench_systems[i]; i++) {
        if (by_pages) gigabyte(bench_systems[i]);
        if (wanted("bytes/region")) in_regions(bench_systems[i]);
    }
}
