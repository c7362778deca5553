use super::*;
use bytes::Bytes;

fn request(url: &str, image: &'static [u8]) -> Request {
    Request::new(Url::parse(url).unwrap(), "192.168.1.50:80".parse().unwrap(), Bytes::from_static(image))
}

fn text(request: &Request) -> String {
    let envelope = envelope(request, [0x0A; 8]);
    String::from_utf8([&envelope.before[..], &request.image, &envelope.after].concat()).unwrap()
}

#[test]
fn the_request_is_what_the_device_understands() {
    let expected = "POST /update HTTP/1.1\r\n\
        Host: 192.168.1.50\r\n\
        Authorization: Basic YWRtaW46c2VjcmV0\r\n\
        Connection: close\r\n\
        Content-Type: multipart/form-data; boundary=otaseal0a0a0a0a0a0a0a0a\r\n\
        Content-Length: 179\r\n\
        \r\n\
        --otaseal0a0a0a0a0a0a0a0a\r\n\
        Content-Disposition: form-data; name=\"firmware\"; filename=\"firmware.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\
        \r\n\
        image\r\n\
        --otaseal0a0a0a0a0a0a0a0a--\r\n";
    let found = text(&request("http://admin:secret@192.168.1.50/", b"image"));
    assert_eq!(found, expected);
    let (_, body) = found.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), 179);
}

#[test]
fn a_filesystem_has_its_own_field() {
    let mut request = request("http://x:8080/", b"fs");
    request.content = Content::Filesystem;
    let text = text(&request);
    assert!(text.contains("name=\"filesystem\"; filename=\"filesystem.bin\"\r\n"));
    assert!(text.contains("Host: x:8080\r\n") && !text.contains("Authorization"));
}

#[test]
fn tasmota_has_its_own_field_and_wants_a_referer_with_its_address() {
    let request = request("http://tasmota.local/u2", b"image");
    let text = text(&request);
    assert!(
        text.starts_with("POST /u2 HTTP/1.1\r\nHost: tasmota.local\r\nReferer: http://192.168.1.50/\r\n")
    );
    assert!(text.contains("name=\"u2\"; filename=\"firmware.bin\"\r\n"));
    let page = String::from_utf8(ask(&request, "/up").to_vec()).unwrap();
    let expected = "GET /up HTTP/1.1\r\nHost: tasmota.local\r\nReferer: http://192.168.1.50/\r\nConnection: close\r\n\r\n";
    assert_eq!(page, expected);
}

#[test]
fn there_are_no_chunks_and_no_expectations() {
    let text = text(&request("http://x/", b"image")).to_ascii_lowercase();
    assert!(!text.contains("chunked") && !text.contains("expect"));
    // The boundary is the only parameter.
    assert!(text.contains("content-type: multipart/form-data; boundary=otaseal"));
}

#[test]
fn an_image_that_ends_like_a_form_is_found() {
    assert!(!hides_its_end(b""));
    assert!(!hides_its_end(b"\r\n-"));
    assert!(hides_its_end(b"x\r\n--"));
    assert!(hides_its_end(&[b"\r\n--".as_slice(), &[0; 22]].concat()));
    assert!(!hides_its_end(&[b"\r\n--".as_slice(), &[0; 23]].concat()));
    assert_eq!(boundary([0xFF; 8]).len(), BOUNDARY);
}
