# A release engineer: keys in a token, a protected job, a ledger, and the evidence of the release.
mkdir tokens
echo "directories.tokendir = $HOME/tokens" > softhsm2.conf
export SOFTHSM2_CONF="$HOME/softhsm2.conf" OTASEAL_PKCS11_PIN=1234
export OTASEAL_PKCS11_MODULE=/usr/lib/softhsm/libsofthsm2.so
softhsm2-util --init-token --free --label Release --pin 1234 --so-pin 5678 > /dev/null
firmware='pkcs11:token=Release;object=firmware' evidence='pkcs11:token=Release;object=evidence'
otaseal --quiet keygen --key "$firmware" --public public.pem
otaseal --quiet keygen --key "$evidence" --public evidence.pem

# The job that builds has no key. It hands the firmware and its digest on.
{ yes firmware | head -c 100000; cat public.pem; } > lamp.bin
digest=$(sha256sum lamp.bin | cut -c 1-64)

# The protected job has the token, and runs nothing but otaseal.
otaseal package lamp.bin --key "$firmware" --release --expect-sha256 "$digest" --ledger ledger.jsonl \
    --support-until 2030-12-31 --build-id 17 > /dev/null
otaseal ledger verify ledger.jsonl | grep -q '^intact'
otaseal release dist -o lamp-release --ledger ledger.jsonl --key "$evidence" --firmware-key public.pem > /dev/null

# Somebody else checks the evidence, with otaseal and with OpenSSL.
otaseal release verify lamp-release --key evidence.pem --firmware-key public.pem | grep -q '^intact'
openssl dgst -sha256 -verify evidence.pem -signature lamp-release/index.sha256.sig lamp-release/index.sha256 > /dev/null
