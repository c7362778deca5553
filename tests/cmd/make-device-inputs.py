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


def openssl_signature(data):
    sign = ["openssl", "dgst", "-sha256", "-sign", "keys/other.pem"]
    return subprocess.run(sign, input=data, capture_output=True, check=True).stdout


os.makedirs("package", exist_ok=True)
key_id = "f165868a86706d92449da65e699b0b814f1738646f8fd6e4f64c15560aee5ede"
plain = open("keyed.other.bin", "rb").read()
signed = plain + openssl_signature(plain) + struct.pack("<I", 256)
artefacts = {"lamp.bin": plain, "lamp.bin.signed": signed}
manifest = {
    "schema": 1,
    "tool": "otaseal 0.1.0",
    "name": None,
    "version": None,
    "source": {"file": "lamp.bin", **digests(plain)},
    "installed": {"size_bytes": len(plain), **digests(plain)},
    "key": {"id": key_id, "bits": 2048},
    "carries": [key_id],
    "artefacts": [
        {
            "file": name,
            "encoding": "plain",
            "signature": "pkcs1v15-sha256" if name.endswith("signed") else None,
            **digests(data),
        }
        for name, data in artefacts.items()
    ],
}
files = {**artefacts, "manifest.json": (json.dumps(manifest, indent=2) + "\n").encode()}
for name, data in files.items():
    write(f"package/{name}", data)
entry = {
    **json.loads(lines[0]),
    "input": {"file": "lamp.bin", "size_bytes": len(plain), "sha256": digests(plain)["sha256"]},
    "output": {"file": "lamp.bin.signed", "size_bytes": len(signed), "sha256": digests(signed)["sha256"]},
    "key_id": key_id,
}
write("ledger.lamp.jsonl", json.dumps(entry, separators=(",", ":")).encode() + b"\n")
index = "".join(f"{digests(data)['sha256']}  {name}\n" for name, data in sorted(files.items())).encode()
for release in ["release", "release.changed", "release.more", "release.signature"]:
    shutil.rmtree(release, ignore_errors=True)
    os.makedirs(release)
    for name, data in {**files, "index.sha256": index, "index.sha256.sig": openssl_signature(index)}.items():
        write(f"{release}/{name}", data)
write("release.changed/lamp.bin.signed", plain)
write("release.more/notes.txt", b"not listed")
write("release.signature/index.sha256", index.replace(b"lamp.bin\n", b"lamp.exe\n"))
shutil.copytree("package", "package.changed", dirs_exist_ok=True)
write("package.changed/lamp.bin", plain + b"!")
