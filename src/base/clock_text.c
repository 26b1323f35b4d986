/*
 * Durations and points in time as text.  The duration grammar and the rounding of fractions are Go's (go.dev/pkg/time,
 * ParseDuration and Duration.String), so that both sides agree to the nanosecond.
 */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

#define NS_MAX    ((uint64_t)INT64_MAX)
#define NS_MIN    ((uint64_t)1 << 63) /* magnitude of INT64_MIN */
#define S_PER_H   3600
#define S_PER_DAY INT64_C(86400)

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Longest first where one unit starts another. */
static const struct unit {
	const char *name;
	uint64_t ns;
} units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000}, /* micro sign */
    {"\xce\xbcs", 1000}, /* Greek mu */
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", UINT64_C(60) * 1000000000},
    {"h", UINT64_C(3600) * 1000000000},
};

static enum status take_digits(struct span *s, uint64_t *ret)
{
	uint64_t v = 0;

	while (s->n > 0 && is_digit(s->p[0])) {
		uint64_t digit = (uint64_t)(s->p[0] - '0');

		if (v > NS_MIN / 10 || v * 10 > NS_MIN - digit)
			return ST_INVALID;
		v = v * 10 + digit;
		*s = span_from(*s, 1);
	}
	*ret = v;
	return ST_OK;
}

/* Digits behind the point: value and power of ten; those past what 63 bits hold are dropped. */
static void take_fraction(struct span *s, uint64_t *ret_value, double *ret_scale)
{
	uint64_t v = 0;
	double scale = 1;
	bool full = false;

	for (; s->n > 0 && is_digit(s->p[0]); *s = span_from(*s, 1)) {
		uint64_t digit = (uint64_t)(s->p[0] - '0');

		full = full || v > NS_MAX / 10 || v * 10 > NS_MIN - digit;
		if (full)
			continue;
		v = v * 10 + digit;
		scale *= 10;
	}
	*ret_value = v;
	*ret_scale = scale;
}

static enum status take_unit(struct span *s, uint64_t *ret_ns)
{
	size_t n = 0;

	while (n < s->n && !is_digit(s->p[n]) && s->p[n] != '.')
		n++;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (span_eq_str(span_of(s->p, n), units[i].name)) {
			*ret_ns = units[i].ns;
			*s = span_from(*s, n);
			return ST_OK;
		}
	}
	return ST_INVALID;
}

/* One "1.5h" of a duration. */
static enum status take_term(struct span *s, uint64_t *ret_ns)
{
	size_t before = s->n, digits;
	uint64_t v, fraction = 0, unit;
	double scale = 1;

	if (take_digits(s, &v) != ST_OK)
		return ST_INVALID;
	digits = before - s->n;
	if (s->n > 0 && s->p[0] == '.') {
		*s = span_from(*s, 1);
		before = s->n;
		take_fraction(s, &fraction, &scale);
		digits += before - s->n;
	}
	if (digits == 0 || take_unit(s, &unit) != ST_OK || v > NS_MIN / unit)
		return ST_INVALID;
	v *= unit;
	if (fraction > 0)
		v += (uint64_t)((double)fraction * ((double)unit / scale));
	if (v > NS_MIN)
		return ST_INVALID;
	*ret_ns = v;
	return ST_OK;
}

static bool all_digits(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_digit(s.p[i]))
			return false;
	}
	return s.n > 0;
}

/* What Go does not know: plain seconds and whole days. */
static enum status take_whole(struct span s, uint64_t *ret_ns)
{
	uint64_t unit = (uint64_t)NS_PER_S, v;

	if (s.n > 0 && s.p[s.n - 1] == 'd') {
		unit = (uint64_t)(S_PER_DAY * NS_PER_S);
		s.n--;
	}
	if (!all_digits(s) || take_digits(&s, &v) != ST_OK || v > NS_MIN / unit)
		return ST_INVALID;
	*ret_ns = v * unit;
	return ST_OK;
}

static enum status take_terms(struct span s, uint64_t *ret_ns)
{
	uint64_t sum = 0, term;

	while (s.n > 0) {
		if (take_term(&s, &term) != ST_OK || term > NS_MIN - sum)
			return ST_INVALID;
		sum += term;
	}
	*ret_ns = sum;
	return ST_OK;
}

enum status duration_parse(struct span s, int64_t *ret_ns, bool *ret_plain)
{
	bool negative = false, plain;
	uint64_t ns;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
		negative = s.p[0] == '-';
		s = span_from(s, 1);
	}
	if (s.n == 0)
		return ST_INVALID;
	plain = span_eq_str(s, "0");
	if (take_whole(s, &ns) != ST_OK) {
		if (take_terms(s, &ns) != ST_OK)
			return ST_INVALID;
		plain = true;
	}
	if (ns > NS_MAX && !negative)
		return ST_INVALID;
	*ret_ns = negative ? (int64_t)(0 - ns) : (int64_t)ns;
	if (ret_plain != NULL)
		*ret_plain = plain;
	return ST_OK;
}

/* value / 10^digits with no trailing zeros, then the unit. */
static void put_fraction(struct builder *b, uint64_t value, unsigned digits, const char *unit)
{
	uint64_t scale = 1;

	for (unsigned i = 0; i < digits; i++)
		scale *= 10;
	builder_dec(b, value / scale);
	value %= scale;
	if (value != 0) {
		while (value % 10 == 0) {
			value /= 10;
			digits--;
		}
		builder_fmt(b, ".%0*llu", (int)digits, (unsigned long long)value);
	}
	builder_str(b, unit);
}

static uint64_t magnitude(int64_t ns)
{
	return ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
}

/* Below one second Go picks the unit; says whether that was the case. */
static bool put_small(struct builder *b, uint64_t u)
{
	if (u >= (uint64_t)NS_PER_S)
		return false;
	if (u == 0)
		builder_str(b, "0s");
	else if (u < 1000)
		put_fraction(b, u, 0, "ns");
	else if (u < 1000000)
		put_fraction(b, u, 3, "\xc2\xb5s");
	else
		put_fraction(b, u, 6, "ms");
	return true;
}

struct hms {
	uint64_t hours, minutes, ns;
};

static struct hms split(uint64_t u)
{
	const uint64_t minute = UINT64_C(60) * (uint64_t)NS_PER_S;

	return (struct hms){.hours = u / minute / 60, .minutes = u / minute % 60, .ns = u % minute};
}

void duration_go(struct builder *b, int64_t ns)
{
	uint64_t u = magnitude(ns);
	struct hms t = split(u);

	if (ns < 0)
		builder_str(b, "-");
	if (put_small(b, u))
		return;
	if (t.hours > 0)
		put_fraction(b, t.hours, 0, "h");
	if (t.hours > 0 || t.minutes > 0)
		put_fraction(b, t.minutes, 0, "m");
	put_fraction(b, t.ns, 9, "s");
}

void duration_short(struct builder *b, int64_t ns)
{
	uint64_t u = magnitude(ns);
	struct hms t = split(u);

	if (ns < 0)
		builder_str(b, "-");
	if (put_small(b, u))
		return;
	if (t.hours > 0)
		put_fraction(b, t.hours, 0, "h");
	if (t.minutes > 0)
		put_fraction(b, t.minutes, 0, "m");
	if (t.ns > 0)
		put_fraction(b, t.ns, 9, "s");
}

/*
 * The calendar is reckoned in years that begin on March 1st, so that the leap day is the last one: day 0 is 0000-03-01.
 */
#define DAYS_TO_1970  719468
#define DAYS_PER_400Y 146097

static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t m = month > 2 ? month - 3 : month + 9;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t in_era = y - era * 400;
	int64_t in_year = (153 * m + 2) / 5 + day - 1;

	return era * DAYS_PER_400Y + in_era * 365 + in_era / 4 - in_era / 100 + in_year -
	       DAYS_TO_1970;
}

static void date_from_days(int64_t days, int64_t *ret_year, int64_t *ret_month, int64_t *ret_day)
{
	int64_t z = days + DAYS_TO_1970;
	int64_t era = (z >= 0 ? z : z - (DAYS_PER_400Y - 1)) / DAYS_PER_400Y;
	int64_t d = z - era * DAYS_PER_400Y;
	int64_t y = (d - d / 1460 + d / 36524 - d / (DAYS_PER_400Y - 1)) / 365;
	int64_t in_year = d - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * in_year + 2) / 153;

	*ret_day = in_year - (153 * m + 2) / 5 + 1;
	*ret_month = m < 10 ? m + 3 : m - 9;
	*ret_year = y + era * 400 + (m < 10 ? 0 : 1);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

void rfc3339(struct builder *b, int64_t wall_ns)
{
	int64_t s = floor_div(wall_ns, NS_PER_S);
	int64_t days = floor_div(s, S_PER_DAY);
	int64_t in_day = s - days * S_PER_DAY;
	int64_t year, month, day;
	/* not s * NS_PER_S: that overflows in the first second of the range */
	int64_t ns = wall_ns % NS_PER_S;

	if (ns < 0)
		ns += NS_PER_S;
	date_from_days(days, &year, &month, &day);
	builder_fmt(b, "%04d-%02d-%02dT%02d:%02d:", (int)year, (int)month, (int)day,
	            (int)(in_day / S_PER_H), (int)(in_day / 60 % 60));
	if (in_day % 60 < 10)
		builder_str(b, "0");
	put_fraction(b, (uint64_t)(in_day % 60 * NS_PER_S + ns), 9, "Z");
}

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t days_in(int64_t year, int64_t month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Exactly `digits` digits with a value in [min, max]. */
static enum status take_field(struct span *s, size_t digits, int64_t min, int64_t max, int64_t *ret)
{
	int64_t v = 0;

	if (s->n < digits)
		return ST_INVALID;
	for (size_t i = 0; i < digits; i++) {
		if (!is_digit(s->p[i]))
			return ST_INVALID;
		v = v * 10 + (s->p[i] - '0');
	}
	if (v < min || v > max)
		return ST_INVALID;
	*s = span_from(*s, digits);
	*ret = v;
	return ST_OK;
}

/* One of two bytes (section 5.6 lets T and Z be lower case). */
static enum status take_mark(struct span *s, char a, char b)
{
	if (s->n == 0 || (s->p[0] != (uint8_t)a && s->p[0] != (uint8_t)b))
		return ST_INVALID;
	*s = span_from(*s, 1);
	return ST_OK;
}

static enum status take_date(struct span *s, int64_t *ret_days)
{
	int64_t year, month, day;

	if (take_field(s, 4, 0, 9999, &year) != ST_OK || take_mark(s, '-', '-') != ST_OK ||
	    take_field(s, 2, 1, 12, &month) != ST_OK || take_mark(s, '-', '-') != ST_OK ||
	    take_field(s, 2, 1, days_in(year, month), &day) != ST_OK)
		return ST_INVALID;
	*ret_days = days_from_date(year, month, day);
	return ST_OK;
}

static enum status take_nanos(struct span *s, int64_t *ret_ns)
{
	int64_t ns = 0, unit = NS_PER_S / 10;
	size_t n = 0;

	if (take_mark(s, '.', '.') != ST_OK) {
		*ret_ns = 0;
		return ST_OK;
	}
	for (; n < 9 && n < s->n && is_digit(s->p[n]); n++, unit /= 10)
		ns += (s->p[n] - '0') * unit;
	if (n == 0 || (n < s->n && is_digit(s->p[n])))
		return ST_INVALID;
	*s = span_from(*s, n);
	*ret_ns = ns;
	return ST_OK;
}

/* "hh:mm:ss" as seconds; the second 60 is judged by the caller, who knows the offset. */
static enum status take_time(struct span *s, int64_t *ret_s, int64_t *ret_second)
{
	int64_t hour, minute, second;

	if (take_field(s, 2, 0, 23, &hour) != ST_OK || take_mark(s, ':', ':') != ST_OK ||
	    take_field(s, 2, 0, 59, &minute) != ST_OK || take_mark(s, ':', ':') != ST_OK ||
	    take_field(s, 2, 0, 60, &second) != ST_OK)
		return ST_INVALID;
	*ret_s = hour * S_PER_H + minute * 60 + second;
	*ret_second = second;
	return ST_OK;
}

static enum status take_offset(struct span *s, int64_t *ret_s)
{
	int64_t hours, minutes, sign;

	if (take_mark(s, 'Z', 'z') == ST_OK) {
		*ret_s = 0;
		return ST_OK;
	}
	sign = s->n > 0 && s->p[0] == '-' ? -1 : 1;
	if (take_mark(s, '+', '-') != ST_OK || take_field(s, 2, 0, 23, &hours) != ST_OK ||
	    take_mark(s, ':', ':') != ST_OK || take_field(s, 2, 0, 59, &minutes) != ST_OK)
		return ST_INVALID;
	*ret_s = sign * (hours * S_PER_H + minutes * 60);
	return ST_OK;
}

/* A leap second is the last one of a month in UTC; Unix time counts it as the first of the next. */
static bool is_leap_second(int64_t unix_s)
{
	int64_t year, month, day;

	if (floor_div(unix_s, S_PER_DAY) * S_PER_DAY != unix_s)
		return false;
	date_from_days(unix_s / S_PER_DAY, &year, &month, &day);
	return day == 1;
}

enum status rfc3339_parse(struct span s, int64_t *ret_wall_ns)
{
	int64_t days, in_day, second, ns, offset, unix_s, wall;

	if (take_date(&s, &days) != ST_OK || take_mark(&s, 'T', 't') != ST_OK ||
	    take_time(&s, &in_day, &second) != ST_OK || take_nanos(&s, &ns) != ST_OK ||
	    take_offset(&s, &offset) != ST_OK || s.n != 0)
		return ST_INVALID;
	unix_s = days * S_PER_DAY + in_day - offset;
	if (second == 60 && !is_leap_second(unix_s))
		return ST_INVALID;
	if (unix_s < 0 && ns > 0) {
		/* both of one sign, or the product overflows in the first second of the range */
		unix_s++;
		ns -= NS_PER_S;
	}
	if (__builtin_mul_overflow(unix_s, NS_PER_S, &wall) ||
	    __builtin_add_overflow(wall, ns, &wall))
		return ST_INVALID;
	*ret_wall_ns = wall;
	return ST_OK;
}

void rfc3339_put(struct json_writer *w, const char *name, int64_t wall_ns)
{
	char text[40];
	struct builder b;

	if (wall_ns == 0) {
		json_put_null(w, name);
		return;
	}
	builder_init_fixed(&b, text, sizeof text);
	rfc3339(&b, wall_ns);
	json_put_string(w, name, builder_span(&b));
}
