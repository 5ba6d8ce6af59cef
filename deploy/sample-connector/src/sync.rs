//! `sync`: the selected streams, one after another, batch by batch, into Parquet files.
//!
//! Invariants: a batch is in the destination before the state says so; rows with the same cursor value are in
//! one batch, so that reading on from a state (`cursor > value`) neither skips nor repeats a row; SIGTERM and
//! errors are looked for between batches only. Rows without a cursor value are read by a stream's first run
//! alone, before all others and never without one that has a value, so that their batch has a state.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::{Map, Value};

use crate::catalog::{OWN_COLUMNS, primary_key};
use crate::clock;
use crate::config::{Destination, Source, read_json};
use crate::output::Output;
use crate::parquet::{self, OutputColumn, TableWriter};
use crate::selection::{self, Chosen, Mode, Selection};
use crate::signals::{Cancelled, Stop};
use crate::source::{self, Column, Row, StreamFile};
use crate::state::State;
use crate::stats::Progress;
use crate::value::{Cell, Kind};
use crate::version::Version;
use crate::witness::Witness;

/// The column that holds a row's JSON if it is not normalized.
const DATA_COLUMN: &str = "data";

/// What a sync is asked for.
pub struct Request<'a> {
    pub config: &'a Path,
    pub destination: &'a Path,
    pub catalog: &'a Path,
    pub state: Option<&'a Path>,
    /// The folder that gets state.json and stats.json.
    pub folder: &'a Path,
}

/// Runs a sync. The exit code.
///
/// # Errors
/// Whatever keeps it from reading or writing all rows; SIGTERM.
pub fn sync(request: &Request<'_>, version: Version, output: &Output, stop: &Stop) -> Result<u8> {
    let mut source = Source::load(request.config)?;
    let destination = Destination::load(request.destination)?;
    let catalog = read_json(request.catalog)?;
    let mut state = State::load(request.state, request.folder.join("state.json"))?;
    output.info(&format!("Ruuning OLake sync with version {version}"));
    output.info(&format!("Running sync with state: {}", state.text()));
    state.write_in_halves(source.faults.half_state);
    let begun = request.state.is_some().then(|| state.text());
    let place = source.faults.witness.take();
    let witness = place.map(|place| Witness::begin(&place, begun.as_deref())).transpose()?;
    let work = Work { folder: request.folder, destination: &destination, catalog: &catalog };
    let done = read_all(&work, &mut source, state, witness.as_ref(), output, stop);
    if let Some(witness) = &witness {
        witness.end(*done.as_ref().unwrap_or(&1))?;
    }
    done
}

/// What a sync works on, beside its source and state.
struct Work<'a> {
    folder: &'a Path,
    destination: &'a Destination,
    catalog: &'a Value,
}

fn read_all(
    work: &Work<'_>,
    source: &mut Source,
    mut state: State,
    witness: Option<&Witness>,
    output: &Output,
    stop: &Stop,
) -> Result<u8> {
    let Work { folder, destination, catalog } = work;
    source.faults.settle_once()?;
    if let Some(code) = source.faults.at_start(output, stop)? {
        return Ok(code);
    }
    source.connect()?;
    output.info(&format!("Starting discover for folder {}", source.path.display()));
    let selections = selection::selected(catalog)?;
    let names: Vec<String> = selections.iter().map(Selection::full_name).collect();
    output.info(&format!("Valid selected streams are {}", names.join(", ")));
    let files = source::streams(&source.path)?;
    let mut work = Vec::new();
    for selection in &selections {
        let file = files
            .iter()
            .find(|file| selection.namespace == source.namespace() && file.name == selection.name);
        work.push((
            selection,
            file.with_context(|| format!("stream {} does not exist", selection.full_name()))?,
        ));
    }
    clear_full_refreshes(&selections, destination, &mut state, output)?;
    parquet::probe(destination, output)?;

    let progress = Progress::new();
    let stats_file = folder.join("stats.json");
    let source: &Source = source;
    let mut run = Run { source, destination, state, progress: &progress, witness, output, stop };
    let streams_ended = AtomicBool::new(false);
    let all_ended = AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        let report = scope.spawn(|| progress.report(&stats_file, &|| all_ended.load(Ordering::SeqCst)));
        let failed = || report.is_finished();
        let lines = scope.spawn(|| {
            source.faults.write_lines(stop, &|| streams_ended.load(Ordering::SeqCst), &|number| match witness
            {
                Some(witness) => witness.say_line(output),
                None => {
                    output.info(&format!("line {number}"));
                    Ok(())
                }
            })
        });
        let mut done = run.all(&work, &failed);
        if done.is_ok() {
            // The numbered lines are part of the work: all of them come out, unless SIGTERM does first.
            while !lines.is_finished() && !failed() {
                std::thread::sleep(Duration::from_millis(5));
            }
            done = stop.check().map_err(Into::into);
        }
        streams_ended.store(true, Ordering::SeqCst);
        // No line may come after the one that says how it ended.
        let said = lines.join().unwrap_or_else(|_| Err(anyhow!("the thread of the numbered lines died")));
        done = said.and(done);
        all_ended.store(true, Ordering::SeqCst);
        match report.join() {
            Ok(Ok(())) => done,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(anyhow!("the reporting thread died")),
        }
    });
    // A short sync passes on a read-only folder, as with the real connectors.
    if let Err(error) = progress.write_last(&stats_file) {
        output.debug(&format!("{error:#}"));
    }
    done.map_err(|error| {
        if error.is::<Cancelled>() {
            error
                .context("error occurred while reading records: error occurred while waiting for connections")
        } else {
            error
        }
    })?;
    output.info(&progress.total());
    Ok(0)
}

fn clear_full_refreshes(
    selections: &[Selection],
    destination: &Destination,
    state: &mut State,
    output: &Output,
) -> Result<()> {
    let full: Vec<&Selection> =
        selections.iter().filter(|selection| selection.mode == Mode::FullRefresh).collect();
    if full.is_empty() {
        return Ok(());
    }
    output.info("Clearing state for full refresh streams");
    let mut forgotten = false;
    for selection in full {
        forgotten |= state.forget(&selection.namespace, &selection.name);
        parquet::clear(destination, &selection.database, &selection.table, output)?;
    }
    if forgotten { state.write() } else { Ok(()) }
}

struct Run<'a> {
    source: &'a Source,
    destination: &'a Destination,
    state: State,
    progress: &'a Progress,
    witness: Option<&'a Witness>,
    output: &'a Output,
    stop: &'a Stop,
}

/// A stream that is being read.
struct Reading<'a> {
    selection: &'a Selection,
    columns: &'a [Column],
    chosen: Vec<Chosen>,
    writer: TableWriter,
    /// The name of the thread in log lines.
    thread: String,
    /// `r` for rows of a stream's first run or full refresh, `u` for those that came later.
    operation: &'static str,
}

impl Run<'_> {
    /// All streams. `failed`: whether something beside them went wrong, so that there is no use in going on.
    fn all(&mut self, work: &[(&Selection, &StreamFile)], failed: &dyn Fn() -> bool) -> Result<()> {
        let parts = u32::try_from(work.len()).unwrap_or(1).max(1);
        let span = self.source.faults.take_time / parts;
        for (selection, file) in work {
            self.stream(selection, file, span, failed)?;
        }
        Ok(())
    }

    /// One stream, spread over `span`.
    fn stream(
        &mut self,
        selection: &Selection,
        file: &StreamFile,
        span: Duration,
        failed: &dyn Fn() -> bool,
    ) -> Result<()> {
        let begin = Instant::now();
        let full_name = selection.full_name();
        let source::Table { columns, mut rows } = file.read(self.stop)?;
        for (at, column) in columns.iter().enumerate() {
            let kind = selection.kind(column);
            for row in &mut rows {
                let cell = std::mem::replace(&mut row.cells[at], Cell::Null);
                row.cells[at] = cell.convert(kind).with_context(|| {
                    format!("a value of {full_name}.{} is no {}", column.name, kind.name())
                })?;
            }
        }

        let mut cursor = None;
        let mut operation = "r";
        if let Mode::Incremental(field) = &selection.mode {
            let at = columns.iter().position(|column| column.name == *field);
            let at =
                at.with_context(|| format!("cursor field {field} of stream {full_name} does not exist"))?;
            if self.keep_new(selection, field, at, selection.kind(&columns[at]), &mut rows)? {
                operation = "u";
            }
            rows.sort_by(|a, b| a.cells[at].compare(&b.cells[at]));
            cursor = Some((field.as_str(), at));
        }

        let chosen = selection.choose(&columns);
        let writer = TableWriter::new(
            self.destination,
            &selection.database,
            &selection.table,
            output_columns(selection, &chosen),
        )?;
        let thread = format!("{full_name}_{operation}");
        let reading = Reading { selection, columns: &columns, chosen, writer, thread, operation };
        let batches = batches(&rows, self.source.batch_size, cursor.map(|(_, at)| at));
        self.progress.expect(rows.len() as u64);
        if operation == "r" {
            self.output.info(&format!(
                "Starting backfill for stream[{}] with {} chunks",
                selection.name,
                batches.len()
            ));
        }
        if let (Some((field, _)), true) = (cursor, batches.is_empty() && operation == "r") {
            let known = self.state.stream(&selection.namespace, &selection.name).is_some();
            self.output.debug(&format!("no rows to set the cursor {field} from"));
            if !known {
                self.state.advance(&selection.namespace, &selection.name, None)?;
            }
        }

        let mut written = 0;
        for (number, batch) in batches.iter().enumerate() {
            self.stop.check()?;
            if failed() {
                return Ok(());
            }
            self.source.faults.before_batch(self.progress.rows(), batch.len() as u64)?;
            self.batch(&reading, batch, cursor)?;
            written += batch.len();
            self.output.info(&format!(
                "finished chunk {} of {} of stream {full_name}: {written} of {} records",
                number + 1,
                batches.len(),
                rows.len()
            ));
            self.source.faults.after_batch()?;
            #[expect(clippy::cast_precision_loss, reason = "a share of the time")]
            let share = written as f64 / rows.len() as f64;
            self.stop.wait_until(begin + span.mul_f64(share))?;
        }
        self.stop.wait_until(begin + span)?;
        Ok(())
    }

    /// Keeps the rows that the state does not have yet. Whether the stream has been synced before.
    fn keep_new(
        &self,
        selection: &Selection,
        field: &str,
        at: usize,
        kind: Kind,
        rows: &mut Vec<Row>,
    ) -> Result<bool> {
        let full_name = selection.full_name();
        let Some(known) = self.state.stream(&selection.namespace, &selection.name) else {
            self.output.debug("state is empty");
            return Ok(false);
        };
        let Some(value) = known.get(field) else {
            // Another cursor than before begins anew. A state without any is that of rows without a value.
            let anew = known.keys().any(|key| key != "chunks");
            if !anew {
                rows.retain(|row| row.cells[at] != Cell::Null);
            }
            return Ok(!anew);
        };
        let last = Cell::from_json(value.clone()).convert(kind).filter(|last| *last != Cell::Null);
        let last =
            last.with_context(|| format!("the state's {field} of stream {full_name} is no {}", kind.name()))?;
        self.output.info(&format!("Backfill skipped for stream[{full_name}], already completed"));
        self.output.info(&format!(
            "Starting incremental sync for stream[{full_name}] with condition: \"{field}\" > $1 and args: [{}]",
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        ));
        rows.retain(|row| row.cells[at].compare(&last).is_gt());
        Ok(true)
    }

    /// Writes a batch, then the state that says so.
    fn batch(&mut self, reading: &Reading<'_>, rows: &[Row], cursor: Option<(&str, usize)>) -> Result<()> {
        let Reading { selection, thread, .. } = reading;
        let now = Cell::Timestamp(clock::now().timestamp_micros());
        let cells: Vec<Vec<Cell>> = rows.iter().map(|row| reading.output_row(row, &now)).collect();
        let path = reading.writer.next_path();
        self.output.info(&format!("Thread[{thread}]: created new partition file[{}]", path.display()));
        reading
            .writer
            .write(&path, &cells)
            .with_context(|| format!("thread[{thread}]: failed to close writer"))?;
        self.output.info(&format!("Thread[{thread}]: successfully wrote {} records", rows.len()));
        self.output.info(&format!("Thread[{thread}]: Finished writing file [{}].", path.display()));
        if let (Some((field, at)), Some(last)) = (cursor, rows.last()) {
            let value = Some(&last.cells[at]).filter(|cell| **cell != Cell::Null);
            let value = value.map(|cell| (field, cell.to_json()));
            self.state.advance(&selection.namespace, &selection.name, value)?;
            if let (Some(witness), Some(first)) = (self.witness, rows.first()) {
                witness.batch(&first.cells[at].to_json(), &last.cells[at].to_json(), &self.state.text())?;
            }
        }
        self.progress.add(rows.len() as u64, rows.iter().map(|row| row.size).sum());
        Ok(())
    }
}

impl Reading<'_> {
    fn output_row(&self, row: &Row, now: &Cell) -> Vec<Cell> {
        let mut cells = Vec::with_capacity(OWN_COLUMNS.len() + self.chosen.len());
        cells.push(Cell::Text(self.row_id(row)));
        cells.push(now.clone());
        cells.push(Cell::Text(self.operation.to_owned()));
        if self.selection.normalization {
            cells.extend(self.chosen.iter().map(|chosen| row.cells[chosen.at].clone()));
        } else {
            let object: Map<String, Value> = self
                .chosen
                .iter()
                .map(|chosen| (self.columns[chosen.at].name.clone(), row.cells[chosen.at].to_json()))
                .collect();
            cells.push(Cell::Text(Value::Object(object).to_string()));
        }
        cells
    }

    /// The same id for the same row at each sync: a hash (FNV-1a, 128 bits) of its key, or of all of it
    /// without one.
    fn row_id(&self, row: &Row) -> String {
        let key = if primary_key(self.columns).is_some() { &row.cells[..1] } else { &row.cells[..] };
        let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        for cell in key {
            for byte in cell.to_json().to_string().bytes().chain([0]) {
                hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
            }
        }
        format!("{hash:032x}")
    }
}

fn output_columns(selection: &Selection, chosen: &[Chosen]) -> Vec<OutputColumn> {
    let own = OWN_COLUMNS
        .iter()
        .map(|(name, kind)| OutputColumn { name: (*name).to_owned(), kind: Kind::from_name(kind) });
    let mut columns: Vec<OutputColumn> = own.collect();
    if selection.normalization {
        columns.extend(chosen.iter().map(|chosen| chosen.column.clone()));
    } else {
        columns.push(OutputColumn { name: DATA_COLUMN.to_owned(), kind: Kind::Text });
    }
    columns
}

/// The rows in batches of `size`, each longer by as many rows as have the cursor value of its last one.
fn batches(rows: &[Row], size: usize, cursor: Option<usize>) -> Vec<&[Row]> {
    let mut batches = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let mut end = size.min(rest.len());
        if let Some(at) = cursor {
            // Sorted: rows without a value are first, and go with the first value.
            while end < rest.len()
                && (rest[end - 1].cells[at] == Cell::Null || rest[end].cells[at] == rest[end - 1].cells[at])
            {
                end += 1;
            }
        }
        let (batch, left) = rest.split_at(end);
        batches.push(batch);
        rest = left;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(cursors: &[Option<i64>], size: usize, with_cursor: bool) -> Vec<usize> {
        let row = |value: &Option<i64>| Row { cells: vec![value.map_or(Cell::Null, Cell::Integer)], size: 1 };
        let rows: Vec<Row> = cursors.iter().map(row).collect();
        batches(&rows, size, with_cursor.then_some(0)).iter().map(|batch| batch.len()).collect()
    }

    #[test]
    fn rows_of_one_cursor_value_stay_together() {
        let cursors = [1, 2, 2, 2, 3, 4, 5].map(Some);
        assert_eq!(sizes(&cursors, 2, true), [4, 2, 1]);
        assert_eq!(sizes(&cursors, 2, false), [2, 2, 2, 1]);
        assert_eq!(sizes(&[], 2, true), [0; 0]);
    }

    #[test]
    fn rows_without_a_cursor_value_go_with_the_first_that_has_one() {
        assert_eq!(sizes(&[None, None, None, Some(1), Some(1), Some(2)], 2, true), [5, 1]);
        assert_eq!(sizes(&[None, None, None], 2, true), [3]);
    }
}
