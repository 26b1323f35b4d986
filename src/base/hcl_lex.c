#include <string.h>

#include "base/hcl_lex.h"
#include "base/utf8.h"

const char *hcl_token_name(enum hcl_token_kind kind)
{
	static const char *const names[] = {
	    [HCL_T_END] = "EOF",       [HCL_T_IDENT] = "IDENT",   [HCL_T_STRING] = "STRING",
	    [HCL_T_NUMBER] = "NUMBER", [HCL_T_ASSIGN] = "ASSIGN", [HCL_T_COMMA] = "COMMA",
	    [HCL_T_LBRACE] = "LBRACE", [HCL_T_RBRACE] = "RBRACE", [HCL_T_LBRACK] = "LBRACK",
	    [HCL_T_RBRACK] = "RBRACK",
	};

	return names[kind];
}

static struct span rest(const struct hcl_lexer *l)
{
	return span_of(l->text + l->at, l->n - l->at);
}

/* The byte k places on, or -1 behind the end. */
static int peek(const struct hcl_lexer *l, size_t k)
{
	return l->n - l->at > k ? l->text[l->at + k] : -1;
}

static enum status fail_at(const struct hcl_lexer *l, unsigned line, unsigned column,
                           const char *what)
{
	return err_set(l->err, ST_INVALID, "At %u:%u: %s", line, column, what);
}

static enum status fail(const struct hcl_lexer *l, const char *what)
{
	return fail_at(l, l->line, l->column, what);
}

static bool is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Move over one character; columns count characters. */
static enum status skip(struct hcl_lexer *l)
{
	int c = peek(l, 0);
	size_t n;

	if (c < 0)
		return fail(l, "unexpected end of the text");
	n = utf8_length(rest(l));
	if (n == 0)
		return fail(l, "invalid UTF-8");
	if ((c < 0x20 && !is_space(c)) || c == 0x7f)
		return fail(l, "control character");
	l->at += n;
	l->column++;
	if (c == '\n') {
		l->line++;
		l->column = 1;
	}
	return ST_OK;
}

static enum status skip_n(struct hcl_lexer *l, size_t n)
{
	while (n-- > 0) {
		if (skip(l) != ST_OK)
			return ST_INVALID;
	}
	return ST_OK;
}

void hcl_lexer_init(struct hcl_lexer *l, uint8_t *text, size_t n, struct err *err)
{
	static const uint8_t byte_order_mark[] = {0xef, 0xbb, 0xbf};
	size_t i = 0;

	*l = (struct hcl_lexer){.text = text, .n = n, .line = 1, .column = 1, .err = err};
	if (span_starts(span_of(text, n), span_of(byte_order_mark, sizeof(byte_order_mark))))
		l->at = i = sizeof(byte_order_mark);
	while (i < n && is_space(text[i]))
		i++;
	l->dialect = i < n && text[i] == '{' ? HCL_JSON : HCL_NATIVE;
}

static enum status skip_line(struct hcl_lexer *l)
{
	while (peek(l, 0) >= 0 && peek(l, 0) != '\n') {
		if (skip(l) != ST_OK)
			return ST_INVALID;
	}
	return ST_OK;
}

static enum status skip_block_comment(struct hcl_lexer *l)
{
	unsigned line = l->line, column = l->column;

	if (skip_n(l, 2) != ST_OK)
		return ST_INVALID;
	while (peek(l, 0) != '*' || peek(l, 1) != '/') {
		if (peek(l, 0) < 0)
			return fail_at(l, line, column, "comment not terminated");
		if (skip(l) != ST_OK)
			return ST_INVALID;
	}
	return skip_n(l, 2);
}

static enum status skip_blank(struct hcl_lexer *l)
{
	enum status s = ST_OK;

	while (s == ST_OK) {
		int c = peek(l, 0), next = peek(l, 1);

		if (is_space(c))
			s = skip(l);
		else if (l->dialect == HCL_JSON)
			break;
		else if (c == '#' || (c == '/' && next == '/'))
			s = skip_line(l);
		else if (c == '/' && next == '*')
			s = skip_block_comment(l);
		else
			break;
	}
	return s;
}

/* `digits` digits of the base at offset `k`; false when one is missing. */
static bool read_code(const struct hcl_lexer *l, size_t k, size_t digits, uint32_t base,
                      uint32_t *ret)
{
	uint32_t v = 0;

	for (size_t i = 0; i < digits; i++) {
		int c = peek(l, k + i);
		uint32_t d = is_digit(c) ? (uint32_t)(c - '0') : 99;

		if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			d = (uint32_t)((c | 0x20) - 'a' + 10);
		if (d >= base)
			return false;
		v = v * base + d;
	}
	*ret = v;
	return true;
}

static bool read_simple_escape(const struct hcl_lexer *l, int c, uint32_t *ret)
{
	static const char native[] = "abfnrtv\\\"", native_means[] = "\a\b\f\n\r\t\v\\\"";
	static const char json[] = "bfnrt\\\"/", json_means[] = "\b\f\n\r\t\\\"/";
	const char *from = l->dialect == HCL_JSON ? json : native;
	const char *to = l->dialect == HCL_JSON ? json_means : native_means;
	const char *found = c > 0 ? strchr(from, c) : NULL;

	if (found == NULL)
		return false;
	*ret = (uint8_t)to[found - from];
	return true;
}

/* "\uXXXX" at the lexer's place, in JSON with the second half of a surrogate pair; *ret_n: how long it is. */
static bool read_u_escape(const struct hcl_lexer *l, uint32_t *ret_code, size_t *ret_n)
{
	uint32_t high, low;

	if (!read_code(l, 2, 4, 16, &high))
		return false;
	*ret_code = high;
	*ret_n = 6;
	if (l->dialect == HCL_NATIVE || high < 0xd800 || high > 0xdbff)
		return true;
	if (peek(l, 6) != '\\' || peek(l, 7) != 'u' || !read_code(l, 8, 4, 16, &low) ||
	    low < 0xdc00 || low > 0xdfff)
		return false;
	*ret_code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	*ret_n = 12;
	return true;
}

/* An escape at the lexer's place: its code point, and how many bytes it is written with. */
static bool read_escape(const struct hcl_lexer *l, uint32_t *ret_code, size_t *ret_n)
{
	int c = peek(l, 1);

	if (read_simple_escape(l, c, ret_code)) {
		*ret_n = 2;
		return true;
	}
	if (c == 'u')
		return read_u_escape(l, ret_code, ret_n);
	if (l->dialect == HCL_JSON)
		return false;
	if (c == 'U') {
		*ret_n = 10;
		return read_code(l, 2, 8, 16, ret_code);
	}
	if (c == 'x') {
		/* a byte, and as a character of its own only an ASCII one is UTF-8 */
		*ret_n = 4;
		return read_code(l, 2, 2, 16, ret_code) && *ret_code < 0x80;
	}
	*ret_n = 4;
	return read_code(l, 1, 3, 8, ret_code) && *ret_code < 0x80;
}

static enum status unescape(struct hcl_lexer *l, uint8_t **out)
{
	uint8_t bytes[4];
	uint32_t code = 0;
	size_t n, width = 0;

	if (!read_escape(l, &code, &width))
		return fail(l, "invalid escape in a string");
	n = utf8_encode(code, bytes);
	if (n == 0 || code == 0)
		return fail(l, "a string must not hold this character");
	if (skip_n(l, width) != ST_OK)
		return ST_INVALID;
	/* never longer than what was written, so it never passes the lexer's place */
	memcpy(*out, bytes, n);
	*out += n;
	return ST_OK;
}

static enum status read_string(struct hcl_lexer *l)
{
	struct hcl_token *t = &l->token;
	uint8_t *first, *out;

	if (skip(l) != ST_OK)
		return ST_INVALID;
	first = out = l->text + l->at;
	while (peek(l, 0) != '"') {
		size_t before = l->at;
		int c = peek(l, 0);

		if (c < 0 || c == '\n')
			return fail_at(l, t->line, t->column, "literal not terminated");
		if (c == '\\') {
			if (unescape(l, &out) != ST_OK)
				return ST_INVALID;
			continue;
		}
		if (c < 0x20 && (l->dialect == HCL_JSON || c != '\t'))
			return fail(l, "control character");
		if (skip(l) != ST_OK)
			return ST_INVALID;
		memmove(out, l->text + before, l->at - before);
		out += l->at - before;
	}
	t->kind = HCL_T_STRING;
	t->text = span_of(first, (size_t)(out - first));
	return skip(l);
}

/* Whether the line at the lexer's place is the heredoc's mark, after white space; *ret_indent: how much of that. */
static bool at_mark(const struct hcl_lexer *l, struct span mark, size_t *ret_indent)
{
	size_t i = 0, end;

	while (peek(l, i) == ' ' || peek(l, i) == '\t')
		i++;
	if (!span_starts(span_from(rest(l), i), mark))
		return false;
	end = i + mark.n;
	while (peek(l, end) == '\r')
		end++;
	*ret_indent = i;
	return peek(l, end) == '\n' || peek(l, end) < 0;
}

static size_t line_length(struct span s)
{
	const uint8_t *end = memchr(s.p, '\n', s.n);

	return end == NULL ? s.n : (size_t)(end - s.p) + 1;
}

static bool is_blank_line(struct span line)
{
	return span_eq_str(line, "\n") || span_eq_str(line, "\r\n");
}

/* Take the mark's indent off every line, if every line has it: otherwise the text stays as it is. */
static size_t unindent(uint8_t *p, size_t n, struct span indent)
{
	struct span left;
	size_t length;
	uint8_t *out = p;

	for (left = span_of(p, n); left.n > 0; left = span_from(left, length)) {
		length = line_length(left);
		if (!span_starts(left, indent) && !is_blank_line(span_of(left.p, length)))
			return n;
	}
	for (left = span_of(p, n); left.n > 0; left = span_from(left, length)) {
		size_t cut;

		length = line_length(left);
		cut = is_blank_line(span_of(left.p, length)) ? 0 : indent.n;
		memmove(out, left.p + cut, length - cut);
		out += length - cut;
	}
	return (size_t)(out - p);
}

/* "<<EOT" or "<<-EOT", the mark alone on its line; the lines below it up to the one that holds the mark. */
static enum status read_heredoc(struct hcl_lexer *l)
{
	struct hcl_token *t = &l->token;
	bool indented = peek(l, 2) == '-';
	size_t indent = 0, first, n, k = 0;
	struct span mark;

	if (skip_n(l, indented ? 3 : 2) != ST_OK)
		return ST_INVALID;
	while (is_letter(peek(l, k)) || is_digit(peek(l, k)))
		k++;
	mark = span_of(l->text + l->at, k);
	if (k == 0 || skip_n(l, k) != ST_OK)
		return fail_at(l, t->line, t->column, "heredoc without a mark");
	while (peek(l, 0) == '\r')
		l->at++;
	if (peek(l, 0) != '\n' || skip(l) != ST_OK)
		return fail(l, "a heredoc's mark must end its line");
	first = l->at;
	while (!at_mark(l, mark, &indent)) {
		if (skip_line(l) != ST_OK)
			return ST_INVALID;
		if (peek(l, 0) < 0)
			return fail_at(l, t->line, t->column, "heredoc not terminated");
		if (skip(l) != ST_OK)
			return ST_INVALID;
	}
	n = l->at - first;
	if (indented)
		n = unindent(l->text + first, n, span_of(l->text + l->at, indent));
	t->kind = HCL_T_STRING;
	t->text = span_of(l->text + first, n);
	return skip_n(l, indent + mark.n);
}

static size_t count_digits(struct span s)
{
	size_t n = 0;

	while (n < s.n && is_digit(s.p[n]))
		n++;
	return n;
}

static bool is_hex(struct span s)
{
	size_t n = 0;

	for (; n < s.n; n++) {
		uint8_t c = s.p[n] | 0x20;

		if (!is_digit(s.p[n]) && (c < 'a' || c > 'f'))
			return false;
	}
	return n > 0;
}

/* -digits[.digits][e[sign]digits]; natively also 0x; in JSON no leading zeros. */
static bool is_number(const struct hcl_lexer *l, struct span s)
{
	size_t n;

	if (s.n > 0 && s.p[0] == '-')
		s = span_from(s, 1);
	if (l->dialect == HCL_NATIVE && s.n > 2 && s.p[0] == '0' && (s.p[1] | 0x20) == 'x')
		return is_hex(span_from(s, 2));
	n = count_digits(s);
	if (n == 0 || (l->dialect == HCL_JSON && n > 1 && s.p[0] == '0'))
		return false;
	s = span_from(s, n);
	if (s.n > 0 && s.p[0] == '.') {
		n = count_digits(span_from(s, 1));
		if (n == 0)
			return false;
		s = span_from(s, n + 1);
	}
	if (s.n > 0 && (s.p[0] | 0x20) == 'e') {
		s = span_from(s, 1);
		if (s.n > 0 && (s.p[0] == '+' || s.p[0] == '-'))
			s = span_from(s, 1);
		return s.n > 0 && count_digits(s) == s.n;
	}
	return s.n == 0;
}

static enum status read_number(struct hcl_lexer *l)
{
	struct hcl_token *t = &l->token;
	size_t n = 1;

	for (;; n++) {
		int c = peek(l, n), before = peek(l, n - 1) | 0x20;

		if (!is_digit(c) && !is_letter(c) && c != '.' &&
		    !((c == '-' || c == '+') && before == 'e'))
			break;
	}
	t->kind = HCL_T_NUMBER;
	t->text = span_of(l->text + l->at, n);
	if (!is_number(l, t->text))
		return fail_at(l, t->line, t->column, "malformed number");
	return skip_n(l, n);
}

static enum status read_ident(struct hcl_lexer *l)
{
	struct hcl_token *t = &l->token;
	size_t n = 1;

	while (is_letter(peek(l, n)) || is_digit(peek(l, n)) || peek(l, n) == '-' ||
	       peek(l, n) == '.')
		n++;
	t->kind = HCL_T_IDENT;
	t->text = span_of(l->text + l->at, n);
	return skip_n(l, n);
}

static bool punctuation(const struct hcl_lexer *l, int c, enum hcl_token_kind *ret)
{
	static const struct {
		char c;
		enum hcl_token_kind kind;
	} marks[] = {
	    {',', HCL_T_COMMA},  {'{', HCL_T_LBRACE}, {'}', HCL_T_RBRACE},
	    {'[', HCL_T_LBRACK}, {']', HCL_T_RBRACK},
	};

	if (c == (l->dialect == HCL_JSON ? ':' : '=')) {
		*ret = HCL_T_ASSIGN;
		return true;
	}
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (c == marks[i].c) {
			*ret = marks[i].kind;
			return true;
		}
	}
	return false;
}

enum status hcl_next(struct hcl_lexer *l)
{
	struct hcl_token *t = &l->token;
	int c;

	if (skip_blank(l) != ST_OK)
		return ST_INVALID;
	*t = (struct hcl_token){.kind = HCL_T_END, .line = l->line, .column = l->column};
	c = peek(l, 0);
	if (c < 0)
		return ST_OK;
	if (punctuation(l, c, &t->kind))
		return skip(l);
	if (c == '"')
		return read_string(l);
	if (c == '<' && peek(l, 1) == '<' && l->dialect == HCL_NATIVE)
		return read_heredoc(l);
	if (is_digit(c) || c == '-')
		return read_number(l);
	if (is_letter(c))
		return read_ident(l);
	if (skip(l) != ST_OK)
		return ST_INVALID;
	return fail_at(l, t->line, t->column, "unexpected character");
}
