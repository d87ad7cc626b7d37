//! The kernels' text, which is part of the program: a Mac compiles it when the program starts, for
//! there is no compiler of Apple's on the machines that build. All files are one text, headers
//! first, so that nothing is included but Apple's own header.

/// Name and text of every file, each behind those it includes.
const FILES: [(&str, &str); 13] = [
    ("arguments.h", include_str!("../../../../../kernels/metal/arguments.h")),
    ("device.h", include_str!("../../../../../kernels/metal/device.h")),
    ("weights.h", include_str!("../../../../../kernels/metal/weights.h")),
    ("attention.h", include_str!("../../../../../kernels/metal/attention.h")),
    ("logits.h", include_str!("../../../../../kernels/metal/logits.h")),
    ("embed.metal", include_str!("../../../../../kernels/metal/embed.metal")),
    ("add_norm.metal", include_str!("../../../../../kernels/metal/add_norm.metal")),
    ("rotate.metal", include_str!("../../../../../kernels/metal/rotate.metal")),
    ("decode_attention.metal", include_str!("../../../../../kernels/metal/decode_attention.metal")),
    ("prefill_attention.metal", include_str!("../../../../../kernels/metal/prefill_attention.metal")),
    ("linear.metal", include_str!("../../../../../kernels/metal/linear.metal")),
    ("argmax.metal", include_str!("../../../../../kernels/metal/argmax.metal")),
    ("scores.metal", include_str!("../../../../../kernels/metal/scores.metal")),
];

/// All kernels as one text. Compilers name the file and line of a mistake as they are in the tree.
pub(crate) fn source() -> String {
    let mut text = "#include <metal_stdlib>\n".to_string();
    for (name, file) in FILES {
        text.push_str(&format!("#line 1 \"{name}\"\n"));
        for line in file.lines() {
            // An empty line in its place keeps the numbers of the others.
            let dropped = line.starts_with("#include") || line.starts_with("#pragma once");
            text.push_str(if dropped { "" } else { line });
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_stands_behind_those_it_includes() {
        for (index, (name, file)) in FILES.iter().enumerate() {
            for line in file.lines().filter(|line| line.starts_with("#include \"")) {
                let included = line.split('"').nth(1).unwrap();
                assert!(FILES[..index].iter().any(|(before, _)| *before == included), "{name} includes {included}");
            }
        }
        assert_eq!(source().matches("#include").count(), 1);
    }

    #[test]
    fn no_kernel_of_the_tree_is_missing() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kernels/metal");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut kernels: Vec<String> = names.filter(|name| name.ends_with(".metal") || name.ends_with(".h")).collect();
        let mut included: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        kernels.sort();
        included.sort_unstable();
        assert_eq!(included, kernels);
    }
}
