/*
 * audit: the lines of a request and its answer, written to real devices (one that hides strings, one that shows them), around JSON that the input gives.
 *
 * Input: a byte of how (sealed, accessor shown), then with a byte of length each: path, query name, query value, error text, warning, display
 * name; then the body and the answer's data, split at the first zero byte.  Each byte 0x01 in body or data stands for a canary, a string that
 * may not be seen in clear; so do the token, the answer's token, and the query's value.
 *   - each device gets one line for each call, ending in its only line end; it is JSON without control bytes, with the members that a line has;
 *   - the device that hides strings never shows a canary, unless it stands in a member's name; nor does any device while sealed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "core/audit.h"
#include "fuzz.h"
#include "lib/solo.h"

#define CANARY  "CaNaRy-of-the-fuzzer-0123456789"
#define DEVICES 2

static struct solo solo;
static struct clock_manual wall;
static struct audit *audit;
static const struct audit_salts *salts;
static char folder[64], path[DEVICES][96];

static void remove_folder(void)
{
	for (int i = 0; i < DEVICES; i++)
		(void)unlink(path[i]);
	(void)rmdir(folder);
}

static enum status load_salts(void *arg, struct txn *t, struct err *err)
{
	struct view v;

	(void)arg;
	view_init(&v, t, span_str("sys/audit/"));
	return audit_load(audit, &v, &solo.random.random, &salts, err);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct audit_device devices[DEVICES] = {{.name = "hides", .mode = 0600},
	                                        {.name = "shows", .mode = 0600, .log_raw = true}};
	struct stat st;

	(void)argc;
	(void)argv;
	fuzz_process();
	(void)snprintf(folder, sizeof folder, "%s/keyturn-fuzz-XXXXXX",
	               stat("/dev/shm", &st) == 0 ? "/dev/shm" : "/tmp");
	MUST(mkdtemp(folder) != NULL);
	for (int i = 0; i < DEVICES; i++) {
		(void)snprintf(path[i], sizeof path[i], "%s/%d", folder, i);
		devices[i].file_path = path[i];
	}
	(void)atexit(remove_folder);
	clock_manual_init(&wall, INT64_C(1800000000) * NS_PER_S, 0);
	MUST(audit_new(devices, DEVICES, &wall.clock, &audit, NULL) == ST_OK);
	solo_init(&solo, 5);
	solo_start(&solo);
	solo_open(&solo);
	MUST(solo_write(&solo, load_salts, NULL, NULL) == ST_OK);
	return 0;
}

/* The text with each 0x01 as a canary. */
static void plant(struct builder *b, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == 1)
			builder_str(b, CANARY);
		else
			builder_u8(b, text.p[i]);
	}
	builder_u8(b, 0);
	b->n--;
	MUST(builder_status(b) == ST_OK);
}

static bool has_canary(struct span s)
{
	return s.n > 0 && memmem(s.p, s.n, CANARY, strlen(CANARY)) != NULL;
}

static bool named_canary(const struct json_value *v)
{
	const struct json_value *m;

	if (v == NULL)
		return false;
	m = json_first(v);
	for (uint32_t i = 0; i < v->count; i++, m = json_next(m))
		if (has_canary(m->name) || named_canary(m))
			return true;
	/* numbers stay as they are; none holds letters */
	return false;
}

struct input {
	uint8_t how;
	struct span path, name, value, error, warning, display;
	struct builder body, data;
	struct json body_doc, data_doc;
	bool excused; /* a canary stands where strings are shown */
};

static void take_input(struct cursor *c, struct input *in)
{
	struct span rest;

	in->how = fuzz_u8(c);
	in->path = fuzz_lv(c);
	in->name = fuzz_lv(c);
	in->value = fuzz_lv(c);
	in->error = fuzz_lv(c);
	in->warning = fuzz_lv(c);
	in->display = fuzz_lv(c);
	rest = fuzz_rest(c);
	const uint8_t *zero = rest.n > 0 ? memchr(rest.p, 0, rest.n) : NULL;
	size_t n = zero != NULL ? (size_t)(zero - rest.p) : rest.n;
	plant(&in->body, span_of(rest.p, n));
	plant(&in->data, zero != NULL ? span_from(rest, n + 1) : span_of(NULL, 0));
	json_init(&in->body_doc);
	json_init(&in->data_doc);
	in->excused = has_canary(in->path) || has_canary(in->name) || has_canary(in->error) ||
	              has_canary(in->display) || has_canary(in->warning);
}

static void make_request(struct input *in, struct request *r)
{
	uint8_t *memory = in->body.p;

	*r = (struct request){.verb = (enum verb)(in->how % VERB_COUNT),
	                      .token = span_str("s." CANARY),
	                      .remote = span_str("127.0.0.1:5555"),
	                      .now_ns = wall.wall,
	                      .id = "11111111-2222-4333-8444-555555555555"};
	if (path_parse(in->path, &r->path, NULL) != ST_OK)
		MUST(path_parse(span_str("secret/a"), &r->path, NULL) == ST_OK);
	if (json_parse(&in->body_doc, memory, in->body.n, NULL, NULL) == ST_OK &&
	    json_root(&in->body_doc)->type == JSON_OBJECT)
		r->data = json_root(&in->body_doc);
	in->excused = in->excused || named_canary(r->data);
	if (in->name.n > 0 && utf8_valid(in->name)) {
		r->query[0].name = in->name;
		r->query[0].value =
		    utf8_valid(in->value) && in->value.n > 0 ? in->value : span_str(CANARY);
		r->n_query = 1;
	}
}

static void make_answer(struct input *in, struct answer *a)
{
	struct json_writer w;
	uint8_t *copy = fuzz_copy(builder_span(&in->data));
	char warning[300];

	answer_init(a);
	if ((in->how & 0x40) != 0)
		(void)answer_fail(a, ST_INVALID, "%.*s", (int)in->error.n,
		                  (const char *)in->error.p);
	builder_add(&a->data, builder_span(&in->data));
	if (json_parse(&in->data_doc, copy, in->data.n, NULL, NULL) == ST_OK)
		in->excused = in->excused || named_canary(json_root(&in->data_doc));
	json_free(&in->data_doc);
	free(copy);
	json_writer_init(&w, &a->auth);
	json_begin_object(&w);
	json_put_cstr(&w, "client_token", "s." CANARY);
	json_put_cstr(&w, "accessor", "accessor");
	json_end_object(&w);
	(void)snprintf(warning, sizeof warning, "%.*s", (int)in->warning.n,
	               (const char *)in->warning.p);
	if (in->warning.n > 0)
		answer_warn(a, "%s", warning);
}

/* What a device got: one line. */
static void check_line(int device, const struct input *in, bool sealed)
{
	static const struct json_limits limits = {
	    .depth = JSON_DEPTH_MAX, .values = 1000000, .string = 1 << 24};
	struct builder line = {0};
	struct json doc;
	struct stat st;
	int fd = open(path[device], O_RDWR | O_CLOEXEC);

	MUST(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 2);
	size_t n = (size_t)st.st_size;
	uint8_t *room = builder_room(&line, n);
	MUST(room != NULL && read(fd, room, n) == st.st_size && ftruncate(fd, 0) == 0);
	builder_took(&line, n);
	close(fd);
	MUST(memchr(line.p, '\n', n) == line.p + n - 1);
	for (size_t i = 0; i + 1 < n; i++)
		MUST(line.p[i] >= 0x20);
	if ((device == 0 || sealed) && !in->excused)
		MUST(!has_canary(builder_span(&line)));
	json_init(&doc);
	MUST(json_parse(&doc, line.p, n - 1, &limits, NULL) == ST_OK);
	MUST(json_member(json_root(&doc), "time") != NULL);
	MUST(json_member(json_root(&doc), "type") != NULL);
	MUST(json_member(json_member(json_root(&doc), "request"), "path") != NULL);
	json_free(&doc);
	builder_free(&line);
}

static void check_lines(const struct input *in, bool sealed)
{
	for (int i = 0; i < DEVICES; i++)
		check_line(i, in, sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));
	const struct span policies[] = {span_str("default"), span_str("root")};
	struct input in = {0};
	struct request r;
	struct answer a;
	char why[300];

	take_input(&c, &in);
	make_request(&in, &r);
	make_answer(&in, &a);
	bool sealed = (in.how & 0x80) != 0;
	const struct audit_subject s = {.req = &r,
	                                .policies = policies,
	                                .n_policies = in.how % 3,
	                                .accessor = span_str("accessor"),
	                                .display_name = in.display,
	                                .mount = span_str("secret/"),
	                                .mount_type = "kv"};
	(void)snprintf(why, sizeof why, "%.*s", (int)in.error.n, (const char *)in.error.p);
	MUST(audit_request(audit, sealed ? NULL : salts, &s, in.error.n > 0 ? why : NULL, NULL) ==
	     ST_OK);
	check_lines(&in, sealed);
	MUST(audit_response(audit, sealed ? NULL : salts, &s, &a, NULL) == ST_OK);
	check_lines(&in, sealed);
	answer_free(&a);
	json_free(&in.body_doc);
	builder_free(&in.body);
	builder_free(&in.data);
	return 0;
}
