use super::*;

fn table(id: u64, smallest: &str, largest: &str) -> Arc<TableMeta> {
    Arc::new(TableMeta {
        id: TableId(id),
        size_bytes: 10,
        smallest: smallest.as_bytes().into(),
        largest: largest.as_bytes().into(),
        ..TableMeta::default()
    })
}

fn add(level: u32, run: u64, table: Arc<TableMeta>) -> TableChange {
    TableChange::Add { level, run: RunId(run), table }
}

fn remove(id: u64) -> TableChange {
    TableChange::Remove { table: TableId(id) }
}

/// One line a run, newest first: `L0 r2: 2[a-c]`.
fn draw(tree: &Tree) -> String {
    let mut lines = Vec::new();
    for (level, runs) in tree.levels.iter().enumerate() {
        for run in &runs.runs {
            let tables: Vec<_> = run
                .tables
                .iter()
                .map(|t| format!("{}[{}-{}]", t.id.0, t.smallest.escape_ascii(), t.largest.escape_ascii()))
                .collect();
            lines.push(format!("L{level} r{}: {}", run.id.0, tables.join(" ")));
        }
    }
    lines.join("\n")
}

#[test]
fn flushes_stack_newest_first_and_a_merge_replaces_them() {
    let tree = Tree::default().apply(&[add(0, 1, table(1, "a", "m"))]).unwrap();
    let tree = tree.apply(&[add(0, 2, table(2, "c", "z"))]).unwrap();
    assert_eq!(draw(&tree), "L0 r2: 2[c-z]\nL0 r1: 1[a-m]");

    let merged = [remove(1), remove(2), add(1, 2, table(4, "n", "z")), add(1, 2, table(3, "a", "m"))];
    let tree = tree.apply(&merged).unwrap();
    assert_eq!(draw(&tree), "L1 r2: 3[a-m] 4[n-z]");
    assert_eq!(tree.size_bytes(), 20);
}

#[test]
fn a_table_moves_between_levels_in_one_step() {
    let tree = Tree::default().apply(&[add(0, 1, table(1, "a", "b"))]).unwrap();
    let tree = tree.apply(&[remove(1), add(3, 1, table(1, "a", "b"))]).unwrap();
    assert_eq!(draw(&tree), "L3 r1: 1[a-b]");
    assert_eq!(tree.levels.len(), 4);
}

#[test]
fn an_emptied_tree_has_no_levels() {
    let tree = Tree::default().apply(&[add(2, 1, table(1, "a", "b"))]).unwrap();
    assert!(tree.apply(&[remove(1)]).unwrap().is_empty());
}

#[test]
fn contradictions_are_refused() {
    let tree = Tree::default().apply(&[add(1, 1, table(1, "c", "f"))]).unwrap();
    let refused = |changes: &[TableChange]| tree.apply(changes).unwrap_err();
    assert_eq!(refused(&[remove(9)]), TreeError::Missing(TableId(9)));
    assert_eq!(refused(&[remove(1), remove(1)]), TreeError::Missing(TableId(1)));
    assert_eq!(refused(&[add(2, 1, table(1, "x", "y"))]), TreeError::Duplicate(TableId(1)));
    assert_eq!(refused(&[add(1, 1, table(2, "f", "g"))]), TreeError::Overlap(TableId(2), TableId(1)));
    assert_eq!(refused(&[add(1, 1, table(2, "a", "z"))]), TreeError::Overlap(TableId(2), TableId(1)));
    assert_eq!(refused(&[add(1, 2, table(2, "g", "f"))]), TreeError::Reversed(TableId(2)));
    assert_eq!(refused(&[add(32, 2, table(2, "g", "h"))]), TreeError::TooDeep(32));
}

#[test]
fn overlapping_finds_neighbours() {
    let tree = Tree::default()
        .apply(&[add(1, 1, table(1, "b", "d")), add(1, 1, table(2, "f", "h")), add(1, 1, table(3, "j", "l"))])
        .unwrap();
    let run = &tree.levels[1].runs[0];
    let ids = |from: &str, to: &str| -> Vec<u64> {
        run.overlapping(from.as_bytes(), to.as_bytes()).iter().map(|t| t.id.0).collect()
    };
    assert_eq!(ids("a", "a"), []);
    assert_eq!(ids("d", "f"), [1, 2]);
    assert_eq!(ids("e", "e"), []);
    assert_eq!(ids("c", "k"), [1, 2, 3]);
    assert_eq!(ids("m", "z"), []);
}
