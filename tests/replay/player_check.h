/* SPDX-License-Identifier: MIT */
/** @file replay/player_check.h  The player's checks, for player.c. */
#ifndef RMAP_TESTS_REPLAY_PLAYER_CHECK_H
#define RMAP_TESTS_REPLAY_PLAYER_CHECK_H

#include "replay/player.h"

/** May pages of the region be read? */
bool player_readable(const struct region *r);
/** Read the page at vpn and compare it with the book. @return 0; -1 */
int player_look(struct player *p, struct book_space *s, uint64_t vpn, uint64_t line);
/** Has the space entries where it must, and nowhere else? And look at some pages of it, or all; what that costs does not
 *  count. @return 0; -1 */
int player_check_space(struct player *p, struct book_space *s, uint64_t line);
/** Without spaces no frame but the zero frame, no slot and no byte of the fork tree may be left. @return 0; VERIFY */
int player_left(struct player *p);

#endif
