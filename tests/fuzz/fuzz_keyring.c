/*
 * keyring: head, term and usage records that somebody changed, under a store of three terms (the first retired) in memory.
 *
 * Input: a byte of how, then for each of the seven records changes as fuzz_mutate reads them, or (bit set in a byte) its removal.
 *   - unchanged, the keyring loads, its head is what was stored, terms and settings are as they were made;
 *   - with any byte of head or term records changed, or one gone: ST_CORRUPT, and no slot is touched;
 *   - how & 1: the head's HMAC is made anew, how & 2: also the hash over the term records in it, so that what lies behind the hashes is
 *     read too: never anything but ST_OK, ST_CORRUPT or ST_NOT_FOUND; what loads is consistent;
 *   - a usage record loads with its numbers, or is ST_CORRUPT.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "barrier/keyring.h"
#include "barrier/usage.h"
#include "base/clock.h"
#include "crypto/ct.h"
#include "fuzz.h"

#define TERMS   3
#define RECORDS (1 + 2 * TERMS) /* head, terms, usage */
#define ROOM    512

struct record {
	char path[32];
	uint8_t bytes[ROOM];
	size_t n;
	bool gone;
};

static struct storage *store;
static struct secret *wrap, *mac, *slot_secret[TERMS + 1];
static struct hmac_key *mac_key;
static struct record made[RECORDS];
static const uint8_t id[STORE_ID_LEN] = "fuzzed store id";

static void keep(struct record *r, struct builder *b)
{
	MUST(builder_status(b) == ST_OK && b->n <= sizeof r->bytes);
	memcpy(r->bytes, b->p, b->n);
	r->n = b->n;
	builder_free(b);
}

static void set_be64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* HMAC over a term record, as keyring.c has it. */
static void term_mac(uint32_t number, struct span record, uint8_t ret[static SHA256_LEN])
{
	uint8_t be[4] = {0, 0, 0, (uint8_t)number};
	struct span parts[] = {span_str("keyturn term"), span_of(be, 4), record};

	hmac_sha256(mac_key, parts, 3, ret);
}

static void head_mac(struct record *head)
{
	struct span parts[] = {span_str(KEYRING_HEAD_PATH),
	                       span_of(head->bytes, head->n - SHA256_LEN)};

	hmac_sha256(mac_key, parts, 2, head->bytes + head->n - SHA256_LEN);
}

/* The hash over the term records that stand before the HMAC, made anew; then the HMAC. */
static void mend_head(struct record *r, bool terms_too)
{
	uint8_t sum[SHA256_LEN] = {0}, one[SHA256_LEN];

	if (r[0].n < (size_t)2 * SHA256_LEN)
		return;
	for (uint32_t i = 1; i <= TERMS; i++) {
		term_mac(i, span_of(r[i].bytes, r[i].n), one);
		ct_xor(sum, one, sizeof sum);
	}
	if (terms_too)
		memcpy(r[0].bytes + r[0].n - (size_t)2 * SHA256_LEN, sum, sizeof sum);
	head_mac(&r[0]);
}

/* The fuzzer remembers heads that were mended for another input. */
static bool head_fits(const struct record *head)
{
	struct record again = *head;

	if (head->gone || head->n < (size_t)SHA256_LEN)
		return false;
	head_mac(&again);
	return memcmp(again.bytes, head->bytes, head->n) == 0;
}

static void make_records(void)
{
	struct random_seeded random;
	struct keyring *k, *next;
	const struct keyring *gone;
	struct secret *key;
	struct builder b = {0};
	struct err err = {0};

	random_seeded_init(&random, 1);
	MUST(keyring_new(wrap, mac, id, &k) == ST_OK);
	for (uint32_t i = 1; i <= TERMS; i++) {
		MUST(secret_new(TERM_KEY_LEN, &key) == ST_OK);
		memset(secret_bytes(key), (int)i, TERM_KEY_LEN);
		MUST(keyring_append(k, key, slot_secret[i], CAUSE_MANUAL, i * NS_PER_S,
		                    &random.random, &next, &b, &err) == ST_OK);
		(void)snprintf(made[i].path, sizeof made[i].path, KEYRING_TERM_PATH, i);
		keep(&made[i], &b);
		secret_free(&key);
		gone = k;
		keyring_unref(&gone);
		k = next;
		const struct usage u = {.encryptions = 100 * i, .records = i, .seen_ns = i};
		usage_encode(mac_key, i, &u, &b);
		(void)snprintf(made[TERMS + i].path, sizeof made[i].path, USAGE_PATH, i);
		keep(&made[TERMS + i], &b);
	}
	keyring_head(k, &b);
	(void)snprintf(made[0].path, sizeof made[0].path, KEYRING_HEAD_PATH);
	keep(&made[0], &b);
	gone = k;
	keyring_unref(&gone);
	/* term 1 as a tombstone: state 1, a time, no key */
	made[1].n = 27;
	made[1].bytes[18] = 1;
	set_be64(made[1].bytes + 19, 5);
	mend_head(made, true);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint8_t key[32] = "a key of the fuzz targets, only";
	const struct storage_config config = {0};
	struct err err = {0};

	(void)argc;
	(void)argv;
	fuzz_process();
	MUST(storage_mem.open(&config, &store, &err) == ST_OK);
	MUST(secret_from(span_of(key, 32), &wrap) == ST_OK);
	MUST(secret_from(span_of(key, 32), &mac) == ST_OK);
	MUST(hmac_key_new(span_of(key, 32), &mac_key) == ST_OK);
	for (uint32_t i = 1; i <= TERMS; i++) {
		MUST(secret_new(SLOT_SECRET_LEN, &slot_secret[i]) == ST_OK);
		memset(secret_bytes(slot_secret[i]), (int)(0x40 + i), SLOT_SECRET_LEN);
	}
	make_records();
	return 0;
}

static struct slots *new_slots(void)
{
	struct slots *slots;

	MUST(slots_open(NULL, &slots, NULL) == ST_OK);
	slots_bind(slots, id);
	for (uint32_t i = 1; i <= TERMS; i++)
		MUST(slots_write(slots, i, 1, slot_secret[i], NULL) == ST_OK);
	return slots;
}

static void check_loaded(const struct keyring *k, bool as_made, const struct record *head)
{
	struct builder b = {0};

	MUST(keyring_active(k) >= 1 && keyring_active(k) <= TERMS);
	MUST(strlen(keyring_settings(k)->interval_text) < ROTATE_INTERVAL_TEXT_MAX);
	for (uint32_t i = 1; i <= keyring_active(k); i++) {
		struct term_info info;
		struct aead_key *key = NULL;
		struct err err = {0};

		MUST(keyring_info(k, i, &info) == ST_OK && info.number == i);
		MUST((info.state == TERM_RETIRED) == (info.retire_ns != 0));
		MUST(info.state == TERM_RETIRED ||
		     (info.state == TERM_ACTIVE) == (i == keyring_active(k)));
		MUST(info.cause >= CAUSE_INIT && info.cause <= CAUSE_IMPORT);
		MUST(keyring_key(k, i, &key, &err) ==
		     (info.state == TERM_RETIRED ? ST_CORRUPT : ST_OK));
		aead_key_free(&key);
	}
	if (as_made) {
		keyring_head(k, &b);
		MUST(span_eq(builder_span(&b), span_of(head->bytes, head->n)));
		builder_free(&b);
	}
}

static void check_slots(struct slots *slots)
{
	struct secret *s;

	slots_bind(slots, id); /* a forged head may name another store */
	MUST(secret_new(SLOT_SECRET_LEN, &s) == ST_OK);
	for (uint32_t i = 1; i <= TERMS; i++)
		MUST(slots_read(slots, i, s, NULL) == ST_OK &&
		     ct_equal(secret_span(s), secret_span(slot_secret[i])));
	secret_free(&s);
}

static void check_keyring(struct storage_txn *t, const struct record *r, bool changed, uint8_t how)
{
	struct slots *slots = new_slots();
	struct keyring *k = NULL;
	struct err err = {0};
	enum status st = keyring_load(t, slots, wrap, mac, &k, &err);

	MUST(st == ST_OK || st == ST_CORRUPT || st == ST_NOT_FOUND);
	if (!changed)
		MUST(st == ST_OK);
	else if ((how & 3) == 0)
		MUST(st == ST_CORRUPT);
	if (st == ST_OK) {
		const struct keyring *gone = k;

		check_loaded(k, !changed, &r[0]);
		keyring_unref(&gone);
	} else {
		MUST(k == NULL && err.text[0] != '\0');
		if ((how & 2) == 0)
			check_slots(slots);
	}
	slots_close(&slots);
}

static void check_usage(struct storage_txn *t, uint32_t term, bool changed)
{
	struct usage u = {0};
	struct err err = {0};
	enum status st = usage_load(t, mac_key, term, &u, &err);

	MUST(st == (changed ? ST_CORRUPT : ST_OK));
	if (!changed)
		MUST(u.encryptions == 100 * term && u.records == term && u.seen_ns == term);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));
	uint8_t how = fuzz_u8(&c), gone = fuzz_u8(&c);
	bool changed[RECORDS], keys = false;
	struct record r[RECORDS];
	struct storage_txn *t;
	struct err err = {0};

	memcpy(r, made, sizeof r);
	for (unsigned i = 0; i < RECORDS; i++) {
		r[i].n = fuzz_mutate(&c, r[i].bytes, sizeof r[i].bytes, r[i].n);
		r[i].gone = (gone >> i & 1) != 0;
	}
	if ((how & 3) != 0)
		mend_head(r, (how & 2) != 0);
	else if (r[0].n != made[0].n || memcmp(r[0].bytes, made[0].bytes, r[0].n) != 0)
		how |= head_fits(&r[0]) ? 3 : 0;
	MUST(storage_mem.write_begin(store, &t, &err) == ST_OK);
	for (unsigned i = 0; i < RECORDS; i++) {
		changed[i] = r[i].gone || r[i].n != made[i].n ||
		             memcmp(r[i].bytes, made[i].bytes, r[i].n) != 0;
		keys = keys || (i <= TERMS && changed[i]);
		if (!r[i].gone)
			MUST(storage_mem.put(t, span_str(r[i].path), span_of(r[i].bytes, r[i].n),
			                     &err) == ST_OK);
	}
	check_keyring(t, r, keys, how);
	for (uint32_t i = 1; i <= TERMS; i++)
		check_usage(t, i, changed[TERMS + i]);
	storage_mem.abort(&t);
	return 0;
}
