//! Tests a command that signs in place of a key file.

use super::*;

/// Moves the key of [`Project::with_key`] to a place that only the command knows. OpenSSL signs with it.
#[cfg(unix)]
fn by_openssl(project: Project) -> Project {
    fs::create_dir_all(project.path("safe")).unwrap();
    fs::rename(project.path("keys/private.pem"), project.path("safe/key")).unwrap();
    project
}

#[cfg(unix)]
const PADS: &str = "openssl pkeyutl -sign -inkey safe/key -pkeyopt rsa_padding_mode:pkcs1";

#[cfg(unix)]
#[test]
fn a_command_in_the_settings_signs_what_a_file_would() {
    if !crate::testing::has_tool("openssl") {
        return;
    }
    let signed = |project: &Project| fs::read(project.path("target/otaseal/lamp/lamp.bin.signed")).unwrap();
    let by_file = Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "other.pem");
    assert_eq!(by_file.run("sign").0, 0);
    let emit = "emit = [{ path = \"ota_key.rs\", kind = \"rust\", self-test = true }]";
    for (line, input) in
        [(PADS.to_owned(), "digest-info"), (format!("{PADS} -pkeyopt digest:sha256"), "digest")]
    {
        // The command runs in the directory of Cargo.toml, and the test in another one.
        let settings = format!(
            "firmware = \"lamp.bin\"\nsigner-cmd = \"{line}\"\nsigner-cmd-input = \"{input}\"\nsigner-timeout = 30\n{emit}"
        );
        let project = by_openssl(Project::new(&settings).with_key("other.pem", "other.pem"));
        let (code, out, err) = project.run("sign");
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("verified with ") && !err.contains("WARNING"), "{out}{err}");
        assert!(signed(&project) == signed(&by_file), "{input}: other bytes than from a file");
        assert_eq!(project.run("verify").0, 0);
        assert_eq!(project.run("pubkey").0, 0);
        assert!(fs::read_to_string(project.path("ota_key.rs")).unwrap().contains("SELF_TEST_SIGNATURE"));
        // keygen refuses to make a key for a command, and writes no key file.
        let (code, _, err) = project.run("keygen");
        assert!(
            code == 3 && err.contains("a command sign") && !project.path("keys/private.pem").exists(),
            "{err}"
        );
        let (code, _, err) = project.run("sign --passphrase-env NAME");
        assert!(code == 2 && err.contains("it takes no passphrase"), "{err}");
        // A key on the command line replaces the command with all of its settings.
        let key = project.path("safe/key");
        assert_eq!(project.run(&format!("sign --key {}", key.display())).0, 0);
    }
}

#[cfg(unix)]
#[test]
fn a_command_on_the_command_line_signs_where_it_was_typed() {
    if !crate::testing::has_tool("openssl") {
        return;
    }
    let project = by_openssl(Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "other.pem"));
    let public = project.path("keys/public.pem");
    let line = PADS.replace("safe/key", &project.path("safe/key").display().to_string());
    let run = |more: &[&str]| {
        let manifest = project.path("Cargo.toml");
        let words =
            ["sign", "--manifest-path", manifest.to_str().unwrap()].into_iter().chain(more.iter().copied());
        project.run_words(words.map(OsString::from))
    };
    let (code, _, err) = run(&["--signer-cmd", &line, "--public-key", public.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    // Without --public-key, the project's own public key counts.
    assert_eq!(run(&["--signer-cmd", &line]).0, 0);
    for (wrong, says) in [
        (&["--signer-cmd", &line, "--key", "k.pem"][..], "use `public-key`"),
        (&["--signer-cmd", ""], "is empty"),
        (&["--signer-cmd", "sh -c 'x"], "not closed"),
        (&["--signer-timeout", "5"], "needs `signer-cmd`"),
        (&["--signer-cmd-input", "digest"], "needs `signer-cmd`"),
        (&["--signer-cmd", &line, "--signer-timeout", "0"], "from 1 to 86400"),
        (&["--signer-cmd", &line, "--signer-cmd-input", "md5"], "expected digest-info or digest"),
        (&["--signer-shell", "x"], "--signer-shell"),
        (&["--signer-cmd", &line, "--passphrase-env", "NAME"], "no passphrase"),
    ] {
        let (code, _, err) = run(wrong);
        assert!(code == 2 && err.contains(says), "{wrong:?}: {err}");
    }
}

/// A checkout may come from a stranger. Tasks that do not sign must not run its command.
#[cfg(unix)]
#[test]
fn a_command_runs_only_to_sign() {
    let emit = "emit = [{ path = \"key.h\", kind = \"c-header\" }]";
    let settings = format!("firmware = \"lamp.bin\"\nsigner-cmd = \"touch was-run\"\n{emit}");
    let project = Project::new(&settings).with_key("other.pem", "other.pem");
    assert_eq!(project.run("pubkey").0, 0);
    assert_eq!(project.run("pubkey --check").0, 0);
    assert_eq!(project.run("verify").0, 3);
    assert_eq!(project.run(&format!("verify {}", project.path("lamp.bin").display())).0, 1);
    assert_eq!(project.run("keygen").0, 3);
    assert!(!project.path("was-run").exists());
    assert_eq!(project.run("sign").0, 3);
    assert!(project.path("was-run").exists());
}

#[cfg(unix)]
#[test]
fn what_a_command_does_wrong_is_refused() {
    if !crate::testing::has_tool("openssl") {
        return;
    }
    let example = workspace().join("keys.example/private.pem").display().to_string();
    let other = PADS.replace("safe/key", &example);
    for (command, public, says) in [
        ("sh -c 'echo no such key >&2; exit 4'", "keys/public.pem", "(exit status: 4); it said: no such key"),
        ("sleep 1000", "keys/public.pem", "did not finish within 1 s"),
        (&*other, "keys/public.pem", "another key made it"),
        ("missing-program", "keys/public.pem", "could not be started"),
        (PADS, "missing.pem", "the public key of the command"),
        (PADS, "safe/key", "a public key is needed"),
        (PADS, "lamp.bin", "lamp.bin"),
    ] {
        let settings = format!(
            "firmware = \"lamp.bin\"\nexample-key = '{example}'\nsigner-cmd = \"{command}\"\nsigner-timeout = 1\npublic-key = \"{public}\""
        );
        let project = by_openssl(Project::new(&settings).with_key("other.pem", "other.pem"));
        let (code, _, err) = project.run("sign");
        assert!(code == 3 && err.contains(says), "{command}, {public}: {err}");
        assert!(!project.path("target/otaseal/lamp/manifest.json").exists(), "{command}");
        // A command from the command line gets the same error.
        let project = by_openssl(Project::new("firmware = \"lamp.bin\"").with_key("other.pem", "other.pem"));
        let command = command.replace("safe/key", &project.path("safe/key").display().to_string());
        let (manifest, public) = (project.path("Cargo.toml"), project.path(public));
        let words = ["sign", "--signer-cmd", &command, "--signer-timeout", "1", "--manifest-path"]
            .map(OsString::from);
        let words = words.into_iter().chain([manifest.into(), "--public-key".into(), public.into()]);
        let (code, _, err) = project.run_words(words);
        assert!(code == 3 && err.contains(says), "{command}: {err}");
        assert!(!project.path("target/otaseal/lamp/manifest.json").exists(), "{command}");
    }
}
