/*
 * One accepted connection: socket, TLS, events, deadline.  What is spoken on it is a struct proto's (h1.c; HTTP/2 beside it later).
 * Private to http; on the worker's thread.
 *
 * HANDSHAKE -> OPEN -> (LINGER) -> CLOSED -> buried.  A plain connection begins OPEN.  LINGER: everything was sent, the sending side is
 * shut, what still arrives is thrown away, so that the client gets to see the answer instead of a reset.
 */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "http/worker.h"

enum conn_state { CONN_HANDSHAKE, CONN_OPEN, CONN_LINGER, CONN_CLOSED };
enum conn_after { CONN_BURY, CONN_UNFINISHED };

/* What speaks on the connection.  None is called in CONN_HANDSHAKE and CONN_LINGER; each may close the connection. */
struct proto {
	void (*readable)(struct conn *c);
	void (*writable)(struct conn *c); /* after conn_want_write */
	void (*again)(struct conn *c);    /* after worker_again; also on CLOSED connections */
	void (*expired)(struct conn *c);  /* the deadline came */
	void (*stopping)(struct conn *c); /* a graceful stop began */
	/* closed: the socket is gone.  CONN_UNFINISHED: the upper floor still works on it; worker_bury is called later. */
	enum conn_after (*closed)(struct conn *c);
	void (*release)(struct conn *c); /* give back all memory; the last call */
};
extern const struct proto h1_proto;
/* h1_free_spares(w): the memory that h1.c keeps for the next connections; when the worker ends. */
void h1_free_spares(struct worker *w);

#define REMOTE_ROOM 56 /* "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535" */

struct conn {
	struct wheel_node timer; /* first: conn_of_timer */
	struct worker *worker;
	const struct proto *proto;
	struct h1 *h1;        /* h1.c's memory; NULL while idle for long */
	struct tls_conn *tls; /* NULL: plain */
	/* What the client showed in the handshake, DER; NULL: nothing.  Kept until the connection is buried, as the upper floor looks at it. */
	uint8_t *certificate;
	size_t n_certificate;
	struct event ev_read, ev_write;
	struct conn *next; /* in `spare` or `dead` */
	struct conn *next_again;
	int fd;
	enum conn_state state;
	bool reading, writing; /* the events are added */
	bool queued;           /* in worker->again */
	bool served;           /* a request was seen */
	uint8_t remote_n;
	char remote[REMOTE_ROOM];
};

enum io { IO_OK, IO_AGAIN, IO_EOF, IO_FAILED };

/* conn_open(a, fd, peer): takes over fd, whatever comes. */
void conn_open(struct acceptor *a, int fd, const struct sockaddr_storage *peer);
/* conn_close(c): now; fine when closed already.  conn_linger(c): after all was sent. */
void conn_close(struct conn *c);
void conn_linger(struct conn *c);
/* The worker's: conn_free at the end of a turn; conn_free_spares when the worker ends. */
void conn_free(struct conn *c);
void conn_free_spares(struct worker *w);

/* conn_read: up to n > 0 bytes.  conn_writev: as many of the two spans as the socket takes; ret_n may be less than all. */
enum io conn_read(struct conn *c, void *buf, size_t n, size_t *ret_n);
enum io conn_write(struct conn *c, struct span first, struct span second, size_t *ret_n);
/* conn_holds(c): bytes have been read from the socket that no event will tell of (TLS). */
bool conn_holds(const struct conn *c);

/* Listening to the socket or not; costs a system call only when it changes. */
void conn_want_read(struct conn *c);
void conn_mute(struct conn *c);
void conn_want_write(struct conn *c);
void conn_done_writing(struct conn *c);
/* conn_expire_in(c, ms): set the deadline. */
void conn_expire_in(struct conn *c, uint64_t ms);
struct conn *conn_of_timer(struct wheel_node *n);

#endif
