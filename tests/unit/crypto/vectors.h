/* What the tests of published vectors share: reading the files, and complaints that name a test. */
#ifndef TESTS_CRYPTO_VECTORS_H
#define TESTS_CRYPTO_VECTORS_H

#include <jansson.h>
#include <stddef.h>

#include "base/bytes.h"

struct CMUnitTest;

/* vectors_main(argc, argv, tests, n): the one argument is the folder of the files; guarded memory is set up.  For main(). */
int vectors_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n);

/* vectors_path(name, buf, cap): where the file is. */
void vectors_path(const char *name, char *buf, size_t cap);

/* vectors_run(name, run): call it for each test of each group of the Wycheproof file; the number of tests for which it returned true. */
size_t vectors_run(const char *name, bool (*run)(const json_t *group, const json_t *test));

/* Fails with "WHAT, file or tcId NUMBER" unless the condition holds. */
void holds_at(bool condition, const char *what, const char *where, long long number);
void holds(bool condition, const char *what, const json_t *test);

/* Members of an object: bytes in hex (into a builder that is begun here; free it), a number, a text that must be there. */
void json_unhex(struct builder *b, const json_t *object, const char *name);
json_int_t json_number(const json_t *object, const char *name);
const char *json_text(const json_t *object, const char *name);

/* What a test says of itself. */
enum verdict { VALID, INVALID, ACCEPTABLE };
enum verdict json_verdict(const json_t *test);
bool json_is_valid(const json_t *test); /* of a file that has no acceptable ones */
bool json_has_flag(const json_t *test, const char *flag);

#endif
