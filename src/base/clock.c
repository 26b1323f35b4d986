#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"

/* The two clocks used exist on every Linux that runs us, so a failure is no state to handle. */
static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	MUST(clock_gettime(id, &ts) == 0);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t system_wall(const struct clock *c)
{
	return read_clock(CLOCK_REALTIME);
}

/* Boot time, not monotonic: it goes on while the machine sleeps, and leases must age in that time. */
static int64_t system_mono(const struct clock *c)
{
	return read_clock(CLOCK_BOOTTIME);
}

const struct clock clock_system = {.wall_ns = system_wall, .mono_ns = system_mono};

int64_t clock_wall_ns(const struct clock *c)
{
	return c->wall_ns(c);
}

int64_t clock_mono_ns(const struct clock *c)
{
	return c->mono_ns(c);
}

static int64_t manual_wall(const struct clock *c)
{
	const struct clock_manual *m = (const void *)c;

	return atomic_load(&m->wall);
}

static int64_t manual_mono(const struct clock *c)
{
	const struct clock_manual *m = (const void *)c;

	return atomic_load(&m->mono);
}

void clock_manual_init(struct clock_manual *m, int64_t wall_ns, int64_t mono_ns)
{
	m->clock.wall_ns = manual_wall;
	m->clock.mono_ns = manual_mono;
	atomic_init(&m->wall, wall_ns);
	atomic_init(&m->mono, mono_ns);
}

void clock_manual_advance(struct clock_manual *m, int64_t ns)
{
	MUST(ns >= 0);
	atomic_fetch_add(&m->wall, ns);
	atomic_fetch_add(&m->mono, ns);
}

void clock_manual_set_wall(struct clock_manual *m, int64_t wall_ns)
{
	atomic_store(&m->wall, wall_ns);
}
