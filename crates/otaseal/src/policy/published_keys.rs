//! Published keys: their private half is public, so a signature by one of them proves nothing.

use otaseal_device::KeyId;

/// Key ids (SHA-256 of the SPKI DER) with the place where the private half is published: example and test keys of
/// firmware, signing and update projects, which get copied into products.
const PUBLISHED: &[(&str, &str)] = &[
    ("5b9f928e55dad54f814e761962795325d228d578d57212232f1cb8975307b48b", "otaseal: keys.example/private.pem"),
    (
        "6a6cbdfdf039b9887a72a2f35406664aabf36ef29882be3eb66a822aa9db989d",
        "awslabs/tough: tough/tests/data/snakeoil.pem",
    ),
    (
        "9e4fd3310329af98f3f0ff167fe3d7893e88e7a343cb197a47a32d914943e0d9",
        "awslabs/tough: tough/tests/data/snakeoil_2.pem",
    ),
    (
        "f5c33fc0c4626817a36d411a171625b87d2b75fe403b02f9eae93417f8fddc91",
        "earlephilhower/arduino-pico: libraries/WiFi/examples/BearSSL_Server/key.pem",
    ),
    (
        "b6e6467c057377807276fca1fa641a3a0f16ff9335dfbb449784412b7ee952bf",
        "esp8266/Arduino: libraries/ESP8266WiFi/examples/BearSSL_ServerClientCert/ca_key.pem; earlephilhower/arduino-pico: libraries/WiFi/examples/BearSSL_ServerClientCert/ca_key.pem",
    ),
    (
        "8700ec87dece6ec99657e8231e5bb42c15b75c74b145e9cd0fe86fd3d6028c68",
        "esp8266/Arduino: libraries/ESP8266WiFi/examples/BearSSL_ServerClientCert/client1_key.pem; earlephilhower/arduino-pico: libraries/WiFi/examples/BearSSL_ServerClientCert/client1_key.pem",
    ),
    (
        "652dc284e7bfe9d33080045fc01db0fa1330fc2035c389fd3d5a4cecc7a12e4a",
        "esp8266/Arduino: libraries/ESP8266WiFi/examples/BearSSL_ServerClientCert/server_key.pem; earlephilhower/arduino-pico: libraries/WiFi/examples/BearSSL_ServerClientCert/server_key.pem",
    ),
    (
        "e7943f0688e637dd9f36442bc0ed7fc4aaeedbce639d3fede907adb719dfe39c",
        "esp8266/Arduino and arduino-pico: the signing examples' private.key",
    ),
    (
        "5fcffbb2b6f47e6fedfdc34af4a2be935eb9a2d0909ec4c482971bee28c08b98",
        "esp8266/Arduino: tests/device/test_sw_http_client/server.key",
    ),
    (
        "ea65882064b6349fa1cba7a6cca5653734b2fe9190095f561c199c2525c4a886",
        "espressif/esptool: test/secure_images/rsa_secure_boot_signing_key.pem",
    ),
    (
        "df594d59bf90e79dd7d9eaa3a277e5c6f9465f6a47bd118e18a2cb6be9db9acd",
        "espressif/esptool: test/secure_images/rsa_secure_boot_signing_key2.pem",
    ),
    (
        "11f0c4dad080f1f8967c52ba6268623e283f83ef7a6031d044525941c6f88321",
        "espressif/esptool: test/secure_images/rsa_secure_boot_signing_key3.pem",
    ),
    (
        "2cf2f4c0243f8ce6e73cba224730dd0308d18c8e285226859e0185be9e9577c8",
        "espressif/esptool: test/secure_images/rsa_secure_boot_signing_key4.pem",
    ),
    (
        "0daed27a854f1c4724ffe31d80522e6201807d5d9dc4df6cc61470bd362afcfd",
        "lowRISC/opentitan: sw/device/silicon_creator/manuf/keys/fake/rma_unlock_enc_rsa3072.der",
    ),
    (
        "09df135fde770c225cf8a65ebdb755f326af650fb7abaa67aeaa4ca371133f53",
        "lowRISC/opentitan: sw/device/tests/otbn_data/otbn_rsa_test_private_key_2048.pem",
    ),
    (
        "47673fbec9abe9372d64df821dd806cc4a5a162d670f3fb785b36dcba94ba521",
        "lowRISC/opentitan: sw/device/tests/otbn_data/otbn_rsa_test_private_key_3072.pem",
    ),
    (
        "bc69cd283bfedb798bb0c236ec49d0138c4cdb9e14acb64aa2b88d0a1905d4e9",
        "lowRISC/opentitan: sw/device/tests/otbn_data/otbn_rsa_test_private_key_4096.pem",
    ),
    (
        "22ca189e43d207dc16178ef79c0f7489f25333a1f350e35b19b6f642fb4bdc2e",
        "lowRISC/opentitan: sw/host/hsmtool/testdata/key/test1_pkcs1.der, sw/host/hsmtool/testdata/key/test1_pkcs1.pem, sw/host/hsmtool/testdata/key/test1_pkcs8.der",
    ),
    (
        "95ac5d264689fa25b14a87a9bc950abfb1a77e5e628e7b13b5f1940c9a1c65b8",
        "mcu-tools/mcuboot: enc-rsa2048-priv.pem",
    ),
    (
        "a14bcb1bf9bb821146ba32838217e476f5412621320534ffe490a1890c994660",
        "mcu-tools/mcuboot: root-rsa-2048.pem",
    ),
    (
        "159d8b7930769d887f3ff0b4e9ec176b82313663f2ef76dc24f5e964da1bc482",
        "mcu-tools/mcuboot: root-rsa-3072.pem",
    ),
    (
        "cf2f67a6aee012de5a8e82a9d9e9f6bf4923f9f367fe6c03fe844a251a7b3e55",
        "mcu-tools/mcuboot: samples/zephyr/bad-keys/bad-rsa-2048.pem",
    ),
    (
        "54674c34090b98739e4bb93ab182c4e099ce378410b4ebe6dd5922b064779511",
        "mcu-tools/mcuboot: testplan/mynewt/key_rsa.pem",
    ),
    (
        "f82d91d0193c6557517b7762f1a334abc4d4709ef1eb77b51e42f71c2a55fc6c",
        "mcu-tools/mcuboot: testplan/mynewt/key_rsa_2.pem",
    ),
    (
        "a06bc1e23e3a25ed78ba371cf35ef693c7988abccf3b23cc2ca363eeecd16b2c",
        "oxidecomputer/bootleby: demo/fake_private_key.pem",
    ),
    (
        "8dce10c952c3423d5a4e33b1bd2104293eec31ac384b5b9cbd3a10321e65ee8d",
        "rauc/rauc: test/openssl-ca/dev/private/autobuilder-1.pem",
    ),
    (
        "bfda383519d81b8e2660913e5de1df5fa4914462b46974b35149d952ec63ede7",
        "rauc/rauc: test/openssl-ca/dev/private/autobuilder-2.pem",
    ),
    (
        "469e16e2dc1e09f85b7f71d5dfd0a4917ffead247b47e437bf76213a3849895b",
        "rauc/rauc: test/openssl-ca/dev/private/ca.key.pem",
    ),
    (
        "87b8b30dcb3bacd792dae0a5cbb5de9c899061cb0a95e6e9db4e468998540ba9",
        "rauc/rauc: test/openssl-ca/dev/private/xku-codeSigning-openssl.pem",
    ),
    (
        "02e2d5f7ab36b26d88f9af1a543a1bc61c4b24c276d0ec5cc63fd9e39a5576a2",
        "rauc/rauc: test/openssl-ca/dev/private/xku-codeSigning-rauc.pem",
    ),
    (
        "9f6214965237fca714871dded3de4f0422b809d544d22c82600b0955b955df67",
        "rauc/rauc: test/openssl-ca/dev/private/xku-emailProtection.pem",
    ),
    (
        "7543da0c40a4623a30c971097a62ad7bd8ea8123bf5a3d5d559310dadad8c5a1",
        "rauc/rauc: test/openssl-ca/dir/private/a.key.pem",
    ),
    (
        "7a73f59d216cadd4137fc83d76eb8493a55e65027ddd2440e21f5626dd6cb869",
        "rauc/rauc: test/openssl-ca/dir/private/b.key.pem",
    ),
    (
        "47d49d739b11fbfdab792a0736b7ef893f345fd49bf3550fc104e7cc2f32db11",
        "rauc/rauc: test/openssl-ca/rel/private/ca.key.pem",
    ),
    (
        "9467ab3108043d2d62d5ee58d62f867af27794299b461100ecd47b1b1d428e5a",
        "rauc/rauc: test/openssl-ca/rel/private/release-1.pem",
    ),
    (
        "f5207b5090672f846fa6d0f8d35d7f4d20ab2be5c5485828f32f7a0539e548b6",
        "rauc/rauc: test/openssl-ca/rel/private/release-2018.pem",
    ),
    (
        "0034f8fe5adc3b0dfe642407275d144de2398c68cc9a86dd6703d7151116b44e",
        "rauc/rauc: test/openssl-ca/root/private/ca.key.pem",
    ),
    (
        "a35499013cb4312da186ec8b6ef50b9716432e298ac7661136f3e5f2b6130227",
        "rauc/rauc: test/openssl-ca/root/private/xku-emailProtection.pem",
    ),
    (
        "17854c45bbdbb19424bfc5157779e8f276ef4711a9b9c60aedebcd905e05808e",
        "rauc/rauc: test/openssl-ca/root/private/xku-timeStamping.pem",
    ),
    (
        "96b1b325b2d58341159e51c6c4265172430c9a3251bbef8a84276c6ec50d16b7",
        "rauc/rauc: test/openssl-ca/web/private/ca.key.pem",
    ),
    (
        "fe1fc039a2a3ec13bd3cba8726b19cdc0bd468b92233de71ef58dc7c7a32715e",
        "rauc/rauc: test/openssl-ca/web/private/client-1.pem",
    ),
    (
        "65ed45194d60e72274d4cc06bca31ecfdcb5e261a73f23a2b9271e238046f817",
        "rauc/rauc: test/openssl-ca/web/private/server.pem",
    ),
    (
        "046a99c2aba6d1b1a666c261f5cd1b179695514e6aa2bd7d25abdc40d136baa8",
        "rauc/rauc: test/openssl-enc/keys/rsa-4096/private-key-000.pem",
    ),
    (
        "68161ea0e589e831b49b2ac86ee9107ed6f91cebcc1888337efca3447e3d21cd",
        "rauc/rauc: test/openssl-enc/keys/rsa-4096/private-key-001.pem",
    ),
    (
        "45060ff666ca955ece7d2ecc5bca4b6d799623c3fc09e74dcf02ba762c67f9ec",
        "rauc/rauc: test/openssl-enc/keys/rsa-4096/private-key-002.pem",
    ),
    (
        "d9c5f4250625e354249f00858fe6a41f50f9bd9987d1d12807e771bd06717197",
        "rauc/rauc: test/openssl-enc/keys/rsa-4096/private-key-003.pem",
    ),
    (
        "196569b688c0391a6969f6017e62a8b1dc1a7c49d4a58a885c68a5b8cbc86ad8",
        "rauc/rauc: test/openssl-enc/keys/rsa-4096/private-key-004.pem",
    ),
    (
        "cce76c422aae1a6409acab23b7a0de83732f562656ab0aa0ff24b57a21e7c018",
        "rauc/rauc: test/openssl-enc/keys/rsa-4096/private-key-005.pem",
    ),
    (
        "2c1c6778f5a9fa1b05f426f12df1af1bed08350aa40187888591b120637c3070",
        "rauc/rauc: test/openssl-enc/keys/rsa-4096/private-key-006.pem",
    ),
    (
        "83a289b86544b10bc4739674cd449fd63b757ed9c597786e9d3a4b18a2a13e03",
        "rauc/rauc: test/openssl-enc/keys/rsa-4096/private-key-007.pem",
    ),
    (
        "f6baf6072ebe1e7795f21eafe899fb7dfc5bdf3c185b987b142db523423e0794",
        "rauc/rauc: test/openssl-enc/keys/rsa-4096/private-key-008.pem",
    ),
    (
        "09676ea676df930f099bd51ad4b274cf69e85c560ed3d7323e754a1baa641c29",
        "rauc/rauc: test/openssl-enc/keys/rsa-4096/private-key-009.pem",
    ),
];

/// Returns the place that published the private half of a key, if the list has the key.
pub fn published_at(id: KeyId) -> Option<&'static str> {
    let id = id.to_string();
    PUBLISHED.iter().find(|(known, _)| *known == id).map(|(_, place)| *place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PrivateKey;
    use std::collections::HashSet;

    #[test]
    fn every_entry_is_a_key_id_of_its_own_with_a_place() {
        let mut seen = HashSet::new();
        for (id, place) in PUBLISHED {
            assert!(
                id.len() == 64 && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')),
                "{id}"
            );
            assert!(place.contains(": "), "{place}");
            assert!(seen.insert(id), "{id} is there twice");
        }
        assert!(PUBLISHED.len() > 50);
    }

    #[test]
    fn our_own_example_key_is_known() {
        let pem = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../keys.example/private.pem"));
        let id = PrivateKey::from_bytes(pem).unwrap().public().id();
        assert_eq!(published_at(id), Some("otaseal: keys.example/private.pem"));
        let fresh = PrivateKey::generate(crate::key::KeySize::Rsa2048).unwrap();
        assert_eq!(published_at(fresh.public().id()), None);
    }
}
