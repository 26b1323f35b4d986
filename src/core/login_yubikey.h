/* Yubico devices that the operator registered: their keys, whom they belong to, and how far their counters have come. */
#ifndef CORE_LOGIN_YUBIKEY_H
#define CORE_LOGIN_YUBIKEY_H

#include "core/login_user.h"

/* login_yubikey_register(view, public_id, key, private_id, err): a device nobody has yet; nothing of its counter is known, so its next code is taken.  ST_EXISTS.  Writer only. */
MUST_USE enum status login_yubikey_register(const struct view *view, struct span public_id,
                                            const uint8_t key[static YUBICO_KEY_LEN],
                                            const uint8_t private_id[static YUBICO_PRIVATE_LEN],
                                            struct err *err);

/*
 * login_yubikey_assign(view, public_id, user, err): it belongs to this user from now on; ST_NOT_FOUND: not registered, ST_EXISTS: another user's.  login_yubikey_release(view,
 * public_id, err): it belongs to nobody; its counter stays.  Both write the device's record only.  Writer only.
 */
MUST_USE enum status login_yubikey_assign(const struct view *view, struct span public_id,
                                          uint32_t user, struct err *err);
MUST_USE enum status login_yubikey_release(const struct view *view, struct span public_id,
                                           struct err *err);

/*
 * login_yubikey_take(view, otp, ret_user, err): is this a code of a registered device, with a greater counter than any before?  Then it is taken: it will not be again.  *ret_user:
 * whose device it is, 0: nobody's.  ST_DENIED: no.  Writer only.
 */
MUST_USE enum status login_yubikey_take(const struct view *view, struct span otp,
                                        uint32_t *ret_user, struct err *err);

#endif
