# The first minute: a manual, a completion, a key, and a signed image.
test "$(otaseal --version)" = "otaseal $VERSION"

export MANPAGER=cat MANWIDTH=80 LC_ALL=C
man otaseal-sign | grep -q 'Sign a firmware image'
man otaseal-key-info | grep -q '^SYNOPSIS'
bash -c '. "$SHARE/bash-completion/completions/otaseal" && complete -p otaseal' > /dev/null
test -s "$SHARE/fish/vendor_completions.d/otaseal.fish"

# Stands for the reader's own firmware. It holds no key, so otaseal warns.
yes firmware | head -c 100000 > firmware.bin
otaseal keygen > /dev/null
otaseal sign firmware.bin > /dev/null 2> warnings
grep -q 'no public key was found' warnings
otaseal verify firmware.bin.signed | grep -q '^accepted'

# Another byte is another image.
{ printf x; tail -c +2 firmware.bin.signed; } > changed.signed
if otaseal --quiet verify changed.signed --key keys/public.pem 2> /dev/null; then exit 1; fi
