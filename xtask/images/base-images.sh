#!/usr/bin/env bash
# Stand-ins for the base images of the Dockerfiles, for machines without access to an image registry. They are made from
# the files of this machine, a Debian with buildah, gcc, python3 and Rust: names, users and tools are those of the real
# images, versions and sizes are not. Run it as root, or under `buildah unshare`.
#
#   base-images.sh STORE [NAME=VALUE…]
#
# The values go into the environment of the Rust image: CARGO_PROFILE_RELEASE_OPT_LEVEL=0 makes builds faster. STORE is a
# folder for buildah's storage, separate from that of the machine, so that no other build uses these images instead of the
# real ones. To build from them, offline, with the crates that cargo has on this machine:
#
#   buildah --root STORE/root --runroot STORE/run bud --isolation chroot --format docker \
#       --volume ~/.cargo/registry:/host-cargo/registry …
set -euo pipefail
mkdir -p "${1:?usage: base-images.sh STORE [NAME=VALUE…]}"
store=$(realpath "$1")
shift

buildah() { command buildah --root "$store/root" --runroot "$store/run" "$@"; }

# begin PACKAGE…: a container with the files of installed packages; its files are in $root.
begin() {
    container=$(buildah from scratch)
    root=$(buildah mount "$container")
    # /bin, /lib and /sbin are links to the folders in /usr.
    mkdir -p "$root"/usr/{bin,lib,lib64,local/bin,sbin}
    # dpkg may be configured to leave out files, such as manuals, which are listed all the same.
    dpkg --listfiles "$@" | grep '^/.' | grep --invert-match -E '^/usr/share/(doc|info|locale|man)/' | sort --unique |
        tar --create --directory / --no-recursion --ignore-failed-read --files-from - 2>/dev/null |
        tar --extract --directory "$root"
    mkdir -p "$root"/{dev,etc/ssl,proc,root,sys,tmp}
    chmod 1777 "$root/tmp"
    cp --recursive --dereference /etc/ssl/certs "$root/etc/ssl"
    echo 'root:x:0:0:root:/root:/sbin/nologin' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
}

# commit NAME [CONFIG…]
commit() {
    buildah config "${@:2}" "$container"
    buildah commit --quiet --rm "$container" "$1" >/dev/null
    echo "$1"
}

# begin_with PACKAGE…: the same with the dependencies of the packages, and a shell.
begin_with() {
    local packages
    mapfile -t packages < <(
        apt-cache depends --recurse --installed --important coreutils dash "$@" | grep '^[a-z]' | sort --unique
    )
    begin "${packages[@]}"
    ln --symbolic --force dash "$root/bin/sh"
}

# Cargo's home differs from that of the real image, so that a cache which a Dockerfile mounts there does not hide the crates.
begin_with gcc libc6-dev
ln --symbolic --force gcc "$root/usr/bin/cc"
toolchain=$(rustc --print sysroot)
rust=$root/usr/local/rust
mkdir -p "$rust"/{bin,lib/rustlib}
cp "$toolchain"/bin/{cargo,rustc} "$rust/bin"
cp --no-dereference "$toolchain"/lib/*.so* "$rust/lib"
cp --recursive "$toolchain/lib/rustlib/$(rustc --print host-tuple)" "$rust/lib/rustlib"
commit docker.io/library/rust:1.95-slim-bookworm \
    --env PATH=/usr/local/rust/bin:/usr/bin:/bin --env CARGO_HOME=/host-cargo --env CARGO_NET_OFFLINE=true \
    "${@/#/--env=}"

begin_with login passwd python3
commit docker.io/library/python:3.13-slim-bookworm --env PATH=/usr/sbin:/usr/bin:/sbin:/bin

# Without a shell, as in the real image.
begin libc6 libgcc-s1 tzdata
echo 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin' >>"$root/etc/passwd"
echo 'nonroot:x:65532:' >>"$root/etc/group"
install --directory --owner 65532 --group 65532 --mode 700 "$root/home/nonroot"
commit gcr.io/distroless/cc-debian12:nonroot \
    --env PATH=/usr/local/bin:/usr/bin:/bin --user 65532 --workingdir /home/nonroot
