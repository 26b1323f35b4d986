/* Forms: what clients send, in the forms that they send it in, and every way to be malformed; random forms read back as they were made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "api/multipart.h"

#define DISPOSITION "Content-Disposition: form-data; "
#define N(a)        (sizeof(a) / sizeof *(a))

static struct multipart_part parts[4];
static size_t n_parts;
static struct err err;

static enum status parse(const char *body)
{
	err = (struct err){0};
	n_parts = 99;
	return multipart_parse(span_str(body), span_str("B"), parts, N(parts), &n_parts, &err);
}

/* ---- the boundary ---- */

static void test_boundaries_that_are_named(void **state)
{
	static const char *const types[][2] = {
	    {"multipart/form-data; boundary=B", "B"},
	    {"multipart/form-data;boundary=\"a b\"", "a b"},
	    {"Multipart/Form-Data ; charset=utf-8; BOUNDARY=--x'()+_,-.", NULL},
	    {"multipart/form-data; charset=utf-8; BOUNDARY=--x'+_-.", "--x'+_-."},
	    {" multipart/form-data; boundary=\"x:=?/(1)\" ;", "x:=?/(1)"},
	    {"multipart/form-data; boundary="
	     "0123456789012345678901234567890123456789012345678901234567890123456789",
	     "0123456789012345678901234567890123456789012345678901234567890123456789"},
	};

	(void)state;
	for (size_t i = 0; i < N(types); i++) {
		struct span boundary = {0};
		enum status st = multipart_boundary(span_str(types[i][0]), &boundary, &err);

		assert_int_equal(st, types[i][1] != NULL ? ST_OK : ST_INVALID);
		if (types[i][1] != NULL)
			assert_true(span_eq_str(boundary, types[i][1]));
	}
}

static void test_other_types(void **state)
{
	static const char *const types[] = {"", "application/json", "multipart/mixed; boundary=B",
	                                    "multipart/form-data2; boundary=B",
	                                    "multipart/form-dat"};
	struct span boundary;

	(void)state;
	for (size_t i = 0; i < N(types); i++)
		assert_int_equal(multipart_boundary(span_str(types[i]), &boundary, &err),
		                 ST_NOT_FOUND);
}

static void test_malformed_boundaries(void **state)
{
	static const char *const types[] = {
	    "multipart/form-data",
	    "multipart/form-data;",
	    "multipart/form-data; boundary",
	    "multipart/form-data; boundary=",
	    "multipart/form-data; boundary=\"\"",
	    "multipart/form-data; boundary=\"B",
	    "multipart/form-data; boundary=\"B \"",
	    "multipart/form-data; boundary=\"B\\\"\"",
	    "multipart/form-data; boundary=B; boundary=B",
	    "multipart/form-data; boundary=B x",
	    "multipart/form-data; boundary=a{b",
	    "multipart/form-data boundary=B",
	    ("multipart/form-data; boundary="
	     "01234567890123456789012345678901234567890123456789012345678901234567890"),
	};
	struct span boundary;

	(void)state;
	for (size_t i = 0; i < N(types); i++)
		if (multipart_boundary(span_str(types[i]), &boundary, &err) != ST_INVALID)
			assert_string_equal(types[i], "");
}

/* ---- forms ---- */

static void test_a_file_and_a_field(void **state)
{
	(void)state;
	assert_int_equal(parse("--B\r\n" DISPOSITION "name=\"token\"\r\n\r\nTk\r\n"
	                       "--B\r\ncontent-type: application/x-pem-file\r\n"
	                       "CONTENT-DISPOSITION:form-data;name=cert;filename=\"e;\\\".pem\"\r\n"
	                       "Content-Transfer-Encoding: Binary\r\nX-Other: y\r\n\r\n"
	                       "\r\n--A\r\nx\r\n\r\n--B--\r\n"),
	                 ST_OK);
	assert_int_equal(n_parts, 2);
	assert_int_equal(parts[0].kind, MULTIPART_FIELD);
	assert_true(span_eq_str(parts[0].name, "token"));
	assert_true(span_eq_str(parts[0].content, "Tk"));
	assert_int_equal(parts[1].kind, MULTIPART_FILE);
	assert_true(span_eq_str(parts[1].name, "cert"));
	assert_true(span_eq_str(parts[1].content, "\r\n--A\r\nx\r\n"));
}

static void test_empty_contents_and_no_last_line_end(void **state)
{
	(void)state;
	assert_int_equal(
	    parse("--B\r\n" DISPOSITION "name=\"a\"; filename*=utf-8''x\r\n\r\n\r\n--B--"), ST_OK);
	assert_int_equal(n_parts, 1);
	assert_int_equal(parts[0].kind, MULTIPART_FILE);
	assert_int_equal(parts[0].content.n, 0);
}

#define HEAD "--B\r\n" DISPOSITION
#define TAIL "\r\n\r\nx\r\n--B--\r\n"

static void test_malformed_forms(void **state)
{
	static const char *const bodies[] = {
	    "",
	    "--",
	    "--B",
	    "--B\r\n",
	    "--B--",
	    "--B--\r\n",
	    "--C\r\n" DISPOSITION "name=\"a\"" TAIL,
	    "\r\n" HEAD "name=\"a\"" TAIL,
	    "preamble\r\n" HEAD "name=\"a\"" TAIL,
	    HEAD "name=\"a\"" TAIL "epilogue",
	    HEAD "name=\"a\"" TAIL "\r\n",
	    HEAD "name=\"a\"\r\n\r\nx\r\n--B-\r\n",
	    HEAD "name=\"a\"\r\n\r\nx\r\n--B--\n",
	    HEAD "name=\"a\"\r\n\r\nx\r\n--Bx\r\n" HEAD "name=\"b\"" TAIL,
	    HEAD "name=\"a\"\r\n\r\nx\r\n--B \r\n" HEAD "name=\"b\"" TAIL,
	    HEAD "name=\"a\"\r\n\r\nx\n--B--\r\n",
	    HEAD "name=\"a\"\r\n\r\nx--B--\r\n",
	    HEAD "name=\"a\"\r\n\r\nx",
	    HEAD "name=\"a\"\r\n\r\nx\r\n--B",
	    HEAD "name=\"a\"\r\n\r\nx\r\n--B\r\n",
	    HEAD "name=\"a\"\r\n",
	    HEAD "name=\"a\"",
	    "--B\r\n\r\nx\r\n--B--\r\n",
	    "--B\r\nContent-Type: text/plain" TAIL,
	    "--B\n" DISPOSITION "name=\"a\"" TAIL,
	    HEAD "name=\"\"" TAIL,
	    HEAD "name=" TAIL,
	    HEAD "name" TAIL,
	    HEAD "filename=\"a\"" TAIL,
	    HEAD "name=\"a" TAIL,
	    HEAD "name=\"a\\\"b\"" TAIL,
	    HEAD "name=\"a\tb\"" TAIL,
	    HEAD "name=\"\xff\"" TAIL,
	    HEAD "name=\"a\"; name=\"b\"" TAIL,
	    HEAD "name=\"a\" filename=\"b\"" TAIL,
	    "--B\r\nContent-Disposition: attachment; name=\"a\"" TAIL,
	    "--B\r\nContent-Disposition: name=\"a\"" TAIL,
	    HEAD "name=\"a\"\r\n" DISPOSITION "name=\"a\"" TAIL,
	    HEAD "name=\"a\"\r\nno header" TAIL,
	    HEAD "name=\"a\"\r\n : x" TAIL,
	    HEAD "name=\"a\"\r\nContent-Transfer-Encoding: base64" TAIL,
	    HEAD "name=\"a\"\r\n\r\nx\r\n" HEAD "name=\"a\"" TAIL,
	};

	(void)state;
	for (size_t i = 0; i < N(bodies); i++) {
		if (parse(bodies[i]) != ST_INVALID)
			assert_string_equal(bodies[i], "");
		assert_int_equal(n_parts, 99);
		assert_true(strlen(err_text(&err, ST_INVALID)) > 0);
	}
}

static void test_how_much_is_read(void **state)
{
	struct builder b = {0};

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		builder_fmt(&b, HEAD "name=\"%u\"\r\n\r\n\r\n", i);
	builder_str(&b, "--B--");
	builder_u8(&b, 0);
	assert_int_equal(parse((const char *)b.p), ST_LIMIT);
	builder_reset(&b);
	builder_str(&b, "--B\r\n");
	for (unsigned i = 0; i < 17; i++)
		builder_str(&b, "X-A: b\r\n");
	builder_str(&b, DISPOSITION "name=\"a\"" TAIL);
	builder_u8(&b, 0);
	assert_int_equal(parse((const char *)b.p), ST_INVALID);
	builder_free(&b);
}

/* ---- any form ---- */

/* Bytes that are hard to tell from what stands between parts. */
static void random_content(struct builder *b)
{
	static const char hard[] = "\r\n-B\r\n--";
	unsigned n = (unsigned)rand() % 40;

	for (unsigned i = 0; i < n; i++)
		builder_u8(b, rand() % 4 != 0 ? (uint8_t)hard[(size_t)rand() % (sizeof hard - 1)]
		                              : (uint8_t)rand());
}

static void test_random_forms_read_back(void **state)
{
	(void)state;
	srand(1);
	for (unsigned round = 0; round < 20000; round++) {
		struct builder contents[3] = {{0}}, body = {0};
		unsigned n = 1 + (unsigned)rand() % 3;

		for (unsigned i = 0; i < n; i++) {
			random_content(&contents[i]);
			builder_fmt(&body, "--B.%u\r\n" DISPOSITION "name=\"%u\"%s\r\n\r\n", round,
			            i, i % 2 != 0 ? "; filename=\"f\"" : "");
			builder_add(&body, builder_span(&contents[i]));
			builder_str(&body, "\r\n");
		}
		builder_fmt(&body, "--B.%u--\r\n", round);
		char boundary[16];
		struct builder name;
		builder_init_fixed(&name, boundary, sizeof boundary);
		builder_fmt(&name, "B.%u", round);
		assert_int_equal(multipart_parse(builder_span(&body), builder_span(&name), parts,
		                                 N(parts), &n_parts, &err),
		                 ST_OK);
		assert_int_equal(n_parts, n);
		for (unsigned i = 0; i < n; i++) {
			assert_true(span_eq(parts[i].content, builder_span(&contents[i])));
			assert_int_equal(parts[i].kind, i % 2);
			builder_free(&contents[i]);
		}
		builder_free(&body);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_boundaries_that_are_named),
	    cmocka_unit_test(test_other_types),
	    cmocka_unit_test(test_malformed_boundaries),
	    cmocka_unit_test(test_a_file_and_a_field),
	    cmocka_unit_test(test_empty_contents_and_no_last_line_end),
	    cmocka_unit_test(test_malformed_forms),
	    cmocka_unit_test(test_how_much_is_read),
	    cmocka_unit_test(test_random_forms_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
