#include "crypto/mb.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static IMB_MGR *manager; /* NULL: not usable here */

static bool manager_fits(const IMB_MGR *m)
{
	const uint64_t cpu = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;

	/* Without these the library emulates AES in tables that a secret indexes. */
	if ((m->features & cpu) != cpu || (m->features & IMB_FEATURE_AESNI_EMU) != 0)
		return false;
	if ((m->features & IMB_FEATURE_SELF_TEST) != 0)
		return (m->features & IMB_FEATURE_SELF_TEST_PASS) != 0;
	return true;
}

static void manager_make(void)
{
	IMB_MGR *m = alloc_mb_mgr(0);

	if (m == NULL)
		return;
	init_mb_mgr_auto(m, NULL);
	if (imb_get_errno(m) != 0 || !manager_fits(m)) {
		free_mb_mgr(m);
		return;
	}
	manager = m;
}

const IMB_MGR *mb_manager(void)
{
	MUST(pthread_once(&once, manager_make) == 0);
	return manager;
}

bool mb_usable(void)
{
	return mb_manager() != NULL;
}

const uint8_t *mb_readable(struct span s)
{
	static const uint8_t nothing[16];

	return s.n > 0 ? s.p : nothing;
}
