// What a tool that is built on go-git does with a repository.
package main

import (
	"fmt"
	"sort"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func look(title string, repository *git.Repository) plumbing.Hash {
	head, err := repository.Head()
	must(err)
	fmt.Println(title, head.Name(), head.Hash())
	log, err := repository.Log(&git.LogOptions{From: head.Hash()})
	must(err)
	must(log.ForEach(func(commit *object.Commit) error {
		fmt.Println(commit.Hash, commit.Message)
		return nil
	}))
	tree, err := repository.Worktree()
	must(err)
	status, err := tree.Status()
	must(err)
	var lines []string
	for path, state := range status {
		if state.Worktree != git.Unmodified || state.Staging != git.Unmodified {
			lines = append(lines, fmt.Sprintf("%c%c %s", state.Staging, state.Worktree, path))
		}
	}
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
	return head.Hash()
}

func main() {
	repository, err := git.PlainOpen(".")
	must(err)
	look("before", repository)
	tree, err := repository.Worktree()
	must(err)
	_, err = tree.Add("new")
	must(err)
	author := &object.Signature{Name: "Library", Email: "library@example.invalid", When: time.Unix(1893456000, 0).UTC()}
	_, err = tree.Commit("by go-git", &git.CommitOptions{Author: author, Committer: author})
	must(err)
	must(tree.Checkout(&git.CheckoutOptions{Branch: "refs/heads/made", Create: true, Keep: true}))
	look("after", repository)
}
