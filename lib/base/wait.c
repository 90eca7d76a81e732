/* SPDX-License-Identifier: MIT */
/** @file base/wait.c  Sleeping on a word: the futex call where there is one. */
#include "base/wait.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stddef.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__linux__) && defined(SYS_futex)

/* Locks of one process: the key is the address alone. */
static void futex(const void *word, int op, uint32_t value)
{
    const int caller_errno = errno;
    syscall(SYS_futex, word, op, value, NULL, NULL, 0);
    errno = caller_errno;
}

void rmap__sleep(const void *word, uint32_t seen)
{
    futex(word, FUTEX_WAIT_PRIVATE, seen);
}

void rmap__wake_one(const void *word)
{
    futex(word, FUTEX_WAKE_PRIVATE, 1);
}

void rmap__wake_all(const void *word)
{
    futex(word, FUTEX_WAKE_PRIVATE, INT_MAX);
}

#else

void rmap__sleep(const void *word, uint32_t seen)
{
    (void)word, (void)seen;
    sched_yield();
}

void rmap__wake_one(const void *word)
{
    (void)word;
}

void rmap__wake_all(const void *word)
{
    (void)word;
}

#endif
