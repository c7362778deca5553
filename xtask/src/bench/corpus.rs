//! Compresses real firmware from Debian packages, and compares the sizes with the programs that compress best.
//!
//! Sizes are of whole gzip files without a file name. Both times are in-process for ours, and of the whole process for a
//! peer (which costs it about a millisecond), each in turn with its peer. Default races `gzip -9` by the clock: the median
//! of the ratios counts. Max and zopfli are compared by processor time, which other work on the machine hardly changes,
//! and which counts every core that Max uses.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use otaseal::format::gzip::{Effort, gunzip, gzip};

use super::Promise;
use crate::Result;

/// Name, Debian package and path of an image.
type Image = (&'static str, &'static str, &'static str);

const IMAGES: [Image; 13] = [
    ("ath9k-9271", "firmware-ath9k-htc", "lib/firmware/ath9k_htc/htc_9271-1.4.0.fw"),
    ("ath9k-7010", "firmware-ath9k-htc", "lib/firmware/ath9k_htc/htc_7010-1.4.0.fw"),
    ("opensbi", "opensbi", "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.bin"),
    ("seabios", "seabios", "usr/share/seabios/bios.bin"),
    ("u-boot-mips", "u-boot-qemu", "usr/lib/u-boot/maltael/u-boot.bin"),
    ("u-boot-ppc", "u-boot-qemu", "usr/lib/u-boot/qemu-ppce500/u-boot.bin"),
    ("u-boot-riscv64", "u-boot-qemu", "usr/lib/u-boot/qemu-riscv64/u-boot.bin"),
    ("u-boot-x86", "u-boot-qemu", "usr/lib/u-boot/qemu-x86/u-boot.bin"),
    ("u-boot-arm", "u-boot-qemu", "usr/lib/u-boot/qemu_arm/u-boot.bin"),
    ("u-boot-arm64", "u-boot-qemu", "usr/lib/u-boot/qemu_arm64/u-boot.bin"),
    ("openbios-ppc", "qemu-system-data", "usr/share/qemu/openbios-ppc"),
    ("slof", "qemu-system-data", "usr/share/qemu/slof.bin"),
    ("skiboot", "qemu-system-data", "usr/share/qemu/skiboot.lid"),
];

/// A program that compresses its input to gzip.
struct Peer {
    name: &'static str,
    /// The shell replaces `IN` and `OUT`.
    script: &'static str,
}

const GZIP: Peer = Peer { name: "gzip -9", script: r#"gzip -9nc <"$IN" >"$OUT""# };
const LIBDEFLATE: Peer = Peer { name: "libdeflate -12", script: r#"libdeflate-gzip -12 -c <"$IN" >"$OUT""# };
const ZOPFLI: Peer = Peer { name: "zopfli --i15", script: r#"zopfli --i15 -c "$IN" >"$OUT""# };
const ADVDEF: Peer =
    Peer { name: "advdef -4", script: r#"gzip -9nc <"$IN" >"$OUT" && advdef -z -4 -q "$OUT""# };
const SEVEN_ZIP: Peer = Peer {
    name: "7-Zip -mx=9",
    script: r#"rm -f "$OUT"; $(command -v 7zz || command -v 7z) a -tgzip -mx=9 -si -bso0 -bsp0 "$OUT" <"$IN""#,
};

/// Rounds of Default and gzip.
const ROUNDS: usize = 9;
/// Max and zopfli run until zopfli has run for so many ticks (10 ms each).
const TICKS: u64 = 100;
/// Time limits: Default as a fraction of `gzip -9` in the median of the images, Max as a fraction of the processor time
/// of `zopfli --i15`. The development profile checks every sum for overflow. There, Default keeps its limit, and Max
/// takes up to 1.35 of its time.
const TIMES: (f64, f64) = (1.5, if cfg!(debug_assertions) { 0.7 } else { 0.5 });
/// The limit for Max is for images of this many bytes and more. The others take a few milliseconds.
const TIMED: usize = 20_000;
/// Limit of the size of all images of [`CORPUS`] by Max, as a fraction of zopfli's.
const SIZE: f64 = 0.9975;

/// A variable that names a folder of other images, which are measured too.
const CORPUS: &str = "OTASEAL_CORPUS";

/// The page with the tables. The sizes in it must be those that are measured.
const PAGE: &str = "docs/benchmarks.md";

/// Compresses the corpus of Debian, and the folder that [`CORPUS`] names. Compares sizes and times with the promised
/// ones, and the sizes with those in [`PAGE`].
///
/// # Errors
/// A package that cannot be fetched, a missing peer, or a gzip that does not inflate to its image.
pub(super) fn run(root: &Path) -> Result<(String, Promise)> {
    let folder = root.join("target/corpus");
    fs::create_dir_all(&folder)?;
    let mut images = vec![("demo-firmware".to_owned(), root.join("fixtures/plain/demo-firmware.bin"))];
    for (name, package, path) in IMAGES {
        images.push((name.to_owned(), fetch(&folder, package)?.join(path)));
    }
    let page = fs::read_to_string(root.join(PAGE))?;
    let (mut report, mut missed) = table(&folder, &images, &page)?;
    if let Some(others) = std::env::var_os(CORPUS) {
        let (table, more) = table(&folder, &in_folder(Path::new(&others))?, &page)?;
        report += &format!("\n{table}");
        missed.extend(more);
    }
    report += "\nThe same with the gzip container taken off (bare DEFLATE) is 18 bytes less for each image and program; \
               ours also have up to three bytes of padding.\n";
    Ok((report, if missed.is_empty() { Ok(()) } else { Err(missed.join("; ")) }))
}

/// The images in a folder: the files that end with `.bin`, by name.
fn in_folder(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut images = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| format!("{CORPUS}: {}: {error}", folder.display()))? {
        let path = entry?.path();
        if let (Some(name), true) = (path.file_stem(), path.extension().is_some_and(|end| end == "bin")) {
            images.push((name.to_string_lossy().into_owned(), path));
        }
    }
    if images.is_empty() {
        return Err(format!("{CORPUS}: {} has no file *.bin", folder.display()).into());
    }
    images.sort();
    Ok(images)
}

/// Measures the images. Returns their table, and the promises that were not reached.
fn table(folder: &Path, images: &[(String, PathBuf)], page: &str) -> Result<(String, Vec<String>)> {
    let mut table = String::from(
        "| image | bytes | gzip -9 | libdeflate -12 | **default** | time of gzip | zopfli --i15 | advdef -4 | 7zz -mx=9 \
         | **max** | time of zopfli |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut missed = Vec::new();
    let mut totals = [0; 7];
    let mut times = Vec::new();
    for (name, file) in images {
        let row = measure(folder, file).map_err(|error| format!("{name}: {error}"))?;
        for (total, size) in totals.iter_mut().zip(row.sizes()) {
            *total += size;
        }
        times.push(row.default_time);
        let line = row.line(name);
        let not_reached = row.missed(&line, line_of(page, name));
        missed.extend(not_reached.into_iter().map(|text| format!("{name}: {text}")));
        table += &line;
    }
    let [gzip, libdeflate, default, zopfli, advdef, seven_zip, max] = totals;
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let share = max as f64 / zopfli as f64;
    table += &format!(
        "| all | | {gzip} | {libdeflate} | **{default}** | median {median:.2} | {zopfli} | {advdef} | {seven_zip} \
         | **{max}** | size {share:.4} |\n"
    );
    if median > TIMES.0 {
        missed.push(format!("default takes {median:.2} of gzip -9 in the median"));
    }
    if share > SIZE {
        missed.push(format!("max has {share:.4} of zopfli's bytes"));
    }
    Ok((table, missed))
}

/// The line of an image in the page.
fn line_of<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    page.lines()
        .find(|line| line.strip_prefix("| ").is_some_and(|line| line.starts_with(&format!("{name} |"))))
}

/// The columns of a line that hold sizes. They are the same in every run; the times are not.
fn sizes_in(line: &str) -> Vec<&str> {
    let columns = line.split('|').map(str::trim).enumerate();
    columns.filter(|(column, _)| ![6, 11].contains(column)).map(|(_, text)| text).collect()
}

/// Measures all sizes and ratios of one image.
struct Row {
    len: usize,
    gzip: usize,
    libdeflate: usize,
    zopfli: usize,
    advdef: usize,
    seven_zip: usize,
    default: usize,
    max: usize,
    default_time: f64,
    max_time: f64,
}

impl Row {
    fn sizes(&self) -> [usize; 7] {
        [self.gzip, self.libdeflate, self.default, self.zopfli, self.advdef, self.seven_zip, self.max]
    }

    fn line(&self, name: &str) -> String {
        let [gzip, libdeflate, default, zopfli, advdef, seven_zip, max] = self.sizes();
        let Self { len, default_time, max_time, .. } = self;
        format!(
            "| {name} | {len} | {gzip} | {libdeflate} | **{default}** | {default_time:.2} | {zopfli} | {advdef} \
             | {seven_zip} | **{max}** | {max_time:.2} |\n"
        )
    }

    /// Returns the promises that were not reached. `line` is the image's line in the table, `stated` the one in the page.
    fn missed(&self, line: &str, stated: Option<&str>) -> Vec<String> {
        let best = self.libdeflate.min(self.zopfli).min(self.advdef).min(self.seven_zip);
        let mut missed = Vec::new();
        match stated {
            None => missed.push(format!("{PAGE} has no line of it")),
            Some(stated) if sizes_in(stated) != sizes_in(line.trim_end()) => {
                missed.push(format!("{PAGE} says {stated}, measured: {}", line.trim()));
            }
            Some(_) => {}
        }
        if self.default > self.libdeflate {
            missed.push(format!("default {} bytes, libdeflate {}", self.default, self.libdeflate));
        }
        if self.max > best {
            missed.push(format!("max {} bytes, the best other {best}", self.max));
        }
        if self.len >= TIMED && self.max_time > TIMES.1 {
            missed.push(format!("max takes {:.2} of zopfli's processor time", self.max_time));
        }
        missed
    }
}

fn measure(folder: &Path, file: &Path) -> Result<Row> {
    let data = fs::read(file)?;
    let out = folder.join("out.gz");
    let size = |peer: &Peer| -> Result<usize> { Ok(peer.run(file, &out)?.1) };
    let (max_time, max, zopfli) = beside_zopfli(&data, file, &out)?;
    let default = gzip(&data, Effort::Default)?;
    for packed in [&default, &max] {
        inflates_to(packed, &data)?;
    }
    Ok(Row {
        len: data.len(),
        gzip: size(&GZIP)?,
        libdeflate: size(&LIBDEFLATE)?,
        zopfli,
        advdef: size(&ADVDEF)?,
        seven_zip: size(&SEVEN_ZIP)?,
        default: default.len(),
        max: max.len(),
        default_time: ratio(&data, file, &out)?,
        max_time,
    })
}

/// Returns the median of Default's time divided by that of `gzip -9`. Both run in turns.
fn ratio(data: &[u8], file: &Path, out: &Path) -> Result<f64> {
    let mut ratios = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        gzip(data, Effort::Default)?;
        let ours = start.elapsed();
        ratios.push(ours.as_secs_f64() / GZIP.run(file, out)?.0.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    Ok(ratios[ROUNDS / 2])
}

/// Returns the processor time of Max divided by that of zopfli, the gzip by Max, and the size by zopfli. Both run in
/// turns.
fn beside_zopfli(data: &[u8], file: &Path, out: &Path) -> Result<(f64, Vec<u8>, usize)> {
    let start = processor_ticks()?;
    loop {
        let packed = gzip(data, Effort::Max)?;
        let (_, size) = ZOPFLI.run(file, out)?;
        let now = processor_ticks()?;
        let [ours, zopfli] = [0, 1].map(|i| now[i] - start[i]);
        if zopfli >= TICKS {
            return Ok((ours as f64 / zopfli as f64, packed, size));
        }
    }
}

/// Returns the processor time of this process, and that of the processes that it has waited for, in ticks (proc(5)).
fn processor_ticks() -> Result<[u64; 2]> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The second field is the name in brackets, in which anything may stand. Fields 14 to 17 are the times.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(4);
    let times = fields.map(str::parse).collect::<std::result::Result<Vec<u64>, _>>()?;
    let &[user, system, user_of_others, system_of_others] = &times[..] else {
        return Err(format!("/proc/self/stat: {stat}").into());
    };
    Ok([user + system, user_of_others + system_of_others])
}

impl Peer {
    /// Returns the time of the whole process, and the size of the gzip without a stored file name.
    fn run(&self, file: &Path, out: &Path) -> Result<(Duration, usize)> {
        let start = Instant::now();
        let status = Command::new("sh").args(["-c", self.script]).env("IN", file).env("OUT", out).status()?;
        let time = start.elapsed();
        if !status.success() {
            return Err(format!(
                "{}: {status}; apt-get install gzip libdeflate-tools zopfli advancecomp 7zip",
                self.name
            )
            .into());
        }
        let packed = fs::read(out)?;
        Ok((time, packed.len() - name_len(&packed)))
    }
}

/// Returns the length of the FNAME field, which is optional (RFC 1952, section 2.3).
fn name_len(packed: &[u8]) -> usize {
    const FNAME: u8 = 8;
    match packed.get(3) {
        Some(&FNAME) => packed[10..].iter().take_while(|&&byte| byte != 0).count() + 1,
        _ => 0,
    }
}

/// Inflates with our strict reader and with `gzip -d`.
fn inflates_to(packed: &[u8], data: &[u8]) -> Result<()> {
    let mut child = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().ok_or("gzip has no standard input")?;
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(packed));
        child.wait_with_output()
    })?;
    if !output.status.success() || output.stdout != data || gunzip(packed, data.len())? != data {
        return Err("a gzip does not inflate to its image".into());
    }
    Ok(())
}

/// Fetches and unpacks a package, once.
fn fetch(folder: &Path, package: &str) -> Result<PathBuf> {
    let unpacked = folder.join(package);
    if !unpacked.exists() {
        let script = r#"rm -f "$1"_*.deb && apt-get download -qq "$1" && dpkg-deb -x "$1"_*.deb "$1".new && mv "$1".new "$1""#;
        let status = Command::new("sh").args(["-c", script, "sh", package]).current_dir(folder).status()?;
        if !status.success() {
            return Err(format!("{package} cannot be fetched: {status}").into());
        }
    }
    Ok(unpacked)
}
