//! Finds which file of a package imports which: it follows `crate::` and `super::` paths through
//! re-exports to the file that defines a name.

use super::{files, read};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A package's source files and what each imports.
pub(crate) struct Package {
    root: PathBuf,
    files: Vec<PathBuf>,
}

/// An import: the segments of its path below the package's root.
type ModulePath = Vec<String>;

impl Package {
    /// Reads the package whose `lib.rs` is in `root`, without the packages nested in it.
    pub(crate) fn new(root: PathBuf, nested: &[&str]) -> Self {
        let nested: Vec<PathBuf> = nested.iter().map(|folder| root.join(folder)).collect();
        let own = |path: &PathBuf| !nested.iter().any(|folder| path.starts_with(folder));
        let files = files(&root, &["rs"]).into_iter().filter(own);
        let files = files.filter(|path| path.file_name().is_some_and(|name| name != "build.rs")).collect();
        Self { root, files }
    }

    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Returns the folder or file right below the root that a file belongs to; `None` for `lib.rs`
    /// and `main.rs`.
    pub(crate) fn part(&self, file: &Path) -> Option<String> {
        self.module_path(file).first().cloned()
    }

    /// Returns the path of the module that a file is.
    fn module_path(&self, file: &Path) -> ModulePath {
        let inside = file.strip_prefix(&self.root).expect("a file of the package").with_extension("");
        let mut path: ModulePath = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let is_root = path.len() == 1 && path[0] == "main";
        if is_root || path.last().is_some_and(|name| name == "mod" || name == "lib") {
            path.pop();
        }
        path
    }

    /// Returns the paths that a file imports, as written but from the package's root. With `tests`,
    /// paths in the file's test module count too.
    pub(crate) fn imports(&self, file: &Path, tests: bool) -> BTreeSet<ModulePath> {
        let text = without_comments(&read(file));
        let test_module = text.find("#[cfg(test)]\nmod tests {").or(text.find("\nmod tests {")).unwrap_or(text.len());
        let own = self.module_path(file);
        let mut found = BTreeSet::new();
        for (keyword, at) in
            ["crate::", "super::"].iter().flat_map(|word| text.match_indices(word).map(|(at, _)| (*word, at)))
        {
            let starts = text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
            if !starts || (!tests && at > test_module) {
                continue;
            }
            let mut rest = &text[at + keyword.len()..];
            let mut base = ModulePath::new();
            if keyword == "super::" {
                // In the file's own test module, the first `super` is the file.
                let mut up = usize::from(at < test_module);
                while let Some(further) = rest.strip_prefix("super::") {
                    (up, rest) = (up + 1, further);
                }
                base = own[..own.len().saturating_sub(up)].to_vec();
            }
            found.extend(tree(rest).0.into_iter().map(|path| [&base[..], &path].concat()));
        }
        found
    }

    /// Returns the file that defines what a path names, through the re-exports on its way.
    pub(crate) fn definition(&self, path: &[String]) -> Option<PathBuf> {
        for length in (0..=path.len()).rev() {
            let Some(file) = self.module_file(&path[..length]) else { continue };
            let reexported = path.get(length).and_then(|name| self.reexport(&file, &path[..length], name));
            return reexported.map_or(Some(file), |path| self.definition(&path));
        }
        None
    }

    fn module_file(&self, path: &[String]) -> Option<PathBuf> {
        if path.is_empty() {
            return Some(self.root.join("lib.rs"));
        }
        let folder = path.iter().fold(self.root.clone(), |folder, name| folder.join(name));
        [folder.with_extension("rs"), folder.join("mod.rs")].into_iter().find(|file| file.is_file())
    }

    /// Returns the path that `name` comes from if the module re-exports it.
    fn reexport(&self, file: &Path, module: &[String], name: &str) -> Option<ModulePath> {
        let text = without_comments(&read(file));
        for statement in text.split("use ").skip(1).filter_map(|rest| rest.split_once(';')).map(|(path, _)| path) {
            for path in tree(statement).0 {
                let (path, named) = match path.iter().position(|segment| segment == "as") {
                    Some(at) => (path[..at].to_vec(), path[at + 1].clone()),
                    None => (path.clone(), path.last()?.clone()),
                };
                if named == name && path.len() > 1 {
                    return Some(match path[0].as_str() {
                        "crate" => path[1..].to_vec(),
                        "super" => [&module[..module.len().saturating_sub(1)], &path[1..]].concat(),
                        _ => [module, &path].concat(),
                    });
                }
            }
        }
        None
    }

    /// Returns the groups of files that import each other in a circle and lie in different folders.
    pub(crate) fn cycles(&self) -> Vec<Vec<PathBuf>> {
        let target = |file: &PathBuf| {
            let found = self.imports(file, false).into_iter().filter_map(|path| self.definition(&path));
            found.filter(|other| other != file && self.files.contains(other)).collect::<BTreeSet<_>>()
        };
        let edges: BTreeMap<&PathBuf, BTreeSet<PathBuf>> = self.files.iter().map(|file| (file, target(file))).collect();
        let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
            self.files.iter().map(|file| (file, reach(file, &edges))).collect();
        let mut cycles = BTreeSet::new();
        for file in &self.files {
            let circle: Vec<PathBuf> =
                reached[file].iter().filter(|other| reached[*other].contains(file)).map(|p| p.to_path_buf()).collect();
            if circle.iter().any(|other| other.parent() != file.parent()) {
                cycles.insert(circle);
            }
        }
        cycles.into_iter().collect()
    }
}

/// Returns everything that can be reached from a file along imports.
fn reach<'a>(file: &'a PathBuf, edges: &'a BTreeMap<&PathBuf, BTreeSet<PathBuf>>) -> BTreeSet<&'a PathBuf> {
    let (mut found, mut open) = (BTreeSet::new(), vec![file]);
    while let Some(file) = open.pop() {
        for other in edges.get(file).into_iter().flatten() {
            if found.insert(other) {
                open.push(other);
            }
        }
    }
    found
}

/// Returns the text without lines that are comments.
fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect()
}

/// Reads a path or a tree of paths such as `a::{b, c::D as E}`. Returns the paths and what follows.
fn tree(text: &str) -> (Vec<ModulePath>, &str) {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        let mut found = Vec::new();
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            if rest.is_empty() || rest.starts_with('}') {
                return (found, rest.strip_prefix('}').unwrap_or(rest));
            }
            let (paths, further) = tree(rest);
            if further.len() == rest.len() {
                return (found, rest);
            }
            (rest, found) = (further, [found, paths].concat());
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        // A glob, or no path at all.
        return (Vec::new(), rest.strip_prefix('*').unwrap_or(rest));
    }
    if let Some(inside) = rest.strip_prefix("::") {
        let (paths, rest) = tree(inside);
        let paths = if paths.is_empty() { vec![Vec::new()] } else { paths };
        return (paths.into_iter().map(|path| [vec![name.to_string()], path].concat()).collect(), rest);
    }
    if let Some(renamed) = rest.strip_prefix(" as ") {
        let (other, rest) = tree(renamed);
        let other = other.into_iter().flatten().next().unwrap_or_default();
        return (vec![vec![name.to_string(), "as".to_string(), other]], rest);
    }
    (vec![vec![name.to_string()]], rest)
}

#[test]
fn trees_of_paths_are_read() {
    let read = |text| tree(text).0.into_iter().map(|path| path.join("/")).collect::<Vec<_>>().join(" ");
    assert_eq!(read("a::{b, c::{D, E as F}, *};"), "a/b a/c/D a/c/E/as/F");
    assert_eq!(read("Name::new(x)"), "Name/new");
}
