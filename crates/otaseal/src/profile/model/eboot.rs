//! Models eboot on an array of bytes: it erases, writes and reads flash, and inflates bit by bit.
//!
//! Written from RFC 1951 in the most literal way and without the simulation's tables: a code is found by counting
//! up its lengths, one bit at a time.

const SECTOR: usize = 4096;

/// How copying ended.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::profile) enum End {
    /// With these bytes at address 0.
    Installed(Vec<u8>),
    /// With a stream that made no sense any more.
    Broken,
}

/// Copies the gzip that is staged at `start` to address 0. The boot loader of core 2.7 erases first.
pub(in crate::profile) fn install(packed: &[u8], start: usize, flash_len: usize, erases_first: bool) -> End {
    let mut eboot = Eboot::new(packed, start, flash_len);
    eboot.erases_first = erases_first;
    match eboot.run() {
        Some(()) => End::Installed(eboot.flash[..eboot.raw_len].to_vec()),
        None => End::Broken,
    }
}

/// Address of the first sector whose writing destroys a byte that is read later.
pub(in crate::profile) fn first_loss(packed: &[u8], start: usize, erases_first: bool) -> Option<usize> {
    // On a chip with a second copy of the file that nothing overwrites, reading goes on to its end.
    let mut eboot = Eboot::new(packed, start, 0);
    eboot.pristine = Some(packed.to_vec());
    eboot.erases_first = erases_first;
    eboot.run().expect("a sound gzip");
    let Eboot { reads, writes, .. } = eboot;
    writes
        .iter()
        .find(|(time, sector)| {
            // A read of a whole sector counts as far as its bytes were used.
            reads.iter().any(|(read_at, from, used)| {
                read_at > time && *from < sector + SECTOR && from + used > *sector
            })
        })
        .map(|(_, sector)| *sector)
}

pub(in crate::profile) struct Eboot {
    flash: Vec<u8>,
    pristine: Option<Vec<u8>>,
    start: usize,
    raw_len: usize,
    /// The buffer of one sector, and how much of it is used up.
    buffer: Vec<u8>,
    used: usize,
    address: usize,
    bit: u8,
    bits_left: u8,
    clock: usize,
    /// When, from where, how many bytes were used of it.
    reads: Vec<(usize, usize, usize)>,
    /// When, to where.
    writes: Vec<(usize, usize)>,
    window: Vec<u8>,
    written: usize,
    erases_first: bool,
    /// Address at which the output begins.
    to: usize,
    /// Whether the last block of the stream has ended.
    ended: bool,
}

impl Eboot {
    fn new(packed: &[u8], start: usize, flash_len: usize) -> Self {
        let raw_len = u32::from_le_bytes(*packed.last_chunk().unwrap()) as usize;
        let end = (start + packed.len()).max(raw_len).max(flash_len).next_multiple_of(SECTOR);
        let mut flash = vec![0x55; end];
        flash[start..start + packed.len()].copy_from_slice(packed);
        Self::on(flash, start, packed.len(), false)
    }

    /// On this flash, with a file of so many bytes at `start`.
    pub(in crate::profile) fn on(flash: Vec<u8>, start: usize, stored: usize, erases_first: bool) -> Self {
        let end = start + stored;
        let raw_len = u32::from_le_bytes(flash[end - 4..end].try_into().unwrap()) as usize;
        Self {
            flash,
            pristine: None,
            start,
            raw_len,
            buffer: Vec::new(),
            used: 0,
            address: start,
            bit: 0,
            bits_left: 0,
            clock: 0,
            reads: Vec::new(),
            writes: Vec::new(),
            window: Vec::new(),
            written: 0,
            erases_first,
            to: 0,
            ended: false,
        }
    }

    /// Copies to this address.
    pub(in crate::profile) fn to(self, to: usize) -> Self {
        Self { to, ..self }
    }

    /// The flash after the copy, which ends where the stream does, or where it makes no sense any more.
    pub(in crate::profile) fn boot(mut self) -> Vec<u8> {
        let header = &self.flash[self.start..];
        let readable = header[2] == 8 && header[3] & 0xE0 == 0;
        if readable && (1..=i32::MAX as usize).contains(&self.raw_len) {
            let _ = self.run();
            self.last_sector();
        }
        self.flash
    }

    /// Where the stream ends early, eboot fills the sector with FF. The sectors behind it are not simulated.
    fn last_sector(&mut self) {
        if self.ended && self.window.len() > self.written {
            let mut sector = self.window[self.written..].to_vec();
            sector.resize(SECTOR, 0xFF);
            self.flash[self.to + self.written..self.to + self.written + SECTOR].copy_from_slice(&sector);
        }
    }

    /// Erases the sector that is inflated next.
    fn erase(&mut self) {
        if self.erases_first && !self.done() {
            self.clock += 1;
            self.writes.push((self.clock, self.written));
            self.flash[self.to + self.written..self.to + self.written + SECTOR].fill(0xFF);
        }
    }

    fn byte(&mut self) -> Option<u8> {
        if self.used == self.buffer.len() {
            let at = self.address;
            self.buffer = match &self.pristine {
                Some(packed) => {
                    let from = at - self.start;
                    let mut sector = packed.get(from..).unwrap_or_default().to_vec();
                    sector.resize(SECTOR, 0);
                    sector
                }
                None => self.flash.get(at..at + SECTOR)?.to_vec(),
            };
            self.clock += 1;
            self.reads.push((self.clock, at, 0));
            self.address += SECTOR;
            self.used = 0;
        }
        self.used += 1;
        self.reads.last_mut().unwrap().2 = self.used;
        Some(self.buffer[self.used - 1])
    }

    fn bit(&mut self) -> Option<usize> {
        if self.bits_left == 0 {
            self.bit = self.byte()?;
            self.bits_left = 8;
        }
        let bit = self.bit & 1;
        self.bit >>= 1;
        self.bits_left -= 1;
        Some(usize::from(bit))
    }

    fn bits(&mut self, count: usize) -> Option<usize> {
        (0..count).try_fold(0, |value, place| Some(value | self.bit()? << place))
    }

    fn put(&mut self, byte: u8) {
        self.window.push(byte);
        if self.window.len() - self.written == SECTOR || self.window.len() == self.raw_len {
            let mut sector = self.window[self.written..].to_vec();
            sector.resize(SECTOR, 0xFF);
            self.clock += 1;
            self.writes.push((self.clock, self.written));
            self.flash[self.to + self.written..self.to + self.written + SECTOR].copy_from_slice(&sector);
            self.written += SECTOR;
            self.erase();
        }
    }

    fn done(&self) -> bool {
        self.window.len() >= self.raw_len
    }

    fn run(&mut self) -> Option<()> {
        let header: Vec<u8> = (0..10).map_while(|_| self.byte()).collect();
        let flags = header[3];
        if flags & 4 != 0 {
            let len = u16::from_le_bytes([self.byte()?, self.byte()?]);
            for _ in 0..len {
                self.byte()?;
            }
        }
        for field in [8, 16] {
            if flags & field != 0 {
                while self.byte()? != 0 {}
            }
        }
        if flags & 2 != 0 {
            let _crc16 = [self.byte()?, self.byte()?];
        }
        self.erase();
        while !self.done() {
            let last = self.bit()?;
            match self.bits(2)? {
                0 => {
                    self.bits_left = 0;
                    let len = u16::from_le_bytes([self.byte()?, self.byte()?]);
                    let _complement = [self.byte()?, self.byte()?];
                    for _ in 0..len {
                        if self.done() {
                            return Some(());
                        }
                        let byte = self.byte()?;
                        self.put(byte);
                    }
                }
                1 => {
                    let lengths: Vec<u8> = (0..288)
                        .map(|symbol| match symbol {
                            0..144 => 8,
                            144..256 => 9,
                            256..280 => 7,
                            _ => 8,
                        })
                        .collect();
                    self.block(&lengths, &[5; 30])?;
                }
                2 => {
                    let (literals, distances, count) =
                        (self.bits(5)? + 257, self.bits(5)? + 1, self.bits(4)? + 4);
                    let mut code = [0; 19];
                    for place in
                        [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].iter().take(count)
                    {
                        code[*place] = self.bits(3)? as u8;
                    }
                    let code = Code::new(&code);
                    let mut lengths = Vec::new();
                    while lengths.len() < literals + distances {
                        match self.symbol(&code)? {
                            16 => {
                                let before = *lengths.last()?;
                                let count = 3 + self.bits(2)?;
                                lengths.extend(std::iter::repeat_n(before, count));
                            }
                            17 => {
                                let count = 3 + self.bits(3)?;
                                lengths.extend(std::iter::repeat_n(0, count));
                            }
                            18 => {
                                let count = 11 + self.bits(7)?;
                                lengths.extend(std::iter::repeat_n(0, count));
                            }
                            len => lengths.push(len as u8),
                        }
                    }
                    let (literals, distances) = lengths.split_at(literals);
                    self.block(literals, distances)?;
                }
                _ => return None,
            }
            if last == 1 {
                self.ended = true;
                break;
            }
        }
        self.done().then_some(())
    }

    fn block(&mut self, literals: &[u8], distances: &[u8]) -> Option<()> {
        let (literals, distances) = (&Code::new(literals), &Code::new(distances));
        while !self.done() {
            match self.symbol(literals)? {
                256 => break,
                byte @ 0..=255 => self.put(byte as u8),
                285 => self.copy(258, distances)?,
                symbol => {
                    let place = symbol - 257;
                    let extra = if place < 8 { 0 } else { place / 4 - 1 };
                    let base = if place < 8 { 3 + place } else { 3 + ((4 + place % 4) << extra) };
                    let len = base + self.bits(extra)?;
                    self.copy(len, distances)?;
                }
            }
        }
        Some(())
    }

    fn copy(&mut self, len: usize, distances: &Code) -> Option<()> {
        let place = self.symbol(distances)?;
        let extra = if place < 4 { 0 } else { place / 2 - 1 };
        let base = if place < 4 { 1 + place } else { 1 + ((2 + place % 2) << extra) };
        let distance = base + self.bits(extra)?;
        for _ in 0..len {
            if self.done() {
                break;
            }
            let byte = self.window[self.window.len().checked_sub(distance)?];
            self.put(byte);
        }
        Some(())
    }

    fn symbol(&mut self, code: &Code) -> Option<usize> {
        let (mut number, mut first, mut before) = (0, 0, 0);
        for len in 1..16 {
            number = number << 1 | self.bit()?;
            first <<= 1;
            let count = code.count[len];
            if number - first < count {
                return Some(code.symbols[before + number - first]);
            }
            (first, before) = (first + count, before + count);
        }
        None
    }
}

/// Codes of one length are consecutive numbers, in the order of their symbols.
struct Code {
    count: [usize; 16],
    /// By length, then by number.
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let of = |len: u8| (0..lengths.len()).filter(move |symbol| lengths[*symbol] == len);
        Self {
            count: std::array::from_fn(|len| if len == 0 { 0 } else { of(len as u8).count() }),
            symbols: (1..16).flat_map(of).collect(),
        }
    }
}
