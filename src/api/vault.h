/* The Vault dialect: /v1/.  Translation only, no decisions. */
#ifndef API_VAULT_H
#define API_VAULT_H

#include "api/api.h"
#include "api/dialect.h"

extern const struct dialect dialect_vault;

#endif
