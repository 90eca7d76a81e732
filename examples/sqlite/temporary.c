/* SPDX-License-Identifier: MIT */
#include "temporary.h"

#include "progress.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 1024

/* The paths are made beforehand: a signal handler cannot format strings. */
static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};
#define SUFFIXES (sizeof suffixes / sizeof suffixes[0])

static char directory[PATH_BYTES];
static char paths[TEMPORARY_FILES][SUFFIXES][PATH_BYTES + 32];
static volatile sig_atomic_t present;

void temporary_remove(void)
{
    if (!present) return;
    present = 0;
    /* Another thread may be making a file meanwhile; it cannot once the directory is gone. */
    for (int attempt = 0; attempt < 3; attempt++) {
        for (size_t file = 0; file < TEMPORARY_FILES; file++)
            for (size_t suffix = 0; suffix < SUFFIXES; suffix++) unlink(paths[file][suffix]);
        if (rmdir(directory) == 0) break;
    }
}

static void remove_and_die(int signal_number)
{
    temporary_remove();
    /* SA_RESETHAND restored the default: the parent sees the real cause. */
    raise(signal_number);
}

void temporary_create(void)
{
    static const char *const names[TEMPORARY_FILES] = {"image.sqlite", "reference.sqlite"};
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGABRT, SIGXFSZ, SIGXCPU, SIGALRM};
    const char *parent = getenv("TMPDIR");
    struct sigaction action = {.sa_handler = remove_and_die, .sa_flags = (int)SA_RESETHAND};
    int length;

    if (!parent || !*parent) parent = "/tmp";
    length = snprintf(directory, sizeof directory, "%s/sqlite_branches.XXXXXX", parent);
    if (length < 0 || (size_t)length >= sizeof directory) fail(EXIT_BAD_INPUT, "the path in TMPDIR is too long");
    if (!mkdtemp(directory))
        fail(EXIT_BAD_INPUT, "cannot make a temporary directory in %s: %s", parent, strerror(errno));
    for (size_t file = 0; file < TEMPORARY_FILES; file++)
        for (size_t suffix = 0; suffix < SUFFIXES; suffix++)
            snprintf(paths[file][suffix], sizeof paths[file][suffix], "%s/%s%s", directory, names[file],
                     suffixes[suffix]);
    present = 1;
    atexit(temporary_remove);
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) sigaction(signals[i], &action, NULL);
}

const char *temporary_path(enum temporary_file file)
{
    return paths[file][0];
}

void fail(int status, const char *format, ...)
{
    static pthread_mutex_t only_once = PTHREAD_MUTEX_INITIALIZER;
    va_list arguments;

    pthread_mutex_lock(&only_once); /* never given back: two threads must not both run exit's handlers */
    fflush(stdout);
    progress_end();
    fputs("sqlite_branches: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(status);
}
