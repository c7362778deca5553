"""PlatformIO extra script. It builds the public key into the firmware, signs the image, and stops the build on failure.

Put these lines into platformio.ini. The custom options show their defaults, so you can omit them:

    extra_scripts =
        pre:otaseal_sign.py
        post:otaseal_sign.py
    custom_otaseal_public_key = keys/public.pem
    custom_otaseal_private_key = keys/private.pem
    custom_otaseal_legacy = no
    custom_otaseal_program = otaseal

If a command signs, set custom_otaseal_signer_cmd in place of custom_otaseal_private_key. The command signs with the
private half of the public key. If it takes the digest, also set custom_otaseal_signer_cmd_input = digest.

These options are off by default:

    custom_otaseal_private_key = pkcs11:token=NAME;object=NAME    (a key in a token)
    custom_otaseal_passphrase_file = FILE                         (the passphrase of the key, or the PIN of the token)
    custom_otaseal_passphrase_env = NAME                          (the variable that holds it)
    custom_otaseal_ledger = ledger.jsonl                          (enter each signature into this ledger)
    custom_otaseal_release = yes                                  (sign a release; it needs a ledger)

Name the script twice. The public key must be there before PlatformIO compiles the framework. The script can sign the
image only after PlatformIO has defined how to build it.

The script writes firmware.bin.signed beside firmware.bin. With custom_otaseal_legacy = yes it also writes
firmware.bin.legacy_sig. It writes nothing outside of the build directory.
"""

import os
import subprocess
import sys

Import("env")

SCRIPT = "otaseal_sign.py"


def setting(name, default):
    return env.GetProjectOption("custom_otaseal_" + name, default)


def in_project(name, default):
    path = setting(name, default)
    # A key in a token is no file.
    return path if path.startswith("pkcs11:") else os.path.join(env.subst("$PROJECT_DIR"), path)


def switch(name):
    """Returns whether an option says yes. A word that is neither yes nor no must not switch a check off."""
    word = setting(name, "no").lower()
    if word not in ("yes", "no"):
        env.Exit(fail("custom_otaseal_%s is %s" % (name, word), "set it to yes or no"))
    return word == "yes"


def fail(error, advice):
    sys.stderr.write("error: %s\nhelp: %s\n" % (error, advice))
    return 3


def run(*arguments):
    """Runs otaseal signing-py. Returns its exit code, or 3 if there is no such program."""
    program = setting("program", "otaseal")
    try:
        return subprocess.run([program, "signing-py"] + list(arguments)).returncode
    except OSError as error:
        return fail("cannot run %s: %s" % (program, error.strerror),
                    "install otaseal, or set custom_otaseal_program")


def before_the_framework():
    """Puts our header before the framework's header of the same name, which switches checking off."""
    scripts = [script for script in env.GetProjectOption("extra_scripts", []) if script.endswith(SCRIPT)]
    if not any(script.startswith("pre:") for script in scripts):
        env.Exit(fail("%s runs after the framework only, so the firmware would trust no key" % SCRIPT,
                      "add the line pre:%s to extra_scripts" % SCRIPT))
    if all(script.startswith("pre:") for script in scripts):
        env.Exit(fail("%s runs before the framework only, so it would sign nothing" % SCRIPT,
                      "add the line post:%s to extra_scripts" % SCRIPT))
    include = os.path.join(env.subst("$BUILD_DIR"), "otaseal")
    header = os.path.join(include, "Updater_Signing.h")
    code = run("--mode", "header", "--publickey", in_project("public_key", "keys/public.pem"), "--out", header)
    if code != 0:
        env.Exit(code)
    env.Prepend(CPPPATH=[include])
    env["OTASEAL_HEADER"] = header


def remove_signed(target, source, env):
    """Removes an old firmware.bin.signed: upload tools take the file if it is there, however old it is."""
    for ending in (".signed", ".legacy_sig"):
        if os.path.exists(str(target[0]) + ending):
            os.remove(str(target[0]) + ending)


def sign(target, source, env):
    image = str(target[0])
    arguments = ["--mode", "sign"]
    command = setting("signer_cmd", "")
    if command:
        arguments += ["--signer-cmd", command, "--publickey", in_project("public_key", "keys/public.pem")]
        arguments += ["--signer-cmd-input", setting("signer_cmd_input", "digest-info")]
    else:
        arguments += ["--privatekey", in_project("private_key", "keys/private.pem")]
    arguments += ["--bin", image, "--out", image + ".signed"]
    if LEGACY:
        arguments += ["--legacy", image + ".legacy_sig"]
    for name in ("passphrase_file", "ledger"):
        if setting(name, ""):
            arguments += ["--" + name.replace("_", "-"), in_project(name, "")]
    if setting("passphrase_env", ""):
        arguments += ["--passphrase-env", setting("passphrase_env", "")]
    if RELEASE:
        arguments.append("--release")
    return run(*arguments)


def remove_unsigned():
    """Removes firmware.bin if a signed file that belongs to it is missing. The build then makes both again."""
    image = env.subst("$BUILD_DIR/${PROGNAME}.bin")
    endings = [".signed"] + ([".legacy_sig"] if LEGACY else [])
    if os.path.exists(image) and not all(os.path.exists(image + ending) for ending in endings):
        os.remove(image)


if "OTASEAL_HEADER" not in env:
    before_the_framework()
else:
    LEGACY, RELEASE = switch("legacy"), switch("release")
    remove_unsigned()
    env.AddPreAction("$BUILD_DIR/${PROGNAME}.bin", remove_signed)
    env.AddPostAction("$BUILD_DIR/${PROGNAME}.bin", sign)
