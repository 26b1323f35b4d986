/*
 * The seal: shares join to the KEK, the KEK opens the root key, keys derived from the root key open the barrier.
 * KEK and root key are held here and nowhere else, and only while the store is open.
 *
 *   ABSENT --init--> SEALED --share--> UNSEALING --last share--> OPEN
 *                      ^  ^--reset, wrong shares--'                |
 *                      '---------------------close----------------'
 *
 * Progress of unsealing lives in memory only.  All functions marked "control" run on the writer's thread as control jobs.
 */
#ifndef SEAL_SEAL_H
#define SEAL_SEAL_H

#include "barrier/writer.h"
#include "crypto/random.h"

#define SEAL_KEY_LEN     32
#define SEAL_SHARE_MIN   16
#define SEAL_SHARE_MAX   (SEAL_KEY_LEN + 1)
#define SEAL_CONFIG_PATH "core/seal"
#define SEAL_ROOT_PATH   "core/root"

enum seal_state { SEAL_ABSENT, SEAL_SEALED, SEAL_UNSEALING, SEAL_OPEN };

struct seal_status {
	enum seal_state state;
	unsigned shares, threshold; /* 0 while ABSENT */
	unsigned progress;
	char nonce[UUID_LEN + 1]; /* of this unsealing; "" when none is under way */
};

struct seal;

/* seal_new(writer, random, ret, err): reads whether the store is initialised; before the writer's thread starts.  ST_CORRUPT, ST_IO. */
MUST_USE enum status seal_new(struct writer *writer, const struct random *random, struct seal **ret,
                              struct err *err);
void seal_free(struct seal **s);

/* seal_status(s, ret): any thread. */
void seal_status(const struct seal *s, struct seal_status *ret);

/* seal_check(shares, threshold, err): ST_INVALID with the text that clients know. */
MUST_USE enum status seal_check(int64_t shares, int64_t threshold, struct err *err);

/*
 * seal_init (control): new KEK, root key, store.  populate: as writer_create.  ret_shares[0..shares): new secrets, the caller's to free; of
 * SEAL_KEY_LEN bytes when there is one share (the KEK itself), else one more.  ST_EXISTS: already initialised.
 */
MUST_USE enum status seal_init(struct seal *s, unsigned shares, unsigned threshold,
                               enum status (*populate)(void *ctx, struct txn *t, struct err *err),
                               void *ctx, struct secret **ret_shares, struct err *err);

/*
 * seal_offer (control): one share.  ST_OK: taken (or known already); seal_status tells whether the store is OPEN now.  ST_INVALID: not a share, or, with the
 * last one, they do not join to this store's key: progress starts anew, nothing else changed.  ST_UNAVAILABLE: not initialised.
 * Other: the barrier refused to open (writer_open); progress starts anew.  load: as writer_open.
 */
MUST_USE enum status seal_offer(struct seal *s, struct span share,
                                enum status (*load)(void *ctx, struct txn *t,
                                                    const struct world **ret_world,
                                                    struct err *err),
                                void *ctx, struct err *err);

/* seal_reset (control): forget the shares offered so far. */
void seal_reset(struct seal *s);

/* seal_close (control): wipes every key on every thread (writer_close) before it returns. */
void seal_close(struct seal *s);

#endif
