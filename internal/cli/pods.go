package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"rkt/internal/errhint"
	"rkt/internal/image/store"
	"rkt/internal/pod"
)

// pods returns the pods in the data directory.
func (p *program) pods() (*pod.Pods, error) {
	dir, err := p.dataDir()
	if err != nil {
		return nil, err
	}
	return pod.In(dir), nil
}

// uuidFileFlag is for commands that take pods' UUIDs as arguments or from a
// file.
type uuidFileFlag struct{ path string }

func (f *uuidFileFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "uuid-file", "", "read the pod's UUID from a file instead of an argument")
}

// uuids returns the UUIDs, or prefixes of some, that a command is to act on: at
// least one.
func (f *uuidFileFlag) uuids(cmd *cobra.Command, args []string) ([]string, error) {
	switch {
	case f.path == "" && len(args) == 0:
		return nil, usage(cmd, errors.New("must provide the UUID of a pod"))
	case f.path == "":
		return args, nil
	case len(args) > 0:
		return nil, usage(cmd, errors.New("--uuid-file and UUIDs as arguments are mutually exclusive"))
	}
	uuid, err := pod.ReadUUIDFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("unable to read the UUID file: %w", err)
	}
	return []string{uuid}, nil
}

// uuid is like uuids for commands that act on one pod.
func (f *uuidFileFlag) uuid(cmd *cobra.Command, args []string) (string, error) {
	uuids, err := f.uuids(cmd, args)
	if err != nil {
		return "", err
	}
	if len(uuids) > 1 {
		return "", usage(cmd, errors.New("must provide the UUID of only one pod"))
	}
	return uuids[0], nil
}

// openPod opens the pod that a user has named.
func (p *program) openPod(uuid string) (*pod.Pod, error) {
	pods, err := p.pods()
	if err != nil {
		return nil, err
	}
	opened, err := pods.Get(uuid)
	if err != nil {
		return nil, fmt.Errorf("cannot get pod: %w", err)
	}
	return opened, nil
}

// stage1Call is how entry points beside a pod are run.
func (p *program) stage1Call() pod.Call {
	return pod.Call{
		Programs:    p.stage1Program,
		Stdout:      p.stderr, // results are the command's own
		Stderr:      p.stderr,
		Debug:       p.global.debug,
		LocalConfig: string(p.global.localConfig),
	}
}

// stage1Program finds a program in a stage1 tree.
func (p *program) stage1Program(treeID, path string) (string, error) {
	images, err := p.openStore()
	if err != nil {
		return "", err
	}
	defer images.Close()
	tree, err := images.OpenTree(treeID)
	if errors.Is(err, store.ErrNotFound) {
		return "", fmt.Errorf("%w: %w", pod.ErrNoStage1, err)
	}
	if err != nil {
		return "", err
	}
	return tree.Program(path)
}

func (p *program) openStore() (*store.Store, error) {
	dir, err := p.dataDir()
	if err != nil {
		return nil, err
	}
	configured, err := p.configDirs().Images()
	if err != nil {
		return nil, detail(err)
	}
	images, err := store.OpenWith(dir, store.Options{MaxSize: configured.MaxSize})
	if errors.Is(err, os.ErrPermission) {
		err = errhint.With(err, "the images belong to root and, once set up, to group rkt; --dir chooses another place")
	}
	if err != nil {
		return nil, fmt.Errorf("open the image store: %w", err)
	}
	return images, nil
}
