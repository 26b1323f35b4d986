/*
 * What transit does unasked, with a clock that is set by hand: keys are rotated when they are due, each time once, whatever the clock does; names that
 * somebody planted in the storage, and records that were damaged there, stop neither that nor the writer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "barrier/txn.h"
#include "engine/transit.h"
#include "lib/house.h"

#define HOUR 3600

static struct site {
	struct house *h;
	struct transit *transit;
	char audit[64];
} site;

static enum status make_later(void *ctx, struct slow *work)
{
	(void)ctx;
	return pool_later(site.h->pool, work);
}

static void begin(void)
{
	const struct transit_config config = {.manner = &transit_manner_vault,
	                                      .make_later = make_later};
	int fd;

	(void)snprintf(site.audit, sizeof site.audit, "/tmp/keyturn-tick-XXXXXX");
	fd = mkstemp(site.audit);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(transit_new(&config, &site.transit), ST_OK);
	site.h = house_with(&engine_transit, site.transit, site.audit);
	house_open(site.h);
	assert_int_equal(
	    house_ask(site.h, VERB_WRITE, "sys/mounts/t", site.h->root, "{\"type\":\"transit\"}"),
	    ST_OK);
	house_settle(site.h);
}

static void end(void)
{
	house_free(&site.h);
	transit_free(&site.transit);
	assert_int_equal(unlink(site.audit), 0);
}

/* ---- keys ---- */

static enum status ask(enum verb verb, const char *path, const char *body)
{
	return house_ask(site.h, verb, path, site.h->root, body);
}

static void must(enum verb verb, const char *path, const char *body)
{
	enum status st = ask(verb, path, body);

	if (st != ST_OK)
		fail_msg("%s: %s", path, site.h->text);
}

static void make(const char *name, const char *body)
{
	char path[64];

	(void)snprintf(path, sizeof path, "t/keys/%s", name);
	must(VERB_WRITE, path, body);
}

/* A number among the members of the last answer; -1: there is none. */
static long long member(const char *name)
{
	char want[64];
	const char *at;

	(void)snprintf(want, sizeof want, "\"%s\":", name);
	at = strstr((const char *)site.h->data.p, want);
	return at != NULL ? strtoll(at + strlen(want), NULL, 10) : -1;
}

static long long latest(const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof path, "t/keys/%s", name);
	must(VERB_READ, path, NULL);
	return member("latest_version");
}

static bool is_due(const char *name)
{
	(void)latest(name);
	return strstr((const char *)site.h->data.p, "\"next_rotation\"") != NULL;
}

static void config(const char *name, const char *body)
{
	char path[64];

	(void)snprintf(path, sizeof path, "t/keys/%s/config", name);
	must(VERB_WRITE, path, body);
}

/* So many lines of the audit tell of this rotation. */
static unsigned told(const char *name, const char *cause)
{
	char line[8192], want[3][64];
	unsigned n = 0;
	FILE *f = fopen(site.audit, "r");

	assert_non_null(f);
	(void)snprintf(want[0], sizeof want[0], "\"event\":\"key_rotated\"");
	(void)snprintf(want[1], sizeof want[1], "\"key\":\"%s\"", name);
	(void)snprintf(want[2], sizeof want[2], "\"cause\":\"%s\"", cause);
	while (fgets(line, sizeof line, f) != NULL)
		n += strstr(line, want[0]) != NULL && strstr(line, want[1]) != NULL &&
		     strstr(line, want[2]) != NULL;
	(void)fclose(f);
	return n;
}

static void reopen(void)
{
	char body[256];

	(void)snprintf(body, sizeof body, "{\"key\":\"%s\"}", site.h->share);
	assert_int_equal(house_ask(site.h, VERB_WRITE, "sys/unseal", "", body), ST_OK);
	house_settle(site.h);
}

/* ---- when it is time ---- */

static void rotated_when_due(void **state)
{
	(void)state;
	begin();
	make("k", "{\"auto_rotate_period\":\"2h\"}");
	make("never", "{}");
	house_later(site.h, 2 * HOUR - 1);
	assert_int_equal(latest("k"), 1);
	house_later(site.h, 1);
	assert_int_equal(latest("k"), 2);
	house_later(site.h, 2 * HOUR - 1);
	assert_int_equal(latest("k"), 2);
	house_later(site.h, 1);
	assert_int_equal(latest("k"), 3);
	assert_int_equal(latest("never"), 1);
	assert_int_equal(told("k", "auto_rotate_period"), 2);
	end();
}

/* A rotation by hand counts, too. */
static void due_by_the_age_of_the_latest(void **state)
{
	(void)state;
	begin();
	make("k", "{\"auto_rotate_period\":\"2h\"}");
	house_later(site.h, HOUR);
	must(VERB_WRITE, "t/keys/k/rotate", "{}");
	house_later(site.h, HOUR);
	assert_int_equal(latest("k"), 2);
	house_later(site.h, HOUR);
	assert_int_equal(latest("k"), 3);
	end();
}

static void a_period_that_changes(void **state)
{
	(void)state;
	begin();
	make("k", "{}");
	house_later(site.h, 10 * HOUR);
	assert_false(is_due("k"));
	config("k", "{\"auto_rotate_period\":\"1h\"}"); /* its age is more already */
	house_settle(site.h);
	assert_int_equal(latest("k"), 2);
	config("k", "{\"auto_rotate_period\":\"5h\"}");
	house_later(site.h, 5 * HOUR - 1);
	assert_int_equal(latest("k"), 2);
	config("k", "{\"auto_rotate_period\":0}");
	house_later(site.h, 100 * HOUR);
	assert_int_equal(latest("k"), 2);
	assert_false(is_due("k"));
	end();
}

static void not_while_soft_deleted(void **state)
{
	(void)state;
	begin();
	make("k", "{\"auto_rotate_period\":\"1h\"}");
	must(VERB_DELETE, "t/keys/k/soft-delete", NULL);
	house_later(site.h, 10 * HOUR);
	assert_int_equal(latest("k"), 1);
	must(VERB_WRITE, "t/keys/k/soft-delete-restore", "{}");
	house_settle(site.h);
	assert_int_equal(latest("k"), 2);
	end();
}

static void not_when_deleted(void **state)
{
	(void)state;
	begin();
	make("k", "{\"auto_rotate_period\":\"1h\"}");
	config("k", "{\"deletion_allowed\":true}");
	must(VERB_DELETE, "t/keys/k", NULL);
	make("k", "{}");
	house_later(site.h, 10 * HOUR);
	assert_int_equal(latest("k"), 1);
	assert_int_equal(told("k", "auto_rotate_period"), 0);
	end();
}

static void the_clock_jumps(void **state)
{
	int64_t now;

	(void)state;
	begin();
	make("k", "{\"auto_rotate_period\":\"2h\"}");
	house_later(site.h, HOUR);
	now = clock_wall_ns(&site.h->clock.clock);
	/* back by ten hours: what has passed has passed */
	clock_manual_set_wall(&site.h->clock, now - INT64_C(10) * HOUR * NS_PER_S);
	house_settle(site.h);
	house_later(site.h, HOUR - 1);
	assert_int_equal(latest("k"), 1);
	house_later(site.h, 1);
	assert_int_equal(latest("k"), 2);
	/* forward by a month: once */
	now = clock_wall_ns(&site.h->clock.clock);
	clock_manual_set_wall(&site.h->clock, now + INT64_C(720) * HOUR * NS_PER_S);
	house_settle(site.h);
	house_settle(site.h);
	assert_int_equal(latest("k"), 3);
	house_later(site.h, 2 * HOUR - 1);
	assert_int_equal(latest("k"), 3);
	house_later(site.h, 1);
	assert_int_equal(latest("k"), 4);
	assert_int_equal(told("k", "auto_rotate_period"), 3);
	end();
}

/* Its age counts from when it was made, whatever the clock said then. */
static void made_while_the_clock_is_back(void **state)
{
	int64_t now;

	(void)state;
	begin();
	now = clock_wall_ns(&site.h->clock.clock);
	clock_manual_set_wall(&site.h->clock, now - INT64_C(10) * HOUR * NS_PER_S);
	make("made", "{\"auto_rotate_period\":\"2h\"}");
	make("rotated", "{\"auto_rotate_period\":\"2h\"}");
	make("configured", "{}");
	house_later(site.h, HOUR);
	must(VERB_WRITE, "t/keys/rotated/rotate", "{}");
	config("configured", "{\"auto_rotate_period\":\"2h\"}");
	house_later(site.h, HOUR - 1);
	assert_int_equal(latest("made"), 1);
	assert_int_equal(latest("configured"), 1);
	house_later(site.h, 1);
	assert_int_equal(latest("made"), 2);
	assert_int_equal(latest("configured"), 2);
	assert_int_equal(latest("rotated"), 2);
	house_later(site.h, HOUR - 1);
	assert_int_equal(latest("rotated"), 2);
	house_later(site.h, 1);
	assert_int_equal(latest("rotated"), 3);
	end();
}

static void many_at_once(void **state)
{
	char name[32];

	(void)state;
	begin();
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof name, "k%u", i);
		make(name, "{\"auto_rotate_period\":\"1h\"}");
	}
	house_later(site.h, HOUR);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof name, "k%u", i);
		assert_int_equal(latest(name), 2);
		assert_int_equal(told(name, "auto_rotate_period"), 1);
	}
	end();
}

static void due_while_sealed(void **state)
{
	(void)state;
	begin();
	make("k", "{\"auto_rotate_period\":\"1h\"}");
	must(VERB_WRITE, "sys/seal", "{}");
	house_later(site.h, 5 * HOUR);
	reopen();
	assert_int_equal(latest("k"), 2);
	house_later(site.h, HOUR);
	assert_int_equal(latest("k"), 3);
	end();
}

static enum status nothing(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	(void)t;
	(void)err;
	return ST_OK;
}

/* As house_later, when what is due then fails. */
static void later_in_vain(int64_t seconds)
{
	clock_manual_advance(&site.h->clock, seconds * NS_PER_S);
	writer_wake(site.h->writer);
	for (unsigned i = 0; i < 3; i++)
		(void)house_write(site.h, nothing, NULL);
}

/* It is tried again; nothing is rotated, or told, twice. */
static void the_commit_fails(void **state)
{
	static const enum faultstore_commit how[] = {
	    FAULTSTORE_NOT_DONE, FAULTSTORE_UNKNOWN_AND_NOT_DONE, FAULTSTORE_UNKNOWN_BUT_DONE};

	(void)state;
	for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
		begin();
		make("k", "{\"auto_rotate_period\":\"1h\"}");
		house_fail_commit(site.h, how[i]);
		later_in_vain(HOUR);
		assert_int_equal(faultstore_failures(site.h->store), 1);
		assert_int_equal(latest("k"), how[i] == FAULTSTORE_UNKNOWN_BUT_DONE ? 2 : 1);
		house_later(site.h, 60);
		assert_int_equal(latest("k"), 2);
		assert_int_equal(told("k", "auto_rotate_period"), 1);
		end();
	}
}

/* What takes long is made by the pool, one after another, while the writer goes on; a key of another type does not wait for it for ever. */
static void keys_that_take_long(void **state)
{
	static const char *const names[] = {"rsa-a", "rsa-b", "ec", "sym"};
	unsigned done = 0, tries = 0;

	(void)state;
	begin();
	make(names[0], "{\"type\":\"rsa-2048\",\"auto_rotate_period\":\"1h\"}");
	make(names[1], "{\"type\":\"rsa-2048\",\"auto_rotate_period\":\"1h\"}");
	make(names[2], "{\"type\":\"ecdsa-p521\",\"auto_rotate_period\":\"1h\"}");
	make(names[3], "{\"auto_rotate_period\":\"1h\"}");
	house_later(site.h, HOUR);
	while (done < 4) {
		assert_true(tries++ < 3000);
		(void)usleep(20000);
		house_later(site.h, 2);
		done = 0;
		for (size_t i = 0; i < 4; i++)
			done += latest(names[i]) == 2;
	}
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(told(names[i], "auto_rotate_period"), 1);
	end();
}

/* In the very moment in which the pool is at it. */
static void sealed_while_one_is_made(void **state)
{
	unsigned tries = 0;

	(void)state;
	begin();
	make("k", "{\"type\":\"rsa-2048\",\"auto_rotate_period\":\"1h\"}");
	for (unsigned i = 0; i < 5; i++) {
		house_later(site.h, HOUR);
		must(VERB_WRITE, "sys/seal", "{}");
		reopen();
	}
	while (latest("k") == 1) {
		assert_true(tries++ < 3000);
		(void)usleep(20000);
		house_later(site.h, 2);
	}
	end();
}

/* ---- what is in the storage ---- */

static char prefix[160];

/* The mount's prefix: before "key/k". */
static enum status find_prefix(void *arg, struct txn *t, struct err *err)
{
	uint8_t at[600];
	struct span path, from = span_of(NULL, 0);

	(void)arg;
	while (txn_next(t, from, &path, err) == ST_OK) {
		if (span_ends(path, span_str("/key/k"))) {
			assert_int_equal(
			    span_cstr(span_of(path.p, path.n - 5), prefix, sizeof prefix), ST_OK);
			return ST_OK;
		}
		memcpy(at, path.p, path.n);
		at[path.n] = 0;
		from = span_of(at, path.n + 1);
	}
	return ST_NOT_FOUND;
}

static enum status plant_fn(void *arg, struct txn *t, struct err *err)
{
	char path[600];

	(void)snprintf(path, sizeof path, "%s%s", prefix, (const char *)arg);
	return txn_put(t, span_str(path), span_str("planted"), err);
}

static enum status there_fn(void *arg, struct txn *t, struct err *err)
{
	char path[600];

	(void)snprintf(path, sizeof path, "%s%s", prefix, (const char *)arg);
	return txn_exists(t, span_str(path), err);
}

static char long_due[400], long_time[400], long_trash[400];

/* All of them before what is really due, so that they are met first. */
static const char *const planted[] = {
    "due/!",
    "due/!/y",
    "due/!/y/z",
    "due//",
    "due//x",
    "due/0000000000000000/",
    "due/0000000000000000/nobody",
    "due/0000000000000000/a/b",
    "due/0000000000000000/a/b/c/d/e/f/g/h",
    "due/0000000000000000/-",
    "due/0000000000000000//",
    "due/0000000000000000/k",
    "due/0000000000000000",
    "due/0000000000000001",
    "due/0000000000000000/ /",
    "trash/x",
    "trash/x/y/z",
    "trash//",
    "trash/00000000000000000000000000000000-00000001-00000001",
    "trash/00000000000000000000000000000000-00000000-ffffffff",
    "trash/00000000000000000000000000000000-00000001-00000002",
    "trash/00000000000000000000000000000000-00000001-00000003/x",
    long_due,
    long_time,
    long_trash,
};

static void fill(char *text, size_t cap, const char *begin)
{
	memset(text, '!', cap - 1);
	memcpy(text, begin, strlen(begin));
}

/* The next one that is due is rotated all the same, and the writer comes to rest. */
static void planted_names(void **state)
{
	(void)state;
	fill(long_due, sizeof long_due, "due/");
	fill(long_time, sizeof long_time, "due/0000000000000000/");
	fill(long_trash, sizeof long_trash, "trash/");
	long_due[20] = long_trash[20] = '/';
	for (size_t i = 0; i < sizeof planted / sizeof *planted; i++) {
		begin();
		make("k", "{\"auto_rotate_period\":\"1h\"}");
		assert_int_equal(house_write(site.h, find_prefix, NULL), ST_OK);
		assert_int_equal(house_write(site.h, plant_fn, (void *)(uintptr_t)planted[i]),
		                 ST_OK);
		house_later(site.h, HOUR);
		house_later(site.h, 600);
		assert_int_equal(latest("k"), 2);
		assert_int_equal(house_write(site.h, there_fn, (void *)(uintptr_t)planted[i]),
		                 ST_NOT_FOUND);
		end();
	}
}

static uint8_t kept[512];
static size_t n_kept;

/* The head of key k, out of the storage and back again. */
static enum status take_head(void *arg, struct txn *t, struct err *err)
{
	char path[600];
	struct span record;

	(void)arg;
	(void)snprintf(path, sizeof path, "%skey/k", prefix);
	assert_int_equal(txn_get(t, span_str(path), &record, err), ST_OK);
	assert_true(record.n <= sizeof kept);
	memcpy(kept, record.p, record.n);
	n_kept = record.n;
	return txn_put(t, span_str(path), span_str("damaged"), err);
}

static enum status put_head_back(void *arg, struct txn *t, struct err *err)
{
	char path[600];

	(void)arg;
	(void)snprintf(path, sizeof path, "%skey/k", prefix);
	return txn_put(t, span_str(path), span_of(kept, n_kept), err);
}

/* The others are rotated; it is, too, once it can be read again. */
static void a_damaged_key(void **state)
{
	(void)state;
	begin();
	make("k", "{\"auto_rotate_period\":\"1h\"}");
	make("other", "{\"auto_rotate_period\":\"1h\"}");
	assert_int_equal(house_write(site.h, find_prefix, NULL), ST_OK);
	assert_int_equal(house_write(site.h, take_head, NULL), ST_OK);
	for (unsigned i = 2; i < 5; i++) {
		house_later(site.h, HOUR);
		assert_int_equal(latest("other"), i);
		assert_int_equal(ask(VERB_READ, "t/keys/k", NULL), ST_CORRUPT);
	}
	assert_int_equal(house_write(site.h, put_head_back, NULL), ST_OK);
	house_later(site.h, HOUR);
	assert_int_equal(latest("k"), 2);
	house_later(site.h, HOUR);
	assert_int_equal(latest("k"), 3);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rotated_when_due),
	    cmocka_unit_test(due_by_the_age_of_the_latest),
	    cmocka_unit_test(a_period_that_changes),
	    cmocka_unit_test(not_while_soft_deleted),
	    cmocka_unit_test(not_when_deleted),
	    cmocka_unit_test(the_clock_jumps),
	    cmocka_unit_test(made_while_the_clock_is_back),
	    cmocka_unit_test(many_at_once),
	    cmocka_unit_test(due_while_sealed),
	    cmocka_unit_test(the_commit_fails),
	    cmocka_unit_test(keys_that_take_long),
	    cmocka_unit_test(sealed_while_one_is_made),
	    cmocka_unit_test(planted_names),
	    cmocka_unit_test(a_damaged_key),
	};

	return cmocka_run_group_tests(tests, house_process, NULL);
}
