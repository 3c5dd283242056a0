//! Tables as kubectl and istioctl print them: which line is a header, which is a row.

use std::sync::Arc;

/// A table whose rows may follow.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// The header line, without its indentation.
    pub(super) header: Arc<str>,
    /// Blanks in front of the header: the rows have them too.
    pub(super) indent: usize,
    columns: usize,
}

/// First columns of the tables we know; a header with single blanks between its columns must begin with one.
const FIRST_COLUMNS: [&str; 9] =
    ["NAME", "NAMESPACE", "LAST", "ENDPOINT", "ADDRESSES", "RESOURCE", "CLUSTER", "POD", "CERTIFICATE"];

impl Table {
    /// The table this line is the header of: two or more column names in upper case.
    pub(super) fn opened_by(line: &str) -> Option<Table> {
        let header = line.trim();
        if !header.starts_with(|c: char| c.is_ascii_uppercase()) || header.len() > 1_024 {
            return None;
        }
        let named = |name: &str| {
            name.len() >= 2
                && name.starts_with(|c: char| c.is_ascii_uppercase())
                && name.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || b" -_/()%.:".contains(&c))
        };
        let mut columns = 0;
        for name in cells(header) {
            if !named(name) {
                return None;
            }
            columns += 1;
        }
        if columns < 2 {
            // TABs and runs of blanks may have been squeezed to single ones.
            let words = header.split(' ').count();
            let known = FIRST_COLUMNS.iter().any(|first| header.split(' ').next() == Some(first));
            if words < 2 || !known {
                return None;
            }
            columns = words;
        }
        let indent = line.len() - line.trim_start().len();
        Some(Table { header: header.into(), indent, columns })
    }

    /// Whether a line can be a row of this table.
    pub(super) fn holds(&self, row: &str) -> bool {
        let row = row.trim();
        let cells = cells(row).count();
        cells > 1 || row.split(' ').count() == self.columns || (!row.contains(' ') && self.columns <= 3)
    }
}

/// The cells of a line: what stands between TABs or runs of two blanks.
fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split("  ").flat_map(|part| part.split('\t')).map(str::trim).filter(|cell| !cell.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_kubectl_and_istioctl_are_known() {
        for header in [
            "NAME   READY   STATUS    RESTARTS   AGE",
            "NAMESPACE   NAME   TYPE   CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE",
            "LAST SEEN   TYPE      REASON    OBJECT    MESSAGE",
            "ENDPOINT            STATUS      OUTLIER CHECK     CLUSTER",
            "NAME READY STATUS RESTARTS AGE",
            "    NAME            ADDRESSTYPE   PORTS   ENDPOINTS     AGE",
        ] {
            assert!(Table::opened_by(header).is_some(), "{header}");
        }
        for line in ["ERROR", "UF,URX upstream_reset", "WARN  ca  request failed", "OK", "SSL routines:OPENSSL"] {
            assert!(Table::opened_by(line).is_none(), "{line}");
        }
    }

    #[test]
    fn a_sentence_is_no_row() {
        let table = Table::opened_by("NAME   READY   STATUS").expect("a header");
        assert!(table.holds("web-1   2/2     Running"));
        assert!(table.holds("web-1 2/2 Running"));
        assert!(!table.holds("Error from server (NotFound): pods \"x\" not found"));
    }
}
