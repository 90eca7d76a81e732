/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/linux_diff.c  The Linux kernel as an oracle: random programs of fork, map, write, read, move, unmap, protect,
 * dontneed, exec and exit run in real processes and in the pager, and after each operation contents, presence and sharing
 * agree. What that means exactly is in compare.h; how a program looks in program.h. This file: options, verdict, shrinking.
 */
#include "oracle/player.h"
#include "oracle/real.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define SHRINK_SECONDS 120
#define SHRINK_TRIES 5000
#define SKIPPED 77
#define LENGTH 250
#define ENOUGH_STEPS 10000 /* of drawn programs of that length: they meet each rule dozens of times */

static const char usage[] =
    "usage: linux_diff [--seed X] [--steps N | --seconds S] [--length N] [OPTION...]\n"
    "       linux_diff --program FILE [OPTION...]\n"
    "       linux_diff --print [--seed X] [--length N]\n"
    "\n"
    "Random programs run in real processes and in the pager; after each operation both must agree "
    "(tests/oracle/compare.h).\n"
    "  --seed X          of the first program ($SEED, or 1); X + 1, X + 2 ... follow\n"
    "  --steps N         until N steps were done (20000); --seconds S: for that long\n"
    "  --length N        steps of a program (250, at most 4096)\n"
    "  --program FILE    play the program in FILE (- is standard input) instead\n"
    "  --print           print the program of the seed, play nothing\n"
    "  --leave-out KIND  do not tell the library of steps of that kind (write, map, unmap, protect, dontneed, move, "
    "keep,\n"
    "                    resize): the test tests itself, something must be found\n"
    "  --no-books        never ask rmap_pager_verify: what is found is found by comparing\n"
    "  --no-shrink       print the program that found something as it is\n"
    "The last line says seeds, steps and verdict. Status 0: nothing found; 1: something (the program that shows it is\n"
    "printed, small), or 10000 steps of drawn programs never met one of the rules; 2: misuse, or the machine does not\n"
    "play along; 77: skipped, the kernel cannot be asked here, or no longer.\n";

struct options {
    struct span span;
    const char *file;
    struct slackness slack;
    bool print, no_shrink;
};

static struct program program;

/* ---- options ---- */

static _Noreturn void misuse(const char *what, const char *word)
{
    fprintf(stderr, "linux_diff: %s%s%s (try --help)\n", what, word ? ": " : "", word ? word : "");
    exit(2);
}

static uint64_t number(const char *text, uint64_t least, uint64_t most)
{
    char *end;
    errno = 0;
    const uint64_t n = strtoull(text, &end, 0);
    if (errno || !*text || *text == '-' || *end || n < least || n > most) misuse("not a number that can be used", text);
    return n;
}

static enum step_kind kind_to_leave_out(const char *name)
{
    const enum step_kind kind = step_kind_named(name);
    if (kind < STEP_MAP || kind > STEP_RESIZE || kind == STEP_READ) misuse("that cannot be left out", name);
    return kind;
}

static void read_options(struct options *o, int argc, char **argv)
{
    static const struct option known[] = {
        {"seed", required_argument, NULL, 'x'},
        {"steps", required_argument, NULL, 's'},
        {"seconds", required_argument, NULL, 't'},
        {"length", required_argument, NULL, 'l'},
        {"program", required_argument, NULL, 'p'},
        {"leave-out", required_argument, NULL, 'o'},
        {"print", no_argument, NULL, 'P'},
        {"no-books", no_argument, NULL, 'b'},
        {"no-shrink", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *seed = getenv("SEED");
    *o = (struct options){.span = {.seed = 1, .steps = 20000, .length = LENGTH}, .slack = {.leave_out = STEP_KINDS}};
    if (seed && *seed) o->span.seed = number(seed, 0, UINT64_MAX);
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        switch (c) {
        case 'x':
            o->span.seed = number(optarg, 0, UINT64_MAX);
            break;
        case 's':
            o->span.steps = number(optarg, 1, UINT64_MAX);
            break;
        case 't':
            o->span.seconds = (double)number(optarg, 1, 1000000);
            o->span.steps = 0;
            break;
        case 'l':
            o->span.length = number(optarg, 1, STEPS_MAX);
            break;
        case 'p':
            o->file = optarg;
            break;
        case 'o':
            o->slack.leave_out = kind_to_leave_out(optarg);
            break;
        case 'P':
            o->print = true;
            break;
        case 'b':
            o->slack.no_books = true;
            break;
        case 'n':
            o->no_shrink = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            misuse("unknown argument, or one without its value", argv[optind - 1]);
        }
    }
    if (optind < argc) misuse("unknown argument", argv[optind]);
}

static void read_file(const char *name)
{
    FILE *f = strcmp(name, "-") ? fopen(name, "r") : stdin;
    if (!f) misuse(strerror(errno), name);
    const unsigned line = program_read(&program, f);
    if (f != stdin) fclose(f);
    if (!line) return;
    fprintf(stderr, "linux_diff: %s: line %u is none of a program's\n", name, line);
    exit(2);
}

/* ---- a finding ---- */

struct search {
    const struct options *o;
    double end;
};

static bool still_fails(void *ctx, const struct program *p)
{
    const struct search *s = ctx;
    return seconds_now() < s->end && player_play(p, &s->o->slack, true) == FOUND;
}

static void print_step(const char *before)
{
    char text[96] = "at the end";
    if (report->step < program.count) step_print(&program.step[report->step], text, sizeof text);
    printf("# %s %llu: %s\n# %s\n", before, (unsigned long long)report->step + 1, text, report->text);
}

/* `program` found something, of which the report speaks. */
static void print_finding(const struct options *o)
{
    const struct report sums = *report;
    struct search s = {.o = o, .end = seconds_now() + SHRINK_SECONDS};
    print_step("found at step");
    if (!o->no_shrink) {
        if (report->step + 1 < program.count) program.count = report->step + 1;
        program_shrink(&program, still_fails, &s, SHRINK_TRIES);
        if (player_play(&program, &o->slack, true) == FOUND)
            print_step("made small: found at step");
        else
            printf("# the program does not find it every time; this is what is left of it\n");
    }
    program_print(&program, stdout);
    *report = sums;
}

/* ---- the verdict ---- */

/* A rule that a long run never met was not tested. @return its name, or NULL. */
static const char *unmet(const struct options *o)
{
    if (o->file || o->slack.leave_out != STEP_KINDS || o->span.length < LENGTH || report->steps < ENOUGH_STEPS)
        return NULL;
    return !report->shared        ? "pages that share"
           : !report->on_swap     ? "pages on swap"
           : !report->refused     ? "what both sides refuse"
           : !report->copied      ? "pages that COPY duplicates as it moves them"
           : !report->copied_late ? "pages that COPY duplicates at the swap-in (S10)"
           : !report->tracked     ? "pages that TRACK leaves shared"
                                  : NULL;
}

static void print_sums(void)
{
#define N(field) (unsigned long long)report->field
    printf("operations: %llu, refused by both: %llu\n"
           "compared: %llu classes (%llu more pages share them), %llu contents, %llu entries on swap\n"
           "copied by design: %llu pages by moves, %llu at swap-in; left shared by moves: %llu\n"
           "zero pages that the kernel's fork left out: %llu; kpagecount agreed: %llu of %llu; looked again: %llu\n",
           N(operations), N(refused), N(classes), N(shared), N(contents), N(on_swap), N(copied), N(copied_late),
           N(tracked), N(zero_dropped), N(kpage_same), N(kpage_same) + N(kpage_other), N(again));
#undef N
}

int main(int argc, char **argv)
{
    struct options o;
    read_options(&o, argc, argv);
    if (o.file) read_file(o.file);
    if (o.print) {
        if (!o.file) program_draw(&program, o.span.seed, o.span.length);
        program_print(&program, stdout);
        return 0;
    }
    const char *why = real_obstacle();
    if (why) {
        printf("skipped: %s\n", why);
        return SKIPPED;
    }
    if (!player_init()) misuse("no memory for a report", NULL);
    const enum verdict v = o.file ? player_play(&program, &o.slack, false) : player_draw(&o.span, &o.slack);
    if (v == TROUBLE) {
        fprintf(stderr, "linux_diff: %s\n", report->text);
        return 2;
    }
    if (v == GAVE_UP) {
        printf("skipped after %llu steps: %s\n", (unsigned long long)report->steps, report->text);
        return SKIPPED;
    }
    const char *missing = v == FOUND ? NULL : unmet(&o);
    if (v == FOUND) {
        if (!o.file) program_draw(&program, report->seed, o.span.length);
        print_finding(&o);
    } else {
        print_sums();
        if (missing) printf("not met even once: %s\n", missing);
    }
    if (o.file)
        printf("%s: ", o.file);
    else
        printf("seeds %llu to %llu: ", (unsigned long long)o.span.seed, (unsigned long long)report->seed);
    printf("%llu steps; %s\n", (unsigned long long)report->steps, v == FOUND || missing ? "FAILED" : "nothing found");
    return v == FOUND || missing;
}
