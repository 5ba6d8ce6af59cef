//! `olake-api import`: takes over what an existing installation of OLake has.

use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use clap::Args;
use olake_shared::{
    clock::SystemClock,
    config::{Config, Deployment, Secret},
    domain::project::ProjectId,
    import::{self, Passphrase, Report, Thing},
    store::{Store, import::Outcome},
};

use super::{CommandError, migrate, open_database, print};

/// Take over users, sources, destinations, jobs and states of an existing OLake installation
///
/// It reads the PostgreSQL database of OLake's UI server (tables named like olake-dev-job), in one snapshot, and writes
/// everything or nothing. Run it again at any time: what is the same stays, what has changed there changes here, and what
/// was changed here since stays as it is; each of these is told. What was deleted there stays here.
///
/// Users keep their passwords. Jobs keep their schedules and go on from their states. Stop that installation before jobs run
/// here: two syncs of one job beside each other spoil its tables. Until then take everything over with --paused; a later
/// run without it makes those jobs active that are active there.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Options {
    /// The database of that installation, postgres://user:password@host:5432/postgres. Other users of this machine can read
    /// a command line: OLAKE_IMPORT_FROM or OLAKE_IMPORT_FROM_FILE keep its password to yourself
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// A file whose first line is the passphrase of its configs (its OLAKE_SECRET_KEY); also OLAKE_IMPORT_PASSPHRASE and
    /// OLAKE_IMPORT_PASSPHRASE_FILE. Configs that are not encrypted need none
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Put everything into this project; without it, into the project of the same id (the UI's is 123)
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// Make the account of this name an administrator; may be given more than once. There, everybody is one
    #[arg(long = "admin", value_name = "NAME")]
    admins: Vec<String>,
    /// Take every job over paused
    #[arg(long)]
    paused: bool,
    /// Tell what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// The run mode in the names of its tables, if the database has those of several: dev of olake-dev-job
    #[arg(long, value_name = "MODE")]
    run_mode: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  export OLAKE_IMPORT_FROM_FILE=/run/secrets/old-database
  export OLAKE_IMPORT_PASSPHRASE_FILE=/run/secrets/old-key
  olake-api import --dry-run               look first
  olake-api import --paused --admin ann    take everything over while that installation runs
  olake-api import                         again when it is stopped: newest states, active jobs";

/// Takes it over, and prints what became of each thing.
///
/// # Errors
/// [`CommandError`]: nothing was written then.
pub async fn run(config: &Config, options: Options) -> Result<(), CommandError> {
    let from = options.from.map(Secret::new).or_else(|| config.import.from.clone());
    let Some(from) = from else {
        let reason = "name the database of the existing installation by --from, OLAKE_IMPORT_FROM or OLAKE_IMPORT_FROM_FILE";
        return Err(CommandError::Refused("import.from", reason.to_owned()));
    };
    let passphrase = match &options.passphrase_file {
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|source| CommandError::Io {
                what: format!("{} cannot be read", file.display()),
                source,
            })?;
            Some(Secret::new(text.lines().next().unwrap_or_default()))
        }
        None => config.import.passphrase.clone(),
    };
    let passphrase = passphrase.filter(|text| !text.expose().trim().is_empty());
    let passphrase =
        passphrase.as_ref().map(Passphrase::new).transpose().map_err(import::ImportError::Cipher)?;
    let db = open_database(config).await?;
    if config.deployment == Deployment::Services {
        let missing = migrate::missing(&db).await?;
        if !missing.is_empty() {
            return Err(CommandError::Schema(missing.join(", ")));
        }
    }
    let store = Store::new(db, Arc::new(config.key_ring()?), SystemClock::shared());
    let options = import::Options {
        project: options.project.map(ProjectId::new),
        run_mode: options.run_mode,
        admins: options.admins,
        paused: options.paused,
        dry_run: options.dry_run,
    };
    let report = import::run(&store, &from, passphrase.as_ref(), &options).await?;
    print(&told(&report, options.dry_run))
}

/// The report as it is printed: a line for each thing that is not the same, and a table of numbers.
fn told(report: &Report, dry_run: bool) -> String {
    let mut text = String::new();
    for entry in &report.entries {
        let (word, reason) = match &entry.outcome {
            Outcome::Made => ("new", None),
            Outcome::Updated => ("updated", None),
            Outcome::Unchanged => ("same", None),
            Outcome::Kept(reason) => ("kept", Some(reason)),
            Outcome::Refused(reason) => ("refused", Some(reason)),
        };
        if entry.outcome == Outcome::Unchanged && entry.notes.is_empty() {
            continue;
        }
        // A name is another system's text: it must not write on the terminal what it likes.
        let name: String = entry.name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let _ = write!(text, "{word:<8} {:<12} {name}", entry.thing.name());
        let notes = reason.into_iter().chain(&entry.notes).map(String::as_str).collect::<Vec<_>>().join("; ");
        text.push_str(&if notes.is_empty() { "\n".to_owned() } else { format!(": {notes}\n") });
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let _ =
        writeln!(text, "{:<13}{:>9}{:>9}{:>9}{:>9}{:>9}", "", "new", "updated", "same", "kept", "refused");
    for thing in Thing::ALL {
        let count = |outcome| report.count(thing, outcome);
        let _ = writeln!(
            text,
            "{:<13}{:>9}{:>9}{:>9}{:>9}{:>9}",
            format!("{}s", thing.name()),
            count(|outcome| *outcome == Outcome::Made),
            count(|outcome| *outcome == Outcome::Updated),
            count(|outcome| *outcome == Outcome::Unchanged),
            count(|outcome| matches!(outcome, Outcome::Kept(_))),
            count(|outcome| matches!(outcome, Outcome::Refused(_))),
        );
    }
    for remark in &report.remarks {
        let _ = writeln!(text, "\nNote: {remark}.");
    }
    text.push_str(match (dry_run, report.changes_nothing()) {
        (true, _) => "\nThis was a dry run: nothing was written.\n",
        (false, true) => "\nThere was nothing to do.\n",
        (false, false) => "\nIt is done.\n",
    });
    text
}

#[cfg(test)]
mod tests {
    use olake_shared::import::Entry;

    use super::*;

    #[test]
    fn a_report_names_what_changed_and_counts_the_rest() {
        let entry = |thing, name: &str, outcome, notes: &[&str]| Entry {
            thing,
            name: name.to_owned(),
            outcome,
            notes: notes.iter().map(|&note| note.to_owned()).collect(),
        };
        let report = Report {
            entries: vec![
                entry(Thing::User, "ann", Outcome::Made, &[]),
                entry(Thing::Source, "same", Outcome::Unchanged, &[]),
                entry(
                    Thing::Job,
                    "night\u{1b}ly",
                    Outcome::Kept("it was changed here".to_owned()),
                    &["a note"],
                ),
            ],
            remarks: vec!["something to do".to_owned()],
        };
        let text = told(&report, false);
        assert!(
            text.starts_with(
                "new      user         ann\nkept     job          night?ly: it was changed here; a note\n\n"
            ),
            "{text}"
        );
        assert!(text.contains("sources              0        0        1        0        0\n"), "{text}");
        assert!(text.ends_with("\nNote: something to do.\n\nIt is done.\n"), "{text}");
        assert!(told(&report, true).ends_with("nothing was written.\n"));
    }
}
