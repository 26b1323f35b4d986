#include "lib/slow_base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static bool line_end(uint8_t c)
{
	return c == '\r' || c == '\n';
}

static size_t next_sign(struct span s, size_t i)
{
	while (i < s.n && line_end(s.p[i]))
		i++;
	return i;
}

bool slow_base64(struct span s, struct builder *out, size_t *ret_at)
{
	uint32_t bits = 0;
	size_t have = 0, group = 0, i = next_sign(s, 0);

	for (; i < s.n && s.p[i] != '='; i = next_sign(s, i + 1)) {
		const char *digit = s.p[i] != 0 ? strchr(digits, s.p[i]) : NULL;

		*ret_at = i;
		if (digit == NULL)
			return false;
		if (have == 0)
			group = i;
		bits = bits << 6 | (uint32_t)(digit - digits);
		if (++have < 4)
			continue;
		builder_u8(out, (uint8_t)(bits >> 16));
		builder_u8(out, (uint8_t)(bits >> 8));
		builder_u8(out, (uint8_t)bits);
		bits = 0;
		have = 0;
	}
	*ret_at = group;
	if (i == s.n)
		return have == 0;
	*ret_at = i; /* where padding begins */
	if (have < 2)
		return false;
	if (have == 2) {
		size_t second = next_sign(s, i + 1);

		if (second == s.n)
			*ret_at = s.n;
		if (second == s.n || s.p[second] != '=')
			return false;
		i = second;
	}
	*ret_at = next_sign(s, i + 1);
	if (*ret_at < s.n)
		return false;
	*ret_at = group;
	builder_u8(out, (uint8_t)(have == 2 ? bits >> 4 : bits >> 10));
	if (have == 3)
		builder_u8(out, (uint8_t)(bits >> 2));
	return (bits & (have == 2 ? 15u : 3u)) == 0;
}
