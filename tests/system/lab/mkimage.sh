#!/bin/bash
# mkimage.sh ROOT(dir) WHEELS(dir) IMG SIZE SSHPUB [EXTRA_KO_DIR KVER]: overlay + wheels + keys -> ext4 image (run as root)
set -e
R=$1; W=$2; IMG=$3; SIZE=$4; PUB=$5; KO=$6; KVER=$7; here=$(cd "$(dirname "$0")" && pwd)
cp -r "$here/guest/." "$R/"
mkdir -p "$R/root/.ssh" "$R/job" "$R/out"; cp "$PUB" "$R/root/.ssh/authorized_keys"; chmod 700 "$R/root/.ssh"
for w in "$W"/*.whl; do python3 -m zipfile -e "$w" "$R/usr/local/lib/python3.11/dist-packages/"; done
echo pi > "$R/etc/hostname"; printf '127.0.0.1 localhost\n127.0.1.1 pi\n' > "$R/etc/hosts"
echo 0123456789abcdef0123456789abcdef > "$R/etc/machine-id"; : > "$R/etc/fstab"; echo 'nameserver 10.0.2.3' > "$R/etc/resolv.conf"
rm -f "$R/etc/apt/sources.list" "$R/etc/apt/sources.list.d/"*
for u in systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer e2scrub_reap.service systemd-timesyncd.service systemd-binfmt.service mosquitto.service proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount getty@tty1.service serial-getty@ttyS0.service serial-getty@ttyAMA0.service serial-getty@ttyS1.service; do ln -sf /dev/null "$R/etc/systemd/system/$u"; done
mkdir -p "$R/etc/systemd/system/multi-user.target.wants"
ln -sf /lib/systemd/system/systemd-networkd.service "$R/etc/systemd/system/multi-user.target.wants/"
if [ -n "$KO" ]; then mkdir -p "$R/lib/modules/$KVER/extra"; cp "$KO"/*.ko "$R/lib/modules/$KVER/extra/"; fi
depmod -b "$R" "$KVER"
rm -f "$IMG"; truncate -s "$SIZE" "$IMG"; mkfs.ext4 -q -F -O ^has_journal,^metadata_csum -E lazy_itable_init=1 -m 0 -d "$R" "$IMG"
ls -lsh "$IMG"
