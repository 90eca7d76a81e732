/* SPDX-License-Identifier: MIT */
/** @file fuzz/meddler.c  See the header. */
#include "fuzz/meddler.h"

#include <objrmap/error.h>

#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what lz4's blocks are: the last allocation of each write ---- */

static void *note_alloc(void *ctx, size_t size, size_t align)
{
    struct meddler *d = ctx;
    unsigned char *p = d->beneath->alloc(d->beneath->ctx, size, align);
    d->last = (struct meddler_block){p, size};
    return p;
}

static void note_free(void *ctx, void *p, size_t size, size_t align)
{
    struct meddler *d = ctx;
    for (unsigned s = 0; s < MEDDLER_SLOTS; s++)
        if (d->block[s].data == p) d->block[s].data = NULL;
    d->beneath->free(d->beneath->ctx, p, size, align);
}

/* ---- the device ---- */

static void meddler_write(struct rmap_device *base, struct rmap_io *io, size_t n)
{
    struct meddler *d = (struct meddler *)base;
    for (size_t i = 0; i < n; i++) {
        const uint32_t s = io[i].slot;
        CHECK(s < MEDDLER_SLOTS);
        if (d->fd >= 0 && !(io[i].slot & 3)) memcpy(d->former, io[i].data, MEDDLER_PAGE);
        d->inner->ops->write(d->inner, &io[i], 1);
        if (io[i].error) continue;
        d->suspect[s] = d->in_passing[s] = false;
        if (d->fd < 0) d->block[s] = d->last;
    }
}

static void meddler_read(struct rmap_device *base, struct rmap_io *io, size_t n)
{
    struct meddler *d = (struct meddler *)base;
    for (size_t i = 0; i < n; i++) {
        const uint32_t s = io[i].slot;
        d->inner->ops->read(d->inner, &io[i], 1);
        if (!d->in_passing[s]) continue;
        d->in_passing[s] = false;
        if (!io[i].error) ((unsigned char *)io[i].data)[(s * 997) % MEDDLER_PAGE] ^= 0x10;
    }
}

static void meddler_discard(struct rmap_device *base, uint32_t slot)
{
    struct meddler *d = (struct meddler *)base;
    d->in_passing[slot] = false; /* of the content that went */
    d->inner->ops->discard(d->inner, slot);
}

static void meddler_get_stats(struct rmap_device *base, struct rmap_device_stats *out)
{
    struct meddler *d = (struct meddler *)base;
    d->inner->ops->get_stats(d->inner, out);
}

static void meddler_destroy(struct rmap_device *base)
{
    rmap_device_destroy(((struct meddler *)base)->inner);
}

void meddler_init(struct meddler *d, const struct rmap_allocator *alloc, bool lz4)
{
    static const struct rmap_device_ops ops = {
        .struct_size = sizeof ops,
        .name = "meddler",
        .write = meddler_write,
        .read = meddler_read,
        .discard = meddler_discard,
        .get_stats = meddler_get_stats,
        .destroy = meddler_destroy,
    };
    *d = (struct meddler){.base = {.ops = &ops, .slots = MEDDLER_SLOTS, .page_shift = 12},
                          .alloc = {.struct_size = sizeof d->alloc, .ctx = d, .alloc = note_alloc, .free = note_free},
                          .beneath = alloc,
                          .fd = -1};
    if (lz4 && rmap_device_lz4_create(&d->alloc, MEDDLER_SLOTS, 12, 0, &d->inner) == 0) return;
    d->fd = memfd_create("meddler", MFD_CLOEXEC);
    CHECK(d->fd >= 0);
    CHECK_OK(rmap_device_file_create(&d->alloc, d->fd, true, MEDDLER_SLOTS, 12, &d->inner));
}

bool meddler_suspects(const struct meddler *d)
{
    for (unsigned s = 0; s < MEDDLER_SLOTS; s++)
        if (d->suspect[s] || d->in_passing[s]) return true;
    return false;
}

/* ---- strikes ---- */

static void strike_file(struct meddler *d, struct fuzz *f, uint32_t s)
{
    unsigned char page[MEDDLER_PAGE], other[MEDDLER_PAGE];
    const off_t at = (off_t)s * MEDDLER_PAGE;
    const uint32_t t = fuzz_below(f, MEDDLER_SLOTS);
    struct stat st;
    memset(page, 0, sizeof page);
    memset(other, 0, sizeof other);
    CHECK(pread(d->fd, page, sizeof page, at) >= 0);
    d->suspect[s] = true;
    switch (fuzz_below(f, 6)) {
    case 0: /* one bit, or a byte */
        page[fuzz_below(f, MEDDLER_PAGE)] ^= (unsigned char)(1 << fuzz_below(f, 9));
        break;
    case 1: /* blocks exchanged */
        CHECK(pread(d->fd, other, sizeof other, (off_t)t * MEDDLER_PAGE) >= 0);
        CHECK_EQ(pwrite(d->fd, page, sizeof page, (off_t)t * MEDDLER_PAGE), MEDDLER_PAGE);
        d->suspect[t] = true;
        memcpy(page, other, sizeof page);
        break;
    case 2: /* zeroes, as after a hole */
        memset(page, 0, sizeof page);
        break;
    case 3: /* an older content, of this slot or of another */
        memcpy(page, d->former, sizeof page);
        break;
    case 4: /* half of it from elsewhere: a torn write */
        CHECK(pread(d->fd, other, sizeof other, (off_t)t * MEDDLER_PAGE) >= 0);
        memcpy(page + MEDDLER_PAGE / 2, other, MEDDLER_PAGE / 2);
        break;
    default: /* the end of the file, H6; later writes make it longer again, with a hole */
        CHECK_EQ(fstat(d->fd, &st), 0);
        for (uint32_t i = s; i < MEDDLER_SLOTS; i++) d->suspect[i] = true;
        if (at < st.st_size) CHECK_EQ(ftruncate(d->fd, at + fuzz_below(f, MEDDLER_PAGE)), 0);
        return;
    }
    CHECK_EQ(pwrite(d->fd, page, sizeof page, at), MEDDLER_PAGE);
}

/* lz4's own number of bytes, in front of the data, is its memory, not the content: it stays as it is. */
static void strike_lz4(struct meddler *d, struct fuzz *f, uint32_t s)
{
    const size_t head = sizeof(uint32_t);
    struct meddler_block *b = &d->block[s], *c = &d->block[fuzz_below(f, MEDDLER_SLOTS)];
    if (!b->data || b->bytes <= head) return;
    unsigned char *data = b->data + head;
    const unsigned n = (unsigned)(b->bytes - head);
    d->suspect[s] = true;
    switch (fuzz_below(f, 4)) {
    case 0:
        data[fuzz_below(f, n)] ^= (unsigned char)(1 << fuzz_below(f, 8));
        break;
    case 1: /* a compressed block written by an enemy, as far as the input goes */
        for (unsigned i = 0, left = fuzz_below(f, 32); i < n && i < left; i++)
            data[i] = (unsigned char)fuzz_below(f, 256);
        break;
    case 2:
        memset(data + fuzz_below(f, n), fuzz_below(f, 2) ? 0xff : 0, 1);
        break;
    default: /* another slot's block, cut or followed by the rest of this one's */
        if (c->data && c->bytes > head)
            memcpy(data, c->data + head, (c->bytes < b->bytes ? c->bytes : b->bytes) - head);
    }
}

void meddler_strike(struct meddler *d, struct fuzz *f)
{
    const uint32_t s = fuzz_below(f, MEDDLER_SLOTS);
    if (fuzz_below(f, 8) == 0)
        d->in_passing[s] = true;
    else if (d->fd >= 0)
        strike_file(d, f, s);
    else
        strike_lz4(d, f, s);
}
