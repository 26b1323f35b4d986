/* What a dialect is: a path prefix, and the two directions of translation. */
#ifndef API_DIALECT_H
#define API_DIALECT_H

#include "api/api.h"
#include "core/gate.h"

struct api {
	struct gate *gate;
};

struct dialect {
	const char *prefix; /* "/v1/" */
	/* handle(api, x): build the neutral request and submit it; or fill in the answer and call x->finish. */
	void (*handle)(struct api *api, struct exchange *x);
	/* error(x, status, text): fill in an answer that says so. */
	void (*error)(struct exchange *x, unsigned status, const char *text);
	/* forget(x): free x->state, which handle made. */
	void (*forget)(struct exchange *x);
	/* As api_streams, api_stream and api_abort; all NULL: nothing is a stream. */
	enum exchange_kind (*streams)(struct api *api, struct exchange *x);
	enum stream_step (*stream)(struct api *api, struct exchange *x, struct stream_visit *v);
	void (*abort)(struct api *api, struct exchange *x);
};

/* x->state begins with it, whichever dialect made it. */
struct exchange_state {
	const struct dialect *dialect;
};

/* exchange_reset(x): nothing of an answer is left. */
void exchange_reset(struct exchange *x);

#endif
