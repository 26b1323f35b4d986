/*
 * share: the constant-time codecs through which key text comes in.  The first byte is the room that there is for the result.
 *   - ct_unhex and ct_unbase64 take what builder_unhex and builder_unbase64 (other code) take, and give the same bytes;
 *   - what is longer than the room is ST_LIMIT or ST_INVALID, never written past the room; after a refusal the room is all zero;
 *   - bytes go through ct_hex and ct_base64 and back.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/ct.h"
#include "fuzz.h"

typedef enum status decode_fn(struct span text, uint8_t *out, size_t cap, size_t *ret_n);

static void check(decode_fn *decode, struct span text, size_t cap, bool good, struct span want)
{
	uint8_t *in = fuzz_copy(text), *out = malloc(cap > 0 ? cap : 1);
	size_t n = SIZE_MAX;

	MUST(out != NULL);
	memset(out, 0xee, cap);
	enum status st = decode(span_of(in, text.n), out, cap, &n);
	if (good && want.n <= cap) {
		MUST(st == ST_OK && span_eq(span_of(out, n), want));
	} else {
		MUST(st == ST_INVALID || (st == ST_LIMIT && text.n > cap));
		MUST(!good || st == ST_LIMIT);
		MUST(n == SIZE_MAX);
		for (size_t i = 0; i < cap; i++)
			MUST(out[i] == 0);
	}
	free(in);
	free(out);
}

static void as_text(struct span text, size_t cap)
{
	struct builder hex = {0}, base64 = {0};
	bool is_hex = builder_unhex(&hex, text) == ST_OK;
	bool is_base64 = builder_unbase64(&base64, text) == ST_OK;

	check(ct_unhex, text, cap, is_hex, builder_span(&hex));
	check(ct_unbase64, text, cap, is_base64, builder_span(&base64));
	builder_free(&hex);
	builder_free(&base64);
}

static void as_bytes(struct span bytes)
{
	struct builder hex = {0}, base64 = {0};
	char *text = malloc(2 * bytes.n + 4);

	MUST(text != NULL);
	builder_hex(&hex, bytes);
	builder_base64(&base64, bytes);
	ct_hex(bytes, text);
	MUST(span_eq(span_of(text, 2 * bytes.n), builder_span(&hex)));
	check(ct_unhex, span_of(text, 2 * bytes.n), bytes.n, true, bytes);
	ct_base64(bytes, text);
	MUST(span_eq(span_of(text, BASE64_LEN(bytes.n)), builder_span(&base64)));
	check(ct_unbase64, span_of(text, BASE64_LEN(bytes.n)), bytes.n, true, bytes);
	builder_free(&hex);
	builder_free(&base64);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));
	size_t cap = fuzz_u8(&c);
	struct span rest = fuzz_rest(&c);

	as_text(rest, cap);
	as_bytes(rest);
	return 0;
}
