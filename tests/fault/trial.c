#include "fault/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* ---- requests with a number in them ---- */

static char target[256], body[TRIAL_TEXT_MAX];

/* The text with the number in each place of a '#'. */
static const char *numbered(const char *text, unsigned n, char *buf, size_t cap)
{
	struct builder b;

	builder_init_fixed(&b, buf, cap);
	for (; *text != 0; text++) {
		if (*text == '#')
			builder_dec(&b, n);
		else
			builder_u8(&b, (uint8_t)*text);
	}
	builder_u8(&b, 0);
	assert_int_equal(builder_status(&b), ST_OK);
	return buf;
}

const char *trial_target(const char *text, unsigned n)
{
	return numbered(text, n, target, sizeof target);
}

const char *trial_body(const char *text, unsigned n)
{
	return numbered(text, n, body, sizeof body);
}

bool trial_found(struct desk *d, const char *path)
{
	unsigned status = desk_ask(d, HTTP_GET, path, desk_root(d), NULL);

	assert_true(status == 200 || status == 404);
	return status == 200;
}

bool trial_says(const struct desk *d, const char *text)
{
	return strstr(desk_body(d), text) != NULL;
}

/* ---- one try ---- */

bool trial_good(unsigned status)
{
	return status >= 200 && status < 300;
}

void trial_complain(const struct trial *t, const char *what)
{
	fail_msg("%s, allocation %u: %s; the answer was %u: %s", t->op->name, t->n, what, t->status,
	         t->answer);
}

/* An error that tells of a success. */
bool trial_says_made(const struct trial *t)
{
	return strstr(t->answer, "the change was made") != NULL;
}

static void ask(struct trial *t, enum alloc_repeat repeat)
{
	alloc_arm(t->n, repeat);
	t->status = t->op->ask(t->desk, t->n);
	desk_settle(t->desk);
	t->failures = alloc_disarm();
	(void)snprintf(t->answer, sizeof t->answer, "%s", desk_body(t->desk));
	desk_later(t->desk);
}

void trial_compare(const struct trial *t, const struct builder *before, const struct builder *now,
                   const char *what)
{
	if (before->n != now->n || memcmp(before->p, now->p, now->n) != 0) {
		(void)fprintf(stderr, "--- before\n%.*s\n--- now\n%.*s\n", (int)before->n,
		              (const char *)before->p, (int)now->n, (const char *)now->p);
		trial_complain(t, what);
	}
}

static void judge(struct trial *t, const struct builder *before, struct builder *now)
{
	if (!trial_good(t->status) && t->status < 500)
		trial_complain(t, "blames the caller");
	if (trial_good(t->status) || trial_says_made(t)) {
		if (t->op->holds != NULL && !t->op->holds(t->desk, t->n))
			trial_complain(t, "does not hold");
		return;
	}
	if (t->failures == 0)
		trial_complain(t, "fails with nothing missing");
	if ((t->op->flags & (ENDS | STAYS)) != 0)
		return;
	desk_dump(t->desk, now);
	trial_compare(t, before, now, "changed something");
}

static void try_again(struct trial *t)
{
	bool there = trial_good(t->status) || trial_says_made(t) || (t->op->flags & ENDS) != 0;
	unsigned status;

	if (t->op->holds != NULL && there)
		return;
	status = t->op->ask(t->desk, t->n);
	if (!trial_good(status) || (t->op->holds != NULL && !t->op->holds(t->desk, t->n)))
		trial_complain(t, "does not work afterwards");
	if (t->op->holds == NULL && trial_good(t->status) && (t->op->flags & VARIES) == 0 &&
	    strlen(desk_body(t->desk)) != strlen(t->answer))
		trial_complain(t, "is half an answer");
}

/* With shares that change from time to time. */
static void reopen(struct trial *t, struct builder *before, struct builder *now)
{
	desk_settle(t->desk);
	desk_dump(t->desk, before);
	desk_restart(t->desk);
	desk_unseal(t->desk, t->n);
	desk_settle(t->desk);
	desk_dump(t->desk, now);
	trial_compare(t, before, now, "does not survive a restart");
}

void trial_run(const struct subject *op, struct desk *(*furnish)(void), enum alloc_repeat repeat)
{
	struct trial t = {.desk = furnish(), .op = op};
	struct builder before = {0}, now = {0};

	do {
		assert_true(++t.n < TRIAL_NTH_MAX);
		if (op->before != NULL)
			op->before(t.desk, t.n);
		desk_later(t.desk);
		desk_dump(t.desk, &before);
		ask(&t, repeat);
		judge(&t, &before, &now);
		try_again(&t);
		reopen(&t, &before, &now);
	} while (t.failures > 0);
	builder_free(&before);
	builder_free(&now);
	desk_free(&t.desk);
}
