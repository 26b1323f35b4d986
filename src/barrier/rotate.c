#include "barrier/rotate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "barrier/txn_impl.h"

enum status rotate_now(struct txn *t, enum term_cause cause, struct err *err)
{
	struct txn_write *w = t->write;
	struct secret *key = NULL, *slot = NULL;
	struct raw_record *raw;
	struct keyring *next;
	uint32_t number;
	enum status st;

	if (w == NULL)
		return ST_NEEDS_WRITER;
	if (w->n_raw == TXN_RAW_MAX || w->n_events == TXN_EVENTS_MAX)
		return err_set(err, ST_BUSY, "too many rotations at once: try again");
	number = keyring_active(t->keyring) + 1;
	st = secret_new(TERM_KEY_LEN, &key);
	if (st == ST_OK)
		st = secret_new(SLOT_SECRET_LEN, &slot);
	if (st != ST_OK) {
		err_set(err, st, "no locked memory for a new term");
		goto fail0;
	}
	random_fill(w->random, secret_bytes(key), TERM_KEY_LEN);
	st = spares_get(w->spares, number, slot, err);
	if (st != ST_OK)
		goto fail0;
	raw = &w->raw[w->n_raw];
	builder_init(&raw->value, 4096);
	snprintf(raw->path, sizeof raw->path, KEYRING_TERM_PATH, number);
	st = keyring_append(t->keyring, key, slot, cause, w->now_ns, w->random, &next, &raw->value,
	                    err);
	if (st != ST_OK)
		goto fail1;
	w->n_raw++;
	w->events[w->n_events++] =
	    (struct rotation_event){.cause = cause, .old_term = number - 1, .new_term = number};
	keyring_unref(&t->keyring);
	t->keyring = next;
	term_keys_forget(t->keys, number);
	secret_free(&key);
	secret_free(&slot);
	return ST_OK;
fail1:
	builder_free(&raw->value);
fail0:
	secret_free(&key);
	secret_free(&slot);
	return st;
}

enum status rotate_check(const struct rotate_settings *s, struct err *err)
{
	if (s->max_operations < ROTATE_MAX_OPERATIONS_LEAST ||
	    s->max_operations > ROTATE_MAX_OPERATIONS_DEFAULT)
		return err_set(err, ST_INVALID,
		               "max_operations must be in the range [%" PRIu64 ",%" PRIu64 "]",
		               ROTATE_MAX_OPERATIONS_LEAST, ROTATE_MAX_OPERATIONS_DEFAULT);
	if (s->interval_ns < 0 || (s->interval_ns > 0 && s->interval_ns < ROTATE_INTERVAL_LEAST_NS))
		return err_set(err, ST_INVALID, "interval must be greater or equal to 24h0m0s");
	if (s->interval_ns > ROTATE_INTERVAL_MOST_NS)
		return err_set(err, ST_INVALID, "interval must be at most 2562047h");
	return ST_OK;
}

enum status rotate_due(const struct keyring *k, const struct usage *u, int64_t now_ns,
                       uint64_t more, enum term_cause *ret, struct err *err)
{
	const struct rotate_settings *s = keyring_settings(k);
	uint64_t after;

	if (__builtin_add_overflow(u->encryptions, more, &after))
		after = UINT64_MAX;
	if (s->enabled && after > s->max_operations) {
		*ret = CAUSE_MAX_OPERATIONS;
		return ST_OK;
	}
	if (after > AEAD_GCM_HARD_LIMIT)
		return err_set(err, ST_UNAVAILABLE,
		               "term %u has reached the bound of 2^32 encryptions and automatic "
		               "rotation is disabled: rotate with sys/rotate",
		               keyring_active(k));
	*ret = s->enabled && now_ns >= rotate_due_at(k) ? CAUSE_INTERVAL : (enum term_cause)0;
	return ST_OK;
}

int64_t rotate_due_at(const struct keyring *k)
{
	const struct rotate_settings *s = keyring_settings(k);
	struct term_info info;
	int64_t at;

	if (!s->enabled || s->interval_ns == 0 ||
	    keyring_info(k, keyring_active(k), &info) != ST_OK ||
	    __builtin_add_overflow(info.install_ns, s->interval_ns, &at))
		return INT64_MAX;
	return at;
}
