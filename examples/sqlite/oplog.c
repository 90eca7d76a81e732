/* SPDX-License-Identifier: MIT */
#include "oplog.h"

#include "temporary.h"

#include <stdlib.h>
#include <string.h>

/* An entry is this head and then the statement with its terminator. */
struct head {
    int32_t kind;
    int32_t code;
    uint64_t digest;
    uint64_t text_bytes;
};

static void add_bytes(struct oplog *log, const void *bytes, size_t length)
{
    if (log->capacity - log->length < length) {
        size_t capacity = 2 * (log->length + length) + 4096;
        unsigned char *grown = realloc(log->bytes, capacity);

        if (!grown) fail(EXIT_RUN_FAILED, "out of memory for a statement log");
        log->bytes = grown;
        log->capacity = capacity;
    }
    memcpy(log->bytes + log->length, bytes, length);
    log->length += length;
}

void oplog_append(struct oplog *log, enum oplog_kind kind, struct outcome outcome, const char *sql)
{
    struct head head = {(int32_t)kind, outcome.code, outcome.digest, strlen(sql) + 1};

    add_bytes(log, &head, sizeof head);
    add_bytes(log, sql, head.text_bytes);
}

void oplog_mark(struct oplog *log, enum oplog_kind kind)
{
    oplog_append(log, kind, (struct outcome){0}, "");
}

void oplog_copy(struct oplog *to, const struct oplog *from)
{
    *to = (struct oplog){0};
    if (from->length) add_bytes(to, from->bytes, from->length);
}

bool oplog_next(const struct oplog *log, size_t *position, struct oplog_entry *entry)
{
    struct head head;

    if (*position >= log->length) return false;
    memcpy(&head, log->bytes + *position, sizeof head);
    *position += sizeof head;
    entry->kind = (enum oplog_kind)head.kind;
    entry->outcome = (struct outcome){head.code, head.digest};
    entry->sql = (const char *)log->bytes + *position;
    *position += head.text_bytes;
    return true;
}

void oplog_fini(struct oplog *log)
{
    free(log->bytes);
    *log = (struct oplog){0};
}
