/*
 * base64: the codec on any bytes, against its scalar twin and against a slow decoder that goes by the letter of RFC 4648.
 *   - as text: all three take and refuse the same and give the same bytes; what is taken is the encoding of what it gave;
 *   - as bytes: both encoders write the same text, which decodes to the bytes.
 * builder_base64 and builder_unbase64 say the same as the functions below them, and a refused text leaves the builder as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value(uint8_t c)
{
	const char *at = c != 0 ? strchr(alphabet, c) : NULL;

	return at != NULL ? (int)(at - alphabet) : -1;
}

/* Bit by bit. */
static bool slow_decode(struct span s, struct builder *out)
{
	size_t pads = 0;
	uint32_t bits = 0, have = 0;

	if (s.n % 4 != 0)
		return false;
	while (pads < 2 && pads < s.n && s.p[s.n - 1 - pads] == '=')
		pads++;
	for (size_t i = 0; i < s.n - pads; i++) {
		int v = value(s.p[i]);

		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			builder_u8(out, (uint8_t)(bits >> have));
			bits &= (1u << have) - 1;
		}
	}
	return bits == 0;
}

typedef enum status decode_fn(struct span s, uint8_t *out, size_t *ret_n);
typedef void encode_fn(struct span s, uint8_t *out);

static void check_decode(decode_fn *decode, struct span text, bool good, struct span want)
{
	uint8_t *in = fuzz_copy(text), *out = malloc(text.n / 4 * 3 + 1);
	size_t n = SIZE_MAX;

	MUST(out != NULL);
	out[text.n / 4 * 3] = 0x5a;
	enum status st = decode(span_of(in, text.n), out, &n);
	MUST(st == (good ? ST_OK : ST_INVALID));
	MUST(out[text.n / 4 * 3] == 0x5a);
	if (good)
		MUST(span_eq(span_of(out, n), want));
	else
		MUST(n == SIZE_MAX);
	free(in);
	free(out);
}

static uint8_t *encoded(encode_fn *encode, struct span bytes)
{
	uint8_t *in = fuzz_copy(bytes), *out = malloc(BASE64_LEN(bytes.n) + 1);

	MUST(out != NULL);
	out[BASE64_LEN(bytes.n)] = 0x5a;
	encode(span_of(in, bytes.n), out);
	MUST(out[BASE64_LEN(bytes.n)] == 0x5a);
	free(in);
	return out;
}

static void check_builder(struct span text, bool good, struct span want)
{
	struct builder b = {0};

	builder_str(&b, "before");
	MUST(builder_unbase64(&b, text) == (good ? ST_OK : ST_INVALID));
	MUST(builder_status(&b) == ST_OK);
	MUST(b.n == 6 + (good ? want.n : 0) && memcmp(b.p, "before", 6) == 0);
	MUST(!good || span_eq(span_from(builder_span(&b), 6), want));
	builder_free(&b);
}

static void as_text(struct span text)
{
	struct builder want = {0};
	bool good = slow_decode(text, &want);
	struct span bytes = builder_span(&want);

	check_decode(base64_decode, text, good, bytes);
	check_decode(base64_decode_scalar, text, good, bytes);
	check_builder(text, good, bytes);
	if (good) {
		uint8_t *again = encoded(base64_encode, bytes);

		MUST(span_eq(span_of(again, BASE64_LEN(bytes.n)), text));
		free(again);
	}
	builder_free(&want);
}

static void as_bytes(struct span bytes)
{
	uint8_t *fast = encoded(base64_encode, bytes),
	        *scalar = encoded(base64_encode_scalar, bytes);
	struct span text = span_of(fast, BASE64_LEN(bytes.n));
	struct builder b = {0}, back = {0};

	MUST(span_eq(text, span_of(scalar, text.n)));
	builder_base64(&b, bytes);
	MUST(span_eq(builder_span(&b), text));
	MUST(slow_decode(text, &back) && span_eq(builder_span(&back), bytes));
	check_decode(base64_decode, text, true, bytes);
	check_decode(base64_decode_scalar, text, true, bytes);
	builder_free(&b);
	builder_free(&back);
	free(fast);
	free(scalar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	as_text(span_of(data, n));
	as_bytes(span_of(data, n));
	return 0;
}
