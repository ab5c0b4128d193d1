#!/bin/sh
# The steps of deploy/Dockerfile, kept here so that they run without an engine too: deploy/check does what it can of them.
# Usage: build.sh packages | compile | collect FROM TO | check TO | names
set -eu

# Everything that a release is made of.
SERVICES="gateway auth catalog-cache orders dispatch notification analytics"
TOOLS="topics db meshctl"

# What the C parts of the dependencies and the .proto files need at build time, beyond the image of Rust.
BUILD_PACKAGES="make pkg-config protobuf-compiler"

# What the base image of deploy/Dockerfile has: glibc, libgcc and the loader, and no more. (deploy/check adds libz, which a build outside
# of `compile` takes from the system.)
ALLOWED_LIBRARIES="linux-vdso ld-linux-x86-64 ld-linux-aarch64 libc libgcc_s libm libpthread libdl librt ${MORE_LIBRARIES:-}"

die() {
    echo "build.sh: $*" >&2
    exit 1
}

packages() {
    apt-get update -q
    # shellcheck disable=SC2086 # a list
    apt-get install -q -y --no-install-recommends $BUILD_PACKAGES
    rm -rf /var/lib/apt/lists/*
}

compile() {
    # zlib comes from the crate: the base image has none
    LIBZ_SYS_STATIC=1 cargo build --release --locked --workspace --bins
}

# Copies the binaries without their debug information, each as a program of the final image, and what it may be asked for.
collect() {
    from="$1" to="$2"
    mkdir -p "$to/usr/local/bin" "$to/usr/share/doc/throughline"
    for name in $SERVICES $TOOLS; do
        [ -f "$from/$name" ] || die "there is no $from/$name: compile first"
        install -m 0755 "$from/$name" "$to/usr/local/bin/$name"
        strip --strip-debug "$to/usr/local/bin/$name"
    done
    cp LICENSE "$to/usr/share/doc/throughline/LICENSE"
    check "$to"
}

# Fails where a binary needs a library that the base image does not have.
check() {
    wrong=0
    for name in $SERVICES $TOOLS; do
        for library in $(ldd "$1/usr/local/bin/$name" | sed -n 's|^[[:space:]]*\([^[:space:]]*\).*|\1|p'); do
            short="$(basename "$library")"
            short="${short%%.so*}"
            case " $ALLOWED_LIBRARIES " in
                *" $short "*) ;;
                *) echo "build.sh: $name needs $library, which the base image does not have" >&2 && wrong=1 ;;
            esac
        done
    done
    return "$wrong"
}

[ $# -gt 0 ] || die "say one of: packages, compile, collect FROM TO, check TO, names"
step="$1"
shift
case "$step" in
    packages | compile) "$step" ;;
    collect) [ $# -eq 2 ] || die "collect FROM TO" && collect "$1" "$2" ;;
    check) [ $# -eq 1 ] || die "check TO" && check "$1" ;;
    names) echo "$SERVICES $TOOLS" | tr ' ' '\n' ;;
    *) die "there is no step $step: packages, compile, collect FROM TO, check TO, names" ;;
esac
