package approot

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Names are the texts of the files that apps look names up in.
type Names struct {
	// Hosts is shown as /etc/hosts to apps that have none, and to all with
	// ReplaceHosts.
	Hosts        string
	ReplaceHosts bool
	// ResolvConf is shown as /etc/resolv.conf to all apps unless it is empty.
	ResolvConf string
}

// names are files with these texts.
type names struct {
	hosts        *os.File
	replaceHosts bool
	resolvConf   *os.File // nil if there is none
}

// write makes the files in a directory of the agent's.
func (n Names) write(dir string) (names, error) {
	made := names{replaceHosts: n.ReplaceHosts}
	var err error
	if made.hosts, err = writeName(dir, "hosts", n.Hosts); err != nil || n.ResolvConf == "" {
		return made, err
	}
	made.resolvConf, err = writeName(dir, "resolv.conf", n.ResolvConf)
	return made, err
}

func writeName(dir, name, text string) (*os.File, error) {
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return os.Open(file)
}

func (n names) close() error {
	if n.resolvConf == nil {
		return n.hosts.Close()
	}
	return errors.Join(n.hosts.Close(), n.resolvConf.Close())
}

// placeNames gives the app its host name, and the files to look up others.
func (r furnished) placeNames(n names) error {
	etc, err := r.EnsureDir("/etc", 0o755)
	if err != nil {
		return err
	}
	etc.Close()
	if _, err := r.Stat("/etc/hosts"); n.replaceHosts || errors.Is(err, fs.ErrNotExist) {
		if err := r.show(n.hosts, "/etc/hosts"); err != nil {
			return err
		}
	}
	if n.resolvConf != nil {
		if err := r.showResolvConf(n.resolvConf); err != nil {
			return err
		}
	}
	name, err := os.Open("/proc/sys/kernel/hostname")
	if err != nil {
		return err
	}
	defer name.Close()
	return r.show(name, "/etc/hostname")
}

// showResolvConf shows a resolv.conf. Many images have a link there into /run,
// to what a service would make that does not run here; then that is made.
func (r furnished) showResolvConf(f *os.File) error {
	at := "/etc/resolv.conf"
	target, err := r.Readlink(at)
	if err != nil {
		return r.show(f, at) // it is no link
	}
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(at), target)
	}
	dir, err := r.EnsureDir(path.Dir(target), 0o755)
	if err != nil {
		return err
	}
	dir.Close()
	return r.show(f, target)
}
