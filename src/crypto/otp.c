#include "crypto/otp.h"

#include <liboath/oath.h>
#include <string.h>
#include <yubikey.h>

#include "base/clock.h"
#include "crypto/ct.h"

enum status otp_setup(void)
{
	return oath_init() == OATH_OK ? ST_OK : ST_UNAVAILABLE;
}

/* ---- TOTP ---- */

enum status totp_check(struct span secret, struct span code, int64_t now_ns, uint64_t after,
                       uint64_t *ret_step)
{
	uint64_t step = (uint64_t)(now_ns / NS_PER_S) / TOTP_STEP_S, found = 0;
	char text[TOTP_DIGITS + 1];

	if (secret.n == 0 || code.n != TOTP_DIGITS || now_ns < TOTP_STEP_S * NS_PER_S)
		return ST_DENIED;
	for (uint64_t at = step - 1; at <= step + 1; at++) {
		if (oath_totp_generate((const char *)secret.p, secret.n, (time_t)(at * TOTP_STEP_S),
		                       TOTP_STEP_S, 0, TOTP_DIGITS, text) != OATH_OK)
			return ST_DENIED;
		if (ct_equal(span_of(text, TOTP_DIGITS), code) && at > after)
			found = at;
	}
	wipe(text, sizeof text);
	if (found == 0)
		return ST_DENIED;
	*ret_step = found;
	return ST_OK;
}

/* ---- base32 ---- */

/* All ones when low <= c <= high, else 0; for values below 256. */
static unsigned in_range(unsigned c, unsigned low, unsigned high)
{
	return (unsigned)-(int)(((low - 1 - c) & (c - high - 1)) >> 31);
}

static char base32_digit(unsigned v)
{
	return (char)((in_range(v, 0, 25) & (v + 'A')) | (in_range(v, 26, 31) & (v - 26 + '2')));
}

void base32_encode(struct span bytes, char *out)
{
	unsigned bits = 0, held = 0;

	for (size_t i = 0; i < bytes.n; i++) {
		bits = bits << 8 | bytes.p[i];
		for (held += 8; held >= 5; held -= 5)
			*out++ = base32_digit(bits >> (held - 5) & 31);
	}
	if (held > 0)
		*out++ = base32_digit(bits << (5 - held) & 31);
}

enum status base32_decode(struct span text, uint8_t *out, size_t cap, size_t *ret_n)
{
	unsigned bits = 0, held = 0, bad = 0;
	size_t n = 0;

	while (text.n > 0 && text.p[text.n - 1] == '=')
		text.n--;
	for (size_t i = 0; i < text.n; i++) {
		unsigned c = text.p[i], upper, lower, digit;

		if (c == ' ' || c == '-')
			continue;
		upper = in_range(c, 'A', 'Z');
		lower = in_range(c, 'a', 'z');
		digit = in_range(c, '2', '7');
		bad |= ~(upper | lower | digit);
		bits =
		    bits << 5 |
		    (((upper & (c - 'A')) | (lower & (c - 'a')) | (digit & (c - '2' + 26))) & 31);
		held += 5;
		if (held < 8)
			continue;
		if (n == cap) {
			wipe(out, cap);
			return ST_LIMIT;
		}
		held -= 8;
		out[n++] = (uint8_t)(bits >> held);
	}
	/* What is left over are the unused bits of the last character: fewer than a character, and zero. */
	if (bad != 0 || n == 0 || held >= 5 || (bits & ((1u << held) - 1)) != 0) {
		wipe(out, cap);
		return ST_INVALID;
	}
	*ret_n = n;
	return ST_OK;
}

/* ---- Yubico OTP ---- */

/* Digits of ModHex as bytes; false when there are others. */
static bool unmodhex(struct span text, uint8_t *out)
{
	static const char digits[] = YUBIKEY_MODHEX_MAP;

	for (size_t i = 0; i < text.n; i++) {
		const char *at = memchr(digits, text.p[i], sizeof digits - 1);

		if (at == NULL)
			return false;
		out[i / 2] = (uint8_t)(out[i / 2] << 4 | (at - digits));
	}
	return true;
}

bool yubico_public_valid(struct span id)
{
	uint8_t bytes[YUBICO_PUBLIC_LEN / 2] = {0};

	return id.n == YUBICO_PUBLIC_LEN && unmodhex(id, bytes);
}

enum status yubico_open(const uint8_t key[static YUBICO_KEY_LEN],
                        const uint8_t private_id[static YUBICO_PRIVATE_LEN], struct span otp,
                        uint32_t *ret_counter)
{
	/* Within a block: 0 private id, 6 usage counter (low byte first), 8 time, 11 use in this session, 12 random, 14 CRC. */
	enum { AT_COUNTER = 6, AT_USE = 11 };
	uint8_t whole[YUBICO_OTP_LEN / 2] = {0}, *block = whole + YUBICO_PUBLIC_LEN / 2;
	enum status st = ST_DENIED;

	if (otp.n != YUBICO_OTP_LEN || !unmodhex(otp, whole))
		return ST_DENIED;
	yubikey_aes_decrypt(block, key);
	if (yubikey_crc_ok_p(block) &&
	    ct_equal(span_of(block, YUBICO_PRIVATE_LEN), span_of(private_id, YUBICO_PRIVATE_LEN))) {
		uint32_t counter = (uint32_t)block[AT_COUNTER] | (uint32_t)block[AT_COUNTER + 1]
		                                                     << 8;

		*ret_counter = yubikey_counter(counter) << 8 | block[AT_USE];
		st = ST_OK;
	}
	wipe(whole, sizeof whole);
	return st;
}
