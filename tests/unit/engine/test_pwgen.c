/* Policies of passphrases and passphrases at random: each type's form, bounds, and that nothing is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <string.h>

#include "engine/pwgen.h"
#include "engine/words.h"

static struct random_seeded seeded;
static struct builder made;

static const char *make(const struct pwgen *p)
{
	struct err err = {0};

	builder_reset(&made);
	assert_int_equal(pwgen_make(p, &seeded.random, &made, &err), ST_OK);
	builder_u8(&made, 0);
	made.n--;
	return (const char *)made.p;
}

static void refuses(const struct pwgen *p, const char *part)
{
	struct err err = {0};

	builder_reset(&made);
	assert_int_equal(pwgen_make(p, &seeded.random, &made, &err), ST_INVALID);
	assert_non_null(strstr(err.text, part));
}

static int setup(void **state)
{
	(void)state;
	random_seeded_init(&seeded, 5);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	builder_free(&made);
	return 0;
}

/* ---- policies ---- */

static void rules_of_the_policies(void **state)
{
	const struct passphrase_policy *high = passphrase_policy(7);

	(void)state;
	assert_non_null(high);
	assert_int_equal(high->rules[0].value, 14);
	assert_string_equal(passphrase_rule_name(&high->rules[0]), "min_length");
	assert_null(passphrase_policy(3));
	assert_null(passphrase_policy(UINT64_MAX));
	assert_int_equal(passphrase_policy(16)->n_rules, 0);
}

static bool keeps_all(unsigned id, const char *text)
{
	const struct passphrase_policy *p = passphrase_policy(id);

	for (size_t i = 0; i < p->n_rules; i++)
		if (!passphrase_keeps(&p->rules[i], span_str(text)))
			return false;
	return true;
}

static void what_keeps_a_policy(void **state)
{
	(void)state;
	assert_true(keeps_all(8, "Abcdefghij1!"));
	assert_false(keeps_all(8, "Abcdefghi1!")); /* 11 */
	assert_false(keeps_all(8, "abcdefghij1!"));
	assert_false(keeps_all(8, "ABCDEFGHIJ1!"));
	assert_false(keeps_all(8, "Abcdefghijk!"));
	assert_false(keeps_all(8, "Abcdefghij12"));
	assert_true(keeps_all(8, "Abcdefghij1ö")); /* characters, not bytes */
	assert_false(keeps_all(8, "Abcdefghi1ö"));
	assert_true(keeps_all(16, ""));
	assert_false(keeps_all(2, "\xff\xff"));
}

/* ---- at random ---- */

static void the_defaults(void **state)
{
	static const struct {
		enum pwgen_type type;
		size_t n;
	} of[] = {{PWGEN_SECURE, 40}, {PWGEN_PRONOUNCEABLE, 12}, {PWGEN_PIN, 4}, {PWGEN_BYTES, 64}};

	(void)state;
	for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
		struct pwgen p = pwgen_default(of[i].type);

		assert_int_equal(strlen(make(&p)), of[i].n);
	}
}

static void names_of_types(void **state)
{
	enum pwgen_type t = PWGEN_PIN;

	(void)state;
	for (unsigned i = 0; i < PWGEN_TYPES; i++) {
		assert_int_equal(pwgen_type_find(span_str(pwgen_type_name((enum pwgen_type)i)), &t),
		                 ST_OK);
		assert_int_equal(t, i);
	}
	assert_int_equal(pwgen_type_find(span_str("pronouncable"), &t), ST_OK);
	assert_int_equal(t, PWGEN_PRONOUNCEABLE);
	assert_int_equal(pwgen_type_find(span_str("Secure"), &t), ST_NOT_FOUND);
	assert_int_equal(pwgen_type_find(span_of(NULL, 0), &t), ST_NOT_FOUND);
}

static void every_sign_comes_and_no_other(void **state)
{
	struct pwgen p = pwgen_default(PWGEN_SECURE);
	size_t seen[256] = {0}, signs = 0;

	(void)state;
	p.length = 1024;
	for (int round = 0; round < 50; round++)
		for (const char *c = make(&p); *c != 0; c++)
			seen[(uint8_t)*c]++;
	for (int c = 0; c < 256; c++) {
		if (seen[c] == 0)
			continue;
		assert_true(isgraph(c));
		assert_true(seen[c] > 300); /* of 51200 in 85: each about 600 times */
		signs++;
	}
	assert_int_equal(signs, 26 + 26 + 10 + 23);
}

static void a_policy_is_kept(void **state)
{
	struct pwgen p = pwgen_default(PWGEN_SECURE);

	(void)state;
	p.policy = passphrase_policy(7);
	p.length = 14;
	for (int i = 0; i < 200; i++)
		assert_true(keeps_all(7, make(&p)));
	p.length = 13;
	refuses(&p, "14 characters");
}

static void pins_and_bytes(void **state)
{
	struct pwgen p = pwgen_default(PWGEN_PIN);
	const char *text;

	(void)state;
	p.length = 100;
	text = make(&p);
	assert_int_equal(strspn(text, "0123456789"), 100);
	p.length = 101;
	refuses(&p, "1 to 100");
	p.length = 0;
	refuses(&p, "1 to 100");
	p = pwgen_default(PWGEN_BYTES);
	p.length = 1024;
	text = make(&p);
	assert_int_equal(strspn(text, "0123456789abcdef"), 2048);
	p.length = 1025;
	refuses(&p, "1 to 1024");
	p = pwgen_default(PWGEN_PRONOUNCEABLE);
	p.length = 1025;
	refuses(&p, "1 to 1024");
}

static void words_of_the_list(void **state)
{
	struct pwgen p = pwgen_default(PWGEN_DICEWORD);
	size_t words = 1;

	(void)state;
	p.words = 64;
	p.min_char = 4;
	p.max_char = 6;
	p.delimiter = span_str(" ");
	for (const char *at = make(&p); *at != 0; at += strspn(at, " ")) {
		size_t n = strcspn(at, " ");

		assert_true(n >= 4 && n <= 6);
		at += n;
		words += *at == ' ';
	}
	assert_int_equal(words, 64);
	p.words = 65;
	refuses(&p, "words");
	p.words = 0;
	refuses(&p, "words");
	p.words = 3;
	p.min_char = 20;
	refuses(&p, "too few");
	p.min_char = 5;
	p.max_char = 4;
	refuses(&p, "too few");
	p = pwgen_default(PWGEN_DICEWORD);
	p.delimiter = span_str("123456789");
	refuses(&p, "delimiter");
}

static void the_lists(void **state)
{
	(void)state;
	assert_int_equal(words_eff.n, 7776);
	assert_int_equal(words_otp.n, 2048);
	for (size_t i = 1; i < words_eff.n; i++)
		assert_true(strcmp(words_eff.words[i - 1], words_eff.words[i]) < 0);
	assert_string_equal(words_otp.words[0], "A");
	assert_string_equal(words_otp.words[2047], "YOKE");
}

static size_t index_of(const char *word, size_t n)
{
	for (size_t i = 0; i < words_otp.n; i++)
		if (strlen(words_otp.words[i]) == n && memcmp(words_otp.words[i], word, n) == 0)
			return i;
	fail();
	return 0;
}

/* Each half: 64 bits, and as the last two bits of its 66 the sum of all pairs (RFC 1751). */
static void twelve_short_words_with_their_sums(void **state)
{
	struct pwgen p = pwgen_default(PWGEN_OPIE);
	const char *at = make(&p);

	(void)state;
	for (int half = 0; half < 2; half++) {
		unsigned sum = 0, pair = 0, bits = 0;

		for (int w = 0; w < 6; w++) {
			size_t n = strcspn(at, " "), index = index_of(at, n);

			at += n + (at[n] == ' ');
			for (int b = 10; b >= 0; b--) {
				pair = pair << 1 | (unsigned)(index >> b & 1);
				if (++bits % 2 == 0 && bits <= 64) {
					sum += pair & 3;
					pair = 0;
				}
			}
		}
		assert_int_equal(pair & 3, sum & 3);
	}
	assert_int_equal(*at, 0);
	p.length = 64;
	refuses(&p, "opie");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rules_of_the_policies),
	    cmocka_unit_test(what_keeps_a_policy),
	    cmocka_unit_test(the_defaults),
	    cmocka_unit_test(names_of_types),
	    cmocka_unit_test(every_sign_comes_and_no_other),
	    cmocka_unit_test(a_policy_is_kept),
	    cmocka_unit_test(pins_and_bytes),
	    cmocka_unit_test(words_of_the_list),
	    cmocka_unit_test(the_lists),
	    cmocka_unit_test(twelve_short_words_with_their_sums),
	};

	return cmocka_run_group_tests_name("pwgen", tests, setup, teardown);
}
