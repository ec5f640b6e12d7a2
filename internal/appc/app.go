package appc

import (
	"errors"
	"fmt"
	"strings"
)

// App says how to run the program of an image.
type App struct {
	Exec              []string          `json:"exec"`
	EventHandlers     []EventHandler    `json:"eventHandlers,omitempty"`
	User              string            `json:"user"`
	Group             string            `json:"group"`
	SupplementaryGIDs []int             `json:"supplementaryGIDs,omitempty"`
	WorkingDirectory  string            `json:"workingDirectory,omitempty"`
	Environment       Environment       `json:"environment,omitempty"`
	MountPoints       []MountPoint      `json:"mountPoints,omitempty"`
	Ports             []Port            `json:"ports,omitempty"`
	Isolators         Isolators         `json:"isolators,omitempty"`
	UserAnnotations   map[string]string `json:"userAnnotations,omitempty"`
	UserLabels        map[string]string `json:"userLabels,omitempty"`
}

// EventHandler is a program to run at an event of the app's life.
type EventHandler struct {
	Name string   `json:"name"`
	Exec []string `json:"exec"`
}

// Events that an EventHandler may name.
const (
	EventPreStart = "pre-start"
	EventPostStop = "post-stop"
)

// EnvironmentVariable is one variable of an app's environment.
type EnvironmentVariable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Environment is the environment of an app.
type Environment []EnvironmentVariable

// Get returns the value of the variable name.
func (e Environment) Get(name string) (string, bool) {
	for _, v := range e {
		if v.Name == name {
			return v.Value, true
		}
	}
	return "", false
}

// Set gives the variable name a value, in place if it exists.
func (e *Environment) Set(name, value string) {
	for i := range *e {
		if (*e)[i].Name == name {
			(*e)[i].Value = value
			return
		}
	}
	*e = append(*e, EnvironmentVariable{Name: name, Value: value})
}

// MountPoint is a directory of the app that wants a volume.
type MountPoint struct {
	Name     ACName `json:"name"`
	Path     string `json:"path"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// Port is a port, or count of them from port on, that the app listens on.
// Count is 1 if the manifest names none.
type Port struct {
	Name            ACName `json:"name"`
	Protocol        string `json:"protocol"`
	Port            uint   `json:"port"`
	Count           uint   `json:"count"`
	SocketActivated bool   `json:"socketActivated"`
}

const maxPort = 65535

func (a *App) setDefaults() {
	for i := range a.Ports {
		a.Ports[i].setDefaults()
	}
	a.Isolators.compact()
}

func (p *Port) setDefaults() {
	if p.Count == 0 {
		p.Count = 1
	}
}

func (a *App) validate() error {
	var dirErr error
	if a.WorkingDirectory != "" {
		dirErr = checkPath(a.WorkingDirectory)
	}
	return first(
		checkExec(a.Exec),
		each("eventHandlers", a.EventHandlers, EventHandler.validate),
		unique("eventHandlers", a.EventHandlers, func(h EventHandler) string { return h.Name }),
		at("user", checkOwner(a.User)),
		at("group", checkOwner(a.Group)),
		each("supplementaryGIDs", a.SupplementaryGIDs, checkGID),
		at("workingDirectory", dirErr),
		each("environment", a.Environment, EnvironmentVariable.validate),
		each("mountPoints", a.MountPoints, MountPoint.validate),
		unique("mountPoints", a.MountPoints, func(m MountPoint) string { return string(m.Name) }),
		each("ports", a.Ports, Port.validate),
		unique("ports", a.Ports, func(p Port) string { return string(p.Name) }),
		a.Isolators.validate(),
	)
}

// checkExec checks a command line; an empty one is an app that is told only
// later what to run.
func checkExec(exec []string) error {
	if len(exec) > 0 && exec[0] == "" {
		return at("exec[0]", errors.New("must not be empty"))
	}
	return each("exec", exec, checkText)
}

func checkOwner(s string) error {
	if s == "" {
		return errors.New("missing")
	}
	if strings.ContainsAny(s, "\x00\n:") {
		return fmt.Errorf("%q is neither a name, nor a number, nor a path", s)
	}
	return nil
}

func checkGID(gid int) error {
	if gid < 0 || int64(gid) >= 1<<32-1 {
		return fmt.Errorf("%d is not a group id", gid)
	}
	return nil
}

func (h EventHandler) validate() error {
	if h.Name != EventPreStart && h.Name != EventPostStop {
		return at("name", fmt.Errorf("unrecognized eventHandler: %s", h.Name))
	}
	if len(h.Exec) == 0 {
		return at("exec", errors.New("must not be empty"))
	}
	return checkExec(h.Exec)
}

func (v EnvironmentVariable) validate() error {
	return first(at("name", CheckEnvironmentName(v.Name)), at("value", checkText(v.Value)))
}

// CheckEnvironmentName checks the name of an environment variable: letters,
// digits, dots, dashes and underscores, the first no digit.
func CheckEnvironmentName(name string) error {
	if name == "" {
		return errors.New("missing")
	}
	for i, r := range name {
		digit := '0' <= r && r <= '9'
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_' || r == '.' || r == '-'
		if !letter && (!digit || i == 0) {
			return fmt.Errorf("%q is not the name of an environment variable", name)
		}
	}
	return nil
}

func (m MountPoint) validate() error {
	return first(at("name", checkACName(m.Name)), at("path", checkPath(m.Path)))
}

func (p Port) validate() error {
	var protocolErr, portErr error
	if p.Protocol == "" {
		protocolErr = errors.New("missing")
	} else {
		_, protocolErr = NewACName(p.Protocol)
	}
	if p.Port < 1 || p.Port > maxPort || p.Count > maxPort || p.Port+p.Count-1 > maxPort {
		portErr = fmt.Errorf("must be from 1 to %d, with count", maxPort)
	}
	return first(at("name", checkACName(p.Name)), at("protocol", protocolErr), at("port", portErr))
}
