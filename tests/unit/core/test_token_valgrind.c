/*
 * Run under valgrind's memcheck, as crypto's test_ct_valgrind: what becomes of a token's text on the way to the name that it is looked for by.
 * The name itself is no secret: it is a key of the storage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "core/token.h"
#include "crypto/ct.h"

#define SECRET(p, n) (void)VALGRIND_MAKE_MEM_UNDEFINED((p), (n))
#define PUBLIC(p, n) (void)VALGRIND_MAKE_MEM_DEFINED((p), (n))

static unsigned seen(void)
{
	return (unsigned)VALGRIND_COUNT_ERRORS;
}

static void hashing_and_comparing(void **state)
{
	uint8_t salt[32] = "salt of the tokens of this store";
	char text[] = "s.AbCdEfGhIjKlMnOpQrStUvWx", mine[TOKEN_HASH_LEN + 1],
	     theirs[TOKEN_HASH_LEN + 1];
	struct token_key *key;
	unsigned before = seen();
	bool same;

	(void)state;
	assert_true(RUNNING_ON_VALGRIND);
	SECRET(salt, sizeof salt);
	assert_int_equal(token_key_new(span_of(salt, sizeof salt), &key), ST_OK);
	SECRET(text, sizeof text - 1);
	token_hash(key, span_of(text, sizeof text - 1), mine);
	token_hash(key, span_of(text, sizeof text - 1), theirs);
	same = ct_equal(span_of(mine, TOKEN_HASH_LEN), span_of(theirs, TOKEN_HASH_LEN));
	assert_int_equal(seen(), before);
	/* It was secret to the end: the test would be blind otherwise. */
	assert_int_not_equal(VALGRIND_CHECK_MEM_IS_DEFINED(mine, TOKEN_HASH_LEN), 0);
	PUBLIC(&same, sizeof same);
	PUBLIC(mine, sizeof mine);
	assert_true(same);
	assert_int_equal(strspn(mine, "0123456789abcdef"), TOKEN_HASH_LEN);
	token_key_unref(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(hashing_and_comparing)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
