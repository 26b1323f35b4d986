/* Time behind a struct that tests can set; Go durations and RFC 3339 both ways. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/bytes.h"

#define NS_PER_S INT64_C(1000000000)

/*
 * Nobody asks the system for time but through one of these.  wall_ns: Unix time in nanoseconds, may jump.
 * mono_ns: never goes back, stands still never.  Any thread.
 */
struct clock {
	int64_t (*wall_ns)(const struct clock *);
	int64_t (*mono_ns)(const struct clock *);
};
extern const struct clock clock_system; /* CLOCK_REALTIME, CLOCK_BOOTTIME */

int64_t clock_wall_ns(const struct clock *c);
int64_t clock_mono_ns(const struct clock *c);

/* A clock for tests: set and advanced by hand; any thread may read while one sets. */
struct clock_manual {
	struct clock clock; /* first member: pass &m.clock */
	_Atomic int64_t wall;
	_Atomic int64_t mono;
};
void clock_manual_init(struct clock_manual *m, int64_t wall_ns, int64_t mono_ns);
void clock_manual_advance(struct clock_manual *m, int64_t ns); /* both */
void clock_manual_set_wall(struct clock_manual *m, int64_t wall_ns);

/*
 * duration_parse(s, ret_ns): a duration as Go's time.ParseDuration takes it ("4320h", "1h30m", "-1.5h", "100ms", "0") plus
 * what Vault's clients send: a bare integer means seconds, and whole days "7d".  ST_INVALID when malformed or out of int64
 * nanoseconds.  *ret_plain (may be NULL): true when s is a Go duration as it stands, so that it may be shown as written.
 * Source: go.dev/pkg/time ParseDuration.
 */
MUST_USE enum status duration_parse(struct span s, int64_t *ret_ns, bool *ret_plain);
/* duration_go(b, ns): as Go's Duration.String prints it ("4320h0m0s", "1.5s", "0s").  duration_short: with zero
 * units left out ("4320h", "36h30m", "0s"). */
void duration_go(struct builder *b, int64_t ns);
void duration_short(struct builder *b, int64_t ns);

/* rfc3339(b, wall_ns): UTC, nanoseconds without trailing zeros, "2026-01-02T03:04:05.123456789Z".  rfc3339_parse: RFC 3339 section 5.6
 * with any offset, up to nine fraction digits; ST_INVALID. */
void rfc3339(struct builder *b, int64_t wall_ns);
MUST_USE enum status rfc3339_parse(struct span s, int64_t *ret_wall_ns);

struct json_writer;
/* rfc3339_put(w, name, wall_ns): the time as a member of a JSON object; null when it is 0. */
void rfc3339_put(struct json_writer *w, const char *name, int64_t wall_ns);

#endif
