//! Following the files. They are looked at again and again, as whoever mounts a ConfigMap swaps links and not files, which is all
//! the same to somebody who looks. What cannot be heeded is told once, and what held before holds on.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use chrono::Utc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    Register, ScenarioConfig, Scenarios,
    definition::{self, Definitions},
    exhaustion::Exhaustion,
    state::State,
};
use crate::spawn_blocking;

/// A file as it is now: link, size and times tell whether it may have changed.
type Mark = (PathBuf, u64, Option<SystemTime>);

/// Looks until `stop` is cancelled.
pub(crate) async fn follow(config: ScenarioConfig, register: Register, scenarios: Scenarios, stop: CancellationToken) {
    let mut clock = interval(Duration::from_millis(config.poll_interval_ms));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut files = Files { config, register: register.clone(), definitions: Definitions::new(), seen: None };
    let mut exhaustion = Exhaustion::default();
    loop {
        tokio::select! {
            // whoever is made to wait may end
            () = stop.cancelled() => return scenarios.set(BTreeMap::new()),
            _ = clock.tick() => {}
        }
        // a folder that hangs must not hang whoever serves
        let looked = spawn_blocking(move || {
            files.look();
            files
        });
        match looked.await {
            Ok(back) => files = back,
            Err(_) => return,
        }
        register.apply(Utc::now());
        exhaustion.follow(&scenarios);
    }
}

struct Files {
    config: ScenarioConfig,
    register: Register,
    definitions: Definitions,
    /// None where nothing was read yet.
    seen: Option<Vec<Mark>>,
}

impl Files {
    fn look(&mut self) {
        if self.config.directory.is_empty() {
            return;
        }
        let marks = self.marks();
        if self.seen.as_ref() == Some(&marks) {
            return;
        }
        let result = self.read();
        // looked at again before it is believed: somebody may be writing
        self.seen = (self.marks() == marks).then_some(marks);
        if let Err(error) = &result
            && self.register.error().as_ref() != Some(error)
        {
            tracing::error!(error, "scenarios stay as they are");
        }
        self.register.complain(result.err());
    }

    fn read(&mut self) -> Result<(), String> {
        let definitions = definition::read(Path::new(&self.config.directory))
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let state = self.state(&definitions)?;
        if definitions != self.definitions {
            self.definitions = definitions;
            self.register.learn(self.definitions.clone());
        }
        self.register.heed(state.on);
        Ok(())
    }

    /// A file that is not there says that none is on.
    fn state(&self, definitions: &Definitions) -> Result<State, String> {
        let file = &self.config.state;
        if file.is_empty() {
            return Ok(State::default());
        }
        match fs::read_to_string(file) {
            Ok(text) => State::read(&text, definitions).map_err(|error| format!("{file}: {error}")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(State::default()),
            Err(error) => Err(format!("{file}: {error}")),
        }
    }

    fn marks(&self) -> Vec<Mark> {
        let mut files: Vec<PathBuf> =
            definition::files(Path::new(&self.config.directory)).map(|files| files.into_iter().collect()).unwrap_or_default();
        if !self.config.state.is_empty() {
            files.push(PathBuf::from(&self.config.state));
        }
        let mark = |path: PathBuf| {
            let real = fs::canonicalize(&path).unwrap_or(path);
            let known = fs::metadata(&real).ok();
            (real, known.as_ref().map_or(0, fs::Metadata::len), known.and_then(|known| known.modified().ok()))
        };
        files.into_iter().map(mark).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::{
        scenario::{
            Scenario,
            register::Refusal,
            state::{Settings, Value},
        },
        spawn,
    };

    /// A folder with the files and a state, as Kubernetes mounts a ConfigMap: links to a link to a folder.
    struct Mount {
        root: tempfile::TempDir,
        version: u32,
    }

    impl Mount {
        fn new() -> Self {
            let mut mount = Self { root: tempfile::tempdir().unwrap(), version: 0 };
            let names: Vec<_> = repository_files().into_iter().map(|file| file.file_name().unwrap().to_owned()).collect();
            mount.swap("");
            for name in names.iter().map(AsRef::as_ref).chain([Path::new("state")]) {
                symlink(Path::new("..data").join(name), mount.root.path().join(name)).unwrap();
            }
            mount
        }

        /// All files anew in another folder, and the link swapped to it in one step.
        fn swap(&mut self, state: &str) {
            self.version += 1;
            let (root, name) = (self.root.path(), format!("..{}", self.version));
            fs::create_dir(root.join(&name)).unwrap();
            for file in repository_files() {
                fs::copy(&file, root.join(&name).join(file.file_name().unwrap())).unwrap();
            }
            fs::write(root.join(&name).join("state"), state).unwrap();
            symlink(&name, root.join("..data_tmp")).unwrap();
            fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        }

        fn follow(&self, service: &'static str) -> (Register, Scenarios, CancellationToken) {
            let path = |name: &str| self.root.path().join(name).display().to_string();
            let config = ScenarioConfig { directory: path(""), state: path("state"), poll_interval_ms: 10, ..ScenarioConfig::default() };
            let (scenarios, stop) = (Scenarios::default(), CancellationToken::new());
            let register = Register::new(&config, service, scenarios.clone());
            drop(spawn(follow(config, register.clone(), scenarios.clone(), stop.clone())));
            (register, scenarios, stop)
        }
    }

    fn repository_files() -> std::collections::BTreeSet<PathBuf> {
        definition::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/scenarios")).unwrap()
    }

    async fn eventually(what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < deadline, "{what}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_swapped_link_is_followed_and_only_what_is_about_this_service() {
        let mut mount = Mount::new();
        let (register, scenarios, stop) = mount.follow("gateway");
        eventually("the files are read", || !register.readings().is_empty()).await;
        assert!(register.readings().iter().all(|reading| !reading.on) && register.error().is_none());
        mount.swap("on: [{name: error-spike, set: {percent: 100}}, {name: n-plus-one}]");
        eventually("it is on", || scenarios.strikes(Scenario::ErrorSpike)).await;
        assert!(!scenarios.is_on(Scenario::NPlusOne), "that is of catalog-cache");
        mount.swap("");
        eventually("it is off", || !scenarios.is_on(Scenario::ErrorSpike)).await;
        stop.cancel();
    }

    #[tokio::test]
    async fn what_cannot_be_heeded_is_told_and_what_held_before_holds_on() {
        let mut mount = Mount::new();
        let (register, scenarios, stop) = mount.follow("gateway");
        mount.swap("on: [{name: error-spike}]");
        eventually("it is on", || scenarios.is_on(Scenario::ErrorSpike)).await;
        mount.swap("on: [{name: error-spike, set: {percent: 200}}, {name: slow-endpoint}]");
        eventually("the mistake is told", || register.error().is_some_and(|error| error.contains("percent must be 1 to 100"))).await;
        assert_eq!(scenarios.number(Scenario::ErrorSpike, "percent"), Some(30.0));
        assert!(!scenarios.is_on(Scenario::SlowEndpoint), "half of a file is none");
        mount.swap("on: [{name: slow-endpoint}]");
        eventually("the next good one is heeded", || scenarios.is_on(Scenario::SlowEndpoint) && register.error().is_none()).await;
        stop.cancel();
        eventually("who stops stops all", || !scenarios.is_on(Scenario::SlowEndpoint)).await;
    }

    #[tokio::test]
    async fn what_has_an_end_ends_by_itself_and_what_is_over_does_not_begin() {
        let mut mount = Mount::new();
        let (_, scenarios, stop) = mount.follow("catalog-cache");
        let soon = Utc::now() + chrono::TimeDelta::milliseconds(300);
        mount.swap(&format!("on: [{{name: slow-query, until: {soon:?}}}, {{name: n-plus-one, until: 2020-01-01T00:00:00Z}}]"));
        eventually("it begins", || scenarios.is_on(Scenario::SlowQuery)).await;
        assert!(!scenarios.is_on(Scenario::NPlusOne));
        eventually("it ends", || !scenarios.is_on(Scenario::SlowQuery)).await;
        assert!(Utc::now() >= soon);
        stop.cancel();
    }

    #[tokio::test]
    async fn the_admin_port_wins_over_the_file_and_takes_back_only_its_own() {
        let mut mount = Mount::new();
        let (register, scenarios, stop) = mount.follow("gateway");
        mount.swap("on: [{name: error-spike}]");
        eventually("it is on", || scenarios.is_on(Scenario::ErrorSpike)).await;
        let five = [("percent".to_owned(), Value::Number(5.0))].into();
        register.switch_on("error-spike", &five, None).unwrap();
        assert_eq!(scenarios.number(Scenario::ErrorSpike, "percent"), Some(5.0));
        assert_eq!(register.switch_off("error-spike"), Err(Refusal::InFile));
        assert_eq!(scenarios.number(Scenario::ErrorSpike, "percent"), Some(30.0));
        register.switch_on("slow-endpoint", &Settings::new(), None).unwrap();
        assert_eq!(register.switch_off("slow-endpoint"), Ok(()));
        assert!(!scenarios.is_on(Scenario::SlowEndpoint));
        for name in ["n-plus-one", "no-such"] {
            assert_eq!(register.switch_on(name, &Settings::new(), None), Err(Refusal::Unknown(name.to_owned())));
        }
        stop.cancel();
    }
}
