/* The checks of the ESP8266 core's Updater::end() with a signature verifier installed, in its order. */
#include "verdict.h"
#include <string.h>

/* The Updater hashes flash in steps of this size. */
#define STEP 128

int updater_accepts(const unsigned char *image, size_t len, const br_rsa_public_key *key, int legacy) {
	unsigned char hash[br_sha256_SIZE], signed_hash[br_sha256_SIZE];
	br_sha256_context sha256;

	if (len < 4) {
		return 0;
	}
	const unsigned char *field = image + len - 4;
	uint32_t sig_len = (uint32_t)field[0] | (uint32_t)field[1] << 8 | (uint32_t)field[2] << 16 | (uint32_t)field[3] << 24;
	if (sig_len != key->nlen || len - 4 < sig_len) {
		return 0;
	}
	size_t payload_len = len - 4 - sig_len;

	br_sha256_init(&sha256);
	for (size_t done = 0; done < payload_len; done += STEP) {
		size_t step = payload_len - done < STEP ? payload_len - done : STEP;
		br_sha256_update(&sha256, image + done, step);
	}
	br_sha256_out(&sha256, hash);

	const unsigned char *oid = legacy ? NULL : BR_HASH_OID_SHA256;
	if (!br_rsa_i15_pkcs1_vrfy(image + payload_len, sig_len, oid, sizeof hash, key, signed_hash)) {
		return 0;
	}
	return memcmp(hash, signed_hash, sizeof hash) == 0;
}
