//! The destination type `parquet`: one Parquet file a batch, zstd-compressed, in
//! `<folder>/<database>/<table>`.
//!
//! A file is written under a hidden name and renamed when it is complete: whatever reads `*.parquet` never
//! sees a half one. All columns are optional. A kill between the rename and the write of the state doubles a
//! batch, as the real connectors' Parquet does.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::types::{Type, TypePtr};
use anyhow::{Context, Result, bail};
use uuid::Uuid;

use crate::clock;
use crate::config::Destination;
use crate::output::Output;
use crate::value::{Cell, Kind};

/// A column of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputColumn {
    pub name: String,
    pub kind: Kind,
}

/// Writes the files of one table.
pub struct TableWriter {
    folder: PathBuf,
    columns: Vec<OutputColumn>,
    schema: TypePtr,
    properties: Arc<WriterProperties>,
}

/// Whether the destination can be written: what `check --destination` asks and a sync asks first.
///
/// # Errors
/// A sentence for the person who wrote the config.
pub fn probe(destination: &Destination, output: &Output) -> Result<()> {
    probe_folder(destination, output).context("failed to test destination")
}

fn probe_folder(destination: &Destination, output: &Output) -> Result<()> {
    if destination.kind != "PARQUET" {
        bail!("invalid destination type has been passed [{}]", destination.kind);
    }
    let folder = &destination.local_path;
    if folder.as_os_str().is_empty() {
        bail!("failed to validate config: empty local_path");
    }
    let thread =
        format!("test_parquet_destination_{}", clock::now().timestamp_nanos_opt().unwrap_or_default());
    let place = folder.display();
    output.info(&format!("Thread[{thread}]: local writer configuration found, writing at location[{place}]"));
    std::fs::create_dir_all(folder).with_context(|| format!("failed to create path: mkdir {place}"))?;
    let file = folder.join(format!(".{thread}"));
    let written = std::fs::write(&file, b"olake").and_then(|()| std::fs::remove_file(&file));
    written.with_context(|| format!("failed to write to path {place}"))
}

/// Drops all the data of a table, for a full refresh.
///
/// # Errors
/// A folder that cannot be removed.
pub fn clear(destination: &Destination, database: &str, table: &str, output: &Output) -> Result<()> {
    let folder = destination.local_path.join(database).join(table);
    output.info(&format!("clearing local path: {}", folder.display()));
    match std::fs::remove_dir_all(&folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            output.debug(&format!("local path does not exist, skipping: {}", folder.display()));
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("failed to clear local path {}", folder.display())),
    }
}

impl TableWriter {
    /// A writer for a table below `destination`'s folder.
    ///
    /// # Errors
    /// Columns that Parquet refuses.
    pub fn new(
        destination: &Destination,
        database: &str,
        table: &str,
        columns: Vec<OutputColumn>,
    ) -> Result<Self> {
        let fields = columns.iter().map(|column| field(column).map(Arc::new)).collect::<Result<Vec<_>>>()?;
        let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(Default::default())).build();
        Ok(Self {
            folder: destination.local_path.join(database).join(table),
            columns,
            schema: Arc::new(schema),
            properties: Arc::new(properties),
        })
    }

    /// The path of a next file: its time and an id.
    pub fn next_path(&self) -> PathBuf {
        self.folder.join(format!("{}_{}.parquet", clock::for_name(clock::now()), Uuid::now_v7()))
    }

    /// Writes the rows (a cell for each column, of its type) as the file `path`.
    ///
    /// # Errors
    /// A file that cannot be written; nothing of it is left.
    pub fn write(&self, path: &Path, rows: &[Vec<Cell>]) -> Result<()> {
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("failed to create path: mkdir {}", self.folder.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hidden = path.with_file_name(format!(".{name}.tmp"));
        let written = self.write_file(&hidden, rows).and_then(|()| Ok(std::fs::rename(&hidden, path)?));
        if written.is_err() {
            // The first error says why; that there may be nothing to remove does not matter.
            let _ = std::fs::remove_file(&hidden);
        }
        written.with_context(|| format!("failed to close writer: write {}", path.display()))
    }

    fn write_file(&self, path: &Path, rows: &[Vec<Cell>]) -> Result<()> {
        let file = File::create(path)?;
        let mut writer =
            SerializedFileWriter::new(file, Arc::clone(&self.schema), Arc::clone(&self.properties))?;
        let mut group = writer.next_row_group()?;
        let mut at = 0;
        while let Some(mut column) = group.next_column()? {
            let kind = self.columns.get(at).map(|column| column.kind).context("a column too many")?;
            write_column(&mut column, kind, rows, at)?;
            column.close()?;
            at += 1;
        }
        group.close()?;
        writer.close()?;
        Ok(())
    }
}

fn field(column: &OutputColumn) -> Result<Type> {
    let (physical, logical) = match column.kind {
        Kind::Boolean => (PhysicalType::BOOLEAN, None),
        Kind::Integer => (PhysicalType::INT64, None),
        Kind::Number => (PhysicalType::DOUBLE, None),
        Kind::Timestamp => (PhysicalType::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        Kind::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let builder = Type::primitive_type_builder(&column.name, physical).with_repetition(Repetition::OPTIONAL);
    Ok(builder.with_logical_type(logical).build()?)
}

fn write_column(
    writer: &mut SerializedColumnWriter<'_>,
    kind: Kind,
    rows: &[Vec<Cell>],
    at: usize,
) -> Result<()> {
    match kind {
        Kind::Boolean => write_cells::<BoolType>(writer, rows, at, |cell| match cell {
            Cell::Boolean(value) => Some(*value),
            _ => None,
        }),
        Kind::Integer | Kind::Timestamp => write_cells::<Int64Type>(writer, rows, at, |cell| match cell {
            Cell::Integer(value) | Cell::Timestamp(value) => Some(*value),
            _ => None,
        }),
        Kind::Number => write_cells::<DoubleType>(writer, rows, at, |cell| match cell {
            Cell::Number(value) => Some(*value),
            _ => None,
        }),
        Kind::Text => write_cells::<ByteArrayType>(writer, rows, at, |cell| match cell {
            Cell::Text(text) => Some(ByteArray::from(text.as_str())),
            _ => None,
        }),
    }
}

fn write_cells<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    rows: &[Vec<Cell>],
    at: usize,
    value: impl Fn(&Cell) -> Option<T::T>,
) -> Result<()> {
    let cells: Vec<Option<T::T>> = rows.iter().map(|row| row.get(at).and_then(&value)).collect();
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    let values: Vec<T::T> = cells.into_iter().flatten().collect();
    writer.typed::<T>().write_batch(&values, Some(&levels), None)?;
    Ok(())
}
