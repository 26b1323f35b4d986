/*
 * policy: policy texts, and what they grant where.
 *
 * Input: a first byte; if it is even, a path (a byte of length), a request body (a byte of length) and a policy text:
 *   - the text is refused with a reason, or compiled; twice the same is the same, united with itself too;
 *   - acl_check agrees with acl_capabilities, a body can only take rights away, sudo is told either way.
 * If it is odd, stanzas and paths made from the bytes, out of a few segments, so that they meet often:
 *   - verdicts are those of the slow reference (tests/lib/slow_policy.h), also when the stanzas are spread over two policies.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/policy.h"
#include "fuzz.h"
#include "lib/slow_policy.h"

static const enum capability all[] = {CAP_CREATE, CAP_DELETE, CAP_LIST, CAP_PATCH,
                                      CAP_READ,   CAP_SCAN,   CAP_SUDO, CAP_UPDATE};
#define ALL_COUNT (sizeof all / sizeof *all)

/* ---- any text ---- */

static struct policy *parse(struct span text)
{
	uint8_t *exact = fuzz_copy(text);
	struct policy *p = NULL;
	struct err err = {0};
	enum status st = policy_parse(span_str("p"), span_of(exact, text.n), &p, &err);

	MUST(st == ST_OK || st == ST_INVALID || st == ST_LIMIT);
	MUST((st == ST_OK) == (p != NULL) && (st == ST_OK || err.text[0] != '\0'));
	free(exact);
	return p;
}

static struct acl *acl_of(struct policy *const *policies, size_t n)
{
	struct acl *a = NULL;

	MUST(acl_new(policies, n, 0, &a) == ST_OK);
	return a;
}

/* A list or scan of "a/b" is one of "a/b/". */
static uint32_t capabilities_for(const struct acl *a, struct span path, enum capability wanted)
{
	uint8_t folder[300];

	if ((wanted != CAP_LIST && wanted != CAP_SCAN) || path.n == 0 || path.p[path.n - 1] == '/')
		return acl_capabilities(a, path);
	MUST(path.n < sizeof folder);
	memcpy(folder, path.p, path.n);
	folder[path.n] = '/';
	return acl_capabilities(a, span_of(folder, path.n + 1));
}

static void check_verdicts(const struct acl *a, struct span path, const struct json_value *data)
{
	for (size_t i = 0; i < ALL_COUNT; i++) {
		struct acl_verdict bare, with;
		uint32_t caps = capabilities_for(a, path, all[i]);

		acl_check(a, path, all[i], NULL, &bare);
		acl_check(a, path, all[i], data, &with);
		MUST((caps & CAP_DENY) == 0 || caps == CAP_DENY);
		MUST(!bare.root && !with.root);
		MUST(!bare.allowed || (caps & all[i]) != 0);
		MUST(!with.allowed || (caps & all[i]) != 0);
		MUST(bare.sudo == ((caps & CAP_SUDO) != 0) && bare.sudo == with.sudo);
		if (!bare.bound && bare.max_wrapping_ttl_ns == 0)
			MUST(bare.allowed == ((caps & all[i]) != 0) &&
			     with.allowed == bare.allowed);
		MUST(bare.min_wrapping_ttl_ns >= 0 && bare.max_wrapping_ttl_ns >= 0);
	}
}

static void check_same(const struct acl *a, const struct acl *b, struct span path,
                       const struct json_value *data)
{
	MUST(acl_capabilities(a, path) == acl_capabilities(b, path));
	MUST(acl_valid_until_ns(a) == acl_valid_until_ns(b));
	for (size_t i = 0; i < ALL_COUNT; i++) {
		struct acl_verdict v, w;

		acl_check(a, path, all[i], data, &v);
		acl_check(b, path, all[i], data, &w);
		MUST(v.allowed == w.allowed && v.sudo == w.sudo && v.bound == w.bound &&
		     v.pagination_limit == w.pagination_limit &&
		     v.min_wrapping_ttl_ns == w.min_wrapping_ttl_ns &&
		     v.max_wrapping_ttl_ns == w.max_wrapping_ttl_ns);
	}
}

static void any_text(struct cursor *c)
{
	struct span path = fuzz_lv(c), body = fuzz_lv(c), text = fuzz_rest(c);
	struct policy *p = parse(text);
	uint8_t *memory = fuzz_copy(body), *exact = fuzz_copy(path);
	const struct json_value *data = NULL;
	struct json doc;

	json_init(&doc);
	if (json_parse(&doc, memory, body.n, NULL, NULL) == ST_OK &&
	    json_root(&doc)->type == JSON_OBJECT)
		data = json_root(&doc);
	if (p != NULL) {
		struct policy *again = parse(text), *both[] = {p, again};
		struct acl *one = acl_of(&p, 1), *two = acl_of(both, 2);

		path = span_of(exact, path.n);
		check_verdicts(one, path, data);
		check_same(one, two, path, data);
		acl_free(&one);
		acl_free(&two);
		policy_unref(&again);
		policy_unref(&p);
	}
	json_free(&doc);
	free(memory);
	free(exact);
}

/* ---- made-up stanzas ---- */

#define STANZAS_MAX 12

/* At most four segments, and a slash or a star at the end. */
static void make_text(struct cursor *c, char *out, size_t cap, const char *const *segments,
                      size_t n_segments)
{
	uint8_t shape = fuzz_u8(c);
	size_t at = 0;

	for (unsigned i = 0; i <= shape % 4; i++)
		at += (size_t)snprintf(out + at, cap - at, "%s%s", i > 0 ? "/" : "",
		                       segments[fuzz_u8(c) % n_segments]);
	if ((shape >> 2) % 4 == 1)
		at += (size_t)snprintf(out + at, cap - at, "/");
	if (shape >> 6 == 3 && out[at - 1] != '+')
		(void)snprintf(out + at, cap - at, "*");
}

static void make_stanza(struct cursor *c, struct slow_policy *slow, struct builder *text)
{
	static const char *const segments[] = {"a", "b", "ab", "+", "+", "a+", "*", "b*"};
	const char *names[CAPABILITY_COUNT];
	char pattern[SLOW_TEXT];
	uint8_t bits;
	uint32_t capabilities = 0;

	make_text(c, pattern, sizeof pattern, segments, sizeof segments / sizeof *segments);
	if (strstr(pattern, "+*") != NULL)
		return; /* refused, and not what this is about */
	bits = fuzz_u8(c);
	for (size_t i = 0; i < ALL_COUNT; i++)
		capabilities |= (bits >> i & 1) != 0 ? (uint32_t)all[i] : 0;
	if (fuzz_u8(c) % 8 == 7)
		capabilities |= CAP_DENY;
	builder_fmt(text, "path \"%s\" { capabilities = [", pattern);
	size_t n = capability_names(capabilities, names);
	for (size_t i = 0; i < n; i++)
		builder_fmt(text, "\"%s\",", names[i]);
	builder_str(text, "] }\n");
	slow_policy_add(slow, pattern, capabilities);
}

static void check_slow(const struct acl *a, const struct slow_policy *slow, const char *path)
{
	uint32_t want = slow_policy_capabilities(slow, path), folder_want;
	char folder[SLOW_TEXT];
	size_t n = strlen(path);

	MUST(acl_capabilities(a, span_str(path)) == (want == 0 ? (uint32_t)CAP_DENY : want));
	(void)snprintf(folder, sizeof folder, "%s%s", path, n > 0 && path[n - 1] == '/' ? "" : "/");
	folder_want = slow_policy_capabilities(slow, folder);
	for (size_t i = 0; i < ALL_COUNT; i++) {
		bool lists = all[i] == CAP_LIST || all[i] == CAP_SCAN;
		struct acl_verdict v;

		if (all[i] == CAP_SUDO)
			continue;
		acl_check(a, span_str(path), all[i], NULL, &v);
		MUST(v.allowed == (((lists ? folder_want : want) & all[i]) != 0));
	}
}

static void stanzas(struct cursor *c)
{
	static const char *const segments[] = {"a", "b", "ab", "abc", "+", "a+", "c", "b*", "*"};
	struct slow_policy slow = {0};
	struct builder text[2] = {{0}, {0}};
	struct policy *p[2];
	struct acl *a;

	for (unsigned i = fuzz_u8(c) % STANZAS_MAX; i > 0; i--)
		make_stanza(c, &slow, &text[i % 2]);
	for (int i = 0; i < 2; i++) {
		p[i] = parse(builder_span(&text[i]));
		MUST(p[i] != NULL);
	}
	a = acl_of(p, 2);
	while (c->left > 0) {
		char path[SLOW_TEXT];

		make_text(c, path, sizeof path, segments, sizeof segments / sizeof *segments);
		check_slow(a, &slow, path);
	}
	acl_free(&a);
	for (int i = 0; i < 2; i++) {
		policy_unref(&p[i]);
		builder_free(&text[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));

	if (fuzz_u8(&c) % 2 == 0)
		any_text(&c);
	else
		stanzas(&c);
	return 0;
}
