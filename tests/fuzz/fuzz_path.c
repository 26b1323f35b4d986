/*
 * path: from the bytes of a request target to checked segments.  The first byte is a margin of the buffer, the rest the raw path.
 *   - path_unescape against a slow decoder here: the same verdict and bytes, nothing past the buffer;
 *   - path_parse, of the raw bytes and of the decoded ones, against the rules as a list: the same verdict; the segments joined by slashes
 *     are the text; its copy ends in NUL.
 */
#include <stdlib.h>
#include <string.h>

#include "base/message.h"
#include "base/utf8.h"
#include "fuzz.h"

static int hex(uint8_t c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c != 0 ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) % 16 : -1;
}

static bool slow_unescape(struct span raw, struct builder *out)
{
	for (size_t i = 0; i < raw.n; i++) {
		uint8_t c = raw.p[i];

		if (c == '%') {
			if (i + 2 >= raw.n || hex(raw.p[i + 1]) < 0 || hex(raw.p[i + 2]) < 0)
				return false;
			c = (uint8_t)(hex(raw.p[i + 1]) * 16 + hex(raw.p[i + 2]));
			i += 2;
			if (c == '/')
				return false;
		}
		if (c < 0x20 || c == 0x7f)
			return false;
		builder_u8(out, c);
	}
	return true;
}

static bool is_dots(struct span s)
{
	return span_eq_str(s, ".") || span_eq_str(s, "..");
}

static bool slow_good(struct span s)
{
	size_t segments = 1, start = 0;

	if (s.n == 0 || s.n > PATH_MAX_LEN || !utf8_valid(s))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	if (s.p[s.n - 1] == '/')
		s.n--;
	for (size_t i = 0; i <= s.n; i++) {
		if (i < s.n && s.p[i] != '/')
			continue;
		if (i == start || is_dots(span_of(s.p + start, i - start)))
			return false;
		segments += i < s.n;
		start = i + 1;
	}
	return segments <= PATH_SEGMENTS;
}

static void check_segments(const struct path *p, struct span text)
{
	struct builder joined = {0};

	MUST(span_eq(path_span(p), text) && p->text[p->n] == '\0' && strlen(p->text) == p->n);
	MUST(p->segments >= 1);
	for (unsigned i = 0; i < p->segments; i++) {
		struct span s = path_segment(p, i);

		MUST(s.n > 0 && memchr(s.p, '/', s.n) == NULL);
		if (i > 0)
			builder_u8(&joined, '/');
		builder_add(&joined, s);
	}
	if (p->folder)
		builder_u8(&joined, '/');
	MUST(span_eq(builder_span(&joined), text));
	builder_free(&joined);
}

static void check_parse(struct span text)
{
	uint8_t *exact = fuzz_copy(text);
	struct path p;
	struct err err = {0};

	memset(&p, 0x77, sizeof p);
	enum status st = path_parse(span_of(exact, text.n), &p, &err);
	MUST(st == (slow_good(text) ? ST_OK : ST_INVALID));
	if (st == ST_OK)
		check_segments(&p, text);
	else
		MUST(err.text[0] != '\0' && p.n == 0x7777);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));
	uint8_t margin = fuzz_u8(&c);
	struct span raw = fuzz_rest(&c), got;
	struct builder want = {0};
	struct err err = {0};
	bool good = slow_unescape(raw, &want);
	size_t cap = margin % 4 == 0 ? margin / 4 : raw.n;
	char *buf = malloc(cap > 0 ? cap : 1);
	uint8_t *exact = fuzz_copy(raw);

	MUST(buf != NULL);
	enum status st = path_unescape(span_of(exact, raw.n), buf, cap, &got, &err);
	if (good && want.n <= cap)
		MUST(st == ST_OK && span_eq(got, builder_span(&want)));
	else
		MUST((st == ST_INVALID && !good) || (st == ST_LIMIT && good));
	if (st == ST_OK)
		check_parse(got);
	check_parse(raw);
	free(exact);
	free(buf);
	builder_free(&want);
	return 0;
}
