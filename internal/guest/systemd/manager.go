// Package systemd runs transient services through systemd's private socket,
// without a bus daemon, and tells how they end.
//
// Asking systemd how a service ended once it is gone gives a wrong answer, for
// the service is forgotten by then. So a service is watched from before it is
// started, and only what systemd announces counts.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// PrivateSocket is where systemd listens for root alone.
const PrivateSocket = "/run/systemd/private"

// Errors of this package.
var (
	// ErrGone means that there is no such service any more.
	ErrGone = errors.New("service is gone")
	// ErrDisconnected means that systemd has closed the connection.
	ErrDisconnected = errors.New("systemd closed the connection")
)

const (
	destination   = "org.freedesktop.systemd1"
	managerPath   = dbus.ObjectPath("/org/freedesktop/systemd1")
	unitPath      = managerPath + "/unit/"
	managerIface  = "org.freedesktop.systemd1.Manager"
	unitIface     = "org.freedesktop.systemd1.Unit"
	serviceIface  = "org.freedesktop.systemd1.Service"
	getMethod     = "org.freedesktop.DBus.Properties.Get"
	changedSignal = "org.freedesktop.DBus.Properties.PropertiesChanged"
	jobSignal     = managerIface + ".JobRemoved"
)

// Manager is a connection to systemd.
type Manager struct {
	conn    *dbus.Conn
	object  dbus.BusObject
	stopped chan struct{}

	mu       sync.Mutex
	services map[dbus.ObjectPath]*Service
}

// Connect connects to systemd's private socket.
func Connect(socket string) (*Manager, error) {
	// Signals must come in order, and none may be dropped.
	conn, err := dbus.Dial("unix:path="+socket, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal("0")}); err != nil {
		return nil, errors.Join(fmt.Errorf("authenticate to systemd: %w", err), conn.Close())
	}
	m := &Manager{
		conn:     conn,
		object:   conn.Object(destination, managerPath),
		stopped:  make(chan struct{}),
		services: map[dbus.ObjectPath]*Service{},
	}
	signals := make(chan *dbus.Signal)
	conn.Signal(signals)
	go m.follow(signals)
	return m, nil
}

// Close ends the connection. Services go on.
func (m *Manager) Close() error {
	err := m.conn.Close()
	<-m.stopped
	return err
}

// Disconnected returns a channel that is closed when the connection has ended,
// by Close or by systemd.
func (m *Manager) Disconnected() <-chan struct{} { return m.stopped }

// patience is how long systemd may take to answer before it is asked again.
const patience = 100 * time.Millisecond

// Version returns systemd's version, and is to be the first call. A call that systemd
// has read along with the end of the authentication it looks at only when there is more
// to read, of which nobody hears: so one without an answer is followed by another.
func (m *Manager) Version() (string, error) {
	answers := make(chan *dbus.Call, 1)
	for {
		call := m.object.Go(getMethod, 0, make(chan *dbus.Call, 1), managerIface, "Version")
		go func() {
			select {
			case answers <- <-call.Done:
			default: // the answer to another one was first
			}
		}()
		select {
		case answer := <-answers:
			return version(answer)
		case <-time.After(patience):
		}
	}
}

// version returns what is in the answer to Version's call.
func version(answer *dbus.Call) (string, error) {
	var v dbus.Variant
	if err := answer.Store(&v); err != nil {
		return "", fmt.Errorf("ask systemd for its version: %w", err)
	}
	version, ok := v.Value().(string)
	if !ok {
		return "", errors.New("ask systemd for its version: not a text")
	}
	return version, nil
}

// Property is one setting of a transient service.
type Property struct {
	Name  string
	Value any
}

// Start starts a transient service and waits until its program was executed,
// as far as its Type makes systemd wait for that. The error is a *StartError
// if systemd tried and the program was not executed; by then nothing of the
// service is left.
func (m *Manager) Start(ctx context.Context, name string, properties []Property) (*Service, error) {
	s, err := m.watch(name)
	if err != nil {
		return nil, err
	}
	wire := make([]wireProperty, 0, len(properties))
	for _, p := range properties {
		wire = append(wire, wireProperty{p.Name, dbus.MakeVariant(p.Value)})
	}
	if err := m.call(ctx, "StartTransientUnit", name, "fail", wire, []auxiliary{}); err != nil {
		m.forget(s)
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	select {
	case <-s.decided:
	case <-m.stopped:
		return nil, ErrDisconnected
	case <-ctx.Done():
		return nil, fmt.Errorf("start %s: %w", name, ctx.Err())
	}
	if s.startResult() == "done" {
		return s, nil
	}
	select { // what runs after a failure, too
	case <-s.dead:
	case <-m.stopped:
	case <-ctx.Done():
	}
	if err := s.startError(); err != nil {
		return nil, err
	}
	return s, nil
}

// Stop asks a service to end. It doesn't wait for that.
func (m *Manager) Stop(ctx context.Context, s *Service) error {
	return m.call(ctx, "StopUnit", s.name, "replace")
}

// Whom a signal is for.
const (
	Main = "main" // the service's main process
	All  = "all"  // all its processes
)

// Kill sends a signal to processes of a service.
func (m *Manager) Kill(ctx context.Context, s *Service, whom string, signal int32) error {
	return m.call(ctx, "KillUnit", s.name, whom, signal)
}

type wireProperty struct {
	Name  string
	Value dbus.Variant
}

// auxiliary is a unit to be made along with a transient one; never used.
type auxiliary struct {
	Name       string
	Properties []wireProperty
}

func (m *Manager) call(ctx context.Context, method string, args ...any) error {
	err := m.object.CallWithContext(ctx, managerIface+"."+method, 0, args...).Err
	var refused dbus.Error
	if errors.As(err, &refused) && refused.Name == "org.freedesktop.systemd1.NoSuchUnit" {
		return ErrGone
	}
	return err
}

// watch registers a service before it exists, so that nothing is missed.
func (m *Manager) watch(name string) (*Service, error) {
	s := &Service{
		name:    name,
		path:    unitPath + dbus.ObjectPath(escape(name)),
		decided: make(chan struct{}),
		exited:  make(chan struct{}),
		cleared: make(chan struct{}),
		handled: make(chan struct{}),
		dead:    make(chan struct{}),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.services[s.path] != nil {
		return nil, fmt.Errorf("start %s: it is there already", name)
	}
	m.services[s.path] = s
	return s, nil
}

func (m *Manager) forget(s *Service) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.services, s.path)
}

// follow hands signals to the services they are about.
func (m *Manager) follow(signals <-chan *dbus.Signal) {
	defer close(m.stopped)
	for signal := range signals {
		switch signal.Name {
		case changedSignal:
			m.changed(signal)
		case jobSignal:
			m.jobRemoved(signal)
		}
	}
}

func (m *Manager) changed(signal *dbus.Signal) {
	var iface string
	var properties map[string]dbus.Variant
	var invalidated []string
	if err := dbus.Store(signal.Body, &iface, &properties, &invalidated); err != nil {
		return
	}
	m.mu.Lock()
	s := m.services[signal.Path]
	m.mu.Unlock()
	if s != nil && s.update(iface, properties) {
		m.forget(s)
	}
}

func (m *Manager) jobRemoved(signal *dbus.Signal) {
	var id uint32
	var job dbus.ObjectPath
	var unit, result string
	if err := dbus.Store(signal.Body, &id, &job, &unit, &result); err != nil {
		return
	}
	m.mu.Lock()
	s := m.services[unitPath+dbus.ObjectPath(escape(unit))]
	m.mu.Unlock()
	if s != nil && s.decide(result) {
		m.forget(s)
	}
}

// escape makes a unit's name an element of an object's path.
func escape(name string) string {
	const hex = "0123456789abcdef"
	out := make([]byte, 0, len(name)+16)
	for i, c := range []byte(name) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		if letter || digit && i > 0 {
			out = append(out, c)
			continue
		}
		out = append(out, '_', hex[c>>4], hex[c&15])
	}
	return string(out)
}
