/*
 * One operation, tried with its first allocation failing, then its second, and so on until it needs no more; each time with what must hold whatever happens:
 *   - the answer is a success that holds, or an error of the server's (5xx), and then nothing was changed but for what the gate records itself, or the
 *     error says that the change was made;
 *   - the same request, sent again, is carried out;
 *   - the store is sound: it opens with the operator's shares and holds what it held.
 */
#ifndef TESTS_FAULT_TRIAL_H
#define TESTS_FAULT_TRIAL_H

#include "fault/alloc.h"
#include "fault/desk.h"

#define TRIAL_TEXT_MAX ((size_t)16 << 10)
/* An operation that allocates more often than this does not come to an end. */
#define TRIAL_NTH_MAX 1000

struct subject {
	const char *name;
	void (*before)(struct desk *d, unsigned n);
	unsigned (*ask)(struct desk *d, unsigned n);
	bool (*holds)(struct desk *d, unsigned n); /* NULL: it changes nothing */
	unsigned flags;
};
/* Flags. */
#define VARIES 1u /* two answers need not be of one length */
#define ENDS   2u /* when it fails, the gate may have recorded the token's last use */
#define STAYS  4u /* when it fails, what it did on the way stays */

struct trial {
	struct desk *desk;
	const struct subject *op;
	unsigned n;
	unsigned status;
	size_t failures;
	char answer[TRIAL_TEXT_MAX];
};

/* trial_run(op, furnish, repeat): all tries of one operation, at a desk that furnish() made ready. */
void trial_run(const struct subject *op, struct desk *(*furnish)(void), enum alloc_repeat repeat);

/* trial_complain(t, what): fails the test.  trial_compare: complains unless both dumps are the same.  trial_says_made(t): an error that tells of a success. */
void trial_complain(const struct trial *t, const char *what);
void trial_compare(const struct trial *t, const struct builder *before, const struct builder *now,
                   const char *what);
bool trial_says_made(const struct trial *t);
bool trial_good(unsigned status);

/* The text with n in each place of a '#'; valid until the next call. */
const char *trial_target(const char *text, unsigned n);
const char *trial_body(const char *text, unsigned n);
/* trial_found(d, path): GET by the root token: 200, or (false) 404.  trial_says(d, text): the last answer holds it. */
bool trial_found(struct desk *d, const char *path);
bool trial_says(const struct desk *d, const char *text);

#endif
