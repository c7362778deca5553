# A firmware in Rust: a new workspace takes otaseal from a clone, by git, and the xtask and the code of the README.
# The repository for Cargo holds what is committed. It is a new one: CI may have a shallow clone, and Cargo cannot fetch
# from one.
git config --global safe.directory '*'
mkdir otaseal
git -C "$REPOSITORY" archive HEAD | tar -x -C otaseal
git -C otaseal init --quiet
git -C otaseal add --all --force
git -C otaseal -c user.name=otaseal -c user.email=otaseal@example.org commit --quiet -m 'What is committed'
by_git="git = \"file://$PWD/otaseal\""

# Writes the one code block of the README in this language that holds these words.
block() {
    awk -v RS='```' -v start="$1" -v words="$2" '
        index($0, start "\n") == 1 && index($0, words) { printf "%s", substr($0, length(start) + 2); found++ }
        END { exit found != 1 }' "$REPOSITORY/README.md"
}
mkdir -p lamp/.cargo lamp/xtask/src lamp/firmware/src
block toml 'name = "xtask"' > xtask.toml
sed "s|path = \"../../otaseal/crates/otaseal\"|$by_git|" xtask.toml > lamp/xtask/Cargo.toml
grep -q file: lamp/xtask/Cargo.toml
block rust 'fn main()' > lamp/xtask/src/main.rs
block toml '[alias]' > lamp/.cargo/config.toml
block toml '[workspace.metadata.otaseal]' > settings.toml

# The fallback is for a machine without `rustup target add`. No crate is newer than otaseal's own. otaseal itself is not
# optimised: it compiles faster, and it makes the same bytes.
cat - settings.toml > lamp/Cargo.toml <<'WORKSPACE'
[workspace]
resolver = "3"
members = ["firmware", "xtask"]
[profile.release.package.otaseal]
opt-level = 0
[workspace.metadata.otaseal.fallback]
cargo = "/usr/bin/cargo"
rustc = "/usr/bin/rustc"
build-std = ["core"]
linker = "arm-none-eabi-ld"
WORKSPACE
awk -v RS= -v ORS='\n\n' '!seen[/^\[\[package/ ? $4 $7 : $0]++' "$REPOSITORY/Cargo.lock" \
    "$REPOSITORY/fixtures/demo-firmware/Cargo.lock" > lamp/Cargo.lock

# A Cortex-M0. An update waits in the second half of its flash. Its length is at the end of the RAM.
cat > lamp/firmware/Cargo.toml <<FIRMWARE
[package]
name = "firmware"
version = "1.0.0"
edition = "2024"
[dependencies]
cortex-m-rt = "0.7.7"
otaseal-device = { $by_git }
FIRMWARE
cat > lamp/firmware/memory.x <<'MAP'
MEMORY
{
  FLASH : ORIGIN = 0x00000000, LENGTH = 128K
  RAM   : ORIGIN = 0x20000000, LENGTH = 15K
}
MAP
cat > lamp/firmware/build.rs <<'BUILD'
fn main() {
    println!("cargo:rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rustc-link-arg=-Tlink.x");
}
BUILD
block rust 'mod ota_key;' > checked.rs
{ printf '#![no_std]\n#![no_main]\n'; cat checked.rs -; } > lamp/firmware/src/main.rs <<'FIRMWARE'

const LENGTH: *const usize = 0x2000_3ffc as *const usize;
const UPDATE: *const u8 = 0x2_0000 as *const u8;

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: nothing writes to these places while the firmware runs.
    let image = unsafe { core::slice::from_raw_parts(UPDATE, LENGTH.read_volatile()) };
    match checked(image) {
        Ok(payload) if payload == &image[..payload.len()] && payload.len() > 1000 => exit(0),
        Ok(_) => exit(101),
        Err(reject) => exit(reject.code().into()),
    }
}

/// Ends the emulator with this code.
fn exit(code: u32) -> ! {
    let application_exit = [0x2_0026, code];
    // SAFETY: SYS_EXIT_EXTENDED of semihosting reads these two words.
    unsafe { core::arch::asm!("bkpt 0xab", in("r0") 0x20, in("r1") application_exit.as_ptr()) }
    loop {}
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(102)
}
FIRMWARE

# Without a key, nothing is signed.
cd lamp
if cargo --quiet xtask sign > /dev/null 2> refused; then exit 1; fi
grep -q 'cargo xtask keygen' refused || { cat refused; exit 1; }

cargo --quiet xtask keygen > /dev/null
cargo --quiet xtask sign --out-dir package > /dev/null 2> warnings || { cat warnings; exit 1; }
if grep 'warning:' warnings; then exit 1; fi
cargo --quiet xtask verify --out-dir package > /dev/null
otaseal verify package/firmware.bin.signed --key keys/public.pem | grep -q '^accepted'

# Runs the firmware with an update, and expects this code of its verdict.
verdict() {
    code=0
    timeout 60 qemu-system-arm -machine microbit -display none -monitor none -serial none \
        -semihosting-config enable=on,target=native \
        -device "loader,file=$2,addr=0x20000,force-raw=on" \
        -device "loader,addr=0x20003ffc,data=$(wc -c < "$2"),data-len=4" \
        -kernel "$CARGO_TARGET_DIR/thumbv6m-none-eabi/release/firmware" > emulator 2>&1 || code=$?
    test "$code" = "$1" || { cat emulator; echo "code $code for $2"; exit 1; }
}
verdict 0 package/firmware.bin.signed
verdict 0 package/firmware.bin.gz.signed

# Another byte is another image, and an image without a signature is none.
{ printf x; tail -c +2 package/firmware.bin.signed; } > changed.signed
verdict 7 changed.signed
verdict 3 package/firmware.bin
