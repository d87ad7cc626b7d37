#!/bin/sh
# Checks the Metal side on Linux, without a Mac: the kernels' address spaces with clang, and the
# whole program for Apple's machines with cargo clippy, which checks types too. Nothing is linked
# and nothing runs, and Apple's own compiler sees none of it.
#
#   scripts/check-metal.sh DIR
#
# DIR keeps the standard library's source, fake C tools and cargo's output (about 2 GB). The source
# of the standard library for this exact version of Rust comes from $MASPO_RUST_SRC (the folder that
# contains `library/`), from rustup's rust-src, or once from Rust's server (4 MB, into DIR).
#
# Exit code: 0 if all checks pass, 1 if one fails, 2 for a wrong call or if something is missing (a
# missing clang++ too, although the rest is checked without it).
set -eu
cd "$(dirname "$0")/.."

missing() {
    echo "error: $1" >&2
    exit 2
}

[ $# -eq 1 ] || missing "usage: scripts/check-metal.sh DIR"
mkdir -p "$1" || missing "cannot make $1"
dir=$(cd "$1" && pwd)
target=aarch64-apple-darwin
version=$(rustc --version 2>/dev/null | cut -d ' ' -f 2)
[ -n "$version" ] || missing "there is no rustc"
cargo clippy --version >/dev/null 2>&1 || missing "there is no cargo clippy"

without_clang=
# Compile the kernels as OpenCL C++, whose address spaces are Metal's: Metal's attributes are
# removed, and `kernel` becomes OpenCL's keyword.
if command -v clang++ >/dev/null; then
    for kernel in kernels/metal/*.metal; do
        sed 's/\[\[kernel, [^]]*\]\] void/__kernel void/; s/ \[\[[a-z_]*\(([0-9])\)\{0,1\}\]\]//g' \
            "$kernel" >"$dir/kernel.clcpp"
        clang++ -x clcpp -cl-std=CLC++2021 --target=spir64 -cl-no-stdinc -fsyntax-only -Wall -Werror \
            -I kernels/metal -I kernels/metal/address_spaces "$dir/kernel.clcpp" || {
            echo "$kernel: wrong as OpenCL C++" >&2
            exit 1
        }
    done
    echo "address spaces: $(ls kernels/metal/*.metal | wc -l) kernels pass"
else
    without_clang=yes
    echo "address spaces: SKIPPED, there is no clang++ (on Debian: apt-get install clang)"
fi

# Prints the folder of the standard library's source, or nothing.
source_of_std() {
    for folder in "${MASPO_RUST_SRC:-}" "$(rustc --print sysroot)/lib/rustlib/src/rust" \
        "$dir/$fetched/rust-src/lib/rustlib/src/rust"; do
        if [ -e "$folder/library/std/Cargo.toml" ]; then
            echo "$folder/library"
            return
        fi
    done
}

fetch_std() {
    for tool in curl tar xz sha256sum; do
        command -v $tool >/dev/null ||
            missing "no source of the standard library, and no $tool to fetch it with: \
run \`rustup component add rust-src\`"
    done
    for file in "$fetched.tar.xz.sha256" "$fetched.tar.xz"; do
        curl -sSfL --max-time 300 -o "$dir/$file" "https://static.rust-lang.org/dist/$file" ||
            missing "the standard library's source cannot be fetched: \
set MASPO_RUST_SRC to a folder that has the \`library\` of Rust $version"
    done
    wanted=$(cut -c 1-64 "$dir/$fetched.tar.xz.sha256")
    [ "$(sha256sum "$dir/$fetched.tar.xz" | cut -c 1-64)" = "$wanted" ] ||
        missing "$dir/$fetched.tar.xz is damaged: fetch it again"
    tar -C "$dir" -xJf "$dir/$fetched.tar.xz"
    rm "$dir/$fetched.tar.xz"
}

fetched=rust-src-$version
[ -n "$(source_of_std)" ] || fetch_std
std=$(source_of_std)
[ -n "$std" ] || missing "$dir/$fetched has no standard library: set MASPO_RUST_SRC"

# C code of dependencies is not compiled: a fake compiler and archiver only create the requested
# files.
mkdir -p "$dir/tools"
cat >"$dir/tools/cc" <<'TOOL'
#!/bin/sh
while [ $# -gt 0 ]; do
    [ "$1" != -o ] || : >"$2"
    shift
done
TOOL
cat >"$dir/tools/ar" <<'TOOL'
#!/bin/sh
for word; do
    case $word in *.a) : >"$word" ;; esac
done
TOOL
chmod +x "$dir/tools/cc" "$dir/tools/ar"

export CC_aarch64_apple_darwin="$dir/tools/cc" CXX_aarch64_apple_darwin="$dir/tools/cc"
export AR_aarch64_apple_darwin="$dir/tools/ar"
export SDKROOT="$dir/tools" MACOSX_DEPLOYMENT_TARGET=13.0
export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT="$std" CARGO_TARGET_DIR="$dir/target"
set -- --target $target -Zbuild-std=std,panic_abort,test --features metal --lib --bins --tests
cargo clippy "$@" -- -D warnings || exit 1
echo "metal: the program and its tests pass cargo clippy for $target"
[ -z "$without_clang" ] || missing "the kernels' address spaces were not checked: there is no clang++"
