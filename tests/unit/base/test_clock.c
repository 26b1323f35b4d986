#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"

#define HOUR (3600 * NS_PER_S)

static void text_is(struct builder *b, const char *want)
{
	assert_int_equal(builder_status(b), ST_OK);
	builder_u8(b, 0);
	assert_string_equal((const char *)b->p, want);
	builder_free(b);
}

static void system_clock_moves_forward(void **state)
{
	int64_t wall = clock_wall_ns(&clock_system), mono = clock_mono_ns(&clock_system);

	/* after 2020 */
	assert_true(wall > INT64_C(1577836800) * NS_PER_S);
	assert_true(clock_mono_ns(&clock_system) >= mono);
}

static void manual_clock_is_set_by_hand(void **state)
{
	struct clock_manual m;

	clock_manual_init(&m, 100, 7);
	assert_int_equal(clock_wall_ns(&m.clock), 100);
	assert_int_equal(clock_mono_ns(&m.clock), 7);
	clock_manual_advance(&m, 5);
	assert_int_equal(clock_wall_ns(&m.clock), 105);
	assert_int_equal(clock_mono_ns(&m.clock), 12);
	clock_manual_set_wall(&m, -3);
	assert_int_equal(clock_wall_ns(&m.clock), -3);
	assert_int_equal(clock_mono_ns(&m.clock), 12);
}

/* Source: the table of go.dev/src/time/time_test.go (parseDurationTests), and what Vault's clients send. */
static void durations_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
		bool plain;
	} good[] = {
	    {"0", 0, true},
	    {"-0", 0, true},
	    {"5s", 5 * NS_PER_S, true},
	    {"30s", 30 * NS_PER_S, true},
	    {"1478s", 1478 * NS_PER_S, true},
	    {"-5s", -5 * NS_PER_S, true},
	    {"+5s", 5 * NS_PER_S, true},
	    {"-0s", 0, true},
	    {"5.0s", 5 * NS_PER_S, true},
	    {"5.6s", 5600000000, true},
	    {"5.s", 5 * NS_PER_S, true},
	    {".5s", 500000000, true},
	    {"1.004s", 1004000000, true},
	    {"100.00100s", 100001000000, true},
	    {"10ns", 10, true},
	    {"11us", 11000, true},
	    {"12\xc2\xb5s", 12000, true},
	    {"12\xce\xbcs", 12000, true},
	    {"13ms", 13000000, true},
	    {"15m", 900 * NS_PER_S, true},
	    {"16h", 16 * HOUR, true},
	    {"3h30m", 3 * HOUR + 1800 * NS_PER_S, true},
	    {"10.5s4m", 240 * NS_PER_S + 10500000000, true},
	    {"-2m3.4s", -(120 * NS_PER_S + 3400000000), true},
	    {"1h2m3s4ms5us6ns", HOUR + 123 * NS_PER_S + 4005006, true},
	    {"39h9m14.425s", 39 * HOUR + 9 * 60 * NS_PER_S + 14425000000, true},
	    {"52763797000ns", 52763797000, true},
	    {"0.3333333333333333333h", 1200 * NS_PER_S, true},
	    {"9007199254740993ns", 9007199254740993, true},
	    {"9223372036854775807ns", INT64_MAX, true},
	    {"9223372036854775.807us", INT64_MAX, true},
	    {"9223372036s854ms775us807ns", INT64_MAX, true},
	    {"-9223372036854775808ns", INT64_MIN, true},
	    {"-9223372036854775.808us", INT64_MIN, true},
	    {"-9223372036s854ms775us808ns", INT64_MIN, true},
	    {"0.100000000000000000000h", 360 * NS_PER_S, true},
	    {"0.830103483285477580700h", 2988372539827, true},
	    {"4320h", 4320 * HOUR, true},
	    {"2562047h", INT64_C(2562047) * HOUR, true},
	    {"86400", 24 * HOUR, false},
	    {"+60", 60 * NS_PER_S, false},
	    {"-86400", -24 * HOUR, false},
	    {"9223372036", INT64_C(9223372036) * NS_PER_S, false},
	    {"7d", 168 * HOUR, false},
	    {"-1d", -24 * HOUR, false},
	    {"106751d", INT64_C(106751) * 24 * HOUR, false},
	    {"00", 0, false},
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int64_t ns = 1;
		bool plain = !good[i].plain;

		if (duration_parse(span_str(good[i].text), &ns, &plain) != ST_OK)
			fail_msg("%s is refused", good[i].text);
		if (ns != good[i].ns || plain != good[i].plain)
			fail_msg("%s: %lld %d", good[i].text, (long long)ns, plain);
		assert_int_equal(duration_parse(span_str(good[i].text), &ns, NULL), ST_OK);
	}
}

static void bad_durations_are_refused(void **state)
{
	static const char *const bad[] = {
	    "",
	    "3000000h",
	    "9223372036854775808ns",
	    "-9223372036854775808ns9223372036854775808ns", /* the sum wraps */
	    "9223372036854775.808us",
	    "9223372036854ms775us808ns",
	    "-9223372036854775809ns",
	    "18446744073709551616ns",
	    "99999999999999999999999h",
	    "9223372036854775807ns1ns",
	    "9223372036854775807h9223372036854775807h",
	    "9223372037",
	    "-9223372038",
	    "106752d",
	    "99999999999999999999d",
	    "soon",
	    "nonsense",
	    ".",
	    "-",
	    "+",
	    "-.",
	    "s",
	    "-s",
	    ".s",
	    "+.s",
	    "1h ",
	    " 1h",
	    "1 h",
	    "1h1",
	    "--1h",
	    "+-1h",
	    "1.5",
	    "1.5d",
	    "1d12h",
	    "d",
	    "1h-1m",
	    "1e3s",
	    "0x10s",
	    "1H",
	    "1\xc2s",
	    "1hh",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t ns = 77;
		bool plain = true;

		if (duration_parse(span_str(bad[i]), &ns, &plain) != ST_INVALID)
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(ns, 77);
		assert_true(plain);
	}
	assert_int_equal(duration_parse(span_of("1h\0", 3), &(int64_t){0}, NULL), ST_INVALID);
}

/* Source of the first column's texts: Go's Duration.String. */
static void durations_are_written(void **state)
{
	static const struct {
		int64_t ns;
		const char *go, *brief;
	} cases[] = {
	    {0, "0s", "0s"},
	    {1, "1ns", "1ns"},
	    {1100, "1.1\xc2\xb5s", "1.1\xc2\xb5s"},
	    {2200000, "2.2ms", "2.2ms"},
	    {999999999, "999.999999ms", "999.999999ms"},
	    {NS_PER_S, "1s", "1s"},
	    {3300000000, "3.3s", "3.3s"},
	    {1500000000, "1.5s", "1.5s"},
	    {60 * NS_PER_S, "1m0s", "1m"},
	    {245 * NS_PER_S, "4m5s", "4m5s"},
	    {245001000000, "4m5.001s", "4m5.001s"},
	    {5 * HOUR + 6 * 60 * NS_PER_S + 7001000000, "5h6m7.001s", "5h6m7.001s"},
	    {480000000001, "8m0.000000001s", "8m0.000000001s"},
	    {HOUR + 5 * NS_PER_S, "1h0m5s", "1h5s"},
	    {HOUR + 500000000, "1h0m0.5s", "1h0.5s"},
	    {36 * HOUR + 1800 * NS_PER_S, "36h30m0s", "36h30m"},
	    {4320 * HOUR, "4320h0m0s", "4320h"},
	    {-5400 * NS_PER_S, "-1h30m0s", "-1h30m"},
	    {INT64_MAX, "2562047h47m16.854775807s", "2562047h47m16.854775807s"},
	    {INT64_MIN, "-2562047h47m16.854775808s", "-2562047h47m16.854775808s"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct builder b = {0};
		int64_t ns;

		duration_go(&b, cases[i].ns);
		text_is(&b, cases[i].go);
		duration_short(&b, cases[i].ns);
		text_is(&b, cases[i].brief);
		assert_int_equal(duration_parse(span_str(cases[i].brief), &ns, NULL), ST_OK);
		assert_int_equal(ns, cases[i].ns);
	}
}

static void times_are_written_and_read_back(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} cases[] = {
	    {0, "1970-01-01T00:00:00Z"},
	    {1, "1970-01-01T00:00:00.000000001Z"},
	    {-1, "1969-12-31T23:59:59.999999999Z"},
	    {INT64_C(1767323045123456789), "2026-01-02T03:04:05.123456789Z"},
	    {INT64_C(1767323045120000000), "2026-01-02T03:04:05.12Z"},
	    {INT64_C(951782400) * NS_PER_S, "2000-02-29T00:00:00Z"},
	    {INT64_C(951868799) * NS_PER_S, "2000-02-29T23:59:59Z"},
	    {INT64_C(951868800) * NS_PER_S, "2000-03-01T00:00:00Z"},
	    {INT64_C(4107542400) * NS_PER_S, "2100-03-01T00:00:00Z"},
	    {INT64_C(4107542399) * NS_PER_S, "2100-02-28T23:59:59Z"},
	    {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
	    {INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct builder b = {0};
		int64_t ns = 5;

		rfc3339(&b, cases[i].ns);
		text_is(&b, cases[i].text);
		assert_int_equal(rfc3339_parse(span_str(cases[i].text), &ns), ST_OK);
		assert_int_equal(ns, cases[i].ns);
	}
}

/* The calendar against its definition: each day follows the one before. */
static void every_day_has_its_successor(void **state)
{
	static const int length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t day = -(100 * 365 + 24); /* 1870-01-01: 100 years before, 24 of them leap years */
	struct builder b = {0};

	for (int year = 1870; year < 2110; year++) {
		int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

		for (int month = 1; month <= 12; month++) {
			int days = length[month - 1] + (month == 2 ? leap : 0);

			for (int d = 1; d <= days; d++, day++) {
				char want[32];
				int64_t ns;

				(void)snprintf(want, sizeof(want), "%04d-%02d-%02dT00:00:00Z", year,
				               month, d);
				rfc3339(&b, day * 86400 * NS_PER_S);
				assert_true(span_eq_str(builder_span(&b), want));
				assert_int_equal(rfc3339_parse(builder_span(&b), &ns), ST_OK);
				assert_int_equal(ns, day * 86400 * NS_PER_S);
				builder_reset(&b);
			}
		}
	}
	builder_free(&b);
}

/* Source: RFC 3339 section 5.8, and its grammar. */
static void other_spellings_of_times(void **state)
{
	static const struct {
		const char *text, *same;
	} cases[] = {
	    {"1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.52Z"},
	    {"1996-12-19T16:39:57-08:00", "1996-12-20T00:39:57Z"},
	    {"1990-12-31T23:59:60Z", "1991-01-01T00:00:00Z"},
	    {"1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00Z"},
	    {"2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.5Z"},
	    {"1937-01-01T12:00:27.87+00:20", "1937-01-01T11:40:27.87Z"},
	    {"2026-01-02t03:04:05z", "2026-01-02T03:04:05Z"},
	    {"2026-01-02T03:04:05-00:00", "2026-01-02T03:04:05Z"},
	    {"2026-01-01T00:00:00+23:59", "2025-12-31T00:01:00Z"},
	    {"2026-01-02T03:04:05.100000000Z", "2026-01-02T03:04:05.1Z"},
	    {"1677-09-21T00:12:43.145224192Z", "1677-09-21T00:12:43.145224192Z"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct builder b = {0};
		int64_t ns;

		if (rfc3339_parse(span_str(cases[i].text), &ns) != ST_OK)
			fail_msg("%s is refused", cases[i].text);
		rfc3339(&b, ns);
		text_is(&b, cases[i].same);
	}
}

static void bad_times_are_refused(void **state)
{
	static const char *const bad[] = {
	    "",
	    "2026",
	    "2026-01-02",
	    "2026-01-02T03:04:05",
	    "2026-01-02 03:04:05Z",
	    "2026-01-02T03:04:05.Z",
	    "2026-01-02T03:04:05.1234567890Z",
	    "2026-01-02T03:04:05,1Z",
	    "2026-01-02T03:04:05Z ",
	    " 2026-01-02T03:04:05Z",
	    "2026-13-02T03:04:05Z",
	    "2026-00-02T03:04:05Z",
	    "2026-01-00T03:04:05Z",
	    "2026-01-32T03:04:05Z",
	    "2026-04-31T03:04:05Z",
	    "2026-02-29T03:04:05Z",
	    "2100-02-29T03:04:05Z",
	    "2026-01-02T24:00:00Z",
	    "2026-01-02T03:60:05Z",
	    "2026-01-02T03:04:61Z",
	    "2026-01-02T03:04:60Z",
	    "2026-01-02T23:59:60Z",
	    "2026-01-31T23:59:60-01:00",
	    "2026-01-02T03:04:05+24:00",
	    "2026-01-02T03:04:05+01:60",
	    "2026-01-02T03:04:05+0100",
	    "2026-01-02T03:04:05+01",
	    "26-01-02T03:04:05Z",
	    "+2026-01-02T03:04:05Z",
	    "2026-1-02T03:04:05Z",
	    "2262-04-11T23:47:16.854775808Z",
	    "1677-09-21T00:12:43.145224191Z",
	    "0000-01-01T00:00:00Z",
	    "9999-12-31T23:59:59Z",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t ns = 77;

		if (rfc3339_parse(span_str(bad[i]), &ns) != ST_INVALID)
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(ns, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(system_clock_moves_forward),
	    cmocka_unit_test(manual_clock_is_set_by_hand),
	    cmocka_unit_test(durations_are_read),
	    cmocka_unit_test(bad_durations_are_refused),
	    cmocka_unit_test(durations_are_written),
	    cmocka_unit_test(times_are_written_and_read_back),
	    cmocka_unit_test(every_day_has_its_successor),
	    cmocka_unit_test(other_spellings_of_times),
	    cmocka_unit_test(bad_times_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
