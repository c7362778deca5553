# The first minute: a manual, a completion, a key, and a signed image.
test "$(otaseal --version)" = "otaseal $VERSION"

export MANPAGER=cat MANWIDTH=80 LC_ALL=C
man otaseal-sign | grep -q 'Sign a firmware image'
man otaseal-key-info | grep -q '^SYNOPSIS'
bash -c '. "$SHARE/bash-completion/completions/otaseal" && complete -p otaseal' > /dev/null
test -s "$SHARE/fish/vendor_completions.d/otaseal.fish"
man otaseal-fleet-push-espota | grep -q 'ArduinoOTA'
bash -c '. "$SHARE/bash-completion/completions/otaseal-fleet" && complete -p otaseal-fleet' > /dev/null
test -s "$SHARE/fish/vendor_completions.d/otaseal-fleet.fish"

# Stands for the reader's own firmware. It holds no key, so otaseal warns.
yes firmware | head -c 100000 > firmware.bin
otaseal keygen > /dev/null
otaseal sign firmware.bin > /dev/null 2> warnings
grep -q 'no public key was found' warnings
otaseal verify firmware.bin.signed | grep -q '^accepted'

# Another byte is another image.
{ printf x; tail -c +2 firmware.bin.signed; } > changed.signed
if otaseal --quiet verify changed.signed --key keys/public.pem 2> /dev/null; then exit 1; fi

# The second program brings an image to a device. This device is simulated. It takes any bytes for firmware.
test "$(otaseal-fleet --version)" = "otaseal-fleet $VERSION"
otaseal-fleet simulate espota --for arduino-pico/unsigned --port 0 > device &
device=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    test -s device && break
    sleep 0.5
done
port=$(sed 's/.*://' device)
otaseal-fleet --quiet push espota "127.0.0.1:$port" firmware.bin --for arduino-pico/unsigned | grep -q 'taken:'
kill "$device"
wait "$device"
grep -q 'received 100000 bytes, restarted once' device
