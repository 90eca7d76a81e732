/* SPDX-License-Identifier: MIT */
/** @file base/mutex.h  A mutex with its rank. */
#ifndef RMAP_BASE_MUTEX_H
#define RMAP_BASE_MUTEX_H

#include "base/rank.h"

#include <pthread.h>

static inline void rmap__mutex_lock(pthread_mutex_t *m, enum rmap__rank rank)
{
    rmap__rank_take(rank, m);
    pthread_mutex_lock(m);
}
static inline void rmap__mutex_unlock(pthread_mutex_t *m, enum rmap__rank rank)
{
    pthread_mutex_unlock(m);
    rmap__rank_drop(rank, m);
}

#endif
