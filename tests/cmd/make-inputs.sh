#!/bin/sh
# Makes tests/cmd/in, the files that the cases run on. Signatures are OpenSSL's, not otaseal's. Keys that are not
# there yet are made; delete one to get another. Everything else is the same bytes on every run.
set -eu
cd "$(dirname "$0")/in"
root=../../..

# Keys. private.pem and public.pem are the example key in every form that must be read.
cp $root/keys.example/private.pem $root/keys.example/public.pem keys/
cp $root/fixtures/keys/other.pem keys/other.pem
cp $root/fixtures/keys/rsa3072.pem keys/rsa3072.pem
cd keys
openssl rsa -in private.pem -traditional -out private.pkcs1.pem 2>/dev/null
openssl pkey -in private.pem -outform DER -out private.der
openssl rsa -in private.pem -traditional -outform DER -out private.pkcs1.der 2>/dev/null
openssl rsa -in private.pem -RSAPublicKey_out -out public.pkcs1.pem 2>/dev/null
openssl pkey -in private.pem -pubout -outform DER -out public.der
openssl pkey -in other.pem -pubout -out other.public.pem
openssl pkey -in rsa3072.pem -pubout -out rsa3072.public.pem
make() {
    file=$1
    shift
    [ -e "$file" ] || "$@" -out "$file" 2>/dev/null
}
make encrypted.pem openssl pkey -in private.pem -aes256 -passout pass:secret
make encrypted.pkcs1.pem openssl rsa -in private.pem -traditional -aes256 -passout pass:secret
make scrypt.pem openssl pkcs8 -topk8 -in other.pem -scrypt -passout pass:secret
make old-scheme.pem openssl pkcs8 -topk8 -in private.pem -v1 PBE-SHA1-3DES -passout pass:secret \
    -provider legacy -provider default
make ec.pem openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256
make small.pem openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024
make e3.pem openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3
make certificate.pem openssl req -x509 -new -key private.pem -subj /CN=example -days 36500
for key in ec small e3; do openssl pkey -in $key.pem -pubout -out $key.public.pem; done
head -n 12 private.pem >damaged.pem
sed '3s/./A/g' private.pem >inconsistent.pem
echo 'not a key' >text.pem
python3 ../../make-weak-keys.py .
# As `openssl pkcs12 -nodes` writes it, and what cannot be told.
cat certificate.pem private.pem >bundle.pem
cat private.pem other.pem >two.pem
cd ..
# What opens encrypted.pem and encrypted.pkcs1.pem, and what does not.
echo secret >passphrase.txt
echo Secret >wrong-passphrase.txt
: >no-passphrase.txt

# Images.
echo 'The firmware of a device, as small as it can be.' >firmware.bin
: >empty.bin
{ printf 'code \277\204\344\023\124lamp\223\104\153\247\165\0 code \152\077\076\016\341'
    printf '1.2.3\260\060\110\324\032\0 \373\052\365\150\300Acme\156\057\017\353\055\0'; } >homie.bin
{ cat homie.bin; printf '\277\204\344\023\124door\223\104\153\247\165\0'; } >two-names.bin
# ESP8266: one segment of 8 bytes at 0x40100000, flash mode DIO, 4 MiB, 40 MHz; checksum EF ^ 01..08.
printf '\351\001\002\100\000\000\020\100\000\000\020\100\010\000\000\000\001\002\003\004\005\006\007\010' >esp8266.bin
printf '\000\000\000\000\000\000\000\347' >>esp8266.bin
head -c 24 esp8266.bin >esp8266-cut.bin
gzip -9 -n -c homie.bin >homie.bin.gz
# With the keys that its devices trust, in the forms that builds embed; and one that gives the private key away.
printf '\000' | cat firmware.bin - keys/public.pem >keyed.bin
printf '\000' | cat firmware.bin - keys/other.public.pem >keyed.other.bin
{ cat keyed.bin; openssl pkey -pubin -in keys/other.public.pem -outform DER; } >keyed.both.bin
printf '\000' | cat firmware.bin - keys/rsa3072.public.pem >keyed.rsa3072.bin
{ cat keyed.other.bin; openssl pkey -pubin -in keys/rsa3072.public.pem -outform DER; } >keyed.next.bin
printf '\000' | cat firmware.bin - keys/ec.pem >leaky.bin
gzip -9 -n -c keyed.other.bin >keyed.other.bin.gz
{ cat homie.bin.gz; echo more; } >trailing.gz

# Signed images: payload, signature, length as u32 LE.
trailer() { printf "\\$(printf %03o $(($1 % 256)))\\$(printf %03o $(($1 / 256)))\000\000"; }
current() { { cat "$1"; openssl dgst -sha256 -sign "$2" "$1"; trailer "$3"; } >"$4"; }
legacy() {
    { cat "$1"; openssl dgst -sha256 -binary "$1" |
        openssl pkeyutl -sign -inkey "$2" -pkeyopt rsa_padding_mode:pkcs1; trailer "$3"; } >"$4"
}
current firmware.bin keys/private.pem 256 firmware.bin.signed
legacy firmware.bin keys/private.pem 256 firmware.bin.legacy_sig
current firmware.bin keys/other.pem 256 firmware.other.signed
current firmware.bin keys/rsa3072.pem 384 firmware.rsa3072.signed
current homie.bin.gz keys/private.pem 256 homie.bin.gz.signed
current firmware.bin.signed keys/private.pem 256 signed-twice.bin
sed 's/small/large/' firmware.bin.signed >changed.bin.signed
head -c 200 firmware.bin.signed >cut.bin.signed
tail -c 260 firmware.bin.signed >only-a-trailer.bin

# A signed image beside another build than it was made from.
mkdir -p stale
cp firmware.other.signed stale/firmware.bin.signed
cp homie.bin stale/firmware.bin

# Signatures that were made elsewhere, of firmware.bin by private.pem: good ones in every form, and what goes wrong.
mkdir -p signatures
sign="openssl pkeyutl -sign -inkey keys/private.pem -pkeyopt rsa_padding_mode:pkcs1"
openssl dgst -sha256 -sign keys/private.pem -out signatures/raw firmware.bin
openssl base64 -in signatures/raw -out signatures/base64.txt
od -An -v -tx1 signatures/raw >signatures/hex.txt
openssl dgst -sha256 -binary firmware.bin | $sign >signatures/bare-digest
openssl dgst -sha256 -sign keys/other.pem -out signatures/other-key firmware.bin
openssl dgst -sha256 -sign keys/rsa3072.pem -out signatures/other-size firmware.bin
openssl dgst -sha256 -sign keys/private.pem -out signatures/other-image homie.bin
openssl dgst -sha512 -sign keys/private.pem -out signatures/other-hash firmware.bin
openssl dgst -sha256 -binary firmware.bin | openssl dgst -sha256 -sign keys/private.pem >signatures/hashed-twice
[ -e signatures/pss ] ||
    openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sign keys/private.pem -out signatures/pss firmware.bin
python3 -c 'import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])' <signatures/raw >signatures/reversed
head -c 255 signatures/raw >signatures/cut
{ cat signatures/raw; echo; } >signatures/line-end
{ printf 0x; tr -d ' \n' <signatures/hex.txt; echo; } >signatures/0x.txt
openssl dgst -sha256 -hex -sign keys/private.pem firmware.bin >signatures/dgst.txt
echo 'error: no such key' >signatures/text.txt
request() {
    digest=$(openssl dgst -sha256 -r "$1" | cut -c1-64)
    id=$(openssl pkey -in "$2" -pubout -outform DER | openssl dgst -sha256 -r | cut -c1-64)
    printf '{"schema": 1, "tool": "by hand", "image": {"file": "%s", "size_bytes": %s, "sha256": "%s"}, ' \
        "$1" "$(wc -c <"$1")" "$digest"
    printf '"signature": "pkcs1v15-sha256", "digest_info": "3031300d060960864801650304020105000420%s", ' "$digest"
    printf '"key": {"id": "%s", "bits": 2048}}\n' "$id"
}
request firmware.bin keys/private.pem >signatures/request.json
request homie.bin keys/private.pem >signatures/request.other-image.json
request firmware.bin keys/other.pem >signatures/request.other-key.json
sed 's/"sha256": "../"sha256": "00/' signatures/request.json >signatures/request.changed.json
sed 's/"schema": 1/"schema": 2/' signatures/request.json >signatures/request.newer.json
digest=$(openssl dgst -sha256 -r firmware.bin | cut -c1-64)
printf '{"schema": 1, "tool": "by hand", "signature": "legacy-bare-hash", "image": ' >signatures/request.legacy.json
printf '{"file": "firmware.bin", "size_bytes": 49, "sha256": "%s"}}\n' "$digest" >>signatures/request.legacy.json
# Releases of a rotation from other.pem to rsa3072.pem: what devices run, bridges, what the new key signs, a bridge that
# is damaged; and one of the published key, whose rotation comes too late.
mkdir -p rotation
current keyed.other.bin keys/other.pem 256 rotation/1.0.signed
current keyed.rsa3072.bin keys/other.pem 256 rotation/bridge.signed
current keyed.next.bin keys/other.pem 256 rotation/both.signed
gzip -9 -n -c keyed.rsa3072.bin >keyed.rsa3072.bin.gz
current keyed.rsa3072.bin.gz keys/rsa3072.pem 384 rotation/2.0.gz.signed
sed 's/small/large/' rotation/bridge.signed >rotation/damaged.signed
current keyed.bin keys/private.pem 256 rotation/published.signed
python3 ../make-device-inputs.py
