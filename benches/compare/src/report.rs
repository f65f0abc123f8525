//! The tables, as text that is Markdown too, and the same as JSON.

use crate::goals;
use crate::machine::Machine;
use crate::results::{Row, Table, median};
use crate::workloads::Column;
use serde_json::{Map, Value, json};

/// What the figures were measured with.
pub struct Setting {
    pub machine: Machine,
    pub generator: String,
    pub versions: Vec<(&'static str, String)>,
    pub rounds: usize,
    pub seconds: u64,
}

pub fn head(setting: &Setting) -> String {
    let Machine { processor, cores, kernel, load } = &setting.machine;
    let versions: Vec<&str> = setting.versions.iter().map(|(_, version)| version.as_str()).collect();
    format!(
        "{processor}, {cores} cores, Linux {kernel}, load average {load:.1} at the start; load by {}; {} rounds of {} s\n{}\n",
        setting.generator,
        setting.rounds,
        setting.seconds,
        versions.join(", ")
    )
}

/// A table of medians; beside what compares, the median of the ratios to the limit and their extremes.
pub fn table(table: &Table) -> String {
    let columns = table.workload.columns;
    let mut lines = vec![vec![String::new()]];
    for column in columns {
        lines[0].push(column.title.to_owned());
        if shows_ratio(table, column) {
            lines[0].push("× native".to_owned());
        }
    }
    for row in &table.rows {
        let mut line = vec![title(row)];
        for column in columns {
            line.push(row.median(column.key).map_or("–".to_owned(), |value| decimal(value, column.decimals)));
            if let Some(limit) = table.limit().filter(|_| column.ratio) {
                line.push(spread(&row.ratios(limit, column.key)));
            }
        }
        lines.push(line);
    }
    let mut text = format!("\n### {}: {}\n\n{}", table.workload.name, table.workload.title, markdown(&lines));
    for note in &table.notes {
        text += &format!("\n- {note}");
    }
    if !table.notes.is_empty() {
        text.push('\n');
    }
    text
}

fn shows_ratio(table: &Table, column: &Column) -> bool {
    column.ratio && table.limit().is_some()
}

fn title(row: &Row) -> String {
    let failed = row.rounds.iter().filter(|round| round.is_none()).count();
    let errors: f64 = row.values("errors").iter().sum();
    let mut title = row.candidate.title.to_owned();
    if failed > 0 {
        title += &format!(" ({failed} of {} turns failed)", row.rounds.len());
    }
    if errors > 0.0 {
        title += &format!(" ({errors} requests failed)");
    }
    title
}

fn spread(ratios: &[f64]) -> String {
    let Some(middle) = median(ratios) else { return "–".to_owned() };
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if least == most { format!("{middle:.2}") } else { format!("{middle:.2} ({least:.2}–{most:.2})") }
}

/// With a blank between thousands.
fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let end = text.find('.').unwrap_or(text.len());
    let start = usize::from(text.starts_with('-'));
    let mut grouped = String::new();
    for (at, character) in text.char_indices() {
        if at > start && at < end && (end - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(character);
    }
    grouped
}

fn markdown(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).max(2);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            text += &if column == 0 { format!("| {cell:<width$} ") } else { format!("| {cell:>width$} ") };
        }
        text += "|\n";
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                text += &if column == 0 {
                    format!("|{}", "-".repeat(width + 2))
                } else {
                    format!("|{}:", "-".repeat(width + 1))
                };
            }
            text += "|\n";
        }
    }
    text
}

/// Where the project's goals stand; only those that this run has measured.
pub fn goals(tables: &[Table]) -> String {
    let mut lines = vec![["goal", "reach", "measured", ""].map(str::to_owned).to_vec()];
    for goal in goals::ALL {
        if let Some(measured) = goal.measured(tables) {
            let verdict = if goal.is_reached(measured) { "reached" } else { "not reached" };
            let cells = [goal.title.to_owned(), goal.reach.to_string(), decimal(measured, 2), verdict.to_owned()];
            lines.push(cells.to_vec());
        }
    }
    if lines.len() == 1 { String::new() } else { format!("\n### Goals\n\n{}", markdown(&lines)) }
}

pub fn json(setting: &Setting, tables: &[Table]) -> Value {
    let Machine { processor, cores, kernel, load } = &setting.machine;
    let versions: Map<String, Value> =
        setting.versions.iter().map(|(name, version)| ((*name).to_owned(), json!(version))).collect();
    let goals = goals::ALL.iter().map(|goal| {
        let measured = goal.measured(tables);
        let reached = measured.map(|measured| goal.is_reached(measured));
        json!({ "goal": goal.title, "reach": goal.reach.to_string(), "measured": measured, "reached": reached })
    });
    json!({
        "machine": { "processor": processor, "cores": cores, "kernel": kernel, "load_average_at_start": load },
        "load_generator": setting.generator,
        "versions": versions,
        "rounds": setting.rounds,
        "seconds": setting.seconds,
        "workloads": tables.iter().map(table_json).collect::<Vec<_>>(),
        "goals": goals.collect::<Vec<_>>(),
    })
}

fn table_json(table: &Table) -> Value {
    let rows = table.rows.iter().map(|row| {
        let mut medians = Map::new();
        let mut ratios = Map::new();
        for column in table.workload.columns {
            medians.insert(column.key.to_owned(), json!(row.median(column.key)));
            if let Some(limit) = table.limit().filter(|_| column.ratio) {
                let rounds = row.ratios(limit, column.key);
                ratios.insert(column.key.to_owned(), json!({ "median": median(&rounds), "rounds": rounds }));
            }
        }
        json!({
            "candidate": row.candidate.name,
            "title": row.candidate.title,
            "median": medians,
            "ratio_to_native": ratios,
            "rounds": row.rounds,
        })
    });
    json!({
        "name": table.workload.name,
        "title": table.workload.title,
        "rows": rows.collect::<Vec<_>>(),
        "notes": table.notes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(decimal(1234567.0, 0), "1 234 567");
        assert_eq!(decimal(999.96, 1), "1 000.0");
        assert_eq!(decimal(-123456.5, 1), "-123 456.5");
        assert_eq!(decimal(0.25, 2), "0.25");
    }

    #[test]
    fn ratios_are_shown_with_their_extremes() {
        assert_eq!(spread(&[1.0, 3.0, 2.0]), "2.00 (1.00–3.00)");
        assert_eq!(spread(&[1.0]), "1.00");
        assert_eq!(spread(&[]), "–");
    }
}
