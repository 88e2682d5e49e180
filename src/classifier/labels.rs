//! Class names: read from a file, shown to people, and found again from what people type.

use std::path::Path;

use super::ClassifierError;

/// The names of a model's classes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// One entry a class, every synonym of it in order.
    names: Vec<Vec<String>>,
}

/// More than any classifier has; a larger file is some other file.
const MAX_LABEL_BYTES: u64 = 16 << 20;

impl Labels {
    /// Reads one class a line: `tench`, or in the style of ImageNet's synsets
    /// `n01440764 tench, Tinca tinca`. Blank lines at the end are ignored.
    ///
    /// # Errors
    /// [`ClassifierError::Labels`] where the file cannot be read, is not text, or is empty.
    pub fn read(path: &Path) -> Result<Self, ClassifierError> {
        let failed = |reason: String| ClassifierError::Labels { path: path.to_owned(), reason };
        let size = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
        if size > MAX_LABEL_BYTES {
            return Err(failed(format!("it has {size} bytes, which no list of class names has")));
        }
        let bytes = std::fs::read(path).map_err(|e| failed(e.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".into()))?;
        let labels = Self::parse(&text);
        if labels.names.is_empty() { Err(failed("it holds no names".into())) } else { Ok(labels) }
    }

    /// As [`Labels::read`], from text.
    pub fn parse(text: &str) -> Self {
        let names = text.trim_start_matches('\u{feff}').trim_end().lines().map(synonyms).collect();
        Self { names }
    }

    /// Fits the list to a model of `classes` classes. Models trained with TensorFlow often have one
    /// class more than the list, class 0 being the background: then the list moves up by one.
    /// Returns what was assumed or found amiss, in words.
    pub fn fit_to(&mut self, classes: usize) -> Option<String> {
        let count = self.names.len();
        if count == 0 || count == classes {
            return None;
        }
        if count + 1 == classes {
            self.names.insert(0, vec!["background".into()]);
            return Some(format!("{count} labels for {classes} classes: class 0 is taken as the background"));
        }
        Some(format!("{count} labels for {classes} classes: is this the list of this model?"))
    }

    /// The name to show for `class`; `class 17` where there is none.
    pub fn name(&self, class: usize) -> String {
        self.names.get(class).and_then(|n| n.first()).cloned().unwrap_or_else(|| format!("class {class}"))
    }

    /// Every class that goes by `text`, letter case aside.
    pub fn find(&self, text: &str) -> Vec<usize> {
        let wanted = text.trim().to_lowercase();
        let is_it = |names: &Vec<String>| {
            names.iter().any(|n| n.to_lowercase() == wanted) || names.join(", ").to_lowercase() == wanted
        };
        (0..self.names.len()).filter(|&class| is_it(&self.names[class])).collect()
    }

    /// Up to `count` names that hold `text`, to suggest after a miss.
    pub fn similar(&self, text: &str, count: usize) -> Vec<String> {
        let wanted = text.trim().to_lowercase();
        let near = |name: &String| name.to_lowercase().contains(&wanted) || wanted.contains(&name.to_lowercase());
        self.names.iter().flatten().filter(|name| !name.is_empty() && near(name)).take(count).cloned().collect()
    }

    /// Number of classes named.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

fn synonyms(line: &str) -> Vec<String> {
    let line = line.trim();
    let name = match line.split_once(' ') {
        Some((id, rest)) if is_synset(id) => rest,
        _ => line,
    };
    name.split(", ").map(|s| s.trim().to_owned()).collect()
}

/// A WordNet id: `n` and eight digits.
fn is_synset(word: &str) -> bool {
    word.len() == 9 && word.starts_with('n') && word.bytes().skip(1).all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_are_read() {
        let labels = Labels::parse("n01440764 tench, Tinca tinca\nnight owl\ncrane\ncrane\n\n");
        assert_eq!(labels.len(), 4);
        assert_eq!(labels.name(0), "tench");
        assert_eq!(labels.name(1), "night owl");
        assert_eq!(labels.name(9), "class 9");
        assert_eq!(labels.find("Tinca TINCA"), [0]);
        assert_eq!(labels.find("tench, tinca tinca"), [0]);
        assert_eq!(labels.find("crane"), [2, 3]);
        assert_eq!(labels.similar("owl", 3), ["night owl"]);
    }

    #[test]
    fn a_background_class_is_noticed() {
        let mut labels = Labels::parse("a\nb");
        assert!(labels.fit_to(3).is_some_and(|s| s.contains("background")));
        assert_eq!(labels.name(1), "a");
        assert_eq!(labels.fit_to(3), None);
    }
}
