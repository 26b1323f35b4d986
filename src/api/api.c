#include "api/api.h"

#include <stdlib.h>

#include "api/dialect.h"
#include "api/storedsafe.h"
#include "api/vault.h"

static const struct dialect *const dialects[] = {&dialect_vault, &dialect_storedsafe};

enum status api_new(struct gate *gate, struct api **ret)
{
	struct api *api = calloc(1, sizeof *api);

	if (api == NULL)
		return ST_NOMEM;
	api->gate = gate;
	*ret = api;
	return ST_OK;
}

void api_free(struct api **api)
{
	free(*api);
	*api = NULL;
}

struct span exchange_header(const struct exchange *x, const char *name)
{
	for (size_t i = 0; i < x->n_headers; i++)
		if (span_eq_str(x->headers[i].name, name))
			return x->headers[i].value;
	return span_of(NULL, 0);
}

void exchange_reset(struct exchange *x)
{
	builder_reset(&x->body_first);
	builder_reset(&x->body_out);
	x->content_type = NULL;
	x->n_extra = 0;
}

static const struct dialect *dialect_of(const struct exchange *x)
{
	for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
		if (span_starts(x->target, span_str(dialects[i]->prefix)))
			return dialects[i];
	return NULL;
}

static const struct dialect *state_of(const struct exchange *x)
{
	return ((const struct exchange_state *)x->state)->dialect;
}

/* One connection may speak several dialects in turn; each finds only a state of its own. */
static void take_over(struct exchange *x, const struct dialect *d)
{
	if (x->state != NULL && state_of(x) != d)
		state_of(x)->forget(x);
}

void api_handle(struct api *api, struct exchange *x)
{
	const struct dialect *d = dialect_of(x);

	if (d != NULL) {
		take_over(x, d);
		d->handle(api, x);
		return;
	}
	dialects[0]->error(x, 404, "");
	x->finish(x);
}

enum exchange_kind api_streams(struct api *api, struct exchange *x)
{
	const struct dialect *d = dialect_of(x);

	if (d == NULL || d->streams == NULL)
		return EXCHANGE_WHOLE;
	take_over(x, d);
	return d->streams(api, x);
}

enum stream_step api_stream(struct api *api, struct exchange *x, struct stream_visit *v)
{
	return dialect_of(x)->stream(api, x, v);
}

void api_abort(struct api *api, struct exchange *x)
{
	dialect_of(x)->abort(api, x);
}

void api_forget(struct api *api, struct exchange *x)
{
	(void)api;
	if (x->state != NULL)
		state_of(x)->forget(x);
}

void api_reject(struct exchange *x, unsigned status, const char *text)
{
	const struct dialect *d = dialect_of(x);

	(d != NULL ? d : dialects[0])->error(x, status, text);
}
