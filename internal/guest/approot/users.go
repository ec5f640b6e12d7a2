package approot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// maxAccounts bounds how much of an image's passwd or group file is read.
const maxAccounts = 4 << 20

// Errors of making an app's root, and of looking things up in it.
var (
	// ErrImage means that an image can't be mounted.
	ErrImage  = errors.New("mount image")
	ErrUser   = errors.New("invalid user")
	ErrGroup  = errors.New("invalid group")
	ErrBinary = errors.New("unable to find")
	// ErrNotProgram means that a file is there but can't be executed.
	ErrNotProgram = errors.New("neither a script nor a program of this kind of machine")
)

// noID is what the kernel takes for "leave it as it is".
const noID = 1<<32 - 1

// LookupUser returns the id that user stands for in an app's root: a number,
// a name of its /etc/passwd, or an absolute path whose owner is meant. The name
// root needs no /etc/passwd.
func LookupUser(root linux.Root, user string) (uint32, error) {
	return lookup(root, user, "/etc/passwd", func(path string) (uint32, error) {
		st, err := root.Stat(path)
		return st.Uid, err
	}, ErrUser)
}

// LookupGroup does for groups what LookupUser does for users.
func LookupGroup(root linux.Root, group string) (uint32, error) {
	return lookup(root, group, "/etc/group", func(path string) (uint32, error) {
		st, err := root.Stat(path)
		return st.Gid, err
	}, ErrGroup)
}

// PrimaryGroup returns the group that the first entry of a user in an app's
// /etc/passwd names, false if there is none.
func PrimaryGroup(root linux.Root, uid uint32) (uint32, bool) {
	f, err := openRegular(root, "/etc/passwd")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	want := strconv.FormatUint(uint64(uid), 10)
	for lines := bufio.NewScanner(io.LimitReader(f, maxAccounts)); lines.Scan(); {
		fields := strings.SplitN(lines.Text(), ":", 5)
		if len(fields) < 5 || fields[2] != want {
			continue
		}
		gid, err := strconv.ParseUint(fields[3], 10, 32)
		return uint32(gid), err == nil && gid != noID
	}
	return 0, false
}

func lookup(root linux.Root, name, file string, owner func(path string) (uint32, error), invalid error) (uint32, error) {
	if id, err := strconv.ParseUint(name, 10, 32); err == nil && id != noID {
		return uint32(id), nil
	}
	if strings.HasPrefix(name, "/") {
		id, err := owner(name)
		if err != nil {
			return 0, fmt.Errorf("%w %q: %w", invalid, name, err)
		}
		return id, nil
	}
	id, err := lookupName(root, name, file)
	switch {
	case err == nil:
		return id, nil
	case name == "root":
		return 0, nil
	case errors.Is(err, errNoAccount):
		return 0, fmt.Errorf("%w %q", invalid, name)
	}
	return 0, fmt.Errorf("%w %q: %w", invalid, name, err)
}

var errNoAccount = errors.New("no such account")

func lookupName(root linux.Root, name, file string) (uint32, error) {
	f, err := openRegular(root, file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, errNoAccount
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return findAccount(io.LimitReader(f, maxAccounts), name)
}

// findAccount returns the number in the third field of the first line whose
// first field is name, in the form that passwd(5) and group(5) share.
func findAccount(r io.Reader, name string) (uint32, error) {
	if name == "" || strings.ContainsAny(name, ":\n") {
		return 0, errNoAccount
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.SplitN(lines.Text(), ":", 4)
		if len(fields) < 3 || fields[0] != name {
			continue
		}
		id, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil || id == noID {
			return 0, fmt.Errorf("%q is not an id", fields[2])
		}
		return uint32(id), nil
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, errNoAccount
}

// openRegular opens a file to read that an image may have made anything of:
// without O_NONBLOCK, opening a pipe would wait for its other end.
func openRegular(root linux.Root, name string) (*os.File, error) {
	f, err := root.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
