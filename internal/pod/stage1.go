package pod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rkt/internal/appc"
	"rkt/internal/fault"
	"rkt/internal/stage1"
)

// stage1TreeFile holds the id of the stage1 tree that the pod runs from.
const stage1TreeFile = "stage1TreeStoreID"

// maxTreeID bounds what is read of stage1TreeFile.
const maxTreeID = 1024

// maxMessages bounds what is read of messagesFile.
const maxMessages = 32 << 20

// endGrace is how long an entry point may take to end after it was interrupted.
const endGrace = 10 * time.Second

// Programs finds the program at a path inside the stage1 tree with the given
// id. It fails with ErrNoStage1 if there is no such tree.
type Programs func(treeID, path string) (string, error)

// Stage1 is a stage1 image, extracted.
type Stage1 struct {
	// Version is that of the contract that the image speaks.
	Version int

	treeID       string
	manifest     *appc.ImageManifest
	manifestJSON []byte
	programs     Programs
}

// NewStage1 returns the stage1 image with the given tree and manifest.
func NewStage1(treeID string, manifestJSON []byte, programs Programs) (*Stage1, error) {
	manifest, err := appc.ParseImageManifest(manifestJSON)
	if err != nil {
		return nil, err
	}
	s := &Stage1{Version: 1, treeID: treeID, manifest: manifest, manifestJSON: manifestJSON, programs: programs}
	if text, ok := manifest.Annotations.Get(stage1.AnnotationInterfaceVersion); ok {
		if s.Version, err = strconv.Atoi(text); err != nil || s.Version < 1 {
			return nil, fmt.Errorf("annotation %s: %q is no version", stage1.AnnotationInterfaceVersion, text)
		}
	}
	return s, nil
}

// Check finds out whether the image can run a pod with this rkt.
func (s *Stage1) Check() error {
	if s.Version > stage1.InterfaceVersion {
		return fmt.Errorf("it speaks version %d of the stage1 interface, newer than this rkt's %d",
			s.Version, stage1.InterfaceVersion)
	}
	if format := s.AppFormat(); format != stage1.AppFormatDisk && format != stage1.AppFormatTree {
		return fmt.Errorf("it wants apps in the format %q, but this rkt can only give it %q or %q",
			format, stage1.AppFormatDisk, stage1.AppFormatTree)
	}
	for _, annotation := range []string{stage1.AnnotationRun, stage1.AnnotationGC, stage1.AnnotationStop} {
		if _, err := s.EntryPoint(annotation); err != nil {
			return err
		}
	}
	return nil
}

// AppFormat returns how the image wants the apps: stage1.AppFormatTree unless it
// says otherwise.
func (s *Stage1) AppFormat() string {
	if format, ok := s.manifest.Annotations.Get(stage1.AnnotationAppFormat); ok {
		return format
	}
	return stage1.AppFormatTree
}

// TreeID names the image's tree in the store.
func (s *Stage1) TreeID() string { return s.treeID }

// EntryPoint is a program of a stage1 image.
type EntryPoint struct {
	Program string // what to execute
	Name    string // what it is to see as its own name
}

// EntryPoint returns the program that an annotation of the image names.
func (s *Stage1) EntryPoint(annotation string) (EntryPoint, error) {
	path, ok := s.manifest.Annotations.Get(annotation)
	if !ok {
		return EntryPoint{}, fmt.Errorf("entrypoint %q not found", annotation)
	}
	program, err := s.programs(s.treeID, path)
	if err != nil {
		return EntryPoint{}, fmt.Errorf("entrypoint %q: %w", annotation, err)
	}
	return EntryPoint{Program: program, Name: path}, nil
}

// SetStage1 notes, while the pod is being prepared, which stage1 it runs in.
// The notes serve for as long as the pod exists.
func (p *Pod) SetStage1(s *Stage1) error {
	if err := p.WriteFile(stage1.Stage1Manifest, s.manifestJSON); err != nil {
		return err
	}
	return p.WriteFile(stage1TreeFile, []byte(s.treeID+"\n"))
}

// AppDiskID returns the ID of the rendered image that an app was prepared with.
func (p *Pod) AppDiskID(app string) (string, error) {
	id, err := p.read(appDiskIDFile(app), maxTreeID)
	return strings.TrimSpace(string(id)), err
}

// SetAppDisk notes, while the pod is being prepared, which rendered image an app
// has as its root.
func (p *Pod) SetAppDisk(app, id string, disk stage1.AppDisk) error {
	text, err := json.Marshal(disk)
	if err != nil {
		return err
	}
	return errors.Join(
		p.WriteFile(appDiskIDFile(app), []byte(id+"\n")),
		p.WriteFile(stage1.AppDiskFile(app), text))
}

func appDiskIDFile(app string) string { return filepath.Join("appsinfo", app, "treeStoreID") }

// Stage1 returns the stage1 image that the pod is to run in.
func (p *Pod) Stage1(programs Programs) (*Stage1, error) { return p.stage1(programs) }

// stage1 returns the stage1 image that was noted. Notes that are unreadable, as
// after a crash of the host, count as none: ErrNoStage1.
func (p *Pod) stage1(programs Programs) (*Stage1, error) {
	manifest, err := p.read(stage1.Stage1Manifest, appc.MaxImageManifestSize)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoStage1, err)
	}
	treeID, err := p.read(stage1TreeFile, maxTreeID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoStage1, err)
	}
	s, err := NewStage1(strings.TrimSpace(string(treeID)), manifest, programs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoStage1, err)
	}
	return s, nil
}

// Call is how to run entry points beside a pod.
type Call struct {
	Programs       Programs
	Stdout, Stderr io.Writer
	Debug          bool
	LocalConfig    string
}

// Stop asks the stage1 of a running pod to end it and returns when that has
// been asked for. The pod's UUID is added to the arguments.
func (p *Pod) Stop(ctx context.Context, call Call, args stage1.StopArgs) error {
	s, err := p.stage1(call.Programs)
	if err != nil {
		return err
	}
	entry, err := s.EntryPoint(stage1.AnnotationStop)
	if err != nil {
		return fmt.Errorf("rkt stop not implemented for pod's stage1: %w", err)
	}
	args.UUID = p.UUID
	words, unsupported := args.Args(s.Version)
	if len(unsupported) > 0 {
		return fmt.Errorf("the pod's stage1 does not support %s", strings.Join(unsupported, ", "))
	}
	fault.Point("pod.stop.before")
	err = p.start(ctx, call, entry, words, nil)
	fault.Point("pod.stop.after")
	return err
}

// Replace makes an entry point of the pod's own stage1 take this process's
// place, in the pod's directory. It returns only if that fails.
func (p *Pod) Replace(programs Programs, annotation string, args []string) error {
	s, err := p.stage1(programs)
	if err != nil {
		return err
	}
	entry, err := s.EntryPoint(annotation)
	if err != nil {
		return err
	}
	if err := p.dir.Chdir(); err != nil {
		return err
	}
	fault.Point("pod.replace.before")
	err = syscall.Exec(entry.Program, append([]string{entry.Name}, args...), os.Environ())
	return fmt.Errorf("execute %s: %w", entry.Program, err)
}

// cleanUp runs the gc entry point of an ended pod's stage1. It inherits the
// lock, so that nobody else touches the pod even if this process is killed.
func (p *Pod) cleanUp(ctx context.Context, call Call) error {
	s, err := p.stage1(call.Programs)
	if err != nil {
		return err
	}
	entry, err := s.EntryPoint(stage1.AnnotationGC)
	if err != nil {
		return err
	}
	var args []string
	if call.Debug {
		args = append(args, "--debug")
	}
	if call.LocalConfig != "" && s.Version >= 5 {
		args = append(args, "--local-config", call.LocalConfig)
	}
	fault.Point("pod.stage1-gc.before")
	err = p.start(ctx, call, entry, append(args, p.UUID), p.dir)
	fault.Point("pod.stage1-gc.after")
	return err
}

// messagesFile is where the stage1 of a pod without a terminal writes.
const messagesFile = "stage1.log"

// Background returns the command of an entry point that outlives this process:
// like that of Foreground, but in a session of its own and with nothing of the
// caller's open but the pod's lock. What it says goes to a file, see Messages.
func (p *Pod) Background(entry EntryPoint, args []string) (*exec.Cmd, error) {
	messages, err := p.root.OpenFile(messagesFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, fileMode)
	if err != nil {
		return nil, err
	}
	cmd := p.Foreground(entry, args)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, nil, messages
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

// Foreground returns the command of an entry point on the caller's stdio, with the
// pod's lock, in the working directory, which must be the pod's: found by its
// descriptor, it would be without the mounts that ShowTrees has made there since.
func (p *Pod) Foreground(entry EntryPoint, args []string) *exec.Cmd {
	const lock = 3 // the first of ExtraFiles
	return &exec.Cmd{
		Path: entry.Program, Args: append([]string{entry.Name}, args...),
		Env:   append(os.Environ(), fmt.Sprintf("%s=%d", stage1.LockFDEnv, lock)),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: []*os.File{p.dir},
	}
}

// Messages returns what the stage1 of a pod in the background has said.
func (p *Pod) Messages() ([]byte, error) { return p.read(messagesFile, maxMessages) }

// Ready tells whether the pod's apps were all started.
func (p *Pod) Ready() bool {
	_, err := p.root.Lstat(stage1.SupervisorStatus)
	return err == nil
}

// start runs a program in the pod's directory, wherever that is moved to.
func (p *Pod) start(ctx context.Context, call Call, entry EntryPoint, args []string, lock *os.File) error {
	cmd := exec.CommandContext(ctx, entry.Program, args...)
	cmd.Args[0] = entry.Name
	cmd.Dir = p.Directory()
	cmd.Stdout, cmd.Stderr = call.Stdout, call.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endGrace
	if lock != nil {
		cmd.ExtraFiles = []*os.File{lock}
		cmd.Env = append(os.Environ(), stage1.LockFDEnv+"=3")
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%s: %s", entry.Program, exit.ProcessState)
	}
	return err
}
