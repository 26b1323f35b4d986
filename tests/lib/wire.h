/* One exchange after another with the dialects over a house, as http would lead them; for tests of the dialects. */
#ifndef LIB_WIRE_H
#define LIB_WIRE_H

#include "api/api.h"
#include "lib/house.h"

struct wire {
	struct exchange x;
	struct header headers[8];
	uint8_t body[262144];
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned finished;
	char text[262144]; /* of the last answer; ends in NUL */
	struct house *house;
	struct api *api;
};
extern struct wire wire;

/* wire_open(h): over this house, opened now.  wire_close: the connection and the house end. */
void wire_open(struct house *h);
void wire_close(void);

/* wire_begin: no headers yet.  wire_header(name, value): one more; both must live until the answer came. */
void wire_begin(void);
void wire_header(const char *name, const char *value);
/* wire_exchange(method, target, body): target: the path with its query, as on the wire.  The status of the answer. */
unsigned wire_exchange(enum http_method method, const char *target, struct span body);

#endif
