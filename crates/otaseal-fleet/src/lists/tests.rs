use super::csv::{Fault, ListError, read};
use super::export::{COLUMNS, Export, Form};
use super::*;
use crate::store::rows::{DeviceId, DeviceRow, ReleaseId, Source, Standing};
use proptest::prelude::*;

fn faults(text: &str) -> Vec<Fault> {
    match read(text.as_bytes(), 7) {
        Err(ListError::Faults(faults)) => faults,
        other => panic!("{text:?}: {other:?}"),
    }
}

fn lines(text: &str) -> Vec<u64> {
    let faults = faults(text);
    assert!(!faults.iter().any(|fault| fault.to_string().chars().any(char::is_control)), "{faults:?}");
    faults.iter().map(|fault| fault.line).collect()
}

fn exported(form: Form, rows: &[DeviceRow]) -> String {
    let mut export = Export::new(form, Vec::new()).unwrap();
    rows.iter().for_each(|row| export.device(row).unwrap());
    String::from_utf8(export.end().unwrap()).unwrap()
}

#[test]
fn a_list_of_devices_is_read() {
    let list = "\u{feff}Name;MAC;Site;Tags;Board;Profile\r\n\
                Kitchen lamp;5c-cf-7f-aa-bb-01;Berlin;lamp, kitchen lamp;d1_mini;esp8266@2.7.4\r\n\
                \r\n\
                ;5CCF7FAABB02;;;;esp32c3@3.x\r\n";
    let devices = read(list.as_bytes(), 7).unwrap();
    let expected = DeviceRow {
        family: Some(Family::Esp8266),
        mac: "5C:CF:7F:AA:BB:01".parse().ok(),
        standing: Standing::Accepted,
        source: Source::Person,
        name: "Kitchen lamp".into(),
        site: "Berlin".into(),
        tags: vec!["kitchen".into(), "lamp".into()],
        board: Some("d1_mini".into()),
        profile: Some("esp8266@2.7.4".into()),
        first_seen: 7,
        ..DeviceRow::default()
    };
    assert_eq!(devices[0], expected);
    assert_eq!((devices[1].family, devices[1].name.as_str()), (Some(Family::Esp32), ""));
    assert_eq!(devices.len(), 2);
    let minimal = read(&b"chip-id,family\n1458415,ESP8266\n"[..], 0).unwrap();
    assert_eq!(minimal[0].chip_id.as_deref(), Some("1458415"));
    assert_eq!(read(&b"mac,profile\n"[..], 0).unwrap(), []);
}

#[test]
fn faults_are_told_by_their_lines() {
    let long = "x".repeat(MAX_TEXT + 1);
    let many_tags = (0..=MAX_TAGS).map(|tag| tag.to_string()).collect::<Vec<_>>().join(" ");
    let list = format!(
        "name,mac,profile,family,tags,note\n\
         fine,5C:CF:7F:00:00:01,esp8266@3.1.2,,,\n\
         no address,,esp8266@3.1.2,,,\n\
         no mac,5C:CF:7F:00:00,esp8266@3.1.2,,,\n\
         twice,5c-cf-7f-00-00-01,esp8266@3.1.2,,,\n\
         no family,5C:CF:7F:00:00:02,,,,\n\
         odd family,5C:CF:7F:00:00:03,,esp9,,\n\
         two families,5C:CF:7F:00:00:04,esp8266@3.1.2,esp32,,\n\
         odd profile,5C:CF:7F:00:00:05,toaster\x1b[2J,,,\n\
         too few,5C:CF:7F:00:00:06\n\
         too many,5C:CF:7F:00:00:07,esp8266@3.1.2,,,,\n\
         {long},5C:CF:7F:00:00:08,esp8266@3.1.2,,,\n\
         hid\u{202e}den,5C:CF:7F:00:00:09,esp8266@3.1.2,,,\n\
         tags,5C:CF:7F:00:00:0A,esp8266@3.1.2,,{many_tags},\n\
         tag,5C:CF:7F:00:00:0B,esp8266@3.1.2,,{long},\n\
         \"two\nlines\",5C:CF:7F:00:00:0C,esp8266@3.1.2,,,\n\
         fine,5C:CF:7F:00:00:01,,esp32,,\n\
         no quote,\"5C\"x,,esp32,,\n\
         never read,,,,,\n"
    );
    assert_eq!(lines(&list), [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19]);
    assert_eq!(faults(&list)[2].what, "esp8266 5C:CF:7F:00:00:01 is in line 2 already");
}

#[test]
fn a_header_that_is_not_understood_is_refused() {
    for header in [
        "",
        "\n\n",
        "name,site\n",
        "mac,mac\n",
        "mac,colour\n",
        "mac,\n",
        "mac,na\x1bme\n",
        "lamp,5C:CF:7F:00:00:01\n",
    ] {
        let line = lines(header)[0];
        assert_eq!(line, 1, "{header:?}");
    }
    assert!(faults("mac,colour\n")[0].what.contains("the columns are name, mac"));
    let broken = io::BufReader::new(io::Read::chain(&b"mac\n"[..], Broken));
    assert!(matches!(read(broken, 0), Err(ListError::Io(_))));
}

use std::io;

struct Broken;
impl io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

#[test]
fn the_number_of_faults_is_bounded() {
    let list = format!("mac\n{}", "x\n".repeat(100_000));
    assert_eq!(faults(&list).len(), MAX_FAULTS);
}

#[test]
fn a_table_has_every_column_and_no_formula() {
    let row = DeviceRow {
        id: DeviceId(3),
        name: "=HYPERLINK(\"http://evil\")".into(),
        note: "+1".into(),
        site: "@SUM(A1)\nBerlin".into(),
        mac: "5C:CF:7F:AA:BB:01".parse().ok(),
        family: Some(Family::Rp2040),
        running: Some(ReleaseId(4)),
        signal: Some(9),
        first_seen: 1_767_225_600,
        ..DeviceRow::default()
    };
    let table = exported(Form::Csv, std::slice::from_ref(&row));
    let mut lines = table.split("\r\n");
    assert_eq!(lines.next().unwrap().split(',').count(), COLUMNS.len());
    let line = lines.next().unwrap();
    assert_eq!(
        line,
        "\"3\",\"'=HYPERLINK(\"\"http://evil\"\")\",\"5C:CF:7F:AA:BB:01\",\"\",\"rp2040\",\"pending\",\"pull\",\
         \"'@SUM(A1)\\u{a}Berlin\",\"\",\"'+1\",\"\",\"\",\"\",\"\",\"\",\"4\",\"\",\"\",\"\",\"\",\"9\",\"\",\"\",\
         \"2026-01-01T00:00:00Z\",\"\""
    );
    assert_eq!((lines.next(), lines.next()), (Some(""), None));
    let mut table = crate::table::Table::new(table.as_bytes());
    table.next_record().unwrap();
    assert_eq!(table.next_record().unwrap().unwrap().fields.len(), COLUMNS.len());
}

#[test]
fn json_is_one_array_of_rows() {
    for count in 0..3u32 {
        let rows: Vec<DeviceRow> =
            (1..=count).map(|id| DeviceRow { id: DeviceId(id), ..DeviceRow::default() }).collect();
        let text = exported(Form::Json, &rows);
        let list: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(list.len(), count as usize);
        assert!(list.iter().zip(1..).all(|(row, id)| row["id"] == id));
        assert_eq!(text.lines().count(), list.len() + 2);
    }
}

#[test]
fn an_export_that_cannot_be_written_fails() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert!(Export::new(Form::Csv, Full).is_err());
    assert!(Export::new(Form::Json, Full).is_err());
}

proptest! {
    #[test]
    fn what_is_exported_is_imported(
        name in "[!-~ä]{0,20}", note in "[!-~ä'=+@-]{0,20}", site in "[!-~]{0,20}",
        tags in prop::collection::btree_set("[a-z=+@'-]{1,8}", 0..5), mac in any::<[u8; 6]>(),
    ) {
        let row = DeviceRow {
            family: Some(Family::Esp32),
            mac: Some(otaseal_delivery::device::Mac(mac)),
            standing: Standing::Accepted,
            source: Source::Person,
            name, note, site,
            tags: tags.into_iter().collect(),
            board: Some("d1_mini".into()),
            first_seen: 5,
            ..DeviceRow::default()
        };
        let list = exported(Form::Csv, std::slice::from_ref(&row));
        prop_assert_eq!(read(list.as_bytes(), 5).unwrap(), [row]);
    }
}
