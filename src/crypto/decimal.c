/* Nine digits at a time: 10^9 fits 32 bits, and division by a constant is a multiplication. */
#include "crypto/decimal.h"

#include <string.h>

#include "crypto/ct.h"
#include "crypto/scratch.h"

#define GROUP       9
#define GROUP_VALUE 1000000000U
#define LIMBS_MAX   (DECIMAL_BYTES_MAX / 4)

_Static_assert(LIMBS_MAX * sizeof(uint32_t) <= SCRATCH_BYTES, "fits the scratch memory");

/* ------------------------------------------------------------ reading */

/* out = out * factor + plus; what does not fit is returned. */
static uint64_t multiply_add(uint8_t *out, size_t n, uint32_t factor, uint32_t plus)
{
	uint64_t carry = plus;

	for (size_t i = n; i-- > 0;) {
		carry += (uint64_t)out[i] * factor;
		out[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return carry;
}

static bool is_number(struct span text)
{
	unsigned bad = 0;

	for (size_t i = 0; i < text.n; i++) {
		unsigned v = (unsigned)text.p[i] - '0';

		/* 0 for 0 to 9: both differences are not negative. */
		bad |= (v | (9 - v)) >> 31;
	}
	return text.n > 0 && bad == 0 && (text.n == 1 || text.p[0] != '0');
}

enum status decimal_parse(struct span text, uint8_t *out, size_t n)
{
	uint64_t over = 0;

	MUST(n <= DECIMAL_BYTES_MAX);
	memset(out, 0, n);
	if (!is_number(text))
		return ST_INVALID;
	/* So many digits cannot fit, and time must not be spent on them. */
	if (text.n > DECIMAL_LEN(n))
		return ST_LIMIT;
	for (size_t at = 0; at < text.n;) {
		/* The first group is what is left over, so that the others are whole. */
		size_t k = (text.n - at) % GROUP == 0 ? GROUP : (text.n - at) % GROUP;
		uint32_t group = 0, factor = 1;

		for (size_t i = 0; i < k; i++) {
			group = group * 10 + (text.p[at + i] - (uint32_t)'0');
			factor *= 10;
		}
		over |= multiply_add(out, n, factor, group);
		at += k;
	}
	if (over != 0) {
		wipe(out, n);
		return ST_LIMIT;
	}
	return ST_OK;
}

/* ------------------------------------------------------------ writing */

/* limbs /= 10^9; the remainder. */
static uint32_t divide(uint32_t *limbs, size_t n)
{
	uint64_t rest = 0;

	for (size_t i = 0; i < n; i++) {
		rest = rest << 32 | limbs[i];
		limbs[i] = (uint32_t)(rest / GROUP_VALUE);
		rest %= GROUP_VALUE;
	}
	return (uint32_t)rest;
}

/* The bytes as 32-bit words, the most significant first. */
static size_t limbs_load(struct span number, uint32_t *limbs)
{
	const size_t n = (number.n + 3) / 4, pad = n * 4 - number.n;

	for (size_t i = 0; i < number.n; i++)
		limbs[(i + pad) / 4] = limbs[(i + pad) / 4] << 8 | number.p[i];
	return n;
}

/* All digits that a number of this length may have, leading zeros included. */
static void digits_write(uint32_t *limbs, size_t n, char *out, size_t len)
{
	for (size_t end = len; end > 0;) {
		uint32_t group = divide(limbs, n);

		for (size_t i = 0; i < GROUP && end > 0; i++) {
			out[--end] = (char)('0' + group % 10);
			group /= 10;
		}
	}
}

enum status decimal_text(struct span number, char *out, size_t *ret_n)
{
	const size_t len = DECIMAL_LEN(number.n);
	uint32_t *limbs = scratch_get();
	size_t zeros = 0;

	MUST(number.n <= DECIMAL_BYTES_MAX);
	if (limbs == NULL)
		return ST_NOMEM;
	digits_write(limbs, limbs_load(number, limbs), out, len);
	wipe(limbs, (number.n + 3) / 4 * 4);
	while (zeros + 1 < len && out[zeros] == '0')
		zeros++;
	memmove(out, out + zeros, len - zeros);
	wipe(out + len - zeros, zeros);
	*ret_n = len - zeros;
	return ST_OK;
}
