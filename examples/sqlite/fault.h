/* SPDX-License-Identifier: MIT */
/*
 * fault.h - the embedder's own signal handler: every touch of a page that is
 * not projected, or not writable yet, arrives here and is served on the spot.
 */
#ifndef EXAMPLES_SQLITE_FAULT_H
#define EXAMPLES_SQLITE_FAULT_H

#include <stdint.h>

struct store;

void fault_handler_install(struct store *store);
void fault_handler_remove(void);

/* Faults served so far: of the calling thread, and of all. */
uint64_t fault_count_mine(void);
uint64_t fault_count_all(void);

#endif
