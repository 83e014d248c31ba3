# What a tool that is built on libgit2 does with a repository.
import os
import pygit2

repository = pygit2.Repository(os.getcwd())


def look(title):
    print(title, repository.head.shorthand, repository.head.target)
    for commit in repository.walk(repository.head.target):
        print(commit.id, commit.message.strip())
    for path, state in sorted(repository.status().items()):
        print(int(state), path)


look("before")
print(repository.workdir, repository.is_bare, sorted(repository.branches.local))
print(repository.diff("HEAD~1", "HEAD").patch)
author = pygit2.Signature("Library", "library@example.invalid", 1893456000, 0)
repository.index.add("new")
repository.index.write()
tree = repository.index.write_tree()
repository.create_commit("HEAD", author, author, "by libgit2", tree, [repository.head.target])
repository.branches.local.create("made", repository[repository.head.target])
repository.create_reference("refs/tags/by-libgit2", repository.head.target)
repository.checkout("refs/heads/made")
look("after")
