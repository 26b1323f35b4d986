#include "http/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define SPARE_CONNS_MAX  1024
#define LINGER_MS        2000
#define LINGER_PER_EVENT ((size_t)64 << 10)

struct conn *conn_of_timer(struct wheel_node *n)
{
	return (struct conn *)(void *)n;
}

void conn_expire_in(struct conn *c, uint64_t ms)
{
	wheel_set(&c->worker->wheel, &c->timer, worker_deadline(c->worker, ms));
}

/* --- the socket -------------------------------------------------------------- */

static enum io io_of_errno(void)
{
	return errno == EAGAIN || errno == EINTR ? IO_AGAIN : IO_FAILED;
}

/* TLS may want the other direction than the one that was asked for. */
static enum io io_of_tls(struct conn *c, enum tls_io t)
{
	switch (t) {
	case TLS_OK:
		return IO_OK;
	case TLS_WANT_READ:
		conn_want_read(c);
		return IO_AGAIN;
	case TLS_WANT_WRITE:
		conn_want_write(c);
		return IO_AGAIN;
	case TLS_EOF:
		return IO_EOF;
	case TLS_FAILED:
	default:
		return IO_FAILED;
	}
}

enum io conn_read(struct conn *c, void *buf, size_t n, size_t *ret_n)
{
	MUST(n > 0 && c->state == CONN_OPEN);
	size_t got = 0;
	if (c->tls != NULL) {
		enum io io = io_of_tls(c, tls_read(c->tls, buf, n, &got));
		if (io != IO_OK)
			return io;
	} else {
		ssize_t k = recv(c->fd, buf, n, 0);
		if (k < 0)
			return io_of_errno();
		if (k == 0)
			return IO_EOF;
		got = (size_t)k;
	}
	count(&c->worker->counters.bytes_in, got);
	*ret_n = got;
	return IO_OK;
}

static enum io write_plain(struct conn *c, struct span first, struct span second, size_t *ret_n)
{
	/* the vectors are not const, but the system call only reads through them */
	struct iovec iov[2] = {
	    {.iov_base = (void *)(uintptr_t)first.p, .iov_len = first.n},
	    {.iov_base = (void *)(uintptr_t)second.p, .iov_len = second.n},
	};
	struct msghdr m = {.msg_iov = first.n > 0 ? iov : iov + 1,
	                   .msg_iovlen = first.n > 0 && second.n > 0 ? 2 : 1};
	ssize_t k = sendmsg(c->fd, &m, MSG_NOSIGNAL);
	if (k < 0)
		return io_of_errno();
	*ret_n = (size_t)k;
	return IO_OK;
}

enum io conn_write(struct conn *c, struct span first, struct span second, size_t *ret_n)
{
	MUST(first.n + second.n > 0 && c->state == CONN_OPEN);
	size_t put = 0;
	enum io io = c->tls != NULL
	                 ? io_of_tls(c, tls_write(c->tls, first.n > 0 ? first : second, &put))
	                 : write_plain(c, first, second, &put);
	if (io != IO_OK)
		return io;
	count(&c->worker->counters.bytes_out, put);
	*ret_n = put;
	return IO_OK;
}

bool conn_holds(const struct conn *c)
{
	return c->tls != NULL && c->state == CONN_OPEN && tls_pending(c->tls);
}

/* --- events ---------------------------------------------------------------------- */

void conn_want_read(struct conn *c)
{
	if (!c->reading)
		c->reading = event_add(&c->ev_read, NULL) == 0;
}

void conn_mute(struct conn *c)
{
	if (c->reading)
		event_del(&c->ev_read);
	c->reading = false;
}

void conn_want_write(struct conn *c)
{
	if (!c->writing)
		c->writing = event_add(&c->ev_write, NULL) == 0;
}

void conn_done_writing(struct conn *c)
{
	if (c->writing)
		event_del(&c->ev_write);
	c->writing = false;
}

static void handshake(struct conn *c)
{
	switch (tls_handshake(c->tls)) {
	case TLS_OK:
		if (tls_peer(c->tls, &c->certificate, &c->n_certificate) != ST_OK) {
			conn_close(c);
			break;
		}
		c->state = CONN_OPEN;
		conn_done_writing(c);
		if (conn_holds(c))
			c->proto->readable(c);
		break;
	case TLS_WANT_READ:
		conn_done_writing(c);
		break;
	case TLS_WANT_WRITE:
		conn_want_write(c);
		break;
	case TLS_EOF:
	case TLS_FAILED:
	default:
		conn_close(c);
		break;
	}
}

/* Throws away what the client still sends; it may be the rest of a secret, so none of it stays. */
static void discard(struct conn *c)
{
	uint8_t bin[4096];
	size_t total = 0;
	ssize_t n = 1;

	while (n > 0 && total < LINGER_PER_EVENT) {
		n = recv(c->fd, bin, sizeof bin, 0);
		if (n <= 0)
			break;
		wipe(bin, (size_t)n);
		total += (size_t)n;
	}
	if (n == 0 || (n < 0 && io_of_errno() != IO_AGAIN))
		conn_close(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	(void)fd;
	(void)what;
	switch (c->state) {
	case CONN_HANDSHAKE:
		handshake(c);
		break;
	case CONN_OPEN:
		c->proto->readable(c);
		break;
	case CONN_LINGER:
		discard(c);
		break;
	case CONN_CLOSED:
	default:
		MUST(c->state != CONN_CLOSED);
		break;
	}
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	(void)fd;
	(void)what;
	if (c->state == CONN_HANDSHAKE)
		handshake(c);
	else if (c->state == CONN_OPEN)
		c->proto->writable(c);
	else
		conn_done_writing(c);
}

/* --- life -------------------------------------------------------------------------- */

static void set_remote(struct conn *c, const struct sockaddr_storage *peer)
{
	struct builder b;
	char ip[INET6_ADDRSTRLEN];
	builder_init_fixed(&b, c->remote, sizeof(c->remote));
	if (peer->ss_family == AF_INET) {
		const struct sockaddr_in *a = (const void *)peer;
		MUST(inet_ntop(AF_INET, &a->sin_addr, ip, sizeof(ip)) != NULL);
		builder_str(&b, ip);
		builder_u8(&b, ':');
		builder_dec(&b, ntohs(a->sin_port));
	} else if (peer->ss_family == AF_INET6) {
		const struct sockaddr_in6 *a = (const void *)peer;
		MUST(inet_ntop(AF_INET6, &a->sin6_addr, ip, sizeof(ip)) != NULL);
		builder_u8(&b, '[');
		builder_str(&b, ip);
		builder_str(&b, "]:");
		builder_dec(&b, ntohs(a->sin6_port));
	} else {
		builder_str(&b, "unix");
	}
	MUST(builder_status(&b) == ST_OK);
	c->remote_n = (uint8_t)b.n;
}

static struct conn *take_conn(struct worker *w)
{
	struct conn *c = w->spare_conns;
	if (c == NULL)
		return calloc(1, sizeof(*c));
	w->spare_conns = c->next;
	w->n_spare_conns--;
	memset(c, 0, sizeof(*c));
	return c;
}

static void refused(struct worker *w, int fd)
{
	close(fd);
	atomic_fetch_sub_explicit(&w->shared->connections, 1, memory_order_relaxed);
}

void conn_open(struct acceptor *a, int fd, const struct sockaddr_storage *peer)
{
	struct worker *w = a->worker;
	struct conn *c = take_conn(w);
	if (c == NULL) {
		refused(w, fd);
		return;
	}
	c->worker = w;
	c->proto = &h1_proto;
	c->fd = fd;
	c->state = CONN_OPEN;
	MUST(event_assign(&c->ev_read, w->base, fd, EV_READ | EV_PERSIST, on_readable, c) == 0);
	MUST(event_assign(&c->ev_write, w->base, fd, EV_WRITE | EV_PERSIST, on_writable, c) == 0);
	set_remote(c, peer);
	count(&w->counters.connections_now, 1);
	count(&w->counters.connections_total, 1);
	if (a->tls != NULL) {
		c->state = CONN_HANDSHAKE;
		if (tls_accept(a->tls, fd, &c->tls) != ST_OK) {
			conn_close(c);
			return;
		}
	}
	conn_expire_in(c, w->shared->config->header_timeout_ms);
	conn_want_read(c);
	if (!c->reading)
		conn_close(c);
}

void conn_close(struct conn *c)
{
	struct worker *w = c->worker;
	if (c->state == CONN_CLOSED)
		return;
	c->state = CONN_CLOSED;
	conn_mute(c);
	conn_done_writing(c);
	wheel_del(&c->timer);
	tls_conn_free(&c->tls);
	close(c->fd);
	c->fd = -1;
	count(&w->counters.connections_now, UINT64_MAX); /* minus one */
	atomic_fetch_sub_explicit(&w->shared->connections, 1, memory_order_relaxed);
	if (c->proto->closed(c) == CONN_BURY)
		worker_bury(w, c);
}

void conn_linger(struct conn *c)
{
	MUST(c->state == CONN_OPEN);
	if (c->tls != NULL)
		tls_bye(c->tls);
	if (shutdown(c->fd, SHUT_WR) != 0) {
		conn_close(c);
		return;
	}
	c->state = CONN_LINGER;
	conn_done_writing(c);
	conn_want_read(c);
	conn_expire_in(c, LINGER_MS);
	if (!c->reading)
		conn_close(c);
}

void conn_free(struct conn *c)
{
	struct worker *w = c->worker;
	MUST(c->state == CONN_CLOSED && !c->queued);
	c->proto->release(c);
	free(c->certificate);
	c->certificate = NULL;
	if (w->n_spare_conns >= SPARE_CONNS_MAX) {
		free(c);
		return;
	}
	c->next = w->spare_conns;
	w->spare_conns = c;
	w->n_spare_conns++;
}

void conn_free_spares(struct worker *w)
{
	while (w->spare_conns != NULL) {
		struct conn *c = w->spare_conns;
		w->spare_conns = c->next;
		free(c);
	}
	w->n_spare_conns = 0;
	h1_free_spares(w);
}
