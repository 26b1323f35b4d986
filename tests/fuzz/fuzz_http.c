/*
 * http: a connection's bytes, cut into requests by h1_parse: heads, sized and chunked bodies, one after another.
 *
 * Input: one byte chooses the limits, one how the bytes are delivered, the rest is what the client sends.
 *   - delivered at once, byte by byte, or in pieces, the same requests come of it, and the same end: more is awaited, or it is refused.  (Only
 *     which of two limits is named may differ, and a body that outgrows a limit may be noticed sooner.)
 *   - chunked bodies that are decoded in place are the same, but for the limit, which is not asked for there.
 *   - each head that is taken is held against a naive reading of its lines: one Host, no Content-Length beside Transfer-Encoding, at most one of
 *     each, no folding, no bare line ends, no control bytes, within the limits; and the body's length is what its header says.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fuzz.h"
#include "http/h1_parse.h"

#define BODY_MAX     ((size_t)2048)
#define INPUT_MAX    ((size_t)16 << 10) /* below it the weight of chunk extensions plays no part */
#define REQUESTS_MAX 64

static const struct h1_limits limits[] = {
    {8192, 32768, 100}, {64, 512, 8}, {40, 60, 2}, {300, 200, H1_FIELDS_MAX}};

/* What became of a stream. */
struct story {
	struct builder requests; /* method, target, query, fields, body of each */
	size_t n;
	enum h1_step end; /* of the one that was not complete */
	unsigned status;
};

/* ---- the naive reading of a head ---- */

static struct span next_line(struct span *text)
{
	struct span line = *text;

	for (size_t i = 0; i + 1 < text->n; i++) {
		if (text->p[i] == '\r' && text->p[i + 1] == '\n') {
			line.n = i;
			*text = span_from(*text, i + 2);
			return line;
		}
	}
	must_fail(__FILE__, __LINE__, "each line ends in CR LF");
}

static bool is_name(struct span s, const char *name)
{
	return s.n == strlen(name) && strncasecmp((const char *)s.p, name, s.n) == 0;
}

struct counted {
	size_t fields, host, length, coding;
	struct span length_value;
};

static struct span trimmed(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_from(s, 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static void naive_field(struct span line, struct counted *c, const struct h1_head *h,
                        const uint8_t *base)
{
	const uint8_t *colon = memchr(line.p, ':', line.n);

	MUST(colon != NULL && colon != line.p);
	struct span name = span_of(line.p, (size_t)(colon - line.p));
	struct span value = trimmed(span_from(line, name.n + 1));
	for (size_t i = 0; i < line.n; i++)
		MUST(line.p[i] >= 0x20 || line.p[i] == '\t');
	for (size_t i = 0; i < name.n; i++)
		MUST(name.p[i] > 0x20 && name.p[i] < 0x7f &&
		     strchr("()<>@,;:\\\"/[]?={}", name.p[i]) == NULL);
	c->host += is_name(name, "host");
	c->length += is_name(name, "content-length");
	c->coding += is_name(name, "transfer-encoding");
	if (is_name(name, "content-length"))
		c->length_value = value;
	MUST(c->fields < h->n_fields);
	const struct h1_field *f = &h->fields[c->fields++];
	MUST(f->name_n == name.n &&
	     strncasecmp((const char *)base + f->name, (const char *)name.p, name.n) == 0);
	for (size_t i = 0; i < f->name_n; i++)
		MUST(base[f->name + i] < 'A' || base[f->name + i] > 'Z');
	MUST(span_eq(span_of(base + f->value, f->value_n), value));
}

/* raw: the head as it was sent; base: as the parser left it. */
static void naive_head(struct span raw, const struct h1_head *h, const uint8_t *base,
                       const struct h1_limits *l)
{
	struct counted c = {0};
	struct span text = raw, line = next_line(&text);

	MUST(line.n + 2 <= l->max_request_line && text.n <= l->max_headers_bytes);
	MUST(memchr(line.p, '\t', line.n) == NULL && span_starts(line, h->method));
	MUST(h->target.n > 0 && h->target.p[0] == '/' &&
	     memchr(h->target.p, '?', h->target.n) == NULL);
	for (line = next_line(&text); line.n > 0; line = next_line(&text))
		naive_field(line, &c, h, base);
	MUST(text.n == 0 && c.fields == h->n_fields && c.fields <= l->max_header_count);
	MUST(c.host <= 1 && (c.host == 1 || h->minor == 0) && c.length + c.coding <= 1);
	MUST((c.coding == 1) == (h->body == H1_CHUNKED));
	MUST(h->body != H1_SIZED || (c.length == 1 && h->content_length > 0));
	MUST(h->minor <= 1 && h->keep <= h->minor && h->expects <= h->minor);
	if (c.length == 1) {
		uint64_t v = 0;
		for (size_t i = 0; i < c.length_value.n; i++) {
			uint64_t d = (uint64_t)c.length_value.p[i] - '0';
			MUST(d <= 9 && v <= (UINT64_MAX - d) / 10);
			v = v * 10 + d;
		}
		MUST(c.length_value.n > 0 && v == h->content_length);
	}
}

/* ---- one connection ---- */

struct wire {
	struct story *story;
	const struct h1_limits *limits;
	const uint8_t *sent; /* all that the client sends */
	size_t n_sent;
	uint8_t *buf; /* what arrived of it, as the parser left it */
	size_t start, body,
	    end; /* of the present request: its head, what follows it; what arrived */
	bool in_body, in_place;
	struct h1_head head;
	struct builder sink;
};

static void tell(struct wire *w)
{
	struct builder *b = &w->story->requests;

	builder_lv(b, w->head.method);
	builder_lv(b, w->head.target);
	builder_lv(b, w->head.query);
	builder_u32(b, w->head.keep << 8 | w->head.expects);
	for (size_t i = 0; i < w->head.n_fields; i++) {
		const struct h1_field *f = &w->head.fields[i];

		builder_lv(b, span_of(w->buf + w->start + f->name, f->name_n));
		builder_lv(b, span_of(w->buf + w->start + f->value, f->value_n));
	}
}

static enum h1_step refuse(struct wire *w, unsigned status)
{
	w->head.status = status;
	return H1_REFUSED;
}

static enum h1_step step_head(struct wire *w)
{
	/* in memory of its own, as the buffer of a connection moves */
	size_t n = w->end - w->start;
	uint8_t *exact = fuzz_copy(span_of(w->buf + w->start, n));
	enum h1_step s = h1_head_parse(&w->head, w->limits, exact, n);

	if (n > 0)
		memcpy(w->buf + w->start, exact, n);
	if (s == H1_DONE) {
		MUST(w->head.n <= n);
		naive_head(span_of(w->sent + w->start, w->head.n), &w->head, exact, w->limits);
		tell(w);
		w->in_body = true;
		w->body = w->start + w->head.n;
		if (w->head.body == H1_SIZED && w->head.content_length > BODY_MAX)
			s = refuse(w, 413);
	}
	MUST(s != H1_REFUSED || (w->head.status >= 400 && w->head.status < 600));
	free(exact);
	return s;
}

static enum h1_step step_body(struct wire *w)
{
	size_t n = w->end - w->body, used = 0;
	enum h1_step s = H1_DONE;

	if (w->head.body == H1_SIZED) {
		if (n < w->head.content_length)
			return H1_MORE;
		used = (size_t)w->head.content_length;
		builder_add(&w->sink, span_of(w->buf + w->body, used));
	} else if (w->head.body == H1_CHUNKED) {
		uint8_t *exact = fuzz_copy(span_of(w->buf + w->body, n));
		size_t body_n = 0;

		if (w->in_place)
			s = h1_chunks_in_place(&w->head, exact, n, &body_n, &used);
		else
			s = h1_chunks(&w->head, &w->sink, BODY_MAX, exact, n, &used);
		MUST(body_n <= n);
		builder_add(&w->sink, span_of(exact, body_n));
		free(exact);
		if (s == H1_REFUSED)
			return s;
		MUST(s == H1_DONE ? used <= n : used == n);
	}
	w->body += used;
	if (s != H1_DONE)
		return s;
	builder_lv(&w->story->requests, builder_span(&w->sink));
	builder_reset(&w->sink);
	w->start = w->body;
	w->in_body = false;
	w->story->n++;
	h1_head_reset(&w->head);
	return H1_DONE;
}

static enum h1_step deliver(struct wire *w, size_t end)
{
	enum h1_step s = H1_DONE;

	if (end > w->end)
		memcpy(w->buf + w->end, w->sent + w->end, end - w->end);
	w->end = end;
	while (s == H1_DONE && w->story->n < REQUESTS_MAX) {
		if (!w->in_body)
			s = step_head(w);
		if (s == H1_DONE)
			s = step_body(w);
		if (s == H1_DONE && w->start == w->end)
			s = H1_MORE;
	}
	return s;
}

enum decoding { TO_SINK, IN_PLACE };

/* how: 0 all at once, 1 byte by byte, else a seed of sizes. */
static struct story run(struct span sent, const struct h1_limits *l, uint8_t how,
                        enum decoding decoding)
{
	struct story story = {.end = H1_MORE};
	struct wire w = {.story = &story,
	                 .limits = l,
	                 .sent = sent.p,
	                 .n_sent = sent.n,
	                 .in_place = decoding == IN_PLACE};
	size_t end = 0, piece = how;

	w.buf = malloc(sent.n + 1);
	MUST(w.buf != NULL);
	h1_head_reset(&w.head);
	while (end < sent.n && story.end == H1_MORE) {
		piece = piece * 73 + 41;
		size_t n = how == 0 ? sent.n : how == 1 ? 1 : 1 + piece % (how % 4 == 0 ? 7 : 97);
		end = n < sent.n - end ? end + n : sent.n;
		story.end = deliver(&w, end);
	}
	story.status = story.end == H1_REFUSED ? w.head.status : 0;
	free(w.buf);
	builder_free(&w.sink);
	return story;
}

static bool is_size(unsigned status)
{
	return status == 414 || status == 431 || status == 413;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));
	const struct h1_limits *l = &limits[fuzz_u8(&c) % (sizeof limits / sizeof *limits)];
	uint8_t how = fuzz_u8(&c);
	struct span sent = fuzz_rest(&c);

	if (sent.n > INPUT_MAX)
		return 0;
	uint8_t pieces = how > 0 ? how : 1;
	struct story whole = run(sent, l, 0, TO_SINK), parts = run(sent, l, pieces, TO_SINK);
	struct story placed = run(sent, l, pieces, IN_PLACE);
	MUST(whole.n == parts.n && whole.end == parts.end);
	MUST(whole.status == parts.status || is_size(whole.status) || is_size(parts.status));
	MUST(span_eq(builder_span(&whole.requests), builder_span(&parts.requests)));
	MUST(span_starts(builder_span(&placed.requests), builder_span(&parts.requests)));
	MUST(parts.status == 413 || (placed.n == parts.n && placed.status == parts.status));
	builder_free(&whole.requests);
	builder_free(&parts.requests);
	builder_free(&placed.requests);
	return 0;
}
