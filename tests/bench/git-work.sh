# What git does in a day, thirty times, in the private /tmp.
set -e
directory=$(mktemp -d /tmp/git-work.XXXXXX)
i=0
while [ $i -lt 30 ]; do
    git init -q "$directory/$i"
    cd "$directory/$i"
    echo "$i" >file
    git add file
    git -c user.name=bench -c user.email=bench@example.invalid commit -qm "$i"
    git status --short
    git log --oneline >/dev/null
    i=$((i + 1))
done
cd /
rm -rf "$directory"
