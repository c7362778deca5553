//! Keys whose private half is published: a signature by one of them proves nothing.

use otaseal_device::KeyId;

/// Key ids with the place where the private half is published.
const PUBLISHED: &[(&str, &str)] = &[
    ("5b9f928e55dad54f814e761962795325d228d578d57212232f1cb8975307b48b", "otaseal: keys.example/private.pem"),
    (
        "e7943f0688e637dd9f36442bc0ed7fc4aaeedbce639d3fede907adb719dfe39c",
        "esp8266/Arduino and arduino-pico: the signing examples' private.key",
    ),
];

/// Where the private half of a key is published, if it is known to be.
pub fn published_at(id: KeyId) -> Option<&'static str> {
    let id = id.to_string();
    PUBLISHED.iter().find(|(known, _)| *known == id).map(|(_, place)| *place)
}
