/*
 * rfc3339: rfc3339_parse on any bytes against the grammar of RFC 3339, section 5.6, and a calendar that counts day by day.
 *   - the same texts are taken, to the same nanosecond;
 *   - what rfc3339 prints for any number is parsed to that number.
 * The first 8 bytes also serve as a number to print.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fuzz.h"

__extension__ typedef __int128 wide;

static bool leap(int y)
{
	return y % 400 == 0 || (y % 4 == 0 && y % 100 != 0);
}

static int month_days(int y, int m)
{
	return m == 2 ? 28 + leap(y) : m == 4 || m == 6 || m == 9 || m == 11 ? 30 : 31;
}

/* Days from 1970-01-01, counted. */
static int64_t days(int y, int m, int d)
{
	int64_t n = 0;

	for (int i = 1970; i < y; i++)
		n += 365 + leap(i);
	for (int i = y; i < 1970; i++)
		n -= 365 + leap(i);
	for (int i = 1; i < m; i++)
		n += month_days(y, i);
	return n + d - 1;
}

/* `n` digits at *at. */
static int number(struct span s, size_t *at, size_t n)
{
	int v = 0;

	for (size_t i = 0; i < n; i++, (*at)++) {
		if (*at >= s.n || s.p[*at] < '0' || s.p[*at] > '9')
			return -1;
		v = v * 10 + (s.p[*at] - '0');
	}
	return v;
}

static bool is(struct span s, size_t *at, const char *any)
{
	if (*at >= s.n || s.p[*at] == 0 || strchr(any, s.p[*at]) == NULL)
		return false;
	(*at)++;
	return true;
}

struct parts {
	int year, month, day, hour, minute, second, nanos, offset_s;
};

static bool fraction(struct span s, size_t *at, int *ret)
{
	int ns = 0, n = 0;

	*ret = 0;
	if (!is(s, at, "."))
		return true;
	for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; (*at)++, n++)
		ns = n < 9 ? ns * 10 + (s.p[*at] - '0') : ns;
	for (int i = n; i < 9; i++)
		ns *= 10;
	*ret = ns;
	return n >= 1 && n <= 9;
}

static bool offset(struct span s, size_t *at, int *ret)
{
	int sign, h, m;

	*ret = 0;
	if (is(s, at, "Zz"))
		return true;
	sign = *at < s.n && s.p[*at] == '-' ? -1 : 1;
	if (!is(s, at, "+-"))
		return false;
	h = number(s, at, 2);
	if (!is(s, at, ":"))
		return false;
	m = number(s, at, 2);
	*ret = sign * (h * 3600 + m * 60);
	return h >= 0 && h <= 23 && m >= 0 && m <= 59;
}

static bool grammar(struct span s, struct parts *p)
{
	size_t at = 0;

	p->year = number(s, &at, 4);
	if (!is(s, &at, "-"))
		return false;
	p->month = number(s, &at, 2);
	if (!is(s, &at, "-"))
		return false;
	p->day = number(s, &at, 2);
	if (!is(s, &at, "Tt"))
		return false;
	p->hour = number(s, &at, 2);
	if (!is(s, &at, ":"))
		return false;
	p->minute = number(s, &at, 2);
	if (!is(s, &at, ":"))
		return false;
	p->second = number(s, &at, 2);
	return fraction(s, &at, &p->nanos) && offset(s, &at, &p->offset_s) && at == s.n &&
	       p->year >= 0 && p->month >= 1 && p->month <= 12 && p->day >= 1 &&
	       p->day <= month_days(p->year, p->month) && p->hour >= 0 && p->hour <= 23 &&
	       p->minute >= 0 && p->minute <= 59 && p->second >= 0 && p->second <= 60;
}

/* A second 60 is the last of a month in UTC. */
static bool first_of_month(int64_t unix_s)
{
	int64_t at = days(-1, 12, 1) * 86400;

	for (int y = -1; at < unix_s; y++)
		for (int m = y < 0 ? 12 : 1; m <= 12 && at < unix_s; m++)
			at += month_days(y, m) * (int64_t)86400;
	return at == unix_s;
}

static bool slow_parse(struct span s, int64_t *ret)
{
	struct parts p;
	int64_t unix_s;
	wide ns;

	if (!grammar(s, &p))
		return false;
	unix_s = days(p.year, p.month, p.day) * 86400 + p.hour * 3600 + p.minute * 60 + p.second -
	         p.offset_s;
	if (p.second == 60 && (unix_s % 86400 != 0 || !first_of_month(unix_s)))
		return false;
	ns = (wide)unix_s * NS_PER_S + p.nanos;
	if (ns < INT64_MIN || ns > INT64_MAX)
		return false;
	*ret = (int64_t)ns;
	return true;
}

static void check_parse(struct span text)
{
	uint8_t *exact = fuzz_copy(text);
	int64_t ns = 77, want = 77;
	enum status st = rfc3339_parse(span_of(exact, text.n), &ns);
	bool good = slow_parse(text, &want);

	MUST(st == (good ? ST_OK : ST_INVALID) && ns == want);
	free(exact);
}

static void check_print(int64_t ns)
{
	struct builder b = {0};
	int64_t again = 0, want = 0;

	rfc3339(&b, ns);
	MUST(rfc3339_parse(builder_span(&b), &again) == ST_OK && again == ns);
	MUST(slow_parse(builder_span(&b), &want) && want == ns);
	builder_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));
	uint64_t number_ns = 0;

	check_parse(span_of(data, n));
	if (cursor_u64(&c, &number_ns) == ST_OK)
		check_print((int64_t)number_ns);
	return 0;
}
