/*
 * The HTTP server: listeners, event loops, connections.  One loop a core, each with its own listening socket for every TCP address.
 * What arrives goes to api_handle (api/api.h).
 *
 * Life: server_new (binds) -> set loop->ctx and loop->turn_end of each of server_loops -> server_start -> ... -> server_stop -> end
 * whatever may still finish exchanges -> server_free.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <sys/types.h>

#include "api/api.h"
#include "base/clock.h"
#include "http/tls.h"

enum listener_kind { LISTENER_TCP, LISTENER_UNIX };

struct listener_config {
	enum listener_kind kind;
	const char *
	    address; /* "127.0.0.1:8200", "[::1]:8200", ":8200" (all), port 0 picks one; or the socket's path */
	const struct tls_settings *tls; /* NULL: plain */
	mode_t unix_mode;               /* of the socket file; 0 means 0600 */
};

/* 0 means the default given in brackets. */
struct server_config {
	const struct listener_config *listeners;
	size_t n_listeners;
	unsigned loops; /* [number of cores; at most SERVER_LOOPS_MAX] */
	size_t
	    max_connections; /* [65,536]; bounded by RLIMIT_NOFILE, which is raised to its hard limit */
	size_t max_request_line;  /* [8,192] beyond: 414 */
	size_t max_headers_bytes; /* [32,768] beyond: 431 */
	size_t max_header_count;  /* [100, and not more] beyond: 431 */
	size_t max_body;          /* [32 MiB] beyond: 413 */
	size_t
	    stream_buffer; /* [128 KiB] read of a stream before others have their turn; a piece of its answer is half as much again */
	/* Deadlines; watched once a second, never early.  */
	uint64_t idle_timeout_ms; /* [300 s] between requests; then closed silently */
	uint64_t
	    header_timeout_ms; /* [10 s] for the first byte, for each request's head, and for a TLS handshake; 408 when part of a head was there */
	uint64_t
	    request_timeout_ms; /* [90 s] for a whole request from its first byte: 408; for a stream: between two bytes of it: closed */
	uint64_t
	    write_timeout_ms; /* [60 s] without the client taking a byte of its answer: closed */
	const struct clock *clock; /* [clock_system] */
};
#define SERVER_LOOPS_MAX 128

struct server;

/*
 * server_new(config, api, ret, err): binds and listens on all addresses.  config, and what it points to, must live as long as the server.
 * ST_EXISTS with a clear text when an address is in use, ST_INVALID for a malformed one or bad TLS files, ST_IO, ST_NOMEM,
 * ST_LIMIT when too few files may be open.  SIGPIPE is ignored from here on.
 */
MUST_USE enum status server_new(const struct server_config *config, struct api *api,
                                struct server **ret, struct err *err);

/* server_address(s, i): where listener i really is: "127.0.0.1:43215" or the path.  Constant. */
const char *server_address(const struct server *s, size_t i);

/* server_loops(s, ret_n): the loops, for their ctx and turn_end to be set before server_start. */
struct loop **server_loops(struct server *s, size_t *ret_n);

/* server_start(s, err): starts the threads; they take the calling thread's signal mask, so block what others shall handle. */
MUST_USE enum status server_start(struct server *s, struct err *err);

/* server_reload(s, err): read all certificates and keys again.  A listener whose files are bad keeps what it has; the first such is told.  Any thread. */
MUST_USE enum status server_reload(struct server *s, struct err *err);

/*
 * server_stop(s, grace_ms): stop accepting, close idle connections, let requests that are under way be answered (Connection: close), close
 * what is left after grace_ms.  When it returns (ST_OK: all answered; ST_BUSY: some were cut) no connection is open.  Loops still
 * run posted tasks until server_free, so late finishes are harmless.  Not on a loop's thread.
 */
MUST_USE enum status server_stop(struct server *s, uint64_t grace_ms);

/* server_free(s): ends the threads and frees everything; every exchange must have been finished or its finisher be gone. */
void server_free(struct server **s);

struct server_stats {
	uint64_t connections_now, connections_total, requests, bytes_in, bytes_out;
	uint64_t refused; /* connections closed at once, over max_connections */
};
/* server_stats(s, ret): sums over all loops; each number is from about now.  Any thread. */
void server_stats(const struct server *s, struct server_stats *ret);

#endif
