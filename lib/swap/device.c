/* SPDX-License-Identifier: MIT */
/** @file swap/device.c  Calls that every device answers. */
#include <objrmap/device.h>
#include <objrmap/error.h>

void rmap_device_destroy(struct rmap_device *d)
{
    if (d) d->ops->destroy(d);
}

int rmap_device_get_stats(struct rmap_device *d, struct rmap_device_stats *out)
{
    if (!d || !out) return RMAP_ERR_NULL_ARG;
    *out = (struct rmap_device_stats){.slots = d->slots};
    d->ops->get_stats(d, out);
    return 0;
}
