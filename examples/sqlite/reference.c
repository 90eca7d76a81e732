/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include "image.h"
#include "temporary.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE 16

struct job {
    int branch;
    struct oplog log;
    struct tablehash hash;
};

struct reference {
    const char *image_path;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct job queue[QUEUE]; /* mutex, like all below */
    int first, queued;
    bool ending;
    int judged, right;
    char message[512]; /* of the first that was wrong */
};

static bool reopen(sqlite3 **db)
{
    if (*db && !connection_close(*db)) return false;
    *db = connection_open_file(temporary_path(TEMPORARY_REFERENCE));
    return *db != NULL;
}

/* False, with a message, at the first outcome that differs. */
static bool replay(sqlite3 **db, const struct job *job, char *message, size_t message_bytes)
{
    struct oplog_entry entry;
    struct outcome outcome;

    for (size_t position = 0; oplog_next(&job->log, &position, &entry);) {
        switch (entry.kind) {
        case OPLOG_STATEMENT:
            outcome = connection_run(*db, entry.sql);
            if (outcome.code != entry.outcome.code || outcome.digest != entry.outcome.digest) {
                snprintf(message, message_bytes, "branch %d: code %d%s, plain SQLite has %d, after: %.300s",
                         job->branch, entry.outcome.code, outcome.code == entry.outcome.code ? " with other rows" : "",
                         outcome.code, entry.sql);
                return false;
            }
            break;
        case OPLOG_ABANDON:
            if (!sqlite3_get_autocommit(*db)) connection_run(*db, "ROLLBACK");
            /* fall through */
        case OPLOG_REOPEN:
            if (!reopen(db)) {
                snprintf(message, message_bytes, "branch %d: the reference cannot be opened again", job->branch);
                return false;
            }
        }
    }
    return true;
}

static bool judge(const char *image_path, const struct job *job, char *message, size_t message_bytes)
{
    const char *path = temporary_path(TEMPORARY_REFERENCE);
    struct tablehash hash;
    sqlite3 *db = NULL;
    char *error = NULL;
    bool right = false;

    if (!image_copy(image_path, path))
        snprintf(message, message_bytes, "branch %d: no reference copy: %s", job->branch, strerror(errno));
    else if (!reopen(&db))
        snprintf(message, message_bytes, "branch %d: the reference cannot be opened", job->branch);
    else if (!replay(&db, job, message, message_bytes))
        right = false;
    else if (!tablehash_database(db, &hash, &error))
        snprintf(message, message_bytes, "branch %d: the reference cannot be read: %s", job->branch, error);
    else if (hash.low != job->hash.low || hash.high != job->hash.high)
        snprintf(message, message_bytes, "branch %d: its tables differ from plain SQLite's", job->branch);
    else
        right = true;
    sqlite3_free(error);
    if (db) connection_close(db);
    remove(path);
    return right;
}

static void *work(void *argument)
{
    struct reference *reference = argument;
    char message[sizeof reference->message];

    pthread_mutex_lock(&reference->mutex);
    for (;;) {
        struct job job;
        bool right;

        while (!reference->queued && !reference->ending) pthread_cond_wait(&reference->changed, &reference->mutex);
        if (!reference->queued) break;
        job = reference->queue[reference->first];
        reference->first = (reference->first + 1) % QUEUE;
        reference->queued--;
        pthread_cond_broadcast(&reference->changed);
        pthread_mutex_unlock(&reference->mutex);

        message[0] = 0;
        right = judge(reference->image_path, &job, message, sizeof message);
        oplog_fini(&job.log);

        pthread_mutex_lock(&reference->mutex);
        reference->judged++;
        reference->right += right && job.branch != 0;
        if (!right && !reference->message[0]) memcpy(reference->message, message, sizeof message);
    }
    pthread_mutex_unlock(&reference->mutex);
    return NULL;
}

struct reference *reference_start(const char *image_path)
{
    struct reference *reference = calloc(1, sizeof *reference);

    if (!reference) fail(EXIT_RUN_FAILED, "out of memory for the reference");
    reference->image_path = image_path;
    pthread_mutex_init(&reference->mutex, NULL);
    pthread_cond_init(&reference->changed, NULL);
    if (pthread_create(&reference->thread, NULL, work, reference) != 0)
        fail(EXIT_RUN_FAILED, "cannot start the reference's thread");
    return reference;
}

void reference_submit(struct reference *reference, int branch, const struct oplog *log, struct tablehash hash)
{
    struct job job = {.branch = branch, .hash = hash};

    oplog_copy(&job.log, log);
    pthread_mutex_lock(&reference->mutex);
    while (reference->queued == QUEUE) pthread_cond_wait(&reference->changed, &reference->mutex);
    reference->queue[(reference->first + reference->queued) % QUEUE] = job;
    reference->queued++;
    pthread_cond_broadcast(&reference->changed);
    pthread_mutex_unlock(&reference->mutex);
}

double reference_cpu_seconds(struct reference *reference)
{
    struct timespec used = {0};
    clockid_t clock;

    if (pthread_getcpuclockid(reference->thread, &clock) == 0) clock_gettime(clock, &used);
    return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

int reference_judged(struct reference *reference)
{
    int judged;

    pthread_mutex_lock(&reference->mutex);
    judged = reference->judged;
    pthread_mutex_unlock(&reference->mutex);
    return judged;
}

int reference_finish(struct reference *reference, char *message, size_t message_bytes)
{
    int right;

    pthread_mutex_lock(&reference->mutex);
    reference->ending = true;
    pthread_cond_broadcast(&reference->changed);
    pthread_mutex_unlock(&reference->mutex);
    pthread_join(reference->thread, NULL);
    right = reference->right;
    snprintf(message, message_bytes, "%s", reference->message);
    pthread_cond_destroy(&reference->changed);
    pthread_mutex_destroy(&reference->mutex);
    free(reference);
    return right;
}
