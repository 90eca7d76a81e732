/* SPDX-License-Identifier: MIT */
/**
 * @file pager/access.c  read and write: bytes between a space and the caller's buffer, in pieces of at most 4 KiB.
 *
 * The buffer may be projected memory, whose touch faults and wants a space lock. So each piece goes through a bounce
 * buffer on the stack: between it and the caller's buffer without any lock, between it and the frame under the entry's
 * run lock.
 */
#include <pager/pager_internal.h>

#define BOUNCE_BYTES 4096

static int range_check(const struct rmap_space *s, uint64_t addr, size_t bytes)
{
    /* The last byte's page must be inside; computed without overflow for any address. */
    const unsigned shift = s->p->page_shift;
    if (addr >> shift >= s->mmu.pages || bytes - 1 > UINT64_MAX - addr) return RMAP_ERR_RANGE;
    return (addr + (bytes - 1)) >> shift < s->mmu.pages ? 0 : RMAP_ERR_RANGE;
}

static int touch(struct rmap_space *s, rmap_vpn_t vpn, const struct rmap__touch *t)
{
    struct rmap__call c;
    int rc = rmap__space_enter_shared(&c, s);
    if (rc) return rc;
    rc = rmap__fault(s, vpn, t->write ? RMAP_WRITE : RMAP_READ, t);
    rmap__space_leave(&c);
    return rc;
}

/* Exactly one of `in` and `out` is given. */
static int transfer(struct rmap_space *s, uint64_t addr, const unsigned char *in, unsigned char *out, size_t bytes,
                    size_t *done)
{
    if (done) *done = 0;
    if (!s || (bytes && !in && !out)) return RMAP_ERR_NULL_ARG;
    if (bytes == 0) return 0;
    int rc = range_check(s, addr, bytes);
    unsigned char bounce[BOUNCE_BYTES];
    const uint64_t page = (uint64_t)1 << s->p->page_shift;
    for (size_t at = 0; at < bytes && !rc;) {
        const size_t offset = (addr + at) & (page - 1);
        size_t piece = bytes - at < sizeof bounce ? bytes - at : sizeof bounce;
        if (piece > page - offset) piece = page - offset;
        if (in) memcpy(bounce, in + at, piece);
        const struct rmap__touch t = {.bounce = bounce, .offset = offset, .bytes = piece, .write = in != NULL};
        if ((rc = touch(s, (addr + at) >> s->p->page_shift, &t))) break;
        if (out) memcpy(out + at, bounce, piece);
        at += piece;
        if (done) *done = at;
    }
    return rc;
}

int rmap_space_read(struct rmap_space *s, uint64_t addr, void *buf, size_t bytes, size_t *done)
{
    return transfer(s, addr, NULL, buf, bytes, done);
}

int rmap_space_write(struct rmap_space *s, uint64_t addr, const void *buf, size_t bytes, size_t *done)
{
    return transfer(s, addr, buf, NULL, bytes, done);
}
