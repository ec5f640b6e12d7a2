//go:build linux

package agent

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"rkt/internal/linux"
)

// accounts keeps the machine's own /etc/passwd and /etc/group. systemd runs
// nothing as an id that has no entry there, be it given as a number. What the
// ids are called is of no consequence: apps have files of their own.
type accounts struct {
	mu     sync.Mutex
	users  accountFile
	groups accountFile
}

// accountFile is one of the files, as far as it matters: the ids it has.
type accountFile struct {
	path string // of the copy that is written
	ids  map[uint32]bool
}

const (
	// ownDir is where links in the machine's /etc lead to.
	ownDir = "/run/rkt"
	// accountsFrom has what is to be in it at first.
	accountsFrom = "/usr/lib/rkt"
)

// newAccounts makes the files.
func newAccounts() (*accounts, error) {
	if err := os.MkdirAll(ownDir, 0o755); err != nil {
		return nil, err
	}
	users, err := newAccountFile("passwd")
	if err != nil {
		return nil, err
	}
	groups, err := newAccountFile("group")
	if err != nil {
		return nil, err
	}
	return &accounts{users: users, groups: groups}, nil
}

func newAccountFile(name string) (accountFile, error) {
	b, err := os.ReadFile(filepath.Join(accountsFrom, name))
	if err != nil {
		return accountFile{}, err
	}
	f := accountFile{path: filepath.Join(ownDir, name), ids: map[uint32]bool{}}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		fields := strings.SplitN(lines.Text(), ":", 4)
		if len(fields) < 3 {
			continue
		}
		if id, err := strconv.ParseUint(fields[2], 10, 32); err == nil {
			f.ids[uint32(id)] = true
		}
	}
	return f, os.WriteFile(f.path, b, 0o644)
}

// ensure adds entries for the ids that have none.
func (a *accounts) ensure(uid uint32, gids ...uint32) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.users.ensure(uid, "u%[1]d:x:%[1]d:65534::/:/nonexistent\n"); err != nil {
		return fmt.Errorf("add user: %w", err)
	}
	for _, gid := range gids {
		if err := a.groups.ensure(gid, "g%[1]d:x:%[1]d:\n"); err != nil {
			return fmt.Errorf("add group: %w", err)
		}
	}
	return nil
}

func (f accountFile) ensure(id uint32, format string) error {
	if f.ids[id] {
		return nil
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	// One write: nobody sees half a line.
	if _, err := fmt.Fprintf(file, format, id); err != nil {
		return err
	}
	f.ids[id] = true
	return nil
}

// coverFile shows one file of the machine in place of another.
func coverFile(source, target string) error {
	from, err := os.Open(source)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Open(target)
	if err != nil {
		return err
	}
	defer to.Close()
	mount, err := linux.Bind(from, linux.ReadOnly)
	if err != nil {
		return err
	}
	defer mount.Close()
	return linux.Attach(mount, to)
}
