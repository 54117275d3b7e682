#!/bin/bash
# mkarm64root.sh ROOT : Debian bookworm arm64 root on an amd64 machine, with qemu-user registered ONLY inside a user namespace
# (binfmt_misc is per user namespace since Linux 6.7: nothing is registered on the host, no dpkg --add-architecture)
. "$(dirname "$0")/env.sh"; R=$1; Q=${Q:-$PI/tools/usr/bin/qemu-aarch64-static}; export SRC
export PKGS=systemd-sysv,udev,dbus,kmod,python3,python3-systemd,mosquitto,openssl,gpiod,iproute2,procps,openssh-server
D=$(mktemp -d); mkfifo $D/up $D/go; export R SRC Q D
unshare -U -m -p -f --propagation private bash -ec '
  echo up > $D/up; read x < $D/go
  mount -t proc proc /proc
  mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
  printf "%s" ":qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:$Q:F" > /proc/sys/fs/binfmt_misc/register
  mmdebstrap --mode=root --variant=minbase --architectures=arm64 --skip=check/qemu --include=$PKGS \
    --aptopt="APT::Install-Recommends \"false\"" --aptopt="Acquire::Check-Valid-Until \"false\"" bookworm "$R" "$SRC"' &
p=$!; read x < $D/up
echo "0 0 65536" > /proc/$p/uid_map; echo "0 0 65536" > /proc/$p/gid_map; echo go > $D/go
wait $p; rc=$?; rm -rf $D; exit $rc
