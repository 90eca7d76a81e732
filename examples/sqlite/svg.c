/* SPDX-License-Identifier: MIT */
#include "svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 900
#define LEFT 76
#define RIGHT 24
#define PLOT_WIDTH (WIDTH - LEFT - RIGHT)
#define PHASE_Y 303 /* between two panels */
#define MIB(bytes) ((double)(bytes) / (1 << 20))

#define COLOUR_SHARED "#4477aa"
#define COLOUR_EXCLUSIVE "#99bbdd"
#define COLOUR_UNMAPPED "#dddddd"
#define COLOUR_SWAP "#cc8844"
#define COLOUR_BRANCHES "#558855"

typedef double (*level)(const struct svg_sample *sample);

struct layer {
    const char *name;
    const char *colour;
    level top; /* layers are drawn one over the other, the tallest first */
};

struct panel {
    const char *title;
    const char *unit;
    int y, height;
    double budget; /* a dashed line, 0 for none */
    const struct layer *layers;
    int layer_count;
};

static double resident(const struct svg_sample *s)
{
    return MIB(s->gauges.resident_frames * MEMORY_PAGE_BYTES);
}

static double mapped(const struct svg_sample *s)
{
    return MIB((s->gauges.shared_pages + s->gauges.exclusive_pages) * MEMORY_PAGE_BYTES);
}

static double shared(const struct svg_sample *s)
{
    return MIB(s->gauges.shared_pages * MEMORY_PAGE_BYTES);
}

static double swapped(const struct svg_sample *s)
{
    return MIB(s->gauges.swap_bytes);
}

static double branches(const struct svg_sample *s)
{
    return s->open_branches;
}

bool svg_due(const struct svg_series *series, double seconds)
{
    return !series->count || seconds >= series->samples[series->count - 1].seconds + series->spacing;
}

void svg_add(struct svg_series *series, const struct svg_sample *sample)
{
    if (series->count == SVG_SAMPLES) {
        series->count /= 2;
        for (int i = 0; i < series->count; i++) series->samples[i] = series->samples[2 * i];
        series->spacing = series->spacing > 0 ? 2 * series->spacing : 0.02;
    }
    series->samples[series->count++] = *sample;
}

/* The next of 1, 2, 5, 10, ... that divides `range` into six steps at most. */
static double tick_step(double range)
{
    double step = pow(10, floor(log10(range / 6 + 1e-9)));

    if (range / step > 30) return 10 * step;
    return range / step > 12 ? 5 * step : range / step > 6 ? 2 * step : step;
}

static void draw_layer(FILE *file, const struct svg_series *series, const struct panel *panel,
                       const struct layer *layer, double seconds, double highest)
{
    double bottom = panel->y + panel->height, y = bottom;

    fprintf(file, "<path fill=\"%s\" d=\"M%d %.1f", layer->colour, LEFT, bottom);
    /* Steps, not slopes: a sample holds until the next one. */
    for (int i = 0; i < series->count; i++) {
        double x = LEFT + PLOT_WIDTH * series->samples[i].seconds / seconds;
        fprintf(file, "L%.1f %.1f", x, y);
        y = bottom - panel->height * layer->top(&series->samples[i]) / highest;
        fprintf(file, "L%.1f %.1f", x, y);
    }
    fprintf(file, "L%d %.1fL%d %.1fz\"/>\n", LEFT + PLOT_WIDTH, y, LEFT + PLOT_WIDTH, bottom);
}

static void draw_panel(FILE *file, const struct svg_series *series, const struct panel *panel, double seconds)
{
    double highest = panel->budget, step, legend = LEFT + PLOT_WIDTH;
    int bottom = panel->y + panel->height;

    for (int i = 0; i < series->count; i++) highest = fmax(highest, panel->layers[0].top(&series->samples[i]));
    highest = highest > 0 ? highest * 1.08 : 1;
    step = tick_step(highest);
    for (int i = 0; i < panel->layer_count; i++) draw_layer(file, series, panel, &panel->layers[i], seconds, highest);
    for (double value = 0; value <= highest; value += step) {
        double y = bottom - panel->height * value / highest;
        fprintf(file,
                "<path stroke=\"#000\" stroke-opacity=\"0.12\" d=\"M%d %.1fh%d\"/>"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                LEFT, y, PLOT_WIDTH, LEFT - 6, y + 4, value);
    }
    if (panel->budget > 0) {
        double y = bottom - panel->height * panel->budget / highest;
        fprintf(file, "<path stroke=\"#aa2222\" stroke-dasharray=\"6 4\" d=\"M%d %.1fh%d\"/>\n", LEFT, y, PLOT_WIDTH);
    }
    fprintf(file,
            "<path fill=\"none\" stroke=\"#444\" d=\"M%d %dV%dH%d\"/>"
            "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">%s</text>"
            "<text transform=\"translate(16 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
            LEFT, panel->y, bottom, LEFT + PLOT_WIDTH, LEFT, panel->y - 10, panel->title, panel->y + panel->height / 2,
            panel->unit);
    /* The legend, from the right; text widths are estimated. */
    if (panel->budget > 0) {
        legend -= 7.0 * 6 + 30;
        fprintf(file,
                "<path stroke=\"#aa2222\" stroke-dasharray=\"6 4\" d=\"M%.0f %dh18\"/>"
                "<text x=\"%.0f\" y=\"%d\">budget</text>\n",
                legend, panel->y - 14, legend + 22, panel->y - 10);
    }
    for (int i = 0; i < panel->layer_count && panel->layer_count > 1; i++) {
        legend -= 6.6 * (double)strlen(panel->layers[i].name) + 30;
        fprintf(file,
                "<rect x=\"%.0f\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/>"
                "<text x=\"%.0f\" y=\"%d\">%s</text>\n",
                legend, panel->y - 20, panel->layers[i].colour, legend + 17, panel->y - 10, panel->layers[i].name);
    }
}

static void draw_time(FILE *file, const struct svg_series *series, int top, int bottom, double seconds)
{
    double step = tick_step(seconds);

    for (double value = 0; value <= seconds; value += step) {
        double x = LEFT + PLOT_WIDTH * value / seconds;
        fprintf(file,
                "<path stroke=\"#444\" d=\"M%.1f %dv5\"/>"
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
                x, bottom, x, bottom + 19, value);
    }
    fprintf(file, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">seconds since the start</text>\n",
            LEFT + PLOT_WIDTH / 2, bottom + 38);
    if (series->checks_begin > 0) {
        double x = LEFT + PLOT_WIDTH * series->checks_begin / seconds;
        fprintf(file,
                "<path stroke=\"#222\" stroke-dasharray=\"2 3\" d=\"M%.1f %dV%d\"/>"
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"end\">work</text>"
                "<text x=\"%.1f\" y=\"%d\">checks</text>\n",
                x, top, bottom, x - 6, PHASE_Y, x + 6, PHASE_Y);
    }
}

bool svg_write(const struct svg_series *series, const char *path, const char *title, size_t budget_bytes)
{
    static const struct layer frames[] = {
        {"not mapped (cache)", COLOUR_UNMAPPED, resident},
        {"mapped by one branch", COLOUR_EXCLUSIVE, mapped},
        {"mapped by two or more", COLOUR_SHARED, shared},
    };
    static const struct layer swap[] = {{"swap", COLOUR_SWAP, swapped}};
    static const struct layer open[] = {{"branches", COLOUR_BRANCHES, branches}};
    const struct panel panels[] = {
        {"Frames", "MiB", 84, 200, MIB(budget_bytes), frames, 3},
        {"Pages on swap", "MiB", 334, 130, 0, swap, 1},
        {"Open branches", "branches", 514, 70, 0, open, 1},
    };
    double seconds = series->count ? fmax(series->samples[series->count - 1].seconds, 1e-3) : 1;
    FILE *file = fopen(path, "w");
    bool written;

    if (!file) return false;
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d 640\" width=\"%d\" height=\"640\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
            "<text x=\"%d\" y=\"32\" font-size=\"17\">%s</text>\n",
            WIDTH, WIDTH, LEFT, title);
    for (size_t i = 0; i < sizeof panels / sizeof panels[0]; i++) draw_panel(file, series, &panels[i], seconds);
    draw_time(file, series, panels[0].y, 584, seconds);
    fputs("</svg>\n", file);
    written = !ferror(file);
    return fclose(file) == 0 && written;
}
