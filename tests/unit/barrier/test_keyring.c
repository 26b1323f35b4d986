#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "barrier/keyring.h"
#include "barrier/usage.h"
#include "rig.h"

#define MANY 300

/* A keyring with its records in a store in memory, put there as the writer does. */
struct fixture {
	struct storage *storage;
	struct slots *slots;
	struct secret *wrap, *mac;
	const struct keyring *k;
	struct random_seeded random;
	uint8_t id[STORE_ID_LEN];
};

static struct secret *bytes32(struct random_seeded *r)
{
	struct secret *s;

	assert_int_equal(secret_new(32, &s), ST_OK);
	random_fill(&r->random, secret_bytes(s), 32);
	return s;
}

static void store(struct fixture *f, const char *path, struct span value)
{
	struct storage_txn *t;
	struct err err = {0};

	assert_int_equal(f->storage->driver->write_begin(f->storage, &t, &err), ST_OK);
	assert_int_equal(f->storage->driver->put(t, span_str(path), value, &err), ST_OK);
	assert_int_equal(f->storage->driver->commit(&t, &err), STORAGE_DONE);
}

static void erase(struct fixture *f, const char *path)
{
	struct storage_txn *t;
	struct err err = {0};

	assert_int_equal(f->storage->driver->write_begin(f->storage, &t, &err), ST_OK);
	assert_int_equal(f->storage->driver->del(t, span_str(path), &err), ST_OK);
	assert_int_equal(f->storage->driver->commit(&t, &err), STORAGE_DONE);
}

static struct builder fetched(struct fixture *f, const char *path)
{
	struct storage_txn *t;
	struct builder b = {0};
	struct span v;
	struct err err = {0};

	assert_int_equal(f->storage->driver->write_begin(f->storage, &t, &err), ST_OK);
	assert_int_equal(f->storage->driver->get(t, span_str(path), &v, &err), ST_OK);
	builder_add(&b, v);
	f->storage->driver->abort(&t);
	return b;
}

static void put_head(struct fixture *f)
{
	struct builder head = {0};

	keyring_head(f->k, &head);
	store(f, KEYRING_HEAD_PATH, builder_span(&head));
	builder_free(&head);
}

static const char *term_path(uint32_t n)
{
	static char path[32];

	snprintf(path, sizeof path, KEYRING_TERM_PATH, n);
	return path;
}

static void append(struct fixture *f)
{
	struct secret *key = bytes32(&f->random), *slot = bytes32(&f->random);
	uint32_t n = keyring_active(f->k) + 1;
	struct builder record = {0};
	struct keyring *next;
	struct err err = {0};

	assert_int_equal(slots_write(f->slots, n, 1, slot, &err), ST_OK);
	assert_int_equal(keyring_append(f->k, key, slot, n == 1 ? CAUSE_INIT : CAUSE_MANUAL,
	                                1000 + (int64_t)n, &f->random.random, &next, &record, &err),
	                 ST_OK);
	store(f, term_path(n), builder_span(&record));
	keyring_unref(&f->k);
	f->k = next;
	builder_free(&record);
	secret_free(&key);
	secret_free(&slot);
}

static struct fixture *fixture_new(uint32_t terms)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct storage_config config = {0};
	struct keyring *empty;
	struct err err = {0};

	assert_non_null(f);
	random_seeded_init(&f->random, 5);
	assert_int_equal(storage_mem.open(&config, &f->storage, &err), ST_OK);
	assert_int_equal(slots_open(NULL, &f->slots, &err), ST_OK);
	f->wrap = bytes32(&f->random);
	f->mac = bytes32(&f->random);
	random_fill(&f->random.random, f->id, sizeof f->id);
	slots_bind(f->slots, f->id);
	assert_int_equal(keyring_new(f->wrap, f->mac, f->id, &empty), ST_OK);
	f->k = empty;
	for (uint32_t i = 0; i < terms; i++)
		append(f);
	put_head(f);
	return f;
}

static void fixture_free(struct fixture **f)
{
	keyring_unref(&(*f)->k);
	slots_close(&(*f)->slots);
	(*f)->storage->driver->close(&(*f)->storage);
	secret_free(&(*f)->wrap);
	secret_free(&(*f)->mac);
	free(*f);
	*f = NULL;
}

static enum status load_with(struct fixture *f, const struct secret *wrap, const struct secret *mac,
                             struct keyring **ret, struct err *err)
{
	struct storage_txn *t;
	enum status st;

	assert_int_equal(f->storage->driver->write_begin(f->storage, &t, err), ST_OK);
	st = keyring_load(t, f->slots, wrap, mac, ret, err);
	f->storage->driver->abort(&t);
	return st;
}

/* Loads and expects; on failure the output is untouched. */
static void expect_load(struct fixture *f, enum status want)
{
	struct keyring *const none = (struct keyring *)(void *)f;
	struct keyring *k = none;
	struct err err = {0};
	enum status st = load_with(f, f->wrap, f->mac, &k, &err);
	const struct keyring *gone = k;

	if (st != want)
		print_error("%s\n", err.text);
	assert_int_equal(st, want);
	if (st == ST_OK)
		keyring_unref(&gone);
	else
		assert_ptr_equal(k, none);
}

/* Both keyrings have the same key of a term: what one seals the other opens. */
static void same_key(const struct keyring *a, const struct keyring *b, uint32_t term)
{
	static const uint8_t nonce[AEAD_GCM_NONCE_LEN];
	struct aead_key *ka, *kb;
	uint8_t sealed[3 + AEAD_TAG_LEN], back[3];
	struct err err = {0};

	assert_int_equal(keyring_key(a, term, &ka, &err), ST_OK);
	assert_int_equal(keyring_key(b, term, &kb, &err), ST_OK);
	assert_int_equal(
	    aead_seal(ka, span_of(nonce, sizeof nonce), span_str("p"), span_str("abc"), sealed),
	    ST_OK);
	assert_int_equal(aead_open(kb, span_of(nonce, sizeof nonce), span_str("p"),
	                           span_of(sealed, sizeof sealed), back),
	                 ST_OK);
	aead_key_free(&ka);
	aead_key_free(&kb);
}

static void round_trip_of_many_terms(void **state)
{
	struct fixture *f = fixture_new(MANY);
	struct keyring *k;
	const struct keyring *gone;
	struct term_info info;
	struct aead_key *key;
	struct err err = {0};

	(void)state;
	assert_int_equal(load_with(f, f->wrap, f->mac, &k, &err), ST_OK);
	assert_int_equal(keyring_active(k), MANY);
	assert_int_equal(keyring_allowance(k), 0);
	assert_memory_equal(keyring_store_id(k), f->id, STORE_ID_LEN);
	for (uint32_t i = 1; i <= MANY; i++) {
		assert_int_equal(keyring_info(k, i, &info), ST_OK);
		assert_int_equal(info.number, i);
		assert_int_equal(info.state, i == MANY ? TERM_ACTIVE : TERM_DECRYPT_ONLY);
		assert_int_equal(info.cause, i == 1 ? CAUSE_INIT : CAUSE_MANUAL);
		assert_int_equal(info.install_ns, 1000 + i);
		assert_int_equal(info.retire_ns, 0);
		same_key(f->k, k, i);
	}
	assert_int_equal(keyring_info(k, 0, &info), ST_NOT_FOUND);
	assert_int_equal(keyring_info(k, MANY + 1, &info), ST_NOT_FOUND);
	assert_int_equal(keyring_key(k, 0, &key, &err), ST_CORRUPT);
	assert_int_equal(keyring_key(k, MANY + 1, &key, &err), ST_CORRUPT);
	assert_non_null(strstr(err.text, "301"));
	gone = k;
	keyring_unref(&gone);
	fixture_free(&f);
}

static void settings_round_trip(void **state)
{
	struct rotate_settings s = {.max_operations = 1234567,
	                            .interval_ns = INT64_C(4320) * 3600 * NS_PER_S,
	                            .interval_text = "4320h",
	                            .sweep = true,
	                            .sweep_rate = 77};
	struct fixture *f = fixture_new(1);
	struct keyring *k;
	const struct keyring *gone;
	struct err err = {0};

	(void)state;
	for (unsigned bits = 0; bits < 8; bits++) {
		s.enabled = (bits & 1) != 0;
		s.sweep = (bits & 2) != 0;
		s.retire = (bits & 4) != 0;
		assert_int_equal(keyring_with_settings(f->k, &s, &k), ST_OK);
		keyring_unref(&f->k);
		f->k = k;
		assert_int_equal(keyring_with_allowance(f->k, 9 + bits, &k), ST_OK);
		keyring_unref(&f->k);
		f->k = k;
		put_head(f);
		assert_int_equal(load_with(f, f->wrap, f->mac, &k, &err), ST_OK);
		assert_int_equal(keyring_allowance(k), 9 + bits);
		assert_int_equal(keyring_settings(k)->max_operations, s.max_operations);
		assert_int_equal(keyring_settings(k)->interval_ns, s.interval_ns);
		assert_string_equal(keyring_settings(k)->interval_text, "4320h");
		assert_int_equal(keyring_settings(k)->enabled, s.enabled);
		assert_int_equal(keyring_settings(k)->sweep, s.sweep);
		assert_int_equal(keyring_settings(k)->retire, s.retire);
		assert_int_equal(keyring_settings(k)->sweep_rate, 77);
		gone = k;
		keyring_unref(&gone);
	}
	fixture_free(&f);
}

static void a_successor_leaves_its_origin_alone(void **state)
{
	struct fixture *f = fixture_new(2);
	const struct keyring *before = keyring_ref(f->k);
	struct rotate_settings s = rotate_settings_default;
	struct builder a = {0}, b = {0};
	struct aead_key *key;
	struct keyring *k;
	struct err err = {0};

	(void)state;
	keyring_head(before, &a);
	append(f);
	s.enabled = false;
	assert_int_equal(keyring_with_settings(f->k, &s, &k), ST_OK);
	keyring_unref(&f->k);
	f->k = k;
	keyring_head(before, &b);
	assert_true(span_eq(builder_span(&a), builder_span(&b)));
	assert_int_equal(keyring_active(before), 2);
	assert_int_equal(keyring_key(before, 3, &key, &err), ST_CORRUPT);
	keyring_unref(&before);
	builder_free(&a);
	builder_free(&b);
	fixture_free(&f);
}

/* Two successors of one keyring, as when the commit of the first failed: the later one holds. */
static void made_again_after_a_failed_commit(void **state)
{
	struct fixture *f = fixture_new(2);
	const struct keyring *before = keyring_ref(f->k);

	(void)state;
	append(f);
	keyring_unref(&f->k);
	f->k = before;
	append(f);
	put_head(f);
	expect_load(f, ST_OK);
	assert_int_equal(keyring_active(f->k), 3);
	fixture_free(&f);
}

static void flip_every_byte(struct fixture *f, const char *path)
{
	struct builder b = fetched(f, path);

	for (size_t i = 0; i < b.n; i++) {
		for (int bit = 0; bit < 8; bit += 7) {
			b.p[i] ^= (uint8_t)(1 << bit);
			store(f, path, builder_span(&b));
			expect_load(f, ST_CORRUPT);
			b.p[i] ^= (uint8_t)(1 << bit);
		}
	}
	store(f, path, builder_span(&b));
	expect_load(f, ST_OK);
	builder_free(&b);
}

static void cut_and_grown(struct fixture *f, const char *path)
{
	struct builder b = fetched(f, path);

	for (size_t n = 0; n < b.n; n++) {
		store(f, path, span_of(b.p, n));
		expect_load(f, ST_CORRUPT);
	}
	builder_u8(&b, 0);
	store(f, path, builder_span(&b));
	expect_load(f, ST_CORRUPT);
	b.n--;
	store(f, path, builder_span(&b));
	expect_load(f, ST_OK);
	builder_free(&b);
}

static void damaged_head(void **state)
{
	struct fixture *f = fixture_new(3);

	(void)state;
	flip_every_byte(f, KEYRING_HEAD_PATH);
	cut_and_grown(f, KEYRING_HEAD_PATH);
	erase(f, KEYRING_HEAD_PATH);
	expect_load(f, ST_CORRUPT);
	fixture_free(&f);
}

static void damaged_terms(void **state)
{
	struct fixture *f = fixture_new(3);

	(void)state;
	for (uint32_t i = 1; i <= 3; i++) {
		flip_every_byte(f, term_path(i));
		cut_and_grown(f, term_path(i));
	}
	fixture_free(&f);
}

static void missing_term(void **state)
{
	struct fixture *f = fixture_new(3);

	(void)state;
	for (uint32_t i = 1; i <= 3; i++) {
		struct builder b = fetched(f, term_path(i));

		erase(f, term_path(i));
		expect_load(f, ST_CORRUPT);
		store(f, term_path(i), builder_span(&b));
		builder_free(&b);
	}
	expect_load(f, ST_OK);
	fixture_free(&f);
}

static void swapped_terms(void **state)
{
	struct fixture *f = fixture_new(3);
	struct builder one = fetched(f, term_path(1)), two = fetched(f, term_path(2));

	(void)state;
	store(f, term_path(1), builder_span(&two));
	store(f, term_path(2), builder_span(&one));
	expect_load(f, ST_CORRUPT);
	/* Also when the numbers inside are made to fit. */
	one.p[8] = 2;
	two.p[8] = 1;
	store(f, term_path(1), builder_span(&two));
	store(f, term_path(2), builder_span(&one));
	expect_load(f, ST_CORRUPT);
	builder_free(&one);
	builder_free(&two);
	fixture_free(&f);
}

static void older_head(void **state)
{
	struct fixture *f = fixture_new(3);
	struct builder old = fetched(f, KEYRING_HEAD_PATH);

	(void)state;
	append(f);
	put_head(f);
	expect_load(f, ST_OK);
	/* An old head of the same root key, with all its term records: a consistent rollback, which no check here can see. */
	store(f, KEYRING_HEAD_PATH, builder_span(&old));
	expect_load(f, ST_OK);
	/* A newer term record of an old number is seen. */
	builder_free(&old);
	old = fetched(f, term_path(4));
	old.p[8] = 3;
	store(f, term_path(3), builder_span(&old));
	expect_load(f, ST_CORRUPT);
	builder_free(&old);
	fixture_free(&f);
}

/*
 * The tombstone of a term that was not retired: refused, and the slot of the live term is still there.  It once was overwritten before
 * the head's hash was compared.
 */
static void forged_tombstone(void **state)
{
	struct fixture *f = fixture_new(3);
	struct builder real = fetched(f, term_path(2)), forged = {0};

	(void)state;
	builder_add(&forged, span_of(real.p, 18));
	builder_u8(&forged, 1); /* retired */
	builder_u64(&forged, 12345);
	store(f, term_path(2), builder_span(&forged));
	expect_load(f, ST_CORRUPT);
	store(f, term_path(2), builder_span(&real));
	expect_load(f, ST_OK);
	builder_free(&real);
	builder_free(&forged);
	fixture_free(&f);
}

static void wrong_keys(void **state)
{
	struct fixture *f = fixture_new(3);
	struct secret *other = bytes32(&f->random);
	struct keyring *k;
	struct err err = {0};

	(void)state;
	assert_int_equal(load_with(f, other, f->mac, &k, &err), ST_CORRUPT);
	assert_int_equal(load_with(f, f->wrap, other, &k, &err), ST_CORRUPT);
	assert_int_equal(load_with(f, f->mac, f->wrap, &k, &err), ST_CORRUPT);
	expect_load(f, ST_OK);
	secret_free(&other);
	fixture_free(&f);
}

static void missing_slots_are_named(void **state)
{
	struct fixture *f = fixture_new(40);
	struct slots *all = f->slots;
	struct secret *s = bytes32(&f->random);
	struct keyring *k;
	struct err err = {0};

	(void)state;
	assert_int_equal(slots_destroy(f->slots, 7, &err), ST_OK);
	assert_int_equal(slots_destroy(f->slots, 40, &err), ST_OK);
	assert_int_equal(load_with(f, f->wrap, f->mac, &k, &err), ST_NOT_FOUND);
	assert_non_null(strstr(err.text, " 7, 40:"));
	assert_int_equal(slots_open(NULL, &f->slots, &err), ST_OK);
	assert_int_equal(load_with(f, f->wrap, f->mac, &k, &err), ST_NOT_FOUND);
	assert_non_null(strstr(err.text, " 1, 2, 3, "));
	assert_non_null(strstr(err.text, " and more:"));
	slots_close(&f->slots);
	f->slots = all;
	/* Another secret in a slot opens nothing. */
	assert_int_equal(slots_write(f->slots, 7, 1, s, &err), ST_OK);
	assert_int_equal(slots_write(f->slots, 40, 1, s, &err), ST_OK);
	assert_int_equal(load_with(f, f->wrap, f->mac, &k, &err), ST_CORRUPT);
	secret_free(&s);
	fixture_free(&f);
}

static void a_new_record_opens(void **state)
{
	struct fixture *f = fixture_new(1);
	struct secret *key = bytes32(&f->random), *slot = bytes32(&f->random);
	struct builder record = {0};
	struct keyring *next = NULL;
	const struct keyring *gone;
	struct err err = {0};
	uint8_t small[40];

	(void)state;
	/* No room for the record: nothing is made, the output is untouched. */
	builder_init_fixed(&record, small, sizeof small);
	assert_int_equal(keyring_append(f->k, key, slot, CAUSE_INTERVAL, 5, &f->random.random,
	                                &next, &record, &err),
	                 ST_LIMIT);
	assert_null(next);
	record = (struct builder){0};
	assert_int_equal(keyring_append(f->k, key, slot, CAUSE_INTERVAL, 5, &f->random.random,
	                                &next, &record, &err),
	                 ST_OK);
	assert_int_equal(record.n, 4 + 1 + 4 + 8 + 1 + 1 + 8 + 12 + 32 + 16);
	/* Neither the key nor the slot secret stands in the record. */
	assert_null(memmem(record.p, record.n, secret_bytes(key), 16));
	assert_null(memmem(record.p, record.n, secret_bytes(slot), 16));
	gone = next;
	keyring_unref(&gone);
	builder_free(&record);
	secret_free(&key);
	secret_free(&slot);
	fixture_free(&f);
}

static enum status usage_of(struct fixture *f, uint32_t term, struct usage *u)
{
	struct storage_txn *t;
	struct err err = {0};
	enum status st;

	assert_int_equal(f->storage->driver->write_begin(f->storage, &t, &err), ST_OK);
	st = usage_load(t, keyring_mac_key(f->k), term, u, &err);
	f->storage->driver->abort(&t);
	return st;
}

static void usage_records(void **state)
{
	const struct usage u = {.encryptions = UINT64_C(1) << 40, .records = 7, .seen_ns = 99};
	struct usage got = {0};
	struct fixture *f = fixture_new(1);
	struct builder b = {0};

	(void)state;
	assert_int_equal(usage_of(f, 5, &got), ST_CORRUPT);
	usage_encode(keyring_mac_key(f->k), 5, &u, &b);
	store(f, "core/usage/00000005", builder_span(&b));
	assert_int_equal(usage_of(f, 5, &got), ST_OK);
	assert_int_equal(got.encryptions, u.encryptions);
	assert_int_equal(got.records, 7);
	assert_int_equal(got.seen_ns, 99);
	got = (struct usage){0};
	for (size_t i = 0; i < b.n; i++) {
		b.p[i] ^= 1;
		store(f, "core/usage/00000005", builder_span(&b));
		assert_int_equal(usage_of(f, 5, &got), ST_CORRUPT);
		b.p[i] ^= 1;
	}
	for (size_t n = 0; n < b.n; n++) {
		store(f, "core/usage/00000005", span_of(b.p, n));
		assert_int_equal(usage_of(f, 5, &got), ST_CORRUPT);
	}
	/* Another term's record. */
	store(f, "core/usage/00000006", builder_span(&b));
	assert_int_equal(usage_of(f, 6, &got), ST_CORRUPT);
	assert_int_equal(got.encryptions, 0);
	builder_free(&b);
	fixture_free(&f);
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(term_state_name(TERM_ACTIVE), "active");
	assert_string_equal(term_state_name(TERM_DECRYPT_ONLY), "decrypt_only");
	assert_string_equal(term_state_name(TERM_RETIRED), "retired");
	assert_string_equal(term_cause_name(CAUSE_INIT), "init");
	assert_string_equal(term_cause_name(CAUSE_MANUAL), "manual");
	assert_string_equal(term_cause_name(CAUSE_MAX_OPERATIONS), "max_operations");
	assert_string_equal(term_cause_name(CAUSE_INTERVAL), "interval");
	assert_string_equal(term_cause_name(CAUSE_IMPORT), "import");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trip_of_many_terms),
	    cmocka_unit_test(settings_round_trip),
	    cmocka_unit_test(a_successor_leaves_its_origin_alone),
	    cmocka_unit_test(made_again_after_a_failed_commit),
	    cmocka_unit_test(damaged_head),
	    cmocka_unit_test(damaged_terms),
	    cmocka_unit_test(missing_term),
	    cmocka_unit_test(swapped_terms),
	    cmocka_unit_test(older_head),
	    cmocka_unit_test(forged_tombstone),
	    cmocka_unit_test(wrong_keys),
	    cmocka_unit_test(missing_slots_are_named),
	    cmocka_unit_test(a_new_record_opens),
	    cmocka_unit_test(usage_records),
	    cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
