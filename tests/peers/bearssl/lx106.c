/* The batch on the ESP8266's core in QEMU's "sim" machine: the file batch.bin, through the simcall instruction. */
#include "platform.h"

enum { SYS_EXIT = 1, SYS_READ = 3, SYS_WRITE = 4, SYS_OPEN = 5 };

static int batch;

/* a2 is the number and the result, a3 to a5 are the arguments. */
static int simcall(int number, int first, int second, int third) {
	register int a2 __asm__("a2") = number;
	register int a3 __asm__("a3") = first;
	register int a4 __asm__("a4") = second;
	register int a5 __asm__("a5") = third;
	__asm__ volatile("simcall" : "+r"(a2), "+r"(a3), "+r"(a4), "+r"(a5) : : "memory");
	return a2;
}

int platform_open(void) {
	batch = simcall(SYS_OPEN, (int)"batch.bin", 0, 0);
	return batch >= 0;
}

int platform_read(void *to, size_t len) {
	char *at = to;
	while (len > 0) {
		int got = simcall(SYS_READ, batch, (int)at, (int)len);
		if (got <= 0) {
			return 0;
		}
		at += got;
		len -= (size_t)got;
	}
	return 1;
}

void platform_write(const char *text, size_t len) { simcall(SYS_WRITE, 1, (int)text, (int)len); }

void c_start(void) {
	simcall(SYS_EXIT, run_batch(), 0, 0);
	for (;;) {
	}
}

/* QEMU begins at the first address whatever the ELF file says; the literals are in the way there. */
__asm__(".section .first, \"ax\"\n"
	"	j _start\n"
	".section .start, \"ax\"\n"
	"	.align 4\n"
	"	.literal_position\n"
	"	.global _start\n"
	"_start:\n"
	"	movi a1, stack_top\n"
	"	movi a2, c_start\n"
	"	jx a2\n");
