/* The verdict of the ESP8266 core's Updater over a signed image. */
#ifndef VERDICT_H
#define VERDICT_H

#include <bearssl.h>

/* 1 when the image is accepted. `legacy` asks for the form of core 2.5.0 to 2.5.2, without DigestInfo. */
int updater_accepts(const unsigned char *image, size_t len, const br_rsa_public_key *key, int legacy);

#endif
