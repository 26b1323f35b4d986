/* DER: what is read, what is refused, and that what is written reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>

#include "child.h"
#include "crypto/der.h"

static struct cursor hex(const char *text)
{
	static uint8_t buf[256];
	struct builder b;

	builder_init_fixed(&b, buf, sizeof buf);
	assert_int_equal(builder_unhex(&b, span_str(text)), ST_OK);
	return cursor_of(builder_span(&b));
}

static void lengths_are_the_shortest(void **state)
{
	static const char *const bad[] = {
	    "",         /* nothing */
	    "04",       /* no length */
	    "0401",     /* no contents */
	    "040201",   /* too little */
	    "0480",     /* indefinite */
	    "04800000", /* indefinite, ended */
	    "048101aa", /* one byte is enough without */
	    "0481",
	    "0482",
	    "048200",
	    "048200aa",
	    "048200ff",
	    "048300000100", /* three bytes of length */
	    "0484ffffffff",
	    "04ff",
	};
	struct span s = {(const uint8_t *)"x", 1};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct cursor c = hex(bad[i]), before = c;

		assert_int_equal(der_read(&c, DER_OCTETS, &s), ST_INVALID);
		assert_ptr_equal(c.p, before.p);
		assert_int_equal(c.left, before.left);
		assert_int_equal(s.n, 1);
	}
}

static void tags_are_looked_at(void **state)
{
	struct cursor c = hex("0402aabb05000500"), body = {0};
	struct span s = {0};

	(void)state;
	assert_true(der_next_is(&c, DER_OCTETS));
	assert_false(der_next_is(&c, DER_NULL));
	assert_int_equal(der_read(&c, DER_NULL, &s), ST_INVALID);
	assert_int_equal(der_enter(&c, DER_OCTETS, &body), ST_OK);
	assert_int_equal(body.left, 2);
	assert_int_equal(der_end(&body), ST_INVALID);
	assert_int_equal(der_read(&c, DER_NULL, &s), ST_OK);
	assert_int_equal(s.n, 0);
	assert_int_equal(der_read(&c, DER_NULL, &s), ST_OK);
	assert_int_equal(der_end(&c), ST_OK);
	assert_false(der_next_is(&c, DER_NULL));
}

static void integers(void **state)
{
	static const struct {
		const char *der, *value; /* NULL: refused */
	} cases[] = {{"020100", ""},         {"020101", "01"},         {"02017f", "7f"},
	             {"02020080", "80"},     {"0200", NULL},           {"020180", NULL},
	             {"0201ff", NULL},       {"0202007f", NULL},       {"02020000", NULL},
	             {"0203008001", "8001"}, {"02037fffff", "7fffff"}, {"030100", NULL},
	             {"02020102", "0102"}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct cursor c = hex(cases[i].der);
		struct builder b = {0};
		struct span s = {0};
		enum status st = der_uint(&c, &s);

		assert_int_equal(st, cases[i].value == NULL ? ST_INVALID : ST_OK);
		if (st == ST_OK) {
			builder_hex(&b, s);
			assert_true(span_eq_str(builder_span(&b), cases[i].value));
		}
		builder_free(&b);
	}
}

static void versions_and_bits(void **state)
{
	struct span s = {0};
	uint8_t v = 9;
	struct cursor c;

	(void)state;
	c = hex("020100");
	assert_int_equal(der_version(&c, 1, &v), ST_OK);
	assert_int_equal(v, 0);
	c = hex("020101");
	assert_int_equal(der_version(&c, 1, &v), ST_OK);
	assert_int_equal(v, 1);
	c = hex("020102");
	assert_int_equal(der_version(&c, 1, &v), ST_INVALID);
	c = hex("02020100");
	assert_int_equal(der_version(&c, 255, &v), ST_INVALID);
	assert_int_equal(v, 1);
	c = hex("030300abcd");
	assert_int_equal(der_bits(&c, &s), ST_OK);
	assert_int_equal(s.n, 2);
	c = hex("030301abcd"); /* bits that are no byte */
	assert_int_equal(der_bits(&c, &s), ST_INVALID);
	c = hex("0300");
	assert_int_equal(der_bits(&c, &s), ST_INVALID);
	c = hex("030100");
	assert_int_equal(der_bits(&c, &s), ST_OK);
	assert_int_equal(s.n, 0);
}

static void what_is_written_reads_back(void **state)
{
	static uint8_t buf[70000], body[65000];

	(void)state;
	memset(body, 0xab, sizeof body);
	for (size_t n = 0; n <= sizeof body; n += n < 300 ? 1 : 4999) {
		struct der_writer w;
		struct cursor c, inner = {0};
		struct span s = {0};
		size_t mark, bits;

		der_writer_init(&w, buf, sizeof buf);
		mark = der_mark(&w);
		bits = der_mark(&w);
		der_put_uint(&w, span_of(body, n % 20));
		der_close_bits(&w, bits);
		der_put(&w, DER_OCTETS, span_of(body, n));
		der_close(&w, mark, DER_SEQUENCE);
		c = cursor_of(der_written(&w));
		assert_int_equal(der_enter(&c, DER_SEQUENCE, &inner), ST_OK);
		assert_int_equal(der_end(&c), ST_OK);
		assert_int_equal(der_read(&inner, DER_OCTETS, &s), ST_OK);
		assert_int_equal(s.n, n);
		assert_int_equal(der_bits(&inner, &s), ST_OK);
		assert_int_equal(der_end(&inner), ST_OK);
		c = cursor_of(s);
		assert_int_equal(der_uint(&c, &s), ST_OK);
		assert_int_equal(s.n, n % 20);
	}
}

static void too_little_room_fails_for_good(void **state)
{
	uint8_t buf[34];

	(void)state;
	memset(buf, 0xcc, sizeof buf);
	for (size_t cap = 0; cap < 6; cap++) {
		struct der_writer w;
		size_t mark;

		der_writer_init(&w, buf + 1, cap);
		mark = der_mark(&w);
		der_put(&w, DER_OCTETS, span_str("abcd"));
		assert_int_equal(w.failed, cap < 6);
		der_close(&w, mark, DER_SEQUENCE);
		der_put(&w, DER_NULL, span_of(NULL, 0));
		assert_true(w.failed);
		assert_int_equal(buf[0], 0xcc);
	}
}

static int written_though_failed(void)
{
	struct der_writer w;

	der_writer_init(&w, NULL, 0);
	der_put(&w, DER_NULL, span_of(NULL, 0));
	return (int)der_written(&w).n;
}

static void misuse_aborts(void **state)
{
	(void)state;
	assert_int_equal(child_signal(written_though_failed), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lengths_are_the_shortest),
	    cmocka_unit_test(tags_are_looked_at),
	    cmocka_unit_test(integers),
	    cmocka_unit_test(versions_and_bits),
	    cmocka_unit_test(what_is_written_reads_back),
	    cmocka_unit_test(too_little_room_fails_for_good),
	    cmocka_unit_test(misuse_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
