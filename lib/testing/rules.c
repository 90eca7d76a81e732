/* SPDX-License-Identifier: MIT */
/** @file testing/rules.c  The table of rules, in the order of the run. docs/backend-guide.md says what each protects. */
#include <testing/kit.h>

const struct rmap__kit_case rmap__kit_cases[] = {
    /* clang-format off */
    {{"ops-complete", "The required operations are there; get, set and exchange come together, run_peek and run_lock, too."},
     KIT_FORM, 0, rmap__kit_ops_complete},
    {{"format-consistent", "The entry format passes rmap_pte_format_check and holds the frames."},
     KIT_FORM, 0, rmap__kit_format_consistent},

    {{"run-bounds", "A run has 1 to 512 slots inside the space, with the page asked for; all of its pages find it."},
     KIT_RUNS, 0, rmap__kit_run_bounds},

    {{"end-of-space", "The last page can be used; reserve() of the one behind it says RANGE."},
     KIT_TABLES, 0, rmap__kit_end_of_space},
    {{"fresh-is-empty", "Tables begin without entries."},
     KIT_TABLES, 0, rmap__kit_fresh_is_empty},
    {{"set-then-get", "Each page has an entry of its own, which stays as it was set."},
     KIT_TABLES, 0, rmap__kit_set_then_get},
    {{"run-skips-holes", "run_find() goes on to the next table, and through the whole space in few steps."},
     KIT_TABLES, 0, rmap__kit_run_skips_holes},
    {{"run-stops-at-end", "run_find() says ABSENT when the next table lies behind the end."},
     KIT_TABLES, 0, rmap__kit_run_stops_at_end},
    {{"unreserve-empties", "unreserve() leaves an empty reservation and no table."},
     KIT_TABLES, 0, rmap__kit_unreserve_empties},
    {{"run-make-keeps-tables", "Of two reservations for one table the second one is not used."},
     KIT_TABLES, 0, rmap__kit_run_make_keeps_tables},
    {{"run-make-needs-no-memory", "After reserve(), run_make() succeeds without memory."},
     KIT_TABLES, KIT_FAIL_TABLES, rmap__kit_run_make_needs_no_memory},
    {{"reserve-fails-cleanly", "reserve() without memory says NOMEM and changes nothing."},
     KIT_TABLES, KIT_FAIL_TABLES, rmap__kit_reserve_fails_cleanly},
    {{"trim-keeps-entries", "trim() spares every table that holds an entry, present or not."},
     KIT_TABLES, KIT_TRIM, rmap__kit_trim_keeps_entries},
    {{"table-bytes", "table_bytes() follows the tables as they come and go."},
     KIT_TABLES, KIT_TABLE_BYTES, rmap__kit_table_bytes},

    {{"exchange-returns-old", "An exchange returns the entry that it replaced, and touches no other."},
     KIT_CONTENT, 0, rmap__kit_exchange_returns_old},
    {{"kinds-roundtrip", "Entries of every kind keep payload and attributes."},
     KIT_CONTENT, 0, rmap__kit_kinds_roundtrip},
    {{"update-changes-nothing", "update() loads translations and changes no entry."},
     KIT_CONTENT, KIT_UPDATE, rmap__kit_update_changes_nothing},
    {{"two-mmus-independent", "Two MMUs share format, size and nothing else; a run of each can be held together."},
     KIT_CONTENT, 0, rmap__kit_two_mmus_independent},
    {{"flush-takes-no-run-lock", "flush() can be called while a run is locked."},
     KIT_CONTENT, KIT_TLB, rmap__kit_flush_takes_no_run_lock},
    {{"run-excludes", "A run is locked by one thread at a time."},
     KIT_CONTENT, KIT_THREADS, rmap__kit_run_excludes},

    {{"peek-agrees", "run_peek() of 1 to 16 MMUs shows the runs that run_find() locks, and nothing where that finds none."},
     KIT_CONTENT, KIT_PEEK, rmap__kit_peek_agrees},
    {{"peek-takes-no-lock", "run_peek() shows a run that is locked, and what is set in it meanwhile."},
     KIT_CONTENT, KIT_PEEK, rmap__kit_peek_takes_no_lock},
    {{"peek-stays-valid", "A run that run_peek() showed can be read and locked after tables were added."},
     KIT_CONTENT, KIT_PEEK, rmap__kit_peek_stays_valid},
    {{"run-lock-excludes", "A run is locked by one thread at a time, by run_lock() or by run_find()."},
     KIT_CONTENT, KIT_PEEK | KIT_THREADS, rmap__kit_run_lock_excludes},

    {{"access-follows-entry", "An access reaches what the entry says if its attributes allow it, else it faults."},
     KIT_ACCESS, KIT_TOUCH, rmap__kit_access_follows_entry},
    {{"access-marks-entry", "An access sets accessed, a write dirty as well, and nothing else in the entry."},
     KIT_ACCESS, KIT_TOUCH | KIT_ACCESSED | KIT_DIRTY, rmap__kit_access_marks_entry},

    {{"grant-needs-no-flush", "What an entry newly allows is allowed at once: no fault is cached."},
     KIT_FLUSH, KIT_TOUCH, rmap__kit_grant_needs_no_flush},
    {{"no-tlb-means-none", "With NO_TLB a replaced entry is never used again."},
     KIT_FLUSH, KIT_TOUCH | KIT_NO_TLB, rmap__kit_no_tlb_means_none},
    {{"flush-forgets", "After flush() no replaced entry of any of its ranges is used."},
     KIT_FLUSH, KIT_TOUCH | KIT_TLB, rmap__kit_flush_forgets},
    {{"flush-write", "After a flush of kind WRITE no withdrawn permission to write is used."},
     KIT_FLUSH, KIT_TOUCH | KIT_TLB, rmap__kit_flush_write},
    {{"flush-forgets-dirty", "After a flush of kind WRITE the next write sets dirty again."},
     KIT_FLUSH, KIT_TOUCH | KIT_TLB | KIT_DIRTY, rmap__kit_flush_forgets_dirty},
    {{"accessed-exact", "With ACCESSED_EXACT an entry that is not accessed is cached nowhere."},
     KIT_FLUSH, KIT_TOUCH | KIT_EXACT | KIT_ACCESSED, rmap__kit_accessed_exact},
    {{"accessed-comes-back", "A cleared accessed is set by the next access; with ACCESSED_NEEDS_FLUSH, after a flush."},
     KIT_FLUSH, KIT_TOUCH | KIT_TLB | KIT_ACCESSED, rmap__kit_accessed_comes_back},
    {{"inactive-caches-nothing", "While active() says no, nothing is cached."},
     KIT_FLUSH, KIT_TOUCH | KIT_SET_ACTIVE, rmap__kit_inactive_caches_nothing},
    {{"exchange-atomic", "An exchange loses no accessed or dirty that is set meanwhile, and is not undone by it."},
     KIT_FLUSH, KIT_TOUCH | KIT_THREADS | KIT_ACCESSED | KIT_DIRTY, rmap__kit_exchange_atomic},

    {{"core-scenario", "The core works on it: fork, copy on write, ageing, protect, move, exit; all invariants hold."},
     KIT_CORE, 0, rmap__kit_core_scenario},
    /* clang-format on */
};
const unsigned rmap__kit_case_count = sizeof rmap__kit_cases / sizeof *rmap__kit_cases;

const struct rmap_testing_rule *rmap_testing_rule_at(unsigned i)
{
    return i < rmap__kit_case_count ? &rmap__kit_cases[i].rule : NULL;
}
