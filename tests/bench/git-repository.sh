# A day in a repository of a thousand files, in the private /tmp: twenty times a change of five files,
# looked at, committed, and looked at again.
set -e
directory=$(mktemp -d /tmp/git-repository.XXXXXX)
cd "$directory"
git init -q .
git config user.name bench
git config user.email bench@example.invalid
d=0
while [ $d -lt 20 ]; do
    mkdir "d$d"
    f=0
    while [ $f -lt 50 ]; do
        echo "$d $f" >"d$d/f$f"
        f=$((f + 1))
    done
    d=$((d + 1))
done
git add .
git commit -qm first
i=0
while [ $i -lt 20 ]; do
    for f in 1 2 3 4 5; do
        echo "$i" >>"d$i/f$f"
    done
    git status --short >/dev/null
    git diff >/dev/null
    git add -u
    git commit -qm "$i"
    git log --stat >/dev/null
    i=$((i + 1))
done
cd /
rm -rf "$directory"
