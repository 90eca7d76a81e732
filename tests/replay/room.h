/* SPDX-License-Identifier: MIT */
/** @file replay/room.h  Memory for the replay's own books: a program that runs out of it says so and ends with status 1. */
#ifndef RMAP_TESTS_REPLAY_ROOM_H
#define RMAP_TESTS_REPLAY_ROOM_H

#include <stdio.h>
#include <stdlib.h>

static inline void *room_or_end(void *room)
{
    if (room) return room;
    fputs("rmap_replay: out of memory\n", stderr);
    exit(1);
}

/** `n` zeroed objects; free(). */
static inline void *room_for(size_t n, size_t bytes)
{
    return room_or_end(calloc(n ? n : 1, bytes));
}

/** An array that grows to hold `n`; *room is how many fit. */
static inline void *room_grow(void *array, size_t *room, size_t n, size_t bytes)
{
    if (n <= *room) return array;
    *room = *room * 2 > n ? *room * 2 : n;
    return room_or_end(realloc(array, *room * bytes));
}

#endif
