/* Record "yubikey/PUBLICID": 1 version 1 | 16 key | 6 private id | 4 counter of the last code taken plus one, 0: none yet | 4 user, 0: nobody. */
#include "core/login_yubikey.h"

#define RECORD_VERSION 1
#define RECORD_LEN     (1 + YUBICO_KEY_LEN + YUBICO_PRIVATE_LEN + 4 + 4)

/* Key and private id lie in the transaction's locked memory. */
struct device {
	const uint8_t *key, *private_id;
	uint32_t next; /* the least counter that is taken */
	uint32_t user;
};

static struct span path_of(struct login_path *p, struct span public_id)
{
	return login_path(p, "yubikey/%.*s", (int)public_id.n, (const char *)public_id.p);
}

static enum status load(const struct view *view, struct span public_id, struct device *ret,
                        struct err *err)
{
	struct span record, key, private_id;
	struct login_path p;
	struct device d;
	struct cursor c;
	uint8_t version;
	enum status st;

	if (!yubico_public_valid(public_id))
		return ST_NOT_FOUND;
	st = view_get(view, path_of(&p, public_id), &record, err);
	if (st != ST_OK)
		return st;
	c = cursor_of(record);
	if (cursor_u8(&c, &version) != ST_OK || version != RECORD_VERSION ||
	    cursor_span(&c, YUBICO_KEY_LEN, &key) != ST_OK ||
	    cursor_span(&c, YUBICO_PRIVATE_LEN, &private_id) != ST_OK ||
	    cursor_u32(&c, &d.next) != ST_OK || cursor_u32(&c, &d.user) != ST_OK ||
	    cursor_end(&c) != ST_OK)
		return err_set(err, ST_CORRUPT, "the record of a device is damaged");
	d.key = key.p;
	d.private_id = private_id.p;
	*ret = d;
	return ST_OK;
}

static enum status put(const struct view *view, struct span public_id, const struct device *d,
                       struct err *err)
{
	uint8_t *room = view_alloc(view, RECORD_LEN);
	struct login_path p;
	struct builder b;

	if (room == NULL)
		return err_set(err, ST_NOMEM, "no locked memory");
	builder_init_fixed(&b, room, RECORD_LEN);
	builder_u8(&b, RECORD_VERSION);
	builder_add(&b, span_of(d->key, YUBICO_KEY_LEN));
	builder_add(&b, span_of(d->private_id, YUBICO_PRIVATE_LEN));
	builder_u32(&b, d->next);
	builder_u32(&b, d->user);
	return view_put(view, path_of(&p, public_id), builder_span(&b), err);
}

enum status login_yubikey_register(const struct view *view, struct span public_id,
                                   const uint8_t key[static YUBICO_KEY_LEN],
                                   const uint8_t private_id[static YUBICO_PRIVATE_LEN],
                                   struct err *err)
{
	struct device d = {.key = key, .private_id = private_id};
	struct login_path p;
	enum status st;

	if (!yubico_public_valid(public_id))
		return err_set(err, ST_INVALID, "a device's public id is 12 characters of ModHex");
	st = view_exists(view, path_of(&p, public_id), err);
	if (st == ST_OK)
		return err_set(err, ST_EXISTS, "this device is registered already");
	return st == ST_NOT_FOUND ? put(view, public_id, &d, err) : st;
}

enum status login_yubikey_assign(const struct view *view, struct span public_id, uint32_t user,
                                 struct err *err)
{
	struct device d;
	enum status st = load(view, public_id, &d, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, st, "no device with this public id is registered");
	if (st != ST_OK)
		return st;
	if (d.user != 0 && d.user != user)
		return err_set(err, ST_EXISTS, "this device belongs to another user");
	d.user = user;
	return put(view, public_id, &d, err);
}

enum status login_yubikey_release(const struct view *view, struct span public_id, struct err *err)
{
	struct device d;
	enum status st = load(view, public_id, &d, err);

	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st;
	d.user = 0;
	return put(view, public_id, &d, err);
}

enum status login_yubikey_take(const struct view *view, struct span otp, uint32_t *ret_user,
                               struct err *err)
{
	struct span public_id;
	struct device d;
	uint32_t counter;
	enum status st;

	if (otp.n != YUBICO_OTP_LEN)
		return ST_DENIED;
	public_id = span_of(otp.p, YUBICO_PUBLIC_LEN);
	st = load(view, public_id, &d, err);
	if (st == ST_NOT_FOUND)
		return ST_DENIED;
	if (st == ST_OK)
		st = yubico_open(d.key, d.private_id, otp, &counter);
	if (st != ST_OK)
		return st;
	if (counter < d.next)
		return ST_DENIED;
	d.next = counter + 1; /* a counter has 23 bits */
	st = put(view, public_id, &d, err);
	if (st == ST_OK)
		*ret_user = d.user;
	return st;
}
