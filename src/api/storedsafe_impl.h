/* What the files of the StoredSafe dialect share. */
#ifndef API_STOREDSAFE_IMPL_H
#define API_STOREDSAFE_IMPL_H

#include "api/storedsafe.h"
#include "api/storedsafe_route.h"

struct safe_state {
	struct exchange_state of;
	struct gate_call call;       /* call.owner is the exchange */
	struct json doc, data, auth; /* the body; parts of the answer */
	struct path path;            /* as asked for, below the prefix */
	char text[PATH_MAX_LEN + 1];
	struct builder query;
	const struct route *route; /* NULL: none yet */
};

/*
 * safe_parse_form(s, x, err): the body as a form, where the route takes one and Content-Type says so: into s->doc as an object of strings, the file under the name that the route has for
 * it.  ST_NOT_FOUND: it is none.  ST_INVALID with the reason.
 */
MUST_USE enum status safe_parse_form(struct safe_state *s, const struct exchange *x,
                                     struct err *err);
/* safe_http_status(st): what a status is on the wire. */
unsigned safe_http_status(enum status st);
/* safe_put_answer(x, s): the answer to a call that was carried out, good or bad. */
void safe_put_answer(struct exchange *x, struct safe_state *s);
/* safe_put_refusal(x, s, st, text): the answer to what was refused before it came to the gate; s may be NULL. */
void safe_put_refusal(struct exchange *x, const struct safe_state *s, unsigned status,
                      const char *text);

#endif
