/*
 * One audit line as text.  Private to audit.  The shape is that of the file audit device of HashiCorp Vault (developer.hashicorp.com/vault/docs/audit).
 */
#ifndef CORE_AUDIT_LINE_H
#define CORE_AUDIT_LINE_H

#include "core/audit.h"
#include "crypto/kdf.h"

/* How strings are shown. */
struct audit_style {
	const struct hmac_key
	    *salt; /* NULL: sealed; strings of tokens, bodies and answers are left out */
	bool log_raw;
	bool hmac_accessor;
};

/* An answer, with what could be parsed of it. */
struct audit_answer {
	const struct answer *answer;
	const struct json_value *data, *auth; /* NULL: there is none, or it is no JSON */
};

/* audit_line_hash(salt, text, b): "hmac-sha256:" and 64 hex digits. */
void audit_line_hash(const struct hmac_key *salt, struct span text, struct builder *b);

/* One JSON object each, without a line's end. */
void audit_line_request(struct builder *b, const struct audit_style *style, int64_t now_ns,
                        const struct audit_subject *s, const char *why);
void audit_line_response(struct builder *b, const struct audit_style *style, int64_t now_ns,
                         const struct audit_subject *s, const struct audit_answer *answer);
void audit_line_rotation(struct builder *b, int64_t now_ns, const struct rotation_event *e);
void audit_line_event(struct builder *b, int64_t now_ns, struct span text);

#endif
