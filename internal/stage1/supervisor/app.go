package supervisor

import (
	"slices"

	"rkt/internal/appc"
	"rkt/internal/guest/client"
	"rkt/internal/seccomp"
)

// defaultEnvironment is what an app gets of names that nobody set.
// Source: rkt 1.30; PATH and HOME also appc spec 0.8.11, "execution
// environment".
func defaultEnvironment() []client.Variable {
	return []client.Variable{
		{Name: "PATH", Value: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		{Name: "SHELL", Value: "/bin/sh"},
		{Name: "USER", Value: "root"},
		{Name: "LOGNAME", Value: "root"},
		{Name: "HOME", Value: "/root"},
	}
}

// environment returns an app's variables: those of its manifest, the defaults
// for names that are missing, and what nobody can override: the app's name, and
// where to ask the metadata service if the pod is registered.
func environment(app appc.RuntimeApp, metadataURL string) []client.Variable {
	const nameVariable, urlVariable = "AC_APP_NAME", "AC_METADATA_URL"
	var env []client.Variable
	for _, v := range app.App.Environment {
		if v.Name != nameVariable && (v.Name != urlVariable || metadataURL == "") {
			env = append(env, client.Variable{Name: v.Name, Value: v.Value})
		}
	}
	for _, v := range defaultEnvironment() {
		missing := !slices.ContainsFunc(env, func(have client.Variable) bool { return have.Name == v.Name })
		if missing {
			env = append(env, v)
		}
	}
	if metadataURL != "" {
		env = append(env, client.Variable{Name: urlVariable, Value: metadataURL})
	}
	return append(env, client.Variable{Name: nameVariable, Value: string(app.Name)})
}

// guestApp translates an app of the pod's manifest for the agent.
func (r *run) guestApp(app appc.RuntimeApp, disk client.Disk) (client.App, error) {
	capabilities, err := app.App.Isolators.Capabilities()
	if err != nil {
		return client.App{}, err
	}
	g := client.App{
		Name:             string(app.Name),
		Disk:             disk,
		Exec:             app.App.Exec,
		User:             app.App.User,
		Group:            app.App.Group,
		WorkingDirectory: app.App.WorkingDirectory,
		Environment:      environment(app, r.metadata.url),
		ReadOnlyRootFS:   app.ReadOnlyRootFS,
		Capabilities:     capabilities,
		AllCapabilities:  r.args.DisableCapabilities,
		NoNewPrivileges:  app.App.Isolators.NoNewPrivileges(),
		ProtectPaths:     !r.args.DisablePaths,
	}
	if !r.args.DisableSeccomp {
		calls, err := app.App.Isolators.SystemCalls()
		if err != nil {
			return client.App{}, err
		}
		filter, err := seccomp.For(calls, capabilities)
		if err != nil {
			return client.App{}, err
		}
		g.Syscalls = guestFilter(filter)
	}
	for _, handler := range app.App.EventHandlers {
		switch handler.Name {
		case appc.EventPreStart:
			g.PreStart = handler.Exec
		case appc.EventPostStop:
			g.PostStop = handler.Exec
		}
	}
	for _, gid := range app.App.SupplementaryGIDs {
		g.SupplementaryGIDs = append(g.SupplementaryGIDs, uint32(gid))
	}
	setLimits(&g, app.App.Isolators)
	return g, nil
}

func setLimits(g *client.App, isolators appc.Isolators) {
	if limit, ok := isolators.MemoryLimit(); ok {
		g.MemoryMax = limit
	}
	if milli, ok := isolators.CPULimit(); ok {
		g.CPUMilli = milli
	}
	if shares, ok := isolators.CPUShares(); ok {
		g.CPUShares = uint64(shares)
	}
	if adjust, ok := isolators.OOMScoreAdj(); ok {
		g.OOMScoreAdjust = int32(adjust)
	}
}

func guestFilter(f *seccomp.Filter) *client.SyscallFilter {
	if f == nil {
		return nil
	}
	filter := &client.SyscallFilter{Allow: f.Allow, Errno: f.Errno, Names: f.Calls}
	for _, n := range f.Numbers() {
		filter.Numbers = append(filter.Numbers, client.SyscallNumbers(n))
	}
	return filter
}
