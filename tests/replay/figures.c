/* SPDX-License-Identifier: MIT */
/** @file replay/figures.c  See the header. */
#include "replay/figures.h"

#include <inttypes.h>

static const char *const class_names[RMAP_MAPPER_CLASSES] = {"1", "2", "3-4", "5-8", "9-16", "17-32", "33-64", "65-"};

static void sum(struct figures_walks *to, const struct rmap_walk_stats *from)
{
    to->walks += from->walks;
    to->visits += from->visits;
    to->hits += from->hits;
}

int figures_take(struct rmap_pager *p, struct figures *out)
{
    struct rmap_pager_stats pager;
    struct rmap_stats core;
    int rc = rmap_pager_get_stats(p, &pager);
    if (rc || (rc = rmap_stats_get(rmap_pager_rmap(p), &core))) return rc;
    *out = (struct figures){0};
#define TAKE(name) out->name = pager.name;
    REPLAY_COUNTERS(TAKE)
#undef TAKE
    for (unsigned v = 0; v < RMAP_WALK_VERBS; v++)
        for (unsigned k = 0; k < RMAP_MAPPER_CLASSES; k++) sum(&out->by_mappers[k], &core.walk[v][k]);
    sum(&out->first_lookups, &core.first_lookups);
    return 0;
}

void figures_add(struct figures *to, const struct figures *plus, const struct figures *minus)
{
    uint64_t *sums = (uint64_t *)to;
    for (size_t i = 0; i < sizeof *to / sizeof *sums; i++)
        sums[i] += ((const uint64_t *)plus)[i] - ((const uint64_t *)minus)[i];
}

static double visits_per_hit(const struct figures_walks *w)
{
    return w->hits ? (double)w->visits / (double)w->hits : 0;
}

static void print_walks(const char *name, const struct figures_walks *w, FILE *to)
{
    if (w->walks)
        fprintf(to, "    %-13s %9" PRIu64 " walks %9" PRIu64 " visits %9" PRIu64 " hits  %.3f visits per hit\n", name,
                w->walks, w->visits, w->hits, visits_per_hit(w));
}

void figures_print(const struct figures *f, const struct figures_run *run, FILE *to)
{
    fprintf(to, "%s: %" PRIu64 " events, %" PRIu64 " spaces, %" PRIu64 " of them forked, %" PRIu64 " at once\n",
            run->trace, run->events, run->spaces, run->forks, run->spaces_peak);
    fprintf(to, "  skipped, being shared: %" PRIu64 " maps, %" PRIu64 " faults, parts of %" PRIu64 " other ranges\n",
            run->skipped_maps, run->skipped_faults, run->skipped_ranges);
    fprintf(to,
            "  frames: %" PRIu64 " at the peak with ample memory; now %" PRIu64 " (%" PRIu64 " %%), %" PRIu64 " used\n",
            run->peak_frames, run->budget_frames, run->memory_percent, run->used_frames_peak);
    fprintf(to,
            "  faults %" PRIu64 ", of them %" PRIu64 " that found the page there; COWs: %" PRIu64 " copied, %" PRIu64
            " reused\n",
            f->faults, f->faults_minor, f->cow_copies, f->cow_reuses);
    fprintf(to, "  pages new %" PRIu64 ", zero page mapped %" PRIu64 "\n", f->anon_new, f->zero_maps);
    fprintf(to, "  evictions %" PRIu64 ", of them %" PRIu64 " of shared pages; put back %" PRIu64 "\n", f->evictions,
            f->shared_evictions, f->reclaim_failures);
    fprintf(to,
            "  swap (%s): out %" PRIu64 ", in %" PRIu64 ", found in the cache %" PRIu64 ", copied as moved %" PRIu64
            "; slots at the peak %" PRIu64 "\n",
            run->swap, f->swap_outs, f->swap_ins, f->swap_in_cached, f->swap_in_copies, run->slots_peak);
    fprintf(to,
            "  moves (%s) %" PRIu64 ": pages re-indexed %" PRIu64 ", copied %" PRIu64 ", tracked %" PRIu64
            ", on swap %" PRIu64 "\n",
            run->move, f->moves, f->moves_reindexed, f->moves_copied, f->moves_tracked, f->moves_swap);
    fprintf(to, "  walks by mappers:\n");
    for (unsigned k = 0; k < RMAP_MAPPER_CLASSES; k++) print_walks(class_names[k], &f->by_mappers[k], to);
    print_walks("first look-ups", &f->first_lookups, to);
    fprintf(to, "  checked: the contents of %" PRIu64 " pages; all books %" PRIu64 " times\n", run->pages_checked,
            run->verifications);
}

/* A file's name is bytes of any kind: those that are not ASCII become the characters of their numbers. */
static void json_text(const char *name, const char *text, FILE *to)
{
    fprintf(to, "\"%s\": \"", name);
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < ' ' || c >= 0x7f)
            fprintf(to, "\\u%04x", c);
        else
            fprintf(to, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    fprintf(to, "\", ");
}

static void json_walks(const char *name, const struct figures_walks *w, FILE *to)
{
    fprintf(to,
            "{\"mappers\": \"%s\", \"walks\": %" PRIu64 ", \"visits\": %" PRIu64 ", \"hits\": %" PRIu64
            ", \"visits_per_hit\": %.4f}",
            name, w->walks, w->visits, w->hits, visits_per_hit(w));
}

void figures_print_json(const struct figures *f, const struct figures_run *run, FILE *to)
{
    fputc('{', to);
    json_text("trace", run->trace, to);
    json_text("move", run->move, to);
    json_text("swap", run->swap, to);
#define NUMBER(name) fprintf(to, "\"" #name "\": %" PRIu64 ", ", run->name);
    NUMBER(events)
    NUMBER(spaces)
    NUMBER(forks)
    NUMBER(spaces_peak)
    NUMBER(skipped_maps)
    NUMBER(skipped_ranges)
    NUMBER(skipped_faults)
    NUMBER(memory_percent)
    NUMBER(peak_frames)
    NUMBER(budget_frames)
    NUMBER(used_frames_peak)
    NUMBER(slots_peak)
    NUMBER(pages_checked)
    NUMBER(verifications)
#undef NUMBER
#define NUMBER(name) fprintf(to, "\"" #name "\": %" PRIu64 ", ", f->name);
    REPLAY_COUNTERS(NUMBER)
#undef NUMBER
    fputs("\"walks_by_mappers\": [", to);
    for (unsigned k = 0; k < RMAP_MAPPER_CLASSES; k++) {
        if (k) fputs(", ", to);
        json_walks(class_names[k], &f->by_mappers[k], to);
    }
    fputs("], \"first_lookups\": ", to);
    json_walks("any", &f->first_lookups, to);
    fputs("}\n", to);
}
