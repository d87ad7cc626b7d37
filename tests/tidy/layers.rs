//! The layers of all packages, as ARCHITECTURE.md declares them.

use super::imports::Package;
use super::{assert_none, read, root};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Parts of the engine that are tested without tensors.
const TENSOR_FREE: &[&str] = &["text", "blocks", "schedule"];

/// A module and the modules that it imports.
type Row = (String, BTreeSet<String>);

/// Returns the rows of the table below `heading` in ARCHITECTURE.md, from the lowest layer up. The
/// first cell names the module, the last one what it imports.
fn table(heading: &str) -> Vec<Row> {
    let text = read(&root().join("ARCHITECTURE.md"));
    let section = text.split_once(heading).unwrap_or_else(|| panic!("ARCHITECTURE.md has no `{heading}`")).1;
    let lines = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [module, _, imports] = cells[..] else { panic!("three cells: {line}") };
        (module.trim_matches('`').to_string(), imports.split_whitespace().map(str::to_string).collect())
    };
    lines.skip(2).map(row).collect()
}

/// Compares a package's imports with its table. `open` is the part that every other may import
/// unnamed.
fn check(package: &Package, declared: &[Row], open: &str) -> Vec<String> {
    let position = |part: &str| declared.iter().position(|(name, _)| name == part);
    let mut found = vec![BTreeSet::new(); declared.len()];
    let mut faults = Vec::new();
    for file in package.files() {
        let Some(part) = package.part(file) else { continue };
        let at = file.strip_prefix(root()).unwrap_or(file).display();
        let Some(own) = position(&part) else {
            faults.push(format!("{at}: `{part}` is not in ARCHITECTURE.md's table"));
            continue;
        };
        for import in imported_parts(package, file) {
            let Some(other) = position(&import).filter(|other| *other != own && import != open) else { continue };
            if other > own {
                faults.push(format!("{at}: `{part}` stands below `{import}` and imports it"));
            }
            if !declared[own].1.contains(&import) {
                faults.push(format!("{at}: ARCHITECTURE.md does not let `{part}` import `{import}`"));
            }
            found[own].insert(import);
        }
    }
    for ((part, imports), found) in declared.iter().zip(&found) {
        for import in imports.difference(found) {
            faults.push(format!("ARCHITECTURE.md says that `{part}` imports `{import}`, but it does not"));
        }
    }
    faults
}

/// The packages beside `maspo`: their folders below `src`, which are also their names in its table.
const PACKAGES: &[&str] = &["engine", "fetch", "math", "sandbox"];

/// Returns the parts of the package that define what a file imports. Another package is a part by
/// its name.
fn imported_parts(package: &Package, file: &Path) -> BTreeSet<String> {
    let part = |path: &Vec<String>| {
        let defined = package.definition(path).and_then(|file| package.part(&file));
        defined.or_else(|| path.first().cloned())
    };
    let mut parts: BTreeSet<String> = package.imports(file, true).iter().filter_map(part).collect();
    let text = read(file);
    let others = PACKAGES.iter().filter(|name| text.contains(&format!("maspo_{name}::")));
    parts.extend(others.map(|name| name.to_string()));
    parts
}

fn program() -> Package {
    Package::new(root().join("src"), PACKAGES)
}

/// Returns the package in a folder below `src`, without its own tests and examples.
fn package(name: &str) -> Package {
    Package::new(root().join("src").join(name), &["tests", "examples"])
}

#[test]
fn modules_import_exactly_what_the_architecture_document_says() {
    let declared = table("## Modules of `maspo`");
    assert_none(&check(&program(), &declared, "base"));
}

#[test]
fn parts_of_packages_import_exactly_what_the_architecture_document_says() {
    for name in PACKAGES {
        let declared = table(&format!("## Parts of `maspo-{name}`"));
        assert_none(&check(&package(name), &declared, "base"));
    }
}

#[test]
fn no_files_of_different_folders_import_each_other_in_a_circle() {
    let mut faults = Vec::new();
    for package in PACKAGES.iter().map(|name| package(name)).chain([program()]) {
        for cycle in package.cycles() {
            let names: Vec<String> =
                cycle.iter().map(|path| path.strip_prefix(root()).unwrap_or(path).display().to_string()).collect();
            faults.push(format!("an import cycle: {}", names.join(", ")));
        }
    }
    assert_none(&faults);
}

#[test]
fn the_engines_lower_parts_know_no_tensors() {
    let package = package("engine");
    let mut by_part: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for file in package.files() {
        by_part.entry(package.part(file).unwrap_or_default()).or_default().push(file);
    }
    let of = TENSOR_FREE.iter().flat_map(|part| by_part.get(*part).unwrap_or_else(|| panic!("no part `{part}`")));
    let faults: Vec<String> = of
        .filter(|file| read(file).contains("candle"))
        .map(|file| format!("{}: must not know candle", file.display()))
        .collect();
    assert_none(&faults);
}
