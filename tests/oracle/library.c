/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/library.c  A pager for one program. Page n of the window is page n of each space. With the host MMU the driver
 * loads and stores by itself, through the projection, and its faults go to the library; else it asks by call.
 */
#include "oracle/library.h"
#include "oracle/real.h"

#include <objrmap/error.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#define SLOTS 4096 /* never short */

static const struct rmap_radix_geometry *const geometries[MMU_KINDS] = {
    [MMU_SOFT] = &rmap_radix_soft, [MMU_X86] = &rmap_radix_x86_64,         [MMU_SV39] = &rmap_radix_sv39,
    [MMU_SV48] = &rmap_radix_sv48, [MMU_AARCH64] = &rmap_radix_aarch64_4k,
};

static void must(int rc, const char *what)
{
    if (rc) trouble("%s: %s", what, rmap_strerror(rc));
}

/* ---- the world ---- */

static int make_mmu(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    const struct library *l = ctx;
    const struct rmap_radix_options options = {
        .struct_size = sizeof options, .geometry = l->geometry, .caps = RMAP_MMU_NO_TLB};
    (void)client;
    int rc = rmap_radix_create(&options, out);
    if (!rc) out->pages = PAGES;
    return rc;
}

static void destroy_mmu(void *ctx, struct rmap_mmu *mmu)
{
    (void)ctx;
    rmap_radix_destroy(mmu);
}

static struct rmap_host *touched_host;
static volatile unsigned touched_access;
static volatile int touched_error;
static sigjmp_buf out_of_touch;

/* Only our own touches fault; anything else is the program's end, by the same signal without a handler. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    const int rc = touched_access ? rmap_host_fault(touched_host, info->si_addr, touched_access) : RMAP_ERR_ABSENT;
    if (!rc) return;
    if (!touched_access) {
        signal(number, SIG_DFL);
        return;
    }
    touched_error = rc;
    siglongjmp(out_of_touch, 1);
}

static struct rmap_mmu_provider host_provider(struct library *l)
{
    const struct rmap_host_options options = {
        .struct_size = sizeof options, .memory = &l->memory, .window_pages = PAGES};
    const struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    must(rmap_host_create(&options, &l->host), "host MMU");
    touched_host = l->host;
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
    return rmap_host_provider(l->host);
}

static struct rmap_device *make_device(const struct world *w)
{
    struct rmap_device *d = NULL;
    int rc = w->swap == SWAP_LZ4 ? rmap_device_lz4_create(NULL, SLOTS, 12, 0, &d) : RMAP_ERR_UNSUPPORTED;
    if (rc == RMAP_ERR_UNSUPPORTED && w->swap != SWAP_NONE)
        must(rmap_device_temp_create(NULL, NULL, SLOTS, 12, &d), "swap file");
    return d;
}

static rmap_pfn_t find_zero(struct library *l)
{
    struct held held[PAGES];
    rmap_vpn_t at = 0;
    char byte;
    must(rmap_space_create(l->pager, &l->space[0]), "the first space");
    must(rmap_space_map(l->space[0], &at, 1, RMAP_READ, RMAP_MAP_FIXED), "the first mapping");
    must(rmap_space_read(l->space[0], 0, &byte, 1, NULL), "the first read");
    library_look(l, 0, held);
    must(rmap_space_destroy(l->space[0]), "the first exit");
    l->space[0] = NULL;
    return held[0].pfn;
}

void library_open(struct library *l, const struct world *w)
{
    *l = (struct library){.geometry = geometries[w->mmu]};
    must(rmap_memory_init(&l->memory, w->frames, 12), "memory");
    l->provider = (struct rmap_mmu_provider){
        .struct_size = sizeof l->provider, .ctx = l, .create = make_mmu, .destroy = destroy_mmu};
    if (w->mmu == MMU_HOST) l->provider = host_provider(l);
    l->device = make_device(w);
    const struct rmap_pager_options options = {
        .struct_size = sizeof options,
        .provider = &l->provider,
        .memory = &l->memory,
        .frames = w->frames,
        .page_shift = 12,
        .swap = l->device,
        .move_policy = w->track ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY,
        .evict_batch = w->batch,
    };
    must(rmap_pager_create(&options, &l->pager), "pager");
    l->r = rmap_pager_rmap(l->pager);
    l->zero_pfn = find_zero(l);
}

const char *library_close(struct library *l)
{
    static char text[128];
    int rc = rmap_pager_destroy(l->pager);
    if (!rc && l->host) rc = rmap_host_destroy(l->host);
    if (rc) {
        snprintf(text, sizeof text, "nothing lives, but the pager cannot be destroyed: %s", rmap_strerror(rc));
        return text;
    }
    if (l->host) signal(SIGSEGV, SIG_DFL), signal(SIGBUS, SIG_DFL);
    rmap_memory_fini(&l->memory);
    return NULL;
}

/* ---- verbs ---- */

static int move(struct rmap_space *s, const struct command *c)
{
    const unsigned flags =
        (c->flag & REMAP_FIXED ? RMAP_MOVE_FIXED : 0) | (c->flag & REMAP_KEEP ? RMAP_MOVE_KEEP_OLD : 0);
    rmap_vpn_t to = c->flag & REMAP_FIXED ? c->to : RMAP_VPN_NONE;
    return rmap_space_move(s, c->first, c->count, c->new_count, flags, &to);
}

int library_do(struct library *l, unsigned space, const struct command *c)
{
    struct rmap_space *s = l->space[space];
    rmap_vpn_t at = c->first;
    switch (c->kind) {
    case COMMAND_MAP:
        return rmap_space_map(s, &at, c->count, c->prot, RMAP_MAP_FIXED | (c->flag ? RMAP_MAP_NOREPLACE : 0));
    case COMMAND_UNMAP:
        return rmap_space_unmap(s, c->first, c->count);
    case COMMAND_PROTECT:
        return rmap_space_protect(s, c->first, c->count, c->prot);
    case COMMAND_DONTNEED:
        return rmap_space_advise(s, c->first, c->count, RMAP_ADVISE_DONTNEED);
    case COMMAND_REMAP:
        return move(s, c);
    default:
        return RMAP_ERR_UNSUPPORTED;
    }
}

static int touch_projection(volatile uint64_t *at, const uint64_t *written, uint64_t *found)
{
    touched_error = 0;
    touched_access = written ? RMAP_WRITE : RMAP_READ;
    if (!sigsetjmp(out_of_touch, 1)) {
        if (written)
            *at = *written;
        else
            *found = *at;
    }
    touched_access = 0;
    return touched_error;
}

int library_touch(struct library *l, unsigned space, const struct command *c, unsigned i, uint64_t *word)
{
    struct rmap_space *s = l->space[space];
    const uint64_t at = (uint64_t)(c->first + i) * PAGE_BYTES + word_offset(c->value), value = word_value(c->value, i);
    const bool write = c->kind == COMMAND_WRITE;
    if (l->host) {
        unsigned char *base = rmap_host_base(&rmap_space_member(s)->mmu);
        return touch_projection((volatile uint64_t *)(base + at), write ? &value : NULL, word);
    }
    return write ? rmap_space_write(s, at, &value, sizeof value, NULL)
                 : rmap_space_read(s, at, word, sizeof *word, NULL);
}
