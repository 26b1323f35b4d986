/*
 * duration: duration_parse on any bytes against a reading of Go's documentation with 128-bit arithmetic.
 *   - the same texts are taken; where there is no fraction the results are equal; a fraction is exact to the nanosecond below 2^53 of its
 *     unit's parts and within what a double holds above;
 *   - what duration_go and duration_short print is a plain Go duration and is parsed to the same number.
 * The first 8 bytes also serve as a number to print.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fuzz.h"

__extension__ typedef __int128 wide;

#define WIDE_CAP ((wide)1 << 64)

static bool digit(struct span s, size_t i)
{
	return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

/* Digits from *at on; saturates. */
static wide digits(struct span s, size_t *at)
{
	wide v = 0;

	for (; digit(s, *at); (*at)++)
		v = v < WIDE_CAP ? v * 10 + (s.p[*at] - '0') : v;
	return v;
}

static wide unit(struct span s, size_t *at)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {
	    {"ns", 1},       {"us", 1000},    {"\u00b5s", 1000},    {"\u03bcs", 1000},
	    {"ms", 1000000}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}};
	size_t end = *at;

	while (end < s.n && s.p[end] != '.' && !digit(s, end))
		end++;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (span_eq_str(span_of(s.p + *at, end - *at), units[i].name)) {
			*at = end;
			return units[i].ns;
		}
	}
	return 0;
}

struct slow {
	bool good, plain, fraction;
	wide ns;   /* rounded down */
	wide slop; /* what a fraction may be off by */
};

/* How far a double's product may be from the truth: a unit of the last place of the result, and rounding down of it. */
static void add_fraction(struct slow *r, struct span s, size_t *at, wide u_of_after, size_t first)
{
	wide value = 0, scale = 1;

	for (size_t i = first; i < *at; i++) {
		if (scale >= (wide)1000000000 * 1000000000)
			break; /* further digits are below a nanosecond of an hour's parts */
		value = value * 10 + (s.p[i] - '0');
		scale *= 10;
	}
	r->ns += value * u_of_after / scale;
	r->slop += 1;
	r->fraction = r->fraction || *at > first;
}

/* ([0-9]*(\.[0-9]*)?[a-z]+)+ with at least one digit in each term. */
static void terms(struct slow *r, struct span s)
{
	size_t at = 0;

	r->good = s.n > 0;
	while (r->good && at < s.n) {
		size_t start = at, first, last;
		wide whole = digits(s, &at), u;
		bool any = at > start;

		first = last = at;
		if (at < s.n && s.p[at] == '.') {
			first = ++at;
			(void)digits(s, &at);
			last = at;
		}
		any = any || last > first;
		u = unit(s, &at);
		if (!any || u == 0 || whole >= WIDE_CAP) {
			r->good = false;
			return;
		}
		r->ns += whole * u;
		add_fraction(r, s, &last, u, first);
		/* Go checks after each term; a sum that grew too large never shrinks */
		if (r->ns > (wide)UINT64_MAX)
			r->good = false;
	}
}

static struct slow slow_parse(struct span s)
{
	struct slow r = {0};
	bool negative = s.n > 0 && s.p[0] == '-';
	size_t at = 0;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
		s = span_from(s, 1);
	wide v = digits(s, &at);
	if (at > 0 && at == s.n) {
		r.good = v < WIDE_CAP;
		r.plain = span_eq_str(s, "0");
		r.ns = v * NS_PER_S;
	} else if (at > 0 && at + 1 == s.n && s.p[at] == 'd') {
		r.good = v < WIDE_CAP;
		r.ns = v * 86400 * NS_PER_S;
	} else {
		terms(&r, s);
		r.plain = r.good;
	}
	if (negative)
		r.ns = -r.ns;
	return r;
}

static void check_parse(struct span text)
{
	uint8_t *exact = fuzz_copy(text);
	int64_t ns = 77;
	bool plain = false;
	enum status st = duration_parse(span_of(exact, text.n), &ns, &plain);
	struct slow want = slow_parse(text);
	wide low = want.ns - want.slop, high = want.ns + want.slop;

	MUST(st == ST_OK || (st == ST_INVALID && ns == 77));
	if (want.good && want.fraction) {
		/* at the very edge rounding may tip it either way */
		if (low >= INT64_MIN && high <= INT64_MAX)
			MUST(st == ST_OK);
		if (high < INT64_MIN || low > INT64_MAX)
			MUST(st == ST_INVALID);
		if (st == ST_OK)
			MUST(ns >= low && ns <= high);
	} else {
		MUST((st == ST_OK) == (want.good && want.ns >= INT64_MIN && want.ns <= INT64_MAX));
		MUST(st != ST_OK || ns == want.ns);
	}
	if (st == ST_OK)
		MUST(plain == want.plain);
	free(exact);
}

static void check_print(int64_t ns)
{
	void (*const print[])(struct builder * b, int64_t ns) = {duration_go, duration_short};

	for (size_t i = 0; i < 2; i++) {
		struct builder b = {0};
		int64_t again = 0;
		bool plain = false;

		print[i](&b, ns);
		MUST(duration_parse(builder_span(&b), &again, &plain) == ST_OK);
		MUST(again == ns && plain);
		builder_free(&b);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));
	uint64_t number = 0;

	check_parse(span_of(data, n));
	if (cursor_u64(&c, &number) == ST_OK)
		check_print((int64_t)number);
	return 0;
}
