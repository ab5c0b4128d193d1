//! What the launcher is doing, on stderr: spinners on a terminal, plain lines elsewhere.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Reports steps that may run at the same time.
#[derive(Clone)]
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
}

/// One step that has begun.
pub(crate) struct Step {
    progress: Progress,
    name: String,
    bar: Option<ProgressBar>,
    doing: RefCell<String>,
    began: Instant,
}

impl Progress {
    /// Spinners if stderr is a terminal.
    pub(crate) fn new() -> Self {
        Self { bars: std::io::stderr().is_terminal().then(MultiProgress::new) }
    }

    /// Prints one line, above the spinners if there are any.
    pub(crate) fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Begins a step called `name`.
    pub(crate) fn step(&self, name: &str, doing: &str) -> Step {
        let bar = self.bars.as_ref().map(|bars| {
            let style = ProgressStyle::with_template("{spinner} {prefix:<14} {msg} {elapsed}");
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let step = Step { progress: self.clone(), name: name.to_owned(), bar, doing: RefCell::default(), began: Instant::now() };
        step.doing(doing);
        step
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Step {
    /// Says what the step is at now, unless it was at that already.
    pub(crate) fn doing(&self, doing: &str) {
        if self.doing.replace(doing.to_owned()) == doing {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(doing.to_owned()),
            None => eprintln!("  {:<14} {doing} ...", self.name),
        }
    }

    /// Ends the step well.
    pub(crate) fn done(self, result: &str) {
        self.end('✓', result);
    }

    /// Ends the step badly; the reason is reported by whoever asked for it.
    pub(crate) fn failed(self) {
        self.end('✗', "failed");
    }

    fn end(self, mark: char, result: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let seconds = self.began.elapsed().as_secs_f64();
        self.progress.say(&format!("{mark} {:<14} {result} ({seconds:.1} s)", self.name));
    }
}
