package client

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"time"

	"rkt/internal/guest/guestproto"
)

// entropySize is what Configure sends: twice the state of the kernel's
// generator.
const entropySize = 64

// maxVersionText bounds what a machine says it is.
const maxVersionText = 128

// Hello opens the session and returns once the agent answers. It may be called
// before the machine has booted, if the streams hold bytes until then.
func (m *Machine) Hello(ctx context.Context) (Info, error) {
	ctx, cancel := bounded(ctx, bootLimit)
	defer cancel()
	agent, number, err := m.open()
	if err != nil {
		return Info{}, err
	}
	hello := call[*guestproto.HelloRequest, *guestproto.HelloResponse]{"hello", 0, agent.Hello}
	resp, err := hello.do(ctx, m, &guestproto.HelloRequest{Version: guestproto.Version, Session: number})
	if err != nil {
		return Info{}, err
	}
	if resp.Version != guestproto.Version {
		return Info{}, m.broken("agent speaks version %d, not %d", resp.Version, guestproto.Version)
	}
	if resp.Session != number {
		return Info{}, m.broken("hello of another session")
	}
	if err := m.work(m.followEvents); err != nil {
		return Info{}, err
	}
	return Info{
		Version: resp.Version,
		Uptime:  max(0, time.Duration(resp.UptimeNano)),
	}, nil
}

// Describe returns what the machine is made of.
func (m *Machine) Describe(ctx context.Context) (Description, error) {
	agent, err := m.agent()
	if err != nil {
		return Description{}, err
	}
	describe := call[*guestproto.DescribeRequest, *guestproto.DescribeResponse]{"describe", answerLimit, agent.Describe}
	resp, err := describe.do(ctx, m, &guestproto.DescribeRequest{})
	if err != nil {
		return Description{}, err
	}
	return Description{Kernel: versionText(resp.Kernel), Systemd: versionText(resp.Systemd)}, nil
}

func versionText(s string) string {
	if len(s) > maxVersionText {
		s = s[:maxVersionText]
	}
	return printable(s)
}

// Configure sends the machine its identity, the time and entropy, and mounts
// the scratch disk.
func (m *Machine) Configure(ctx context.Context, c Config) error {
	agent, err := m.agent()
	if err != nil {
		return err
	}
	entropy := make([]byte, entropySize)
	if _, err := io.ReadFull(m.random, entropy); err != nil {
		return fmt.Errorf("entropy: %w", err)
	}
	configure := call[*guestproto.ConfigureRequest, *guestproto.ConfigureResponse]{"configure", answerLimit, agent.Configure}
	_, err = configure.do(ctx, m, &guestproto.ConfigureRequest{
		Hostname:     c.Hostname,
		MachineId:    c.MachineID,
		TimeUnixNano: m.now().UnixNano(),
		Entropy:      entropy,
		Scratch:      wireDisk(c.Scratch),
		Debug:        c.Debug,
		Links:        wireLinks(c.Links),
		Sysctls:      wireSysctls(c.Sysctls),
		Names: &guestproto.Names{
			Hosts: c.Names.Hosts, ReplaceHosts: c.Names.ReplaceHosts, ResolvConf: c.Names.ResolvConf,
		},
	})
	return err
}

// Resize sets the size of an app's terminal.
func (m *Machine) Resize(ctx context.Context, app string, s Size) error {
	return m.resize(ctx, &guestproto.ResizeRequest{App: app, Terminal: wireSize(&s)})
}

func (m *Machine) resize(ctx context.Context, req *guestproto.ResizeRequest) error {
	agent, err := m.agent()
	if err != nil {
		return err
	}
	resize := call[*guestproto.ResizeRequest, *guestproto.ResizeResponse]{"resize", answerLimit, agent.Resize}
	_, err = resize.do(ctx, m, req)
	return err
}

// Signal sends a signal to an app's main process.
func (m *Machine) Signal(ctx context.Context, app string, sig syscall.Signal) error {
	return m.signal(ctx, &guestproto.SignalRequest{App: app, Signal: int32(sig)})
}

func (m *Machine) signal(ctx context.Context, req *guestproto.SignalRequest) error {
	agent, err := m.agent()
	if err != nil {
		return err
	}
	signal := call[*guestproto.SignalRequest, *guestproto.SignalResponse]{"signal", answerLimit, agent.Signal}
	_, err = signal.do(ctx, m, req)
	return err
}

// StopApp sends an app SIGTERM, and kills it after timeout. It returns when
// the app is gone; its Exit follows on its own.
func (m *Machine) StopApp(ctx context.Context, app string, timeout time.Duration) error {
	agent, err := m.agent()
	if err != nil {
		return err
	}
	stop := call[*guestproto.StopAppRequest, *guestproto.StopAppResponse]{"stop", timeout + answerLimit, agent.StopApp}
	_, err = stop.do(ctx, m, &guestproto.StopAppRequest{App: app, TimeoutNano: int64(timeout)})
	return err
}

// Shutdown ends the machine in order: apps are stopped as by StopApp, their
// output is drained, disks are unmounted, statuses are sent and acknowledged.
// Then the session is over, at which the agent restarts the machine, which is how
// that ends by itself; but there is nothing left in it that would be lost otherwise.
// Apps' output must be read or closed meanwhile. Exits that were not yet taken from
// Exits stay there.
func (m *Machine) Shutdown(ctx context.Context, timeout time.Duration) (Goodbye, error) {
	agent, err := m.agent()
	if err != nil {
		return Goodbye{}, err
	}
	shutdown := call[*guestproto.ShutdownRequest, *guestproto.ShutdownResponse]{"shutdown", timeout + answerLimit, agent.Shutdown}
	resp, err := shutdown.do(ctx, m, &guestproto.ShutdownRequest{TimeoutNano: int64(timeout)})
	if err != nil {
		return Goodbye{}, err
	}
	goodbye, err := m.goodbye(ctx, resp.Exits)
	if err != nil {
		return Goodbye{}, err
	}
	m.part()
	m.fail(ErrClosed)
	<-m.closed
	return goodbye, nil
}
