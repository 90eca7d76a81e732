/* SPDX-License-Identifier: MIT */
/** @file bench/systems.c  All systems, in the order in which tables show them. */
#include "bench/system.h"

const struct bench_system *const bench_systems[] = {&bench_objrmap,    &bench_pv_chunk, &bench_pte_chain,  &bench_anon_vma_chain,
                                                    &bench_flat_group, &bench_anonmm,   &bench_full_scan, NULL};
