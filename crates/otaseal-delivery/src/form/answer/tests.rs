use super::*;

const SUCCESS: &str = "<META http-equiv=\"refresh\" content=\"15;URL=/\">Update Success! Rebooting...";

fn page(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn chunked(body: &str) -> Vec<u8> {
    let mut text = String::from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in body.as_bytes().chunks(7) {
        text += &format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap());
    }
    (text + "0\r\n\r\n").into_bytes()
}

fn server(bytes: &[u8], closed: bool) -> Meaning {
    meaning(Form::UpdateServer, bytes, closed)
}

#[test]
fn success_of_the_update_server() {
    let page = page("200 OK", SUCCESS);
    assert_eq!(server(&page, false), Meaning::Took);
    // The device restarts after 100 ms. What is missing then does not matter.
    let cut = page.len() - 5;
    assert_eq!(server(&page[..cut], true), Meaning::Took);
}

#[test]
fn every_beginning_of_an_answer_is_no_answer_yet() {
    for page in [
        page("200 OK", SUCCESS),
        page("200 OK", "Update error: ERROR[4]: Not Enough Space\n"),
        chunked(SUCCESS),
    ] {
        for length in 0..page.len() {
            let found = server(&page[..length], false);
            assert!(matches!(found, Meaning::More | Meaning::Took), "{length}: {found:?}");
        }
        assert_ne!(server(&page, false), Meaning::More);
    }
}

#[test]
fn error_of_the_update_server() {
    for text in [
        "Update error: ERROR[4]: Not Enough Space\n",
        "Update error: ERROR[13]: No data supplied\r\n",
        "Update error: Aborted",
    ] {
        assert_eq!(server(&page("200 OK", text), false), Meaning::Refused(text.trim_end().into()));
    }
}

#[test]
fn status_401() {
    assert_eq!(server(&page("401 Unauthorized", ""), false), Meaning::Status(401));
}

#[test]
fn other_statuses() {
    for (status, code) in
        [("404 Not Found", 404), ("302 Found", 302), ("500 x", 500), ("204 No Content", 204), ("999", 999)]
    {
        // The words of success count for nothing there.
        assert_eq!(server(&page(status, SUCCESS), false), Meaning::Status(code));
    }
}

#[test]
fn an_interim_answer_is_skipped() {
    let bytes = [b"HTTP/1.1 100 Continue\r\n\r\n".as_slice(), &page("200 OK", SUCCESS)].concat();
    assert_eq!(server(&bytes, false), Meaning::Took);
    let many = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000);
    assert_eq!(server(&many, false), Meaning::Nonsense);
}

#[test]
fn a_page_without_a_length_ends_with_the_connection() {
    let page = b"HTTP/1.0 200 OK\r\n\r\nUpdate error: ERROR[10]: Magic byte is not 0xE9\n";
    assert_eq!(server(page, false), Meaning::More);
    assert_eq!(
        server(page, true),
        Meaning::Refused(b"Update error: ERROR[10]: Magic byte is not 0xE9".to_vec())
    );
}

#[test]
fn another_page_says_nothing() {
    assert_eq!(
        server(&page("200 OK", "<h1>Router</h1>"), false),
        Meaning::Other(b"<h1>Router</h1>".to_vec())
    );
}

#[test]
fn what_is_no_http_is_nonsense() {
    for bytes in [
        &b"SSH-2.0"[..],
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"\x00",
        b"HTTP/1.1 70000 x\r\n\r\n",
    ] {
        assert_eq!(server(bytes, false), Meaning::Nonsense, "{bytes:?}");
    }
    assert_eq!(server(b"HTTP/1.1 200", true), Meaning::Nonsense);
}

#[test]
fn an_answer_without_end_is_bounded() {
    let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
    bytes.resize(10_000_000, b'h');
    assert_eq!(server(&bytes, false), Meaning::Nonsense);
    let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n".to_vec();
    bytes.resize(10_000_000, b'x');
    assert!(matches!(server(&bytes, false), Meaning::Other(page) if page.len() < MAX_ANSWER));
}

#[test]
fn chunks_are_joined_and_odd_ones_do_no_harm() {
    assert_eq!(server(&chunked(SUCCESS), false), Meaning::Took);
    for chunk in ["zz\r\n", "ffffffffffffffffffff\r\n", "-1\r\n", "\r\n", "5\r\nabcdeXX"] {
        let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        assert!(matches!(server(bytes.as_bytes(), true), Meaning::Other(_)), "{chunk:?}");
    }
}

fn tasmota_page(rest: &str) -> Meaning {
    let body = format!("<div style='text-align:center;'><b>Upload <font color='#{rest}</div><br><div></div>");
    let whole = meaning(Form::Tasmota, &chunked(&body), false);
    assert_eq!(meaning(Form::Tasmota, &page("200 OK", &body), false), whole);
    whole
}

/// Words of `HandleUploadDone`, of old and new versions and in several languages.
#[test]
fn success_of_tasmota() {
    for rest in [
        "008000'>Successful</font></b><br><br><div style='text-align:center;'>Device will restart in a few seconds</div><br>",
        "green'>Successful</font></b><br/><br/><div style='text-align:center;'>Device will restart in a few seconds</div><br/>",
        "008000'>erfolgreich</font></b><br><br><div style='text-align:center;'>Gerät wird neu gestartet</div><br>",
    ] {
        assert_eq!(tasmota_page(rest), Meaning::Took);
    }
}

#[test]
fn errors_of_tasmota() {
    for text in [
        "No file selected",
        "Not enough space",
        "Magic byte is not 0xE9",
        "Program flash size is larger than real flash size",
        "Upload buffer miscompare",
        "Upload failed. Enable logging 3",
        "Upload aborted",
        "File invalid",
        "File too large",
        "Upload error code 12",
        "Zu wenig Speicherplatz",
    ] {
        for begin in ["ff0000'>Failed</font></b><br><br>", "red'>Failed</font></b><br/><br/>"] {
            assert_eq!(tasmota_page(&format!("{begin}{text}")), Meaning::Refused(text.into()));
        }
    }
}

#[test]
fn another_page_of_tasmota_says_nothing() {
    let found = meaning(Form::Tasmota, &page("200 OK", "<h2>Main Menu</h2>"), false);
    assert!(matches!(found, Meaning::Other(_)));
}
