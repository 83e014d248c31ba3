//! bwrap's arguments on several machines.

use super::*;

#[test]
fn argv_on_debian() {
    insta::assert_snapshot!(Case::debian().bwrap(), @r"
    /usr/bin/bwrap \
      --unshare-all \
      --unshare-user \
      --cap-drop ALL \
      --as-pid-1 \
      --disable-userns \
      --dev /dev \
      --proc /proc \
      --perms 1777 --size 2147483648 --tmpfs /tmp \
      --ro-bind /usr /usr \
      --symlink usr/bin /bin \
      --symlink usr/lib /lib \
      --perms 1777 --size 536870912 --tmpfs /dev/shm \
      --perms 1777 --size 2147483648 --tmpfs /var/tmp \
      --ro-bind /opt/claudebox /run/claudebox \
      --perms 0444 --file '<fd: /etc/passwd>' /etc/passwd \
      --perms 0444 --file '<fd: 104 bytes>' /etc/resolv.conf \
      --bind-fd '<fd: PRIVATE>' /home/u \
      --perms 0444 --file '<fd: 17 bytes>' /etc/nsswitch.conf \
      --perms 0444 --file '<fd: 81 bytes>' /etc/hosts \
      --bind-fd '<fd: /home/u/p>' /home/u/p \
      --bind-fd '<fd: /home/u/p/.git>' /home/u/p/.git \
      --ro-bind-fd '<fd: /home/u/p/.git/hooks>' /home/u/p/.git/hooks \
      --ro-bind-fd '<fd: /home/u/p/.git/config>' /home/u/p/.git/config \
      --ro-bind-fd '<fd: /home/u/p/.git/info>' /home/u/p/.git/info \
      --remount-ro /dev \
      --remount-ro / \
      --chdir /home/u/p/sub \
      -- /run/claudebox __inner '<fd: supervisor>' '<fd: plan>'
    ");
}

#[test]
fn argv_with_an_old_bwrap() {
    let case = Case::debian().with(|case| {
        case.host.bwrap = Some(bwrap(&[]));
        case.invocation.network = Some(NetworkMode::None);
    });
    insta::assert_snapshot!(case.bwrap(), @r"
    /usr/bin/bwrap \
      --unshare-all \
      --unshare-user \
      --cap-drop ALL \
      --as-pid-1 \
      --dev /dev \
      --proc /proc \
      --perms 1777 --tmpfs /tmp \
      --ro-bind /usr /usr \
      --symlink usr/bin /bin \
      --symlink usr/lib /lib \
      --perms 1777 --tmpfs /dev/shm \
      --perms 1777 --tmpfs /var/tmp \
      --ro-bind /opt/claudebox /run/claudebox \
      --perms 0444 --file '<fd: /etc/passwd>' /etc/passwd \
      --perms 0444 --file '<fd: /run/systemd/resolve/stub-resolv.conf>' /etc/resolv.conf \
      --bind PRIVATE /home/u \
      --bind /home/u/p /home/u/p \
      --bind /home/u/p/.git /home/u/p/.git \
      --ro-bind /home/u/p/.git/hooks /home/u/p/.git/hooks \
      --ro-bind /home/u/p/.git/config /home/u/p/.git/config \
      --ro-bind /home/u/p/.git/info /home/u/p/.git/info \
      --remount-ro /dev \
      --remount-ro / \
      --chdir /home/u/p/sub \
      -- /run/claudebox __inner '<fd: supervisor>' '<fd: plan>'
    ");
    insta::assert_snapshot!(case.policy().unwrap().weakened.join("\n"), @"
    git: pinned, not private: a planted .git/commondir, submodule or nested repository can make git outside run code
    bwrap is too old to forbid user namespaces inside
    bwrap is too old to limit /tmp: it can fill half of the memory
    bwrap is too old to bind by descriptor
    limits: no limit on memory, by the profile
    limits: no limit on processes, by the profile
    ");
}

#[test]
fn argv_on_nixos() {
    insta::assert_snapshot!(Case::nixos().bwrap(), @r"
    /usr/bin/bwrap \
      --unshare-all \
      --unshare-user \
      --cap-drop ALL \
      --as-pid-1 \
      --disable-userns \
      --dev /dev \
      --proc /proc \
      --perms 1777 --size 2147483648 --tmpfs /tmp \
      --ro-bind /usr /usr \
      --ro-bind /bin /bin \
      --perms 1777 --size 536870912 --tmpfs /dev/shm \
      --perms 1777 --size 2147483648 --tmpfs /var/tmp \
      --ro-bind /nix/store/claudebox/bin/claudebox /run/claudebox \
      --symlink /etc/static/passwd /etc/passwd \
      --symlink /nix/store/etc /etc/static \
      --symlink /nix/store/abc-system /run/current-system \
      --ro-bind /nix/store /nix/store \
      --bind-fd '<fd: PRIVATE>' /home/u \
      --perms 0444 --file '<fd: 104 bytes>' /etc/resolv.conf \
      --perms 0444 --file '<fd: 17 bytes>' /etc/nsswitch.conf \
      --perms 0444 --file '<fd: 81 bytes>' /etc/hosts \
      --bind-fd '<fd: /home/u/p>' /home/u/p \
      --bind-fd '<fd: /home/u/p/.git>' /home/u/p/.git \
      --ro-bind-fd '<fd: /home/u/p/.git/hooks>' /home/u/p/.git/hooks \
      --ro-bind-fd '<fd: /home/u/p/.git/config>' /home/u/p/.git/config \
      --ro-bind-fd '<fd: /home/u/p/.git/info>' /home/u/p/.git/info \
      --remount-ro /dev \
      --remount-ro / \
      --chdir /home/u/p/sub \
      -- /run/claudebox __inner '<fd: supervisor>' '<fd: plan>'
    ");
}

#[test]
fn a_system_without_merged_usr() {
    let case = Case::debian().disk(|disk| {
        disk.without("/bin").without("/lib").program("/bin/sh", "\x7fELF").dir("/lib")
    });
    let mounts = case.mounts();
    assert!(mounts.contains("ro    /bin ") && mounts.contains("ro    /lib "));
    assert!(!mounts.contains("link"));
}

#[test]
fn any_bytes_in_the_project_path_survive() {
    use std::os::unix::ffi::OsStringExt as _;
    let name = OsString::from_vec(b"a b\n'\"\xff$(x)".to_vec());
    let root = Path::new("/home/u").join(name);
    let case = Case::debian().disk(|disk| disk.file(root.join(".git/HEAD"), "")).with(|case| {
        case.host.cwd.clone_from(&root);
    });
    let policy = case.policy().unwrap();
    let plan = compile::plan(&policy, &case.host).unwrap();
    assert_eq!(plan.inner.cwd, Bytes::from(&*root));
    assert!(plan.args.contains(&crate::plan::Arg::Literal(Bytes::from(&*root))));
    let shown = explain::bwrap(&plan);
    assert!(shown.contains(r#"$'/home/u/a b\x0a\'"\xff$(x)'"#), "{shown}");
    let invisible = |ch: char| ch != '\n' && crate::visible::is_invisible(ch);
    assert!(!shown.contains(invisible) && !explain::text(&policy).contains(invisible));
}
