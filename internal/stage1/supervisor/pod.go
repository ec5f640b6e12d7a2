package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rkt/internal/appc"
	"rkt/internal/fault"
	"rkt/internal/linux"
	"rkt/internal/network"
	"rkt/internal/stage1"
	"rkt/internal/stage1/applog"
)

const (
	// cgroupFile lists the directories of the pod's control group.
	cgroupFile = "cgroup"
	// maxFile bounds what is read of any file in the pod's directory.
	maxFile = 16 << 20
)

// pod is what stage0 left in the working directory.
type pod struct {
	uuid  string
	apps  []appc.RuntimeApp
	disks []stage1.AppDisk // one for each app
	id    int              // the machine's uid and gid
	// diskSize is that of what takes the apps' writes, 0 if nobody said one.
	diskSize stage1.DiskSize
	overlay  bool // apps' roots need not be copies of their images
	lock     *os.File
	ports    []network.PortMapping // of the host
}

// loadPod reads the pod in the working directory.
func loadPod(uuid string) (*pod, error) {
	lock, err := lockFile()
	if err != nil {
		return nil, err
	}
	b, err := readFile(stage1.PodManifestFile)
	if err != nil {
		return nil, err
	}
	manifest, err := appc.ParsePodManifest(b)
	if err != nil {
		return nil, fmt.Errorf("pod manifest: %w", err)
	}
	if len(manifest.Apps) == 0 {
		return nil, errors.New("pod must contain at least one application")
	}
	p := &pod{uuid: uuid, apps: manifest.Apps, lock: lock}
	for i := range p.apps {
		disk, err := loadApp(&p.apps[i])
		if err != nil {
			return nil, fmt.Errorf("app %q: %w", p.apps[i].Name, err)
		}
		p.disks = append(p.disks, disk)
	}
	if p.ports, err = forwardedPorts(manifest); err != nil {
		return nil, err
	}
	if p.diskSize, err = loadDiskSize(); err != nil {
		return nil, err
	}
	if p.overlay, err = exists(stage1.OverlayFile); err != nil {
		return nil, err
	}
	p.id, err = loadID()
	return p, err
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func loadDiskSize() (stage1.DiskSize, error) {
	b, err := readFile(stage1.DiskSizeFile)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return stage1.ParseDiskSize(b)
}

// loadApp completes an app from its image's manifest and reads where its disk
// is.
func loadApp(app *appc.RuntimeApp) (stage1.AppDisk, error) {
	var disk stage1.AppDisk
	name := string(app.Name)
	if app.App == nil {
		b, err := readFile(stage1.AppManifestFile(name))
		if err != nil {
			return disk, err
		}
		manifest, err := appc.ParseImageManifest(b)
		if err != nil {
			return disk, fmt.Errorf("image manifest: %w", err)
		}
		if manifest.App == nil {
			return disk, errors.New("neither the pod's manifest nor the image's has an app section")
		}
		app.App = manifest.App
	}
	b, err := readFile(stage1.AppDiskFile(name))
	if err != nil {
		return disk, err
	}
	if err := json.Unmarshal(b, &disk); err != nil {
		return disk, fmt.Errorf("%s: %w", stage1.AppDiskFile(name), err)
	}
	return disk, nil
}

// lockFile returns the descriptor that holds the pod's lock. From here on only
// the machine's processes inherit it.
func lockFile() (*os.File, error) {
	fd, err := strconv.Atoi(os.Getenv(stage1.LockFDEnv))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", stage1.LockFDEnv, err)
	}
	if !linux.IsOpen(fd) {
		return nil, fmt.Errorf("%s: descriptor %d is not open", stage1.LockFDEnv, fd)
	}
	if err := linux.CloseAllOnExec(); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "pod"), nil
}

func loadID() (int, error) {
	b, err := readFile(stage1.UIDFile)
	if err != nil {
		return 0, err
	}
	id, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || id <= 0 {
		return 0, fmt.Errorf("%s: %q is not a uid for a machine", stage1.UIDFile, b)
	}
	return id, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s: more than %d bytes", path, maxFile)
	}
	return b, err
}

// writeFile replaces a file of the pod in one step.
func writeFile(path string, content []byte) error {
	temporary := temporaryName(path)
	if err := overwrite(temporary, content); err != nil {
		return err
	}
	fault.Point("run." + path + ".before-rename")
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	fault.Point("run." + path + ".after-rename")
	return nil
}

func temporaryName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
}

// overwrite writes a file in the room that it has already, if any.
func overwrite(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Truncate(int64(len(content))), f.Close())
}

// reserveStatus takes the room for an app's status before the apps can fill
// the host's disk.
func reserveStatus(app string) error {
	return overwrite(temporaryName(statusFile(app)), []byte("reserved\n"))
}

func statusFile(app string) string { return filepath.Join(stage1.StatusDir, app) }

// writePid says that the pod has started. The file's time is the start time,
// so it is written once.
func writePid(pid int) error {
	return writeFile(stage1.PidFile, fmt.Appendf(nil, "%d\n", pid))
}

// writeStatus records how an app ended.
func writeStatus(app string, status int) error {
	return writeFile(statusFile(app), fmt.Appendf(nil, "%d\n", status))
}

// markReady says that all apps were started.
func markReady() error {
	err := os.Symlink("ready", stage1.SupervisorStatus)
	fault.Point("run.ready")
	return err
}

// makeRoom makes the directories that the supervisor writes to, and what it
// must be able to write at the end.
func (p *pod) makeRoom() error {
	for _, dir := range []string{stage1.StatusDir, stage1.EnvDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, app := range p.apps {
		if err := reserveStatus(string(app.Name)); err != nil {
			return err
		}
	}
	return nil
}

// openLogs starts a log for each app.
func (p *pod) openLogs() (map[string]*applog.Log, error) {
	logs := make(map[string]*applog.Log)
	for _, app := range p.apps {
		name := string(app.Name)
		log, err := applog.Create(stage1.LogDir(name), applog.DefaultLimits(), time.Now)
		if err != nil {
			return nil, err
		}
		logs[name] = log
	}
	return logs, nil
}
