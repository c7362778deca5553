//! Bytes that the specification recorded from browsers and real devices.

use super::*;
use crate::sim::image::Sample;
use tokio::io::AsyncReadExt;

fn sample(version: &str) -> Vec<u8> {
    Sample { name: "lamp", version, bytes: 20_000, seed: 9 }.esp8266()
}

fn settings() -> Settings {
    Settings::new(Board::new("esp8266@3.1.2/unsigned".parse().unwrap(), &sample("1.0.0")))
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(20), test).await.expect("it hangs")
    })
}

/// Sends these bytes on one connection, and returns what comes back.
async fn say(device: &Running<Report>, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(device.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn post(headers: &str, part: &str, image: &[u8], end: &str) -> Vec<u8> {
    let mut bytes = format!(
        "POST /update HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=X\r\n{headers}\r\n--X\r\n{part}\r\n"
    )
    .into_bytes();
    bytes.extend(image);
    bytes.extend(end.as_bytes());
    bytes
}

const PART: &str = "Content-Disposition: form-data; name=\"firmware\"; filename=\"f.bin\"\r\n\
    Content-Type: application/octet-stream\r\n";

async fn with(settings: Settings) -> Running<Report> {
    start(settings, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

#[test]
fn a_browsers_upload_is_taken() {
    run(async {
        let device = with(settings()).await;
        let answer = say(&device, &post("", PART, &sample("2.0.0"), "\r\n--X--\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(
            answer
                .ends_with("<META http-equiv=\"refresh\" content=\"15;URL=/\">Update Success! Rebooting...")
        );
        let report = device.stop().await;
        assert!(report.board.running() == sample("2.0.0"), "it runs something else");
    });
}

#[test]
fn another_header_of_the_part_becomes_part_of_the_file() {
    run(async {
        let device = with(settings()).await;
        let part = "Content-Disposition: form-data; name=\"firmware\"; filename=\"f.bin\"\r\n\
            Content-Transfer-Encoding: binary\r\nContent-Type: application/octet-stream\r\n";
        let answer = say(&device, &post("", part, &sample("2.0.0"), "\r\n--X--\r\n")).await;
        assert!(answer.contains("Update error: ERROR["), "{answer}");
        assert_eq!(device.stop().await.board.starts(), 0);
    });
}

/// The image is committed although the host left before the end, and runs after the next restart.
#[test]
fn a_host_that_leaves_before_the_last_boundary_updates_the_device_in_silence() {
    run(async {
        let device = with(settings()).await;
        let mut stream = TcpStream::connect(device.address()).await.unwrap();
        stream.write_all(&post("", PART, &sample("2.0.0"), "\r\n--X")).await.unwrap();
        drop(stream);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let mut report = device.stop().await;
        assert_eq!((report.aborted, report.board.starts()), (1, 0));
        report.board.restart();
        assert!(report.board.running() == sample("2.0.0"), "it runs something else");
    });
}

/// A request without a file gets the verdict of the one before.
#[test]
fn a_form_without_a_file_gets_the_verdict_of_the_one_before() {
    run(async {
        let mut settings = settings();
        settings.login = Some(("admin".into(), "secret".into()));
        let device = with(settings).await;
        let empty = b"POST /update HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=X\r\n\r\n--X\r\n\
            Content-Disposition: form-data; name=\"x\"\r\n\r\nno file\r\n--X--\r\n";
        assert!(say(&device, empty).await.starts_with("HTTP/1.1 401 "));
        let aborted = post("Authorization: Basic YWRtaW46c2VjcmV0\r\n", PART, &sample("2.0.0"), "\r\n--X");
        let mut stream = TcpStream::connect(device.address()).await.unwrap();
        stream.write_all(&aborted).await.unwrap();
        drop(stream);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        // Nobody gave a password with this one.
        assert!(say(&device, empty).await.contains("Update Success"));
        let report = device.stop().await;
        assert_eq!((report.aborted, report.board.starts()), (1, 1));
    });
}

#[test]
fn a_wrong_password_is_found_after_the_whole_file() {
    run(async {
        let mut settings = settings();
        settings.login = Some(("admin".into(), "secret".into()));
        let device = with(settings).await;
        let answer = say(&device, &post("", PART, &sample("2.0.0"), "\r\n--X--\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"));
        assert!(answer.contains("WWW-Authenticate: Basic realm=\"Login Required\"\r\n"));
        let report = device.stop().await;
        assert_eq!(report.received, sample("2.0.0").len() as u64);
        assert_eq!(report.board.starts(), 0);
    });
}

#[test]
fn a_second_parameter_of_the_content_type_spoils_the_boundary() {
    run(async {
        let device = with(settings()).await;
        let text = String::from(
            "POST /update HTTP/1.1\r\nContent-Type: multipart/form-data; charset=utf-8; boundary=X\r\n\r\n--X\r\n",
        );
        assert_eq!(say(&device, text.as_bytes()).await, "");
    });
}

#[test]
fn a_request_without_end_is_bounded() {
    run(async {
        let device = with(settings()).await;
        let mut stream = TcpStream::connect(device.address()).await.unwrap();
        let _ = stream.write_all(&[b'x'; 100_000]).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
        // Others are still served.
        let page = say(&device, b"GET /update HTTP/1.1\r\n\r\n").await;
        assert!(page.contains("name='filesystem'"));
    });
}

/// A peer: curl sends the form as a browser does.
#[allow(clippy::print_stderr)]
#[test]
fn an_upload_by_curl_is_taken() {
    use std::process::Command;
    if Command::new("curl").arg("-V").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs curl");
        eprintln!("SKIPPED: no curl");
        return;
    }
    run(async {
        let mut settings = settings();
        settings.login = Some(("admin".into(), "secret".into()));
        let device = with(settings).await;
        let url = format!("http://{}/update", device.address());
        let curl = tokio::task::spawn_blocking(move || {
            let mut child = Command::new("curl")
                .args(["--silent", "--user", "admin:secret", "--header", "Expect:"])
                .args(["--form", "firmware=@-;filename=f.bin", &url])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), &sample("2.0.0")).unwrap();
            child.wait_with_output().unwrap().stdout
        });
        let answer = String::from_utf8(curl.await.unwrap()).unwrap();
        assert!(answer.ends_with("Update Success! Rebooting..."), "{answer}");
        let report = device.stop().await;
        assert!(report.board.running() == sample("2.0.0"), "it runs something else");
    });
}
