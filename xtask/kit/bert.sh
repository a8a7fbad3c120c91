#!/bin/sh
# Runs the `bert` of this kit: with this machine's C library where it is new enough, else with the loader and the
# libraries in lib/. What it starts itself (a device's self-test, a measurement) it starts in the same way.
here=$(cd "$(dirname "$0")" && pwd) || exit 1

if [ -z "${BERT_KIT_THROUGH:-}" ]; then
  if "$here/bin/bert" --version >/dev/null 2>&1; then
    BERT_KIT_THROUGH=machine
  else
    BERT_KIT_THROUGH=kit
  fi
  export BERT_KIT_THROUGH

  # wgpu opens the Vulkan loader by name.
  if [ -e "$here/vulkan/libvulkan.so.1" ] &&
    ! PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1 ' &&
    ! ls /usr/lib/libvulkan.so.1 /usr/lib64/libvulkan.so.1 /usr/lib/*/libvulkan.so.1 2>/dev/null | grep -q .; then
    export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$here/vulkan"
  fi
fi

if [ "$BERT_KIT_THROUGH" = machine ]; then
  exec "$here/bin/bert" "$@"
fi
exec "$here/lib/ld.so" --argv0 "$here/bert" \
  --library-path "$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$here/bin/bert" "$@"
