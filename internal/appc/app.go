package appc

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
