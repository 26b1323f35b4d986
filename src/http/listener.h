/* Listening sockets: from an address text to file descriptors.  Private to http. */
#ifndef HTTP_LISTENER_H
#define HTTP_LISTENER_H

#include <sys/socket.h>

#include "http/server.h"

#define LISTENER_ADDRESS_ROOM 120 /* a path of 107 characters, or an address and port */

/* One configured listener: a socket for each loop (TCP), or one for all (unix). */
struct listener {
	const struct listener_config *config;
	int family;
	int *fds; /* n_fds of them; -1: none */
	size_t n_fds;
	struct tls *tls;
	char address[LISTENER_ADDRESS_ROOM];
	bool bound_path; /* the socket file is ours to remove */
};

/* listener_open(l, config, n, err): bind and listen, n sockets for TCP.  ST_EXISTS: the address is in use.  l is zeroed on failure. */
MUST_USE enum status listener_open(struct listener *l, const struct listener_config *config,
                                   size_t n, struct err *err);
/* listener_close(l): closes the sockets, removes the socket file.  listener_free: that, and the memory. */
void listener_close(struct listener *l);
void listener_free(struct listener *l);
/* listener_fd(l, loop): the socket that loop number `loop` accepts on. */
int listener_fd(const struct listener *l, size_t loop);

#endif
