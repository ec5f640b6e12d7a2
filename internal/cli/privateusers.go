package cli

import (
	"errors"
	"os"

	"github.com/spf13/pflag"

	"rkt/internal/errhint"
	"rkt/internal/pod"
	"rkt/internal/stage1"
)

// privateUsers says that a pod is to have users of its own.
type privateUsers bool

func (f *privateUsers) add(flags *pflag.FlagSet) {
	flags.BoolVar((*bool)(f), "private-users", false,
		"give the pod users of its own: its root is nobody on the host, and no other pod's")
}

// check refuses what this host can't do.
func (f privateUsers) check() error {
	if !f {
		return nil
	}
	if _, err := os.Stat("/proc/self/ns/user"); errors.Is(err, os.ErrNotExist) {
		return errors.New("--private-users is not supported, kernel compiled without user namespace support")
	}
	return nil
}

// checkStage1 refuses an image that would show the apps' files as the host's
// root's: trees are mounted for all of them alike.
func (f privateUsers) checkStage1(image *pod.Stage1) error {
	if !f || image.AppFormat() == stage1.AppFormatDisk {
		return nil
	}
	return errhint.With(errors.New("--private-users: this stage1 does not give pods users of their own"),
		"choose another stage1, such as stage1-coreos.aci")
}

// ipcFlag is a mode, "" if none was said.
type ipcFlag stage1.IPCMode

func (f *ipcFlag) String() string { return string(*f) }
func (f *ipcFlag) Type() string   { return "mode" }

func (f *ipcFlag) Set(word string) error {
	*f = ipcFlag(word)
	return stage1.IPCMode(word).Check()
}
