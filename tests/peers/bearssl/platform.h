/* What batch.c needs of where it runs. */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stddef.h>

/* Opens the batch; 1 when it is there. */
int platform_open(void);
/* Reads exactly `len` bytes of it; 1 on success. */
int platform_read(void *to, size_t len);
void platform_write(const char *text, size_t len);
/* Judges the batch and returns the exit status. */
int run_batch(void);

#endif
