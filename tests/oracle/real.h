/* SPDX-License-Identifier: MIT */
/** @file oracle/real.h  The kernel's side: a tree of processes, and what /proc says of their windows. */
#ifndef RMAP_TESTS_ORACLE_REAL_H
#define RMAP_TESTS_ORACLE_REAL_H

#include "oracle/worker.h"

enum real_kind {
    REAL_ABSENT,
    REAL_ZERO, /* the zero page */
    REAL_PAGE,
    REAL_AWAY, /* on the machine's own swap, or on its way to another frame: whose it is cannot be told now */
};

struct real_entry {
    uint8_t kind; /* enum real_kind */
    uint64_t pfn;
};

struct real {
    int channel[CHANNELS];
    pid_t nursery;
    uint64_t zero_pfn;
    struct {
        pid_t pid;
        int pagemap, mem, maps;
    } space[SPACES];
};

/** Can the kernel be asked at all? @return NULL, or why not. */
const char *real_obstacle(void);
/** What goes wrong here is no finding: these end the program with a word. */
void real_open(struct real *r);
void real_close(struct real *r); /* all processes are gone when it returns */
void real_start(struct real *r, unsigned space);
void real_fork(struct real *r, unsigned parent, unsigned child);
void real_exit(struct real *r, unsigned space);
void real_do(struct real *r, unsigned space, const struct command *c, struct answer *a);

void real_look(struct real *r, unsigned space, struct real_entry *entry);
void real_layout(struct real *r, unsigned space, struct layout *page);
/** The bytes of a page that is present, whatever its protection. */
void real_contents(struct real *r, unsigned space, unsigned page, void *bytes);
/** How many entries the kernel counts for a frame; false where it does not say. */
bool real_mappings(uint64_t pfn, uint64_t *count);

/** Not a finding: the machine does not play along. Ends the process. */
_Noreturn void trouble(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
