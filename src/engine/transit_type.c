#include "engine/transit_type.h"

#include "crypto/ofb.h"

#define OFFER_BOTH (OFFER_VAULT | OFFER_STOREDSAFE)

static const struct key_type_info types[KEY_TYPES] = {
    [KEY_AES128_GCM] = {.name = "aes128-gcm96",
                        .family = FAMILY_AEAD,
                        .offered = OFFER_BOTH,
                        .aead = AEAD_AES128_GCM,
                        .key_len = 16,
                        .reference_number = 8,
                        .encrypts = true,
                        .derives = true},
    [KEY_AES256_GCM] = {.name = "aes256-gcm96",
                        .family = FAMILY_AEAD,
                        .offered = OFFER_BOTH,
                        .aead = AEAD_AES256_GCM,
                        .key_len = 32,
                        .reference_number = 0,
                        .encrypts = true,
                        .derives = true},
    [KEY_CHACHA20_POLY1305] = {.name = "chacha20-poly1305",
                               .family = FAMILY_AEAD,
                               .offered = OFFER_VAULT,
                               .aead = AEAD_CHACHA20_POLY1305,
                               .key_len = 32,
                               .reference_number = 5,
                               .encrypts = true,
                               .derives = true},
    [KEY_XCHACHA20_POLY1305] = {.name = "xchacha20-poly1305",
                                .family = FAMILY_AEAD,
                                .offered = OFFER_VAULT,
                                .aead = AEAD_XCHACHA20_POLY1305,
                                .key_len = 32,
                                .reference_number = 11,
                                .encrypts = true,
                                .derives = true},
    [KEY_XAES256_GCM] = {.name = "xaes-256-gcm",
                         .family = FAMILY_AEAD,
                         .offered = OFFER_VAULT,
                         .aead = AEAD_XAES256_GCM,
                         .key_len = 32,
                         .reference_number = KEY_NO_NUMBER,
                         .encrypts = true,
                         .derives = true},
    [KEY_ED25519] = {.name = "ed25519",
                     .family = FAMILY_ED25519,
                     .offered = OFFER_VAULT,
                     .pkey = PKEY_ED25519,
                     .public_name = "ed25519",
                     .reference_number = 2,
                     .signs = true,
                     .derives = true},
    [KEY_P256] = {.name = "ecdsa-p256",
                  .family = FAMILY_EC,
                  .offered = OFFER_VAULT,
                  .pkey = PKEY_P256,
                  .public_name = "P-256",
                  .reference_number = 1,
                  .signs = true},
    [KEY_P384] = {.name = "ecdsa-p384",
                  .family = FAMILY_EC,
                  .offered = OFFER_VAULT,
                  .pkey = PKEY_P384,
                  .public_name = "P-384",
                  .reference_number = 6,
                  .signs = true},
    [KEY_P521] = {.name = "ecdsa-p521",
                  .family = FAMILY_EC,
                  .offered = OFFER_VAULT,
                  .pkey = PKEY_P521,
                  .public_name = "P-521",
                  .reference_number = 7,
                  .signs = true,
                  .slow = true},
    [KEY_RSA2048] = {.name = "rsa-2048",
                     .family = FAMILY_RSA,
                     .offered = OFFER_VAULT,
                     .pkey = PKEY_RSA2048,
                     .public_name = "rsa-2048",
                     .reference_number = 3,
                     .encrypts = true,
                     .signs = true,
                     .slow = true},
    [KEY_RSA3072] = {.name = "rsa-3072",
                     .family = FAMILY_RSA,
                     .offered = OFFER_VAULT,
                     .pkey = PKEY_RSA3072,
                     .public_name = "rsa-3072",
                     .reference_number = 9,
                     .encrypts = true,
                     .signs = true,
                     .slow = true},
    [KEY_RSA4096] = {.name = "rsa-4096",
                     .family = FAMILY_RSA,
                     .offered = OFFER_VAULT,
                     .pkey = PKEY_RSA4096,
                     .public_name = "rsa-4096",
                     .reference_number = 4,
                     .encrypts = true,
                     .signs = true,
                     .slow = true},
    [KEY_HMAC] = {.name = "hmac",
                  .family = FAMILY_HMAC,
                  .offered = OFFER_VAULT,
                  .reference_number = 10},
    [KEY_AES128_OFB] = {.name = "aes128-ofb",
                        .family = FAMILY_OFB,
                        .offered = OFFER_STOREDSAFE,
                        .key_len = 16,
                        .reference_number = KEY_NO_NUMBER,
                        .encrypts = true},
    [KEY_AES256_OFB] = {.name = "aes256-ofb",
                        .family = FAMILY_OFB,
                        .offered = OFFER_STOREDSAFE,
                        .key_len = 32,
                        .reference_number = KEY_NO_NUMBER,
                        .encrypts = true},
};

const struct key_type_info *key_type_info(enum key_type t)
{
	MUST(t < KEY_TYPES);
	return &types[t];
}

bool key_type_offered(enum key_type t, enum key_offer offer)
{
	return (key_type_info(t)->offered & offer) != 0;
}

enum status key_type_find(struct span name, enum key_offer offer, enum key_type *ret)
{
	for (size_t i = 0; i < KEY_TYPES; i++) {
		if (!span_eq_str(name, types[i].name) || !key_type_offered((enum key_type)i, offer))
			continue;
		*ret = (enum key_type)i;
		return ST_OK;
	}
	return ST_NOT_FOUND;
}

enum status key_type_of_reference(int64_t number, enum key_type *ret)
{
	for (size_t i = 0; i < KEY_TYPES; i++) {
		if (types[i].reference_number != number || number == KEY_NO_NUMBER)
			continue;
		*ret = (enum key_type)i;
		return ST_OK;
	}
	return ST_NOT_FOUND;
}

bool key_type_is_cipher(enum key_type t)
{
	const enum key_family family = key_type_info(t)->family;

	return family == FAMILY_AEAD || family == FAMILY_OFB;
}

uint64_t key_type_bound(enum key_type t)
{
	const struct key_type_info *info = key_type_info(t);

	if (info->family == FAMILY_OFB)
		return OFB_HARD_LIMIT;
	return info->family == FAMILY_AEAD ? aead_info(info->aead)->hard_limit : 0;
}
