/* SPDX-License-Identifier: MIT */
/*
 * fault.h - the embedder's own signal handler: every touch of a page that is
 * not projected, or not writable yet, arrives here and is served on the spot.
 */
#ifndef EXAMPLES_SQLITE_FAULT_H
#define EXAMPLES_SQLITE_FAULT_H

struct store;

void fault_handler_install(struct store *store);
void fault_handler_remove(void);

#endif
