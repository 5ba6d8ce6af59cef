//! Takes one thing after the other, and says what became of it.

use std::collections::HashMap;

use super::{
    ImportError, Options, catalog,
    cipher::ConfigError,
    installation::{Installation, OldConnection, OldJob, OldUser},
    report::{Entry, Report, Thing},
};
use crate::{
    config::Secret,
    crypto::{
        password::{self, bcrypt_cost},
        token::new_token,
    },
    domain::{
        frequency::Frequency,
        project::ProjectId,
        settings::AdvancedSettings,
        state,
        version::{ConnectorVersion, OLDEST_SUPPORTED},
    },
    json::parse_json,
    store::{
        connections::{ConnectionInput, Side},
        import::{Import, ImportedJob, ImportedUser, Outcome, Taken},
    },
};

/// The project of things that name none: the one that the UI uses.
const USUAL_PROJECT: &str = "123";

/// The most rounds (as a power of two) of a password's hash that is taken over: with more, a login would take seconds.
const HIGHEST_COST: u32 = 14;

/// A source or destination that is here now.
struct Here {
    id: i64,
    project: ProjectId,
    name: String,
    /// Why it cannot run as it is.
    obstacle: Option<String>,
}

/// An import under way.
pub struct Work<'a> {
    into: Import,
    options: &'a Options,
    report: Report,
    /// The accounts here, by their ids there.
    users: HashMap<i64, i64>,
    /// The sources and destinations here, by their ids there.
    sources: HashMap<i64, Here>,
    destinations: HashMap<i64, Here>,
}

impl<'a> Work<'a> {
    /// Nothing is taken yet.
    pub fn new(into: Import, options: &'a Options) -> Self {
        Self {
            into,
            options,
            report: Report::default(),
            users: HashMap::new(),
            sources: HashMap::new(),
            destinations: HashMap::new(),
        }
    }

    /// Keeps what was taken, or drops it: after an error, and when it was to be a dry run.
    pub async fn end(self, taken: Result<(), ImportError>) -> Result<Report, ImportError> {
        match taken {
            Ok(()) if !self.options.dry_run => self.into.commit().await?,
            _ => self.into.roll_back().await?,
        }
        taken.map(|()| self.report)
    }

    /// Refuses what a person should say otherwise.
    pub async fn check<'b>(
        &self,
        users: &[OldUser],
        connections: impl Iterator<Item = &'b OldConnection>,
        jobs: &[OldJob],
    ) -> Result<(), ImportError> {
        for admin in &self.options.admins {
            if !users.iter().any(|user| user.username == *admin) {
                return Err(ImportError::NoAdmin(admin.clone()));
            }
        }
        let named = connections.map(|old| &old.project).chain(jobs.iter().map(|old| &old.project));
        let mut projects: Vec<ProjectId> = named.map(|project| self.project(project.as_deref())).collect();
        projects.sort_unstable();
        projects.dedup();
        for project in projects {
            if !self.into.has_project(&project).await? {
                return Err(ImportError::NoProject(project.to_string()));
            }
        }
        Ok(())
    }

    /// Where a thing of a project there goes to.
    fn project(&self, there: Option<&str>) -> ProjectId {
        match &self.options.project {
            Some(project) => project.clone(),
            None => ProjectId::new(there.filter(|id| !id.is_empty()).unwrap_or(USUAL_PROJECT)),
        }
    }

    fn add(&mut self, thing: Thing, name: &str, outcome: Outcome, notes: Vec<String>) {
        self.report.entries.push(Entry { thing, name: name.to_owned(), outcome, notes });
    }

    /// Takes the accounts.
    pub async fn users(&mut self, users: Vec<OldUser>) -> Result<(), ImportError> {
        for old in users {
            let mut notes = Vec::new();
            let password_hash = match bcrypt_cost(&old.password) {
                Some(cost) if cost <= HIGHEST_COST => old.password,
                _ => {
                    notes.push(
                        "the hash of its password cannot be used: set a password before it can sign in"
                            .to_owned(),
                    );
                    password::hash_async(Secret::new(new_token())).await?
                }
            };
            let is_admin = self.options.admins.contains(&old.username);
            let user = ImportedUser {
                id: old.id,
                username: old.username,
                email: old.email,
                password_hash,
                is_admin,
            };
            let taken = match user.username.trim().is_empty() {
                true => Taken { id: None, outcome: Outcome::Refused("it has no name".to_owned()) },
                false => self.into.user(&user).await?,
            };
            if let Some(id) = taken.id {
                self.users.insert(old.id, id);
            }
            // Of one that is here already, somebody may have set the password.
            if taken.outcome != Outcome::Made {
                notes.clear();
            }
            self.add(Thing::User, &user.username, taken.outcome, notes);
        }
        Ok(())
    }

    /// Takes sources or destinations, with their configs in clear.
    pub async fn connections(
        &mut self,
        side: Side,
        all: Vec<OldConnection>,
        configs: Vec<Result<serde_json::Value, ConfigError>>,
    ) -> Result<(), ImportError> {
        let thing = match side {
            Side::Source => Thing::Source,
            Side::Destination => Thing::Destination,
        };
        for (old, config) in all.into_iter().zip(configs) {
            let project = self.project(old.project.as_deref());
            let refused = |reason: String| Taken { id: None, outcome: Outcome::Refused(reason) };
            let mut obstacle = None;
            let taken = match (config, old.connector_type, old.version) {
                _ if old.name.trim().is_empty() => refused("it has no name".to_owned()),
                (Err(error), _, _) => refused(error.to_string()),
                (_, None, _) => refused("it has no type".to_owned()),
                (_, _, None) => refused(
                    "it has no version of its connector: start a newer version of that installation once, and save it there"
                        .to_owned(),
                ),
                (Ok(config), Some(connector_type), Some(version)) => {
                    obstacle = too_old(&version);
                    let made_by = old.made_by.and_then(|user| self.users.get(&user).copied());
                    let input = ConnectionInput { name: old.name.clone(), connector_type, version, config };
                    self.into.connection(side, old.id, &project, &input, made_by, old.times).await?
                }
            };
            if let Some(id) = taken.id {
                let here = Here { id, project, name: old.name.clone(), obstacle: obstacle.clone() };
                let all = match side {
                    Side::Source => &mut self.sources,
                    Side::Destination => &mut self.destinations,
                };
                all.insert(old.id, here);
            }
            self.add(thing, &old.name, taken.outcome, obstacle.into_iter().collect());
        }
        Ok(())
    }

    /// Takes the jobs, and the state of each.
    pub async fn jobs(&mut self, there: &Installation, jobs: Vec<OldJob>) -> Result<(), ImportError> {
        for old in jobs {
            let documents = there.documents(old.id).await?;
            let streams = catalog::text(
                documents.streams.as_deref(),
                documents.available.as_deref(),
                documents.selected.as_deref(),
            );
            let (project, job, notes) = match self.job(&old, streams, state_text(documents.state.as_deref()))
            {
                Ok(job) => job,
                Err(reason) => {
                    self.add(Thing::Job, &old.name, Outcome::Refused(reason), Vec::new());
                    continue;
                }
            };
            let taken = self.into.job(&project, &job).await?;
            self.add(Thing::Job, &old.name, taken.outcome, notes);
            if let Some(job) = taken.id {
                self.state(&old, job, documents.state.as_deref()).await?;
            }
        }
        Ok(())
    }

    /// A job as it would be here, and what is different; or why there can be no such job.
    fn job(
        &self,
        old: &OldJob,
        streams: Option<String>,
        state: Option<&str>,
    ) -> Result<(ProjectId, ImportedJob, Vec<String>), String> {
        if old.name.trim().is_empty() {
            return Err("it has no name".to_owned());
        }
        let side = |all: &HashMap<i64, Here>, id: Option<i64>, what: &str| {
            let here = id
                .and_then(|id| all.get(&id))
                .map(|here| (here.id, here.project.clone(), here.name.clone(), here.obstacle.clone()));
            here.ok_or_else(|| format!("its {what} was not taken over"))
        };
        let source = side(&self.sources, old.source, "source")?;
        let destination = side(&self.destinations, old.destination, "destination")?;
        let project = match &old.project {
            // The first versions had no project of a job.
            None => source.1.clone(),
            Some(project) => self.project(Some(project)),
        };
        if project != source.1 || project != destination.1 {
            return Err("its source or destination belongs to another project".to_owned());
        }
        let streams_config = streams.ok_or("it has no catalog of streams that can be read")?;
        let (settings, mut notes) = settings(old.advanced_settings.as_deref());
        let mut obstacles = Vec::new();
        for (_, _, name, obstacle) in [&source, &destination] {
            obstacles.extend(obstacle.as_ref().map(|obstacle| format!("'{name}': {obstacle}")));
        }
        if let Err(error) = Frequency::parse(&old.frequency, None) {
            obstacles.push(error.to_string());
        }
        // Without it, or with an older one, it would read again what it has read.
        if let Some(Err(error)) = state.map(state::check) {
            obstacles.push(format!("its state is not taken over: {error}"));
        }
        if old.is_active {
            notes.extend(obstacles.iter().map(|obstacle| format!("it comes paused: {obstacle}")));
        }
        let job = ImportedJob {
            id: old.id,
            name: old.name.clone(),
            source: source.0,
            destination: destination.0,
            frequency: old.frequency.clone(),
            streams_config,
            activate: old.is_active && !self.options.paused && obstacles.is_empty(),
            settings,
            made_by: old.made_by.and_then(|user| self.users.get(&user).copied()),
            times: old.times,
        };
        Ok((project, job, notes))
    }

    async fn state(&mut self, old: &OldJob, job: i64, text: Option<&str>) -> Result<(), ImportError> {
        let text = state_text(text);
        if let Some(Err(error)) = text.map(state::check) {
            self.add(Thing::State, &old.name, Outcome::Refused(error.to_string()), Vec::new());
            return Ok(());
        }
        let taken = self.into.state(old.id, job, text).await?;
        if text.is_some() || taken.outcome != Outcome::Unchanged {
            self.add(Thing::State, &old.name, taken.outcome, Vec::new());
        }
        Ok(())
    }

    /// What a person should know at the end.
    pub async fn remarks(&mut self, there: &Installation) -> Result<(), ImportError> {
        for project in there.projects_with_webhook().await? {
            let to = self.project(Some(&project));
            self.report.remarks.push(format!(
                "the webhook of project '{project}' there is not taken over: set it in the settings of project '{to}'"
            ));
        }
        if !self.into.has_administrator().await? {
            let remark =
                "there is no administrator here: name one by --admin, or make one by `user add NAME --admin`";
            self.report.remarks.push(remark.to_owned());
        }
        let runs = |entry: &Entry| {
            entry.thing == Thing::Job && matches!(entry.outcome, Outcome::Made | Outcome::Updated)
        };
        if !self.options.paused && self.report.entries.iter().any(runs) {
            let remark = "active jobs run by their schedules here from now on: stop that installation first, since two syncs of one \
                          job beside each other spoil its tables (--paused takes every job over paused)";
            self.report.remarks.push(remark.to_owned());
        }
        Ok(())
    }
}

/// A state as it is there; none of a job that never ran, which has an empty object.
fn state_text(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !matches!(text.trim(), "" | "{}" | "null" | "\"\"" | "\"{}\""))
}

/// Why a connector of this version cannot run, if it cannot.
fn too_old(version: &str) -> Option<String> {
    match version.parse::<ConnectorVersion>() {
        Ok(known) if known >= OLDEST_SUPPORTED => None,
        Ok(_) => Some(format!(
            "{version} is too old to run here ({OLDEST_SUPPORTED} is the first): choose another version"
        )),
        Err(error) => Some(error.to_string()),
    }
}

/// The settings of a job, and which of those there are unknown here.
fn settings(text: Option<&str>) -> (AdvancedSettings, Vec<String>) {
    let (mut settings, mut notes) = (AdvancedSettings::default(), Vec::new());
    let Some(Ok(serde_json::Value::Object(members))) = text.map(parse_json) else { return (settings, notes) };
    for (name, value) in members {
        // What is off there: a null, an empty text, no threads.
        if value.is_null() || value == "" || value == 0 {
            continue;
        }
        match settings.patched(&[(name.clone(), value)].into_iter().collect()) {
            Ok(patched) => settings = patched,
            Err(error) => notes.push(format!("its advanced setting '{name}' is left out: {}", error.reason)),
        }
    }
    (settings, notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_known_here_are_kept_and_others_named() {
        let text = r#"{"max_discover_threads": 40, "retries": null, "colour": "red", "profile": ""}"#;
        let (settings, notes) = settings(Some(text));
        assert_eq!(
            settings,
            AdvancedSettings { max_discover_threads: Some(40), ..AdvancedSettings::default() }
        );
        assert_eq!(notes, ["its advanced setting 'colour' is left out: is no setting"]);
    }

    #[test]
    fn old_and_odd_versions_cannot_run() {
        assert_eq!(too_old("v0.2.1"), None);
        for version in ["v0.2.0", "latest", "dev-latest"] {
            assert!(too_old(version).is_some_and(|reason| reason.contains(version)), "{version}");
        }
    }
}
