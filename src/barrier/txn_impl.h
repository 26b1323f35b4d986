/* The members of a transaction, for txn, reader, writer and rotate alone. */
#ifndef BARRIER_TXN_IMPL_H
#define BARRIER_TXN_IMPL_H

#include "barrier/overlay.h"
#include "barrier/rotate.h"
#include "barrier/spares.h"
#include "barrier/term_keys.h"
#include "barrier/txn.h"
#include "base/clock.h"

#define TXN_MAGIC      0x74786e21u
#define TXN_RAW_MAX    16
#define TXN_EVENTS_MAX 16
/* Notes of a group; half of them ends it, so that a job has room for the other half. */
#define TXN_NOTES_MAX 4096

/* A record that carries no term (term records), put as it is at commit. */
struct raw_record {
	char path[32];
	struct builder value;
};

/* What only the writer's transaction has. */
struct txn_write {
	struct overlay overlay;
	struct raw_record raw[TXN_RAW_MAX];
	size_t n_raw;
	struct rotation_event events[TXN_EVENTS_MAX];
	size_t n_events;
	struct builder notes; /* each as a length and its text */
	size_t n_notes;
	struct spares *spares;
	const struct random *random;
	int64_t now_ns; /* of this group: never goes back */
};

struct txn {
	unsigned magic;
	struct storage_txn *storage;
	const struct keyring *keyring; /* reader: the snapshot's; writer: a reference of its own */
	const struct world *world;     /* likewise */
	struct term_keys *keys;
	struct arena *arena;
	struct txn_write *write; /* NULL: a reader's */
	bool durable;            /* reader: the snapshot's commit was published when it was taken */
	struct span next_key;    /* txn_next's answer, in arena memory */
	uint8_t key_buf[STORAGE_KEY_MAX + 1];
};

#endif
