//! What became of each thing.

use crate::store::import::Outcome;

/// The kinds of things that are taken over, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    User,
    Source,
    Destination,
    Job,
    State,
}

impl Thing {
    /// All, in the order in which they are taken over.
    pub const ALL: [Self; 5] = [Self::User, Self::Source, Self::Destination, Self::Job, Self::State];

    /// `user`, `source`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Job => "job",
            Self::State => "state",
        }
    }
}

/// What became of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub thing: Thing,
    /// Its name there; of a state, its job's.
    pub name: String,
    pub outcome: Outcome,
    /// What is different here.
    pub notes: Vec<String>,
}

/// What became of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub entries: Vec<Entry>,
    /// What a person should know or do.
    pub remarks: Vec<String>,
}

impl Report {
    /// How many things of a kind came out in a way.
    pub fn count(&self, thing: Thing, outcome: fn(&Outcome) -> bool) -> usize {
        self.entries.iter().filter(|entry| entry.thing == thing && outcome(&entry.outcome)).count()
    }

    /// Whether everything there is here as it is there.
    pub fn changes_nothing(&self) -> bool {
        self.entries.iter().all(|entry| !matches!(entry.outcome, Outcome::Made | Outcome::Updated))
    }
}
