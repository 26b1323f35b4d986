/*
 * Metrics: sources give their figures when asked; one place prints them as JSON or as Prometheus text
 * (prometheus.io/docs/instrumenting/exposition_formats, text format 0.0.4).
 */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include "base/bytes.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

struct metrics;
struct metrics_out; /* where a source puts its figures */

MUST_USE enum status metrics_new(struct metrics **ret);
void metrics_free(struct metrics **m);

/* metrics_add(m, source, ctx): before threads.  source(ctx, out) is called on any thread, several at once, and reads atomics only.  At most 16 (MUST). */
void metrics_add(struct metrics *m, void (*source)(void *ctx, struct metrics_out *out), void *ctx);

/* metric_put(out, kind, name, help, value): name like "keyturn_barrier_encryptions_total"; constant strings. */
void metric_put(struct metrics_out *out, enum metric_kind kind, const char *name, const char *help,
                uint64_t value);

/* metrics_json(m, wall_ns, b): {"Timestamp": "...", "Counters": [{"Name","Count","Labels"}], "Gauges": [{"Name","Value","Labels"}], "Points": [], "Samples": []}, as
 * Vault's sys/metrics has them.  metrics_prometheus(m, b). */
void metrics_json(const struct metrics *m, int64_t wall_ns, struct builder *b);
void metrics_prometheus(const struct metrics *m, struct builder *b);

#endif
