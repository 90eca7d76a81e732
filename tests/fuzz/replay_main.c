/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz/replay_main.c  The kept corpus as an ordinary test: any compiler, any sanitizer, no fuzzer.
 *
 *     fuzz_core DIRECTORY|FILE…       each file, and first the empty input, goes through the fuzzer's function
 *
 * TAP on stdout, a line for each input; what fails ends the process (fuzz.h), after the input's name. Status 2 if a path
 * cannot be read, or if there is no input at all: a corpus that has vanished must not look like a success.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)1 << 20)

static const char *current = "the empty input";

static _Noreturn void give_up(const char *path, const char *why)
{
    fprintf(stderr, "%s: %s\n", path, why);
    exit(2);
}

static void name_input(int signal)
{
    ssize_t unheard = write(2, "input: ", 7);
    unheard = write(2, current, strlen(current));
    unheard = write(2, "\n", 1);
    (void)unheard;
    raise(signal); /* SA_RESETHAND: this time it ends the process */
}

static void run(const char *path, unsigned number)
{
    static uint8_t bytes[INPUT_MAX + 1];
    FILE *file = fopen(path, "rb");
    if (!file) give_up(path, strerror(errno));
    size_t n = fread(bytes, 1, sizeof bytes, file);
    if (ferror(file) || n > INPUT_MAX) give_up(path, "cannot be read, or is larger than 1 MiB");
    fclose(file);
    /* A block of just its size: the address sanitizer then sees a read beyond its end. */
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact) give_up(path, "no memory");
    memcpy(exact, bytes, n);
    current = path;
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    printf("ok %u - %s\n", number, path);
    fflush(stdout);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Run (or only count, with run_them false) the files of a directory, in the order of their names; or the file itself. */
static unsigned each(const char *path, unsigned number, bool run_them)
{
    struct stat status;
    struct dirent **entries;
    if (stat(path, &status)) give_up(path, strerror(errno));
    if (!S_ISDIR(status.st_mode)) {
        if (run_them) run(path, number);
        return 1;
    }
    int n = scandir(path, &entries, visible, alphasort);
    if (n < 0) give_up(path, strerror(errno));
    for (int i = 0; i < n; i++) {
        char full[4096];
        snprintf(full, sizeof full, "%s/%s", path, entries[i]->d_name);
        if (run_them) run(full, number + (unsigned)i);
        free(entries[i]);
    }
    free(entries);
    return (unsigned)n;
}

int main(int argc, char **argv)
{
    const struct sigaction action = {.sa_handler = name_input, .sa_flags = (int)SA_RESETHAND};
    unsigned inputs = 0, number = 2;
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fprintf(argc < 2 ? stderr : stdout, "usage: %s DIRECTORY|FILE...   run each file as one input\n", argv[0]);
        return argc < 2 ? 2 : 0;
    }
    for (int i = 1; i < argc; i++) inputs += each(argv[i], 0, false);
    if (!inputs) give_up(argv[1], "no input");
    sigaction(SIGABRT, &action, NULL);
    printf("1..%u\n", inputs + 1);
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    printf("ok 1 - %s\n", current);
    for (int i = 1; i < argc; i++) number += each(argv[i], number, true);
    return 0;
}
