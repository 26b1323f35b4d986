/*
 * Random bytes.  The system source keeps a ChaCha20 generator in each thread: every refill makes a new key and a buffer from the
 * old key, and the old key is gone; bytes handed out are wiped at once.  So what a thread holds now tells nothing about
 * what it gave before.  Source: D. J. Bernstein, "Fast-key-erasure random-number generators" (2017).
 */
#include "crypto/random.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>

#include "crypto/secret.h"

const char random_base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

void random_fill(const struct random *r, uint8_t *p, size_t n)
{
	r->fill(r, p, n);
}

/* ------------------------------------------------------------ the system's */

#define KEY_LEN      crypto_stream_chacha20_KEYBYTES
#define STREAM_LEN   ((size_t)1024)
#define RESEED_BYTES ((size_t)1 << 20)

/*
 * In guarded memory, which a forked child sees as zeros: then `seeded` is 0 and the child seeds itself, with no system
 * call needed to notice the fork.
 */
struct generator {
	uint32_t seeded;
	uint32_t left;                           /* unread bytes at the end of stream */
	size_t given;                            /* since the last seed */
	_Alignas(16) uint8_t stream[STREAM_LEN]; /* the next key, then bytes to hand out */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t slot;
static __thread struct generator *mine;

static void kernel_fill(uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		/* A server that goes on without randomness loses every key: no way but to stop. */
		MUST(got > 0);
		p += got;
		n -= (size_t)got;
	}
}

static void generator_free(void *g)
{
	mine = NULL;
	secret_release(g);
}

static void slot_make(void)
{
	MUST(pthread_key_create(&slot, generator_free) == 0);
	/* Chooses the fastest ChaCha20; does nothing when done before. */
	MUST(sodium_init() >= 0);
}

/* This thread's generator, or NULL when no memory can be locked for one. */
static struct generator *generator_get(void)
{
	struct generator *g = mine;

	if (g != NULL)
		return g;
	MUST(pthread_once(&once, slot_make) == 0);
	g = secret_alloc(sizeof(struct generator));
	if (g == NULL)
		return NULL;
	if (pthread_setspecific(slot, g) != 0) {
		secret_release(g);
		return NULL;
	}
	mine = g;
	return g;
}

static void generator_refill(struct generator *g)
{
	static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
	uint8_t key[KEY_LEN];

	if (g->seeded == 0 || g->given >= RESEED_BYTES) {
		kernel_fill(key, KEY_LEN);
		g->seeded = 1;
		g->given = 0;
	} else {
		memcpy(key, g->stream, KEY_LEN);
	}
	/* The nonce is always zero: a key is used for one stream and then overwritten by the first bytes of that stream. */
	MUST(crypto_stream_chacha20(g->stream, STREAM_LEN, nonce, key) == 0);
	wipe(key, sizeof key);
	g->left = STREAM_LEN - KEY_LEN;
}

static void system_fill(const struct random *r, uint8_t *p, size_t n)
{
	struct generator *g = generator_get();

	(void)r;
	if (g == NULL) {
		kernel_fill(p, n);
		return;
	}
	while (n > 0) {
		uint8_t *from;
		size_t k;

		if (g->seeded == 0 || g->left == 0)
			generator_refill(g);
		k = n < g->left ? n : g->left;
		from = g->stream + (STREAM_LEN - g->left);
		memcpy(p, from, k);
		wipe(from, k);
		g->left -= (uint32_t)k;
		g->given += k;
		p += k;
		n -= k;
	}
}

const struct random random_system = {.fill = system_fill};

/* ------------------------------------------------------------ for tests */

/* Each fill is one ChaCha20 stream: the seed is the key, the number of the fill is the nonce. */
static void seeded_fill(const struct random *r, uint8_t *p, size_t n)
{
	/* The contract hands out a const table; this one is the head of a struct that the caller made writable. */
	struct random_seeded *s = (struct random_seeded *)(uintptr_t)r;
	uint8_t key[KEY_LEN] = {0}, nonce[crypto_stream_chacha20_NONCEBYTES];

	memcpy(key, &s->state[0], sizeof s->state[0]);
	memcpy(nonce, &s->state[1], sizeof s->state[1]);
	s->state[1]++;
	if (n > 0)
		MUST(crypto_stream_chacha20(p, n, nonce, key) == 0);
}

void random_seeded_init(struct random_seeded *r, uint64_t seed)
{
	*r = (struct random_seeded){.random = {.fill = seeded_fill}, .state = {seed}};
}

/* ------------------------------------------------------------ text */

void random_text(const struct random *r, const char *alphabet, char *out, size_t n)
{
	size_t letters = strlen(alphabet), made = 0;
	uint8_t raw[64];
	unsigned fair;

	MUST(letters > 0 && letters <= 256);
	/* Bytes from `fair` on would favour the first letters: they are thrown away. */
	fair = (unsigned)(256 - 256 % letters);
	while (made < n) {
		random_fill(r, raw, sizeof raw);
		for (size_t i = 0; i < sizeof raw && made < n; i++)
			if (raw[i] < fair)
				out[made++] = alphabet[raw[i] % letters];
	}
	wipe(raw, sizeof raw);
}

void random_uuid(const struct random *r, char out[static UUID_LEN])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t raw[16];
	size_t at = 0;

	random_fill(r, raw, sizeof raw);
	raw[6] = (uint8_t)((raw[6] & 0x0f) | 0x40);
	raw[8] = (uint8_t)((raw[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof raw; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		out[at++] = digits[raw[i] >> 4];
		out[at++] = digits[raw[i] & 15];
	}
	wipe(raw, sizeof raw);
}
