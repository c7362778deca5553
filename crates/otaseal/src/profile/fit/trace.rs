//! Finds out how far an inflater that reads bit by bit has read when each sector of its output is full.
//!
//! Only the lengths matter, so nothing is copied. A DEFLATE stream (RFC 1951) is walked symbol by symbol, and a match
//! of n bytes is the number n.

/// It is not a DEFLATE stream, or it ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// Returns how many bytes of `stream` were touched when the output is `step`, `2 * step`, … and at last `total` bytes
/// long. A byte counts from its first bit on.
///
/// uzlib, which eboot and the pico boot loader use, reads in exactly this way. It takes one byte when it needs the next
/// bit, and checks after every symbol whether the output is full (pfalcon/uzlib `tinflate.c`).
pub(super) fn consumption(stream: &[u8], step: usize, total: usize) -> Result<Vec<usize>, Broken> {
    let mut marks = Marks { step, total, produced: 0, next: step.min(total), taken: Vec::new() };
    if total == 0 {
        return Ok(Vec::new());
    }
    let mut bits = Bits { data: stream, next: 0, hold: 0, held: 0 };
    let mut codes = Codes::default();
    loop {
        let last = bits.take(1)? == 1;
        let done = match bits.take(2)? {
            0 => stored(&mut bits, &mut marks)?,
            1 => {
                codes.fixed();
                symbols(&mut bits, &codes, &mut marks)?
            }
            2 => {
                codes.dynamic(&mut bits)?;
                symbols(&mut bits, &codes, &mut marks)?
            }
            _ => return Err(Broken),
        };
        if done {
            return Ok(marks.taken);
        }
        if last {
            return Err(Broken);
        }
    }
}

struct Marks {
    step: usize,
    total: usize,
    produced: usize,
    next: usize,
    taken: Vec<usize>,
}

impl Marks {
    /// Counts `len` bytes of output that needed `taken` bytes of input. Returns whether they were the last.
    fn produce(&mut self, len: usize, taken: usize) -> bool {
        self.produced += len;
        while self.produced >= self.next {
            self.taken.push(taken);
            if self.next == self.total {
                return true;
            }
            self.next = (self.next + self.step).min(self.total);
        }
        false
    }
}

fn stored(bits: &mut Bits<'_>, marks: &mut Marks) -> Result<bool, Broken> {
    bits.align();
    let (len, complement) = (bits.take(16)?, bits.take(16)?);
    if len ^ complement != 0xFFFF {
        return Err(Broken);
    }
    let mut at = bits.taken();
    let end = at + len as usize;
    if end > bits.data.len() {
        return Err(Broken);
    }
    while at < end {
        // It goes to the next mark at once: one byte of input is one of output.
        let len = (marks.next - marks.produced).min(end - at);
        at += len;
        if marks.produce(len, at) {
            return Ok(true);
        }
    }
    (bits.next, bits.hold, bits.held) = (end, 0, 0);
    Ok(false)
}

fn symbols(bits: &mut Bits<'_>, codes: &Codes, marks: &mut Marks) -> Result<bool, Broken> {
    loop {
        bits.refill();
        let symbol = codes.literals.read(bits)?;
        let len = match symbol {
            0..=255 => 1,
            256 => return Ok(false),
            257..=285 => {
                let (base, extra) = LENGTHS[symbol - 257];
                let len = usize::from(base) + bits.take_held(u32::from(extra))? as usize;
                let distance = codes.distances.read(bits)?;
                let extra = *DISTANCE_EXTRA.get(distance).ok_or(Broken)?;
                bits.take_held(u32::from(extra))?;
                len
            }
            _ => return Err(Broken),
        };
        if marks.produced + len >= marks.next {
            if marks.produce(len, bits.taken()) {
                return Ok(true);
            }
        } else {
            marks.produced += len;
        }
    }
}

struct Bits<'a> {
    data: &'a [u8],
    next: usize,
    hold: u64,
    held: u32,
}

impl Bits<'_> {
    /// Fills up to at least 56 bits, if the stream has them: more than the longest symbol with its extra bits (48).
    fn refill(&mut self) {
        while self.held <= 56 {
            let Some(&byte) = self.data.get(self.next) else { return };
            self.hold |= u64::from(byte) << self.held;
            self.held += 8;
            self.next += 1;
        }
    }

    fn take(&mut self, count: u32) -> Result<u32, Broken> {
        self.refill();
        self.take_held(count)
    }

    fn take_held(&mut self, count: u32) -> Result<u32, Broken> {
        self.held = self.held.checked_sub(count).ok_or(Broken)?;
        let value = self.hold & ((1 << count) - 1);
        self.hold >>= count;
        Ok(value as u32)
    }

    /// Returns the bytes whose first bit was taken.
    fn taken(&self) -> usize {
        self.next - (self.held / 8) as usize
    }

    fn align(&mut self) {
        let rest = self.held % 8;
        self.hold >>= rest;
        self.held -= rest;
    }
}

/// A prefix code as one table. The index has as many bits as the longest code.
#[derive(Default)]
struct Code {
    bits: u32,
    /// `symbol << 4 | length`; 0 if there is no code.
    table: Vec<u16>,
}

impl Code {
    /// RFC 1951, 3.2.2. A code may have holes. Reading a hole is an error.
    fn build(&mut self, lengths: &[u8]) -> Result<(), Broken> {
        let mut count = [0u32; 16];
        lengths.iter().for_each(|len| count[usize::from(*len)] += 1);
        count[0] = 0;
        self.bits = count.iter().rposition(|count| *count > 0).unwrap_or(0) as u32;
        self.table.clear();
        self.table.resize(1 << self.bits, 0);
        let mut next = [0u32; 16];
        let mut code = 0;
        for len in 1..16 {
            code = (code + count[len - 1]) << 1;
            next[len] = code;
            if code + count[len] > 1 << len {
                return Err(Broken);
            }
        }
        for (symbol, &len) in lengths.iter().enumerate().filter(|(_, len)| **len > 0) {
            let len = u32::from(len);
            let code = next[len as usize];
            next[len as usize] += 1;
            // In the stream, the first bit of a code is the lowest.
            let first = (code.reverse_bits() >> (32 - len)) as usize;
            for slot in self.table[first..].iter_mut().step_by(1 << len) {
                *slot = (symbol as u16) << 4 | len as u16;
            }
        }
        Ok(())
    }

    fn read(&self, bits: &mut Bits<'_>) -> Result<usize, Broken> {
        let entry = self.table[(bits.hold & ((1 << self.bits) - 1)) as usize];
        if entry == 0 {
            return Err(Broken);
        }
        bits.take_held(u32::from(entry & 15))?;
        Ok(usize::from(entry >> 4))
    }
}

#[derive(Default)]
struct Codes {
    literals: Code,
    distances: Code,
    lengths: Code,
}

impl Codes {
    /// RFC 1951, 3.2.6.
    fn fixed(&mut self) {
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        let complete = self.literals.build(&lengths).and_then(|()| self.distances.build(&[5; 30]));
        debug_assert!(complete.is_ok());
    }

    /// RFC 1951, 3.2.7.
    fn dynamic(&mut self, bits: &mut Bits<'_>) -> Result<(), Broken> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let literals = bits.take(5)? as usize + 257;
        let distances = bits.take(5)? as usize + 1;
        let count = bits.take(4)? as usize + 4;
        let mut of_lengths = [0; 19];
        for place in &ORDER[..count] {
            of_lengths[*place] = bits.take(3)? as u8;
        }
        self.lengths.build(&of_lengths)?;
        let mut lengths = [0u8; 288 + 32];
        let (mut at, total) = (0, literals + distances);
        while at < total {
            bits.refill();
            let symbol = self.lengths.read(bits)?;
            let (value, repeat) = match symbol {
                16 => {
                    let before = *at.checked_sub(1).and_then(|at| lengths.get(at)).ok_or(Broken)?;
                    (before, 3 + bits.take(2)?)
                }
                17 => (0, 3 + bits.take(3)?),
                18 => (0, 11 + bits.take(7)?),
                len => (len as u8, 1),
            };
            let end = at + repeat as usize;
            if end > total {
                return Err(Broken);
            }
            lengths[at..end].fill(value);
            at = end;
        }
        self.literals.build(&lengths[..literals])?;
        self.distances.build(&lengths[literals..total])
    }
}

/// Base and extra bits of the length symbols 257 to 285: RFC 1951, 3.2.5.
const LENGTHS: [(u16, u8); 29] = {
    let mut table = [(0, 0); 29];
    let (mut symbol, mut base) = (0, 3);
    while symbol < 28 {
        let extra = if symbol < 8 { 0 } else { (symbol - 4) / 4 };
        table[symbol] = (base, extra as u8);
        base += 1 << extra;
        symbol += 1;
    }
    table[28] = (258, 0);
    table
};

/// Extra bits of the distance symbols: RFC 1951, 3.2.5.
const DISTANCE_EXTRA: [u8; 30] = {
    let mut table = [0; 30];
    let mut symbol = 4;
    while symbol < 30 {
        table[symbol] = (symbol / 2 - 1) as u8;
        symbol += 1;
    }
    table
};
