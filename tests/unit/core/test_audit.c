/* Audit: what a line shows and what it hides, devices that fail, reopening, and the salts in the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/audit.h"
#include "crypto/kdf.h"
#include "lib/solo.h"

#define TOKEN    "s.ThisTokenIsNobodysBusiness"
#define ACCESSOR "AccessorOfTheToken123456"
#define WHEN     "2026-01-02T03:04:05Z"
#define HASH_LEN 76

static struct clock_manual clock_of_tests;
static char folder[] = "/tmp/keyturn-audit-XXXXXX";

static int setup(void **state)
{
	clock_manual_init(&clock_of_tests, INT64_C(1767323045) * NS_PER_S, 0);
	if (mkdtemp(folder) == NULL)
		return -1;
	return solo_process(state);
}

static int teardown(void **state)
{
	char line[128];

	(void)state;
	(void)snprintf(line, sizeof line, "rm -rf '%s'", folder);
	return system(line) == 0 ? 0 : -1;
}

/* ---- allocations that fail: linked with --wrap ---- */

/* The one after `left` more of this thread fails; then all others do, or none. */
static struct starvation {
	bool on, for_ever, hit;
	size_t left;
	pthread_t thread;
} starvation;

static bool refuse(void)
{
	if (!starvation.on || !pthread_equal(pthread_self(), starvation.thread) ||
	    starvation.left-- > 0)
		return false;
	starvation.hit = true;
	starvation.on = starvation.for_ever;
	starvation.left = 0;
	return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t n)
{
	return refuse() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return refuse() ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *s)
{
	return refuse() ? NULL : __real_strdup(s);
}

static void starve(size_t after, bool for_ever)
{
	starvation = (struct starvation){
	    .on = true, .for_ever = for_ever, .left = after, .thread = pthread_self()};
}

/* feed(): enough again; was any refused? */
static bool feed(void)
{
	starvation.on = false;
	return starvation.hit;
}

static const char *file_at(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];

	(void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

/* ---- salts: from a store in memory ---- */

struct load {
	const struct audit *audit;
	const struct random *random;
	const struct audit_salts *salts;
};

static enum status load_job(void *arg, struct txn *t, struct err *err)
{
	struct load *l = arg;
	struct view v;

	view_init(&v, t, span_str("sys/audit/"));
	return audit_load(l->audit, &v, l->random, &l->salts, err);
}

static const struct audit_salts *load(struct solo *s, const struct audit *a)
{
	struct load l = {.audit = a, .random = &s->random.random};

	assert_int_equal(solo_write(s, load_job, &l, NULL), ST_OK);
	return l.salts;
}

/* ---- a world: devices, a store, salts ---- */

struct rig {
	struct solo solo;
	struct audit *audit;
	const struct audit_salts *salts;
};

static void rig_new(struct rig *r, const struct audit_device *devices, size_t n)
{
	struct err err = {0};

	if (audit_new(devices, n, &clock_of_tests.clock, &r->audit, &err) != ST_OK)
		fail_msg("%s", err.text);
	solo_init(&r->solo, 1);
	solo_start(&r->solo);
	solo_open(&r->solo);
	r->salts = load(&r->solo, r->audit);
}

static void rig_free(struct rig *r)
{
	audit_salts_unref(&r->salts);
	assert_null(r->salts);
	audit_free(&r->audit);
	assert_null(r->audit);
	solo_free(&r->solo);
}

/* One device in a new file; the old one of that name is gone. */
static const char *rig_file(struct rig *r, struct audit_device device)
{
	device.name = "main";
	device.file_path = file_at("main.log");
	(void)unlink(device.file_path);
	rig_new(r, &device, 1);
	return device.file_path;
}

/* ---- requests and answers ---- */

struct call {
	struct request req;
	char body[2048];
	struct json doc;
	struct audit_subject subject;
	struct answer answer;
	struct span policies[2];
};

static void call_init(struct call *c, const char *path, const char *body)
{
	memset(c, 0, sizeof *c);
	memcpy(c->req.id, "00000000-1111-2222-3333-444444444444", sizeof c->req.id);
	c->req.verb = VERB_WRITE;
	assert_int_equal(path_parse(span_str(path), &c->req.path, NULL), ST_OK);
	c->req.token = span_str(TOKEN);
	c->req.remote = span_str("127.0.0.1:5555");
	json_init(&c->doc);
	if (body != NULL) {
		size_t n = strlen(body);

		assert_true(n < sizeof c->body);
		memcpy(c->body, body, n);
		assert_int_equal(json_parse(&c->doc, (uint8_t *)c->body, n, NULL, NULL), ST_OK);
		c->req.data = json_root(&c->doc);
	}
	c->policies[0] = span_str("default");
	c->policies[1] = span_str("team");
	c->subject = (struct audit_subject){.req = &c->req,
	                                    .policies = c->policies,
	                                    .n_policies = 2,
	                                    .accessor = span_str(ACCESSOR),
	                                    .display_name = span_str("token-x"),
	                                    .mount = span_str("secret/"),
	                                    .mount_type = "kv"};
	answer_init(&c->answer);
}

static void call_free(struct call *c)
{
	json_free(&c->doc);
	answer_free(&c->answer);
}

/* ---- lines ---- */

static void read_file(const char *path, struct builder *b)
{
	uint8_t buf[4096];
	size_t n;
	FILE *f = fopen(path, "r");

	if (f == NULL)
		fail_msg("cannot open %s", path);
	while ((n = fread(buf, 1, sizeof buf, f)) > 0)
		builder_add(b, span_of(buf, n));
	(void)fclose(f);
	assert_int_equal(builder_status(b), ST_OK);
}

/* The last line of a file, parsed; and the whole text as it lies there. */
struct line {
	struct builder text, copy;
	struct json doc;
	size_t lines;
};

static void line_read(struct line *l, const char *path)
{
	size_t start = 0;

	memset(l, 0, sizeof *l);
	json_init(&l->doc);
	read_file(path, &l->text);
	assert_true(l->text.n > 0);
	assert_int_equal(l->text.p[l->text.n - 1], '\n');
	for (size_t i = 0; i < l->text.n; i++) {
		l->lines += l->text.p[i] == '\n';
		if (l->text.p[i] == '\n' && i + 1 < l->text.n)
			start = i + 1;
	}
	builder_add(&l->copy, span_of(l->text.p + start, l->text.n - start - 1));
	assert_int_equal(json_parse(&l->doc, l->copy.p, l->copy.n, NULL, NULL), ST_OK);
}

static void line_free(struct line *l)
{
	json_free(&l->doc);
	builder_free(&l->text);
	builder_free(&l->copy);
}

/* "request.data.v" */
static const struct json_value *at(const struct line *l, const char *names)
{
	const struct json_value *v = json_root(&l->doc);
	struct span rest = span_str(names);

	while (rest.n > 0 && v != NULL) {
		size_t n = 0;

		while (n < rest.n && rest.p[n] != '.')
			n++;
		v = json_member_span(v, span_of(rest.p, n));
		rest = span_from(rest, n < rest.n ? n + 1 : n);
	}
	return v;
}

static void assert_shows(const struct line *l, const char *names, const char *text)
{
	const struct json_value *v = at(l, names);

	if (v == NULL || !span_eq_str(v->text, text))
		fail_msg("%s is not \"%s\" in %.*s", names, text, (int)l->text.n, l->text.p);
}

static void assert_absent(const struct line *l, const char *names)
{
	if (at(l, names) != NULL)
		fail_msg("%s stands in %.*s", names, (int)l->text.n, l->text.p);
}

/* As sys/audit-hash says it. */
static void assert_hashed(const struct line *l, const struct rig *r, const char *names,
                          const char *text)
{
	struct builder hash = {0};
	const struct json_value *v = at(l, names);

	assert_int_equal(audit_hash(r->salts, "main", span_str(text), &hash), ST_OK);
	assert_int_equal(hash.n, HASH_LEN);
	if (v == NULL || v->type != JSON_STRING || !span_eq(v->text, builder_span(&hash)))
		fail_msg("%s is not the hash of \"%s\" in %.*s", names, text, (int)l->text.n,
		         l->text.p);
	builder_free(&hash);
}

static bool holds(const struct line *l, const char *text)
{
	return memmem(l->text.p, l->text.n, text, strlen(text)) != NULL;
}

static void put_request(struct rig *r, const struct call *c, const char *why)
{
	assert_int_equal(audit_request(r->audit, r->salts, &c->subject, why, NULL), ST_OK);
}

static void put_response(struct rig *r, const struct call *c)
{
	assert_int_equal(audit_response(r->audit, r->salts, &c->subject, &c->answer, NULL), ST_OK);
}

/* ---- what a line shows ---- */

static void request_line(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	call_init(&c, "secret/a", "{\"v\":\"attack-at-dawn\"}");
	put_request(&r, &c, NULL);
	line_read(&l, file);
	assert_int_equal(l.lines, 1);
	assert_shows(&l, "time", WHEN);
	assert_shows(&l, "type", "request");
	assert_hashed(&l, &r, "auth.client_token", TOKEN);
	assert_hashed(&l, &r, "auth.accessor", ACCESSOR);
	assert_shows(&l, "auth.display_name", "token-x");
	assert_shows(&l, "auth.token_type", "service");
	assert_int_equal(at(&l, "auth.policies")->count, 2);
	assert_true(span_eq_str(json_first(at(&l, "auth.policies"))->text, "default"));
	assert_shows(&l, "request.id", "00000000-1111-2222-3333-444444444444");
	assert_shows(&l, "request.operation", "update");
	assert_shows(&l, "request.mount_type", "kv");
	assert_shows(&l, "request.mount_point", "secret/");
	assert_hashed(&l, &r, "request.client_token", TOKEN);
	assert_hashed(&l, &r, "request.client_token_accessor", ACCESSOR);
	assert_shows(&l, "request.path", "secret/a");
	assert_hashed(&l, &r, "request.data.v", "attack-at-dawn");
	assert_shows(&l, "request.remote_address", "127.0.0.1");
	assert_shows(&l, "request.remote_port", "5555");
	assert_int_equal(at(&l, "request.remote_port")->type, JSON_NUMBER);
	assert_absent(&l, "error");
	assert_absent(&l, "response");
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

static void operation_and_refusal(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	call_init(&c, "secret/a/", NULL);
	c.subject.operation = "create";
	put_request(&r, &c, "permission \"denied\"");
	line_read(&l, file);
	assert_shows(&l, "request.operation", "create");
	assert_shows(&l, "request.path", "secret/a/");
	assert_shows(&l, "error", "permission \"denied\"");
	assert_absent(&l, "request.data");
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

/* A token that is not known shows no rights, and is hashed all the same. */
static void unknown_token(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	call_init(&c, "secret/a", NULL);
	c.subject = (struct audit_subject){.req = &c.req};
	put_request(&r, &c, NULL);
	line_read(&l, file);
	assert_hashed(&l, &r, "request.client_token", TOKEN);
	assert_absent(&l, "auth.client_token");
	assert_absent(&l, "auth.policies");
	assert_absent(&l, "auth.accessor");
	assert_absent(&l, "request.mount_type");
	assert_absent(&l, "request.mount_point");
	assert_absent(&l, "request.client_token_accessor");
	line_free(&l);
	c.req.token = span_of(NULL, 0);
	put_request(&r, &c, NULL);
	line_read(&l, file);
	assert_int_equal(l.lines, 2);
	assert_absent(&l, "request.client_token");
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

static void batch_token(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	call_init(&c, "secret/a", NULL);
	c.req.token = span_str("b.SomeBatchToken");
	c.subject.accessor = span_of(NULL, 0);
	put_request(&r, &c, NULL);
	line_read(&l, file);
	assert_shows(&l, "auth.token_type", "batch");
	assert_hashed(&l, &r, "auth.client_token", "b.SomeBatchToken");
	assert_absent(&l, "auth.accessor");
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

static void remote_addresses(void **state)
{
	static const struct {
		const char *remote, *address, *port;
	} cases[] = {
	    {"127.0.0.1:5555", "127.0.0.1", "5555"}, {"[::1]:80", "::1", "80"},
	    {"[fe80::1]:65535", "fe80::1", "65535"}, {"unix", "unix", NULL},
	    {"10.0.0.1:", "10.0.0.1:", NULL},        {"a:1234567", "a:1234567", NULL},
	    {"10.0.0.1", "10.0.0.1", NULL},
	};
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	call_init(&c, "secret/a", NULL);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		c.req.remote = span_str(cases[i].remote);
		put_request(&r, &c, NULL);
		line_read(&l, file);
		assert_shows(&l, "request.remote_address", cases[i].address);
		if (cases[i].port != NULL)
			assert_shows(&l, "request.remote_port", cases[i].port);
		else
			assert_absent(&l, "request.remote_port");
		line_free(&l);
	}
	call_free(&c);
	rig_free(&r);
}

#define BODY                                                                               \
	"{\"password\":\"attack-at-dawn\",\"n\":7,\"f\":-1.5e3,\"yes\":true,\"no\":false," \
	"\"nil\":null,\"list\":[\"inner-word\",12,null,[\"deeper-word\"],{}],"             \
	"\"map\":{\"k\":\"map-word\",\"m\":3},\"esc\\\"aped\":\"line\\nend\",\"empty\":\"\"}"

static void only_strings_are_hashed(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const struct json_value *list;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	call_init(&c, "secret/a", BODY);
	put_request(&r, &c, NULL);
	line_read(&l, file);
	assert_hashed(&l, &r, "request.data.password", "attack-at-dawn");
	assert_hashed(&l, &r, "request.data.esc\"aped", "line\nend");
	assert_hashed(&l, &r, "request.data.empty", "");
	assert_hashed(&l, &r, "request.data.map.k", "map-word");
	assert_shows(&l, "request.data.n", "7");
	assert_shows(&l, "request.data.f", "-1.5e3");
	assert_shows(&l, "request.data.map.m", "3");
	assert_int_equal(at(&l, "request.data.n")->type, JSON_NUMBER);
	assert_int_equal(at(&l, "request.data.yes")->type, JSON_TRUE);
	assert_int_equal(at(&l, "request.data.no")->type, JSON_FALSE);
	assert_int_equal(at(&l, "request.data.nil")->type, JSON_NULL);
	list = at(&l, "request.data.list");
	assert_int_equal(list->type, JSON_ARRAY);
	assert_int_equal(list->count, 5);
	for (const char *const *word =
	         (const char *const[]){"attack", "inner", "deeper", "map-word", "line", TOKEN,
	                               ACCESSOR, NULL};
	     *word != NULL; word++)
		if (holds(&l, *word))
			fail_msg("\"%s\" stands in %.*s", *word, (int)l.text.n, l.text.p);
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

static void query_parameters(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	call_init(&c, "secret/a", "{\"both\":\"of-the-body\"}");
	c.req.query[0] = (struct query){span_str("version"), span_str("3")};
	c.req.query[1] = (struct query){span_str("both"), span_str("of-the-query")};
	c.req.query[2] = (struct query){span_str("version"), span_str("4")};
	c.req.n_query = 3;
	put_request(&r, &c, NULL);
	line_read(&l, file); /* the reader refuses a name that stands twice */
	assert_hashed(&l, &r, "request.data.version", "3");
	assert_hashed(&l, &r, "request.data.both", "of-the-body");
	assert_int_equal(at(&l, "request.data")->count, 2);
	line_free(&l);
	c.req.data = NULL;
	put_request(&r, &c, NULL);
	line_read(&l, file);
	assert_hashed(&l, &r, "request.data.both", "of-the-query");
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

/* As deep as a body may be, which is deeper than one of our writers goes. */
static void deep_body(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	char body[64 * 6 + 32] = "";
	struct builder b;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	builder_init_fixed(&b, body, sizeof body);
	builder_str(&b, "{\"v\":");
	for (size_t i = 0; i < 62; i++)
		builder_str(&b, "[1,");
	builder_str(&b, "\"core-word\"");
	for (size_t i = 0; i < 62; i++)
		builder_str(&b, "]");
	builder_str(&b, "}");
	builder_u8(&b, 0);
	assert_int_equal(builder_status(&b), ST_OK);
	call_init(&c, "secret/a", body);
	put_request(&r, &c, NULL);
	builder_add(&c.answer.data, span_of(body, strlen(body)));
	put_response(&r, &c);
	memset(&l, 0, sizeof l);
	read_file(file, &l.text);
	assert_false(holds(&l, "core-word"));
	assert_true(holds(&l, "[1,[1,[1,\"hmac-sha256:"));
	assert_true(holds(&l, "]]]]}"));
	builder_free(&l.text);
	call_free(&c);
	rig_free(&r);
}

/* ---- answers ---- */

static void response_line(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	call_init(&c, "secret/a", "{\"v\":\"asked\"}");
	builder_str(&c.answer.data, "{\"v\":\"answered\",\"n\":1,\"keys\":[\"name-of-key\"]}");
	c.answer.shape = ANSWER_DATA;
	answer_warn(&c.answer, "the \"cap\" is exceeded");
	answer_warn(&c.answer, "second");
	put_response(&r, &c);
	line_read(&l, file);
	assert_shows(&l, "type", "response");
	assert_shows(&l, "request.path", "secret/a");
	assert_hashed(&l, &r, "request.data.v", "asked");
	assert_hashed(&l, &r, "auth.client_token", TOKEN);
	assert_hashed(&l, &r, "response.data.v", "answered");
	assert_shows(&l, "response.data.n", "1");
	assert_int_equal(at(&l, "response.data.keys")->count, 1);
	assert_false(holds(&l, "name-of-key"));
	assert_int_equal(at(&l, "response.warnings")->count, 2);
	assert_true(
	    span_eq_str(json_first(at(&l, "response.warnings"))->text, "the \"cap\" is exceeded"));
	assert_absent(&l, "response.auth");
	assert_absent(&l, "error");
	line_free(&l);
	/* The answer itself is as it was. */
	assert_true(span_eq_str(builder_span(&c.answer.data),
	                        "{\"v\":\"answered\",\"n\":1,\"keys\":[\"name-of-key\"]}"));
	call_free(&c);
	rig_free(&r);
}

static void new_token_is_hashed(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	call_init(&c, "auth/token/create", NULL);
	c.answer.shape = ANSWER_AUTH;
	builder_str(&c.answer.auth,
	            "{\"client_token\":\"s.new-token\",\"accessor\":\"new-accessor\","
	            "\"policies\":[\"default\"],\"token_policies\":[\"default\"],"
	            "\"metadata\":{\"user\":\"meta-word\"},\"lease_duration\":3600,"
	            "\"renewable\":true,\"entity_id\":\"\",\"token_type\":\"service\","
	            "\"orphan\":false,\"unheard_of\":\"surprise\"}");
	put_response(&r, &c);
	line_read(&l, file);
	assert_hashed(&l, &r, "response.auth.client_token", "s.new-token");
	assert_hashed(&l, &r, "response.auth.accessor", "new-accessor");
	assert_hashed(&l, &r, "response.auth.metadata.user", "meta-word");
	assert_hashed(&l, &r, "response.auth.unheard_of", "surprise");
	assert_shows(&l, "response.auth.lease_duration", "3600");
	assert_shows(&l, "response.auth.token_type", "service");
	assert_true(span_eq_str(json_first(at(&l, "response.auth.policies"))->text, "default"));
	assert_int_equal(at(&l, "response.auth.renewable")->type, JSON_TRUE);
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

static void errors(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	call_init(&c, "secret/a", NULL);
	(void)answer_fail(&c.answer, ST_DENIED, "1 error occurred: permission denied");
	put_response(&r, &c);
	line_read(&l, file);
	assert_shows(&l, "error", "1 error occurred: permission denied");
	line_free(&l);
	answer_reset(&c.answer);
	c.answer.status = ST_DENIED;
	put_response(&r, &c);
	line_read(&l, file);
	assert_shows(&l, "error", "permission denied");
	line_free(&l);
	answer_reset(&c.answer);
	c.answer.status = ST_NOT_FOUND;
	put_response(&r, &c);
	line_read(&l, file);
	assert_absent(&l, "error");
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

/* What is no JSON is one string, whatever it looks like. */
static void texts_are_one_string(void **state)
{
	static const char *const texts[] = {"plain words", "{\"v\":\"cut", "{\"v\":1}{\"w\":2}",
	                                    "\xff\xfe"};
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	call_init(&c, "sys/metrics", NULL);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		answer_reset(&c.answer);
		c.answer.shape = ANSWER_DATA;
		builder_str(&c.answer.data, texts[i]);
		put_response(&r, &c);
		line_read(&l, file);
		assert_hashed(&l, &r, "response.data", texts[i]);
		line_free(&l);
	}
	answer_reset(&c.answer);
	c.answer.shape = ANSWER_TEXT;
	builder_str(&c.answer.data, "{\"v\":1}");
	put_response(&r, &c);
	line_read(&l, file);
	assert_hashed(&l, &r, "response.data", "{\"v\":1}");
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

static void rotation_line(void **state)
{
	const struct rotation_event e = {CAUSE_MAX_OPERATIONS, 3, 4, 3865470566};
	struct rig r;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	audit_rotated(r.audit, &e);
	line_read(&l, file);
	assert_shows(&l, "type", "rotation");
	assert_shows(&l, "time", WHEN);
	assert_shows(&l, "rotation.cause", "max_operations");
	assert_shows(&l, "rotation.old_term", "3");
	assert_shows(&l, "rotation.new_term", "4");
	assert_shows(&l, "rotation.old_term_encryptions", "3865470566");
	line_free(&l);
	rig_free(&r);
}

static void event_line(void **state)
{
	struct rig r;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	audit_noted(r.audit, span_str("{\"operation\":\"rotate\",\"version\":7}"));
	line_read(&l, file);
	assert_shows(&l, "type", "event");
	assert_shows(&l, "time", WHEN);
	assert_shows(&l, "event.operation", "rotate");
	assert_shows(&l, "event.version", "7");
	line_free(&l);
	rig_free(&r);
}

/* ---- options of a device ---- */

static void log_raw(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const char *file =
	    rig_file(&r, (struct audit_device){.log_raw = true, .hmac_accessor = true});

	(void)state;
	call_init(&c, "secret/a", BODY);
	builder_str(&c.answer.data, "{\"v\":\"answered\"}");
	put_response(&r, &c);
	line_read(&l, file);
	assert_shows(&l, "request.client_token", TOKEN);
	assert_shows(&l, "request.data.password", "attack-at-dawn");
	assert_shows(&l, "request.data.map.k", "map-word");
	assert_shows(&l, "response.data.v", "answered");
	assert_false(holds(&l, "hmac-sha256:"));
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

static void accessor_in_clear(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = false});

	(void)state;
	call_init(&c, "secret/a", NULL);
	builder_str(&c.answer.auth, "{\"client_token\":\"s.new\",\"accessor\":\"new-accessor\"}");
	put_response(&r, &c);
	line_read(&l, file);
	assert_shows(&l, "auth.accessor", ACCESSOR);
	assert_shows(&l, "request.client_token_accessor", ACCESSOR);
	assert_shows(&l, "response.auth.accessor", "new-accessor");
	assert_hashed(&l, &r, "response.auth.client_token", "s.new");
	assert_hashed(&l, &r, "request.client_token", TOKEN);
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

/* ---- sealed ---- */

static void sealed_form(void **state)
{
	static const bool raw[] = {false, true};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig r;
		struct call c;
		struct line l;
		const char *file = rig_file(&r, (struct audit_device){.log_raw = raw[i]});

		call_init(&c, "sys/unseal",
		          "{\"key\":\"a-share\",\"reset\":true,\"n\":3,\"list\":[\"word\",4],"
		          "\"map\":{\"k\":\"map-word\",\"m\":5}}");
		c.req.query[0] = (struct query){span_str("q"), span_str("query-word")};
		c.req.n_query = 1;
		builder_str(&c.answer.data, "{\"sealed\":true,\"t\":2,\"nonce\":\"nonce-word\"}");
		builder_str(&c.answer.auth, "{\"client_token\":\"s.new\",\"policies\":[\"policy-"
		                            "word\"],\"accessor\":\"a-word\"}");
		answer_warn(&c.answer, "warning-word");
		assert_int_equal(audit_response(r.audit, NULL, &c.subject, &c.answer, NULL), ST_OK);
		line_read(&l, file);
		assert_shows(&l, "request.path", "sys/unseal");
		assert_shows(&l, "request.operation", "update");
		assert_shows(&l, "request.remote_address", "127.0.0.1");
		assert_shows(&l, "request.id", "00000000-1111-2222-3333-444444444444");
		assert_absent(&l, "request.client_token");
		assert_absent(&l, "request.data.key");
		assert_int_equal(at(&l, "request.data.reset")->type, JSON_TRUE);
		assert_shows(&l, "request.data.n", "3");
		assert_int_equal(at(&l, "request.data.list")->count, 1);
		assert_shows(&l, "request.data.map.m", "5");
		assert_int_equal(at(&l, "response.data.sealed")->type, JSON_TRUE);
		assert_shows(&l, "response.data.t", "2");
		assert_false(holds(&l, "hmac"));
		assert_false(holds(&l, "word"));
		assert_false(holds(&l, "a-share"));
		assert_false(holds(&l, "s.new"));
		assert_false(holds(&l, TOKEN));
		assert_false(holds(&l, ACCESSOR));
		line_free(&l);
		answer_reset(&c.answer);
		builder_str(&c.answer.data, "no JSON");
		assert_int_equal(audit_response(r.audit, NULL, &c.subject, &c.answer, NULL), ST_OK);
		line_read(&l, file);
		assert_absent(&l, "response.data");
		line_free(&l);
		call_free(&c);
		rig_free(&r);
	}
}

/* ---- salts ---- */

static void hash_of_a_device(void **state)
{
	struct rig r;
	struct builder hash = {0};

	(void)state;
	(void)rig_file(&r, (struct audit_device){0});
	assert_int_equal(audit_hash(r.salts, "main", span_str("x"), &hash), ST_OK);
	assert_true(span_starts(builder_span(&hash), span_str("hmac-sha256:")));
	assert_int_equal(hash.n, HASH_LEN);
	builder_reset(&hash);
	assert_int_equal(audit_hash(r.salts, "other", span_str("x"), &hash), ST_NOT_FOUND);
	assert_int_equal(audit_hash(NULL, "main", span_str("x"), &hash), ST_NOT_FOUND);
	assert_int_equal(hash.n, 0);
	builder_free(&hash);
	rig_free(&r);
}

struct salt_job {
	const char *path;
	uint8_t salt[64];
	size_t n;
};

static enum status read_salt(void *arg, struct txn *t, struct err *err)
{
	struct salt_job *j = arg;
	struct span value;
	enum status st = txn_get(t, span_str(j->path), &value, err);

	if (st != ST_OK)
		return st;
	assert_true(value.n <= sizeof j->salt);
	memcpy(j->salt, value.p, value.n);
	j->n = value.n;
	return ST_OK;
}

static enum status write_salt(void *arg, struct txn *t, struct err *err)
{
	struct salt_job *j = arg;

	return txn_put(t, span_str(j->path), span_of(j->salt, j->n), err);
}

/* The record is the HMAC's key, 32 bytes. */
static void salt_record(void **state)
{
	struct rig r;
	struct salt_job j = {.path = "sys/audit/main"};
	struct hmac_key *key = NULL;
	struct span text = span_str("some text");
	struct builder hash = {0}, want = {0};
	uint8_t mac[SHA256_LEN];

	(void)state;
	(void)rig_file(&r, (struct audit_device){0});
	assert_int_equal(solo_write(&r.solo, read_salt, &j, NULL), ST_OK);
	assert_int_equal(j.n, 32);
	assert_int_equal(hmac_key_new(span_of(j.salt, j.n), &key), ST_OK);
	hmac_sha256(key, &text, 1, mac);
	builder_str(&want, "hmac-sha256:");
	builder_hex(&want, span_of(mac, sizeof mac));
	assert_int_equal(audit_hash(r.salts, "main", text, &hash), ST_OK);
	assert_true(span_eq(builder_span(&hash), builder_span(&want)));
	hmac_key_free(&key);
	builder_free(&hash);
	builder_free(&want);
	rig_free(&r);
}

/* Made once: the next load finds the same ones; another device has another one. */
static void salts_stay(void **state)
{
	const struct audit_device devices[] = {{.name = "main", .file_path = "/dev/null"},
	                                       {.name = "second/one", .file_path = "/dev/null"}};
	struct rig r;
	const struct audit_salts *again;
	struct builder a = {0}, b = {0}, c = {0};

	(void)state;
	rig_new(&r, devices, 2);
	again = load(&r.solo, r.audit);
	assert_ptr_not_equal(again, r.salts);
	assert_int_equal(audit_hash(r.salts, "main", span_str("x"), &a), ST_OK);
	assert_int_equal(audit_hash(again, "main", span_str("x"), &b), ST_OK);
	assert_int_equal(audit_hash(again, "second/one", span_str("x"), &c), ST_OK);
	assert_true(span_eq(builder_span(&a), builder_span(&b)));
	assert_false(span_eq(builder_span(&a), builder_span(&c)));
	builder_free(&a);
	builder_free(&b);
	builder_free(&c);
	audit_salts_unref(&again);
	rig_free(&r);
}

static void damaged_salts(void **state)
{
	static const size_t lengths[] = {0, 1, 31, 33, 64};
	struct rig r;
	struct salt_job j = {.path = "sys/audit/main"};
	struct load l = {0};

	(void)state;
	(void)rig_file(&r, (struct audit_device){0});
	l = (struct load){.audit = r.audit, .random = &r.solo.random.random};
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		struct err err = {0};

		j.n = lengths[i];
		assert_int_equal(solo_write(&r.solo, write_salt, &j, NULL), ST_OK);
		assert_int_equal(solo_write(&r.solo, load_job, &l, &err), ST_CORRUPT);
		assert_non_null(strstr(err.text, "main"));
		assert_null(l.salts);
	}
	rig_free(&r);
}

/* References: the salts live as long as somebody holds them, also without the devices. */
static void salts_are_counted(void **state)
{
	struct rig r;
	const struct audit_salts *held, *none = NULL;

	(void)state;
	(void)rig_file(&r, (struct audit_device){0});
	held = audit_salts_ref(r.salts);
	assert_ptr_equal(held, r.salts);
	assert_null(audit_salts_ref(NULL));
	audit_salts_unref(&none);
	rig_free(&r);
	audit_salts_unref(&held);
	assert_null(held);
}

/* ---- devices ---- */

static void no_devices(void **state)
{
	const struct rotation_event e = {CAUSE_MANUAL, 1, 2, 0};
	struct rig r;
	struct call c;
	struct audit_stats stats;

	(void)state;
	rig_new(&r, NULL, 0);
	assert_false(audit_on(r.audit));
	call_init(&c, "secret/a", NULL);
	put_request(&r, &c, NULL);
	put_response(&r, &c);
	audit_rotated(r.audit, &e);
	audit_reopen(r.audit);
	audit_stats(r.audit, &stats);
	assert_int_equal(stats.lines, 0);
	assert_int_equal(stats.failures, 0);
	call_free(&c);
	rig_free(&r);
}

static void full_device(void **state)
{
	const struct audit_device one = {.name = "full", .file_path = "/dev/full"};
	struct rig r;
	struct call c;
	struct err err = {0};
	struct audit_stats stats;

	(void)state;
	rig_new(&r, &one, 1);
	assert_true(audit_on(r.audit));
	call_init(&c, "secret/a", NULL);
	assert_int_equal(audit_request(r.audit, r.salts, &c.subject, NULL, &err), ST_IO);
	assert_true(err.text[0] != '\0');
	assert_int_equal(audit_response(r.audit, r.salts, &c.subject, &c.answer, NULL), ST_IO);
	audit_stats(r.audit, &stats);
	assert_int_equal(stats.lines, 0);
	assert_int_equal(stats.failures, 2);
	call_free(&c);
	rig_free(&r);
}

static void one_that_works_is_enough(void **state)
{
	const char *file = file_at("works.log");
	const struct audit_device devices[] = {{.name = "full", .file_path = "/dev/full"},
	                                       {.name = "main", .file_path = file},
	                                       {.name = "null", .file_path = "/dev/null"}};
	struct rig r;
	struct call c;
	struct line l;
	struct audit_stats stats;

	(void)state;
	rig_new(&r, devices, 3);
	call_init(&c, "secret/a", NULL);
	put_request(&r, &c, NULL);
	line_read(&l, file);
	assert_shows(&l, "request.path", "secret/a");
	assert_hashed(&l, &r, "request.client_token", TOKEN);
	audit_stats(r.audit, &stats);
	assert_int_equal(stats.lines, 2);
	assert_int_equal(stats.failures, 1);
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

static enum status open_one(const char *name, const char *path, struct err *err)
{
	const struct audit_device device = {.name = name, .file_path = path};
	struct audit *a = NULL;
	enum status st = audit_new(&device, 1, &clock_of_tests.clock, &a, err);

	assert_true((a != NULL) == (st == ST_OK));
	audit_free(&a);
	return st;
}

static void refused_paths(void **state)
{
	const char *link_path = file_at("link"), *fifo = file_at("fifo"),
	           *target = file_at("target");
	const char *read_fifo = file_at("read-fifo");
	const char *const bad[] = {link_path, fifo, read_fifo, folder, "/nonexistent/audit.log",
	                           ""};
	int reader;

	(void)state;
	assert_int_equal(symlink(target, link_path), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(mkfifo(read_fifo, 0600), 0);
	reader = open(read_fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err err = {0};

		assert_int_equal(open_one("device-name", bad[i], &err), ST_IO);
		assert_non_null(strstr(err.text, "device-name"));
		assert_non_null(strstr(err.text, bad[i]));
	}
	assert_int_equal(access(target, F_OK), -1);
	(void)close(reader);
}

static void refused_names(void **state)
{
	static const char *const bad[] = {"", "/", "a/", "a//b", "..", "a/../b", "a\nb"};
	const struct audit_device twice[] = {{.name = "a", .file_path = "/dev/null"},
	                                     {.name = "b", .file_path = "/dev/null"},
	                                     {.name = "a", .file_path = "/dev/null"}};
	struct audit *a = NULL;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(open_one(bad[i], "/dev/null", NULL), ST_INVALID);
	assert_int_equal(audit_new(twice, 3, &clock_of_tests.clock, &a, &err), ST_INVALID);
	assert_null(a);
	assert_non_null(strstr(err.text, "two"));
}

static unsigned mode_of(const char *path)
{
	struct stat info;

	assert_int_equal(lstat(path, &info), 0);
	return info.st_mode & 07777U;
}

/* A file that is created has the mode that was asked for; one that is there keeps its own, and its lines. */
static void modes(void **state)
{
	struct audit_device device = {.name = "main", .file_path = file_at("mode.log")};
	const mode_t old = umask(0077);
	struct rig r;
	struct call c;
	struct line l;

	(void)state;
	assert_int_equal(open_one("main", device.file_path, NULL), ST_OK);
	assert_int_equal(mode_of(device.file_path), 0600);
	assert_int_equal(unlink(device.file_path), 0);
	device.mode = 0640;
	for (size_t i = 1; i <= 2; i++) {
		rig_new(&r, &device, 1);
		assert_int_equal(mode_of(device.file_path), 0640);
		call_init(&c, "secret/a", NULL);
		put_request(&r, &c, NULL);
		line_read(&l, device.file_path);
		assert_int_equal(l.lines, i);
		line_free(&l);
		call_free(&c);
		rig_free(&r);
		device.mode = 0600;
	}
	(void)umask(old);
}

static void reopened_after_rename(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){0}), *moved = file_at("main.log.1");

	(void)state;
	call_init(&c, "secret/before", NULL);
	put_request(&r, &c, NULL);
	assert_int_equal(rename(file, moved), 0);
	put_request(&r, &c, NULL); /* still into the old file */
	line_read(&l, moved);
	assert_int_equal(l.lines, 2);
	line_free(&l);
	call_free(&c);
	call_init(&c, "secret/after", NULL);
	audit_reopen(r.audit);
	put_request(&r, &c, NULL);
	line_read(&l, file);
	assert_int_equal(l.lines, 1);
	assert_shows(&l, "request.path", "secret/after");
	line_free(&l);
	line_read(&l, moved);
	assert_int_equal(l.lines, 2);
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

static void reopening_fails(void **state)
{
	struct rig r;
	struct call c;
	struct line l;
	const char *file = rig_file(&r, (struct audit_device){0}), *moved = file_at("main.log.2");

	(void)state;
	call_init(&c, "secret/a", NULL);
	assert_int_equal(rename(file, moved), 0);
	assert_int_equal(symlink("/dev/null", file), 0);
	audit_reopen(r.audit);
	put_request(&r, &c, NULL);
	line_read(&l, moved);
	assert_int_equal(l.lines, 1);
	line_free(&l);
	assert_int_equal(unlink(file), 0);
	audit_reopen(r.audit);
	put_request(&r, &c, NULL);
	line_read(&l, file);
	assert_int_equal(l.lines, 1);
	line_free(&l);
	call_free(&c);
	rig_free(&r);
}

/* fn with standard output in a file, or whatever `to` is; returns its result. */
static enum status with_stdout(const char *to, enum status (*fn)(void *arg), void *arg)
{
	int saved, fd;
	enum status st;

	assert_int_equal(fflush(stdout), 0);
	saved = dup(STDOUT_FILENO);
	fd = open(to, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_true(saved >= 0 && fd >= 0);
	assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
	st = fn(arg);
	assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
	(void)close(fd);
	(void)close(saved);
	return st;
}

static enum status one_line_to_stdout(void *arg)
{
	const struct audit_device device = {.name = "main", .file_path = "stdout"};
	struct audit *a = NULL;
	enum status st = audit_new(&device, 1, &clock_of_tests.clock, &a, NULL);
	struct call *c = arg;

	if (st != ST_OK)
		return st;
	audit_reopen(a);
	st = audit_request(a, NULL, &c->subject, NULL, NULL);
	audit_free(&a);
	return fcntl(STDOUT_FILENO, F_GETFD) < 0 ? ST_UNAVAILABLE : st; /* it stays open */
}

static void standard_output(void **state)
{
	const char *file = file_at("stdout.log");
	struct call c;
	struct line l;

	(void)state;
	call_init(&c, "secret/a", NULL);
	for (size_t i = 1; i <= 2; i++) {
		assert_int_equal(with_stdout(file, one_line_to_stdout, &c), ST_OK);
		line_read(&l, file);
		assert_int_equal(l.lines, i);
		assert_shows(&l, "request.path", "secret/a");
		line_free(&l);
	}
	assert_int_equal(with_stdout("/dev/full", one_line_to_stdout, &c), ST_IO);
	call_free(&c);
}

/* ---- a line that was cut ---- */

/* A pipe that holds one page and does not wait: a long line is written in part. */
static void a_line_that_is_cut(void **state)
{
	const struct audit_device device = {.name = "main", .file_path = "stdout"};
	struct audit *a = NULL;
	struct call c;
	struct audit_stats stats;
	struct builder long_text = {0};
	uint8_t buf[65536];
	int ends[2], saved;
	ssize_t n;

	(void)state;
	call_init(&c, "secret/a", NULL);
	for (size_t i = 0; i < 1500; i++)
		builder_str(&long_text, "[12345],");
	builder_str(&long_text, "1");
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 4096);
	assert_int_equal(fflush(stdout), 0);
	saved = dup(STDOUT_FILENO);
	assert_int_equal(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
	assert_int_equal(audit_new(&device, 1, &clock_of_tests.clock, &a, NULL), ST_OK);
	builder_str(&c.answer.data, "{\"v\":[");
	builder_add(&c.answer.data, builder_span(&long_text));
	builder_str(&c.answer.data, "]}");
	enum status cut = audit_response(a, NULL, &c.subject, &c.answer, NULL);
	enum status full = audit_request(a, NULL, &c.subject, NULL, NULL);
	n = read(ends[0], buf, sizeof buf);
	bool no_end = n > 0 && memchr(buf, '\n', (size_t)n) == NULL;
	enum status after = audit_request(a, NULL, &c.subject, NULL, NULL);
	n = read(ends[0], buf, sizeof buf);
	enum status whole = audit_request(a, NULL, &c.subject, NULL, NULL);
	uint8_t first = 0;
	ssize_t m = read(ends[0], &first, 1);
	assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
	(void)close(saved);
	(void)close(ends[0]);
	(void)close(ends[1]);
	assert_int_equal(cut, ST_IO);
	assert_int_equal(full, ST_IO);
	assert_true(no_end);
	assert_int_equal(after, ST_OK);
	assert_true(n > 2);
	/* It ends the cut one first, and stands on a line of its own. */
	assert_int_equal(buf[0], '\n');
	assert_int_equal(buf[1], '{');
	assert_int_equal(buf[n - 1], '\n');
	assert_int_equal(whole, ST_OK);
	assert_int_equal(m, 1);
	assert_int_equal(first, '{');
	audit_stats(a, &stats);
	assert_int_equal(stats.lines, 2);
	assert_int_equal(stats.failures, 2);
	builder_free(&long_text);
	audit_free(&a);
	call_free(&c);
}

/* ---- allocations ---- */

static void open_starved(bool for_ever)
{
	const struct audit_device devices[] = {{.name = "a", .file_path = "/dev/null"},
	                                       {.name = "b", .file_path = file_at("starved.log")}};
	struct audit *a = NULL;
	bool refused = true;
	size_t n = 0;

	for (; refused; n++) {
		enum status st;

		starve(n, for_ever);
		st = audit_new(devices, 2, &clock_of_tests.clock, &a, NULL);
		refused = feed();
		assert_int_equal(st, refused ? ST_NOMEM : ST_OK);
		assert_true((a != NULL) == (st == ST_OK));
	}
	assert_in_range(n, 5, 50);
	audit_free(&a);
}

static void opening_without_memory(void **state)
{
	(void)state;
	open_starved(true);
	open_starved(false);
}

/* Without memory a line is not written at all, or it is whole; and nothing shows that would not. */
static void write_starved(bool for_ever)
{
	struct rig r;
	struct call c;
	struct line l;
	size_t n = 0, written = 0;
	bool refused = true;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	call_init(&c, "secret/a", BODY);
	builder_str(&c.answer.data, "{\"v\":\"inner-word\",\"list\":[");
	for (size_t i = 0; i < 100;
	     i++) /* more values than the reader has room for without asking */
		builder_str(&c.answer.data, "\"inner-word\",");
	builder_str(&c.answer.data, "1]}");
	for (; refused; n++) {
		enum status st;

		starve(n, for_ever);
		st = audit_response(r.audit, r.salts, &c.subject, &c.answer, NULL);
		refused = feed();
		assert_true(st == ST_OK || (refused && st == ST_IO));
		written += st == ST_OK;
		if (written == 0)
			continue;
		line_read(&l, file);
		assert_int_equal(l.lines, written);
		assert_shows(&l, "type", "response");
		assert_false(holds(&l, "inner-word"));
		assert_false(holds(&l, "attack"));
		line_free(&l);
	}
	assert_in_range(n, 4, 200);
	call_free(&c);
	rig_free(&r);
}

static void lines_without_memory(void **state)
{
	(void)state;
	write_starved(true);
	write_starved(false);
}

/* ---- many threads ---- */

#define WRITERS 4
#define EACH    150

struct writing {
	struct rig *rig;
	unsigned number;
};

static void *write_lines(void *arg)
{
	struct writing *w = arg;
	struct call c;
	char path[64];

	(void)snprintf(path, sizeof path, "secret/%u", w->number);
	call_init(&c, path, BODY);
	for (size_t i = 0; i < EACH; i++) {
		if (audit_request(w->rig->audit, w->rig->salts, &c.subject, NULL, NULL) != ST_OK)
			break;
	}
	call_free(&c);
	return NULL;
}

static atomic_bool over;

static void *reopen_often(void *arg)
{
	struct rig *r = arg;

	while (!atomic_load(&over))
		audit_reopen(r->audit);
	return NULL;
}

/* Each line of the file, parsed; how many lines each path has. */
static void count_lines(const char *file, size_t counts[static WRITERS])
{
	struct builder text = {0};
	size_t start = 0;

	read_file(file, &text);
	for (size_t i = 0; i < text.n; i++) {
		struct json doc;
		const struct json_value *path;

		if (text.p[i] != '\n')
			continue;
		json_init(&doc);
		assert_int_equal(json_parse(&doc, text.p + start, i - start, NULL, NULL), ST_OK);
		path = json_member(json_member(json_root(&doc), "request"), "path");
		assert_non_null(path);
		assert_int_equal(path->text.n, strlen("secret/0"));
		assert_in_range(path->text.p[7], '0', '0' + WRITERS - 1);
		counts[path->text.p[7] - '0']++;
		json_free(&doc);
		start = i + 1;
	}
	assert_int_equal(start, text.n);
	builder_free(&text);
}

static void whole_lines_from_many_threads(void **state)
{
	struct rig r;
	struct writing w[WRITERS];
	pthread_t threads[WRITERS], reopening;
	size_t counts[WRITERS] = {0};
	struct audit_stats stats;
	const char *file = rig_file(&r, (struct audit_device){.hmac_accessor = true});

	(void)state;
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&reopening, NULL, reopen_often, &r), 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		w[i] = (struct writing){&r, i};
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &w[i]), 0);
	}
	for (size_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	atomic_store(&over, true);
	assert_int_equal(pthread_join(reopening, NULL), 0);
	count_lines(file, counts);
	for (size_t i = 0; i < WRITERS; i++)
		assert_int_equal(counts[i], EACH);
	audit_stats(r.audit, &stats);
	assert_int_equal(stats.lines, WRITERS * EACH);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(request_line),
	    cmocka_unit_test(operation_and_refusal),
	    cmocka_unit_test(unknown_token),
	    cmocka_unit_test(batch_token),
	    cmocka_unit_test(remote_addresses),
	    cmocka_unit_test(only_strings_are_hashed),
	    cmocka_unit_test(query_parameters),
	    cmocka_unit_test(deep_body),
	    cmocka_unit_test(response_line),
	    cmocka_unit_test(new_token_is_hashed),
	    cmocka_unit_test(errors),
	    cmocka_unit_test(texts_are_one_string),
	    cmocka_unit_test(rotation_line),
	    cmocka_unit_test(event_line),
	    cmocka_unit_test(log_raw),
	    cmocka_unit_test(accessor_in_clear),
	    cmocka_unit_test(sealed_form),
	    cmocka_unit_test(hash_of_a_device),
	    cmocka_unit_test(salt_record),
	    cmocka_unit_test(salts_stay),
	    cmocka_unit_test(damaged_salts),
	    cmocka_unit_test(salts_are_counted),
	    cmocka_unit_test(no_devices),
	    cmocka_unit_test(full_device),
	    cmocka_unit_test(one_that_works_is_enough),
	    cmocka_unit_test(refused_paths),
	    cmocka_unit_test(refused_names),
	    cmocka_unit_test(modes),
	    cmocka_unit_test(reopened_after_rename),
	    cmocka_unit_test(reopening_fails),
	    cmocka_unit_test(standard_output),
	    cmocka_unit_test(a_line_that_is_cut),
	    cmocka_unit_test(opening_without_memory),
	    cmocka_unit_test(lines_without_memory),
	    cmocka_unit_test(whole_lines_from_many_threads),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
