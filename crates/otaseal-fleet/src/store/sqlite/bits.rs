//! A set of devices in a range of numbers, a bit for each.

/// A range of devices: those after the first number, up to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// The last number before the range.
    pub(super) after: u32,
    /// The last number of the range.
    pub(super) to: u32,
}

impl Window {
    /// The range of one device. There is no device 0.
    pub(super) fn of(device: u32) -> Self {
        Self { after: device.saturating_sub(1), to: device }
    }

    /// How many numbers are in it.
    pub(super) fn len(self) -> u32 {
        self.to - self.after
    }
}

/// A set of devices of a window.
#[derive(Debug, Clone)]
pub(super) struct Bits {
    window: Window,
    words: Vec<u64>,
}

impl Bits {
    /// No device of the window.
    pub(super) fn none(window: Window) -> Self {
        Self { window, words: vec![0; (window.len() as usize).div_ceil(64)] }
    }

    /// Puts a device in. One outside the window is left out.
    pub(super) fn put(&mut self, device: i64) {
        let place = device - i64::from(self.window.after) - 1;
        if (0..i64::from(self.window.len())).contains(&place) {
            self.words[place as usize / 64] |= 1 << (place % 64);
        }
    }

    /// Takes a device out.
    pub(super) fn take(&mut self, device: u32) {
        let place = device.wrapping_sub(self.window.after).wrapping_sub(1) as usize;
        if let Some(word) = self.words.get_mut(place / 64) {
            *word &= !(1 << (place % 64));
        }
    }

    /// Keeps those that are in the other too.
    pub(super) fn and(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    /// Adds those of the other.
    pub(super) fn or(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// Takes those of the other out.
    pub(super) fn and_not(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The devices, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let first = self.window.after + 1;
        self.words.iter().enumerate().flat_map(move |(number, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(first + number as u32 * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in() {
        let window = Window { after: 100, to: 300 };
        let mut bits = Bits::none(window);
        for device in [-1, 0, 100, 101, 164, 165, 300, 301, i64::MAX] {
            bits.put(device);
        }
        assert_eq!(bits.iter().collect::<Vec<_>>(), [101, 164, 165, 300]);
        assert_eq!(bits.count(), 4);
        bits.take(164);
        for outside in [0, 100, 301, u32::MAX] {
            bits.take(outside);
        }
        let mut other = Bits::none(window);
        other.put(101);
        other.put(102);
        let with = |change: fn(&mut Bits, &Bits)| {
            let mut bits = bits.clone();
            change(&mut bits, &other);
            bits.iter().collect::<Vec<_>>()
        };
        assert_eq!(with(Bits::and), [101]);
        assert_eq!(with(Bits::or), [101, 102, 165, 300]);
        assert_eq!(with(Bits::and_not), [165, 300]);
    }

    #[test]
    fn the_last_device_of_all_has_a_place() {
        let mut bits = Bits::none(Window { after: u32::MAX - 1, to: u32::MAX });
        bits.put(i64::from(u32::MAX));
        assert_eq!(bits.iter().collect::<Vec<_>>(), [u32::MAX]);
        assert_eq!(Window::of(7), Window { after: 6, to: 7 });
        assert_eq!(Window::of(0).len(), 0);
    }
}
