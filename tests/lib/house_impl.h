/* What the files of house share. */
#ifndef LIB_HOUSE_IMPL_H
#define LIB_HOUSE_IMPL_H

#include "lib/house.h"

/* Waiting for another thread: opened once. */
struct latch {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool open;
};

void latch_init(struct latch *l);
void latch_open(struct latch *l);
void latch_await(struct latch *l);

/* house_post: the loop's.  house_loop_start, house_loop_stop: its thread, if it has one; start begins with an empty loop that was joined. */
void house_post(struct loop *loop, struct task *task);
void house_loop_init(struct house_loop *l, enum house_runner runner);
void house_loop_start(struct house_loop *l);
void house_loop_stop(struct house_loop *l);

/* house_writer_stop(h): writer_stop, which needs the loop to close the store. */
void house_writer_stop(struct house *h);

#endif
