# An Arduino user: the core's build calls otaseal in place of signing.py, for the header and for the image.
mkdir sketch framework core
otaseal --quiet keygen --private sketch/private.key --public sketch/public.key
otaseal signing-py --mode header --publickey sketch/public.key --out core/Updater_Signing.h > /dev/null

# Stands for the core: its own header of the same name switches checking off, and must not be found first.
echo '#define PROGMEM' > framework/pgmspace.h
echo '#define ARDUINO_SIGNING 0' > framework/Updater_Signing.h
cat > sketch/lamp.cpp <<'SKETCH'
#include <Updater_Signing.h>
#if !ARDUINO_SIGNING
#error checking is off
#endif
extern const char *volatile key;
const char *volatile key = signing_pubkey;
SKETCH
for compiler in g++ xtensa-lx106-elf-gcc; do
    $compiler -xc++ -Wall -Werror -Icore -Iframework -c sketch/lamp.cpp -o lamp.o
done
xtensa-lx106-elf-objcopy -O binary lamp.o lamp.ino.bin

otaseal signing-py --mode sign --privatekey sketch/private.key --bin lamp.ino.bin --out lamp.ino.bin.signed \
    --legacy lamp.ino.bin.legacy_sig > /dev/null 2> warnings
test ! -s warnings
otaseal verify lamp.ino.bin.signed --key sketch/public.key | grep -q '^accepted'
otaseal verify --legacy lamp.ino.bin.legacy_sig --key sketch/public.key | grep -q '^accepted'

# Without its key, a sketch does not build.
rm sketch/private.key lamp.ino.bin.signed
if otaseal signing-py --mode sign --privatekey sketch/private.key --bin lamp.ino.bin --out lamp.ino.bin.signed \
    2> refused; then exit 1; fi
test ! -e lamp.ino.bin.signed
