/* SPDX-License-Identifier: MIT */
/**
 * @file replay/trace.h  Recorded traces, line by line: syntax and ranges. What an event means to what came before it is
 * book.h's to judge.
 *
 *     # objrmap-trace 1            page numbers and counts are hexadecimal, spaces decimal; words are parted by one blank
 *     new S                        a fresh space          fork P C        C is a copy of P          exit S
 *     map S VPN N PROT KIND        PROT rwx or - for each; KIND a anonymous, f private file, s shared, k implicit
 *     unmap S VPN N                prot S VPN N PROT      drop S VPN N    contents go
 *     move S OLD OLDN NEW NEWN FLAGS
 *     r S VPN                      w S VPN                accesses that faulted
 *
 * A trace is a stranger's: every byte of it is looked at, lines have a greatest length, and nothing is kept of them.
 */
#ifndef RMAP_TESTS_REPLAY_TRACE_H
#define RMAP_TESTS_REPLAY_TRACE_H

#include <stddef.h>
#include <stdint.h>

/** Page numbers are below: four levels of 512. */
#define TRACE_PAGES ((uint64_t)1 << 36)
/** Space ids are below. */
#define TRACE_IDS ((uint32_t)1 << 28)
/** Of more lines than this nobody would await the end. */
#define TRACE_LINES_MAX ((uint64_t)1 << 26)

enum trace_verb {
    TRACE_NEW,
    TRACE_FORK,
    TRACE_EXIT,
    TRACE_MAP,
    TRACE_UNMAP,
    TRACE_PROT,
    TRACE_DROP,
    TRACE_MOVE,
    TRACE_READ,
    TRACE_WRITE,
    TRACE_VERBS
};

enum trace_prot { TRACE_R = 1, TRACE_W = 2, TRACE_X = 4 };
enum trace_move_flag { TRACE_MAYMOVE = 1, TRACE_FIXED = 2, TRACE_DONTUNMAP = 4 };

/** Fields that the verb has none of are 0. Ranges are not empty (but a move's source may be) and end within TRACE_PAGES. */
struct trace_event {
    uint64_t line;
    enum trace_verb verb;
    uint32_t space; /**< 1 … TRACE_IDS - 1 */
    uint32_t child; /**< of fork */
    uint64_t vpn, count;
    uint64_t to, new_count; /**< of move */
    unsigned flags;         /**< of move: enum trace_move_flag */
    unsigned prot;          /**< enum trace_prot */
    char kind;              /**< 'a', 'f', 's', 'k' */
};

/** What is wrong, and in which line; line 0: with the file. */
struct trace_error {
    uint64_t line;
    char text[200];
};

struct trace;

/** @return 0 with *out, which has read the heading; -1 with *error. */
int trace_open_file(const char *path, struct trace **out, struct trace_error *error);
/** Uncompressed text in memory, which must stay until trace_close(). As trace_open_file. */
int trace_open_memory(const void *bytes, size_t size, struct trace **out, struct trace_error *error);
/** NULL is allowed. */
void trace_close(struct trace *t);

/** @return 1 with *out; 0 at the end; -1 with *error, again and again. */
int trace_next(struct trace *t, struct trace_event *out, struct trace_error *error);

/** Fill *error, as printf does; the text is cut where it is too long. @return -1. */
int trace_wrong(struct trace_error *error, uint64_t line, const char *text, ...) __attribute__((format(printf, 3, 4)));

#endif
