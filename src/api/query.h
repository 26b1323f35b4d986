/* The query of a request: application/x-www-form-urlencoded text into the parameters of the neutral request. */
#ifndef API_QUERY_H
#define API_QUERY_H

#include "base/message.h"

/*
 * query_parse(raw, room, req): the decoded parameters of raw, in room, which is emptied first and must outlive them.  ST_INVALID: malformed; ST_LIMIT: more than QUERY_MAX; ST_NOMEM;
 * req->n_query is then not to be used.
 */
MUST_USE enum status query_parse(struct span raw, struct builder *room, struct request *req);

#endif
