/*
 * multipart: the first line is a Content-Type, the rest a body.
 *   - what is taken lies in the body, parts in order, names differ and are UTF-8, no content holds the delimiter;
 *   - written again from its parts it is taken again, with the same parts;
 *   - what is refused has a text, and *ret_n is as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "api/multipart.h"
#include "base/utf8.h"
#include "fuzz.h"

#define CAP 8

static void check_parts(struct span body, const struct multipart_part *parts, size_t n)
{
	const uint8_t *at = body.p;

	MUST(n > 0 && n <= CAP);
	for (size_t i = 0; i < n; i++) {
		MUST(parts[i].name.n > 0 && utf8_valid(parts[i].name));
		MUST(parts[i].name.p >= at && parts[i].content.p >= parts[i].name.p);
		at = parts[i].content.p + parts[i].content.n;
		MUST(at <= body.p + body.n);
		for (size_t k = 0; k < i; k++)
			MUST(!span_eq(parts[i].name, parts[k].name));
	}
}

static void check_again(struct span boundary, const struct multipart_part *parts, size_t n)
{
	struct multipart_part again[CAP];
	struct builder b = {0};
	struct err err = {0};
	size_t m;

	for (size_t i = 0; i < n; i++) {
		builder_str(&b, "--");
		builder_add(&b, boundary);
		builder_str(&b, "\r\nContent-Disposition: form-data; name=\"");
		builder_add(&b, parts[i].name);
		builder_str(&b, parts[i].kind == MULTIPART_FILE ? "\"; filename=\"\"\r\n\r\n"
		                                                : "\"\r\n\r\n");
		builder_add(&b, parts[i].content);
		builder_str(&b, "\r\n");
	}
	builder_str(&b, "--");
	builder_add(&b, boundary);
	builder_str(&b, "--");
	MUST(multipart_parse(builder_span(&b), boundary, again, CAP, &m, &err) == ST_OK);
	MUST(m == n);
	for (size_t i = 0; i < n; i++)
		MUST(again[i].kind == parts[i].kind && span_eq(again[i].name, parts[i].name) &&
		     span_eq(again[i].content, parts[i].content));
	builder_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *copy = fuzz_copy(span_of(data, n));
	const uint8_t *end = n > 0 ? memchr(copy, '\n', n) : NULL;
	struct span type = span_of(copy, end != NULL ? (size_t)(end - copy) : n),
	            body = span_from(span_of(copy, n), end != NULL ? type.n + 1 : n),
	            boundary = {0};
	struct multipart_part parts[CAP];
	struct err err = {0};
	size_t found = SIZE_MAX;
	enum status st = multipart_boundary(type, &boundary, &err);

	MUST(st == ST_OK || st == ST_NOT_FOUND || (st == ST_INVALID && err_text(&err, st)[0] != 0));
	if (st == ST_OK) {
		MUST(boundary.n > 0 && boundary.n <= MULTIPART_BOUNDARY_MAX);
		st = multipart_parse(body, boundary, parts, CAP, &found, &err);
		MUST(st == ST_OK || st == ST_INVALID || st == ST_LIMIT);
		if (st == ST_OK) {
			check_parts(body, parts, found);
			check_again(boundary, parts, found);
		} else {
			MUST(found == SIZE_MAX && err_text(&err, st)[0] != 0);
		}
	}
	free(copy);
	return 0;
}
