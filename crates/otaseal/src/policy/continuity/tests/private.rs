//! Tests private keys in every form, and bytes that only look like one.

use super::*;

#[test]
fn private_keys_of_every_kind_are_found() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("key.pem"), private("keys.example/private.pem")).unwrap();
    for words in [
        "rsa -in key.pem -traditional -out rsa.pem",
        "pkey -in key.pem -outform DER -out pkcs8.der",
        "rsa -in key.pem -traditional -outform DER -out rsa.der",
        "pkey -in key.pem -aes256 -passout pass:secret -out encrypted.pem",
        "rsa -in key.pem -traditional -aes256 -passout pass:secret -out old-encrypted.pem",
        "ecparam -name prime256v1 -genkey -noout -out ec.pem",
        "genpkey -algorithm ed25519 -out ed25519.pem",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -outform DER -out small.der",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3 -outform DER -out e3.der",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -outform DER -out large.der",
        "ec -in ec.pem -outform DER -out ec.der",
        "ec -in ec.pem -no_public -param_enc explicit -outform DER -out ec-alone.der",
        "pkcs8 -topk8 -nocrypt -in ec.pem -outform DER -out ec8.der",
        "ecparam -name secp521r1 -genkey -noout -outform DER -out ec521.der",
        "pkey -in ed25519.pem -outform DER -out ed25519.der",
        "genpkey -algorithm X448 -outform DER -out x448.der",
        "pkcs8 -topk8 -in ec.pem -passout pass:secret -outform DER -out locked.der",
        "pkcs8 -topk8 -in key.pem -scrypt -passout pass:secret -outform DER -out scrypt.der",
        "pkcs8 -topk8 -in key.pem -v1 PBE-SHA1-3DES -passout pass:secret -outform DER -out pbes1.der",
        "req -x509 -new -key key.pem -subj /CN=example -days 9 -out c.pem",
        "pkcs12 -export -in c.pem -inkey key.pem -passout pass:secret -out bag.p12",
    ] {
        openssl(dir.path(), words);
    }
    let escaped = String::from_utf8(private("keys.example/private.pem")).unwrap().replace('\n', "\\n");
    fs::write(dir.path().join("account.json"), format!("{{\"private_key\":\"{escaped}\"}}")).unwrap();
    for (name, ends) in [
        ("quoted.json", "\\\\n"),
        ("windows.json", "\\r\\n"),
        ("strings.c", "\\n\"\r\n    \""),
        ("list.py", "\",\n  \""),
        ("zeros", "\0"),
    ] {
        let joined = String::from_utf8(private("keys.example/private.pem")).unwrap().replace('\n', ends);
        fs::write(dir.path().join(name), joined).unwrap();
        let ec = fs::read_to_string(dir.path().join("ec.pem")).unwrap().replace('\n', ends);
        fs::write(dir.path().join(format!("ec.{name}")), ec).unwrap();
    }
    let described = escaped.replace("-----\\nM", "-----\nComment: the fleet's\n\nM").replace("\\n", "\n");
    fs::write(dir.path().join("header.pem"), described).unwrap();
    for name in [
        "key.pem",
        "rsa.pem",
        "pkcs8.der",
        "rsa.der",
        "encrypted.pem",
        "old-encrypted.pem",
        "ec.pem",
        "ed25519.pem",
        "small.der",
        "e3.der",
        "large.der",
        "ec.der",
        "ec-alone.der",
        "ec8.der",
        "ec521.der",
        "ed25519.der",
        "x448.der",
        "locked.der",
        "scrypt.der",
        "pbes1.der",
        "bag.p12",
        "account.json",
        "quoted.json",
        "windows.json",
        "strings.c",
        "list.py",
        "zeros",
        "ec.quoted.json",
        "ec.windows.json",
        "ec.strings.c",
        "ec.zeros",
        "header.pem",
    ] {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        let pem_at = memchr::memmem::find(&bytes, b"-----BEGIN").unwrap_or(0);
        // The key is also cut off in the middle: the rest is still a secret.
        for bytes in [&bytes[..], &bytes[..bytes.len() * 3 / 4]] {
            if bytes.len() < pem_at + 100 && pem_at > 0 || bytes.len() < 180 && !name.ends_with("der") {
                continue;
            }
            // A public key beside it does not help.
            let image = within(&[bytes, example().to_spki_pem().as_bytes()].concat());
            let found = search(&image, &[&example()]);
            let private = found.private.unwrap_or_else(|| panic!("{name}, {} bytes", bytes.len()));
            // A PKCS#12 file has its certificates first.
            let end = if name == "bag.p12" { 1000 + bytes.len() } else { 1040 };
            assert!((1000..end).contains(&private.offset), "{name}: {private}");
            let rule = Rule {
                rotate_to: vec![NextKey::Key(example())],
                without_key: WithoutKey::Allow,
                ..Rule::default()
            };
            for content in [Content::Firmware, Content::Filesystem] {
                let refused = check(&image, content, Some(&example()), &rule);
                assert!(matches!(refused, Err(ContinuityError::PrivateKey(_))), "{name}");
            }
        }
    }
}

#[test]
fn labels_of_a_tls_library_are_no_keys() {
    let strings =
        b"-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----\0-----BEGIN PRIVATE KEY-----\0\0\
                    -----BEGIN EC PRIVATE KEY-----\0-----BEGIN PUBLIC KEY-----\0-----BEGIN PRIVATE KEY-----\0\
                    Proc-Type: 4,ENCRYPTED\0DEK-Info: DES-EDE3-CBC,\0DEK-Info: AES-256-CBC,\0\
                    MIMEtypeofthispartisnotknowntothislibraryorithasbeenswitchedoffinitsconfiguration\0\
                    RSA - The private key is larger than what this library was built for, see MPI_MAX_SIZE\0";
    let found = search(&within(strings), &[&example()]);
    assert!(found.keys.is_empty() && found.private.is_none(), "{found:?}");
    for end in [
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA",
        "-----BEGIN RSA PRIVATE",
    ] {
        let found = search(&[&noise(100, 7)[..], end.as_bytes()].concat(), &[]);
        assert!(found.private.is_none(), "{end:?} at the end is too little to be a key");
    }
}

/// Bytes that have the parts of a private key in DER, and are not a key.
#[test]
fn what_looks_like_a_private_key_in_der_is_none() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("key.pem"), private("keys.example/private.pem")).unwrap();
    fs::write(dir.path().join("text"), "text").unwrap();
    for words in [
        "req -x509 -new -key key.pem -subj /CN=example -days 9 -out c.pem",
        "pkcs12 -export -nokeys -in c.pem -passout pass:secret -out certificates.p12",
        "cms -sign -binary -nodetach -in text -signer c.pem -inkey key.pem -outform DER -out signed.der",
        "cms -EncryptedData_encrypt -in text -secretkey 00112233445566778899aabbccddeeff -aes128 -outform DER -out data.der",
        "cms -encrypt -in text -aes128 -outform DER -out enveloped.der c.pem",
        "genpkey -genparam -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -outform DER -out curve.der",
    ] {
        openssl(dir.path(), words);
    }
    let mut files = Vec::new();
    for name in ["certificates.p12", "signed.der", "data.der", "enveloped.der", "curve.der"] {
        files.push((name, fs::read(dir.path().join(name)).unwrap()));
    }
    // A TLS library's object identifiers, one after another as in its tables.
    let mut table = Vec::new();
    for last in 1..=13 {
        table.extend([6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 5, last, 0x30, 0x1B, 4, 8]);
        table.extend([6, 10, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 12, 1, last]);
    }
    files.push(("identifiers", table));
    // A library that writes keys holds these headers, one after another or before text.
    let ed25519 = [0x30, 0x2E, 2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let x25519 = [0x30, 0x2E, 2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x6E, 4, 0x22, 4, 0x20];
    let ed448 = [0x30, 0x47, 2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x71, 4, 0x3B, 4, 0x39];
    files.push(("headers", [&x25519[..], &ed25519, &ed448, &ed448, b"Could not encode the key\0"].concat()));
    files.push(("a header and text", [&ed25519[..], b"%s: the seed has another length than 32\0"].concat()));
    files.push(("a header and zeros", [&ed25519[..], &[0; 16], example().to_spki_der()].concat()));
    let p256: &[u8] = &[
        0x30, 0x81, 0x87, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1, 6, 8, 0x2A, 0x86,
        0x48, 0xCE, 0x3D, 3, 1, 7, 4, 0x6D, 0x30, 0x6B, 2, 1, 1, 4, 0x20, 0xA1, 0x44, 3, 0x42, 0,
    ];
    files.push(("a curve's headers", [p256, b"the curve is not known to this library"].concat()));
    let request: &[u8] = &[0x30, 0x40, 2, 1, 1, 4, 24];
    files.push(("a packet of SNMP", [request, b"a community of 24 letters", &[0x1C, 2, 1, 0]].concat()));
    let public =
        example().to_spki_pem().replace("PUBLIC KEY", "PRIVATE KEY").replace("-----END", "\0\0-----END");
    files.push((
        "a public key behind a label",
        public.replace("KEY-----\n", "KEY-----\0label\0").into_bytes(),
    ));
    for (name, bytes) in files {
        let found = search(&within(&bytes), &[]);
        assert!(found.private.is_none(), "{name}: {:?}", found.private);
    }
    // Every header counts: with a change in one of them, otaseal does not take it for a key.
    openssl(dir.path(), "genpkey -algorithm ed25519 -outform DER -out ed25519.der");
    let good = fs::read(dir.path().join("ed25519.der")).unwrap();
    assert!(search(&good, &[]).private.is_some());
    for at in [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13] {
        let mut bad = good.clone();
        bad[at] ^= 0x44;
        assert!(search(&bad, &[]).private.is_none(), "byte {at}");
    }
}

/// Bare numbers look like any bytes. Only the key that signs can recognise its own.
#[test]
fn the_numbers_of_the_key_that_signs_are_found() {
    let key = PrivateKey::from_bytes(&private("keys.example/private.pem")).unwrap();
    let der = key.to_pkcs1_der().unwrap();
    let numbers = rsa::pkcs1::RsaPrivateKeyRef::try_from(&der[..]).unwrap();
    let with = |number: &[u8], signer: &dyn Signer| {
        let image = within(&[number, example().to_spki_pem().as_bytes()].concat());
        check(&image, Content::Firmware, Some(signer), &Rule::default())
    };
    for number in [numbers.prime1, numbers.prime2, numbers.private_exponent] {
        let big = number.as_bytes().to_vec();
        let little: Vec<u8> = big.iter().rev().copied().collect();
        for number in [big, little] {
            let refused = with(&number, &key);
            assert!(
                matches!(&refused, Err(ContinuityError::PrivateKey(private)) if private.offset == 1000),
                "{refused:?}"
            );
            assert!(with(&number[1..], &key).is_ok(), "that is another number");
            assert!(with(&number, key.public()).is_ok(), "the public half does not know it");
        }
    }
}
