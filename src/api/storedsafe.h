/* The StoredSafe dialect: /api/1.0/.  Translation only, no decisions. */
#ifndef API_STOREDSAFE_H
#define API_STOREDSAFE_H

#include "api/api.h"
#include "api/dialect.h"

extern const struct dialect dialect_storedsafe;

#endif
