#include "crypto/xaes.h"

#include <string.h>

#include "crypto/ct.h"

void xaes_k1(const uint8_t l[static 16], uint8_t k1[static 16])
{
	/* All ones when the first bit is set. */
	const uint8_t carry = (uint8_t)~ct_is_zero(l[0] >> 7);

	for (unsigned i = 0; i < 15; i++)
		k1[i] = (uint8_t)(l[i] << 1 | l[i + 1] >> 7);
	k1[15] = (uint8_t)((unsigned)l[15] << 1 ^ ct_select(carry, 0x87, 0));
}

void xaes_blocks(const uint8_t k1[static 16], const uint8_t nonce[static 12],
                 uint8_t out[static 32])
{
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *m = out + (size_t)16 * i;
		const uint8_t head[4] = {0x00, (uint8_t)(i + 1), 0x58, 0x00};

		memcpy(m, head, sizeof head);
		memcpy(m + sizeof head, nonce, 12);
		ct_xor(m, k1, 16);
	}
}
