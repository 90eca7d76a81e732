/* SPDX-License-Identifier: MIT */
/** @file testing/form.c  Cases of the first step: can the ops be used at all? */
#include <testing/kit.h>

#define CAPS_KNOWN (RMAP_MMU_NO_TLB | RMAP_MMU_ACCESSED_EXACT | RMAP_MMU_ACCESSED_NEEDS_FLUSH)

void rmap__kit_ops_complete(struct rmap__kit *k)
{
    const struct rmap_mmu_ops *o = k->o;
    KIT_EXPECT(k, o, "the MMU has no ops");
    KIT_EXPECT(k, o->struct_size == sizeof *o, "struct_size is %zu, not %zu", o->struct_size, sizeof *o);
    KIT_EXPECT(k, o->format, "there is no format");
    KIT_EXPECT(k, o->run_find && o->run_make && o->run_unlock, "run_find, run_make and run_unlock are required");
    KIT_EXPECT(k, o->reserve && o->unreserve, "reserve and unreserve are required");
    KIT_EXPECT(k, !o->get == !o->set && !o->set == !o->exchange, "get, set and exchange come together");
    KIT_EXPECT(k, !o->run_peek == !o->run_lock, "run_peek and run_lock come together");
    KIT_EXPECT(k, o->flush || (o->caps & RMAP_MMU_NO_TLB), "there is no flush, and caps do not say NO_TLB");
    KIT_EXPECT(k, !(o->caps & ~(unsigned)CAPS_KNOWN), "caps are %#x", o->caps);
    KIT_EXPECT(k, k->pages <= RMAP_VPN_MAX, "%llu pages are more than RMAP_VPN_MAX", KIT_N(k->pages));
}

void rmap__kit_format_consistent(struct rmap__kit *k)
{
    if (!k->f) return; /* ops-complete has said so */
    const int error = rmap_pte_format_check(k->f);
    KIT_EXPECT(k, !error, "rmap_pte_format_check says %s", rmap_error_name(error));
    const rmap_pfn_t last = k->t->first_frame + k->t->frames - 1;
    KIT_EXPECT(k, last >> k->f->payload_bits == 0, "frame %llu does not fit in %u bits of payload", KIT_N(last),
               k->f->payload_bits);
}
