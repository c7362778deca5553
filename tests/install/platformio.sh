# A PlatformIO user: the script that came with otaseal builds the key in, and signs.
otaseal --quiet keygen
cp "$SHARE/otaseal/otaseal_sign.py" .

# PlatformIO is SCons with an environment. This one has what the script needs of PlatformIO's.
mkdir framework
echo '#define PROGMEM' > framework/pgmspace.h
echo '#define ARDUINO_SIGNING 0' > framework/Updater_Signing.h
cat > SConstruct <<'PLATFORM'
import os
env = Environment(ENV=os.environ, PROJECT_DIR=Dir(".").abspath, PROGNAME="firmware")
env["BUILD_DIR"] = os.path.join(env["PROJECT_DIR"], ".pio", "build")
options = {"extra_scripts": ["pre:otaseal_sign.py", "post:otaseal_sign.py"]}
env.AddMethod(lambda env, name, default=None: options.get(name, default), "GetProjectOption")

def binary(target, source, env):
    # An ELF file is no image: this one loses its magic number.
    with open(str(source[0]), "rb") as program, open(str(target[0]), "wb") as image:
        image.write(program.read()[4:])

env.SConscript("otaseal_sign.py", exports="env")
env.Append(CPPPATH=["framework"])
program = env.Object("$BUILD_DIR/main.o", "main.c")
image = env.Command("$BUILD_DIR/${PROGNAME}.bin", program, binary)
env.SConscript("otaseal_sign.py", exports="env")
Default(image)
PLATFORM
cat > main.c <<'FIRMWARE'
#include <Updater_Signing.h>
#if !ARDUINO_SIGNING
#error checking is off
#endif
const char *volatile key = signing_pubkey;
FIRMWARE
scons -Q > /dev/null
otaseal verify .pio/build/firmware.bin.signed | grep -q '^accepted'
grep -q 'BEGIN PUBLIC KEY' .pio/build/firmware.bin

# Without the key, the build fails.
rm -r keys .pio
if scons -Q > refused 2>&1; then exit 1; fi
test ! -e .pio/build/firmware.bin.signed
