/*
 * One array of rules, in three sorted parts: exact rules and prefixes for binary search, rules with "+" by priority, so that
 * the first one that matches wins.  The order of priority is HashiCorp Vault's ("Policies: priority matching").
 */
#include <stdlib.h>
#include <string.h>

#include "core/policy_rule.h"

#define NO_PARENT SIZE_MAX

/* The united stanzas of one path. */
struct rule {
	const struct policy_rule *const *stanzas;
	size_t n;
	uint32_t capabilities;
	bool bound; /* a stanza speaks of parameters */
	size_t
	    parent; /* MATCH_PREFIX: the rule with the longest prefix that is a prefix of this one */
	uint64_t pagination_limit;
	int64_t min_wrapping_ttl_ns;
	int64_t max_wrapping_ttl_ns;
};

struct rules {
	struct rule *r;
	size_t n;
};

struct acl {
	bool root;
	int64_t valid_until_ns;
	struct policy **policies;
	size_t n_policies;
	const struct policy_rule **stanzas; /* sorted */
	struct rule *all;
	struct rules exact, prefix, wildcard; /* parts of all */
};

/*
 * A requested path: its text without one trailing slash, and whether that slash is there (or is thought to be).
 */
struct place {
	struct span stem;
	bool slash;
};

static struct place place_of(struct span path)
{
	struct place p = {.stem = path};

	if (path.n > 0 && path.p[path.n - 1] == '/') {
		p.slash = true;
		p.stem.n--;
	}
	return p;
}

/* Byte order, a prefix before what it starts. */
static int text_cmp(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

	if (order != 0)
		return order;
	return a.n < b.n ? -1 : a.n > b.n;
}

/* The same order between a text and a place. */
static int place_cmp(struct span a, struct place b)
{
	struct span head = a;
	int order;

	if (!b.slash || a.n <= b.stem.n) {
		order = text_cmp(a, b.stem);
		return order == 0 && b.slash ? -1 : order;
	}
	head.n = b.stem.n;
	order = text_cmp(head, b.stem);
	if (order == 0)
		order = (int)a.p[b.stem.n] - '/';
	return order != 0 ? order : a.n > b.stem.n + 1;
}

static bool place_starts(struct place p, struct span prefix)
{
	if (prefix.n <= p.stem.n)
		return span_starts(p.stem, prefix);
	return p.slash && place_cmp(prefix, p) == 0;
}

static int number_cmp(size_t a, size_t b)
{
	return a < b ? -1 : a > b;
}

/* Priority among rules with "+", the higher first. */
static int wildcard_cmp(const struct policy_rule *a, const struct policy_rule *b)
{
	int order = number_cmp(b->first_wildcard, a->first_wildcard);

	if (order == 0)
		order = number_cmp(a->glob, b->glob);
	if (order == 0)
		order = number_cmp(a->wildcards, b->wildcards);
	if (order == 0)
		order = number_cmp(b->path.n, a->path.n);
	return order != 0 ? order : text_cmp(b->path, a->path);
}

/* Equal only for stanzas of one path. */
static int stanza_cmp(const void *x, const void *y)
{
	const struct policy_rule *a = *(const struct policy_rule *const *)x,
	                         *b = *(const struct policy_rule *const *)y;

	if (a->match != b->match)
		return a->match < b->match ? -1 : 1;
	return a->match == MATCH_WILDCARD ? wildcard_cmp(a, b) : text_cmp(a->path, b->path);
}

static struct span rule_path(const struct rule *r)
{
	return r->stanzas[0]->path;
}

static int64_t smaller_limit(int64_t a, int64_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

/* One deny silences all other stanzas of the path. */
static void unite(struct rule *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct policy_rule *s = r->stanzas[i];

		r->capabilities |= s->capabilities;
		r->bound = r->bound || s->allowed.n > 0 || s->denied.n > 0 || s->n_required > 0;
		r->min_wrapping_ttl_ns =
		    smaller_limit(r->min_wrapping_ttl_ns, s->min_wrapping_ttl_ns);
		r->max_wrapping_ttl_ns =
		    smaller_limit(r->max_wrapping_ttl_ns, s->max_wrapping_ttl_ns);
		r->pagination_limit = (uint64_t)smaller_limit((int64_t)r->pagination_limit,
		                                              (int64_t)s->pagination_limit);
	}
	if (r->capabilities & CAP_DENY)
		*r = (struct rule){.stanzas = r->stanzas, .n = r->n, .capabilities = CAP_DENY};
}

/* Sorted prefixes: the enclosing one of each is found among the enclosing ones of its neighbour. */
static void link_prefixes(struct rules *prefix)
{
	for (size_t i = 0; i < prefix->n; i++) {
		size_t up = i == 0 ? NO_PARENT : i - 1;

		while (up != NO_PARENT &&
		       !span_starts(rule_path(&prefix->r[i]), rule_path(&prefix->r[up])))
			up = prefix->r[up].parent;
		prefix->r[i].parent = up;
	}
}

static struct rules *part(struct acl *a, enum policy_match match)
{
	if (match == MATCH_EXACT)
		return &a->exact;
	return match == MATCH_PREFIX ? &a->prefix : &a->wildcard;
}

static void build(struct acl *a, size_t n_stanzas)
{
	size_t at = 0;
	struct rule *r = a->all;

	qsort(a->stanzas, n_stanzas, sizeof(*a->stanzas), stanza_cmp);
	while (at < n_stanzas) {
		struct rules *rules = part(a, a->stanzas[at]->match);

		*r = (struct rule){.stanzas = a->stanzas + at, .n = 1, .parent = NO_PARENT};
		while (at + r->n < n_stanzas &&
		       stanza_cmp(&a->stanzas[at], &a->stanzas[at + r->n]) == 0)
			r->n++;
		at += r->n;
		unite(r);
		if (rules->n++ == 0)
			rules->r = r;
		r++;
	}
	link_prefixes(&a->prefix);
}

/* The stanzas of all policies that have not expired; how many. */
static size_t collect(struct acl *a, int64_t now_ns)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n_policies; i++) {
		size_t n_rules;
		const struct policy_rule *rules = policy_rules(a->policies[i], &n_rules);

		for (size_t k = 0; k < n_rules; k++) {
			if (rules[k].expires_ns <= now_ns)
				continue;
			if (rules[k].expires_ns < a->valid_until_ns)
				a->valid_until_ns = rules[k].expires_ns;
			a->stanzas[n++] = &rules[k];
		}
	}
	return n;
}

static size_t count_stanzas(struct policy *const *policies, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		size_t n_rules;

		(void)policy_rules(policies[i], &n_rules);
		sum += n_rules;
	}
	return sum;
}

enum status acl_new(struct policy *const *policies, size_t n, int64_t now_ns, struct acl **ret)
{
	size_t n_stanzas = count_stanzas(policies, n);
	struct acl *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return ST_NOMEM;
	a->valid_until_ns = INT64_MAX;
	a->policies = calloc(n + 1, sizeof(struct policy *));
	a->stanzas = calloc(n_stanzas + 1, sizeof(*a->stanzas));
	a->all = calloc(n_stanzas + 1, sizeof(*a->all));
	if (a->policies == NULL || a->stanzas == NULL || a->all == NULL) {
		acl_free(&a);
		return ST_NOMEM;
	}
	for (; a->n_policies < n; a->n_policies++) {
		a->policies[a->n_policies] = policy_ref(policies[a->n_policies]);
		a->root = a->root || span_eq_str(policy_name(policies[a->n_policies]), "root");
	}
	build(a, collect(a, now_ns));
	*ret = a;
	return ST_OK;
}

void acl_free(struct acl **acl)
{
	struct acl *a = *acl;

	*acl = NULL;
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->n_policies; i++)
		policy_unref(&a->policies[i]);
	free(a->policies);
	free(a->stanzas);
	free(a->all);
	free(a);
}

int64_t acl_valid_until_ns(const struct acl *acl)
{
	return acl->valid_until_ns;
}

/* How many of the sorted rules stand at or before the place. */
static size_t rules_up_to(const struct rules *rules, struct place p)
{
	size_t low = 0, high = rules->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (place_cmp(rule_path(&rules->r[middle]), p) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct rule *find_exact(const struct acl *a, struct place p)
{
	size_t n = rules_up_to(&a->exact, p);

	if (n == 0 || place_cmp(rule_path(&a->exact.r[n - 1]), p) != 0)
		return NULL;
	return &a->exact.r[n - 1];
}

/* All that sorts between a prefix and what it starts has that prefix too, so the longest is the neighbour or encloses it. */
static const struct rule *find_prefix(const struct acl *a, struct place p)
{
	size_t n = rules_up_to(&a->prefix, p);
	size_t i = n == 0 ? NO_PARENT : n - 1;

	while (i != NO_PARENT && !place_starts(p, rule_path(&a->prefix.r[i])))
		i = a->prefix.r[i].parent;
	return i == NO_PARENT ? NULL : &a->prefix.r[i];
}

/* What is left of a path to take segments from; the slash behind it starts one more, empty segment. */
struct segments {
	struct span left;
	bool slash;
	bool done;
};

static struct span next_segment(struct segments *s)
{
	const uint8_t *end = s->left.n > 0 ? memchr(s->left.p, '/', s->left.n) : NULL;
	struct span segment = s->left;

	if (end != NULL) {
		segment.n = (size_t)(end - s->left.p);
		s->left = span_from(s->left, segment.n + 1);
	} else {
		s->left = span_from(s->left, s->left.n);
		s->done = !s->slash;
		s->slash = false;
	}
	return segment;
}

static bool matches(const struct policy_rule *r, struct place p)
{
	struct segments pattern = {.left = r->path}, path = {.left = p.stem, .slash = p.slash};

	while (!pattern.done) {
		struct span want, have;

		if (path.done)
			return false;
		want = next_segment(&pattern);
		have = next_segment(&path);
		if (span_eq_str(want, "+") || span_eq(want, have))
			continue;
		return r->glob && pattern.done && span_starts(have, want);
	}
	return r->glob || path.done;
}

/* The first wildcard stands later; or, at the same place, one names whole segments and the other does not. */
static bool beats_prefix(const struct policy_rule *wildcard, size_t prefix_n)
{
	return wildcard->first_wildcard > prefix_n ||
	       (wildcard->first_wildcard == prefix_n && !wildcard->glob);
}

static const struct rule *find_inexact(const struct acl *a, struct place p)
{
	const struct rule *prefix = find_prefix(a, p);

	for (size_t i = 0; i < a->wildcard.n; i++) {
		const struct policy_rule *w = a->wildcard.r[i].stanzas[0];

		if (prefix != NULL && !beats_prefix(w, rule_path(prefix).n))
			break;
		if (matches(w, p))
			return &a->wildcard.r[i];
	}
	return prefix;
}

static bool denies(const struct rule *r)
{
	return r != NULL && (r->capabilities & CAP_DENY) != 0;
}

/* The rule that applies, or NULL.  A folder is met under both spellings, so that neither steps around a deny. */
static const struct rule *find_rule(const struct acl *a, struct place p)
{
	struct place bare = {.stem = p.stem};
	const struct rule *as_folder = NULL, *as_bare = find_exact(a, bare);

	if (p.slash) {
		as_folder = find_exact(a, p);
		if (as_folder == NULL)
			as_folder = as_bare != NULL ? as_bare : find_inexact(a, p);
	}
	if (as_bare == NULL)
		as_bare = find_inexact(a, bare);
	if (as_folder == NULL || denies(as_bare))
		return as_bare;
	return as_folder;
}

static bool grants(const struct rule *r, enum capability wanted, const struct json_value *data)
{
	const uint32_t with_body = CAP_CREATE | CAP_UPDATE | CAP_PATCH;

	if ((r->capabilities & (uint32_t)wanted) == 0)
		return false;
	/* united stanzas can leave no length that suits both */
	if (r->max_wrapping_ttl_ns != 0 && r->max_wrapping_ttl_ns < r->min_wrapping_ttl_ns)
		return false;
	if (!r->bound || ((uint32_t)wanted & with_body) == 0)
		return true;
	return policy_params_pass(r->stanzas, r->n, data);
}

void acl_check(const struct acl *acl, struct span path, enum capability wanted,
               const struct json_value *data, struct acl_verdict *ret)
{
	struct place p = place_of(path);
	const struct rule *r;

	MUST(wanted != CAP_DENY && wanted != CAP_ROOT);
	if (acl->root) {
		*ret = (struct acl_verdict){.allowed = true, .sudo = true, .root = true};
		return;
	}
	*ret = (struct acl_verdict){0};
	if ((wanted == CAP_LIST || wanted == CAP_SCAN) && path.n > 0)
		p.slash = true;
	r = find_rule(acl, p);
	if (r == NULL)
		return;
	ret->allowed = grants(r, wanted, data);
	ret->sudo = (r->capabilities & CAP_SUDO) != 0;
	ret->bound = r->bound;
	ret->pagination_limit = r->pagination_limit;
	ret->min_wrapping_ttl_ns = r->min_wrapping_ttl_ns;
	ret->max_wrapping_ttl_ns = r->max_wrapping_ttl_ns;
}

uint32_t acl_capabilities(const struct acl *acl, struct span path)
{
	const struct rule *r;

	if (acl->root)
		return CAP_ROOT;
	r = find_rule(acl, place_of(path));
	return r == NULL || r->capabilities == 0 ? CAP_DENY : r->capabilities;
}
