//! The pages of a device.

/// A page, and whether the device restarts after it.
pub(super) struct Page {
    pub(super) bytes: Vec<u8>,
    pub(super) restarts: bool,
}

pub(super) fn raw(bytes: &[u8]) -> Page {
    Page { bytes: bytes.to_vec(), restarts: false }
}

fn page(status: &str, headers: &str, body: &str) -> Page {
    let length = body.len();
    raw(format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n\
         {body}"
    )
    .as_bytes())
}

/// `serverIndex`, without its style.
pub(super) fn form() -> Page {
    page(
        "200 OK",
        "",
        "<form method='POST' action='' enctype='multipart/form-data'>Firmware:<br><input type='file' \
         name='firmware'></form><form method='POST' action='' enctype='multipart/form-data'>FileSystem:<br><input \
         type='file' name='filesystem'></form>",
    )
}

/// `successResponse`.
pub(super) fn success() -> Page {
    let page = page(
        "200 OK",
        CORS,
        "<META http-equiv=\"refresh\" content=\"15;URL=/\">Update Success! Rebooting...",
    );
    Page { restarts: true, ..page }
}

/// Cores from 3.1.0 on have it.
const CORS: &str = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: *\r\n";

pub(super) fn error(text: &str) -> Page {
    page("200 OK", CORS, &format!("Update error: {text}\n"))
}

pub(super) fn unauthorized() -> Page {
    page("401 Unauthorized", "WWW-Authenticate: Basic realm=\"Login Required\"\r\n", "")
}

pub(super) fn not_found(path: &str) -> Page {
    page("404 Not Found", "", &format!("Not found: {path}"))
}

/// A page that never ends.
pub(super) fn endless() -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec();
    bytes.resize(8192, b'x');
    bytes
}

pub(super) fn tasmota_form() -> Page {
    chunked(
        "<form method='post' action='u2' enctype='multipart/form-data'><br><input type='file' name='u2'><br></form>",
        false,
    )
}

/// `HandleUploadDone`, in another language than English.
pub(super) fn tasmota(error: Option<&str>) -> Page {
    let begin = "<!DOCTYPE html><html lang=\"de\"><script>setTimeout(function(){location.href='.';},24000);</script>\
                 <div style='text-align:center;'><b>Hochladen <font color='#";
    let verdict = match error {
        Some(error) => format!("ff5661'>Fehlgeschlagen</font></b><br><br>{error}"),
        None => "008000'>erfolgreich</font></b><br><br><div style='text-align:center;'>Ger\u{e4}t wird neu \
                 gestartet</div><br>"
            .into(),
    };
    chunked(&format!("{begin}{verdict}</div><br><p></p></html>"), error.is_none())
}

/// Tasmota sends its pages in chunks of about 400 bytes.
fn chunked(body: &str, restarts: bool) -> Page {
    let mut bytes =
        b"HTTP/1.1 200 OK\r\nServer: Tasmota/14.2.0 (ESP8285N08)\r\nCache-Control: no-cache, no-store\r\n\
        Content-Type: text/html\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            .to_vec();
    for chunk in body.as_bytes().chunks(100) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    Page { bytes, restarts }
}
