/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <objrmap/host.h>
#include <objrmap/pager.h>
#include <objrmap/rmap.h>
#include <objrmap/space.h>
#ifdef HAVE_OBJRMAP_JEMALLOC
#include <objrmap/jemalloc.h>
#endif

#define PAGE_SHIFT 12
#define FAULT_TRIES 100
#define SWAP_AROUND 16 /* tables are read in about the order of their pages */
#define SWAP_BYTES_MAX ((uint64_t)2 << 30)

struct store {
    struct rmap_allocator base;     /* a jemalloc arena, or libc */
    struct rmap_allocator counting; /* counts what the library keeps, on top of base */
    atomic_size_t live;
    struct rmap_memory frames;
    struct rmap_host *host;
    struct rmap_mmu_provider provider;
    struct rmap_pager *pager;
    struct rmap_device *swap; /* the pager's once that exists */
    bool lz4;
    uint64_t half_pages; /* of a window: ranges move between its two halves */
};

struct branch_memory {
    struct store *store;
    struct rmap_space *space;
    rmap_vpn_t first;
    uint64_t pages;
};

static void *count_alloc(void *context, size_t size, size_t align)
{
    struct store *store = context;
    void *bytes = store->base.alloc(store->base.ctx, size, align);

    if (bytes) atomic_fetch_add_explicit(&store->live, size, memory_order_relaxed);
    return bytes;
}

static void count_free(void *context, void *bytes, size_t size, size_t align)
{
    struct store *store = context;

    atomic_fetch_sub_explicit(&store->live, size, memory_order_relaxed);
    store->base.free(store->base.ctx, bytes, size, align);
}

static int base_init(struct store *store)
{
#ifdef HAVE_OBJRMAP_JEMALLOC
    return rmap_alloc_jemalloc_init(&store->base);
#else
    store->base = *rmap_alloc_default();
    return 0;
#endif
}

static void base_fini(struct store *store)
{
#ifdef HAVE_OBJRMAP_JEMALLOC
    if (store->base.alloc) rmap_alloc_jemalloc_fini(&store->base);
#else
    (void)store;
#endif
}

/* Compressed pages are data, not metadata: the device takes them past the count. */
static int make_swap(struct store *store, enum store_swap kind)
{
    const uint64_t slots = SWAP_BYTES_MAX >> PAGE_SHIFT;
    const char *directory = getenv("TMPDIR");

    store->lz4 = kind == STORE_SWAP_LZ4;
    if (store->lz4) return rmap_device_lz4_create(&store->base, slots, PAGE_SHIFT, 0, &store->swap);
    return rmap_device_temp_create(&store->base, directory && *directory ? directory : "/tmp", slots, PAGE_SHIFT,
                                   &store->swap);
}

static int make_pager(struct store *store, const struct store_options *options)
{
    const uint64_t frames = options->budget_bytes >> PAGE_SHIFT;
    struct rmap_host_options host = {
        .struct_size = sizeof host,
        .memory = &store->frames,
        .alloc = &store->counting,
        .window_pages = 2 * store->half_pages,
    };
    struct rmap_pager_options pager = {
        .struct_size = sizeof pager,
        .alloc = &store->counting,
        .provider = &store->provider,
        .memory = &store->frames,
        .frames = frames,
        .page_shift = PAGE_SHIFT,
        .swap = store->swap,
        .swap_around = SWAP_AROUND,
        .move_policy = options->move == STORE_MOVE_TRACK ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY,
    };
    int error = rmap_memory_init(&store->frames, frames, PAGE_SHIFT);

    if (error) return error;
    error = rmap_host_create(&host, &store->host);
    if (!error) {
        store->provider = rmap_host_provider(store->host);
        error = rmap_pager_create(&pager, &store->pager);
        if (!error) return 0;
        rmap_host_destroy(store->host);
    }
    rmap_memory_fini(&store->frames);
    return error;
}

int store_open(const struct store_options *options, struct store **out)
{
    struct store *store = calloc(1, sizeof *store);
    int error;

    if (!store) return RMAP_ERR_NOMEM;
    store->counting = (struct rmap_allocator){sizeof store->counting, store, count_alloc, count_free};
    store->half_pages = (options->range_bytes_max + MEMORY_PAGE_BYTES - 1) >> PAGE_SHIFT;
    error = base_init(store);
    if (!error) error = make_swap(store, options->swap);
    if (!error) error = make_pager(store, options);
    if (!error) {
        *out = store;
        return 0;
    }
    if (store->swap) rmap_device_destroy(store->swap);
    base_fini(store);
    free(store);
    return error;
}

int store_close(struct store *store)
{
    int error = rmap_pager_destroy(store->pager);

    if (!error) error = rmap_host_destroy(store->host);
    if (error) return error;
    rmap_memory_fini(&store->frames);
    base_fini(store);
    free(store);
    return 0;
}

int store_verify(struct store *store)
{
    return rmap_pager_verify(store->pager, NULL);
}

uint64_t store_free_frames(struct store *store)
{
    struct rmap_pager_stats pager = {0};

    rmap_pager_get_stats(store->pager, &pager);
    return pager.frames_total - pager.frames_used - pager.frames_lost;
}

uint64_t store_reclaim(struct store *store, uint64_t frames)
{
    int64_t freed = rmap_reclaim(store->pager, frames);

    return freed > 0 ? (uint64_t)freed : 0;
}

static uint64_t swap_pages(struct store *store, bool peak)
{
    struct rmap_swap_stats swap = {0};

    if (rmap_pager_swap(store->pager)) rmap_swap_get_stats(rmap_pager_swap(store->pager), &swap);
    return peak ? swap.slots_peak : swap.slots_used;
}

void store_sample(struct store *store, struct store_gauges *gauges)
{
    struct rmap_pager_stats pager = {0};

    rmap_pager_get_stats(store->pager, &pager);
    gauges->resident_frames = pager.frames_used;
    gauges->shared_pages = pager.shared_pages;
    gauges->exclusive_pages = pager.exclusive_pages;
    gauges->swap_bytes = swap_pages(store, false) << PAGE_SHIFT;
}

static void add_walks(struct store_walks *to, const struct rmap_walk_stats *from)
{
    to->walks += from->walks;
    to->visits += from->visits;
    to->hits += from->hits;
}

static void fill_walks(struct store_stats *stats, const struct rmap_stats *rmap)
{
    for (int verb = 0; verb < RMAP_WALK_VERBS; verb++)
        for (int class = 0; class < RMAP_MAPPER_CLASSES; class ++) {
            const struct rmap_walk_stats *walk = &rmap->walk[verb][class];
            stats->visits += walk->visits;
            stats->hits += walk->hits;
            stats->nodes_visited += walk->nodes;
            if (verb == RMAP_WALK_UNMAP)
                add_walks(&stats->unmap_by_mappers[class], walk);
            else if (verb == RMAP_WALK_REFERENCED)
                add_walks(&stats->ageing, walk);
            else if (verb == RMAP_WALK_LOOK) {
                add_walks(&stats->looks_by_mappers[class], walk);
                add_walks(&stats->looks, walk);
            }
        }
    add_walks(&stats->first_lookups, &rmap->first_lookups);
    stats->visits += rmap->first_lookups.visits;
    stats->hits += rmap->first_lookups.hits;
    stats->nodes_visited += rmap->first_lookups.nodes;
}

void store_stats(struct store *store, struct store_stats *stats)
{
    struct rmap_pager_stats pager = {0};
    struct rmap_host_stats host = {0};
    struct rmap_stats rmap = {0};
    struct rmap_device_stats device = {0};

    _Static_assert(STORE_MAPPER_CLASSES == RMAP_MAPPER_CLASSES, "classes of mapcounts");
    rmap_pager_get_stats(store->pager, &pager);
    rmap_host_get_stats(store->host, &host);
    rmap_stats_get(rmap_pager_rmap(store->pager), &rmap);
    rmap_device_get_stats(store->swap, &device);
    *stats = (struct store_stats){
        .peak_frame_bytes = pager.frames_peak << PAGE_SHIFT,
        .evictions = pager.evictions,
        .shared_evictions = pager.shared_evictions,
        .swap_ins = pager.swap_ins,
        .cow_copies = pager.cow_copies,
        .moves_reindexed = pager.moves_reindexed,
        .moves_copied = pager.moves_copied,
        .moved_tracked = pager.moves_tracked,
        .track_bytes = rmap.track_bytes,
        .swap_in_copies = pager.swap_in_copies,
        .nodes_live = rmap.nodes,
        .node_bytes = rmap.tree_bytes,
        .pagetable_bytes = pager.pagetable_bytes,
        .metadata_bytes = atomic_load(&store->live),
        .mappings_peak = rmap.mappings_peak,
        .host_vmas_peak = host.vmas_peak,
        .host_vma_limit = host.vma_limit,
        .swap_bytes_peak = swap_pages(store, true) << PAGE_SHIFT,
        .lz4_bytes_peak = store->lz4 ? device.stored_peak : 0,
        .space_waits = pager.space_waits,
        .reclaim_waits = pager.reclaim_waits,
    };
    fill_walks(stats, &rmap);
}

int memory_root(struct store *store, size_t bytes, struct branch_memory **out)
{
    struct branch_memory *memory = calloc(1, sizeof *memory);
    int error;

    if (!memory) return RMAP_ERR_NOMEM;
    memory->store = store;
    memory->pages = bytes >> PAGE_SHIFT;
    error = rmap_space_create(store->pager, &memory->space);
    if (!error) {
        error = rmap_space_map(memory->space, &memory->first, memory->pages, RMAP_READ | RMAP_WRITE, RMAP_MAP_FIXED);
        if (!error) {
            *out = memory;
            return 0;
        }
        rmap_space_destroy(memory->space);
    }
    free(memory);
    return error;
}

int memory_load(struct branch_memory *memory, size_t offset, const void *bytes, size_t length)
{
    return rmap_space_write(memory->space, (memory->first << PAGE_SHIFT) + offset, bytes, length, NULL);
}

int memory_fork(struct branch_memory *parent, struct branch_memory **out)
{
    struct branch_memory *child = malloc(sizeof *child);
    int error;

    if (!child) return RMAP_ERR_NOMEM;
    *child = *parent;
    error = rmap_space_fork(parent->space, &child->space);
    if (error)
        free(child);
    else
        *out = child;
    return error;
}

/* Always to the other half of the window, where nothing is in the way. */
int memory_move(struct branch_memory *memory, size_t bytes)
{
    const uint64_t pages = bytes >> PAGE_SHIFT;
    rmap_vpn_t to = memory->first ? 0 : memory->store->half_pages;
    int error;

    if (pages > memory->store->half_pages) return RMAP_ERR_RANGE;
    error =
        rmap_space_move(memory->space, memory->first, memory->pages, pages, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to);
    if (!error) {
        memory->first = to;
        memory->pages = pages;
    }
    return error;
}

void memory_close(struct branch_memory *memory)
{
    rmap_space_destroy(memory->space);
    free(memory);
}

unsigned char *memory_base(const struct branch_memory *memory)
{
    unsigned char *window = rmap_host_base(&rmap_space_member(memory->space)->mmu);

    return window + (memory->first << PAGE_SHIFT);
}

size_t memory_size(const struct branch_memory *memory)
{
    return (size_t)memory->pages << PAGE_SHIFT;
}

int memory_usage(const struct branch_memory *memory, struct memory_usage *usage)
{
    struct rmap_usage counted;
    int error = rmap_space_get_usage(memory->space, &counted);

    if (error) return error;
    *usage = (struct memory_usage){
        .shared = counted.shared,
        .exclusive = counted.exclusive,
        .swapped = counted.swapped,
        .resident = {counted.resident.pages, counted.resident.fraction},
        .swap = {counted.swap.pages, counted.swap.fraction},
    };
    return 0;
}

bool memory_swap_full(struct store *store)
{
    struct rmap_swap_stats swap = {0};

    rmap_swap_get_stats(rmap_pager_swap(store->pager), &swap);
    return swap.slots_used == swap.slots_total;
}

/*
 * Other threads may hold what a fault needs, a frame or a page, for a moment
 * longer than it waited.  But a thread that has faulted inside the pager
 * itself would get BUSY for ever, and a full swap gives no frame.
 */
static bool worth_another_try(struct store *store, int error)
{
    static _Thread_local unsigned tries;

    if (error != RMAP_ERR_BUSY && error != RMAP_ERR_NO_FRAME) {
        tries = 0;
        return false;
    }
    if (++tries > FAULT_TRIES || memory_swap_full(store)) return false;
    sched_yield();
    return true;
}

enum memory_fault_result memory_fault(struct store *store, void *address, bool is_write, int *error)
{
    struct rmap_device_stats device = {0};

    *error = rmap_host_fault(store->host, address, is_write ? RMAP_WRITE : RMAP_READ);
    if (*error == RMAP_ERR_ABSENT || *error == RMAP_ERR_ACCESS) return MEMORY_FAULT_FOREIGN;
    if (worth_another_try(store, *error)) return MEMORY_FAULT_RESOLVED;
    /*
     * The pager survives a swap that no longer takes pages, in ever fewer
     * frames.  A full disk will not get better here: say so, and stop.
     */
    rmap_device_get_stats(store->swap, &device);
    if (!*error && device.errors) *error = RMAP_ERR_IO_WRITE;
    return *error ? MEMORY_FAULT_FAILED : MEMORY_FAULT_RESOLVED;
}

/* Bytes that one fork adds with `present` pages, in a world that has done nothing else. */
static int measure_fork(uint64_t present, double *bytes)
{
    const struct store_options options = {.budget_bytes = 4 << 20, .range_bytes_max = 4 << 20};
    static const unsigned char mark[1] = {1};
    struct branch_memory *parent = NULL, *child = NULL;
    struct store *store;
    size_t before;
    int error = store_open(&options, &store);

    if (error) return error;
    error = memory_root(store, (size_t)RMAP_RUN_MAX << PAGE_SHIFT, &parent);
    for (uint64_t page = 0; !error && page < present; page++)
        error = memory_load(parent, (size_t)page << PAGE_SHIFT, mark, sizeof mark);
    before = atomic_load(&store->live);
    if (!error) error = memory_fork(parent, &child);
    if (!error) {
        *bytes = (double)atomic_load(&store->live) - (double)before;
        memory_close(child);
    }
    if (parent) memory_close(parent);
    if (!error)
        error = store_close(store);
    else
        store_close(store);
    return error;
}

int memory_measure_mapping(double *bytes_per_mapping)
{
    double one = 0, many = 0;
    int error = measure_fork(1, &one);

    if (!error) error = measure_fork(RMAP_RUN_MAX, &many);
    *bytes_per_mapping = (many - one) / (RMAP_RUN_MAX - 1);
    return error;
}

const char *memory_error_text(int error)
{
    return rmap_strerror(error);
}
