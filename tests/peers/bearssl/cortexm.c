/* Instructions and stack of BearSSL's verdict on Cortex-M in QEMU; the counterpart of the demo firmware's
   src/bin/measure.rs, by the same method. Reads the file batch.bin (see batch.c) with one image in it. */
#include "platform.h"
#include "verdict.h"

#define SYST_CSR (*(volatile uint32_t *)0xe000e010)
#define SYST_RVR (*(volatile uint32_t *)0xe000e014)
#define SYST_CVR (*(volatile uint32_t *)0xe000e018)
#define RELOAD 0x00ffffff
#define KNOWN 1000000
#define DEPTH 6000
#define PAINT 0xa5

enum { SYS_OPEN = 1, SYS_WRITE0 = 4, SYS_READ = 6, SYS_EXIT_EXTENDED = 0x20 };

static unsigned char batch[5120];

static int semihosting(int number, const void *block) {
	register int r0 __asm__("r0") = number;
	register const void *r1 __asm__("r1") = block;
	__asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
	return r0;
}

static void print_number(const char *label, uint32_t number) {
	char digits[12] = "          ";
	int at = 10;
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	semihosting(SYS_WRITE0, label);
	semihosting(SYS_WRITE0, digits + at);
}

static uint32_t elapsed(uint32_t start) { return (start - SYST_CVR) & RELOAD; }

/* Two instructions for each pass, KNOWN in all. */
static void known_work(void) {
	uint32_t passes = KNOWN / 2;
	__asm__ volatile(".syntax unified\n1: subs %0, %0, #1\n bne 1b" : "+l"(passes) : : "cc");
}

static int judge(size_t len, const br_rsa_public_key *key) {
	size_t at = 3 + key->nlen + 8;
	return updater_accepts(batch + at, len - at, key, 0);
}

/* Written so that its own frame lies above what is painted. */
static __attribute__((noinline)) uint32_t high_water(size_t len, const br_rsa_public_key *key) {
	volatile unsigned char *top = __builtin_frame_address(0);
	top -= 64;
	for (volatile unsigned char *at = top - DEPTH; at < top; at++) {
		*at = PAINT;
	}
	judge(len, key);
	uint32_t untouched = 0;
	while (untouched < DEPTH && top[(int)untouched - DEPTH] == PAINT) {
		untouched++;
	}
	return DEPTH - untouched;
}

void measure(void) {
	static unsigned char exponent[] = { 0x01, 0x00, 0x01 };
	const void *open[] = { "batch.bin", (void *)1, (void *)9 };
	int file = semihosting(SYS_OPEN, open);
	const void *read[] = { (void *)file, batch, (void *)sizeof batch };
	size_t len = sizeof batch - (size_t)semihosting(SYS_READ, read);
	br_rsa_public_key key = { batch + 3, batch[1] | (size_t)batch[2] << 8, exponent, sizeof exponent };

	SYST_RVR = RELOAD;
	SYST_CVR = 0;
	SYST_CSR = 5;
	uint32_t start = SYST_CVR;
	known_work();
	uint32_t known_ticks = elapsed(start);
	start = SYST_CVR;
	int accepted = judge(len, &key);
	uint32_t ticks = elapsed(start);
	print_number("accepted ", (uint32_t)accepted);
	print_number(" instructions ", (uint32_t)((uint64_t)ticks * KNOWN / known_ticks));
	print_number(" stack ", high_water(len, &key));
	semihosting(SYS_WRITE0, "\n");
	const int status[] = { 0x20026, !accepted };
	semihosting(SYS_EXIT_EXTENDED, status);
	for (;;) {
	}
}

extern char stack_top[];
__attribute__((section(".vectors"), used)) static void *const vectors[] = { stack_top, measure };
