#!/bin/bash
# build.sh base [rpi] [rpi612] [rpi4] : everything under $PI from Debian + PyPI, nothing installed on the host (root needed)
#  base   tool box, amd64 root + 6.1 kernel + modules + image   -> run-nspawn.sh, run-x86.sh
#  rpi    arm64 root + 6.1 kernel + modules + image             -> run-rpi.sh (Pi 3B)
#  rpi612 backports kernel 6.12 (persist_gpio_outputs)          -> run-rpi.sh with RPI=612      (needs rpi)
#  rpi4   backports QEMU 10                                      -> run-rpi.sh with RPI=4        (needs rpi612)
set -e
. "$(dirname "$0")/env.sh"; cd "$PI"
PYPKGS=${PYPKGS:-gpiozero lgpio w1thermsensor[async]}
say() { echo "[$SECONDS s] $*"; }
# deb ARCH SUITES DEST pkg... : download .debs with the host's apt, in a state directory of their own
deb() { local a=$1 s=$2 d=$3; shift 3; local st=$PI/apt/$a-${s// /_}; mkdir -p $st/{lists/partial,cache/archives/partial,parts} "$d"; : > $st/status
  local o="-qq -o APT::Architecture=$a -o APT::Architectures=$a -o Dir::State::Lists=$st/lists -o Dir::State::status=$st/status -o Dir::Cache=$st/cache -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=$st/parts -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root"
  if [ "$s" = host ]; then cp "$SRC" $st/parts/; else printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' "$(awk '/^URIs:/{print $2; exit}' "$SRC")" "$s" > $st/parts/x.sources; fi
  [ -e $st/done ] || apt-get $o update; touch $st/done
  local p l=; for p; do case $p in META:*) l="$l $(apt-cache $o depends ${p#META:} | awk '/Depends: linux-/{print $2; exit}')";; *) l="$l $p";; esac; done
  (cd "$d" && apt-get $o download $l); echo $l > "$d/.last"; }
unpack() { local d=$1 f; shift; mkdir -p "$d"; for f; do dpkg --fsys-tarfile "$f" | tar -x --keep-directory-symlink -C "$d"; done; }   # NOT dpkg -x: it would replace the /lib symlink
RPIMODS="bcm2835 sdhci-iproc dwc2 phy-generic usb-storage sd_mod cdc_ether w1-therm w1-gpio ds2490 wire sch_netem softdog bcm2835_wdt bcm2835_thermal bcm2835-rng i2c-bcm2835 i2c-dev lm75 configfs autofs4 fuse loop dummy overlay nf_tables usbip-core vhci-hcd crc32c_generic ext4"
for what; do case $what in
base)
  say tool box; deb amd64 host dl mmdebstrap; unpack mm dl/mmdebstrap_*.deb
  [ -d tools ] || mmdebstrap "${MMOPT[@]}" --include=qemu-system-x86,qemu-system-arm,qemu-user-static,systemd-container,device-tree-compiler,cpio,kmod bookworm $PI/tools "$SRC" 2>$PI/mm.log
  say kernel; deb amd64 host dl/amd64 META:linux-image-amd64; unpack k/amd64 dl/amd64/linux-image-*_amd64.deb; M=$(ls -d $PI/k/amd64/lib/modules/*); KV=${M##*/}
  say build chroot; [ -d kb ] || mmdebstrap "${MMOPT[@]}" --include=make,gcc-12,gcc-12-aarch64-linux-gnu,linux-headers-$KV bookworm $PI/kb "$SRC" 2>>$PI/mm.log
  deb amd64 host dl/src linux-source-6.1; unpack src dl/src/linux-source-*.deb; tar -C src -xf src/usr/src/linux-source-6.1.tar.xz linux-source-6.1/drivers/gpio linux-source-6.1/kernel/irq; rm -rf src/usr
  say modules; "$here/kmod/build.sh" amd64 $KV $PI/ko-amd64
  say root; [ -d x86root ] || mmdebstrap "${MMOPT[@]}" --include=systemd-sysv,udev,dbus,kmod,python3,python3-venv,python3-systemd,mosquitto,openssl,gpiod,iproute2,procps,openssh-server,busybox-static bookworm $PI/x86root "$SRC" 2>>$PI/mm.log
  "$here/modclosure.py" $M x86root i2c-stub i2c-dev lm75 w1-therm w1-gpio ds2490 wire sch_netem softdog usbip-core vhci-hcd virtio_net virtio_rng overlay dm-flakey scsi_debug autofs4 configfs loop nf_tables nft_compat uhid usb-storage tun dummy veth vfat fuse
  mkdir -p wheels/amd64; python3 -m pip download -q --no-cache-dir -d wheels/amd64 --only-binary=:all: --python-version 311 --implementation cp --abi cp311 --abi abi3 --abi none --platform manylinux_2_34_x86_64 --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform any $PYPKGS
  [ -f work/id ] || ssh-keygen -q -t ed25519 -N '' -f work/id
  say image; "$here/mkimage.sh" $PI/x86root $PI/wheels/amd64 $PI/work/x86.ext4 1200M $PI/work/id.pub $PI/ko-amd64 $KV
  "$here/mkinitrd.py" $M x86root/bin/busybox work/x86.initrd virtio_pci virtio_blk crc32c_generic ext4;;
rpi)
  say arm64 root; [ -d armroot ] || "$here/mkarm64root.sh" $PI/armroot 2>$PI/mmarm.log
  say kernel; deb arm64 host dl/arm64 META:linux-image-arm64; unpack k/arm64 dl/arm64/linux-image-*_arm64.deb; M=$(ls -d $PI/k/arm64/lib/modules/*); KV=${M##*/}
  deb arm64 host dl/arm64 linux-headers-$KV busybox-static; unpack kb dl/arm64/linux-headers-*_arm64.deb; unpack bbarm dl/arm64/busybox-static_*.deb
  say modules; "$here/kmod/build.sh" arm64 $KV $PI/ko-arm64; "$here/modclosure.py" $M armroot $RPIMODS
  mkdir -p wheels/arm64; python3 -m pip download -q --no-cache-dir -d wheels/arm64 --only-binary=:all: --python-version 311 --implementation cp --abi cp311 --abi abi3 --abi none --platform manylinux_2_34_aarch64 --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 --platform any $PYPKGS
  say image; "$here/mkimage.sh" $PI/armroot $PI/wheels/arm64 $PI/work/rpi.ext4 1G $PI/work/id.pub $PI/ko-arm64 $KV
  "$here/mkinitrd.py" $M bbarm/bin/busybox work/rpi.initrd bcm2835 sdhci-iproc crc32c_generic ext4
  "$here/mkdtb.sh" 3b k/arm64/usr/lib/linux-image-$KV/broadcom/bcm2837-rpi-3-b.dtb work/rpi3b.dtb;;
rpi612)
  say backports kernel; deb arm64 bookworm-backports dl/bp META:linux-image-arm64; unpack k/arm64-612 dl/bp/linux-image-*_arm64.deb; M=$(ls -d $PI/k/arm64-612/lib/modules/*); KV=${M##*/}
  deb arm64 bookworm-backports dl/bp linux-headers-$KV linux-headers-${KV%-arm64}-common; deb amd64 bookworm-backports dl/bp linux-kbuild-${KV%-arm64}; unpack kb dl/bp/linux-headers-*.deb dl/bp/linux-kbuild-*.deb
  say modules; MODS=w1_fake "$here/kmod/build.sh" arm64 $KV $PI/ko-arm64-612; "$here/modclosure.py" $M armroot $RPIMODS
  say image; "$here/mkimage.sh" $PI/armroot $PI/wheels/arm64 $PI/work/rpi.ext4 1G $PI/work/id.pub $PI/ko-arm64-612 $KV
  "$here/mkinitrd.py" $M bbarm/bin/busybox work/rpi-612.initrd bcm2835 sdhci-iproc crc32c_generic ext4
  "$here/mkdtb.sh" 3b k/arm64-612/usr/lib/linux-image-$KV/broadcom/bcm2837-rpi-3-b.dtb work/rpi3b-612.dtb;;
rpi4)
  say QEMU 10; printf 'Types: deb\nURIs: %s\nSuites: bookworm bookworm-backports\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' "$(awk '/^URIs:/{print $2; exit}' "$SRC")" > work/bp.sources
  [ -d tools10 ] || mmdebstrap "${MMOPT[@]}" --aptopt='APT::Default-Release "bookworm-backports"' --include=qemu-system-arm bookworm $PI/tools10 work/bp.sources 2>>$PI/mm.log
  "$here/mkdtb.sh" 4b k/arm64-612/usr/lib/linux-image-*/broadcom/bcm2711-rpi-4-b.dtb work/rpi4b.dtb;;
esac; done; say done; du -shc --apparent-size work 2>/dev/null | tail -1
