#!/bin/bash
# Builds the mini guest: a Debian or Ubuntu kernel and an initramfs of busybox, dropbear and sftp-server, for tests that need a
# machine which really reboots, hangs, panics and powers off (tests/support/vm.rs starts it).
#
# usage: mini-guest.sh [CACHE-DIR]     default: target/mini-guest of this checkout
# Prints the directory that holds `vmlinuz` and `initrd`. Needs no root: nothing is installed, the kernel package is only unpacked.
# What was built by this very script is used again as it is; another script or no image yet means a new build (26 MB download).
set -euo pipefail

here=$(dirname "$(realpath "$0")")
cache=$(realpath -m "${1:-${CARGO_TARGET_DIR:-$here/../../target}/mini-guest}")
script=$(sha256sum "$0" | cut -c1-12)

give_up() { echo "mini guest: $1" >&2; exit 1; }

built() { for dir in "$cache/$script"-*/; do [ -e "$dir/initrd" ] && realpath "$dir" && return; done; return 1; }

built && exit
[ "$(uname -m)" = x86_64 ] || give_up "built on x86_64 only, this machine is $(uname -m)"
for tool in apt-get:apt dpkg-deb:dpkg busybox:busybox-static /usr/sbin/dropbear:dropbear-bin dropbearkey:dropbear-bin \
    /usr/lib/openssh/sftp-server:openssh-sftp-server cpio:cpio; do
    command -v "${tool%:*}" >/dev/null || give_up "\`${tool%:*}\` is missing: apt-get install ${tool#*:} (tests/run does it)"
done
if ldd "$(command -v busybox)" >/dev/null 2>&1; then give_up "busybox is linked dynamically: apt-get install busybox-static"; fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock -w 600 9 || give_up "another build holds $cache/lock for ten minutes"
built && exit
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The kernel's real package changes its name with each security update, so the meta package is asked.
depends() { apt-cache depends --no-recommends --no-suggests "$1" 2>/dev/null | awk '/Depends: [^<]/ { print $2 }'; }

download() { # PACKAGE...: unpacks them into $work/kernel
    (cd "$work" && apt-get -q -o Acquire::Retries=2 -o Acquire::http::Timeout=30 download "$@") >"$work/apt.log" 2>&1 ||
        give_up "cannot download $*: $(tail -1 "$work/apt.log")"
    for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$work/kernel"; done
}

if kernel=$(depends linux-image-cloud-amd64 | grep -m1 '^linux-image-'); then # Debian
    download "$kernel"
elif kernel=$(depends linux-image-virtual | grep -m1 '^linux-image-'); then # Ubuntu keeps the modules apart
    download "$kernel" "linux-modules-${kernel#linux-image-}"
else
    give_up "no kernel package found (linux-image-cloud-amd64 or linux-image-virtual): apt-get update first"
fi
kernel_file=$(ls "$work"/kernel/boot/vmlinuz-*)
version=${kernel_file##*/vmlinuz-}
[ -r "$kernel_file" ] || chmod u+r "$kernel_file"

root=$work/root
mkdir -p "$root"/{bin,sbin,dev,etc/acpi/PWRF,etc/dropbear,lib/modules,mnt,proc,root,run,sys,tmp,usr/bin,usr/sbin,usr/lib/openssh,var/log,var/run}
busybox=$(command -v busybox)
cp "$busybox" "$root/bin/busybox"
"$busybox" --list-full | while read -r applet; do
    mkdir -p "$root/${applet%/*}"
    [ -e "$root/$applet" ] || ln -s /bin/busybox "$root/$applet"
done

for program in /usr/sbin/dropbear /usr/bin/dropbearkey /usr/lib/openssh/sftp-server; do
    cp "$program" "$root/$program"
    for library in $(ldd "$program" | grep -oE '/[^ ]+\.so[^ ]*'); do
        mkdir -p "$root/${library%/*}"
        cp -Ln "$library" "$root/$library"
    done
done
ln -s openssh/sftp-server "$root/usr/lib/sftp-server" # where dropbear looks, in some releases
dropbearkey -t ed25519 -f "$root/etc/dropbear/host_key" >/dev/null 2>&1

# Modules with what they need, in loading order. What is not found is built into the kernel.
declare -A module_file module_done
while read -r file; do
    name=${file##*/}; name=${name%%.ko*}
    module_file[${name//-/_}]=$file
done < <(find "$work/kernel" -name '*.ko' -o -name '*.ko.xz' -o -name '*.ko.zst')

add_module() {
    local name=${1//-/_} needed
    local file=${module_file[$name]:-} target=$root/lib/modules/$name.ko
    [ -n "$file" ] && [ -z "${module_done[$name]:-}" ] || return 0
    module_done[$name]=1
    case $file in
        *.xz) "$busybox" xzcat "$file" >"$target" ;;
        *.zst) zstd -qdc "$file" >"$target" || give_up "cannot unpack $file: apt-get install zstd" ;;
        *) cp "$file" "$target" ;;
    esac
    for needed in $(tr '\0' '\n' <"$target" | sed -n 's/^depends=//p' | head -1 | tr , ' '); do add_module "$needed"; done
    echo "$name" >>"$root/etc/modules"
}
: >"$root/etc/modules"
for module in virtio_pci virtio_net virtio_blk virtio_rng vmgenid button evdev ext4; do add_module "$module"; done

# root's password is "xensource", the user guide's default.
cat >"$root/etc/passwd" <<'FILE'
root:$6$miniguest$HG2REBfGgrGV8J/iilTjNHhH0yNBT5oXk5/m4TKk0h/T54BFuB4DCy5e40na7AF6eogmMjTB444c1uAY40I27/:0:0:root:/root:/bin/sh
FILE
echo 'root:x:0:' >"$root/etc/group"
echo /bin/sh >"$root/etc/shells"
echo mini >"$root/etc/hostname"
echo 'passwd: files' >"$root/etc/nsswitch.conf"
echo '127.0.0.1 localhost mini' >"$root/etc/hosts"
printf '%s\n' 'NAME="Mini guest"' 'ID=mini' 'VERSION_ID="1"' 'PRETTY_NAME="Mini guest 1"' >"$root/etc/os-release"

# Nothing here may read /proc/sys/kernel/random/boot_id: the kernel makes it at the first reading, so guests that are started from
# one saved state still have one each.
cat >"$root/etc/inittab" <<'FILE'
::sysinit:/etc/start
::respawn:/sbin/syslogd -n -O /var/log/messages
::respawn:/sbin/klogd -n
::respawn:/usr/sbin/dropbear -F -r /etc/dropbear/host_key
::respawn:/sbin/acpid -f -c /etc/acpi
ttyS0::respawn:/etc/console
::ctrlaltdel:/sbin/reboot
FILE
cat >"$root/etc/start" <<'FILE'
#!/bin/sh
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
hostname -F /etc/hostname
while read -r module; do insmod /lib/modules/$module.ko; done </etc/modules
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2
touch /var/log/messages
FILE
cat >"$root/init" <<'FILE'
#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
exec /sbin/init </dev/console >/dev/console 2>&1
FILE
# The serial console is a shell without echo and prompt: what is read there is what the commands say.
cat >"$root/etc/console" <<'FILE'
#!/bin/sh
export HOME=/root
stty -echo -onlcr
echo 'mini guest console'
while read -r line; do eval "$line"; done
FILE
printf '#!/bin/sh\nexec /sbin/poweroff\n' >"$root/etc/acpi/PWRF/00000080"
chmod +x "$root/init" "$root/etc/start" "$root/etc/console" "$root/etc/acpi/PWRF/00000080"
chmod 700 "$root/root"

(cd "$root" && find . -print0 | LC_ALL=C sort -z | cpio -0 -o -H newc --quiet -R 0:0) | gzip -1 >"$work/initrd"

# An image of an older script is no longer asked for, and the saved states beside it are large.
for old in "$cache"/*-*/; do [ -e "$old" ] && rm -rf "$old"; done
mkdir "$work/image"
mv "$work/initrd" "$work/image/"
cp "$kernel_file" "$work/image/vmlinuz"
mv "$work/image" "$cache/$script-$version"
realpath "$cache/$script-$version"
