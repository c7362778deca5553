use super::*;
use crate::objects::Folder;
use crate::store::rows::ReleaseId;
use otaseal_delivery::sim::image::Sample;
use tempfile::TempDir;

struct Rig {
    directory: TempDir,
    depot: Arc<Depot>,
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let depot = Depot::new(Folder::open(directory.path().join("objects")).unwrap(), 1 << 20);
        fs::create_dir(directory.path().join("data")).unwrap();
        Self { directory, depot }
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.directory.path().join("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn read(&self) -> Result<Imported, ImportError> {
        let trust = Trust::Unsigned(Vec::new());
        read(&self.directory.path().join("data"), &self.depot, &trust, Some("broker/devices"), 1000)
    }

    fn inventory(&self, json: &str) -> Imported {
        self.put("inventory.json", json);
        self.read().unwrap()
    }
}

fn image(name: &str, version: &str) -> Vec<u8> {
    Sample { name, version, bytes: 5_000, seed: version.len() as u32 }.esp8266()
}

/// An entry as homie-ota writes it: numbers are texts, and `mac` is the one of the access point.
const SENSOR: &str = r#"{"cf3a07e0":{"mac":"1A:FE:34:CF:3A:07","free_space":"684032","chip_size":"4194304",
    "sketch_size":"360872","online":"true","localip":"192.168.1.77","signal":"68","fwname":"h-sensor",
    "fwversion":"1.0.1","name":"Hall","uptime":"100","human_uptime":"0:01:40","homie":"2.0.0"}}"#;

#[test]
fn the_firmwares_and_the_inventory_are_imported() {
    let rig = Rig::new();
    rig.put("h-sensor-1.0.2.bin", image("h-sensor", "1.0.2"));
    rig.put("h-sensor-1.0.2.txt", "Mends the sensor.\r\nSecond line\x1b[2J\u{202e}");
    rig.put("firmwares/dual-relay-1.0-rc1.bin", image("dual-relay", "1.0-rc1"));
    rig.put("sensors.json", "{}");
    rig.put("homie-ota.log", "text");
    let imported = rig.inventory(SENSOR);
    assert_eq!(imported.left_out, []);
    let rows: Vec<_> =
        imported.releases.iter().map(|taken| taken.row(ReleaseId(1), "import", 1000)).collect();
    let said = |at: usize| (rows[at].firmware.as_str(), rows[at].version.as_str(), rows[at].notes.as_str());
    assert_eq!(said(0), ("h-sensor", "1.0.2", "Mends the sensor.\nSecond line[2J"));
    assert_eq!(said(1), ("dual-relay", "1.0-rc1", ""));
    let expected = DeviceRow {
        family: Some(Family::Esp8266),
        mac: Some("18:FE:34:CF:3A:07".parse().unwrap()),
        standing: Standing::Accepted,
        source: Source::Person,
        name: "Hall".into(),
        firmware: Some("h-sensor".into()),
        version: Some("1.0.1".into()),
        sketch_bytes: Some(360_872),
        free_bytes: Some(684_032),
        chip_bytes: Some(4_194_304),
        signal: Some(68),
        homie: Some("broker/devices/cf3a07e0".into()),
        address: Some("192.168.1.77".into()),
        first_seen: 1000,
        ..DeviceRow::default()
    };
    assert_eq!(imported.devices, [expected]);
}

#[test]
fn the_tokens_count_and_not_the_name_of_the_file() {
    let rig = Rig::new();
    rig.put("lamp-9.9.9.bin", image("relay", "1.0.0"));
    let imported = rig.read().unwrap();
    assert_eq!(imported.releases[0].release().title(), "relay 1.0.0");
    assert_eq!(imported.releases[0].row(ReleaseId(1), "", 0).files[0].name, "lamp-9.9.9.bin");
}

#[test]
fn what_cannot_be_a_release_is_left_out_with_its_reason() {
    let rig = Rig::new();
    rig.put("a-page-1.0.0.bin", "<!DOCTYPE html><html></html>");
    rig.put("empty-1.0.0.bin", "");
    rig.put("good-1.0.0.bin", image("good", "1.0.0"));
    fs::create_dir(rig.directory.path().join("data/folder.bin")).unwrap();
    let imported = rig.read().unwrap();
    assert_eq!(imported.releases.len(), 1);
    let names: Vec<&str> = imported.left_out.iter().map(|left| left.what.as_str()).collect();
    assert_eq!(names, ["a-page-1.0.0.bin", "empty-1.0.0.bin", "folder.bin"]);
    assert!(imported.left_out.iter().all(|left| !left.why.is_empty()));
    // Where everything must be signed, nothing of homie-ota is.
    let trust = Trust::Keys(Vec::new());
    let imported = read(&rig.directory.path().join("data"), &rig.depot, &trust, None, 0).unwrap();
    assert_eq!((imported.releases.len(), imported.left_out.len()), (0, 4));
}

#[test]
fn a_device_without_an_address_is_left_out() {
    let rig = Rig::new();
    let imported = rig.inventory(
        r#"{"cf3a07e0": {"name": "no address"}, "5ccf7fb9ffbb": {"name": "by its id"}, "list": [], "null": null,
            "avr": {"mac": "5C:CF:7F:00:00:09", "implementation": "avr"},
            "odd": {"mac": "none", "name": 7}, "twice": {"mac": "5e:cf:7f:b9:ff:bb"}}"#,
    );
    assert_eq!(imported.devices.len(), 1);
    assert_eq!(imported.devices[0].mac, "5C:CF:7F:B9:FF:BB".parse().ok());
    assert_eq!(imported.devices[0].name, "by its id");
    assert_eq!(imported.left_out.len(), 6);
}

#[test]
fn what_the_inventory_says_is_a_strangers_text() {
    let rig = Rig::new();
    let long = "x".repeat(10_000);
    let imported = rig.inventory(&format!(
        r#"{{"../../etc\u0007": {{"mac": "5C:CF:7F:00:00:01", "name": "a\u001b[2J{long}", "fwname": "",
            "fwversion": "\u202e1.0", "localip": "<script>", "signal": "101", "free_space": "-1",
            "chip_size": 1e99, "sketch_size": "many"}},
           "esp32": {{"mac": "3A:AE:A4:00:00:01", "implementation": "esp32", "signal": 40}}}}"#
    ));
    assert_eq!(imported.left_out, []);
    let odd = &imported.devices[0];
    assert!(odd.name.starts_with("a\\u{1b}[2Jxxx") && odd.name.len() <= MAX_TEXT);
    assert_eq!(odd.version.as_deref(), Some("\\u{202e}1.0"));
    assert_eq!((&odd.firmware, &odd.homie, &odd.address, odd.signal), (&None, &None, &None, None));
    assert_eq!((odd.free_bytes, odd.chip_bytes, odd.sketch_bytes), (None, None, None));
    // The address of an ESP32's access point is another number.
    let esp32 = &imported.devices[1];
    assert_eq!((esp32.family, esp32.mac), (Some(Family::Esp32), "3A:AE:A4:00:00:01".parse().ok()));
    assert_eq!((esp32.signal, esp32.homie.as_deref()), (Some(40), Some("broker/devices/esp32")));
}

#[test]
fn a_damaged_inventory_stops_the_import_and_leaves_nothing() {
    for json in ["", "[]", "{", "null", r#"{"a": {"mac": "#, "\u{80}\u{2}}q."] {
        let rig = Rig::new();
        rig.put("good-1.0.0.bin", image("good", "1.0.0"));
        rig.put("inventory.json", json);
        assert!(matches!(rig.read(), Err(ImportError::Inventory { .. })), "{json:?}");
        let objects = Folder::open(rig.directory.path().join("objects")).unwrap();
        assert_eq!(crate::objects::Objects::list(&objects).unwrap(), []);
    }
}

#[test]
fn a_folder_without_data_of_homie_ota_is_told() {
    let rig = Rig::new();
    assert!(matches!(rig.read(), Err(ImportError::Nothing(_))));
    let missing = rig.directory.path().join("missing");
    let error = read(&missing, &rig.depot, &Trust::Unsigned(Vec::new()), None, 0).unwrap_err();
    assert!(matches!(error, ImportError::Nothing(_)));
}
