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
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// Names of the ports between the machine and us.
const (
	outputPort = "svm.output" // what the command says
	resultPort = "svm.result" // a result, at the end
	pulsePort  = "svm.pulse"  // a byte at every pulse, and back
)

// The machine answers a byte at every pulse, and may be silent for so long. Other
// work on this host slows it down; minutes without an answer are a processor that
// gets no interrupts.
//
// The pulse is more than a question. QEMU sets and clears the bits of a processor's
// pending interrupts in VMRUN and #VMEXIT without a lock (target/i386, svm_helper.c of
// 7.2), and an interrupt that comes at that moment can be lost. If it was the timer's
// and the machine idles, nothing else would come, ever. Whatever comes has QEMU look
// again for all that is due.
const (
	pulse  = time.Second
	silent = 3 * time.Minute
)

// errStill says that the machine stood still: a fault of its emulation, whatever
// the command does. No command could keep the machine's first program from
// running for so long.
var errStill = fmt.Errorf("the machine stood still for %s", silent)

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
	fdPulse
)

// machine is the machine with SVM.
type machine struct {
	dir     string // for files
	options options
}

func (m machine) kernel() string    { return filepath.Join(m.dir, "vmlinux") }
func (m machine) initramfs() string { return filepath.Join(m.dir, "initramfs") }
func (m machine) console() string   { return filepath.Join(m.dir, "console") }

// attempts is how often the machine may be started because it stood still.
const attempts = 3

// runAgain is run, anew if the machine stood still.
func (m machine) runAgain(ctx context.Context) (status int, err error) {
	for i := range attempts {
		status, err = m.run(ctx)
		if !errors.Is(err, errStill) || i == attempts-1 {
			break
		}
		fmt.Fprintf(os.Stderr, "svm: %v\nsvm: that is the emulation's fault: beginning anew\n", err)
	}
	return status, err
}

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
	beats, theirBeats, err := socketPair()
	if err != nil {
		return statusError, err
	}
	defer beats.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", m.arguments()...)
	cmd.ExtraFiles = []*os.File{theirOutput, theirReport, theirBeats}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return statusError, err
	}
	theirOutput.Close()
	theirReport.Close()
	theirBeats.Close()
	go beat(ctx, beats)
	go watch(beats, func() { cancel(errStill) })
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

// beat sends a byte at every pulse, until the context's or the machine's end.
func beat(ctx context.Context, to io.Writer) {
	ticker := time.NewTicker(pulse)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := to.Write([]byte{0}); err != nil {
			return
		}
	}
}

// watch calls still once if no byte has come from beats for too long, and returns
// when beats end.
func watch(beats io.Reader, still func()) {
	timer := time.AfterFunc(silent, still)
	defer timer.Stop()
	one := make([]byte, 1)
	for {
		if _, err := beats.Read(one); err != nil {
			return
		}
		timer.Reset(silent)
	}
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
		"-device", "virtio-serial-pci,max_ports=4",
		"-chardev", fmt.Sprintf("socket,id=output,fd=%d", fdOutput),
		"-device", "virtserialport,chardev=output,name=" + outputPort,
		"-chardev", fmt.Sprintf("socket,id=result,fd=%d", fdResult),
		"-device", "virtserialport,chardev=result,name=" + resultPort,
		"-chardev", fmt.Sprintf("socket,id=pulse,fd=%d", fdPulse),
		"-device", "virtserialport,chardev=pulse,name=" + pulsePort,
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
