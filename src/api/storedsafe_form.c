/*
 * Forms with a file: what the neutral request has as an object of strings.  The file may have any name (clients differ); it is the part with a file name, or, where none has one, the
 * only part that is not the token.  All others are text, and keep their names.
 */
#include "api/multipart.h"
#include "api/storedsafe_impl.h"
#include "base/utf8.h"

#define PARTS_MAX 16
_Static_assert(PARTS_MAX < JSON_INLINE, "an object of so many strings");

static bool is_token(const struct multipart_part *p)
{
	return span_eq_str(p->name, "token");
}

/* Which part is the file: its index. */
static enum status find_file(const struct multipart_part *parts, size_t n, size_t *ret,
                             struct err *err)
{
	enum multipart_kind kind = MULTIPART_FIELD;
	size_t at = n, candidates = 0;

	for (size_t i = 0; i < n; i++)
		if (parts[i].kind == MULTIPART_FILE)
			kind = MULTIPART_FILE;
	for (size_t i = 0; i < n; i++) {
		if (parts[i].kind != kind || is_token(&parts[i]))
			continue;
		at = i;
		candidates++;
	}
	if (candidates != 1)
		return err_set(err, ST_INVALID,
		               candidates == 0 ? "the form holds no file"
		                               : "the form holds more than one file");
	*ret = at;
	return ST_OK;
}

static enum status check_text(const struct multipart_part *p, const char *file, struct err *err)
{
	if (!utf8_valid(p->content))
		return err_set(err, ST_INVALID, "a part of the form is not UTF-8");
	if (span_eq_str(p->name, file))
		return err_set(err, ST_INVALID, "the form holds more than one file");
	return ST_OK;
}

enum status safe_parse_form(struct safe_state *s, const struct exchange *x, struct err *err)
{
	struct json_string_member members[PARTS_MAX];
	struct multipart_part parts[PARTS_MAX];
	const char *name = s->route->file;
	struct span boundary;
	size_t n = 0, file = 0;
	enum status st;

	if (name == NULL)
		return ST_NOT_FOUND;
	st = multipart_boundary(exchange_header(x, "content-type"), &boundary, err);
	if (st == ST_OK)
		st = multipart_parse(span_of(x->body, x->n_body), boundary, parts, PARTS_MAX, &n,
		                     err);
	if (st == ST_OK)
		st = find_file(parts, n, &file, err);
	for (size_t i = 0; st == ST_OK && i < n; i++) {
		if (i != file)
			st = check_text(&parts[i], name, err);
		members[i] = (struct json_string_member){i == file ? span_str(name) : parts[i].name,
		                                         parts[i].content};
	}
	if (st == ST_OK)
		json_strings(&s->doc, members, n);
	return st == ST_LIMIT ? ST_INVALID : st;
}
