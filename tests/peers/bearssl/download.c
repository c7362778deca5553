/* A device that downloads over TLS with the small buffers of the ESP8266 core: one buffer for each direction, and the
 * overheads that WiFiClientSecureBearSSL adds to the size that a sketch sets (esp8266/Arduino,
 * libraries/ESP8266WiFi/src/WiFiClientSecureBearSSL.cpp). It knows the server's public key beforehand, as a sketch with
 * setKnownKey does.
 *
 *   download PORT BUFFER POINT < request > answer
 *
 * POINT is the public point of the server's P-256 key, 65 bytes in hexadecimal. It connects twice with one session. The
 * answer is that of the second connection. Standard error tells what happened. */
#include <bearssl.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* MFLN_OVERHEAD and the minimal output of the core. */
#define INPUT_OVERHEAD 325
#define OUTPUT_BUFFER (512 + 85)

static int low_read(void *context, unsigned char *to, size_t len) {
    for (;;) {
        ssize_t got = read(*(int *)context, to, len);
        if (got > 0) return (int)got;
        if (got == 0 || errno != EINTR) return -1;
    }
}

static int low_write(void *context, const unsigned char *from, size_t len) {
    for (;;) {
        ssize_t put = write(*(int *)context, from, len);
        if (put > 0) return (int)put;
        if (put == 0 || errno != EINTR) return -1;
    }
}

static int dial(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? fd : -1;
}

int main(int argc, char **argv) {
    static unsigned char request[4096], point[65], output[OUTPUT_BUFFER];
    if (argc != 4 || strlen(argv[3]) != 2 * sizeof point) return 2;
    size_t input_len = (size_t)atoi(argv[2]) + INPUT_OVERHEAD;
    unsigned char *input = malloc(input_len);
    for (size_t i = 0; i < sizeof point; i++) {
        unsigned byte;
        if (sscanf(argv[3] + 2 * i, "%2x", &byte) != 1) return 2;
        point[i] = (unsigned char)byte;
    }
    size_t request_len = fread(request, 1, sizeof request, stdin);

    br_ec_public_key key = {BR_EC_secp256r1, point, sizeof point};
    br_ssl_client_context client;
    br_x509_minimal_context unused;
    br_x509_knownkey_context known;
    br_ssl_client_init_full(&client, &unused, NULL, 0);
    br_x509_knownkey_init_ec(&known, &key, BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN);
    br_ssl_engine_set_x509(&client.eng, &known.vtable);
    br_ssl_engine_set_buffers_bidi(&client.eng, input, input_len, output, sizeof output);

    br_ssl_session_parameters session;
    for (int round = 0; round < 2; round++) {
        int fd = dial(atoi(argv[1]));
        if (fd < 0 || !br_ssl_client_reset(&client, "localhost", round)) return 3;
        br_sslio_context io;
        br_sslio_init(&io, &client.eng, low_read, &fd, low_write, &fd);
        br_sslio_write_all(&io, request, request_len);
        br_sslio_flush(&io);
        unsigned char part[1024];
        int got;
        while ((got = br_sslio_read(&io, part, sizeof part)) > 0)
            if (round == 1) fwrite(part, 1, (size_t)got, stdout);
        int error = br_ssl_engine_last_error(&client.eng);
        close(fd);
        if (error != BR_ERR_OK) {
            fprintf(stderr, "error %d\n", error);
            return 1;
        }
        br_ssl_session_parameters now;
        br_ssl_engine_get_session_parameters(&client.eng, &now);
        if (round == 1) {
            int same = now.session_id_len == session.session_id_len && now.session_id_len > 0
                && memcmp(now.session_id, session.session_id, now.session_id_len) == 0;
            fprintf(stderr, "version %04x\n%s\n", now.version, same ? "resumed" : "a new session");
        }
        session = now;
    }
    return 0;
}
