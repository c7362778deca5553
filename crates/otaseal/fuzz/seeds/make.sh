#!/bin/sh
# Makes the seeds. ELFs: one 32-bit, one 64-bit, each with two segments, a gap and a section that is not loaded.
# They need binutils-arm-none-eabi and, for the second, binutils on an x86-64 machine.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '.section .text,"ax"\n.ascii "code"\n.section .data,"aw"\n.ascii "data"\n.section .bss,"aw",%%nobits\n.space 8\n' >"$work/in.s"
printf 'SECTIONS { .text 0x1000 : { *(.text) } .data 0x20000000 : AT(0x1010) { *(.data) } .bss : { *(.bss) } }\n' >"$work/in.ld"
for prefix in arm-none-eabi- x86_64-linux-gnu-; do
    "${prefix}as" "$work/in.s" -o "$work/in.o"
    "${prefix}ld" -z max-page-size=16 -T "$work/in.ld" -s "$work/in.o" -o "elf/${prefix}two-segments.elf"
    chmod 644 "elf/${prefix}two-segments.elf"
done

# The example key under the passphrase `fuzz`, in every form that is read, with as little work as the form allows.
# Needs OpenSSL 3 with its legacy provider.
mkdir -p encrypted
key=../../../../keys.example/private.pem
pkcs8() {
    openssl pkcs8 -topk8 -in "$key" -passout pass:fuzz -outform DER -provider legacy -provider default "$@"
}
pkcs8 -scrypt -scrypt_N 2 -scrypt_r 1 -scrypt_p 1 -out encrypted/scrypt.der
for hash in SHA1 SHA224 SHA256 SHA384 SHA512; do
    pkcs8 -v2 aes-128-cbc -v2prf "hmacWith$hash" -iter 1 -out "encrypted/pbkdf2-$hash.der"
done
for cipher in aes-192-cbc aes-256-cbc des-ede3-cbc; do
    pkcs8 -v2 "$cipher" -iter 1 -out "encrypted/$cipher.der"
done
for scheme in PBE-MD5-DES PBE-SHA1-DES PBE-SHA1-3DES; do
    pkcs8 -v1 "$scheme" -iter 1 -out "encrypted/$scheme.der"
done
# A little beyond the limits, which no mutation of a small number finds.
pkcs8 -v1 PBE-MD5-DES -iter 10000001 -out encrypted/expensive-pbes1.der
pkcs8 -v2 aes-256-cbc -iter 10000001 -out encrypted/expensive-pbkdf2.der
pkcs8 -scrypt -scrypt_N 16384 -scrypt_r 8 -scrypt_p 257 -out encrypted/expensive-scrypt.der
openssl pkcs8 -topk8 -in "$key" -passout pass:fuzz -v2 aes-256-cbc -iter 1 -out encrypted/pkcs8.pem
for cipher in aes128 aes192 aes256 des3 des; do
    openssl rsa -in "$key" -traditional "-$cipher" -passout pass:fuzz -provider legacy -provider default \
        -out "encrypted/traditional-$cipher.pem" 2>/dev/null
done
chmod 644 encrypted/*
