/* SPDX-License-Identifier: MIT */
/**
 * @file base/wait.h  Waiting until a lock in some word is free: spin for a moment, then sleep on 32 bits of memory.
 *
 * What lock it is, and where it keeps the mark that somebody sleeps, is the caller's business: a page's word has a bit for
 * it (core/page_lock.c), a table's has none (mmu/radix_run.c). Callable in a signal handler: a raw system call, errno kept.
 */
#ifndef RMAP_BASE_WAIT_H
#define RMAP_BASE_WAIT_H

#include <stdint.h>

/** Looks at a taken lock, with a pause after each, before it is worth a system call. */
#define RMAP__SPINS 100

/** Tell the processor that this is a loop that waits. */
static inline void rmap__pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/**
 * Sleep if the 32 bits at `word` are `seen`: looking and falling asleep is one step, so a wake that comes after the word has
 * changed finds us asleep, or we do not sleep. Returns when woken, and whenever it likes: look again. Where the system has
 * no such call, the processor is given away instead.
 */
void rmap__sleep(const void *word, uint32_t seen);
/** Wake one, or all, who sleep there. `word` is an address only: the memory may be anything by now. */
void rmap__wake_one(const void *word);
void rmap__wake_all(const void *word);

#endif
