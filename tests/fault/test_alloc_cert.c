/*
 * Memory that runs out (trial.h), in the operations on certificates of users: OpenSSL reads what comes from outside, and what it says when it finds no memory must not be taken for a verdict.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "fault/trial.h"

/* Ed25519, 2000 to 2200, signed by themselves: DER in base64. */
static const char one[] =
    "MIHnMIGaoAMCAQICFBt3RJ8+Rpuz34nfMGTex8qavF1oMAUGAytlcDATMREwDwYDVQQDDAhDYXJkIE9u"
    "ZTAgFw0wMDAxMDEwMDAwMDBaGA8yMjAwMDEwMTAwMDAwMFowEzERMA8GA1UEAwwIQ2FyZCBPbmUwKjAF"
    "BgMrZXADIQCChsF1jK6StU0GqVmN6kPP1RezTbI9qV6IK4Z3dpBDUzAFBgMrZXADQQDSZQLgBZktuL1Z"
    "vfbsEPJWvggoXXhTcu/I9BUUdOfHBhFAb8inx3P7znYVA0J800TY9jmEeXijH4lWmK+J/oME";
static const char two[] =
    "MIHnMIGaoAMCAQICFCkxHZ2NX5OsL9rBaRYIlUrRCkoQMAUGAytlcDATMREwDwYDVQQDDAhDYXJkIFR3"
    "bzAgFw0wMDAxMDEwMDAwMDBaGA8yMjAwMDEwMTAwMDAwMFowEzERMA8GA1UEAwwIQ2FyZCBUd28wKjAF"
    "BgMrZXADIQCtJY1hmMm6PQtfPyr6A9tSXIp5yUqd9MCixHDFYJ7kPTAFBgMrZXADQQDeuDs5kUd7/e0I"
    "xGf+bvmAXwqXYEkqeGBdEKL7m3T6YKn96tTyRm6kzYGo2EUEEUUTTxcGph+hdBOStilqik4C";

#define USERS "/v1/auth/storedsafe/users"
#define PATH  USERS "/holder/certificate"

static char body[1000];

static unsigned send(struct desk *d, const char *cert)
{
	(void)snprintf(body, sizeof body, "{\"user_cert\":\"%s\"}", cert);
	return desk_ask(d, HTTP_POST, PATH, desk_root(d), body);
}

static struct desk *furnished(void)
{
	struct desk *d = desk_ready();

	desk_must(d, 200, HTTP_POST, USERS,
	          "{\"username\":\"holder\",\"status\":129,\"fullname\":\"The Holder\","
	          "\"email\":\"h@example.org\",\"passphrase\":\"p\"}");
	return d;
}

static void none_there(struct desk *d, unsigned n)
{
	unsigned status = desk_ask(d, HTTP_DELETE, PATH, desk_root(d), NULL);

	(void)n;
	assert_true(status == 204 || status == 404);
}

static void one_there(struct desk *d, unsigned n)
{
	(void)n;
	assert_int_equal(send(d, one), 200);
}

static unsigned add(struct desk *d, unsigned n)
{
	(void)n;
	return send(d, one);
}

static bool added(struct desk *d, unsigned n)
{
	(void)n;
	return trial_found(d, PATH) && trial_says(d, "\"CN\":\"Card One\"");
}

static unsigned replace(struct desk *d, unsigned n)
{
	(void)n;
	return send(d, two);
}

static bool replaced(struct desk *d, unsigned n)
{
	(void)n;
	return trial_found(d, PATH) && trial_says(d, "\"CN\":\"Card Two\"");
}

static unsigned look(struct desk *d, unsigned n)
{
	(void)n;
	return desk_ask(d, HTTP_GET, PATH, desk_root(d), NULL);
}

static unsigned take_away(struct desk *d, unsigned n)
{
	(void)n;
	return desk_ask(d, HTTP_DELETE, PATH, desk_root(d), NULL);
}

static bool gone(struct desk *d, unsigned n)
{
	(void)n;
	return !trial_found(d, PATH);
}

static const struct subject subjects[] = {
    {"add a certificate", none_there, add, added, 0},
    {"replace a certificate", one_there, replace, replaced, 0},
    {"read a certificate", one_there, look, NULL, 0},
    {"remove a certificate", one_there, take_away, gone, 0},
};

static void run(enum alloc_repeat repeat)
{
	for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
		trial_run(&subjects[i], furnished, repeat);
}

static void one_allocation_fails(void **state)
{
	(void)state;
	run(ALLOC_ONCE);
}

static void all_allocations_fail_from_one_on(void **state)
{
	(void)state;
	run(ALLOC_FOR_EVER);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_allocation_fails),
	    cmocka_unit_test(all_allocations_fail_from_one_on),
	};

	return cmocka_run_group_tests(tests, desk_process, NULL);
}
