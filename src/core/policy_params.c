/* What a rule says about the parameters of a request. */
#include <string.h>

#include "core/policy_rule.h"

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool same_name(struct span a, struct span b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	}
	return true;
}

/* "*x", "x*" and "*x*" stand for what ends with, starts with or holds x; a lone "*" for itself. */
static bool glob_matches(struct span pattern, struct span text)
{
	bool head = pattern.n > 1 && pattern.p[0] == '*';
	bool tail = pattern.n > 1 && pattern.p[pattern.n - 1] == '*';

	if (head)
		pattern = span_from(pattern, 1);
	if (tail)
		pattern.n--;
	if (head && tail)
		return pattern.n == 0 ||
		       (text.n > 0 && memmem(text.p, text.n, pattern.p, pattern.n) != NULL);
	if (head)
		return span_ends(text, pattern);
	return tail ? span_starts(text, pattern) : span_eq(text, pattern);
}

static bool json_scalar(const struct json_value *v, struct span *ret)
{
	if (v->type == JSON_TRUE || v->type == JSON_FALSE)
		*ret = span_str(v->type == JSON_TRUE ? "true" : "false");
	else if (v->type == JSON_STRING || v->type == JSON_NUMBER)
		*ret = v->text;
	else
		return false;
	return true;
}

/*
 * Scalars are compared by their text, whatever their types: handlers take "5" for 5, so a denied 5 must stop both.
 * Lists are compared element by element.
 */
static bool same_value(const struct hcl_value *rule, const struct json_value *v)
{
	const struct json_value *element;
	struct span text;

	if (rule->type != HCL_LIST) {
		if (!json_scalar(v, &text))
			return false;
		return rule->type == HCL_STRING ? glob_matches(rule->text, text)
		                                : span_eq(rule->text, text);
	}
	if (v->type != JSON_ARRAY || v->count != rule->n)
		return false;
	element = json_first(v);
	for (size_t i = 0; i < rule->n; i++, element = json_next(element)) {
		if (!same_value(&rule->list[i], element))
			return false;
	}
	return true;
}

/* What a list of parameters says about one of a request. */
enum opinion { UNNAMED, NAMED_OTHER_VALUE, NAMED };

static enum opinion opinion_of(const struct policy_params *params, const struct json_value *v)
{
	enum opinion opinion = UNNAMED;

	for (size_t i = 0; i < params->n; i++) {
		const struct policy_param *p = &params->p[i];

		if (!same_name(p->name, v->name))
			continue;
		opinion = NAMED_OTHER_VALUE;
		if (p->n == 0)
			return NAMED;
		for (size_t k = 0; k < p->n; k++) {
			if (same_value(&p->values[k], v))
				return NAMED;
		}
	}
	return opinion;
}

static bool has_star(const struct policy_params *params)
{
	for (size_t i = 0; i < params->n; i++) {
		if (span_eq_str(params->p[i].name, "*"))
			return true;
	}
	return false;
}

static bool denied(const struct policy_rule *const *stanzas, size_t n, const struct json_value *v)
{
	for (size_t i = 0; i < n; i++) {
		const struct policy_params *params = &stanzas[i]->denied;

		if (has_star(params) || opinion_of(params, v) == NAMED)
			return true;
	}
	return false;
}

/* The stanzas' lists count as one: named with this value in any, or named in none where one has "*". */
static bool allowed(const struct policy_rule *const *stanzas, size_t n, const struct json_value *v)
{
	bool lists = false, star = false, named = false;

	for (size_t i = 0; i < n; i++) {
		const struct policy_params *params = &stanzas[i]->allowed;
		enum opinion opinion = opinion_of(params, v);

		if (opinion == NAMED)
			return true;
		named = named || opinion == NAMED_OTHER_VALUE;
		star = star || has_star(params);
		lists = lists || params->n > 0;
	}
	return !lists || (star && !named);
}

static bool is_lowered(struct span s, struct span name)
{
	if (s.n != name.n)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != lower(name.p[i]))
			return false;
	}
	return true;
}

/* As the rule spells it or in lower case; a null is as good as nothing to the handlers. */
static bool has_parameter(const struct json_value *data, struct span name)
{
	const struct json_value *v;

	if (data == NULL || data->type != JSON_OBJECT)
		return false;
	v = json_first(data);
	for (uint32_t i = 0; i < data->count; i++, v = json_next(v)) {
		if (v->type != JSON_NULL && (span_eq(v->name, name) || is_lowered(v->name, name)))
			return true;
	}
	return false;
}

bool policy_params_pass(const struct policy_rule *const *stanzas, size_t n,
                        const struct json_value *data)
{
	const struct json_value *v;

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < stanzas[i]->n_required; k++) {
			if (!has_parameter(data, stanzas[i]->required[k]))
				return false;
		}
	}
	if (data == NULL || data->type != JSON_OBJECT)
		return true;
	v = json_first(data);
	for (uint32_t i = 0; i < data->count; i++, v = json_next(v)) {
		if (denied(stanzas, n, v) || !allowed(stanzas, n, v))
			return false;
	}
	return true;
}
