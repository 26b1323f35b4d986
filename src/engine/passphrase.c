#include "engine/passphrase.h"

#include "base/utf8.h"

#define GOOD(length)                                                                  \
	{                                                                             \
		{PASSPHRASE_MIN_LENGTH, length}, {PASSPHRASE_MIN_LOWERCASE, 1},       \
		    {PASSPHRASE_MIN_NONALPHANUMERIC, 1}, {PASSPHRASE_MIN_NUMERIC, 1}, \
		{                                                                     \
			PASSPHRASE_MIN_UPPERCASE, 1                                   \
		}                                                                     \
	}

/* Ids, names and rules of 7, 8 and 16 are those that clients know; what 2 asks for is ours. */
static const struct passphrase_policy policies[] = {
    {2, "Basic Password (8+ chars)", {{PASSPHRASE_MIN_LENGTH, 8}}, 1},
    {7, "High Quality Password (14+ chars, mixed case, number and special)", GOOD(14), 5},
    {8, "Good Quality Password (12+ chars, mixed case, number and special)", GOOD(12), 5},
    {PASSPHRASE_POLICY_NONE, "No policy", {{PASSPHRASE_MIN_LENGTH, 0}}, 0},
};

const struct passphrase_policy *passphrase_policies(size_t *ret_n)
{
	*ret_n = sizeof policies / sizeof *policies;
	return policies;
}

const struct passphrase_policy *passphrase_policy(uint64_t id)
{
	for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
		if (policies[i].id == id)
			return &policies[i];
	return NULL;
}

const char *passphrase_rule_name(const struct passphrase_rule *r)
{
	switch (r->test) {
	case PASSPHRASE_MIN_LENGTH:
		return "min_length";
	case PASSPHRASE_MIN_LOWERCASE:
		return "min_lowercase_chars";
	case PASSPHRASE_MIN_UPPERCASE:
		return "min_uppercase_chars";
	case PASSPHRASE_MIN_NUMERIC:
		return "min_numeric_chars";
	case PASSPHRASE_MIN_NONALPHANUMERIC:
		break;
	}
	return "min_nonalphanumeric_chars";
}

static enum passphrase_test kind_of(uint8_t c)
{
	if (c >= 'a' && c <= 'z')
		return PASSPHRASE_MIN_LOWERCASE;
	if (c >= 'A' && c <= 'Z')
		return PASSPHRASE_MIN_UPPERCASE;
	return c >= '0' && c <= '9' ? PASSPHRASE_MIN_NUMERIC : PASSPHRASE_MIN_NONALPHANUMERIC;
}

bool passphrase_keeps(const struct passphrase_rule *r, struct span text)
{
	unsigned n = 0;

	while (text.n > 0 && n < r->value) {
		size_t length = utf8_length(text);

		if (r->test == PASSPHRASE_MIN_LENGTH || kind_of(text.p[0]) == r->test)
			n++;
		text = span_from(text, length > 0 ? length : 1);
	}
	return n >= r->value;
}
