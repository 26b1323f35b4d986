/*
 * Policies and what follows from them.  Everything here is pure: texts are compiled into immutable objects, and a check reads
 * one of them and nothing else.  Any thread may use an object that another one made.
 */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H

#include "base/json.h"

/* What a rule may grant.  The values are bits, in the alphabetical order in which lists of them are shown. */
enum capability {
	CAP_CREATE = 1 << 0,
	CAP_DELETE = 1 << 1,
	CAP_DENY = 1 << 2,
	CAP_LIST = 1 << 3,
	CAP_PATCH = 1 << 4,
	CAP_READ = 1 << 5,
	CAP_ROOT = 1 << 6, /* only ever the answer for a root ACL; no text can grant it */
	CAP_SCAN = 1 << 7,
	CAP_SUDO = 1 << 8,
	CAP_UPDATE = 1 << 9
};
#define CAPABILITY_COUNT 10

/* capability_name(c): "create"; c is one of them. */
const char *capability_name(enum capability c);
/* capability_names(set, ret): the names of the capabilities in the set, alphabetically; returns how many. */
size_t capability_names(uint32_t set, const char *ret[static CAPABILITY_COUNT]);

struct policy;

/*
 * policy_parse(name, text, ret, err): compile an ACL policy written in HCL or JSON:
 *
 *     name = "n"
 *     path "P" { capabilities = ["read", ...]  policy = "read|write|deny|sudo"  comment = "..."  expiration = "RFC 3339"
 *                allowed_parameters = { "n" = [values] }  denied_parameters = { ... }  required_parameters = ["n"]
 *                min_wrapping_ttl = "1h"  max_wrapping_ttl = "2h"  pagination_limit = 100 }
 *
 * "*" at the end of P makes it a prefix, a segment "+" stands for any one segment; a leading slash is dropped.  Several stanzas for one
 * path count as one (acl_new).  ST_INVALID with a text that names path and reason, ST_LIMIT, ST_NOMEM.  *ret comes with one
 * reference.
 */
MUST_USE enum status policy_parse(struct span name, struct span text, struct policy **ret,
                                  struct err *err);

/* policy_ref: one more reference to p, returned.  policy_unref: give one back; *p becomes NULL.  Any thread. */
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy **p);

/* policy_name: valid while p is. */
struct span policy_name(const struct policy *p);

struct acl;

/*
 * acl_new(policies, n, now_ns, ret): what the policies of one token grant together; keeps references of its own.  Stanzas for the
 * same path are united: capabilities, unless one denies; parameters allowed, denied and required; the smallest limits.
 * Stanzas that expired at now_ns do not count.  A policy named "root" among them makes a root ACL, which allows everything.
 * ST_NOMEM.
 */
MUST_USE enum status acl_new(struct policy *const *policies, size_t n, int64_t now_ns,
                             struct acl **ret);
void acl_free(struct acl **acl);

/* acl_valid_until_ns(acl): wall time at which a stanza of it expires, and another one must be made; INT64_MAX: never. */
int64_t acl_valid_until_ns(const struct acl *acl);

struct acl_verdict {
	bool allowed;
	bool sudo; /* the rule that applies grants sudo too (also when it does not allow) */
	bool root; /* allowed by a root ACL */
	bool
	    bound; /* the rule restricts parameters: what is not in `data` (a query, say) must not reach the handler */
	uint64_t pagination_limit; /* for list and scan; 0: none */
	int64_t
	    min_wrapping_ttl_ns; /* the answer must be wrapped for at least, at most so long; 0: no such rule */
	int64_t max_wrapping_ttl_ns;
};

/*
 * acl_check(acl, path, wanted, data, ret): may the token do this there?  path has no leading slash; wanted is one
 * capability other than deny and root; data is the body object or NULL, looked at for create, update and patch.  No allocation, no
 * lock.  *ret is always set.
 *
 * The rule with this very path applies, else the most specific one with a prefix or "+" (HashiCorp Vault's
 * "Policies: priority matching").  For "a/b/" a rule for "a/b" counts as well when there is none for "a/b/", and when either
 * spelling meets a rule that denies, that one applies; a list or scan of "a/b" is one of "a/b/".
 */
void acl_check(const struct acl *acl, struct span path, enum capability wanted,
               const struct json_value *data, struct acl_verdict *ret);

/* acl_capabilities(acl, path): what may be done there; CAP_DENY alone when nothing, CAP_ROOT alone for a root ACL. */
uint32_t acl_capabilities(const struct acl *acl, struct span path);

#endif
