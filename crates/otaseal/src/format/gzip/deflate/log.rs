//! Computes logarithms in integers. Those of the C library differ between machines in the last bit, and one bit can
//! decide between two parses.

/// Fractional bits of a logarithm.
pub(super) const FRACTION: u32 = 16;
const INDEX_BITS: u32 = 10;

/// `log2(1 + i / 1024)`.
static MANTISSAS: [u16; 1 << INDEX_BITS] = {
    let mut table = [0; 1 << INDEX_BITS];
    let mut i = 0;
    while i < table.len() {
        // In 1..2 with 30 fractional bits. Squaring doubles the logarithm: a carry over 2 is its next bit.
        let mut x = (1u64 << 30) + ((i as u64) << (30 - INDEX_BITS));
        let mut bit = 1u16 << (FRACTION - 1);
        while bit != 0 {
            x = (x * x) >> 30;
            if x >= 2 << 30 {
                x >>= 1;
                table[i] |= bit;
            }
            bit >>= 1;
        }
        i += 1;
    }
    table
};

/// `log2(n)` for n > 0, with [`FRACTION`] fractional bits; exact to the eleven highest bits of `n`.
pub(super) fn log2(n: u32) -> u32 {
    let whole = n.ilog2();
    // The highest bit is moved to the top and off.
    let mantissa = (n << (31 - whole)) << 1;
    (whole << FRACTION) + u32::from(MANTISSAS[(mantissa >> (32 - INDEX_BITS)) as usize])
}

#[cfg(test)]
mod tests {
    #[test]
    fn agrees_with_floating_point() {
        for n in (1..5000).chain([65_535, 65_536, 1 << 20, u32::MAX]) {
            let exact = f64::from(n).log2();
            let ours = f64::from(super::log2(n)) / 65_536.0;
            assert!(exact - ours < 0.0015 && ours <= exact + 1e-9, "{n}: {ours} for {exact}");
        }
    }
}
