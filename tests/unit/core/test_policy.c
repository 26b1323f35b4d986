#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "core/policy.h"
#include "lib/slow_policy.h"

/* The linker leads the modules' allocations here (--wrap); `allowed` counts down to the one that fails. */
static int allowed = -1;
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

static int fails(void)
{
	if (allowed < 0)
		return 0;
	return allowed-- == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

static struct policy *parse(const char *name, const char *text)
{
	struct policy *p = NULL;
	struct err err = {0};

	if (policy_parse(span_str(name), span_str(text), &p, &err) != ST_OK)
		fail_msg("%s: %s", text, err.text);
	return p;
}

/* What the texts (up to a NULL) grant together, each a policy of its own. */
static struct acl *acl_of(const char *const *texts)
{
	struct policy *policies[8] = {NULL};
	struct acl *a = NULL;
	size_t n = 0;

	for (; texts[n] != NULL; n++) {
		assert_true(n < 8);
		policies[n] = parse("p", texts[n]);
	}
	assert_int_equal(acl_new(policies, n, 0, &a), ST_OK);
	/* the ACL keeps what it needs */
	for (size_t i = 0; i < n; i++)
		policy_unref(&policies[i]);
	return a;
}

#define ACL(...) acl_of((const char *const[]){__VA_ARGS__, NULL})

/* The capabilities as sys/capabilities shows them. */
static void capabilities_are(const struct acl *a, const char *path, const char *want)
{
	const char *names[CAPABILITY_COUNT];
	size_t n = capability_names(acl_capabilities(a, span_str(path)), names);
	char text[200] = "";
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i > 0 ? "," : "",
		                       names[i]);
	if (strcmp(text, want) != 0)
		fail_msg("%s: %s, not %s", path, text, want);
}

static bool may(const struct acl *a, const char *path, enum capability wanted)
{
	struct acl_verdict v;

	acl_check(a, span_str(path), wanted, NULL, &v);
	return v.allowed;
}

static bool may_send(const struct acl *a, const char *path, enum capability wanted,
                     const char *body)
{
	struct acl_verdict v;
	struct json doc;
	uint8_t text[256];

	assert_true(strlen(body) < sizeof(text));
	memcpy(text, body, strlen(body));
	json_init(&doc);
	assert_int_equal(json_parse(&doc, text, strlen(body), NULL, NULL), ST_OK);
	acl_check(a, span_str(path), wanted, json_root(&doc), &v);
	json_free(&doc);
	return v.allowed;
}

static void capabilities_have_names(void **state)
{
	const char *names[CAPABILITY_COUNT];

	assert_string_equal(capability_name(CAP_CREATE), "create");
	assert_string_equal(capability_name(CAP_DENY), "deny");
	assert_string_equal(capability_name(CAP_ROOT), "root");
	assert_string_equal(capability_name(CAP_UPDATE), "update");
	assert_int_equal(capability_names(0, names), 0);
	assert_int_equal(capability_names(0x3ff, names), CAPABILITY_COUNT);
	for (size_t i = 1; i < CAPABILITY_COUNT; i++)
		assert_true(strcmp(names[i - 1], names[i]) < 0);
	for (unsigned i = 0; i < CAPABILITY_COUNT; i++)
		assert_string_equal(capability_name((enum capability)(1u << i)), names[i]);
}

/* Recorded: "policies: life" and "policies: JSON form". */
static void every_spelling_of_a_policy(void **state)
{
	struct acl *a = ACL("{\"path\":{\"pj/*\":{\"capabilities\":[\"read\",\"list\"]}}}");

	capabilities_are(a, "pj/x", "list,read");
	capabilities_are(a, "pk/x", "deny");
	acl_free(&a);
	assert_null(a);
	acl_free(&a);

	a = ACL("name = \"n\"\n"
	        "path \"/r\" { policy = \"read\" comment = \"c\" }\n"
	        "path \"w\" { policy = \"write\" }\n"
	        "path \"s\" { policy = \"sudo\" }\n"
	        "path \"d\" { policy = \"deny\" capabilities = [\"read\"] }\n"
	        "path \"both\" { policy = \"read\" capabilities = [\"patch\", \"scan\"] }\n"
	        "path \"all\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", "
	        "\"list\", \"patch\", \"scan\", \"sudo\"] }\n"
	        "path \"none\" { capabilities = [] }\n"
	        "path \"bare\" { }\n"
	        "path \"json\" { allowed_parameters = [{ a = [] }, { b = 1 }] }\n");
	capabilities_are(a, "r", "list,read");
	capabilities_are(a, "w", "create,delete,list,read,update");
	capabilities_are(a, "s", "create,delete,list,read,sudo,update");
	capabilities_are(a, "d", "deny");
	capabilities_are(a, "both", "list,patch,read,scan");
	capabilities_are(a, "all", "create,delete,list,patch,read,scan,sudo,update");
	capabilities_are(a, "none", "deny");
	capabilities_are(a, "bare", "deny");
	capabilities_are(a, "", "deny");
	capabilities_are(a, "/", "deny");
	assert_false(may(a, "none", CAP_READ));
	assert_false(may(a, "", CAP_LIST));
	acl_free(&a);

	a = ACL("");
	capabilities_are(a, "x", "deny");
	assert_false(may(a, "x", CAP_READ));
	acl_free(&a);
}

static void refused_texts(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
	    /* recorded: "policies: refused" */
	    {"path {", "At 1:7: object expected closing RBRACE got: EOF"},
	    {"path \"a\" { capabilities = [\"fly\"] }", "path \"a\": invalid capability \"fly\""},
	    {"path \"a\" { capabilities = [\"read\"] nosuch = 1 }",
	     "path \"a\": invalid key \"nosuch\" on line 1"},
	    {"nosuch \"a\" { }", "invalid key \"nosuch\" on line 1"},
	    {"\n\nnosuch = 1", "invalid key \"nosuch\" on line 3"},
	    {"path \"a\" {\n capabilities = [\"read\"]\n nosuch = 1 }",
	     "path \"a\": invalid key \"nosuch\" on line 3"},
	    {"[]", "At 1:1: expected a key"},
	    {"name = 5", "name on line 1 must be a string"},
	    {"path { }", "path on line 1 names no path"},
	    {"path = 1", "At 1:8: \"path\" needs a label and a body"},
	    {"path \"a\" \"b\" { }", "At 1:1: \"path\" has too many labels"},
	    {"path \"\" { }", "path \"\": the path is missing"},
	    {"path \"/\" { }", "path \"/\": the path is missing"},
	    {"path \"a/+*\" { }", "path \"a/+*\": invalid use of wildcards ('+*' is forbidden)"},
	    {"path \"a/{{identity.entity.id}}/x\" { }",
	     "path \"a/{{identity.entity.id}}/x\": templates"},
	    {"path \"a\" { capabilities = [\"root\"] }", "path \"a\": invalid capability \"root\""},
	    {"path \"a\" { capabilities = [\"deny\", \"fly\"] }", "invalid capability \"fly\""},
	    {"path \"a\" { capabilities = [\"Read\"] }", "invalid capability \"Read\""},
	    {"path \"a\" { capabilities = [\"\"] }", "invalid capability \"\""},
	    {"path \"a\" { capabilities = \"read\" }",
	     "path \"a\": capabilities on line 1 must be a list of strings"},
	    {"path \"a\" { capabilities = [1] }",
	     "path \"a\": capabilities on line 1 must be a list of strings"},
	    {"path \"a\" { policy = \"admin\" }", "path \"a\": invalid policy \"admin\""},
	    {"path \"a\" { policy = 1 }", "path \"a\": policy on line 1 must be a string"},
	    {"path \"a\" { comment = 1 }", "path \"a\": comment on line 1 must be a string"},
	    {"path \"a\" { allowed_parameters = 1 }",
	     "allowed_parameters on line 1 must be an object of lists"},
	    {"path \"a\" { allowed_parameters = [1] }",
	     "allowed_parameters on line 1 must be an object of lists"},
	    {"path \"a\" { allowed_parameters \"b\" { } }",
	     "allowed_parameters on line 1 must be an object of lists"},
	    {"path \"a\" { denied_parameters = { b = [{}] } }",
	     "path \"a\": b on line 1 must be a list of values"},
	    {"path \"a\" { denied_parameters = { b = {} } }",
	     "path \"a\": b on line 1 must be a list of values"},
	    {"path \"a\" { denied_parameters = { b = [[{}]] } }",
	     "path \"a\": b on line 1 must be a list of values"},
	    {"path \"a\" { required_parameters = \"x\" }",
	     "required_parameters on line 1 must be a list of strings"},
	    {"path \"a\" { required_parameters = [1] }",
	     "required_parameters on line 1 must be a list of strings"},
	    {"path \"a\" { min_wrapping_ttl = \"soon\" }",
	     "min_wrapping_ttl on line 1 must be a duration"},
	    {"path \"a\" { max_wrapping_ttl = \"-1s\" }",
	     "max_wrapping_ttl on line 1 must be a duration"},
	    {"path \"a\" { max_wrapping_ttl = [] }",
	     "max_wrapping_ttl on line 1 must be a duration"},
	    {"path \"a\" { min_wrapping_ttl = 400 max_wrapping_ttl = 200 }",
	     "path \"a\": max_wrapping_ttl cannot be less than min_wrapping_ttl"},
	    {"path \"a\" { pagination_limit = -1 }", "pagination_limit on line 1 must be a number"},
	    {"path \"a\" { pagination_limit = 1.5 }",
	     "pagination_limit on line 1 must be a number"},
	    {"path \"a\" { pagination_limit = true }",
	     "pagination_limit on line 1 must be a number"},
	    {"path \"a\" { pagination_limit = 99999999999999999999 }",
	     "pagination_limit on line 1 must be a number"},
	    {"path \"a\" { expiration = \"tomorrow\" }", "expiration on line 1 must be a time"},
	    {"path \"a\" { expiration = 99999999999 }", "expiration on line 1 must be a time"},
	    {"path \"a\" { expiration = true }", "expiration on line 1 must be a time"},
	    {"{\"path\": 1}", "\"path\" needs a label and a body"},
	    {"{\"path\": {}}", "path on line 1 names no path"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct policy *p = NULL;
		struct err err = {0};
		enum status s = policy_parse(span_str("p"), span_str(bad[i].text), &p, &err);

		if (s != ST_INVALID)
			fail_msg("%s is taken", bad[i].text);
		assert_null(p);
		if (strstr(err.text, bad[i].error) == NULL)
			fail_msg("%s\n%s\n%s", bad[i].text, err.text, bad[i].error);
	}
}

static void references(void **state)
{
	struct policy *p = parse("named", "path \"a\" { policy = \"read\" }"), *q = policy_ref(p);

	assert_ptr_equal(p, q);
	policy_unref(&p);
	assert_null(p);
	policy_unref(&p);
	assert_true(span_eq_str(policy_name(q), "named"));
	policy_unref(&q);
}

static const char pm[] =
    "path \"pm/*\" { capabilities = [\"read\"] }\n"
    "path \"pm/deep/*\" { capabilities = [\"create\", \"update\", \"read\", \"list\"] }\n"
    "path \"pm/deep/no\" { capabilities = [\"deny\"] }\n"
    "path \"pm/+/cfg\" { capabilities = [\"update\"] }\n"
    "path \"pm/+/+/x\" { capabilities = [\"delete\"] }\n"
    "path \"exact\" { capabilities = [\"read\"] }\n";
static const char pm2[] = "path \"pm/deep/*\" { capabilities = [\"delete\"] }\n"
                          "path \"exact\" { capabilities = [\"deny\"] }";

/* Recorded: "policies: longest match, glob, plus, deny". */
static void longest_match_as_recorded(void **state)
{
	static const struct {
		const char *path, *one, *both;
	} cases[] = {
	    {"pm/x", "read", "read"},
	    {"pm/deep/yes", "create,list,read,update", "create,delete,list,read,update"},
	    {"pm/deep/no", "deny", "deny"},
	    {"pm/any/cfg", "update", "update"},
	    {"pm/a/b/x", "delete", "delete"},
	    {"exact", "read", "deny"},
	    {"exact/", "read", "deny"},
	    {"exactly", "deny", "deny"},
	    {"pm", "deny", "deny"},
	    {"other", "deny", "deny"},
	};
	struct acl *one = ACL(pm), *both = ACL(pm, pm2), *turned = ACL(pm2, pm);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		capabilities_are(one, cases[i].path, cases[i].one);
		capabilities_are(both, cases[i].path, cases[i].both);
		capabilities_are(turned, cases[i].path, cases[i].both);
	}
	assert_true(may(one, "exact", CAP_READ));
	assert_true(may(one, "exact/", CAP_READ));
	assert_false(may(both, "exact", CAP_READ));
	assert_false(may(both, "exact/", CAP_READ));
	assert_false(may(one, "pm/deep/no", CAP_READ));
	assert_false(may(one, "pm/deep/no/", CAP_LIST));
	acl_free(&one);
	acl_free(&both);
	acl_free(&turned);
}

/* Which of two rules applies: the documented steps of the priority, one after another. */
static void priority_of_wildcards(void **state)
{
	static const struct {
		const char *winner, *loser, *path;
	} cases[] = {
	    {"a/b", "a/*", "a/b"},
	    {"a/b", "a/+", "a/b"},
	    {"a/b*", "a/*", "a/bc"},
	    /* the first wildcard stands later */
	    {"a/b/+", "a/+/c", "a/b/c"},
	    {"a/b*", "a/+", "a/b"},
	    {"a/b/*", "a/+/c", "a/b/c"},
	    {"secret/a/*", "secret/+/x/y", "secret/a/x/y"},
	    /* no glob at the end */
	    {"a/+", "a/*", "a/b"},
	    {"a/+/c", "a/+/*", "a/b/c"},
	    {"a/+/+", "a/+/c*", "a/b/c"},
	    {"+/+/+", "*", "a/b/c"},
	    /* fewer segments of "+" */
	    {"a/+/c/d", "a/+/+/d", "a/b/c/d"},
	    {"a/*", "a/+/*", "a/b/c"},
	    {"a/+/c/*", "a/+/+/*", "a/b/c/d"},
	    /* longer */
	    /* "+b" is no wildcard */
	    {"a/+b/*", "a/+/c", "a/+b/c"},
	    {"+/+/cc", "+/b/+", "a/b/cc"},
	    {"a/+/cd*", "a/+/c*", "a/b/cde"},
	    /* lexicographically larger: one "+" each, of one length */
	    {"+/b/c/+", "+/+/c/d", "a/b/c/d"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char win[100], lose[100];
		struct acl *a;

		(void)snprintf(win, sizeof(win), "path \"%s\" { capabilities = [\"read\"] }",
		               cases[i].winner);
		(void)snprintf(lose, sizeof(lose), "path \"%s\" { capabilities = [\"update\"] }",
		               cases[i].loser);
		a = ACL(lose);
		capabilities_are(a, cases[i].path, "update");
		acl_free(&a);
		a = ACL(win, lose);
		capabilities_are(a, cases[i].path, "read");
		acl_free(&a);
		a = ACL(lose, win);
		capabilities_are(a, cases[i].path, "read");
		acl_free(&a);
	}
}

static void what_patterns_match(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool match;
	} cases[] = {
	    {"*", "a/b", true},
	    {"*", "", true},
	    {"+", "a", true},
	    {"+", "a/b", false},
	    {"+/b", "a/b", true},
	    {"+/b", "b", false},
	    {"a/+", "a/b", true},
	    {"a/+", "a", false},
	    {"a/+", "a/b/c", false},
	    {"a/+/", "a/b/", true},
	    {"a/+/", "a/b", false},
	    {"a/+/*", "a/b/c/d", true},
	    {"a/+/*", "a/b/", true},
	    {"a/+/*", "a/b", false},
	    {"a/+/c*", "a/b/cd/e", true},
	    {"a/+/c*", "a/b/xc", false},
	    {"+/+/c", "a/b/c", true},
	    {"+/+/c", "a/b/d", false},
	    /* no wildcards, these */
	    {"a+", "a+", true},
	    {"a+", "ab", false},
	    {"a/+b", "a/+b", true},
	    {"a/+b", "a/cb", false},
	    {"a/b+/c", "a/bx/c", false},
	    {"a*b", "a*b", true},
	    {"a*b", "axb", false},
	    {"a/*/b", "a/x/b", false},
	    {"**", "*x", true},
	    {"**", "x", false},
	    {"a", "A", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[100];
		struct acl *a;

		(void)snprintf(text, sizeof(text), "path \"%s\" { capabilities = [\"read\"] }",
		               cases[i].pattern);
		a = ACL(text);
		if (may(a, cases[i].path, CAP_READ) != cases[i].match)
			fail_msg("%s %s", cases[i].pattern, cases[i].path);
		acl_free(&a);
	}
}

static void lists_do_not_step_around_a_deny(void **state)
{
	static const struct {
		const char *deny, *grant;
	} cases[] = {
	    {"a/b", "a/*"}, {"a/b/", "a/*"}, {"a/b", "a/b/"},  {"a/b/", "a/b"},   {"a/b*", "a/*"},
	    {"a/+", "a/*"}, {"a/+/", "a/*"}, {"a/+", "a/b/*"}, {"a/b/*", "a/b*"}, {"+/b", "+/*"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char grant[100], deny[100];
		struct acl *a;

		(void)snprintf(grant, sizeof(grant),
		               "path \"%s\" { capabilities = [\"list\", \"scan\"] }",
		               cases[i].grant);
		(void)snprintf(deny, sizeof(deny), "path \"%s\" { capabilities = [\"deny\"] }",
		               cases[i].deny);
		a = ACL(grant);
		assert_true(may(a, "a/b/", CAP_LIST));
		assert_true(may(a, "a/b", CAP_LIST));
		assert_true(may(a, "a/b", CAP_SCAN));
		acl_free(&a);
		a = ACL(grant, deny);
		if (may(a, "a/b/", CAP_LIST) || may(a, "a/b", CAP_LIST) || may(a, "a/b/", CAP_SCAN))
			fail_msg("%s does not stop %s", cases[i].deny, cases[i].grant);
		capabilities_are(a, "a/b/", "deny");
		acl_free(&a);
	}
}

static void lists_take_either_spelling(void **state)
{
	struct acl *a = ACL(
	    "path \"foo\" { capabilities = [\"list\"] } path \"bar/\" { capabilities = [\"list\"] }"
	    "path \"glob/*\" { capabilities = [\"list\"] } path \"plus/+\" { capabilities = "
	    "[\"list\"] }");

	assert_true(may(a, "foo", CAP_LIST));
	assert_true(may(a, "foo/", CAP_LIST));
	assert_true(may(a, "bar", CAP_LIST));
	assert_true(may(a, "bar/", CAP_LIST));
	assert_true(may(a, "glob", CAP_LIST));
	assert_true(may(a, "glob/", CAP_LIST));
	assert_true(may(a, "plus/x/", CAP_LIST));
	assert_false(may(a, "foo/x", CAP_LIST));
	assert_false(may(a, "foo//", CAP_LIST));
	assert_false(may(a, "fo/", CAP_LIST));
	assert_false(may(a, "foo", CAP_SCAN));
	acl_free(&a);
	/* the root has no other spelling */
	a = ACL("path \"+/+\" { capabilities = [\"list\"] }");
	assert_false(may(a, "", CAP_LIST));
	acl_free(&a);
}

static void root_may_everything(void **state)
{
	struct policy *policies[2] = {parse("other", "path \"*\" { policy = \"deny\" }"),
	                              parse("root", "")};
	struct acl *a = NULL;
	struct acl_verdict v;

	assert_int_equal(acl_new(policies, 2, 0, &a), ST_OK);
	for (unsigned i = 0; i < CAPABILITY_COUNT; i++) {
		enum capability c = (enum capability)(1u << i);

		if (c == CAP_DENY || c == CAP_ROOT)
			continue;
		acl_check(a, span_str("any/where"), c, NULL, &v);
		assert_true(v.allowed && v.sudo && v.root && !v.bound);
	}
	capabilities_are(a, "any/where", "root");
	acl_free(&a);
	assert_int_equal(acl_new(policies, 1, 0, &a), ST_OK);
	acl_check(a, span_str("any/where"), CAP_READ, NULL, &v);
	assert_false(v.allowed || v.sudo || v.root);
	acl_free(&a);
	policy_unref(&policies[0]);
	policy_unref(&policies[1]);
	assert_int_equal(acl_new(NULL, 0, 0, &a), ST_OK);
	capabilities_are(a, "x", "deny");
	acl_free(&a);
}

static void sudo_stands_beside(void **state)
{
	struct acl *a = ACL("path \"a\" { capabilities = [\"update\", \"sudo\"] } path \"b\" { "
	                    "capabilities = [\"update\"] }");
	struct acl_verdict v;

	acl_check(a, span_str("a"), CAP_UPDATE, NULL, &v);
	assert_true(v.allowed && v.sudo);
	assert_false(v.root);
	acl_check(a, span_str("a"), CAP_READ, NULL, &v);
	assert_true(!v.allowed && v.sudo);
	acl_check(a, span_str("b"), CAP_UPDATE, NULL, &v);
	assert_true(v.allowed && !v.sudo);
	acl_free(&a);
}

static void stanzas_of_one_path_unite(void **state)
{
	struct acl *a =
	    ACL("path \"a\" { capabilities = [\"read\"] } path \"/a\" { capabilities = [\"list\"] }"
	        "path \"d\" { capabilities = [\"deny\"] } path \"d\" { capabilities = [\"read\", "
	        "\"sudo\"] }"
	        "path \"b/*\" { policy = \"read\" } path \"b/+\" { capabilities = [\"update\"] }",
	        "path \"b/+\" { capabilities = [\"delete\"] }");
	struct acl_verdict v;

	capabilities_are(a, "a", "list,read");
	capabilities_are(a, "d", "deny");
	capabilities_are(a, "b/c", "delete,update");
	acl_check(a, span_str("d"), CAP_READ, NULL, &v);
	assert_false(v.allowed || v.sudo);
	acl_free(&a);
}

static void limits_unite_to_the_smallest(void **state)
{
	static const char one[] = "path \"a\" { capabilities = [\"list\"] min_wrapping_ttl = "
	                          "\"1m\" max_wrapping_ttl = \"2h\" pagination_limit = 100 }";
	static const char two[] = "path \"a\" { capabilities = [\"read\"] max_wrapping_ttl = 3600 "
	                          "pagination_limit = \"50\" }";
	static const char no_length[] =
	    "path \"a\" { capabilities = [\"read\"] max_wrapping_ttl = \"30s\" }";
	static const char deny[] = "path \"a\" { policy = \"deny\" }";
	struct acl *a = ACL(one);
	struct acl_verdict v;

	acl_check(a, span_str("a"), CAP_LIST, NULL, &v);
	assert_true(v.allowed);
	assert_int_equal(v.min_wrapping_ttl_ns, 60 * NS_PER_S);
	assert_int_equal(v.max_wrapping_ttl_ns, 7200 * NS_PER_S);
	assert_int_equal(v.pagination_limit, 100);
	acl_free(&a);

	a = ACL(two, one);
	acl_check(a, span_str("a"), CAP_LIST, NULL, &v);
	assert_true(v.allowed);
	assert_int_equal(v.min_wrapping_ttl_ns, 60 * NS_PER_S);
	assert_int_equal(v.max_wrapping_ttl_ns, 3600 * NS_PER_S);
	assert_int_equal(v.pagination_limit, 50);
	acl_free(&a);

	a = ACL(one, no_length);
	assert_false(may(a, "a", CAP_READ));
	acl_free(&a);

	a = ACL(one, deny);
	acl_check(a, span_str("a"), CAP_LIST, NULL, &v);
	assert_false(v.allowed);
	assert_int_equal(v.pagination_limit, 0);
	acl_free(&a);
}

static void stanzas_expire(void **state)
{
	struct policy *p =
	    parse("p", "path \"a\" { policy = \"read\" expiration = \"1970-01-01T00:01:00Z\" }"
	               "path \"b\" { policy = \"read\" expiration = 120 }"
	               "path \"c\" { policy = \"read\" }");
	struct acl *a = NULL;

	assert_int_equal(acl_new(&p, 1, 60 * NS_PER_S - 1, &a), ST_OK);
	assert_true(may(a, "a", CAP_READ) && may(a, "b", CAP_READ) && may(a, "c", CAP_READ));
	assert_int_equal(acl_valid_until_ns(a), 60 * NS_PER_S);
	acl_free(&a);
	assert_int_equal(acl_new(&p, 1, 60 * NS_PER_S, &a), ST_OK);
	assert_true(!may(a, "a", CAP_READ) && may(a, "b", CAP_READ) && may(a, "c", CAP_READ));
	assert_int_equal(acl_valid_until_ns(a), 120 * NS_PER_S);
	acl_free(&a);
	assert_int_equal(acl_new(&p, 1, 121 * NS_PER_S, &a), ST_OK);
	assert_true(!may(a, "a", CAP_READ) && !may(a, "b", CAP_READ) && may(a, "c", CAP_READ));
	assert_int_equal(acl_valid_until_ns(a), INT64_MAX);
	acl_free(&a);
	policy_unref(&p);
}

#define WRITE "capabilities = [\"create\", \"update\", \"patch\", \"read\", \"delete\"] "

struct parameter_case {
	const char *rule, *body;
	bool pass;
};

static void try_parameters(const struct parameter_case *c)
{
	char text[300];
	struct acl *a;

	(void)snprintf(text, sizeof(text), "path \"p\" { " WRITE "%s }", c->rule);
	a = ACL(text);
	if (may_send(a, "p", CAP_UPDATE, c->body) != c->pass)
		fail_msg("%s %s", c->rule, c->body);
	assert_int_equal(may_send(a, "p", CAP_CREATE, c->body), c->pass);
	assert_int_equal(may_send(a, "p", CAP_PATCH, c->body), c->pass);
	/* nothing but writes is looked at */
	assert_true(may_send(a, "p", CAP_READ, c->body));
	assert_true(may_send(a, "p", CAP_DELETE, c->body));
	acl_free(&a);
}

static void parameters(void **state)
{
	static const char ab[] = "allowed_parameters = { \"a\" = [\"1\",\"2*\"] \"b\" = [] }";
	static const char cd[] = "denied_parameters = { \"c\" = [] \"d\" = [\"x\"] }";
	static const struct parameter_case cases[] = {
	    /* recorded: "policies: parameter constraints" */
	    {ab, "{\"a\":\"1\"}", true},
	    {ab, "{\"a\":\"2zzz\"}", true},
	    {ab, "{\"a\":\"3\"}", false},
	    {ab, "{\"b\":\"any\"}", true},
	    {ab, "{\"z\":\"1\"}", false},
	    {cd, "{\"c\":\"1\"}", false},
	    {cd, "{\"d\":\"x\"}", false},
	    {cd, "{\"d\":\"y\"}", true},
	    {"required_parameters = [\"r\"]", "{\"q\":\"1\"}", false},
	    {"required_parameters = [\"r\"]", "{\"r\":\"1\"}", true},
	    /* more of the kind */
	    {ab, "{}", true},
	    {ab, "{\"a\":\"1\",\"b\":{}}", true},
	    {ab, "{\"b\":1,\"z\":1}", false},
	    {ab, "{\"A\":\"1\"}", true},
	    {ab, "{\"a\":1}", true},
	    {ab, "{\"a\":2.5}", true},
	    {ab, "{\"a\":true}", false},
	    {ab, "{\"a\":null}", false},
	    {ab, "{\"a\":[\"1\"]}", false},
	    {ab, "{\"a\":{\"1\":1}}", false},
	    {"allowed_parameters = { \"*\" = [] }", "{\"z\":1}", true},
	    {"allowed_parameters = { \"*\" = [] \"a\" = [\"1\"] }", "{\"z\":1,\"a\":\"1\"}", true},
	    {"allowed_parameters = { \"*\" = [] \"a\" = [\"1\"] }", "{\"a\":\"2\"}", false},
	    {"allowed_parameters = { \"a\" = [\"*x\", \"*y*\"] }", "{\"a\":\"ax\"}", true},
	    {"allowed_parameters = { \"a\" = [\"*x\", \"*y*\"] }", "{\"a\":\"ayb\"}", true},
	    {"allowed_parameters = { \"a\" = [\"*x\", \"*y*\"] }", "{\"a\":\"xa\"}", false},
	    {"allowed_parameters = { \"a\" = [\"*x\", \"*y*\"] }", "{\"a\":\"\"}", false},
	    {"allowed_parameters = { \"a\" = [\"*\"] }", "{\"a\":\"x\"}", false},
	    {"allowed_parameters = { \"a\" = [\"*\"] }", "{\"a\":\"*\"}", true},
	    {"allowed_parameters = { \"a\" = [\"**\"] }", "{\"a\":\"x\"}", true},
	    {"allowed_parameters = { \"a\" = [\"\"] }", "{\"a\":\"\"}", true},
	    {"allowed_parameters = { \"a\" = [5, true, false] }", "{\"a\":5}", true},
	    {"allowed_parameters = { \"a\" = [5, true, false] }", "{\"a\":\"5\"}", true},
	    {"allowed_parameters = { \"a\" = [5, true, false] }", "{\"a\":true}", true},
	    {"allowed_parameters = { \"a\" = [5, true, false] }", "{\"a\":false}", true},
	    {"allowed_parameters = { \"a\" = [5, true] }", "{\"a\":false}", false},
	    {"allowed_parameters = { \"a\" = [5, true] }", "{\"a\":6}", false},
	    {"allowed_parameters = { \"a\" = \"one\" }", "{\"a\":\"one\"}", true},
	    {"allowed_parameters = { \"a\" = \"one\" }", "{\"a\":\"two\"}", false},
	    {"allowed_parameters = { \"a\" = [[\"x\", \"y*\"]] }", "{\"a\":[\"x\",\"yz\"]}", true},
	    {"allowed_parameters = { \"a\" = [[\"x\", \"y*\"]] }", "{\"a\":[\"x\"]}", false},
	    {"allowed_parameters = { \"a\" = [[\"x\", \"y*\"]] }", "{\"a\":[\"x\",\"z\"]}", false},
	    {"allowed_parameters = { \"a\" = [[\"x\", \"y*\"]] }", "{\"a\":[\"x\",\"yz\",\"z\"]}",
	     false},
	    {"allowed_parameters = { \"a\" = [[\"x\"]] }", "{\"a\":\"x\"}", false},
	    {"allowed_parameters = { }", "{\"z\":1}", true},
	    {cd, "{}", true},
	    {cd, "{\"z\":1}", true},
	    {cd, "{\"z\":1,\"c\":null}", false},
	    {cd, "{\"C\":1}", false},
	    {"denied_parameters = { \"d\" = [\"5\", \"t*\"] }", "{\"d\":5}", false},
	    {"denied_parameters = { \"d\" = [\"5\", \"t*\"] }", "{\"d\":true}", false},
	    {"denied_parameters = { \"d\" = [\"5\", \"t*\"] }", "{\"d\":4}", true},
	    {"denied_parameters = { \"d\" = [5] }", "{\"d\":\"5\"}", false},
	    {"denied_parameters = { \"*\" = [] }", "{\"z\":1}", false},
	    {"denied_parameters = { \"*\" = [\"x\"] }", "{\"z\":1}", false},
	    {"denied_parameters = { \"*\" = [] }", "{}", true},
	    {"allowed_parameters = { \"*\" = [] } denied_parameters = { \"x\" = [] }", "{\"x\":1}",
	     false},
	    {"allowed_parameters = { \"*\" = [] } denied_parameters = { \"x\" = [] }", "{\"y\":1}",
	     true},
	    {"required_parameters = [\"r\", \"s\"]", "{\"r\":1}", false},
	    {"required_parameters = [\"r\", \"s\"]", "{\"s\":1,\"r\":1,\"t\":1}", true},
	    {"required_parameters = [\"r\"]", "{\"r\":null}", false},
	    {"required_parameters = [\"r\"]", "{\"R\":1}", false},
	    {"required_parameters = [\"Rr\"]", "{\"rr\":1}", true},
	    {"required_parameters = [\"Rr\"]", "{\"Rr\":1}", true},
	    {"required_parameters = [\"Rr\"]", "{\"rR\":1}", false},
	    {"required_parameters = [\"r\"]", "{}", false},
	    {"required_parameters = []", "{}", true},
	    {"required_parameters = [\"r\"]", "[\"r\"]", false},
	};
	struct acl *a;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		try_parameters(&cases[i]);
	a = ACL("path \"p\" { " WRITE "required_parameters = [\"r\"] }");
	assert_false(may(a, "p", CAP_UPDATE));
	acl_free(&a);
	a = ACL("path \"p\" { " WRITE "allowed_parameters = { a = [] } }");
	assert_true(may(a, "p", CAP_UPDATE));
	acl_free(&a);
}

static bool bound(const char *rule)
{
	struct acl *a = ACL(rule);
	struct acl_verdict v;

	acl_check(a, span_str("p"), CAP_UPDATE, NULL, &v);
	acl_free(&a);
	return v.bound;
}

static void the_gate_learns_that_parameters_are_bound(void **state)
{
	assert_false(bound("path \"p\" { policy = \"write\" }"));
	assert_false(bound("path \"q\" { policy = \"write\" required_parameters = [\"r\"] }"));
	assert_true(bound("path \"p\" { policy = \"write\" required_parameters = [\"r\"] }"));
	assert_true(bound("path \"p\" { policy = \"write\" allowed_parameters = { a = [] } }"));
	assert_true(bound("path \"p\" { policy = \"write\" denied_parameters = { a = [] } }"));
}

static void parameters_unite(void **state)
{
	struct acl *a =
	    ACL("path \"p\" { " WRITE "allowed_parameters = { a = [\"1\"] b = [\"1\"] } "
	        "denied_parameters = { x = [\"1\"] } }",
	        "path \"p\" { " WRITE
	        "allowed_parameters = { a = [\"2\"] b = [] c = [] r = [] x = [] } "
	        "denied_parameters = { x = [\"2\"] y = [] } required_parameters = [\"r\"] }",
	        "path \"p\" { " WRITE "}");

	assert_true(may_send(a, "p", CAP_UPDATE, "{\"r\":1,\"a\":\"1\"}"));
	assert_true(may_send(a, "p", CAP_UPDATE, "{\"r\":1,\"a\":\"2\"}"));
	assert_false(may_send(a, "p", CAP_UPDATE, "{\"r\":1,\"a\":\"3\"}"));
	assert_true(may_send(a, "p", CAP_UPDATE, "{\"r\":1,\"b\":\"3\",\"c\":3}"));
	assert_false(may_send(a, "p", CAP_UPDATE, "{\"r\":1,\"z\":1}"));
	assert_false(may_send(a, "p", CAP_UPDATE, "{\"a\":\"1\"}"));
	assert_false(may_send(a, "p", CAP_UPDATE, "{\"r\":1,\"x\":\"1\"}"));
	assert_false(may_send(a, "p", CAP_UPDATE, "{\"r\":1,\"x\":\"2\"}"));
	assert_true(may_send(a, "p", CAP_UPDATE, "{\"r\":1,\"x\":\"3\"}"));
	assert_false(may_send(a, "p", CAP_UPDATE, "{\"r\":1,\"y\":\"3\"}"));
	acl_free(&a);
}

static void every_allocation_may_fail(void **state)
{
	static const char text[] = "path \"a\" { policy = \"read\" allowed_parameters = { a = [] } "
	                           "denied_parameters = { b = [1] } required_parameters = [\"c\"] }"
	                           "path \"b/*\" { } path \"b/+\" { }";
	struct policy *p = NULL;
	struct acl *a = NULL;
	enum status s = ST_NOMEM;
	int failures = 0;

	for (; s != ST_OK; failures++) {
		allowed = failures;
		s = policy_parse(span_str("p"), span_str(text), &p, NULL);
		allowed = -1;
		assert_true(s == ST_OK ? p != NULL : s == ST_NOMEM && p == NULL);
	}
	assert_true(failures > 10);
	for (s = ST_NOMEM, failures = 0; s != ST_OK; failures++) {
		allowed = failures;
		s = acl_new(&p, 1, 0, &a);
		allowed = -1;
		assert_true(s == ST_OK ? a != NULL : s == ST_NOMEM && a == NULL);
	}
	assert_true(failures > 3);
	acl_free(&a);
	policy_unref(&p);
}

/* ---- against the slow reference ---- */

static uint32_t seed = 20260102;

static uint32_t pick(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 16) % n;
}

/* Few segments, so that rules and paths meet often. */
static void random_text(char *out, size_t cap, const char *const *segments, uint32_t n_segments)
{
	uint32_t n = 1 + pick(4);
	size_t at = 0;

	for (uint32_t i = 0; i < n; i++)
		at += (size_t)snprintf(out + at, cap - at, "%s%s", i > 0 ? "/" : "",
		                       segments[pick(n_segments)]);
	if (pick(4) == 0)
		(void)snprintf(out + at, cap - at, "/");
}

static void random_stanza(struct slow_policy *s, struct builder *text)
{
	static const char *const segments[] = {"a", "b", "ab", "+", "+", "a+"};
	static const enum capability some[] = {CAP_CREATE, CAP_READ, CAP_LIST,
	                                       CAP_SUDO,   CAP_SCAN, CAP_UPDATE};
	char pattern[32];
	uint32_t capabilities = 0;
	const char *names[CAPABILITY_COUNT];
	size_t n;

	random_text(pattern, sizeof(pattern) - 2, segments, 6);
	n = strlen(pattern);
	if (pick(3) == 0 && pattern[n - 1] != '+')
		(void)snprintf(pattern + n, 2, "*");
	for (uint32_t i = pick(4); i > 0; i--)
		capabilities |= some[pick(6)];
	if (pick(6) == 0)
		capabilities |= CAP_DENY;
	builder_fmt(text, "path \"%s%s\" { capabilities = [", pick(5) == 0 ? "/" : "", pattern);
	n = capability_names(capabilities, names);
	for (size_t i = 0; i < n; i++)
		builder_fmt(text, "\"%s\",", names[i]);
	builder_str(text, "] }\n");
	slow_policy_add(s, pattern, capabilities);
}

static struct acl *random_acl(struct slow_policy *s)
{
	struct policy *policies[3] = {NULL};
	struct acl *a = NULL;
	size_t n = 1 + pick(3);

	*s = (struct slow_policy){0};
	for (size_t i = 0; i < n; i++) {
		struct builder text = {0};

		for (uint32_t k = pick(9); k > 0; k--)
			random_stanza(s, &text);
		builder_u8(&text, 0);
		assert_int_equal(builder_status(&text), ST_OK);
		policies[i] = parse("p", (const char *)text.p);
		builder_free(&text);
	}
	assert_int_equal(acl_new(policies, n, 0, &a), ST_OK);
	for (size_t i = 0; i < n; i++)
		policy_unref(&policies[i]);
	return a;
}

static void compare(const struct acl *a, const struct slow_policy *s, const char *path)
{
	uint32_t want = slow_policy_capabilities(s, path);
	char folder[80];
	struct acl_verdict v;

	if (acl_capabilities(a, span_str(path)) != (want == 0 ? CAP_DENY : want)) {
		for (size_t i = 0; i < s->n; i++)
			print_error("%s %x\n", s->rules[i].pattern, s->rules[i].capabilities);
		fail_msg("%s: %x, not %x", path, acl_capabilities(a, span_str(path)), want);
	}
	acl_check(a, span_str(path), CAP_READ, NULL, &v);
	assert_int_equal(v.allowed, (want & CAP_READ) != 0);
	assert_int_equal(v.sudo, (want & CAP_SUDO) != 0);
	(void)snprintf(folder, sizeof(folder), "%s%s", path,
	               path[strlen(path) - 1] == '/' ? "" : "/");
	want = slow_policy_capabilities(s, folder);
	acl_check(a, span_str(path), CAP_LIST, NULL, &v);
	assert_int_equal(v.allowed, (want & CAP_LIST) != 0);
	acl_check(a, span_str(path), CAP_SCAN, NULL, &v);
	assert_int_equal(v.allowed, (want & CAP_SCAN) != 0);
}

static void fast_and_slow_agree(void **state)
{
	static const char *const segments[] = {"a", "b", "ab", "abc", "+", "a+", "c"};

	for (int round = 0; round < 1500; round++) {
		struct slow_policy s;
		struct acl *a = random_acl(&s);

		for (int i = 0; i < 60; i++) {
			char path[64];

			random_text(path, sizeof(path), segments, 7);
			compare(a, &s, path);
		}
		acl_free(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(capabilities_have_names),
	    cmocka_unit_test(every_spelling_of_a_policy),
	    cmocka_unit_test(refused_texts),
	    cmocka_unit_test(references),
	    cmocka_unit_test(longest_match_as_recorded),
	    cmocka_unit_test(priority_of_wildcards),
	    cmocka_unit_test(what_patterns_match),
	    cmocka_unit_test(lists_do_not_step_around_a_deny),
	    cmocka_unit_test(lists_take_either_spelling),
	    cmocka_unit_test(root_may_everything),
	    cmocka_unit_test(sudo_stands_beside),
	    cmocka_unit_test(stanzas_of_one_path_unite),
	    cmocka_unit_test(limits_unite_to_the_smallest),
	    cmocka_unit_test(stanzas_expire),
	    cmocka_unit_test(parameters),
	    cmocka_unit_test(the_gate_learns_that_parameters_are_bound),
	    cmocka_unit_test(parameters_unite),
	    cmocka_unit_test(every_allocation_may_fail),
	    cmocka_unit_test(fast_and_slow_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
