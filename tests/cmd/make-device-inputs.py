"""Makes those of tests/cmd/in that take more than a shell: needs littlefs-python (PyPI). Run by make-inputs.sh."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import struct

from littlefs import LittleFS


def crc32(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = ((crc << 1) ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def esp8266(segments):
    """Flash mode DIO, 4 MiB, 40 MHz; the checksum is the last byte of a line of 16."""
    image, checksum = bytearray(struct.pack("<BBBBI", 0xE9, len(segments), 2, 0x40, 0x40100004)), 0xEF
    for address, data in segments:
        image += struct.pack("<II", address, len(data)) + data
        for byte in data:
            checksum ^= byte
    image += bytes(15 - len(image) % 16)
    return bytes(image) + bytes([checksum])


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)


filesystem = LittleFS(block_size=512, block_count=4)
with filesystem.open("index.html", "w") as page:
    page.write("<h1>lamp</h1>")
write("littlefs.bin", bytes(filesystem.context.buffer))

# An Arduino build: boot loader, padding, application; then length and CRC, which no checksum knows of.
boot = esp8266([(0x4010F000, b"boot" * 16)])
application = esp8266([(0x40201010, bytes(8) + b"code" * 60), (0x3FFE8000, b"data" * 4)])
arduino = bytearray(boot.ljust(0x1000, b"\xaa") + application)
struct.pack_into("<II", arduino, 0x1010, len(arduino), crc32(arduino))
write("arduino.bin.gz", gzip.compress(bytes(arduino), mtime=0))

# An RP2350 image of two blocks, the second one first: vector table, the smallest image definition, and a hole.
start = struct.pack("<II", 0x20082000, 0x10000101).ljust(64, b"\0")
start += struct.pack("<IIIII", 0xFFFFDED3, 0x10210142, 0x000001FF, 0, 0xAB123579)
pages = [(0x10000200, b"more".ljust(256, b"\x55")), (0x10000000, start.ljust(256, b"\x11"))]
write(
    "pico.uf2",
    b"".join(
        struct.pack("<IIIIIIII", 0x0A324655, 0x9E5D5157, 0x2000, at, 256, number, len(pages), 0xE48BFF59)
        + data.ljust(476, b"\0")
        + struct.pack("<I", 0x0AB16F30)
        for number, (at, data) in enumerate(pages)
    ),
)

# A ledger of three signatures, and what may become of it.
lines, before = [], "0" * 64
for number, name in enumerate(["lamp", "door", "=lamp, \"old\""], 1):
    record = {
        "seq": number,
        "prev": before,
        "time": f"2026-11-2{number}T07:45:00Z",
        "input": {"file": f"{name}.bin", "size_bytes": 100, "sha256": hashlib.sha256(name.encode()).hexdigest()},
        "output": {"file": f"{name}.signed", "size_bytes": 360, "sha256": hashlib.sha256(b"signed").hexdigest()},
        "signature": "pkcs1v15-sha256",
        "key_id": ("ab", "cd")[number % 2] * 32,
        "tool": "otaseal 0.1.0",
        "git_commit": "1" * 40,
        "build_id": f"CI_PIPELINE_ID={number}",
        "who": "builder@example",
    }
    line = json.dumps(record, separators=(",", ":")).encode()
    lines.append(line + b"\n")
    before = hashlib.sha256(line).hexdigest()
write("ledger.jsonl", b"".join(lines))
write("ledger.torn.jsonl", b"".join(lines)[:-200])
write("ledger.changed.jsonl", b"".join(lines).replace(b"door.bin", b"d00r.bin"))
write("ledger.gap.jsonl", lines[0] + lines[2])

# A package as otaseal makes it, signed by OpenSSL, and the release of it, whole and tampered with.


def digests(data):
    sums = {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}
    return {"size_bytes": len(data), **sums}


def openssl_signature(data, key):
    sign = ["openssl", "dgst", "-sha256", "-sign", key]
    return subprocess.run(sign, input=data, capture_output=True, check=True).stdout


def to_json(value):
    return (json.dumps(value, indent=2) + "\n").encode()


def artefact(name, data):
    signature = "pkcs1v15-sha256" if name.endswith("signed") else None
    return {"file": name, "encoding": "plain", "signature": signature, **digests(data)}


def package(image, key, key_id):
    """Its manifest and its other files."""
    plain = open(image, "rb").read()
    signed = plain + openssl_signature(plain, key) + struct.pack("<I", 256)
    files = {"lamp.bin": plain, "lamp.bin.signed": signed}
    manifest = {
        "schema": 1,
        "tool": "otaseal 0.1.0",
        "name": None,
        "version": None,
        "source": {"file": "lamp.bin", **digests(plain)},
        "installed": {"size_bytes": len(plain), **digests(plain)},
        "key": {"id": key_id, "bits": 2048},
        "carries": [key_id],
        "artefacts": [artefact(name, data) for name, data in files.items()],
    }
    return manifest, files


def ledger(manifest, output):
    entry = {
        **json.loads(lines[0]),
        "input": {name: manifest["source"][name] for name in ["file", "size_bytes", "sha256"]},
        "output": {name: manifest["artefacts"][output][name] for name in ["file", "size_bytes", "sha256"]},
        "key_id": manifest["key"]["id"],
    }
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def write_all(directory, files):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    for name, data in files.items():
        write(f"{directory}/{name}", data)


def release(files, key):
    index = "".join(f"{digests(data)['sha256']}  {name}\n" for name, data in sorted(files.items())).encode()
    return {**files, "index.sha256": index, "index.sha256.sig": openssl_signature(index, key)}


KEY, KEY_ID = "keys/other.pem", "f165868a86706d92449da65e699b0b814f1738646f8fd6e4f64c15560aee5ede"
manifest, files = package("keyed.other.bin", KEY, KEY_ID)
write_all("package", {**files, "manifest.json": to_json(manifest)})
write_all("package.changed", {**files, "lamp.bin": files["lamp.bin"] + b"!", "manifest.json": to_json(manifest)})
write("ledger.lamp.jsonl", ledger(manifest, 1))
whole = {**files, "ledger.jsonl": ledger(manifest, 1), "manifest.json": to_json(manifest)}
whole = release(whole, KEY)
write_all("release", whole)
write_all("release.changed", {**whole, "lamp.bin.signed": files["lamp.bin"]})
write_all("release.more", {**whole, "notes.txt": b"not listed"})
write_all("release.signature", {**whole, "index.sha256": whole["index.sha256"].replace(b"lamp.bin\n", b"lamp.exe\n")})

# Packages that a published key signed, and releases whose package or whose evidence it signed.
EXAMPLE, EXAMPLE_ID = "keys/private.pem", "5b9f928e55dad54f814e761962795325d228d578d57212232f1cb8975307b48b"
said, published = package("keyed.bin", EXAMPLE, EXAMPLE_ID)
published["manifest.json"] = to_json(said)
write_all("package.published", published)
write("ledger.published.jsonl", ledger(said, 1))
write_all("release.published", release({**published, "ledger.jsonl": ledger(said, 1)}, KEY))
ours = {name: data for name, data in whole.items() if not name.startswith("index")}
write_all("release.published-evidence", release(ours, EXAMPLE))

# Of a rotation, a bridge and what comes after it, of which the manifests alone are there.
NEXT_ID = "a3d7d7f22cf9fb814543fcd2b28f56b4173deac5fcc504d054821e47f7484f64"
write("rotation/bridge.json", to_json({**manifest, "carries": [NEXT_ID]}))
write("rotation/2.0.json", to_json({**manifest, "carries": [NEXT_ID], "key": {"id": NEXT_ID, "bits": 3072}}))
write("rotation/others.json", to_json({**manifest, "carries": [NEXT_ID], "key": {"id": EXAMPLE_ID, "bits": 2048}}))

# Promises of support: beyond the key's time, and kept already.
for name, until in [("longer", "2040-12-31"), ("over", "2020-01-01")]:
    write_all(f"package.{name}", {**files, "manifest.json": to_json({**manifest, "support_until": until})})

# Packages whose digests are right and whose manifest says what is not so.
zeros = "0" * 64
false = {
    "md5": lambda said: said["artefacts"][1].update(md5="0" * 32),
    "size": lambda said: said["artefacts"][0].update(size_bytes=1),
    "encoding": lambda said: said["artefacts"][1].update(encoding="gzip"),
    "twice": lambda said: said["artefacts"].append(said["artefacts"][0]),
    "name": lambda said: said["artefacts"][0].update(file="lamp.exe"),
    "other-name": lambda said: said["artefacts"][0].update(file="door.bin"),
    "installed": lambda said: said["installed"].update(md5="0" * 32),
    "version": lambda said: said.update(name="lamp", version="9.9.9"),
    "bits": lambda said: said["key"].update(bits=4096),
    "carries": lambda said: said.update(carries=[zeros]),
    "devices": lambda said: said["artefacts"][1].update(accepted_by=["esp8266@2.7.4"]),
    "source": lambda said: said["source"].update(sha256=zeros),
    "source-size": lambda said: said["source"].update(size_bytes=1),
    "sbom": lambda said: said.update(sbom={"file": "manifest.json", "size_bytes": 1, "sha256": zeros}),
}
shutil.rmtree("false", ignore_errors=True)
for name, lie in false.items():
    said = json.loads(to_json(manifest))
    lie(said)
    write_all(f"false/{name}", {**files, "manifest.json": to_json(said)})
# What is not signed at all, and an image beside another one's signature.
plain = files["lamp.bin"]
said = {**manifest, "artefacts": [artefact("lamp.bin", plain), {**artefact("lamp.bin.signed", plain), "signature": None}]}
write_all("false/unsigned", {**files, "lamp.bin.signed": plain, "manifest.json": to_json(said)})
other = open("keyed.both.bin", "rb").read()
said = {**manifest, "artefacts": [artefact("lamp.bin", other), manifest["artefacts"][1]]}
write_all("false/image", {**files, "lamp.bin": other, "manifest.json": to_json(said)})
# A release of one, whose index is as it was signed.
said = json.loads(to_json(manifest))
false["installed"](said)
write_all("release.false", release({**files, "ledger.jsonl": ledger(manifest, 1), "manifest.json": to_json(said)}, KEY))
