use super::*;
use proptest::prelude::*;

fn read(text: &[u8]) -> Result<Vec<(u64, Vec<String>)>, TableError> {
    let mut table = Table::new(text);
    let mut records = Vec::new();
    while let Some(record) = table.next_record()? {
        records.push((record.line, record.fields));
    }
    Ok(records)
}

fn fields_of(text: &str) -> Vec<String> {
    let records = read(text.as_bytes()).unwrap();
    assert_eq!(records.len(), 1, "{text:?}");
    records[0].1.clone()
}

fn written(text: &str) -> String {
    let mut out = String::new();
    write_field(&mut out, text);
    out
}

#[test]
fn a_table_is_read_as_spreadsheets_write_it() {
    assert_eq!(fields_of("a,b,c"), ["a", "b", "c"]);
    assert_eq!(fields_of("a;b,c;d\r\n"), ["a", "b,c", "d"]);
    assert_eq!(fields_of("a\tb c\td\n"), ["a", "b c", "d"]);
    assert_eq!(fields_of("\u{feff}a,,"), ["a", "", ""]);
    assert_eq!(fields_of("\"a,b\",\"say \"\"hi\"\"\",\"\""), ["a,b", "say \"hi\"", ""]);
    assert_eq!(fields_of("\"two\r\nlines\",b"), ["two\r\nlines", "b"]);
    assert_eq!(fields_of("\"a;b\",\"c\"\"\t\",d"), ["a;b", "c\"\t", "d"]);
    let records = read(b"a,b\n\n\"x\ny\",z\r\nlast;x,y").unwrap();
    assert_eq!(records.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3, 5]);
    assert_eq!(records[2].1, ["last;x", "y"]);
    assert_eq!(read(b"").unwrap(), []);
    assert_eq!(read(b"\n\r\n\n").unwrap(), []);
}

#[test]
fn a_damaged_record_is_told_with_its_line() {
    let long = format!("a\n{}", "x".repeat(MAX_RECORD + 1));
    let many = format!("a\n{}", ",".repeat(MAX_FIELDS));
    let endless = format!("a\n\"{}", "line\n".repeat(100_000));
    for text in [
        &b"a\n\"open"[..],
        b"a\n\"open\nmore\nand more",
        b"a\n\"x\"y,z",
        b"a\nx\"y\",z",
        b"a\n\xff\xfe",
        long.as_bytes(),
        many.as_bytes(),
        endless.as_bytes(),
    ] {
        let error = read(text).unwrap_err();
        assert!(matches!(error, TableError::Record { line: 2, .. }), "{error}");
    }
    assert_eq!(fields_of(&"x".repeat(MAX_RECORD))[0].len(), MAX_RECORD);
    assert_eq!(fields_of(&",".repeat(MAX_FIELDS - 1)).len(), MAX_FIELDS);
}

#[test]
fn no_more_of_a_record_is_read_than_it_may_have() {
    let mut endless = io::repeat(b'x').take(1 << 30);
    let mut table = Table::new(io::BufReader::with_capacity(1 << 10, &mut endless));
    assert!(matches!(table.next_record(), Err(TableError::Record { line: 1, .. })));
    assert!(endless.limit() > (1 << 30) - 2 * MAX_RECORD as u64);
}

#[test]
fn a_reader_that_fails_is_told() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let mut table = Table::new(io::BufReader::new(Broken));
    assert!(matches!(table.next_record(), Err(TableError::Io(_))));
}

#[test]
fn no_field_is_a_formula_nor_moves_a_terminal() {
    for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "＋1", "－1", "＠x", "'=1", "''=1"] {
        let field = written(formula);
        assert!(field.starts_with("\"'"), "{field}");
        assert_eq!(fields_of(&field), [formula]);
    }
    assert_eq!(written("a=b"), "\"a=b\"");
    assert_eq!(written("'quoted'"), "\"'quoted'\"");
    assert_eq!(written("say \"hi\",\n\x1b[2J\u{202e}"), "\"say \"\"hi\"\",\\u{a}\\u{1b}[2J\\u{202e}\"");
}

proptest! {
    #[test]
    fn what_is_written_is_read(fields in prop::collection::vec("[ -~äß€'=+@-]{0,40}", 1..8)) {
        let line = fields.iter().map(|field| written(field)).collect::<Vec<_>>().join(",");
        prop_assert_eq!(fields_of(&line), fields);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(prop::sample::select(&b"a,;\"\n\r\t'=\xff"[..]), 0..200)) {
        let _ = read(&bytes);
    }
}
