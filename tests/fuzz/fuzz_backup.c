/*
 * backup: the text of a backup, as restore takes it.
 *
 * Input: a byte, then (even) the JSON text, or (odd) the base64 text around it.
 *   - it is ST_OK, or ST_INVALID or ST_LIMIT with a text, and then nothing is left of it;
 *   - what is taken keeps the promises of the records: the head and every version can be stored and read again, and every usable version has a key;
 *   - written as a backup and read again it is the same.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "engine/transit_backup.h"
#include "engine/transit_impl.h"
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_process();
	return 0;
}

/* The records that the backup gives. */
static void add_records(const struct backup *b, struct builder *out)
{
	key_head_encode(&b->head, out);
	builder_lv(out, b->name);
	for (size_t i = 0; i < b->n; i++) {
		key_version_encode(&b->versions[i].data, out);
		builder_u64(out, b->versions[i].counts.encryptions);
		builder_u64(out, b->versions[i].counts.decryptions);
		builder_u32(out, b->versions[i].counts.last_day);
	}
}

static void check_written(struct backup *b, enum key_offer offer)
{
	struct builder text = {.max = 0}, before = {.max = 0}, after = {.max = 0};
	struct backup again = {.n = 0};
	struct err err = {0};

	for (size_t i = 0; i < b->n; i++)
		b->versions[i].counted = true;
	MUST(backup_write(b, &text, NULL, &err) == ST_OK);
	MUST(backup_read(&again, builder_span(&text), offer, &random_system, NULL, &err) == ST_OK);
	MUST(again.n == b->n && again.first == b->first);
	add_records(b, &before);
	add_records(&again, &after);
	MUST(span_eq(builder_span(&before), builder_span(&after)));
	backup_free(&again);
	builder_free(&text);
	builder_free(&before);
	builder_free(&after);
}

static void check_head(const struct backup *b)
{
	uint8_t record[KEY_HEAD_MAX];
	struct key_head again;
	struct builder r;

	MUST(b->n > 0 && b->n <= BACKUP_VERSIONS_MAX);
	MUST(b->first + b->n - 1 == b->head.latest);
	builder_init_fixed(&r, record, sizeof record);
	key_head_encode(&b->head, &r);
	MUST(builder_status(&r) == ST_OK);
	MUST(key_head_decode(builder_span(&r), &again) == ST_OK);
}

static void check_version(const struct backup *b, const struct backup_version *v)
{
	const struct version_data *d = &v->data;
	const struct key_type_info *info = key_type_info(b->head.type);
	struct version_data again;
	struct builder r = {.max = 0};
	struct cursor c = cursor_of(d->chain);
	struct span der;

	key_version_encode(d, &r);
	MUST(builder_status(&r) == ST_OK);
	MUST(key_version_decode(builder_span(&r), &again) == ST_OK);
	builder_free(&r);
	while (c.left > 0)
		MUST(cursor_lv(&c, &der) == ST_OK);
	if (d->state == VERSION_DESTROYED) {
		MUST(d->private_key.n + d->mac_key.n + d->public_key.n + d->chain.n == 0);
		return;
	}
	MUST(d->private_key.n > 0 || d->public_key.n > 0);
	MUST(info->public_name == NULL || d->public_key.n > 0);
	MUST(info->key_len == 0 || d->private_key.n == info->key_len);
	MUST(!b->head.derived || d->private_key.n > 0);
	MUST(d->created_ns >= 0 && v->counts.encryptions <= USES_LIMIT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));
	uint8_t how = fuzz_u8(&c);
	bool whole = how % 2 == 1;
	enum key_offer offer = (how & 2) != 0 ? OFFER_STOREDSAFE : OFFER_VAULT;
	struct span text = fuzz_rest(&c);
	uint8_t *copy = secret_alloc(text.n + 1);
	struct backup b = {.n = 0};
	struct err err = {0};
	enum status st;

	MUST(copy != NULL);
	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	st = whole ? backup_read(&b, span_of(copy, text.n), offer, &random_system, NULL, &err)
	           : backup_read_json(&b, copy, text.n, offer, &random_system, NULL, &err);
	secret_release(copy);
	if (st == ST_OK) {
		check_head(&b);
		for (size_t i = 0; i < b.n; i++)
			check_version(&b, &b.versions[i]);
		MUST(b.versions[b.n - 1].data.state == VERSION_USABLE);
		MUST(b.versions[b.n - 1].data.mac_key.n > 0);
		MUST(key_type_offered(b.head.type, offer));
		check_written(&b, offer);
	} else {
		MUST((st == ST_INVALID || st == ST_LIMIT) && err.text[0] != 0);
		MUST(b.n == 0 && b.versions == NULL && b.room.first == NULL);
	}
	backup_free(&b);
	return 0;
}
