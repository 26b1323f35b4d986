#include "config_value.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* A complaint is one line, whatever of the file it shows. */
static void one_line(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = ' ';
}

enum status config_bad(struct config_reader *r, unsigned line, unsigned column, const char *fmt,
                       ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	one_line(text);
	r->told = true;
	return err_set(r->err, ST_INVALID, "%s:%u:%u: %s", r->file, line, column, text);
}

enum status config_place(const struct config_reader *r, unsigned line, unsigned column, char **ret)
{
	char *place = NULL;

	if (asprintf(&place, "%s:%u:%u", r->file, line, column) < 0)
		return ST_NOMEM;
	*ret = place;
	return ST_OK;
}

enum status config_warn(struct config_reader *r, unsigned line, unsigned column, const char *fmt,
                        ...)
{
	struct config *c = r->c;
	char text[ERR_TEXT_MAX];
	char *warning = NULL;
	char **grown;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	one_line(text);
	if (asprintf(&warning, "%s:%u:%u: %s", r->file, line, column, text) < 0)
		return ST_NOMEM;
	grown = reallocarray(c->warnings, c->n_warnings + 1, sizeof *grown);
	if (grown == NULL) {
		free(warning);
		return ST_NOMEM;
	}
	grown[c->n_warnings++] = warning;
	c->warnings = grown;
	return ST_OK;
}

/* A text that a C string can hold, and not empty. */
static enum status check_text(struct config_reader *r, const struct config_field *f,
                              const struct hcl_value *v)
{
	if (v->type != HCL_STRING)
		return config_bad(r, v->line, v->column, "%s must be a string", f->name);
	if (v->text.n == 0)
		return config_bad(r, v->line, v->column, "%s must not be empty", f->name);
	if (memchr(v->text.p, 0, v->text.n) != NULL)
		return config_bad(r, v->line, v->column, "%s holds a NUL", f->name);
	return ST_OK;
}

enum status config_set_string(struct config_reader *r, const struct config_field *f,
                              const struct hcl_value *v, void *to)
{
	char **member = to;
	char *copy;
	enum status s;

	s = check_text(r, f, v);
	if (s != ST_OK)
		return s;
	copy = strndup((const char *)v->text.p, v->text.n);
	if (copy == NULL)
		return ST_NOMEM;
	free(*member);
	*member = copy;
	return ST_OK;
}

/* Operators write tls_disable = 1 and "true" as often as true. */
enum status config_set_bool(struct config_reader *r, const struct config_field *f,
                            const struct hcl_value *v, void *to)
{
	bool *member = to;

	if (v->type == HCL_BOOL || v->type == HCL_STRING || v->type == HCL_NUMBER) {
		if (span_eq_str(v->text, "true") || span_eq_str(v->text, "1")) {
			*member = true;
			return ST_OK;
		}
		if (span_eq_str(v->text, "false") || span_eq_str(v->text, "0")) {
			*member = false;
			return ST_OK;
		}
	}
	return config_bad(r, v->line, v->column, "%s must be true or false", f->name);
}

/* Decimal digits at the front of s; *ret_rest is what follows. */
static bool leading_number(struct span s, uint64_t *ret, struct span *ret_rest)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(s.p[i] - '0'), &n))
			return false;
	if (i == 0)
		return false;
	*ret = n;
	*ret_rest = span_from(s, i);
	return true;
}

static bool scalar(const struct hcl_value *v)
{
	return v->type == HCL_NUMBER || v->type == HCL_STRING;
}

enum status config_set_uint(struct config_reader *r, const struct config_field *f,
                            const struct hcl_value *v, void *to)
{
	unsigned *member = to;
	struct span rest;
	uint64_t n;

	if (!scalar(v) || !leading_number(v->text, &n, &rest) || rest.n != 0 ||
	    n < (uint64_t)f->min || n > (uint64_t)f->max)
		return config_bad(r, v->line, v->column,
		                  "%s must be a whole number from %lld to %lld", f->name,
		                  (long long)f->min, (long long)f->max);
	*member = (unsigned)n;
	return ST_OK;
}

static const struct {
	const char *name;
	unsigned shift;
} units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};

enum status config_set_size(struct config_reader *r, const struct config_field *f,
                            const struct hcl_value *v, void *to)
{
	uint64_t *member = to;
	struct span rest;
	uint64_t n;
	size_t i;

	if (!scalar(v) || !leading_number(v->text, &n, &rest))
		goto bad;
	for (i = 0; i < sizeof units / sizeof units[0]; i++)
		if (span_eq_str(rest, units[i].name))
			break;
	if (i == sizeof units / sizeof units[0] || n > UINT64_MAX >> units[i].shift)
		goto bad;
	n <<= units[i].shift;
	if (n < (uint64_t)f->min || n > (uint64_t)f->max)
		return config_bad(r, v->line, v->column, "%s must be from %lld to %lld bytes",
		                  f->name, (long long)f->min, (long long)f->max);
	*member = n;
	return ST_OK;
bad:
	return config_bad(r, v->line, v->column,
	                  "%s must be a number of bytes, like 1048576 or \"64GiB\"", f->name);
}

enum status config_set_duration(struct config_reader *r, const struct config_field *f,
                                const struct hcl_value *v, void *to)
{
	int64_t *member = to;
	int64_t ns;

	if (!scalar(v) || duration_parse(v->text, &ns, NULL) != ST_OK)
		return config_bad(
		    r, v->line, v->column,
		    "%s must be a duration, like \"768h\", \"90s\" or a number of seconds",
		    f->name);
	if (ns < f->min)
		return config_bad(r, v->line, v->column, "%s must be at least %lld seconds",
		                  f->name, (long long)(f->min / NS_PER_S));
	*member = ns;
	return ST_OK;
}

enum status config_set_ttl(struct config_reader *r, const struct config_field *f,
                           const struct hcl_value *v, void *to)
{
	(void)snprintf(r->ttl_place, sizeof r->ttl_place, "%s:%u:%u", r->file, v->line, v->column);
	return config_set_duration(r, f, v, to);
}

enum status config_set_octal(struct config_reader *r, const struct config_field *f,
                             const struct hcl_value *v, void *to)
{
	unsigned *member = to;
	unsigned mode = 0;
	size_t i;

	if (!scalar(v) || v->text.n == 0 || v->text.n > 4)
		goto bad;
	for (i = 0; i < v->text.n; i++) {
		if (v->text.p[i] < '0' || v->text.p[i] > '7')
			goto bad;
		mode = mode * 8 + (unsigned)(v->text.p[i] - '0');
	}
	if (mode > 0777)
		goto bad;
	*member = mode;
	return ST_OK;
bad:
	return config_bad(r, v->line, v->column, "%s must be an octal file mode, like \"0660\"",
	                  f->name);
}

/* http://HOST[:PORT] or https://, nothing behind it. */
static bool url_good(struct span s)
{
	size_t i;

	if (span_starts(s, span_str("https://")))
		s = span_from(s, strlen("https://"));
	else if (span_starts(s, span_str("http://")))
		s = span_from(s, strlen("http://"));
	else
		return false;
	if (s.n > 0 && s.p[s.n - 1] == '/')
		s.n--;
	for (i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || strchr("/?#@\\\"", s.p[i]) != NULL)
			return false;
	return s.n > 0 && s.p[0] != ':';
}

enum status config_set_url(struct config_reader *r, const struct config_field *f,
                           const struct hcl_value *v, void *to)
{
	if (v->type == HCL_STRING && !url_good(v->text))
		return config_bad(r, v->line, v->column,
		                  "%s must be an address like \"https://keyturn.example:8200\"",
		                  f->name);
	return config_set_string(r, f, v, to);
}

/* An IP address, or a name that may be resolved; "" means every address. */
static bool host_good(const char *host)
{
	struct in6_addr in6;

	if (strchr(host, ':') != NULL)
		return inet_pton(AF_INET6, host, &in6) == 1;
	return strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
	       strlen(host);
}

enum status config_split_address(struct span text, char **ret_host, uint16_t *ret_port)
{
	struct span host, rest;
	uint64_t port;
	size_t colon;
	char *copy;

	for (colon = text.n; colon > 0 && text.p[colon - 1] != ':'; colon--)
		;
	if (colon == 0 || !leading_number(span_from(text, colon), &port, &rest) || rest.n != 0 ||
	    port > UINT16_MAX)
		return ST_INVALID;
	host = span_of(text.p, colon - 1);
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
		host = span_of(host.p + 1, host.n - 2);
		if (memchr(host.p, ':', host.n) == NULL)
			return ST_INVALID;
	} else if (host.n > 0 && memchr(host.p, ':', host.n) != NULL) {
		return ST_INVALID;
	}
	copy = host.n == 0 ? strdup("") : strndup((const char *)host.p, host.n);
	if (copy == NULL)
		return ST_NOMEM;
	if (strlen(copy) != host.n || !host_good(copy)) {
		free(copy);
		return ST_INVALID;
	}
	*ret_host = copy;
	*ret_port = (uint16_t)port;
	return ST_OK;
}

enum status config_set_tcp(struct config_reader *r, const struct config_field *f,
                           const struct hcl_value *v, void *to)
{
	struct config_listener *l = to;
	uint16_t port;
	char *host;
	enum status s;

	s = config_set_string(r, f, v, &l->address);
	if (s != ST_OK)
		return s;
	s = config_split_address(v->text, &host, &port);
	if (s == ST_INVALID)
		return config_bad(r, v->line, v->column,
		                  "%s must be HOST:PORT, like \"127.0.0.1:8200\" or \"[::1]:8200\"",
		                  f->name);
	if (s != ST_OK)
		return s;
	free(l->host);
	l->host = host;
	l->port = port;
	return ST_OK;
}

enum status config_set_level(struct config_reader *r, const struct config_field *f,
                             const struct hcl_value *v, void *to)
{
	if (v->type != HCL_STRING || log_level_parse(v->text, to) != ST_OK)
		return config_bad(
		    r, v->line, v->column,
		    "%s must be \"trace\", \"debug\", \"info\", \"warn\", \"error\" or \"off\"",
		    f->name);
	return ST_OK;
}

enum status config_set_format(struct config_reader *r, const struct config_field *f,
                              const struct hcl_value *v, void *to)
{
	if (v->type != HCL_STRING || log_format_parse(v->text, to) != ST_OK)
		return config_bad(r, v->line, v->column, "%s must be \"standard\" or \"json\"",
		                  f->name);
	return ST_OK;
}

enum status config_set_tls(struct config_reader *r, const struct config_field *f,
                           const struct hcl_value *v, void *to)
{
	enum config_tls *member = to;

	if (v->type == HCL_STRING && span_eq_str(v->text, "tls12"))
		*member = CONFIG_TLS12;
	else if (v->type == HCL_STRING && span_eq_str(v->text, "tls13"))
		*member = CONFIG_TLS13;
	else
		return config_bad(r, v->line, v->column, "%s must be \"tls12\" or \"tls13\"",
		                  f->name);
	return ST_OK;
}

enum status config_set_client_cert(struct config_reader *r, const struct config_field *f,
                                   const struct hcl_value *v, void *to)
{
	static const char *const words[] = {
	    [CONFIG_CLIENT_NONE] = "none",
	    [CONFIG_CLIENT_REQUEST] = "request",
	    [CONFIG_CLIENT_REQUIRE] = "require",
	};
	enum config_client_cert *member = to;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (v->type != HCL_STRING || !span_eq_str(v->text, words[i]))
			continue;
		*member = (enum config_client_cert)i;
		return ST_OK;
	}
	return config_bad(r, v->line, v->column, "%s must be \"none\", \"request\" or \"require\"",
	                  f->name);
}

enum status config_set_gcm(struct config_reader *r, const struct config_field *f,
                           const struct hcl_value *v, void *to)
{
	enum config_gcm *member = to;

	if (v->type == HCL_STRING && span_eq_str(v->text, "mb"))
		*member = CONFIG_GCM_MB;
	else if (v->type == HCL_STRING && span_eq_str(v->text, "evp"))
		*member = CONFIG_GCM_EVP;
	else
		return config_bad(r, v->line, v->column, "%s must be \"mb\" or \"evp\"", f->name);
	return ST_OK;
}

enum status config_set_ignored(struct config_reader *r, const struct config_field *f,
                               const struct hcl_value *v, void *to)
{
	return config_warn(r, v->line, v->column, "%s is accepted and ignored: %s", f->name,
	                   f->note);
}

const struct config_block config_no_blocks[] = {{NULL, 0, NULL}};

static const struct config_field *find_field(const struct config_field *fields, struct span name)
{
	for (; fields != NULL; fields = fields->more)
		for (; fields->name != NULL; fields++)
			if (span_eq_str(name, fields->name))
				return fields;
	return NULL;
}

static bool is_block(const struct config_block *blocks, struct span name)
{
	for (; blocks->name != NULL; blocks++)
		if (span_eq_str(name, blocks->name))
			return true;
	return false;
}

static enum status unknown_name(struct config_reader *r, const struct hcl_item *item)
{
	const int n = item->key.n < 80 ? (int)item->key.n : 80;
	const char *name = (const char *)item->key.p;

	if (r->mode == CONFIG_LENIENT)
		return config_warn(r, item->line, item->column, "unknown name \"%.*s\" is ignored",
		                   n, name);
	return config_bad(r, item->line, item->column, "unknown name \"%.*s\"", n, name);
}

/* The plain names of one body into the struct at `to`; names of `blocks` are left to hcl_blocks. */
enum status config_read_fields(struct config_reader *r, const struct hcl_value *body,
                               const struct config_field *fields, const struct config_block *blocks,
                               void *to)
{
	const struct config_field *f;
	const struct hcl_item *item;
	enum status s;
	size_t i, j;

	for (i = 0; i < body->n; i++) {
		item = &body->items[i];
		if (is_block(blocks, item->key))
			continue;
		f = find_field(fields, item->key);
		if (f == NULL) {
			s = unknown_name(r, item);
			if (s != ST_OK)
				return s;
			continue;
		}
		if (item->n_labels != 0)
			return config_bad(r, item->line, item->column, "%s is not a block",
			                  f->name);
		for (j = 0; j < i; j++)
			if (span_eq(body->items[j].key, item->key))
				return config_bad(r, item->line, item->column, "%s stands twice",
				                  f->name);
		s = f->set(r, f, item->value, (char *)to + f->at);
		if (s != ST_OK)
			return s;
	}
	return ST_OK;
}

enum status config_read_blocks(struct config_reader *r, const struct hcl_value *body,
                               const struct config_block *blocks, void *arg)
{
	enum status s;

	for (; blocks->name != NULL; blocks++) {
		s = hcl_blocks(body, blocks->name, blocks->n_labels, blocks->visit, arg, r->err);
		if (s != ST_OK)
			return s;
	}
	return ST_OK;
}
