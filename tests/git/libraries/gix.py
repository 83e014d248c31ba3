# What a tool that is built on gitoxide reads of a repository.
import os
import gitoxide

repository = gitoxide.open(os.getcwd())
print(repository.head_name, repository.head_id, repository.is_bare, repository.is_shallow, repository.workdir)
for commit in repository.commits():
    print(commit.id, commit.tree_id, commit.message.strip(), commit.author.name)
for reference in repository.references():
    print(reference.name, reference.target)
print(repository.branches(), repository.tags(), repository.rev_parse("HEAD~1"))
print(repository.read_blob("HEAD:a").decode())
for hunk in repository.blame("a"):
    print(hunk.start_line, hunk.end_line, hunk.commit_id)
