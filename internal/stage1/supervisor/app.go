package supervisor

import (
	"slices"

	"rkt/internal/appc"
	"rkt/internal/guest/client"
	"rkt/internal/stage1"
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
// for names that are missing, and the app's name, which nobody can override.
func environment(app appc.RuntimeApp) []client.Variable {
	const nameVariable = "AC_APP_NAME"
	var env []client.Variable
	for _, v := range app.App.Environment {
		if v.Name != nameVariable {
			env = append(env, client.Variable{Name: v.Name, Value: v.Value})
		}
	}
	for _, v := range defaultEnvironment() {
		missing := !slices.ContainsFunc(env, func(have client.Variable) bool { return have.Name == v.Name })
		if missing {
			env = append(env, v)
		}
	}
	return append(env, client.Variable{Name: nameVariable, Value: string(app.Name)})
}

// guestApp translates an app of the pod's manifest for the agent.
func guestApp(app appc.RuntimeApp, disk client.Disk, args stage1.RunArgs) (client.App, error) {
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
		Environment:      environment(app),
		ReadOnlyRootFS:   app.ReadOnlyRootFS,
		Capabilities:     capabilities,
		AllCapabilities:  args.DisableCapabilities,
		NoNewPrivileges:  app.App.Isolators.NoNewPrivileges(),
		Seccomp:          !args.DisableSeccomp,
		ProtectPaths:     !args.DisablePaths,
	}
	for _, gid := range app.App.SupplementaryGIDs {
		g.SupplementaryGIDs = append(g.SupplementaryGIDs, uint32(gid))
	}
	if limit, ok := app.App.Isolators.MemoryLimit(); ok {
		g.MemoryMax = limit
	}
	if milli, ok := app.App.Isolators.CPULimit(); ok {
		g.CPUMilli = milli
	}
	if shares, ok := app.App.Isolators.CPUShares(); ok {
		g.CPUShares = uint64(shares)
	}
	if adjust, ok := app.App.Isolators.OOMScoreAdj(); ok {
		g.OOMScoreAdjust = int32(adjust)
	}
	return g, nil
}
