//! Who belongs to whom at the least cost.

/// For each row the column it is assigned, so that the sum of costs is least and as many are assigned as can be; `cost` must
/// be finite. At most n² m steps for n rows and m columns, whichever are fewer (Kuhn's Hungarian method with potentials).
pub fn assign(rows: usize, columns: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<Option<usize>> {
    if rows <= columns {
        return each_row(rows, columns, cost);
    }
    let mut turned = vec![None; rows];
    for (column, row) in each_row(columns, rows, |column, row| cost(row, column)).into_iter().enumerate() {
        if let Some(row) = row {
            turned[row] = Some(column);
        }
    }
    turned
}

/// The same where there is a column for each row.
fn each_row(rows: usize, columns: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<Option<usize>> {
    // Row and column 0 stand for nothing; everything else is counted from 1.
    let mut of_row = vec![0.0; rows + 1];
    let mut of_column = vec![0.0; columns + 1];
    let mut row_at = vec![0; columns + 1];
    for row in 1..=rows {
        row_at[0] = row;
        let mut column = 0;
        let mut slack = vec![f64::INFINITY; columns + 1];
        let mut before = vec![0; columns + 1];
        let mut reached = vec![false; columns + 1];
        while row_at[column] != 0 {
            reached[column] = true;
            let from = row_at[column];
            let (mut least, mut next) = (f64::INFINITY, 0);
            for to in (1..=columns).filter(|to| !reached[*to]) {
                let reduced = cost(from - 1, to - 1) - of_row[from] - of_column[to];
                if reduced < slack[to] {
                    slack[to] = reduced;
                    before[to] = column;
                }
                if slack[to] < least {
                    (least, next) = (slack[to], to);
                }
            }
            for other in 0..=columns {
                if reached[other] {
                    of_row[row_at[other]] += least;
                    of_column[other] -= least;
                } else {
                    slack[other] -= least;
                }
            }
            column = next;
        }
        while column != 0 {
            row_at[column] = row_at[before[column]];
            column = before[column];
        }
    }
    let mut assigned = vec![None; rows];
    for column in 1..=columns {
        if row_at[column] != 0 {
            assigned[row_at[column] - 1] = Some(column - 1);
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_cheapest_for_each_gives_way_to_the_cheapest_for_all() {
        // Row 0 alone would take column 0; together it is cheaper to leave that to row 1.
        let costs = [[1.0, 2.0], [1.0, 9.0]];
        assert_eq!(assign(2, 2, |row, column| costs[row][column]), [Some(1), Some(0)]);
    }

    #[test]
    fn whoever_are_more_stay_partly_alone() {
        let costs = [[4.0, 1.0, 3.0]];
        assert_eq!(assign(1, 3, |row, column| costs[row][column]), [Some(1)]);
        assert_eq!(assign(3, 1, |column, row| costs[row][column]), [None, Some(0), None]);
        assert_eq!(assign(0, 3, |_, _| 0.0), []);
        assert_eq!(assign(2, 0, |_, _| 0.0), [None, None]);
    }

    proptest! {
        #[test]
        fn no_other_assignment_is_cheaper(
            rows in 1usize..5,
            columns in 1usize..5,
            costs in proptest::collection::vec(0.0f64..100.0, 16),
        ) {
            let cost = |row: usize, column: usize| costs[row * 4 + column];
            let assigned = assign(rows, columns, cost);
            let taken: std::collections::BTreeSet<usize> = assigned.iter().flatten().copied().collect();
            prop_assert_eq!(taken.len(), rows.min(columns));
            let sum: f64 = assigned.iter().enumerate().filter_map(|(row, column)| Some(cost(row, (*column)?))).sum();
            prop_assert!((sum - cheapest(0, rows, columns, &cost, &mut vec![false; columns])).abs() < 1e-9);
        }
    }

    /// Tries everything.
    fn cheapest(
        row: usize,
        rows: usize,
        columns: usize,
        cost: &impl Fn(usize, usize) -> f64,
        taken: &mut Vec<bool>,
    ) -> f64 {
        if row == rows {
            return 0.0;
        }
        let mut least = f64::INFINITY;
        let open = taken.iter().filter(|taken| !**taken).count();
        if rows - row > open {
            least = cheapest(row + 1, rows, columns, cost, taken);
        }
        for column in 0..columns {
            if !taken[column] {
                taken[column] = true;
                least = least.min(cost(row, column) + cheapest(row + 1, rows, columns, cost, taken));
                taken[column] = false;
            }
        }
        least
    }
}
