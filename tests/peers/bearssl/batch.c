/* A batch: flags (1 byte: 1 = legacy form), modulus length (2 bytes), modulus, number of images (4), then for
   each image its length (4) and its bytes. Numbers are little-endian, the modulus is big-endian. Prints one digit
   for each image: 1 accepted, 0 rejected. */
#include "platform.h"
#include "verdict.h"

#define IMAGE_MAX (1 << 20)

static unsigned char modulus[512], image[IMAGE_MAX];
static unsigned char exponent[] = { 0x01, 0x00, 0x01 };

static int read_number(uint32_t *number, size_t len) {
	unsigned char bytes[4] = { 0 };
	if (!platform_read(bytes, len)) {
		return 0;
	}
	*number = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
	return 1;
}

int run_batch(void) {
	uint32_t legacy, modulus_len, count, len;
	if (!platform_open() || !read_number(&legacy, 1) || !read_number(&modulus_len, 2) || modulus_len > sizeof modulus
		|| !platform_read(modulus, modulus_len) || !read_number(&count, 4)) {
		return 2;
	}
	br_rsa_public_key key = { modulus, modulus_len, exponent, sizeof exponent };
	while (count-- > 0) {
		if (!read_number(&len, 4) || len > sizeof image || !platform_read(image, len)) {
			return 2;
		}
		platform_write(updater_accepts(image, len, &key, (int)legacy) ? "1" : "0", 1);
	}
	platform_write("\n", 1);
	return 0;
}
