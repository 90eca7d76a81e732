/* SPDX-License-Identifier: MIT */
/**
 * @file fault/gates.h  Where requests can be refused. Allocators and devices are gated one by one; frames, slots, counts
 * and system calls by the linker (--wrap), which puts a gate before every call that the library makes.
 */
#ifndef RMAP_TESTS_FAULT_GATES_H
#define RMAP_TESTS_FAULT_GATES_H

#include "fault/kinds.h"
#include "support/counting_alloc.h"
#include "support/faulty_device.h"

struct rmap;

/** Its allocations are of that kind, ALLOC or TABLE, from now on: one allocator for each. */
void gate_allocator(struct test_alloc *t, enum fault_kind kind);
/** Its pages' writes are WRITE and LATER, its reads READ and SPOILT. */
void gate_device(struct faulty_device *f);
/** Frames are refused to this instance alone: a pager under construction has enough of them. */
void gate_frames_of(struct rmap *r);

/** What the library has open and mapped: descriptors, and bytes of mmap (not those at fixed addresses) less munmap. */
struct gate_balance {
    int64_t files, bytes;
};
struct gate_balance gate_balance(void);

#endif
