#!/usr/bin/env bash
# Makes a Rust toolchain that can build Rust's own library, out of Debian packages: for static ARM
# binaries where no container engine answers for `cross`, and for small ones.
#
# Sourced by build.sh after setup.sh. Everything lands in target/cross/: a private copy of the
# toolchain (hard links; the shared one is not touched), Rust's own library source from Debian, the
# musl C library, and gcc's start files. Debian carries no Rust library built for musl, so cargo
# builds it from that source with -Zbuild-std. A stable compiler accepts -Z only under
# RUSTC_BOOTSTRAP=1; that is set for the one cargo command and nowhere else.
#
# Every download goes through apt and its signatures, in an apt state of its own: the machine's
# architectures, sources and installed packages stay as they are.
#
# The binaries do not unwind: the release profile aborts on panic, and `libunwind.a` below is there
# for what asks for it in the tests.

cross_dir=$PWD/target/cross
recipe=1 # Counted up when what this script makes is no longer what it made before.
arm_packages=(
    aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    arm-linux-gnueabihf-gcc:gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
    readelf:binutils file:file
)

# Where Debian keeps Rust's source, as the machine's version may be in any of these.
rust_source_suites=(trixie-backports forky-backports trixie forky sid)

# Target triple to the Debian names that go with it: gcc prefix, musl's folder.
gcc_of() {
    case $1 in
        aarch64-*) echo aarch64-linux-gnu ;;
        armv7-*) echo arm-linux-gnueabihf ;;
        *) die "no Debian compiler is known for $1" ;;
    esac
}

musl_of() {
    case $1 in
        aarch64-*) echo aarch64-linux-musl ;;
        armv7-*) echo arm-linux-musleabihf ;;
        *) die "no Debian musl is known for $1" ;;
    esac
}

# The emulator that runs a target's programs here. Empty for this machine's own.
emulator_of() {
    case $1 in
        aarch64-*) echo qemu-aarch64-static ;;
        armv7-*) echo qemu-arm-static ;;
        *) ;;
    esac
}

# Prints the stanzas of this machine's package indices of one Debian release, as
# `address|suite|file:line`. apt reads both forms of its sources, so nothing is parsed here.
apt_indices() {
    # shellcheck disable=SC2016 # These names are apt's to expand.
    apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SOURCESENTRY)' \
        "Created-By: Packages" | sed -n 's/|main|/|/p' | sort -u
}

# The key file that the source entry of address $1 in the list named by $2 (`file:line`) is signed
# by. Empty when it names none: apt then takes the machine's trusted keys.
keyring_of() {
    local list=${2%:*} line=${2##*:}
    case $list in
        *.sources)
            awk -v address="${1%/}" 'BEGIN { RS = ""; FS = "\n" } index($0, address) {
                for (i = 1; i <= NF; i++) if (tolower($i) ~ /^signed-by:/) {
                    sub(/^[^:]*:[ \t]*/, "", $i); print $i; exit } }' "$list"
            ;;
        *) sed -n "${line}s/.*signed-by=\([^] ]*\).*/\1/p" "$list" ;;
    esac
}

# Sets mirror, security, suite, keyring from the machine's own sources.
read_apt_sources() {
    local codename index address rest
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
    mirror='' security='' suite=$codename keyring=''
    while IFS= read -r index; do
        address=${index%%|*} rest=${index#*|}
        case ${rest%%|*} in
            "$codename" | stable | oldstable | testing | sid | unstable)
                [ -z "$mirror" ] || continue
                mirror=$address suite=${rest%%|*} keyring=$(keyring_of "$address" "${rest#*|}")
                ;;
            *-security) security="$address ${rest%%|*}" ;;
        esac
    done < <(apt_indices)
    [ -n "$mirror" ] || die "no Debian source for $codename among this machine's apt sources"
    # A key given as text, or several: Debian's own key file says the same.
    [ -z "$keyring" ] || [ -r "$keyring" ] || keyring=/usr/share/keyrings/debian-archive-keyring.gpg
}

# One line of a sources.list: architectures, address, suite.
source_line() {
    echo "deb [arch=$1${keyring:+ signed-by=$keyring}] $2 $3 main"
}

# apt with a state of its own under target/cross/apt. Standard input is the sources.list for
# `update`.
own_apt() {
    local state=$cross_dir/apt host
    host=$(dpkg --print-architecture)
    mkdir -p "$state"/{preferences,parts,state/lists/partial,cache/archives/partial}
    : >"$state/status"
    cat >"$state/apt.conf" <<CONF
APT::Architecture "$host";
APT::Architectures { "$host"; "arm64"; "armhf"; };
Dir::Etc::sourcelist "$state/sources.list";
Dir::Etc::sourceparts "$state/parts";
Dir::Etc::preferencesparts "$state/preferences";
Dir::State "$state/state";
Dir::State::status "$state/status";
Dir::Cache "$state/cache";
APT::Sandbox::User "root";
Acquire::Retries "3";
CONF
    if [ "$1" = update ]; then
        cat >"$state/sources.list"
        # Indices that cannot be had are an error here: what follows depends on them.
        APT_CONFIG=$state/apt.conf apt-get -qq -o APT::Update::Error-Mode=any update
    else
        APT_CONFIG=$state/apt.conf "$@" </dev/null
    fi
}

# Downloads packages and unpacks them into target/cross/packages.
unpack() {
    local folder deb
    folder=$(mktemp -d -p "$cross_dir")
    (cd "$folder" && own_apt apt-get -qq download "$@") || return 1
    for deb in "$folder"/*.deb; do dpkg-deb -x "$deb" "$cross_dir/packages"; done
    rm -rf "$folder"
}

# Copies folder $1 to $2, as hard links where the file system allows.
link_copy() {
    cp -al "$1" "$2" 2>/dev/null || { rm -rf "$2" && cp -a "$1" "$2"; }
}

# The machine's own stable compiler, with the source of the very same version from Debian.
toolchain_of_machine() {
    local version=$1 sysroot host candidate
    host=$(dpkg --print-architecture)
    # Debian's own compiler lives in /usr and brings its own source: see below.
    [ "$(rustc --print sysroot)" != /usr ] || return 1
    for candidate in "${rust_source_suites[@]}"; do
        source_line "$host" "$mirror" "$candidate" | own_apt update 2>/dev/null || continue
        # apt would leave a suite's missing version to its caller as an error; ask first.
        own_apt apt-cache madison rust-src | grep -q " $version+" || continue
        say "cross: rust-src $version from $candidate"
        unpack "rust-src=$version+*" || continue
        sysroot=$(rustc --print sysroot)
        mkdir -p "$cross_dir/toolchain"
        link_copy "$sysroot/bin" "$cross_dir/toolchain/bin"
        link_copy "$sysroot/lib" "$cross_dir/toolchain/lib"
        return 0
    done
    say "cross: no Debian suite has rust-src $version any more"
    return 1
}

# Debian's current compiler and its source, which always come together; used unpacked.
toolchain_of_debian() {
    local host std llvm tree=$cross_dir/packages/usr
    host=$(dpkg --print-architecture)
    {
        source_line "$host" "$mirror" "$suite"
        [ -z "$security" ] || source_line "$host" "${security% *}" "${security#* }"
    } | own_apt update
    std=$(own_apt apt-cache depends libstd-rust-web-dev |
        sed -n 's/.*Depends: \(libstd-rust-web-[0-9.]*\)$/\1/p' | sed -n 1p)
    [ -n "$std" ] || die "this Debian release has no rustc-web"
    llvm=$(own_apt apt-cache depends "$std" | sed -n 's/.*Depends: \(libllvm[0-9.]*\)$/\1/p' |
        sed -n 1p)
    say "cross: Debian's own compiler, $std"
    unpack rustc-web cargo-web rust-web-src libstd-rust-web-dev "$std" ${llvm:+"$llvm"}
    mkdir -p "$cross_dir/toolchain/bin" "$cross_dir/toolchain/lib"
    local library
    library=$(dirname "$(find "$tree/lib" -name 'librustc_driver-*.so' | sed -n 1p)")
    link_copy "$tree/lib/rustlib" "$cross_dir/toolchain/lib/rustlib"
    local tool real
    for tool in rustc cargo rustdoc; do
        real=$tree/bin/$tool
        [ -x "$real" ] || continue
        cat >"$cross_dir/toolchain/bin/$tool" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH=$library exec $real \\
    $([ "$tool" = cargo ] || echo "--sysroot=$cross_dir/toolchain") "\$@"
WRAPPER
        chmod +x "$cross_dir/toolchain/bin/$tool"
    done
    # Debian's cargo brings its own libraries along only when installed; rustup's does as well.
    "$cross_dir/toolchain/bin/cargo" --version >/dev/null 2>&1 ||
        ln -sfn "$(rustup which cargo 2>/dev/null || command -v cargo)" \
            "$cross_dir/toolchain/bin/cargo"
    "$cross_dir/toolchain/bin/rustc" --version >/dev/null ||
        die "Debian's compiler does not run here"
}

# Fills rustc's `self-contained` folder of a musl target, which normally comes with a prebuilt
# library: start files and libc.a from musl-dev, the compiler's own parts from gcc.
self_contained() {
    local target=$1 gcc musl folder part
    gcc=$(gcc_of "$target") musl=$cross_dir/packages/usr/lib/$(musl_of "$target")
    folder=$cross_dir/toolchain/lib/rustlib/$target/lib/self-contained
    mkdir -p "$folder"
    cp "$musl"/{crt1.o,crti.o,crtn.o,rcrt1.o,Scrt1.o,libc.a} "$folder/"
    for part in crtbegin.o crtbeginS.o crtbeginT.o crtend.o crtendS.o libgcc.a; do
        cp "$("$gcc-gcc" -print-file-name="$part")" "$folder/"
    done
    cp "$("$gcc-gcc" -print-file-name=libgcc_eh.a)" "$folder/libunwind.a"
    # Debian's libgcc_eh is made for glibc and asks it for _dl_find_object. Saying "not found" sends
    # the unwinder to dl_iterate_phdr, which musl has.
    echo 'int _dl_find_object(void *a, void *b) { (void)a; (void)b; return -1; }' |
        "$gcc-gcc" -Os -x c -c - -o "$folder/dl_find_object.o"
    "$gcc-ar" rs "$folder/libunwind.a" "$folder/dl_find_object.o" 2>/dev/null
}

# Makes the toolchain unless it is there already for this compiler and recipe.
# ARM_COMPILER=debian skips the machine's own compiler.
make_toolchain() {
    local version ready want source
    version=$(rustc --version | cut -d' ' -f2)
    ready=$cross_dir/ready
    want="${ARM_COMPILER:-machine} $version recipe $recipe"
    mkdir -p "$cross_dir"
    exec 9>"$cross_dir/lock"
    flock 9
    if [ "$(cat "$ready" 2>/dev/null)" != "$want" ]; then
        need_packages ca-certificates debian-archive-keyring "${arm_packages[@]}"
        say "cross: making the toolchain in target/cross"
        rm -rf "$ready" "$cross_dir"/{toolchain,packages,apt,build}
        read_apt_sources
        say "cross: packages from $mirror $suite"
        if [ "${ARM_COMPILER:-machine}" = debian ] || ! toolchain_of_machine "$version"; then
            toolchain_of_debian
        fi
        source=$(find "$cross_dir/packages/usr/src" -maxdepth 1 -name 'rustc-*' | sed -n 1p)
        [ -f "$source/library/Cargo.lock" ] || die "no library source in $cross_dir/packages"
        mkdir -p "$cross_dir/toolchain/lib/rustlib/src"
        ln -sfn "$source" "$cross_dir/toolchain/lib/rustlib/src/rust"
        source_line arm64,armhf "$mirror" "$suite" | own_apt update
        unpack musl-dev:arm64 musl-dev:armhf
        self_contained aarch64-unknown-linux-musl
        self_contained armv7-unknown-linux-musleabihf
        rm -rf "$cross_dir/apt"
        echo "$want" >"$ready"
    fi
    need_packages "${arm_packages[@]}"
    exec 9>&-
}

# Builds Rust's own library too: for size, as the rest, and without backtraces, which a stripped
# program that stops at a panic cannot show.
small_std=("-Zbuild-std=std,panic_abort" "-Zbuild-std-features=")

host_triple() {
    "$cross_dir/toolchain/bin/rustc" -vV | sed -n 's/^host: //p'
}

# Flags that make a program small: calls instead of copies of short functions (1.4 % of the size),
# panics that name their file without its line (2.2 %) or the folders it lay in on this machine
# (0.6 %), and values that name their kind, not their fields, where they are written for us (1.5 %).
small_code() {
    local folder
    printf %s "-C llvm-args=-inline-threshold=25 -Zlocation-detail=file -Zfmt-debug=shallow"
    # Paths whose names the compiler would not take in one piece stay as they are.
    for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
        case $folder in *[[:space:]*=]*) ;; *) printf %s " --remap-path-prefix=$folder=" ;; esac
    done
    printf %s " --remap-path-prefix=target/cross/toolchain/lib/rustlib/src/rust/library/="
}

# cargo for a small program on this machine: command, further arguments. Code that is the same in
# several places is written once (the outliner), where that saves 32 bytes or more: 1 % of the size.
# Where it saves less it is three times that, and the way of media takes a sixth longer.
host_cargo() {
    local command=$1
    shift
    "$cross_dir/toolchain/bin/cargo" fetch --locked
    env PATH="$cross_dir/toolchain/bin:$PATH" RUSTC_BOOTSTRAP=1 \
        CARGO="$cross_dir/toolchain/bin/cargo" RUSTC="$cross_dir/toolchain/bin/rustc" \
        CARGO_TARGET_DIR="$cross_dir/build" \
        RUSTFLAGS="${RUSTFLAGS:-} $(small_code) -C llvm-args=-enable-machine-outliner=always \
            -C llvm-args=-outliner-benefit-threshold=32" \
        "$cross_dir/toolchain/bin/cargo" "$command" --target "$(host_triple)" "$@" \
        "${small_std[@]}"
}

# cargo for an ARM target: command, target, further arguments. Names the linker, the C compiler that
# `ring` needs, and the emulator that tests run in.
arm_cargo() {
    local command=$1 target=$2 gcc name upper
    shift 2
    gcc=$(gcc_of "$target") name=${target//-/_}
    upper=CARGO_TARGET_$(tr '[:lower:]' '[:upper:]' <<<"$name")
    env PATH="$cross_dir/toolchain/bin:$PATH" RUSTC_BOOTSTRAP=1 \
        CARGO="$cross_dir/toolchain/bin/cargo" RUSTC="$cross_dir/toolchain/bin/rustc" \
        CARGO_TARGET_DIR="$cross_dir/build" \
        "${upper}_LINKER=$gcc-gcc" "${upper}_RUNNER=$(emulator_of "$target")" \
        "CC_$name=$gcc-gcc" "AR_$name=$gcc-ar" \
        "$cross_dir/toolchain/bin/cargo" "$command" --target "$target" "$@"
}
