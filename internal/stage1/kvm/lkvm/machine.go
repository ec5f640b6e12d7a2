package lkvm

import (
	"context"
	"io"
	"os"
	"sync"

	"rkt/internal/guest/client"
	"rkt/internal/stage1"
	"rkt/internal/stage1/kvm"
	"rkt/internal/stage1/supervisor"
	"rkt/internal/stage1/words"
)

// machine is one running lkvm.
type machine struct {
	process *os.Process
	agent   *agent
	disks   *disks
	input   *os.File

	words   *words.Tail
	readers sync.WaitGroup
	done    chan struct{}
}

func (m *machine) wait() {
	_, _ = m.process.Wait()
	// What it said last has been written by now; let it be read.
	m.readers.Wait()
	m.close()
	close(m.done)
}

// close gives back what the machine needed. There is nobody to tell of an error,
// and nothing to do about it.
func (m *machine) close() {
	if m.agent != nil {
		m.agent.close()
	}
	if m.disks != nil {
		_ = m.disks.close()
	}
	if m.input != nil {
		_ = m.input.Close()
	}
}

// Pid is lkvm's process on the host.
func (m *machine) Pid() int { return m.process.Pid }

// Streams returns the connections that the agent will make.
func (m *machine) Streams() (control, data io.ReadWriteCloser) { return m.agent.control, m.agent.data }

// Done is closed when lkvm has ended.
func (m *machine) Done() <-chan struct{} { return m.done }

// Kill ends lkvm at once. The error of a process that has ended is no news.
func (m *machine) Kill() { _ = m.process.Kill() }

// LastWords returns the last line of lkvm's messages or the guest's console.
func (m *machine) LastWords() string { return m.words.Last("") }

// Attach says where the disks are, which the machine was started with: the
// kernel names them in their order.
func (m *machine) Attach(_ context.Context, apps []stage1.AppDisk) (supervisor.Disks, error) {
	const first = 'b' // a is the root
	var disks supervisor.Disks
	for n, app := range apps {
		verity, err := kvm.VerityOf(app)
		if err != nil {
			return disks, err
		}
		disks.Apps = append(disks.Apps, client.Disk{
			Device: "/dev/vd" + string(rune(first+n)), Filesystem: app.Filesystem, ReadOnly: true, Verity: verity,
		})
	}
	disks.Scratch = &client.Disk{Device: "/dev/vd" + string(rune(first+len(apps))), Filesystem: "ext4"}
	return disks, nil
}
