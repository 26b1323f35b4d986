#include "engine/transit_text.h"

#include <string.h>

void item_error_put(const struct item_error *e, struct builder *b)
{
	builder_str(b, e->text);
	if (span_ends(span_str(e->text), span_str("byte")))
		builder_fmt(b, " %zu", e->at);
}

enum status item_error_status(const struct item_error *e)
{
	if (!e->internal)
		return ST_INVALID;
	return e->starved ? ST_NOMEM : ST_IO;
}

enum status item_fail(struct item_error *e, const char *text)
{
	*e = (struct item_error){.text = text};
	return ST_INVALID;
}

enum status item_fail_inside(struct item_error *e, const char *text)
{
	*e = (struct item_error){.text = text, .internal = true};
	return ST_INVALID;
}

/* Decimal digits, with a sign perhaps; at most nine of them. */
static bool number(struct span s, int64_t *ret)
{
	bool minus = s.n > 0 && s.p[0] == '-';
	int64_t v = 0;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
		s = span_from(s, 1);
	if (s.n == 0 || s.n > 18)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v * 10 + (s.p[i] - '0');
	}
	*ret = minus ? -v : v;
	return true;
}

enum status text_parse(struct span text, const char *prefix, enum text_kind kind,
                       int64_t *ret_version, struct span *ret_rest, struct item_error *ret_error)
{
	static const char *const wording[][3] = {
	    [TEXT_CIPHERTEXT] = {"invalid ciphertext: no prefix",
	                         "invalid ciphertext: wrong number of fields",
	                         "invalid ciphertext: version number could not be decoded"},
	    [TEXT_SIGNATURE] = {"invalid signature: no prefix",
	                        "invalid signature: wrong number of fields",
	                        "invalid signature: version number could not be decoded"},
	    [TEXT_HMAC] = {"invalid HMAC to verify: no prefix",
	                   "invalid HMAC: wrong number of fields",
	                   "invalid HMAC: version number could not be decoded"}};
	const char *const *words = wording[kind];
	const uint8_t *colon;
	int64_t version;
	size_t n;

	if (!span_starts(text, span_str(prefix)))
		return item_fail(ret_error, words[0]);
	text = span_from(text, strlen(prefix));
	colon = text.n > 0 ? memchr(text.p, ':', text.n) : NULL;
	if (colon == NULL)
		return item_fail(ret_error, words[1]);
	n = (size_t)(colon - text.p);
	if (!number(span_of(text.p, n), &version))
		return item_fail(ret_error, words[2]);
	*ret_version = version == 0 && kind == TEXT_CIPHERTEXT ? 1 : version;
	*ret_rest = span_from(text, n + 1);
	return ST_OK;
}

void text_begin(struct builder *b, const char *prefix, uint32_t version)
{
	builder_str(b, prefix);
	builder_dec(b, version);
	builder_u8(b, ':');
}

static bool is_line_end(uint8_t c)
{
	return c == '\r' || c == '\n';
}

size_t text_line_end(struct span text)
{
	const uint8_t *cr = text.n > 0 ? memchr(text.p, '\r', text.n) : NULL;
	size_t n = cr != NULL ? (size_t)(cr - text.p) : text.n;
	const uint8_t *lf = n > 0 ? memchr(text.p, '\n', n) : NULL;

	return lf != NULL ? (size_t)(lf - text.p) : n;
}

bool text_is_ours(struct span text, const char *prefix, int64_t version)
{
	char buf[48];
	struct builder b;

	builder_init_fixed(&b, buf, sizeof buf);
	if (version < 1 || version > UINT32_MAX)
		return false;
	text_begin(&b, prefix, (uint32_t)version);
	return builder_status(&b) == ST_OK && span_starts(text, builder_span(&b)) &&
	       text_line_end(text) == text.n;
}

static bool is_digit64(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/';
}

static size_t behind_line_ends(struct span s, size_t i)
{
	while (i < s.n && is_line_end(s.p[i]))
		i++;
	return i;
}

/* Where a reader that goes from left to right would stop. */
static size_t bad_byte(struct span s)
{
	size_t i = 0, in_group = 0, group = 0, next;

	for (; i < s.n && (is_digit64(s.p[i]) || is_line_end(s.p[i])); i++) {
		if (is_line_end(s.p[i]))
			continue;
		if (in_group == 0)
			group = i;
		in_group = (in_group + 1) % 4;
	}
	if (i == s.n) /* cut off, or bits are left that mean nothing */
		return in_group == 0 ? s.n : group;
	if (s.p[i] != '=' || in_group < 2)
		return i;
	if (in_group == 2) {
		next = behind_line_ends(s, i + 1);
		if (next == s.n)
			return s.n;
		if (s.p[next] != '=')
			return i;
		i = next;
	}
	/* The padding is right: something follows it, or its last character has bits that mean nothing. */
	next = behind_line_ends(s, i + 1);
	return next < s.n ? next : group;
}

/* Without its line ends, in memory of its own. */
static enum status unwrapped(struct span text, struct builder *b)
{
	struct builder plain = {.max = 0};
	enum status st;

	if (builder_room(&plain, text.n) == NULL)
		return builder_status(&plain);
	for (size_t i = 0; i < text.n; i++)
		if (!is_line_end(text.p[i]))
			builder_u8(&plain, text.p[i]);
	st = builder_unbase64(b, builder_span(&plain));
	builder_free(&plain);
	return st;
}

enum status text_unbase64(struct span text, struct builder *b, struct item_error *ret_error)
{
	enum status st = builder_unbase64(b, text);

	if (st == ST_INVALID &&
	    (memchr(text.p, '\n', text.n) != NULL || memchr(text.p, '\r', text.n) != NULL))
		st = unwrapped(text, b);
	if (st == ST_INVALID)
		*ret_error = (struct item_error){.text = ITEM_BAD_BASE64, .at = bad_byte(text)};
	else if (st != ST_OK)
		*ret_error =
		    (struct item_error){.text = "no memory", .internal = true, .starved = true};
	return st;
}
