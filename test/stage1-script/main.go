// Stage1-script is a stage1 without isolation for tests of rkt itself: real
// processes, real locks, and apps that are scripts of three words. An app's exec
// is one of
//
//	exit N         end with status N
//	wait N         end with status N when the pod is stopped
//	hold N         like wait, but with a child that holds the pod's lock, too
//
// It is strict about what rkt leaves in the pod's directory and says what it
// was given.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"rkt/internal/appc"
	"rkt/internal/linux"
	"rkt/internal/stage1"
)

func main() {
	entries := map[string]func([]string) (int, error){"run": run, "stop": stop, "gc": gc, "hold": hold}
	entry, ok := entries[filepath.Base(os.Args[0])]
	if !ok {
		fmt.Fprintln(os.Stderr, "stage1-script: unknown entry point", os.Args[0])
		os.Exit(254)
	}
	status, err := entry(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "stage1:", err)
		os.Exit(254)
	}
	os.Exit(status)
}

// run is the supervisor.
func run(words []string) (int, error) {
	args, err := stage1.ParseRunArgs(words)
	if err != nil {
		return 0, err
	}
	if err := checkLock(); err != nil {
		return 0, err
	}
	manifest, err := load()
	if err != nil {
		return 0, err
	}
	fmt.Println("stage1 run", strings.Join(words[:len(words)-1], " "))
	if err := writeFile(stage1.IsolationFile, "none\n"); err != nil {
		return 0, err
	}
	// Who knows the process may stop it.
	stopped, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	if err := writeFile(stage1.PidFile, fmt.Sprintln(os.Getpid())); err != nil {
		return 0, err
	}
	for _, app := range manifest.Apps {
		fmt.Println("app", app.Name, "exec", strings.Join(app.App.Exec, " "))
	}
	for _, app := range manifest.Apps {
		if len(app.App.Exec) > 0 && app.App.Exec[0] == "hold" {
			if err := startHolder(args.UUID); err != nil {
				return 0, err
			}
		}
	}
	if err := os.Symlink("ready", stage1.SupervisorStatus); err != nil {
		return 0, err
	}
	return play(manifest.Apps, stopped.Done())
}

// play ends the apps and returns the status of the first that failed.
func play(apps []appc.RuntimeApp, stopped <-chan struct{}) (first int, err error) {
	for _, app := range apps {
		words := app.App.Exec
		if len(words) != 2 {
			return 0, fmt.Errorf("app %q: %q is no script", app.Name, words)
		}
		status, err := strconv.Atoi(words[1])
		if err != nil {
			return 0, err
		}
		switch words[0] {
		case "exit":
		case "hold", "wait":
			<-stopped
		default:
			return 0, fmt.Errorf("app %q: %q is no script", app.Name, words)
		}
		if err := writeFile(filepath.Join(stage1.StatusDir, string(app.Name)), fmt.Sprintln(status)); err != nil {
			return 0, err
		}
		if first == 0 {
			first = status
		}
	}
	return first, nil
}

// startHolder starts a process of the pod that outlives this one.
func startHolder(uuid string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, uuid)
	cmd.Args[0] = "hold"
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(lockFD()), "lock")}
	if err := cmd.Start(); err != nil {
		return err
	}
	return writeFile("holder", fmt.Sprintln(cmd.Process.Pid))
}

// hold keeps the lock until it is killed.
func hold([]string) (int, error) {
	for {
		_ = unix.Pause() // a signal that doesn't kill is no reason to end
	}
}

func stop(words []string) (int, error) {
	how := syscall.SIGTERM
	if words[0] == "--force" {
		how = syscall.SIGKILL
	}
	text, err := os.ReadFile(stage1.PidFile)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, err
	}
	return 0, syscall.Kill(pid, how)
}

// gc ends what is left of the pod. It fails as long as the environment says so.
func gc(words []string) (int, error) {
	if os.Getenv("STAGE1_GC_FAILS") != "" {
		return 0, errors.New("gc was told to fail")
	}
	if err := checkLock(); err != nil {
		return 0, err
	}
	fmt.Println("stage1 gc", strings.Join(words[:len(words)-1], " "))
	text, err := os.ReadFile("holder")
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, err
	}
	return 0, syscall.Kill(pid, syscall.SIGKILL)
}

func lockFD() int {
	fd, err := strconv.Atoi(os.Getenv(stage1.LockFDEnv))
	if err != nil {
		return -1
	}
	return fd
}

// checkLock makes sure that this process was given the pod's lock.
func checkLock() error {
	var inherited, here unix.Stat_t
	if err := errors.Join(unix.Fstat(lockFD(), &inherited), unix.Stat(".", &here)); err != nil {
		return fmt.Errorf("the pod's lock: %w", err)
	}
	if inherited.Ino != here.Ino || inherited.Dev != here.Dev {
		return errors.New("the lock is not that of the working directory")
	}
	dir, err := os.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	free, err := linux.TryLockShared(dir)
	if free {
		return errors.New("nobody holds the pod's lock")
	}
	return err
}

// load reads the pod and checks all that rkt promises about it.
func load() (*appc.PodManifest, error) {
	text, err := os.ReadFile(stage1.PodManifestFile)
	if err != nil {
		return nil, err
	}
	manifest, err := appc.ParsePodManifest(text)
	if err != nil {
		return nil, err
	}
	for i := range manifest.Apps {
		app := &manifest.Apps[i]
		if err := checkApp(app); err != nil {
			return nil, fmt.Errorf("app %q: %w", app.Name, err)
		}
	}
	for _, file := range []string{stage1.UIDFile, stage1.Stage1Manifest, "stage1TreeStoreID", "pod-created"} {
		if _, err := os.Stat(file); err != nil {
			return nil, err
		}
	}
	return manifest, nil
}

// checkApp checks what an app comes with. What the pod's manifest does not say of
// it the image's does.
func checkApp(app *appc.RuntimeApp) error {
	name := string(app.Name)
	text, err := os.ReadFile(stage1.AppManifestFile(name))
	if err != nil {
		return err
	}
	image, err := appc.ParseImageManifest(text)
	if err != nil {
		return err
	}
	if app.App == nil {
		app.App = image.App
	}
	if text, err = os.ReadFile(stage1.AppDiskFile(name)); err != nil {
		return err
	}
	var disk stage1.AppDisk
	if err := json.Unmarshal(text, &disk); err != nil {
		return err
	}
	info, err := os.Stat(disk.Path)
	if err != nil {
		return err
	}
	if info.Size() != disk.Size || disk.Filesystem == "" || len(disk.SHA256) != 64 {
		return fmt.Errorf("the disk is not as described: %+v", disk)
	}
	return nil
}

func writeFile(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o640); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
