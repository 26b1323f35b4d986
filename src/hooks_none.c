/* Release builds have no hooks. */
#include "hooks.h"

enum status hooks_new(struct hooks **ret, struct err *err)
{
	(void)err;
	*ret = NULL;
	return ST_OK;
}

void hooks_free(struct hooks **h)
{
	*h = NULL;
}

void hooks_term_made(struct hooks *h, uint32_t term)
{
	(void)h;
	(void)term;
}

void hooks_encrypted(struct hooks *h, uint32_t term)
{
	(void)h;
	(void)term;
}
