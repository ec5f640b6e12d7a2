package cli

import (
	"time"

	"rkt/internal/pod"
	"rkt/internal/stage1"
)

// podView is a pod as programs see it. Times are in seconds, those of apps in
// nanoseconds, as ever.
type podView struct {
	Name            string            `json:"name"`
	State           pod.State         `json:"state"`
	Networks        []stage1.NetInfo  `json:"networks,omitempty"`
	AppNames        []string          `json:"app_names,omitempty"`
	Apps            []appView         `json:"apps,omitempty"`
	CreatedAt       *int64            `json:"created_at,omitempty"`
	StartedAt       *int64            `json:"started_at,omitempty"`
	Pid             int               `json:"pid,omitempty"`
	DiskCheck       string            `json:"disk_check,omitempty"`
	Isolation       string            `json:"isolation,omitempty"`
	UserAnnotations map[string]string `json:"user_annotations,omitempty"`
	UserLabels      map[string]string `json:"user_labels,omitempty"`
}

// appView is an app as programs see it.
type appView struct {
	Name            string            `json:"name"`
	State           string            `json:"state"`
	CreatedAt       *int64            `json:"created_at,omitempty"`
	StartedAt       *int64            `json:"started_at,omitempty"`
	FinishedAt      *int64            `json:"finished_at,omitempty"`
	ExitCode        *int              `json:"exit_code,omitempty"`
	ImageID         string            `json:"image_id"`
	UserAnnotations map[string]string `json:"user_annotations,omitempty"`
	UserLabels      map[string]string `json:"user_labels,omitempty"`
}

// viewPod makes a podView of what is known of a pod.
func viewPod(info *pod.Info) podView {
	view := podView{
		Name:            info.UUID,
		State:           info.State,
		Networks:        info.Networks,
		CreatedAt:       stamp(info.Created, time.Time.Unix),
		StartedAt:       stamp(info.Started, time.Time.Unix),
		Pid:             info.Pid,
		DiskCheck:       info.DiskCheck,
		Isolation:       info.Isolation,
		UserAnnotations: info.UserAnnotations,
		UserLabels:      info.UserLabels,
	}
	for _, app := range info.Apps {
		view.AppNames = append(view.AppNames, string(app.Name))
		view.Apps = append(view.Apps, appView{
			Name:            string(app.Name),
			State:           appState(info, app),
			CreatedAt:       stamp(info.Created, time.Time.UnixNano),
			StartedAt:       stamp(info.Started, time.Time.UnixNano),
			FinishedAt:      stamp(app.Finished, time.Time.UnixNano),
			ExitCode:        app.ExitCode,
			ImageID:         string(app.Image.ID),
			UserAnnotations: app.UserAnnotations,
			UserLabels:      app.UserLabels,
		})
	}
	return view
}

func stamp(t time.Time, unit func(time.Time) int64) *int64 {
	if t.IsZero() {
		return nil
	}
	n := unit(t)
	return &n
}

// appState says what an app is doing. One without a status whose pod has ended
// was lost with the pod.
func appState(info *pod.Info, app pod.App) string {
	switch {
	case app.ExitCode != nil:
		return "exited"
	case info.State == pod.Running && !info.Started.IsZero():
		return "running"
	case info.State.Finished():
		return "unknown"
	}
	return "created"
}
