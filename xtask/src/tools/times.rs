//! How long the steps take.

use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The steps of this process, in the order in which they began.
static STEPS: Mutex<Steps> = Mutex::new(Steps { depth: 0, lines: Vec::new() });

struct Steps {
    /// How many steps run now, each inside of the one before it.
    depth: usize,
    lines: Vec<String>,
}

/// Measures one step.
pub(super) struct Timer<'a> {
    name: &'a str,
    /// The step's place in the table, and how many steps it is inside of.
    place: usize,
    depth: usize,
    start: Instant,
    processor: Option<Duration>,
}

impl<'a> Timer<'a> {
    pub(super) fn start(name: &'a str) -> Self {
        let mut steps = steps();
        let (place, depth) = (steps.lines.len(), steps.depth);
        steps.lines.push(String::new());
        steps.depth += 1;
        Self { name, place, depth, start: Instant::now(), processor: processor() }
    }

    /// Enters the step into the table. Returns its time as a text.
    pub(super) fn stop(self) -> String {
        let mut text = format!("{:.1} s", self.start.elapsed().as_secs_f32());
        if let Some((before, after)) = self.processor.zip(processor()) {
            text += &format!(", {:.1} s of processor time", after.saturating_sub(before).as_secs_f32());
        }
        let mut steps = steps();
        steps.depth = self.depth;
        steps.lines[self.place] = format!("{}{}: {text}", "  ".repeat(self.depth), self.name);
        text
    }
}

/// Returns one line for each step that has run in this process. A step inside of another one is indented.
pub(crate) fn table() -> String {
    steps().lines.join("\n")
}

fn steps() -> std::sync::MutexGuard<'static, Steps> {
    // A step that panicked has left nothing half done.
    STEPS.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Returns the processor time of this process and of all the programs that it has waited for. Linux alone tells it.
fn processor() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    parse(&stat)
}

/// Adds `utime`, `stime`, `cutime` and `cstime` of proc(5), in ticks of 10 ms. The name before them is in parentheses,
/// and may have blanks.
fn parse(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let ticks: [Option<u64>; 4] = std::array::from_fn(|_| fields.next()?.parse().ok());
    Some(Duration::from_millis(10 * ticks.into_iter().sum::<Option<u64>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_time_is_of_this_process_and_of_its_children() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 900 80000 0 5 1 20 300 4000 20 0 1 0 500 9000000";
        assert_eq!(parse(stat), Some(Duration::from_millis(43_210)));
        assert_eq!(parse("7 (a) S 1"), None);
        assert_eq!(parse("7 (a) S 1 7 7 0 -1 4194304 900 80000 0 5 x 20 300 4000"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_step_inside_of_another_one_is_indented() {
        let outer = Timer::start("outer");
        Timer::start("inner").stop();
        assert!(outer.stop().contains(" s"));
        let table = table();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("outer: ") && lines[1].starts_with("  inner: "), "{table}");
    }
}
