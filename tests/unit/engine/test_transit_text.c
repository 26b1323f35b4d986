/* Texts of ciphertexts and signatures, and base64 as callers send it: against a slow reader that goes from left to right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "engine/transit_text.h"
#include "lib/slow_base64.h"

/* In memory of exactly its size, so that a step past its end is seen. */
static uint8_t *exactly(const char *text, size_t n)
{
	uint8_t *p = malloc(n > 0 ? n : 1);

	assert_non_null(p);
	if (n > 0)
		memcpy(p, text, n);
	return p;
}

/* ---- "vault:v7:..." ---- */

static const struct {
	const char *text;
	int64_t version;
	const char *rest;
} good[] = {
    {"vault:v1:abc", 1, "abc"},
    {"vault:v1:", 1, ""},
    {"vault:v7:a:b:c", 7, "a:b:c"},
    {"vault:v007:x", 7, "x"},
    {"vault:v+7:x", 7, "x"},
    {"vault:v0:x", 1, "x"},
    {"vault:v-0:x", 1, "x"},
    {"vault:v-3:x", -3, "x"},
    {"vault:v4294967296:x", INT64_C(4294967296), "x"},
    {"vault:v4294967297:x", INT64_C(4294967297), "x"},
    {"vault:v999999999999999999:x", INT64_C(999999999999999999), "x"},
    {"vault:v1:\n", 1, "\n"},
};

static void texts_are_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		size_t n = strlen(good[i].text);
		uint8_t *p = exactly(good[i].text, n);
		struct item_error e = {.text = NULL};
		struct span rest;
		int64_t version;

		assert_int_equal(
		    text_parse(span_of(p, n), "vault:v", TEXT_CIPHERTEXT, &version, &rest, &e),
		    ST_OK);
		assert_int_equal(version, good[i].version);
		assert_true(span_eq_str(rest, good[i].rest));
		assert_true(rest.p + rest.n == p + n);
		free(p);
	}
}

#define NO_PREFIX "no prefix"
#define NO_FIELDS "wrong number of fields"
#define NO_NUMBER "version number could not be decoded"

static const struct {
	const char *text, *why;
} bad[] = {
    {"", NO_PREFIX},
    {"v", NO_PREFIX},
    {"vault:", NO_PREFIX},
    {"Vault:v1:x", NO_PREFIX},
    {" vault:v1:x", NO_PREFIX},
    {"vault:w1:x", NO_PREFIX},
    {"vault:v", NO_FIELDS},
    {"vault:v1", NO_FIELDS},
    {"vault:v1 x", NO_FIELDS},
    {"vault:v::x", NO_NUMBER},
    {"vault:v:", NO_NUMBER},
    {"vault:v:x", NO_NUMBER},
    {"vault:v 1:x", NO_NUMBER},
    {"vault:v1 :x", NO_NUMBER},
    {"vault:v1x:x", NO_NUMBER},
    {"vault:v0x1:x", NO_NUMBER},
    {"vault:v1_0:x", NO_NUMBER},
    {"vault:v--1:x", NO_NUMBER},
    {"vault:v+:x", NO_NUMBER},
    {"vault:v-:x", NO_NUMBER},
    {"vault:v1.0:x", NO_NUMBER},
    {"vault:v1e3:x", NO_NUMBER},
    {"vault:v1000000000000000000:x", NO_NUMBER},
    {"vault:v99999999999999999999999999999:x", NO_NUMBER},
    {"vault:v\xd9\xa1:x", NO_NUMBER}, /* an Arabic one */
};

static void refused(struct span text, enum text_kind kind, const char *why)
{
	static const uint8_t untouched[] = "untouched";
	struct item_error e = {.text = NULL};
	struct span rest = span_of(untouched, sizeof untouched);
	int64_t version = 4711;

	assert_int_equal(text_parse(text, "vault:v", kind, &version, &rest, &e), ST_INVALID);
	assert_non_null(e.text);
	assert_non_null(strstr(e.text, why));
	assert_non_null(
	    strstr(e.text, kind == TEXT_SIGNATURE ? "invalid signature" : "invalid ciphertext"));
	assert_false(e.internal);
	assert_int_equal(version, 4711);
	assert_true(rest.p == untouched);
}

static void other_texts_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		size_t n = strlen(bad[i].text);
		uint8_t *p = exactly(bad[i].text, n);

		refused(span_of(p, n), TEXT_CIPHERTEXT, bad[i].why);
		refused(span_of(p, n), TEXT_SIGNATURE, bad[i].why);
		free(p);
	}
	refused(span_of(NULL, 0), TEXT_CIPHERTEXT, NO_PREFIX);
	refused(span_of("vault:v1\0:x", 11), TEXT_CIPHERTEXT, NO_NUMBER);
	refused(span_of("vault:v\0001:x", 11), TEXT_CIPHERTEXT, NO_NUMBER);
}

static void what_is_written_is_read(void **state)
{
	static const uint32_t versions[] = {1, 9, 10, 65536, 1u << 30, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
		struct builder b = {.max = 0};
		struct item_error e;
		struct span rest;
		int64_t version;

		text_begin(&b, "keyturn:v", versions[i]);
		builder_str(&b, "QUJD");
		assert_int_equal(
		    text_parse(builder_span(&b), "keyturn:v", TEXT_CIPHERTEXT, &version, &rest, &e),
		    ST_OK);
		assert_int_equal(version, versions[i]);
		assert_true(span_eq_str(rest, "QUJD"));
		refused(builder_span(&b), TEXT_SIGNATURE, NO_PREFIX);
		builder_free(&b);
	}
}

/* ---- base64 ---- */

static void compare(const char *text, size_t n)
{
	uint8_t *p = exactly(text, n);
	struct builder want = {.max = 0}, got = {.max = 0};
	struct item_error e = {.text = NULL};
	size_t at = 0;
	bool fine = slow_base64(span_of(p, n), &want, &at);

	builder_str(&got, "before");
	assert_int_equal(text_unbase64(span_of(p, n), &got, &e), fine ? ST_OK : ST_INVALID);
	assert_int_equal(builder_status(&got), ST_OK);
	assert_memory_equal(got.p, "before", 6);
	if (fine) {
		assert_true(span_eq(span_from(builder_span(&got), 6), builder_span(&want)));
	} else {
		assert_int_equal(got.n, 6);
		assert_string_equal(e.text, ITEM_BAD_BASE64);
		assert_false(e.internal);
		if (e.at != at)
			fail_msg("\"%.*s\": byte %zu, not %zu", (int)n, text, at, e.at);
	}
	builder_free(&want);
	builder_free(&got);
	free(p);
}

static void known_texts(void **state)
{
	static const char *const texts[] = {
	    "",
	    "QQ==",
	    "QUI=",
	    "QUJD",
	    "QUJDRA==",
	    "\n",
	    "\r\n",
	    "QQ==\n",
	    "Q\nQ\r=\n=\r\n",
	    "QUJD\nQUJD\n",
	    "QUI\n=",
	    "\nQUJD",
	    "Q",
	    "QQ",
	    "QUJ",
	    "QUJDR",
	    "QQ=",
	    "QQ=\n",
	    "QUJDQQ=",
	    "=",
	    "==",
	    "Q=",
	    "Q==",
	    "Q===",
	    "QQ===",
	    "QQ==Q",
	    "QQ==\nQ",
	    "QQ=\nQ",
	    "QQ=Q",
	    "QUI=Q",
	    "QUI==",
	    "QUI=\n=",
	    "QUJD=",
	    "QR==",
	    "QR==\n",
	    "QUJ=",
	    "QUJ=\r\n",
	    "QUJDQR==",
	    "QR==\nX",
	    " QQ==",
	    "QQ== ",
	    "Q Q==",
	    "QQ\t==",
	    "QUJD-_==",
	    "QUJ\xff",
	    "Q\nQ",
	    "QUJD\nQ\n",
	    "QUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJD!QUJDQUJDQUJD",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		compare(texts[i], strlen(texts[i]));
	compare("QU\0D", 4);
	compare("\0", 1);
	compare("QUJD\0", 5);
}

/* Every text of up to five of these characters. */
static void every_short_text(void **state)
{
	static const char letters[] = "QR/=\n\r!";
	char text[5];

	(void)state;
	for (size_t n = 0; n <= 5; n++) {
		size_t all = 1;

		for (size_t i = 0; i < n; i++)
			all *= sizeof letters - 1;
		for (size_t k = 0; k < all; k++) {
			size_t left = k;

			for (size_t i = 0; i < n; i++, left /= sizeof letters - 1)
				text[i] = letters[left % (sizeof letters - 1)];
			compare(text, n);
		}
	}
}

/* Good ones of any length with something changed, taken out or put in between. */
static void long_texts_with_a_mistake(void **state)
{
	static const char strange[] = "\n\r=!A \n\n";
	struct random_seeded r;

	(void)state;
	random_seeded_init(&r, 5);
	for (unsigned round = 0; round < 4000; round++) {
		uint8_t plain[200], dice[8];
		struct builder b = {.max = 0};
		char text[300];
		size_t n;

		random_fill(&r.random, dice, sizeof dice);
		random_fill(&r.random, plain, sizeof plain);
		builder_base64(&b, span_of(plain, dice[0] % sizeof plain));
		n = b.n;
		if (n > 0)
			memcpy(text, b.p, n);
		for (unsigned i = 0; i < dice[1] % 4u; i++) {
			size_t at = n > 0 ? (dice[2 + i] + round) % n : 0;

			if ((dice[5] >> i & 1) != 0 && n > 0) {
				text[at] = strange[dice[6] % 8];
			} else {
				memmove(text + at + 1, text + at, n - at);
				text[at] = strange[(dice[6] >> i) % 8];
				n++;
			}
		}
		compare(text, dice[7] % 5 == 0 && n > 0 ? n - 1 : n);
		builder_free(&b);
	}
}

static void no_room(void **state)
{
	struct builder b = {.max = 0};
	struct item_error e = {.text = NULL};
	uint8_t buf[4];

	(void)state;
	builder_init_fixed(&b, buf, sizeof buf);
	assert_int_equal(text_unbase64(span_str("QUJDQUJDQUJD"), &b, &e), ST_LIMIT);
	assert_true(e.internal);
	builder_init_fixed(&b, buf, sizeof buf);
	assert_int_equal(text_unbase64(span_str("QUJD\nQUJDQUJD"), &b, &e), ST_LIMIT);
	assert_true(e.internal);
}

static void errors_are_shown(void **state)
{
	const struct item_error plain = {.text = "some text"},
	                        placed = {.text = ITEM_BAD_BASE64, .at = 17};
	struct builder b = {.max = 0};

	(void)state;
	item_error_put(&plain, &b);
	builder_u8(&b, '|');
	item_error_put(&placed, &b);
	assert_true(
	    span_eq_str(builder_span(&b), "some text|illegal base64 data at input byte 17"));
	builder_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts_are_taken_apart),
	    cmocka_unit_test(other_texts_are_refused),
	    cmocka_unit_test(what_is_written_is_read),
	    cmocka_unit_test(known_texts),
	    cmocka_unit_test(every_short_text),
	    cmocka_unit_test(long_texts_with_a_mistake),
	    cmocka_unit_test(no_room),
	    cmocka_unit_test(errors_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
