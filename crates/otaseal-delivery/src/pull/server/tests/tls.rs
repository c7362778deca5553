//! TLS for devices with small buffers, with the programs of others as peers.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::*;
use crate::pull::tls::{RECORD_BYTES, Tls, TlsError};

/// A folder with a certificate and its key, as the error texts of the program tell people to make them.
struct Own(tempfile::TempDir);

impl Own {
    fn new(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = format!(
            "req -x509 -newkey {kind} -nodes -days 30 -subj /CN=localhost -keyout server.key -out server.pem"
        );
        run(openssl(&made).current_dir(folder.path()), b"");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn tls(&self, record: usize) -> Tls {
        let of = |name: &str| std::fs::read(self.path(name)).unwrap();
        Tls::new(&of("server.pem"), &of("server.key"), record).unwrap()
    }
}

const EC: &str = "ec -pkeyopt ec_paramgen_curve:P-256";

fn openssl(words: &str) -> Command {
    let mut command = Command::new("openssl");
    command.args(words.split_whitespace());
    command
}

/// Runs a program with this input. Its failure is one of the test.
fn run(command: &mut Command, input: &[u8]) -> Output {
    let output = output(command, input);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn output(command: &mut Command, input: &[u8]) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap_or_else(|error| panic!("the tests need it: {command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn port_with(tls: &Tls) -> Port {
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    start_with(catalogue(50_000), Settings::default(), Limits::default(), Some(acceptor))
}

/// Passes one connection on, and returns what the server said.
fn watched(server: SocketAddr) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(server).unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let up = std::thread::spawn(move || {
            let _ = io::copy(&mut from_client, &mut to_server);
            let _ = to_server.shutdown(std::net::Shutdown::Write);
        });
        let (mut said, mut part) = (Vec::new(), [0; 4096]);
        while let Ok(bytes @ 1..) = server.read(&mut part) {
            said.extend_from_slice(&part[..bytes]);
            if client.write_all(&part[..bytes]).is_err() {
                break;
            }
        }
        drop(client.shutdown(std::net::Shutdown::Both));
        up.join().unwrap();
        said
    });
    (address, thread)
}

/// The records in what a server said: type and whole length.
fn records(mut said: &[u8]) -> Vec<(u8, usize)> {
    let mut found = Vec::new();
    while let [kind, 3, _, high, low, ..] = *said {
        let length = 5 + usize::from(u16::from_be_bytes([high, low]));
        found.push((kind, length));
        said = said.get(length..).expect("a record is cut");
    }
    assert!(said.is_empty(), "no record: {:?}", &said[..said.len().min(8)]);
    found
}

fn s_client(address: SocketAddr, words: &str) -> Command {
    openssl(&format!("s_client -connect {address} -servername localhost -quiet -ign_eof {words}"))
}

#[test]
fn every_record_is_as_short_as_the_smallest_buffer() {
    let own = Own::new(EC);
    for record in [RECORD_BYTES, 1_024] {
        let port = port_with(&own.tls(record));
        for version in ["-tls1_2", "-tls1_3"] {
            let (address, said) = watched(port.address);
            let output = run(&mut s_client(address, version), ESP8266.as_bytes());
            assert!(Reply::parse(&output.stdout).body == image(50_000), "{version}: another image");
            let records = records(&said.join().unwrap());
            let longest = records.iter().map(|(_, length)| *length).max().unwrap();
            // AES-GCM of TLS 1.2 adds 8 bytes of nonce and 16 of tag.
            assert!(longest <= record + 24 && longest > record / 2, "{version}: {longest}");
            // 22: the handshake, whose certificate is the longest part of it in TLS 1.2.
            let handshake = || records.iter().filter(|(kind, _)| *kind == 22).map(|(_, length)| *length);
            assert!(
                handshake().count() > 0 && handshake().all(|length| length <= record + 24),
                "{records:?}"
            );
            assert_eq!(port.record().evidence, Some(Evidence::Sent));
        }
    }
}

#[test]
fn older_versions_than_tls_1_2_are_refused() {
    let port = port_with(&Own::new(EC).tls(RECORD_BYTES));
    for version in ["-tls1", "-tls1_1"] {
        let mut client = s_client(port.address, &format!("{version} -cipher DEFAULT@SECLEVEL=0"));
        assert!(!output(&mut client, ESP8266.as_bytes()).status.success(), "{version}");
        let record = port.record();
        assert!(record.status.is_none() && record.why.unwrap_err().starts_with("no TLS session"));
    }
    // Somebody speaks without TLS.
    let mut stream = port.connect();
    stream.write_all(ESP8266.as_bytes()).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(port.record().why.unwrap_err().starts_with("no TLS session"));
}

#[test]
fn a_handshake_that_never_ends_ends() {
    let acceptor = TlsAcceptor::from(Own::new(EC).tls(RECORD_BYTES).config);
    let limits = Limits { request: Duration::from_millis(300), ..Limits::default() };
    let port = start_with(catalogue(1_000), Settings::default(), limits, Some(acceptor));
    let mut stream = port.connect();
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(port.record().why, Err("no TLS session in time".into()));
}

#[test]
fn a_session_is_resumed() {
    let own = Own::new(EC);
    let port = port_with(&own.tls(RECORD_BYTES));
    let session = own.path("session").display().to_string();
    let client = |words: &str| {
        let words = format!("s_client -connect {} -tls1_2 -ign_eof {words} {session}", port.address);
        let output = run(&mut openssl(&words), ESP8266.as_bytes());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(client("-sess_out").contains("New, TLSv1.2"));
    assert!(client("-sess_in").contains("Reused, TLSv1.2"));
}

#[test]
fn the_fingerprints_are_those_of_openssl() {
    let own = Own::new(EC);
    let tls = own.tls(RECORD_BYTES);
    let of = |digest: &str| {
        let words = format!("x509 -noout -fingerprint -{digest} -in {}", own.path("server.pem").display());
        let output = run(&mut openssl(&words), b"");
        String::from_utf8(output.stdout).unwrap().trim().split_once('=').unwrap().1.to_owned()
    };
    assert_eq!(tls.fingerprint, of("sha1"));
    assert_eq!(tls.sha256.to_string(), of("sha256").replace(':', "").to_lowercase());
    assert!(tls.doubts.is_empty(), "{:?}", tls.doubts);
}

#[test]
fn an_rsa_key_is_slow_and_said_so() {
    let tls = Own::new("rsa:2048").tls(RECORD_BYTES);
    assert!(tls.doubts[0].contains("RSA"), "{:?}", tls.doubts);
    let port = port_with(&tls);
    let output = run(&mut s_client(port.address, "-tls1_2"), ESP8266.as_bytes());
    assert!(Reply::parse(&output.stdout).body == image(50_000), "another image");
}

#[test]
fn what_is_no_certificate_is_refused() {
    let (own, other) = (Own::new(EC), Own::new(EC));
    let of = |own: &Own, name: &str| std::fs::read(own.path(name)).unwrap();
    let (chain, key) = (of(&own, "server.pem"), of(&own, "server.key"));
    let error = |chain: &[u8], key: &[u8], record| Tls::new(chain, key, record).unwrap_err();
    assert!(matches!(error(b"", &key, RECORD_BYTES), TlsError::NoCertificate));
    assert!(matches!(error(&key, &key, RECORD_BYTES), TlsError::NoCertificate));
    assert!(matches!(error(&chain, &chain, RECORD_BYTES), TlsError::NoKey));
    assert!(matches!(error(&chain, &of(&other, "server.key"), RECORD_BYTES), TlsError::Unusable(_)));
    for record in [0, 36, 16_390] {
        assert!(matches!(error(&chain, &key, record), TlsError::Record(_)));
    }
}

/// Compiles the client that stands for a device.
fn bearssl(folder: &Path) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/bearssl/download.c");
    let program = folder.join("download");
    run(Command::new("gcc").args(["-O1", source, "-lbearssl", "-o"]).arg(&program), b"");
    program
}

#[test]
fn bearssl_downloads_with_a_buffer_of_512_bytes_and_resumes() {
    let has = |name: &str| Command::new(name).arg("--version").output().is_ok();
    if !has("gcc") || !Path::new("/usr/include/bearssl.h").exists() {
        return crate::testing::skipped("gcc or libbearssl-dev");
    }
    let own = Own::new(EC);
    let key = format!("pkey -pubout -outform DER -in {}", own.path("server.key").display());
    let der = run(&mut openssl(&key), b"").stdout;
    let point: String = der[der.len() - 65..].iter().map(|byte| format!("{byte:02x}")).collect();
    let program = bearssl(own.0.path());
    let download = |port: &Port, buffer: &str| {
        let port = port.address.port().to_string();
        output(Command::new(&program).args([&port, buffer, &point]), ESP8266.as_bytes())
    };
    let port = port_with(&own.tls(RECORD_BYTES));
    for buffer in ["512", "1024", "16384"] {
        let output = download(&port, buffer);
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(says, "version 0303\nresumed\n", "{buffer}");
        assert!(Reply::parse(&output.stdout).body == image(50_000), "{buffer}: another image");
        for _ in 0..2 {
            assert_eq!(port.record().evidence, Some(Evidence::Sent));
        }
    }
    // Without the cap, such a device gives up: BR_ERR_TOO_LARGE.
    let port = port_with(&own.tls(16_389));
    assert_eq!(String::from_utf8_lossy(&download(&port, "512").stderr), "error 6\n");
}
