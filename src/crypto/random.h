/* Randomness behind a struct, so that tests can repeat a run from a seed. */
#ifndef CRYPTO_RANDOM_H
#define CRYPTO_RANDOM_H

#include "base/bytes.h"

struct random {
	/* fill(r, p, n): n unpredictable bytes; never fails (the system source aborts the process when the kernel gives none). */
	void (*fill)(const struct random *r, uint8_t *p, size_t n);
};

/*
 * random_system: a fast generator for each thread (ChaCha20 or AES-CTR with fast key erasure, reseeded from getrandom(2) after 1 MiB or
 * fork), so that a 12-byte nonce costs no system call.  Any thread.
 */
extern const struct random random_system;
void random_fill(const struct random *r, uint8_t *p, size_t n);

/* random_text(r, alphabet, out, n): n characters, each equally likely, no NUL.  random_uuid(r, out): version 4, 36 characters, no NUL (RFC 9562). */
void random_text(const struct random *r, const char *alphabet, char *out, size_t n);
#define UUID_LEN 36
void random_uuid(const struct random *r, char out[static UUID_LEN]);
extern const char random_base62[];

/* A generator for tests: the same seed gives the same bytes.  Not for keys of a server. */
struct random_seeded {
	struct random random; /* first member */
	uint64_t state[4];
};
void random_seeded_init(struct random_seeded *r, uint64_t seed);

#endif
