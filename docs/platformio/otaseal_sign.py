"""PlatformIO extra script: build with the public key, sign what was built, fail when either fails.

In platformio.ini (of the custom options, what is shown holds when nothing is said):

    extra_scripts =
        pre:otaseal_sign.py
        post:otaseal_sign.py
    custom_otaseal_public_key = keys/public.pem
    custom_otaseal_private_key = keys/private.pem
    custom_otaseal_legacy = no
    custom_otaseal_program = otaseal

and custom_otaseal_signer_cmd (with custom_otaseal_signer_cmd_input where the command wants the digest), in place of the
private key, for a command that signs by the private half of the public key.

The script is named twice because the public key must be there before the framework is compiled, and the image can be
signed only once PlatformIO has said how it is built. It makes firmware.bin.signed beside firmware.bin (and
firmware.bin.legacy_sig with custom_otaseal_legacy = yes), and writes nothing outside of the build directory.
"""

import os
import subprocess
import sys

Import("env")

SCRIPT = "otaseal_sign.py"


def setting(name, default):
    return env.GetProjectOption("custom_otaseal_" + name, default)


def in_project(name, default):
    return os.path.join(env.subst("$PROJECT_DIR"), setting(name, default))


def fail(error, advice):
    sys.stderr.write("error: %s\nhelp: %s\n" % (error, advice))
    return 3


def run(*arguments):
    """Runs otaseal signing-py; gives its exit code, or 3 when there is no such program."""
    program = setting("program", "otaseal")
    try:
        return subprocess.run([program, "signing-py"] + list(arguments)).returncode
    except OSError as error:
        return fail("%s could not be run: %s" % (program, error.strerror),
                    "install otaseal, or set custom_otaseal_program")


def before_the_framework():
    """Puts the header in front of the framework's own of the same name, which switches checking off."""
    scripts = [script for script in env.GetProjectOption("extra_scripts", []) if script.endswith(SCRIPT)]
    if not any(script.startswith("pre:") for script in scripts):
        env.Exit(fail("the firmware would trust no key: %s comes after the framework" % SCRIPT,
                      "add the line pre:%s to extra_scripts" % SCRIPT))
    if all(script.startswith("pre:") for script in scripts):
        env.Exit(fail("nothing would be signed: %s comes before the image only" % SCRIPT,
                      "add the line post:%s to extra_scripts" % SCRIPT))
    include = os.path.join(env.subst("$BUILD_DIR"), "otaseal")
    header = os.path.join(include, "Updater_Signing.h")
    code = run("--mode", "header", "--publickey", in_project("public_key", "keys/public.pem"), "--out", header)
    if code != 0:
        env.Exit(code)
    env.Prepend(CPPPATH=[include])
    env["OTASEAL_HEADER"] = header


def remove_signed(target, source, env):
    """Upload tools take firmware.bin.signed when it is there, whatever its age: an old one must not survive."""
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
    if setting("legacy", "no") == "yes":
        arguments += ["--legacy", image + ".legacy_sig"]
    return run(*arguments)


if "OTASEAL_HEADER" not in env:
    before_the_framework()
else:
    env.AddPreAction("$BUILD_DIR/${PROGNAME}.bin", remove_signed)
    env.AddPostAction("$BUILD_DIR/${PROGNAME}.bin", sign)
