/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "temporary.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BRANCHES_DEFAULT 64
#define BRANCHES_MAX 4096
#define THREADS_MAX 64
#define BUDGET_DEFAULT ((size_t)24 << 20)
#define BUDGET_LEAST ((size_t)64 * MEMORY_PAGE_BYTES)

static const char usage[] =
    "usage: sqlite_branches [IMAGE.sqlite] [options]\n"
    "Branches a SQLite database copy-on-write inside a fixed memory budget, and checks every branch.\n"
    "  IMAGE.sqlite       the database (only read; default: one built from this machine's text)\n"
    "  --branches N       how many branches, 1 to 4096 (default 64)\n"
    "  --memory SIZE      the budget for all of them, with K, M or G (default: 24M, at most 3/4 of the image)\n"
    "  --swap file|lz4    evicted pages go to a file in $TMPDIR or to compressed memory (default file)\n"
    "  --move copy|track  pages still shared when their range moves are copied, or recorded (default copy)\n"
    "  --seed N           of the transactions (default 1)\n"
    "  --threads N        how many work on branches at a time, 1 to 64 (default 2); from 2 on, one more reclaims\n"
    "  --svg FILE         draw residency, sharing and swap over the run\n"
    "  --per-branch       print what each branch has of memory and swap: shared, exclusive, in proportion\n";

/* Digits only: strtoull alone would take spaces and signs. */
static uint64_t parse_number(const char *name, const char *text, char **end)
{
    uint64_t number;

    errno = 0;
    number = strtoull(text, end, 10);
    if (!isdigit((unsigned char)*text) || errno) fail(EXIT_BAD_INPUT, "%s needs a number, not \"%s\"", name, text);
    return number;
}

static uint64_t parse_count(const char *name, const char *text, uint64_t least, uint64_t most)
{
    char *end;
    uint64_t number = parse_number(name, text, &end);

    if (*end || number < least || number > most)
        fail(EXIT_BAD_INPUT, "%s needs a number from %llu to %llu, not \"%s\"", name, (unsigned long long)least,
             (unsigned long long)most, text);
    return number;
}

static size_t parse_size(const char *name, const char *text)
{
    static const char units[] = "KMG";
    char *end;
    uint64_t number = parse_number(name, text, &end);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;

    if ((unit && end[1]) || (!unit && *end) || number == 0 || number > SIZE_MAX >> 1 >> shift)
        fail(EXIT_BAD_INPUT, "%s needs a size such as 24M, not \"%s\"", name, text);
    return (size_t)number << shift;
}

static enum store_swap parse_swap(const char *text)
{
    if (strcmp(text, "file") == 0) return STORE_SWAP_FILE;
    if (strcmp(text, "lz4") != 0) fail(EXIT_BAD_INPUT, "--swap is file or lz4, not \"%s\"", text);
    return STORE_SWAP_LZ4;
}

static enum store_move parse_move(const char *text)
{
    if (strcmp(text, "copy") == 0) return STORE_MOVE_COPY;
    if (strcmp(text, "track") != 0) fail(EXIT_BAD_INPUT, "--move is copy or track, not \"%s\"", text);
    return STORE_MOVE_TRACK;
}

void options_parse(struct options *options, int count, char **arguments)
{
    static const struct option names[] = {
        {"branches", required_argument, NULL, 'b'}, {"memory", required_argument, NULL, 'm'},
        {"swap", required_argument, NULL, 'w'},     {"move", required_argument, NULL, 'o'},
        {"seed", required_argument, NULL, 'r'},     {"threads", required_argument, NULL, 't'},
        {"svg", required_argument, NULL, 'v'},      {"per-branch", no_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    int name;

    *options = (struct options){.branches = BRANCHES_DEFAULT, .seed = 1, .threads = 2};
    opterr = 0;
    while ((name = getopt_long(count, arguments, ":", names, NULL)) != -1) {
        switch (name) {
        case 'b':
            options->branches = (int)parse_count("--branches", optarg, 1, BRANCHES_MAX);
            break;
        case 'm':
            options->memory = parse_size("--memory", optarg);
            break;
        case 'w':
            options->swap = parse_swap(optarg);
            break;
        case 'o':
            options->move = parse_move(optarg);
            break;
        case 'r':
            options->seed = parse_count("--seed", optarg, 0, UINT64_MAX);
            break;
        case 't':
            options->threads = (int)parse_count("--threads", optarg, 1, THREADS_MAX);
            break;
        case 'v':
            options->svg = optarg;
            break;
        case 'p':
            options->per_branch = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        case ':':
            fail(EXIT_BAD_INPUT, "%s needs a value (try --help)", arguments[optind - 1]);
        default:
            fail(EXIT_BAD_INPUT, "what is %s? (try --help)", arguments[optind - 1]);
        }
    }
    if (optind < count) options->image = arguments[optind++];
    if (optind < count) fail(EXIT_BAD_INPUT, "one image at a time, not also %s", arguments[optind]);
    if ((options->image && !*options->image) || (options->svg && !*options->svg))
        fail(EXIT_BAD_INPUT, "an empty file name");
}

size_t options_settle_budget(const struct options *options, size_t image_bytes)
{
    size_t share = image_bytes / 4 * 3, budget = options->memory;

    if (!budget && share < BUDGET_LEAST)
        fail(EXIT_BAD_INPUT, "the image of %zu bytes is too small: 3/4 of it must be %zu bytes or more", image_bytes,
             BUDGET_LEAST);
    if (!budget) budget = share < BUDGET_DEFAULT ? share : BUDGET_DEFAULT;
    if (budget < BUDGET_LEAST)
        fail(EXIT_BAD_INPUT, "--memory %zu is too small: %zu bytes at least", budget, BUDGET_LEAST);
    if (budget >= image_bytes)
        fail(EXIT_BAD_INPUT, "--memory %zu is no limit for an image of %zu bytes: it must be smaller", budget,
             image_bytes);
    return budget - budget % MEMORY_PAGE_BYTES;
}

void options_settle_picture(const struct options *options)
{
    struct stat image, picture;
    bool there;
    int file;

    if (!options->svg) return;
    there = stat(options->svg, &picture) == 0;
    if (options->image && stat(options->image, &image) == 0 && stat(options->svg, &picture) == 0 &&
        image.st_dev == picture.st_dev && image.st_ino == picture.st_ino)
        fail(EXIT_BAD_INPUT, "--svg %s would overwrite the image", options->svg);
    file = open(options->svg, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) fail(EXIT_BAD_INPUT, "--svg %s cannot be written: %s", options->svg, strerror(errno));
    close(file);
    if (!there) unlink(options->svg); /* it is made when there is something to draw */
}
