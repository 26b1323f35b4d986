#include "http/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096

/* 0 to 65535 in decimal; getaddrinfo would take larger ones modulo 65536. */
static bool port_ok(struct span p)
{
	unsigned long n = 0;
	for (size_t i = 0; i < p.n; i++) {
		if (p.p[i] < '0' || p.p[i] > '9' || p.n > 5)
			return false;
		n = n * 10 + (p.p[i] - '0');
	}
	return p.n > 0 && n <= 65535;
}

/* "host:port" to an address; an empty host means all of this machine's. */
static enum status resolve(const char *address, struct sockaddr_storage *ret, socklen_t *ret_n,
                           struct err *err)
{
	char host[256], port[8];
	struct span s = span_str(address);
	size_t colon = s.n;
	while (colon > 0 && s.p[colon - 1] != ':')
		colon--;
	if (colon == 0)
		return err_set(err, ST_INVALID, "the address \"%s\" has no port", address);
	struct span h = span_of(s.p, colon - 1), p = span_from(s, colon);
	if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
		h = span_of(h.p + 1, h.n - 2);
	if (!port_ok(p) || span_cstr(h, host, sizeof(host)) != ST_OK ||
	    span_cstr(p, port, sizeof(port)) != ST_OK)
		return err_set(err, ST_INVALID, "the address \"%s\" is malformed", address);
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
	                         .ai_socktype = SOCK_STREAM,
	                         .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
	                *list;
	int e = getaddrinfo(h.n > 0 ? host : NULL, port, &hints, &list);
	if (e != 0)
		return err_set(err, ST_INVALID, "the address \"%s\": %s", address, gai_strerror(e));
	MUST(list->ai_addrlen <= sizeof(*ret));
	memcpy(ret, list->ai_addr, list->ai_addrlen);
	*ret_n = list->ai_addrlen;
	freeaddrinfo(list);
	return ST_OK;
}

static enum status io_error(struct err *err, const char *what, const char *address)
{
	if (errno == EADDRINUSE)
		return err_set(err, ST_EXISTS, "the address %s is in use by another process",
		               address);
	return err_set(err, ST_IO, "cannot %s %s: %s", what, address, strerror(errno));
}

static bool set_option(int fd, int level, int name)
{
	int on = 1;
	return setsockopt(fd, level, name, &on, sizeof(on)) == 0;
}

enum sharing { ALONE, SHARED };

/* A bound TCP socket, or -1 with errno.  SHARED: our other loops may bind the same. */
static int bind_tcp(const struct sockaddr_storage *a, socklen_t n, enum sharing sharing)
{
	int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* accepted sockets inherit TCP_NODELAY; Linux listens on both families unless told otherwise */
	if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR) || !set_option(fd, IPPROTO_TCP, TCP_NODELAY))
		goto err0;
	if (sharing == SHARED && !set_option(fd, SOL_SOCKET, SO_REUSEPORT))
		goto err0;
	if (bind(fd, (const struct sockaddr *)a, n) != 0)
		goto err0;
	return fd;

err0:;
	int e = errno;
	close(fd);
	errno = e;
	return -1;
}

/*
 * SO_REUSEPORT would let us share the port with another process of the same user, unnoticed.  So the address is first bound
 * alone, which fails when anybody listens there.
 */
static enum status probe(const struct sockaddr_storage *a, socklen_t n, const char *address,
                         struct err *err)
{
	int fd = bind_tcp(a, n, ALONE);
	if (fd < 0)
		return io_error(err, "listen on", address);
	bool ok = listen(fd, 1) == 0;
	enum status s = ok ? ST_OK : io_error(err, "listen on", address);
	close(fd);
	return s;
}

static enum status show_address(struct listener *l, const struct sockaddr_storage *a,
                                struct err *err)
{
	char ip[INET6_ADDRSTRLEN];
	struct builder b;
	builder_init_fixed(&b, l->address, sizeof(l->address));
	if (a->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)a;
		MUST(inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip)) != NULL);
		builder_fmt(&b, "%s:%u", ip, (unsigned)ntohs(in->sin_port));
	} else {
		const struct sockaddr_in6 *in = (const void *)a;
		MUST(inet_ntop(AF_INET6, &in->sin6_addr, ip, sizeof(ip)) != NULL);
		builder_fmt(&b, "[%s]:%u", ip, (unsigned)ntohs(in->sin6_port));
	}
	builder_u8(&b, 0);
	return builder_status(&b) == ST_OK ? ST_OK
	                                   : err_set(err, ST_LIMIT, "the address is too long");
}

static enum status open_tcp(struct listener *l, struct err *err)
{
	struct sockaddr_storage a;
	socklen_t n;
	const char *address = l->config->address;
	enum status s = resolve(address, &a, &n, err);
	if (s != ST_OK)
		return s;
	if (a.ss_family != AF_INET && a.ss_family != AF_INET6)
		return err_set(err, ST_INVALID, "the address \"%s\" is of an unknown kind",
		               address);
	l->family = a.ss_family;
	s = probe(&a, n, address, err);
	if (s != ST_OK)
		return s;
	for (size_t i = 0; i < l->n_fds; i++) {
		l->fds[i] = bind_tcp(&a, n, SHARED);
		if (l->fds[i] < 0)
			return io_error(err, "listen on", address);
		/* port 0: the first socket got one, the others take the same */
		if (getsockname(l->fds[i], (struct sockaddr *)&a, &n) != 0)
			return io_error(err, "look at", address);
	}
	for (size_t i = 0; i < l->n_fds; i++)
		if (listen(l->fds[i], BACKLOG) != 0)
			return io_error(err, "listen on", address);
	return show_address(l, &a, err);
}

/* A socket file that nobody listens on any more (after a crash) is removed; one in use, or another kind of file, stays. */
static enum status clear_path(const struct sockaddr_un *a, const char *path, struct err *err)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? ST_OK : io_error(err, "look at", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, ST_EXISTS, "%s exists and is no socket", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return io_error(err, "open a socket for", path);
	bool dead =
	    connect(fd, (const struct sockaddr *)a, sizeof(*a)) != 0 && errno == ECONNREFUSED;
	close(fd);
	if (!dead)
		return err_set(err, ST_EXISTS, "the address %s is in use by another process", path);
	return unlink(path) == 0 || errno == ENOENT ? ST_OK : io_error(err, "remove", path);
}

static enum status open_unix(struct listener *l, struct err *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *path = l->config->address;
	if (span_cstr(span_str(path), a.sun_path, sizeof(a.sun_path)) != ST_OK || path[0] == 0)
		return err_set(err, ST_INVALID, "the socket path \"%s\" is empty or too long",
		               path);
	MUST(span_cstr(span_str(path), l->address, sizeof(l->address)) == ST_OK);
	enum status s = clear_path(&a, path, err);
	if (s != ST_OK)
		return s;
	l->family = AF_UNIX;
	l->fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fds[0] < 0)
		return io_error(err, "open a socket for", path);
	if (bind(l->fds[0], (const struct sockaddr *)&a, sizeof(a)) != 0)
		return io_error(err, "listen on", path);
	l->bound_path = true;
	/* nobody can connect before listen, so the mode is right from the first moment on */
	if (chmod(path, l->config->unix_mode != 0 ? l->config->unix_mode : 0600) != 0 ||
	    listen(l->fds[0], BACKLOG) != 0)
		return io_error(err, "listen on", path);
	return ST_OK;
}

enum status listener_open(struct listener *l, const struct listener_config *config, size_t n,
                          struct err *err)
{
	enum status s;
	memset(l, 0, sizeof(*l));
	l->config = config;
	l->n_fds = config->kind == LISTENER_TCP ? n : 1;
	l->fds = malloc(l->n_fds * sizeof(*l->fds));
	if (l->fds == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < l->n_fds; i++)
		l->fds[i] = -1;
	if (config->tls != NULL) {
		s = tls_new(config->tls, &l->tls, err);
		if (s != ST_OK)
			goto err0;
	}
	s = config->kind == LISTENER_TCP ? open_tcp(l, err) : open_unix(l, err);
	if (s != ST_OK)
		goto err0;
	return ST_OK;

err0:
	listener_free(l);
	return s;
}

void listener_close(struct listener *l)
{
	for (size_t i = 0; i < l->n_fds; i++) {
		if (l->fds[i] >= 0)
			close(l->fds[i]);
		l->fds[i] = -1;
	}
	if (l->bound_path)
		unlink(l->config->address);
	l->bound_path = false;
}

void listener_free(struct listener *l)
{
	listener_close(l);
	free(l->fds);
	tls_free(&l->tls);
	memset(l, 0, sizeof(*l));
}

int listener_fd(const struct listener *l, size_t loop)
{
	return l->fds[l->config->kind == LISTENER_TCP ? loop : 0];
}
