/* SPDX-License-Identifier: MIT */
/* The error table: codes 0 … -27, one name and one text each. */
#include "support/test.h"

static const int every_code[] = {
#define CODE(name, number, text) RMAP_ERR_##name,
    RMAP_ERRORS(CODE)
#undef CODE
};
#define CODES (sizeof every_code / sizeof every_code[0])

RMAP_TEST(error, numbers_are_the_abi)
{
    CHECK_EQ(RMAP_OK, 0);
    CHECK_EQ(RMAP_ERR_NULL_ARG, -1);
    CHECK_EQ(RMAP_ERR_BUSY, -10);
    CHECK_EQ(RMAP_ERR_BAD_FRAME, -26);
    for (size_t i = 0; i < CODES; i++) CHECK_EQ(every_code[i], -(int)(i + 1));
}

RMAP_TEST(error, every_code_has_a_name_of_its_own)
{
    CHECK_STR(rmap_error_name(RMAP_OK), "RMAP_OK");
    CHECK_STR(rmap_error_name(RMAP_ERR_NO_SLOT), "RMAP_ERR_NO_SLOT");
    for (size_t i = 0; i < CODES; i++) {
        const char *name = rmap_error_name(every_code[i]);
        CHECK(strncmp(name, "RMAP_ERR_", 9) == 0);
        for (size_t j = 0; j < i; j++) CHECK(strcmp(name, rmap_error_name(every_code[j])) != 0);
    }
}

RMAP_TEST(error, every_code_has_a_text_of_its_own_without_a_full_stop)
{
    CHECK_STR(rmap_strerror(RMAP_OK), "no error");
    CHECK_STR(rmap_strerror(RMAP_ERR_COMMIT), "the commit limit does not allow it");
    for (size_t i = 0; i < CODES; i++) {
        const char *text = rmap_strerror(every_code[i]);
        CHECK(strlen(text) > 0);
        CHECK(text[strlen(text) - 1] != '.');
        for (size_t j = 0; j < i; j++) CHECK(strcmp(text, rmap_strerror(every_code[j])) != 0);
    }
}

RMAP_TEST(error, numbers_outside_the_table_are_unknown)
{
    const int strangers[] = {1, 27, -(int)CODES - 1, -1000, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        CHECK_STR(rmap_strerror(strangers[i]), "unknown error");
        CHECK_STR(rmap_error_name(strangers[i]), "?");
    }
}
