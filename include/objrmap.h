/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap.h  Object-based reverse mapping for user space. Read the headers in this order.
 *
 * The core: everything that an embedder with page tables and frames of its own needs.
 */
/* clang-format off: this order is for reading */
#ifndef OBJRMAP_H
#define OBJRMAP_H

#include <objrmap/types.h>    /* pages, frames, swap entries */
#include <objrmap/error.h>    /* one table of errors */
#include <objrmap/alloc.h>    /* where the library's memory comes from */
#include <objrmap/page.h>     /* the 32-byte descriptor and its counts */
#include <objrmap/pte.h>      /* entry formats as data */
#include <objrmap/mmu.h>      /* what an MMU implements; flush gathering */
#include <objrmap/group.h>    /* members, the fork tree, fork */
#include <objrmap/rmap.h>     /* the verbs on all mappings of a page */
#include <objrmap/move.h>     /* mremap */
#include <objrmap/migrate.h>  /* other frames under the same mappings */
#include <objrmap/swap.h>     /* what the core needs of a swap map */
#include <objrmap/instance.h> /* one reverse map */
#include <objrmap/usage.h>    /* who has how much: attribution */
#include <objrmap/verify.h>   /* the invariants, checked */
#include <objrmap/stats.h>    /* what walks cost */

/* Supplied MMUs. */
#include <objrmap/memory.h> /* frames in a memfd */
#include <objrmap/radix.h>  /* page tables in memory, hardware formats */
#include <objrmap/host.h>   /* this process's own virtual memory */

/* The pager tier. */
#include <objrmap/device.h>  /* swap devices */
#include <objrmap/swapmap.h> /* slots and swap cache */
#include <objrmap/pager.h>   /* frames, reclaim, commit */
#include <objrmap/space.h>   /* address spaces and the mm verbs */

#endif
