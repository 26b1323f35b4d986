/* How config turns HCL values into members of its structs: one setter a type, and what the setters share. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "base/hcl.h"
#include "config.h"

/* The reading of one file. */
struct config_reader {
	struct config *c;
	const char *file;
	enum config_mode mode;
	struct err *err;
	bool told;                        /* err holds a complaint with its place already */
	unsigned storages;                /* storage blocks of this file */
	bool any_storage;                 /* of any file */
	char ttl_place[ERR_TEXT_MAX / 2]; /* where a lease time was set last, "FILE:LINE:COLUMN" */
};

struct config_field;

/* A setter reads v into `to` (the member itself), or complains with the value's place. */
typedef enum status config_set(struct config_reader *r, const struct config_field *f,
                               const struct hcl_value *v, void *to);

/* One name of a block. */
struct config_field {
	const char *name;
	config_set *set;
	size_t at;        /* offset of the member */
	int64_t min, max; /* numbers, sizes and durations: bounds, both allowed; max 0: none */
	const char *note; /* of a name that is accepted and ignored: why */
	const struct config_field
	    *more; /* of the nameless last one: the table that goes on from here */
};

/* config_bad(r, line, column, fmt, ...): complain about this place; always ST_INVALID.  config_warn adds a warning. */
enum status config_bad(struct config_reader *r, unsigned line, unsigned column, const char *fmt,
                       ...) PRINTF_LIKE(4, 5);
MUST_USE enum status config_warn(struct config_reader *r, unsigned line, unsigned column,
                                 const char *fmt, ...) PRINTF_LIKE(4, 5);

/*
 * Members: string char *; bool bool; uint unsigned; size uint64_t (bytes: 4096, "64GiB"); duration and ttl int64_t ns (ttl notes its place); octal unsigned; url
 * char *; tcp the whole struct config_listener (address, host, port); ignored none.
 */
config_set config_set_string, config_set_bool, config_set_uint, config_set_size,
    config_set_duration, config_set_ttl, config_set_octal, config_set_url, config_set_tcp,
    config_set_level, config_set_format, config_set_tls, config_set_client_cert, config_set_gcm,
    config_set_ignored;

/* A block inside a body. */
struct config_block {
	const char *name; /* NULL ends a table */
	size_t n_labels;
	hcl_visit *visit;
};
extern const struct config_block config_no_blocks[];

/*
 * config_read_fields(r, body, fields, blocks, to): the plain names of one body into the struct at `to`; names in `blocks` are left to
 * config_read_blocks(r, body, blocks, arg), which hands each such block to its visitor.
 */
MUST_USE enum status config_read_fields(struct config_reader *r, const struct hcl_value *body,
                                        const struct config_field *fields,
                                        const struct config_block *blocks, void *to);
MUST_USE enum status config_read_blocks(struct config_reader *r, const struct hcl_value *body,
                                        const struct config_block *blocks, void *arg);

/*
 * Listeners, in config_listener.c.  config_visit_listener takes a config_reader.  config_listener_default(r, name): the one that stands for none;
 * `name` is the file to complain about.
 */
hcl_visit config_visit_listener;
MUST_USE enum status config_listener_default(struct config_reader *r, const char *name);
void config_listener_free(struct config_listener *l);

/* config_split_address("HOST:PORT", ret_host, ret_port): ST_INVALID; ST_NOMEM. */
MUST_USE enum status config_split_address(struct span text, char **ret_host, uint16_t *ret_port);
/* config_place(r, line, column, ret): "FILE:LINE:COLUMN". */
MUST_USE enum status config_place(const struct config_reader *r, unsigned line, unsigned column,
                                  char **ret);

#endif
