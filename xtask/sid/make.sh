#!/bin/sh
# Fills a directory with Debian sid, as root: make.sh DIRECTORY MIRROR drivers|llvm LLVM_RELEASE
set -eu
root="$1" mirror="$2" level="$3" release="$4"

case "$level" in
  # Mesa's drivers, SwiftShader's one out of Chromium's package (below), the loader and the validation layer.
  drivers) packages=mesa-vulkan-drivers,libvulkan1,vulkan-tools,vulkan-validationlayers ;;
  # A C++ compiler, and LLVM 23 with what its `llvm-config` wants linked.
  llvm) packages=gcc,g++,make,pkgconf,git,llvm-23-dev,liblld-23-dev,libpolly-23-dev,libz3-dev,libxml2-dev,libzstd-dev,zlib1g-dev,libssl-dev ;;
esac
# An empty MIRROR is the one that debootstrap knows by itself.
debootstrap --variant=minbase --include="ca-certificates,$packages" sid "$root" ${mirror:+"$mirror"}

# Where `enter` puts the directories of the machine.
for directory in /*; do
  if [ -d "$directory" ] && [ ! -L "$directory" ]; then mkdir -p "$root$directory"; fi
done

case "$level" in
  drivers)
    chroot "$root" sh -euc '
      mkdir /usr/lib/swiftshader /usr/lib/swiftshader/package
      cd /usr/lib/swiftshader/package
      apt-get -qq -o APT::Sandbox::User=root download chromium-common
      dpkg -x chromium-common_*.deb .
      mv usr/lib/chromium/libvk_swiftshader.so usr/lib/chromium/vk_swiftshader_icd.json ..
      cd / && rm -r /usr/lib/swiftshader/package'
    ;;
  llvm)
    # cubecl-llvm takes the LLVM that it finds in place of its download for finished.
    mkdir -p "$root/usr/share/bert/tracel"
    ln -s /usr/lib/llvm-23 "$root/usr/share/bert/tracel/tracel-llvm-$release"
    touch "$root/usr/lib/llvm-23/.tracel-llvm-installed"
    # Its build script takes a library's file name for a name to link with.
    ln -s libz3.so "$root/usr/lib/x86_64-linux-gnu/liblibz3.so"
    ;;
esac
chroot "$root" apt-get clean
