/*
 * One-time codes.  TOTP: RFC 6238 with HMAC-SHA-1, steps of 30 s and 6 digits.  Yubico OTP: 12 characters public id and one block encrypted with AES-128, all in
 * ModHex (Yubico, "OTPs explained"): private id, counters and a CRC-16.  What was accepted once is remembered by the caller.
 */
#ifndef CRYPTO_OTP_H
#define CRYPTO_OTP_H

#include "crypto/secret.h"

/* otp_setup(): once, before threads.  ST_UNAVAILABLE. */
MUST_USE enum status otp_setup(void);

#define TOTP_SECRET_LEN 20 /* of one that is made here (RFC 4226, section 4: 160 bits) */
#define TOTP_SECRET_MIN 10
#define TOTP_SECRET_MAX 64
#define TOTP_STEP_S     30
#define TOTP_DIGITS     6

/*
 * totp_check(secret, code, now_ns, after, ret_step): is it the code of the step of now_ns, of the one before or of the one behind it, and is that step greater than
 * `after`, the last one that was accepted (0: none yet)?  ST_DENIED when not.  CT: whether it is accepted, nothing else.
 */
MUST_USE enum status totp_check(struct span secret, struct span code, int64_t now_ns,
                                uint64_t after, uint64_t *ret_step);

/*
 * Secrets as text: base32 (RFC 4648) without padding.  CT: lengths only.  base32_decode takes upper and lower case, padding and blanks between groups: ST_INVALID; ST_LIMIT:
 * longer than cap.  base32_encode: BASE32_LEN(n) characters, no NUL.
 */
#define BASE32_LEN(n) (((n)*8 + 4) / 5)
MUST_USE enum status base32_decode(struct span text, uint8_t *out, size_t cap, size_t *ret_n);
void base32_encode(struct span bytes, char *out);

#define YUBICO_PUBLIC_LEN  12 /* characters */
#define YUBICO_OTP_LEN     44 /* characters */
#define YUBICO_KEY_LEN     16 /* bytes */
#define YUBICO_PRIVATE_LEN 6  /* bytes */

/* yubico_public_valid(id): YUBICO_PUBLIC_LEN characters of ModHex. */
bool yubico_public_valid(struct span id);
/*
 * yubico_open(key, private_id, otp, ret_counter): is otp one that the device with this key and private id made?  ST_DENIED when not.  *ret_counter: its usage counter times 256
 * and the number of its use since it was plugged in; each new code has a greater one.  CT: whether it is accepted.
 */
MUST_USE enum status yubico_open(const uint8_t key[static YUBICO_KEY_LEN],
                                 const uint8_t private_id[static YUBICO_PRIVATE_LEN],
                                 struct span otp, uint32_t *ret_counter);

#endif
