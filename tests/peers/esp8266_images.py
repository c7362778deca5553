"""Makes ESP8266 images and says what esptool reads in them.

    esp8266_images.py DIR

Writes NAME.bin files into DIR and prints one JSON object: for each file what esptool's own reader says of the
image at its start ("first") and, where there is one, of the image at 0x1000 ("application"); an error of esptool
is its text. The CRC is computed bit by bit, as slowly as it is plain.

Sources of the bytes: esptool's stub flashers, its elf2image over an ELF that xtensa-lx106-elf-gcc made, and files
put together as the Arduino core does it: eboot, AA up to 0x1000, application, length and CRC at 0x1010.
"""

import base64
import glob
import io
import json
import os
import struct
import subprocess
import sys

import esptool
from esptool.bin_image import ESP8266ROMFirmwareImage, ImageSegment

PROGRAM = """
const char greeting[] = "a constant that is not symmetric";
int counter = 0x12345678;
__attribute__((noinline)) int twice(int value) { return 2 * value + counter; }
void start(void) { for (;;) { counter = twice(counter) ^ greeting[counter & 15]; } }
"""

LINK = """
ENTRY(start)
SECTIONS {
  .text TEXT_ADDRESS : { *(.literal .literal.* .text .text.*) }
  .data 0x3ffe8000 : { *(.data .data.*) . = ALIGN(4); }
  .rodata 0x3ffe8100 : { *(.rodata .rodata.*) . = ALIGN(4); }
  /DISCARD/ : { *(.xtensa.info .comment .xt.*) }
}
"""


def compile_elf(directory, name, text_address, extra=""):
    path = os.path.join(directory, name)
    with open(path + ".c", "w") as file:
        file.write(PROGRAM + extra)
    with open(path + ".ld", "w") as file:
        file.write(LINK.replace("TEXT_ADDRESS", text_address))
    command = "xtensa-lx106-elf-gcc -Os -ffreestanding -nostdlib -mtext-section-literals -Wl,-T," + path + ".ld"
    subprocess.run([*command.split(), path + ".c", "-o", path + ".elf"], check=True)
    return path + ".elf"


def image(segments, mode, size_frequency, entry=0x4010000C):
    """Header, segments, checksum, by esptool's own writer."""
    made = ESP8266ROMFirmwareImage()
    made.flash_mode, made.flash_size_freq, made.entrypoint = mode, size_frequency, entry
    made.segments = [ImageSegment(address, data) for address, data in segments]
    out = io.BytesIO()
    made.write_common_header(out, made.segments)
    checksum = 0xEF
    for segment in made.segments:
        checksum = made.save_segment(out, segment, checksum)
    made.append_checksum(out, checksum)
    return out.getvalue()


def crc32(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (0x04C11DB7 if crc & 0x80000000 else 0)
            crc &= 0xFFFFFFFF
    return crc


def arduino(boot, application, offset=0x1010):
    """As elf2bin.py does it: both images with their checksums first, then length and CRC, and no checksum again."""
    file = bytearray(boot.ljust(0x1000, b"\xaa") + application)
    if offset:
        file[offset : offset + 8] = bytes(8)
        crc = crc32(file)
        struct.pack_into("<II", file, offset, len(file), crc)
    return bytes(file)


def read(data):
    try:
        found = ESP8266ROMFirmwareImage(io.BytesIO(data))
        return {
            "flash_mode_byte": found.flash_mode,
            "flash_size_frequency_byte": found.flash_size_freq,
            "entry_address": found.entrypoint,
            "segments": [[it.addr, it.file_offs + 8, len(it.data)] for it in found.segments],
            "checksum": found.checksum,
            "computed": found.calculate_checksum(),
        }
    except (esptool.FatalError, struct.error, IndexError) as error:
        return {"error": str(error)}


def main(directory):
    files = {}
    stubs = os.path.join(os.path.dirname(esptool.__file__), "targets", "stub_flasher", "*", "esp8266.json")
    for number, path in enumerate(sorted(glob.glob(stubs))):
        stub = json.load(open(path))
        segments = [(stub["text_start"], base64.b64decode(stub["text"]))]
        if stub.get("data"):
            segments.append((stub["data_start"], base64.b64decode(stub["data"])))
        files[f"stub-{number}"] = image(segments, 2, 0x40, stub["entry"])

    small = compile_elf(directory, "small", "0x40100000")
    large = compile_elf(directory, "large", "0x40101000", "const short table[3001] = {1, 2, 3};\n")
    for elf, mode, size, frequency in [
        (small, "qio", "512KB", "40m"), (small, "qout", "256KB", "26m"), (small, "dio", "4MB", "80m"),
        (small, "dout", "16MB", "20m"), (large, "dio", "1MB", "40m"), (large, "qio", "8MB", "80m"),
    ]:  # fmt: skip
        prefix = os.path.join(directory, "e2i-" + os.path.basename(elf) + "-" + mode + "-")
        flags = ["elf2image", "-fm", mode, "-fs", size, "-ff", frequency, "-o", prefix, elf]
        subprocess.run(
            [sys.executable, "-m", "esptool", "--chip", "esp8266", *flags], check=True, stdout=subprocess.DEVNULL
        )
        files[os.path.basename(prefix)] = open(prefix + "0x00000.bin", "rb").read()

    boot = files["e2i-small.elf-dio-"]
    text = files["stub-0"][16:]
    application = image(
        [(0x40201010, bytes(8) + text * 9), (0x40100000, text[:400]), (0x3FFE8000, b"initialised data" * 5)], 2, 0x4F
    )
    whole = arduino(boot, application)
    files["arduino"] = whole
    files["arduino-unfilled"] = arduino(boot, application, offset=None)
    # The first releases that wrote the words put them behind the boot loader.
    files["arduino-words-in-padding"] = arduino(boot, application, offset=0xFF8)

    def changed(at, data, source=whole):
        return source[:at] + data + source[at + len(data) :]

    files["arduino-qio-mode-byte-only"] = changed(2, b"\x00")
    files["arduino-byte-flipped"] = changed(0x1800, bytes([whole[0x1800] ^ 4]))
    files["arduino-boot-flipped"] = changed(40, bytes([whole[40] ^ 4]))
    files["arduino-wrong-length"] = changed(0x1010, struct.pack("<I", len(whole) + 16))
    files["arduino-cut"] = whole[:-2000]
    files["arduino-boot-only"] = whole[:0x1000]
    files["arduino-huge-segment"] = changed(0x100C, struct.pack("<I", 0xFFFFFFF0))
    files["overlap"] = image([(0x40100000, b"x" * 64), (0x4010003C, b"y" * 64)], 2, 0x40)
    files["adjacent"] = image([(0x40100040, b"x" * 64), (0x40100000, b"y" * 64)], 2, 0x40)
    files["beyond"] = image([(0xFFFFFFF8, b"x" * 64)], 2, 0x40)

    said = {}
    for name, data in files.items():
        with open(os.path.join(directory, name + ".bin"), "wb") as file:
            file.write(data)
        said[name] = {"first": read(data), "length": len(data)}
        if data[0x1000:0x1001] == b"\xe9":
            said[name]["application"] = read(data[0x1000:])
            at = 0xFF8 if "padding" in name else 0x1010
            said[name]["crc"] = crc32(data[:at] + bytes(8) + data[at + 8 :])
    json.dump(said, sys.stdout, indent=1)


main(sys.argv[1])
