/* The table, and what its files share. */
#include "engine/storedsafe.h"

#include <stdio.h>

#include "base/utf8.h"
#include "engine/storedsafe_impl.h"

void storedsafe_put_number(struct json_writer *w, const char *name, uint64_t n)
{
	char text[24];
	struct builder b;

	builder_init_fixed(&b, text, sizeof text);
	builder_dec(&b, n);
	json_put_string(w, name, builder_span(&b));
}

enum status storedsafe_characters(struct span text, size_t *ret)
{
	size_t characters = 0;

	for (; text.n > 0; characters++) {
		size_t n = utf8_length(text);

		if (n == 0 || text.p[0] < 0x20 || text.p[0] == 0x7f)
			return ST_INVALID;
		text = span_from(text, n);
	}
	*ret = characters;
	return ST_OK;
}

struct span vault_path(struct vault_path *p, const char *id, const char *rest)
{
	int n = snprintf(p->text, sizeof p->text, "vault/%s/%s", id, rest);

	MUST(n > 0 && (size_t)n < sizeof p->text);
	return span_of(p->text, (size_t)n);
}

static enum status level_of(const struct op *op, uint32_t user, enum member_level *ret,
                            struct err *err)
{
	return member_level(op, op->arg[0], user, ret, err);
}

/* ---- the table ---- */

/* What sessions need; the level is that in the vault of the path. */
#define ANY_USER                                     \
	{                                            \
		NEED_USER, 0, LEVEL_NONE, LEVEL_NONE \
	}
#define USER_WITH(bits)                                 \
	{                                               \
		NEED_USER, bits, LEVEL_NONE, LEVEL_NONE \
	}
#define MEMBER(level)                           \
	{                                       \
		NEED_USER, 0, level, LEVEL_NONE \
	}
#define MEMBER_WITH(bits, level)                   \
	{                                          \
		NEED_USER, bits, level, LEVEL_NONE \
	}

static const struct operation operations[] = {
    {"vault-list", VERB_LIST, "vaults", OP_READ, 0, storedsafe_vault_list, NULL, .need = ANY_USER},
    {"vault-create", VERB_WRITE, "vaults", OP_WRITE, 0, storedsafe_vault_create, NULL,
     .need = USER_WITH(USER_WRITE)},
    {"vault-read", VERB_READ, "vaults/:vault", OP_READ, 0, storedsafe_vault_read, NULL,
     .need = MEMBER(LEVEL_READ)},
    {"vault-edit", VERB_WRITE, "vaults/:vault", OP_WRITE, 0, storedsafe_vault_edit, NULL,
     .need = MEMBER(LEVEL_ADMIN)},
    {"vault-delete", VERB_DELETE, "vaults/:vault", OP_WRITE, 0, storedsafe_vault_delete, NULL,
     .need = MEMBER_WITH(USER_WRITE, LEVEL_ADMIN)},
    {"member-list", VERB_LIST, "vaults/:vault/members", OP_READ, 0, storedsafe_member_list, NULL,
     .need = MEMBER(LEVEL_READ)},
    {"member-add", VERB_WRITE, "vaults/:vault/members/:user", OP_WRITE, 0, storedsafe_member_add,
     NULL, .need = MEMBER(LEVEL_ADMIN)},
    {"member-edit", VERB_PATCH, "vaults/:vault/members/:user", OP_WRITE, 0, storedsafe_member_edit,
     NULL, .need = MEMBER(LEVEL_ADMIN)},
    {"member-remove", VERB_DELETE, "vaults/:vault/members/:user", OP_WRITE, 0,
     storedsafe_member_remove, NULL, .need = MEMBER(LEVEL_ADMIN)},
    {"statusvalues", VERB_READ, "utils/statusvalues", OP_READ, 0, storedsafe_statusvalues, NULL,
     .need = ANY_USER},
    {"policies", VERB_READ, "utils/policies", OP_READ, 0, storedsafe_policies, NULL,
     .need = ANY_USER},
    {"checkpolicy", VERB_WRITE, "utils/checkpolicy", OP_READ, 0, storedsafe_checkpolicy, NULL,
     .need = ANY_USER},
    {"version", VERB_READ, "utils/version", OP_READ, 0, storedsafe_version, NULL, .need = ANY_USER},
    {"pwgen", VERB_READ, "utils/pwgen", OP_READ, 0, storedsafe_pwgen, NULL, .need = ANY_USER},
};

const struct engine engine_storedsafe = {"storedsafe", operations,
                                         sizeof operations / sizeof *operations, NULL, level_of};
