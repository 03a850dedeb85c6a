//! Prometheus' text format, with all series of a name together under its type line.

use std::{collections::BTreeMap, fmt::Display};

use crate::peer::metrics::HistogramReading;

/// A page in the making.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Name -> type and lines.
    metrics: BTreeMap<String, (&'static str, Vec<String>)>,
}

impl Page {
    pub(super) fn gauge(&mut self, name: &str, value: impl Display) {
        self.add(name, "gauge", format!("{name} {value}"));
    }

    pub(super) fn counter(&mut self, name: &str, value: u64) {
        self.add(name, "counter", format!("{name} {value}"));
    }

    pub(super) fn counter_seconds(&mut self, name: &str, seconds: f64) {
        self.add(name, "counter", format!("{name} {seconds}"));
    }

    /// A gauge that is 1 and says something in its label.
    pub(super) fn labelled_gauge(&mut self, name: &str, label: &str, text: &str) {
        self.gauge_of(name, &[(label, text)], 1);
    }

    pub(super) fn gauge_of(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.add(name, "gauge", format!("{name}{} {value}", braces(labels, None)));
    }

    pub(super) fn counter_of(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.add(name, "counter", format!("{name}{} {value}", braces(labels, None)));
    }

    pub(super) fn histogram(&mut self, name: &str, reading: &HistogramReading) {
        self.histogram_of(name, &[], reading);
    }

    pub(super) fn histogram_of(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        reading: &HistogramReading,
    ) {
        for (bound_seconds, count) in &reading.buckets {
            let braces = braces(labels, Some(&bound_seconds.to_string()));
            self.add(name, "histogram", format!("{name}_bucket{braces} {count}"));
        }
        let infinite = braces(labels, Some("+Inf"));
        let plain = braces(labels, None);
        self.add(name, "histogram", format!("{name}_bucket{infinite} {}", reading.count));
        self.add(name, "histogram", format!("{name}_sum{plain} {}", reading.sum_seconds));
        self.add(name, "histogram", format!("{name}_count{plain} {}", reading.count));
    }

    fn add(&mut self, name: &str, kind: &'static str, line: String) {
        let (_, lines) = self.metrics.entry(name.to_owned()).or_insert_with(|| (kind, Vec::new()));
        lines.push(line);
    }

    /// The finished page, names in order.
    pub(super) fn into_text(self) -> String {
        let mut text = String::new();
        for (name, (kind, lines)) in self.metrics {
            text += &format!("# TYPE {name} {kind}\n");
            for line in lines {
                text += &line;
                text.push('\n');
            }
        }
        text
    }
}

fn braces(labels: &[(&str, &str)], bound: Option<&str>) -> String {
    let mut parts: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    parts.extend(bound.map(|bound| format!("le=\"{bound}\"")));
    if parts.is_empty() { String::new() } else { format!("{{{}}}", parts.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_name_stand_together_under_one_type_line() {
        let mut page = Page::default();
        page.counter_of("b_total", &[("To", "1")], 3);
        page.gauge("a", 1);
        page.counter_of("b_total", &[("To", "x\"y")], 4);
        let expected = "# TYPE a gauge\na 1\n# TYPE b_total counter\n\
                        b_total{To=\"1\"} 3\nb_total{To=\"x\\\"y\"} 4\n";
        assert_eq!(page.into_text(), expected);
    }
}
