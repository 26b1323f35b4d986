#include "barrier/spares.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define MODULE     "spares"
#define RUSH_NS    NS_PER_S            /* rotations further apart than this are no rush */
#define RUSH_LEAST 4                   /* rotations of a rush before anything is made ahead */
#define READY_LOW  (SLOTS_AT_ONCE / 2) /* more are made when so few are left */
#define READY_MAX  (READY_LOW + SLOTS_AT_ONCE)

/* What is being made: nothing -> wanted -> making -> nothing. */
enum run { RUN_NONE, RUN_WANTED, RUN_MAKING };

/*
 * The slots of the terms behind `active` and before `end` are durable, their secrets in `ready`; those being made are of the terms from `end` on,
 * SLOTS_AT_ONCE of them.  Both are 0 when no store is open.
 */
struct spares {
	struct slots *slots;
	const struct clock *clock;
	const struct random *random;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* guards all below; not held while the thread writes */
	pthread_cond_t changed;
	bool ending;
	enum run run;
	struct secret *made; /* the thread's while it makes them */
	uint32_t active, end;
	struct secret *ready; /* of term t at t modulo READY_MAX */
	uint32_t rush;        /* rotations so far, each within RUSH_NS of the one before */
	int64_t last_ns;      /* monotonic: the last rotation */
};

enum status spares_new(struct slots *slots, const struct clock *clock, const struct random *random,
                       struct spares **ret, struct err *err)
{
	struct spares *s = calloc(1, sizeof *s);

	if (s == NULL)
		return err_set(err, ST_NOMEM, "no memory for spare slots");
	s->slots = slots;
	s->clock = clock;
	s->random = random;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	if (secret_new((size_t)SLOTS_AT_ONCE * SLOT_SECRET_LEN, &s->made) != ST_OK ||
	    secret_new((size_t)READY_MAX * SLOT_SECRET_LEN, &s->ready) != ST_OK) {
		spares_free(&s);
		return err_set(err, ST_NOMEM, "no locked memory for spare slots");
	}
	*ret = s;
	return ST_OK;
}

void spares_free(struct spares **at)
{
	struct spares *s = *at;

	if (s == NULL)
		return;
	MUST(!s->started);
	secret_free(&s->made);
	secret_free(&s->ready);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s);
	*at = NULL;
}

/* ---- under the lock ---- */

static uint8_t *ready_at(struct spares *s, uint32_t term)
{
	return secret_bytes(s->ready) + (size_t)(term % READY_MAX) * SLOT_SECRET_LEN;
}

static uint32_t count(const struct spares *s)
{
	return s->end > s->active ? s->end - s->active - 1 : 0;
}

static bool rush_over(const struct spares *s)
{
	return clock_mono_ns(s->clock) - s->last_ns > RUSH_NS;
}

static void await_run(struct spares *s)
{
	while (s->run != RUN_NONE)
		pthread_cond_wait(&s->changed, &s->lock);
}

/* What was made is ready. */
static void take_made(struct spares *s)
{
	const uint8_t *from = secret_bytes(s->made);

	MUST(count(s) + SLOTS_AT_ONCE <= READY_MAX);
	for (uint32_t i = 0; i < SLOTS_AT_ONCE; i++, from += SLOT_SECRET_LEN)
		memcpy(ready_at(s, s->end++), from, SLOT_SECRET_LEN);
}

/* ---- the thread ---- */

static void make(struct spares *s)
{
	struct err err = {0};
	enum status st;

	s->run = RUN_MAKING;
	pthread_mutex_unlock(&s->lock);
	st = slots_write(s->slots, s->end, SLOTS_AT_ONCE, s->made, &err);
	if (st != ST_OK)
		log_warn(MODULE, "slots cannot be made ahead of rotations: %s", err_text(&err, st));
	pthread_mutex_lock(&s->lock);
	if (st == ST_OK)
		take_made(s);
	wipe(secret_bytes(s->made), secret_len(s->made));
	s->run = RUN_NONE;
	pthread_cond_broadcast(&s->changed);
}

static void *thread_main(void *arg)
{
	struct spares *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->ending) {
		if (s->run == RUN_WANTED)
			make(s);
		else
			pthread_cond_wait(&s->changed, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

enum status spares_start(struct spares *s, struct err *err)
{
	int rc;

	if (!slots_on_disk(s->slots))
		return ST_OK;
	s->ending = false;
	rc = pthread_create(&s->thread, NULL, thread_main, s);
	if (rc != 0)
		return err_set(err, ST_IO, "cannot start the thread for spare slots: %s",
		               strerror(rc));
	s->started = true;
	return ST_OK;
}

void spares_stop(struct spares *s)
{
	if (!s->started)
		return;
	spares_close(s);
	pthread_mutex_lock(&s->lock);
	s->ending = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	s->started = false;
}

/* ---- the writer ---- */

enum status spares_get(struct spares *s, uint32_t term, struct secret *ret, struct err *err)
{
	bool found;

	MUST(secret_len(ret) == SLOT_SECRET_LEN);
	pthread_mutex_lock(&s->lock);
	if (term >= s->end || rush_over(s))
		await_run(s);
	if (rush_over(s)) {
		wipe(secret_bytes(s->ready), secret_len(s->ready));
		s->end = s->active > 0 ? s->active + 1 : 0;
	}
	found = s->active < term && term < s->end;
	if (found)
		memcpy(secret_bytes(ret), ready_at(s, term), SLOT_SECRET_LEN);
	pthread_mutex_unlock(&s->lock);
	if (found)
		return ST_OK;
	random_fill(s->random, secret_bytes(ret), SLOT_SECRET_LEN);
	return slots_write(s->slots, term, 1, ret, err);
}

static void want(struct spares *s)
{
	if (!s->started || s->rush < RUSH_LEAST || s->run != RUN_NONE || count(s) > READY_LOW)
		return;
	random_fill(s->random, secret_bytes(s->made), secret_len(s->made));
	s->run = RUN_WANTED;
	pthread_cond_broadcast(&s->changed);
}

void spares_advance(struct spares *s, uint32_t active)
{
	uint32_t n = 1;

	pthread_mutex_lock(&s->lock);
	if (s->active > 0) {
		n = active - s->active;
		for (uint32_t t = s->active + 1; t <= active && t < s->end; t++)
			wipe(ready_at(s, t), SLOT_SECRET_LEN);
	}
	s->rush = rush_over(s) ? n : s->rush + n;
	s->last_ns = clock_mono_ns(s->clock);
	s->active = active;
	if (s->end <= active) {
		/* Whoever asks for a term at or behind `end` waits until nothing is being made. */
		MUST(s->run == RUN_NONE);
		s->end = active + 1;
	}
	want(s);
	pthread_mutex_unlock(&s->lock);
}

void spares_close(struct spares *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->run == RUN_WANTED)
		s->run = RUN_NONE;
	await_run(s);
	wipe(secret_bytes(s->made), secret_len(s->made));
	wipe(secret_bytes(s->ready), secret_len(s->ready));
	s->active = s->end = s->rush = 0;
	pthread_mutex_unlock(&s->lock);
}

uint32_t spares_ready(struct spares *s)
{
	uint32_t n;

	pthread_mutex_lock(&s->lock);
	n = count(s);
	pthread_mutex_unlock(&s->lock);
	return n;
}
