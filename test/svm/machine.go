package main

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
	"syscall"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// Names of the ports between the machine and us.
const (
	outputPort = "svm.output" // what the command says
	resultPort = "svm.result" // a result, at the end
)

// result is how the command ended.
type result struct {
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"` // why there was none
}

// maxResult bounds what is read of a result.
const maxResult = 64 << 10

// Descriptors that QEMU is started with.
const (
	fdOutput = 3 + iota
	fdResult
)

// machine is the machine with SVM.
type machine struct {
	dir     string // for files
	options options
}

func (m machine) kernel() string    { return filepath.Join(m.dir, "vmlinux") }
func (m machine) initramfs() string { return filepath.Join(m.dir, "initramfs") }
func (m machine) console() string   { return filepath.Join(m.dir, "console") }

// run runs the machine to its end and returns the command's exit status.
func (m machine) run(ctx context.Context) (int, error) {
	output, theirOutput, err := socketPair()
	if err != nil {
		return statusError, err
	}
	defer output.Close()
	report, theirReport, err := socketPair()
	if err != nil {
		return statusError, err
	}
	defer report.Close()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", m.arguments()...)
	cmd.ExtraFiles = []*os.File{theirOutput, theirReport}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return statusError, err
	}
	theirOutput.Close()
	theirReport.Close()
	text := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(report, maxResult)) // nothing, if the machine is lost
		text <- b
	}()
	_, copyErr := io.Copy(os.Stdout, output)
	err = errors.Join(copyErr, cmd.Wait())
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return statusError, m.lost(err)
	}
	return m.result(<-text)
}

// result reads what the machine said at its end.
func (m machine) result(text []byte) (int, error) {
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		return statusError, m.lost(errors.New("the machine ended without a word"))
	}
	if r.Error != "" {
		return statusError, m.lost(errors.New(r.Error))
	}
	return r.Status, nil
}

// lost adds the last words of the machine's kernel to an error.
func (m machine) lost(err error) error {
	const most = 4 << 10
	b, readErr := os.ReadFile(m.console())
	if readErr != nil || len(b) == 0 {
		return err
	}
	return fmt.Errorf("%w; its kernel says:\n%s", err, b[max(0, len(b)-most):])
}

// arguments returns QEMU's. One processor: emulated ones in parallel make the
// machines inside slower. The small board boots fastest; PCI is there because
// the distribution's kernel finds devices by it.
func (m machine) arguments() []string {
	console := "file:" + m.console()
	if m.options.console {
		console = "file:/dev/stderr"
	}
	return []string{
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-accel", "tcg,thread=multi", "-machine", "microvm,acpi=on,pcie=on,rtc=on",
		"-cpu", "max", "-smp", "1", "-m", strconv.Itoa(m.options.memoryMiB),
		"-kernel", m.kernel(), "-initrd", m.initramfs(),
		"-append", m.kernelParameters(),
		"-serial", console,
		"-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
		"-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
		"-device", "virtio-serial-pci,max_ports=3",
		"-chardev", fmt.Sprintf("socket,id=output,fd=%d", fdOutput),
		"-device", "virtserialport,chardev=output,name=" + outputPort,
		"-chardev", fmt.Sprintf("socket,id=result,fd=%d", fdResult),
		"-device", "virtserialport,chardev=result,name=" + resultPort,
		"-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng",
	}
}

// kernelParameters say how fast the processor's counter runs: on a busy host
// the kernel fails to find out, and stands still without it.
func (m machine) kernelParameters() string {
	return "console=ttyS0 reboot=t panic=-1 mitigations=off tsc=reliable no_timer_check noreplace-smp " +
		"cryptomgr.notests rcupdate.rcu_expedited=1 loglevel=4 tsc_early_khz=" +
		strconv.FormatUint(linux.NewTSCMeter().Kilohertz(), 10)
}

func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs"), nil
}
