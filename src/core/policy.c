#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/policy_rule.h"

struct policy {
	_Atomic size_t references;
	struct span name;
	struct hcl *hcl; /* owns the bytes that the rules' spans look at */
	struct policy_rule *rules;
	size_t n_rules;
};

static const char *const names[CAPABILITY_COUNT] = {"create", "delete", "deny", "list", "patch",
                                                    "read",   "root",   "scan", "sudo", "update"};

const char *capability_name(enum capability c)
{
	unsigned i = 0;

	while (i < CAPABILITY_COUNT && (unsigned)c != 1u << i)
		i++;
	MUST(i < CAPABILITY_COUNT);
	return names[i];
}

size_t capability_names(uint32_t set, const char *ret[static CAPABILITY_COUNT])
{
	size_t n = 0;

	for (unsigned i = 0; i < CAPABILITY_COUNT; i++) {
		if (set & 1u << i)
			ret[n++] = names[i];
	}
	return n;
}

/* One stanza being read. */
struct stanza {
	struct span label; /* the path as written, for messages */
	struct policy_rule *rule;
	struct err *err;
};

#define LABEL(s) (int)(s)->label.n, (const char *)(s)->label.p

static enum status bad(const struct stanza *s, const char *what)
{
	return err_set(s->err, ST_INVALID, "path \"%.*s\": %s", LABEL(s), what);
}

static enum status no_memory(const struct stanza *s)
{
	return err_set(s->err, ST_NOMEM, "out of memory while compiling a policy");
}

static enum status wrong_type(const struct stanza *s, const struct hcl_item *item,
                              const char *wanted)
{
	return err_set(s->err, ST_INVALID, "path \"%.*s\": %.*s on line %u must be %s", LABEL(s),
	               (int)item->key.n, (const char *)item->key.p, item->line, wanted);
}

static bool contains(struct span s, const char *what)
{
	size_t n = strlen(what);

	return s.n >= n && memmem(s.p, s.n, what, n) != NULL;
}

/* Where the first segment "+" stands and how many there are; whether there is one. */
static bool find_wildcards(struct span path, struct policy_rule *r)
{
	size_t start = 0;

	for (size_t i = 0; i <= path.n; i++) {
		if (i < path.n && path.p[i] != '/')
			continue;
		if (i - start == 1 && path.p[start] == '+') {
			if (r->wildcards++ == 0)
				r->first_wildcard = start;
		}
		start = i + 1;
	}
	return r->wildcards > 0;
}

static enum status read_path(struct stanza *s)
{
	struct policy_rule *r = s->rule;
	struct span path = s->label;
	bool star;

	if (path.n > 0 && path.p[0] == '/')
		path = span_from(path, 1);
	if (path.n == 0)
		return bad(s, "the path is missing");
	if (contains(path, "{{") || contains(path, "}}"))
		return bad(s, "templates ({{...}}) are not supported: there are no identities yet");
	if (contains(path, "+*"))
		return bad(s, "invalid use of wildcards ('+*' is forbidden)");
	star = path.p[path.n - 1] == '*';
	if (star)
		path.n--;
	r->path = path;
	r->match = star ? MATCH_PREFIX : MATCH_EXACT;
	if (find_wildcards(path, r)) {
		r->match = MATCH_WILDCARD;
		r->glob = star;
	}
	return ST_OK;
}

static enum status read_capability(const struct stanza *s, struct span word)
{
	for (unsigned i = 0; i < CAPABILITY_COUNT; i++) {
		if (1u << i != CAP_ROOT && span_eq_str(word, names[i])) {
			s->rule->capabilities |= 1u << i;
			return ST_OK;
		}
	}
	return err_set(s->err, ST_INVALID, "path \"%.*s\": invalid capability \"%.*s\"", LABEL(s),
	               (int)word.n, (const char *)word.p);
}

static bool is_string_list(const struct hcl_value *v)
{
	if (v->type != HCL_LIST)
		return false;
	for (size_t i = 0; i < v->n; i++) {
		if (v->list[i].type != HCL_STRING)
			return false;
	}
	return true;
}

static enum status read_capabilities(struct stanza *s, const struct hcl_item *item)
{
	const struct hcl_value *v = item->value;

	if (!is_string_list(v))
		return wrong_type(s, item, "a list of strings");
	for (size_t i = 0; i < v->n; i++) {
		if (read_capability(s, v->list[i].text) != ST_OK)
			return ST_INVALID;
	}
	return ST_OK;
}

/* The way to say it before there were capabilities. */
static enum status read_old_policy(struct stanza *s, const struct hcl_item *item)
{
	static const struct {
		const char *word;
		uint32_t means;
	} words[] = {
	    {"deny", CAP_DENY},
	    {"read", CAP_READ | CAP_LIST},
	    {"write", CAP_CREATE | CAP_READ | CAP_UPDATE | CAP_DELETE | CAP_LIST},
	    {"sudo", CAP_CREATE | CAP_READ | CAP_UPDATE | CAP_DELETE | CAP_LIST | CAP_SUDO},
	};
	const struct hcl_value *v = item->value;

	if (v->type != HCL_STRING)
		return wrong_type(s, item, "a string");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (span_eq_str(v->text, words[i].word)) {
			s->rule->capabilities |= words[i].means;
			return ST_OK;
		}
	}
	return err_set(s->err, ST_INVALID, "path \"%.*s\": invalid policy \"%.*s\"", LABEL(s),
	               (int)v->text.n, (const char *)v->text.p);
}

/* Scalars and lists of scalars; an object cannot be compared with. */
static bool is_comparable(const struct hcl_value *v)
{
	if (v->type == HCL_OBJECT)
		return false;
	for (size_t i = 0; v->type == HCL_LIST && i < v->n; i++) {
		if (!is_comparable(&v->list[i]))
			return false;
	}
	return true;
}

static enum status add_params(struct stanza *s, const struct hcl_item *item,
                              const struct hcl_value *object, struct policy_params *params)
{
	struct policy_param *p;

	if (object->type != HCL_OBJECT)
		return wrong_type(s, item, "an object of lists");
	p = reallocarray(params->p, params->n + object->n + 1, sizeof(*p));
	if (p == NULL)
		return no_memory(s);
	params->p = p;
	for (size_t i = 0; i < object->n; i++) {
		const struct hcl_item *param = &object->items[i];
		const struct hcl_value *v = param->value;
		bool list = v->type == HCL_LIST;

		if (param->n_labels > 0 || !is_comparable(v))
			return wrong_type(s, param, "a list of values");
		p[params->n++] = (struct policy_param){
		    .name = param->key, .values = list ? v->list : v, .n = list ? v->n : 1};
	}
	return ST_OK;
}

/* JSON texts may also give a list of such objects. */
static enum status read_params(struct stanza *s, const struct hcl_item *item,
                               struct policy_params *params)
{
	const struct hcl_value *v = item->value;
	enum status st = ST_OK;

	if (item->n_labels > 0)
		return wrong_type(s, item, "an object of lists");
	if (v->type != HCL_LIST)
		return add_params(s, item, v, params);
	for (size_t i = 0; i < v->n && st == ST_OK; i++)
		st = add_params(s, item, &v->list[i], params);
	return st;
}

static enum status read_allowed(struct stanza *s, const struct hcl_item *item)
{
	return read_params(s, item, &s->rule->allowed);
}

static enum status read_denied(struct stanza *s, const struct hcl_item *item)
{
	return read_params(s, item, &s->rule->denied);
}

static enum status read_required(struct stanza *s, const struct hcl_item *item)
{
	const struct hcl_value *v = item->value;
	struct policy_rule *r = s->rule;
	struct span *p;

	if (!is_string_list(v))
		return wrong_type(s, item, "a list of strings");
	p = reallocarray(r->required, r->n_required + v->n + 1, sizeof(*p));
	if (p == NULL)
		return no_memory(s);
	r->required = p;
	for (size_t i = 0; i < v->n; i++)
		p[r->n_required++] = v->list[i].text;
	return ST_OK;
}

static bool is_scalar(const struct hcl_value *v)
{
	return v->type == HCL_STRING || v->type == HCL_NUMBER;
}

static enum status read_ttl(struct stanza *s, const struct hcl_item *item, int64_t *ret_ns)
{
	const struct hcl_value *v = item->value;
	int64_t ns = 0;

	if (!is_scalar(v) || duration_parse(v->text, &ns, NULL) != ST_OK || ns < 0)
		return wrong_type(s, item, "a duration");
	*ret_ns = ns;
	return ST_OK;
}

static enum status read_min_ttl(struct stanza *s, const struct hcl_item *item)
{
	return read_ttl(s, item, &s->rule->min_wrapping_ttl_ns);
}

static enum status read_max_ttl(struct stanza *s, const struct hcl_item *item)
{
	return read_ttl(s, item, &s->rule->max_wrapping_ttl_ns);
}

/* Digits only; false when there are others, none, or too many. */
static bool parse_number(struct span s, int64_t *ret)
{
	int64_t v = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, s.p[i] - '0', &v))
			return false;
	}
	*ret = v;
	return s.n > 0;
}

static enum status read_pagination(struct stanza *s, const struct hcl_item *item)
{
	int64_t n = 0;

	if (!is_scalar(item->value) || !parse_number(item->value->text, &n))
		return wrong_type(s, item, "a number");
	s->rule->pagination_limit = (uint64_t)n;
	return ST_OK;
}

static enum status read_expiration(struct stanza *s, const struct hcl_item *item)
{
	const struct hcl_value *v = item->value;
	int64_t t = 0;
	bool good = is_scalar(v);

	if (good && parse_number(v->text, &t))
		good = !__builtin_mul_overflow(t, NS_PER_S, &t);
	else if (good)
		good = rfc3339_parse(v->text, &t) == ST_OK;
	if (!good)
		return wrong_type(s, item, "a time (RFC 3339)");
	s->rule->expires_ns = t;
	return ST_OK;
}

static enum status read_comment(struct stanza *s, const struct hcl_item *item)
{
	return item->value->type == HCL_STRING ? ST_OK : wrong_type(s, item, "a string");
}

static const struct key {
	const char *name;
	enum status (*read)(struct stanza *s, const struct hcl_item *item);
} keys[] = {
    {"capabilities", read_capabilities},    {"policy", read_old_policy},
    {"allowed_parameters", read_allowed},   {"denied_parameters", read_denied},
    {"required_parameters", read_required}, {"min_wrapping_ttl", read_min_ttl},
    {"max_wrapping_ttl", read_max_ttl},     {"pagination_limit", read_pagination},
    {"expiration", read_expiration},        {"comment", read_comment},
};

static enum status read_key(struct stanza *s, const struct hcl_item *item)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (span_eq_str(item->key, keys[i].name))
			return keys[i].read(s, item);
	}
	return err_set(s->err, ST_INVALID, "path \"%.*s\": invalid key \"%.*s\" on line %u",
	               LABEL(s), (int)item->key.n, (const char *)item->key.p, item->line);
}

static enum status read_body(struct stanza *s, const struct hcl_value *body)
{
	struct policy_rule *r = s->rule;
	enum status st = ST_OK;

	for (size_t i = 0; i < body->n && st == ST_OK; i++)
		st = read_key(s, &body->items[i]);
	if (st != ST_OK)
		return st;
	if (r->max_wrapping_ttl_ns != 0 && r->max_wrapping_ttl_ns < r->min_wrapping_ttl_ns)
		return bad(s, "max_wrapping_ttl cannot be less than min_wrapping_ttl");
	return ST_OK;
}

static enum status count_stanza(void *arg, const struct span *labels, const struct hcl_value *body,
                                struct err *err)
{
	size_t *n = arg;

	(*n)++;
	return ST_OK;
}

static enum status read_stanza(void *arg, const struct span *labels, const struct hcl_value *body,
                               struct err *err)
{
	struct policy *p = arg;
	struct stanza s = {.label = labels[0], .rule = &p->rules[p->n_rules], .err = err};

	/* counted before it is whole, so that what it holds is freed if it fails */
	p->n_rules++;
	s.rule->expires_ns = INT64_MAX;
	if (read_path(&s) != ST_OK)
		return ST_INVALID;
	return read_body(&s, body);
}

/* At the top stand stanzas, and perhaps a name that only people read. */
static enum status check_top(const struct hcl_value *root, struct err *err)
{
	if (root->type != HCL_OBJECT)
		return err_set(err, ST_INVALID, "a policy must be an object");
	for (size_t i = 0; i < root->n; i++) {
		const struct hcl_item *item = &root->items[i];

		if (span_eq_str(item->key, "path")) {
			if (item->n_labels == 0 && item->value->type == HCL_OBJECT &&
			    item->value->n == 0)
				return err_set(err, ST_INVALID, "path on line %u names no path",
				               item->line);
			continue;
		}
		if (!span_eq_str(item->key, "name"))
			return err_set(err, ST_INVALID, "invalid key \"%.*s\" on line %u",
			               (int)item->key.n, (const char *)item->key.p, item->line);
		if (item->value->type != HCL_STRING)
			return err_set(err, ST_INVALID, "name on line %u must be a string",
			               item->line);
	}
	return ST_OK;
}

static enum status compile(struct policy *p, struct span text, struct err *err)
{
	const struct hcl_value *root;
	enum status s;
	size_t n = 0;

	s = hcl_parse(text, &p->hcl, err);
	if (s != ST_OK)
		return s;
	root = hcl_root(p->hcl);
	s = check_top(root, err);
	if (s == ST_OK)
		s = hcl_blocks(root, "path", 1, count_stanza, &n, err);
	if (s != ST_OK)
		return s;
	p->rules = calloc(n + 1, sizeof(*p->rules));
	if (p->rules == NULL)
		return err_set(err, ST_NOMEM, "out of memory while compiling a policy");
	return hcl_blocks(root, "path", 1, read_stanza, p, err);
}

enum status policy_parse(struct span name, struct span text, struct policy **ret, struct err *err)
{
	struct policy *p;
	uint8_t *name_copy;
	enum status s;

	p = calloc(1, sizeof(*p));
	name_copy = malloc(name.n + 1);
	if (p == NULL || name_copy == NULL) {
		free(p);
		free(name_copy);
		return err_set(err, ST_NOMEM, "out of memory while compiling a policy");
	}
	if (name.n > 0)
		memcpy(name_copy, name.p, name.n);
	p->name = span_of(name_copy, name.n);
	atomic_init(&p->references, 1);
	s = compile(p, text, err);
	if (s != ST_OK) {
		policy_unref(&p);
		return s;
	}
	*ret = p;
	return ST_OK;
}

struct policy *policy_ref(struct policy *p)
{
	(void)atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
	return p;
}

static void destroy(struct policy *p)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		free(p->rules[i].allowed.p);
		free(p->rules[i].denied.p);
		free(p->rules[i].required);
	}
	free(p->rules);
	hcl_free(&p->hcl);
	free((void *)(uintptr_t)p->name.p);
	free(p);
}

void policy_unref(struct policy **p)
{
	if (*p != NULL &&
	    atomic_fetch_sub_explicit(&(*p)->references, 1, memory_order_acq_rel) == 1)
		destroy(*p);
	*p = NULL;
}

struct span policy_name(const struct policy *p)
{
	return p->name;
}

const struct policy_rule *policy_rules(const struct policy *p, size_t *ret_n)
{
	*ret_n = p->n_rules;
	return p->rules;
}
