package client

import "rkt/internal/guest/guestproto"

// wireApp puts an app into a message.
func wireApp(app App, channels *guestproto.Channels) *guestproto.StartAppRequest {
	return &guestproto.StartAppRequest{
		Name:              app.Name,
		Disk:              wireDisk(&app.Disk),
		Exec:              app.Exec,
		User:              app.User,
		Group:             app.Group,
		SupplementaryGids: app.SupplementaryGIDs,
		WorkingDirectory:  app.WorkingDirectory,
		Environment:       wireVariables(app.Environment),
		ReadOnlyRoot:      app.ReadOnlyRootFS,
		Confinement: &guestproto.Confinement{
			Capabilities:    app.Capabilities,
			AllCapabilities: app.AllCapabilities,
			NoNewPrivileges: app.NoNewPrivileges,
			Syscalls:        wireFilter(app.Syscalls),
			ProtectPaths:    app.ProtectPaths,
		},
		Limits: &guestproto.Limits{
			MemoryMax:      app.MemoryMax,
			CpuMilli:       app.CPUMilli,
			CpuShares:      app.CPUShares,
			OomScoreAdjust: app.OOMScoreAdjust,
		},
		Terminal: wireSize(app.Terminal),
		Stdin:    app.Stdin,
		Channels: channels,
		PreStart: wireHandler(app.PreStart),
		PostStop: wireHandler(app.PostStop),
	}
}

func wireHandler(exec []string) *guestproto.EventHandler {
	if exec == nil {
		return nil
	}
	return &guestproto.EventHandler{Exec: exec}
}

func wireFilter(f *SyscallFilter) *guestproto.SyscallFilter {
	if f == nil {
		return nil
	}
	wire := &guestproto.SyscallFilter{Allow: f.Allow, Errno: int32(f.Errno), Names: f.Names}
	for _, n := range f.Numbers {
		wire.Numbers = append(wire.Numbers, &guestproto.SyscallNumbers{Arch: n.Arch, Calls: n.Calls})
	}
	return wire
}

func wireVariables(variables []Variable) (wire []*guestproto.Variable) {
	for _, v := range variables {
		wire = append(wire, &guestproto.Variable{Name: v.Name, Value: v.Value})
	}
	return wire
}

func wireDisk(d *Disk) *guestproto.Disk {
	if d == nil {
		return nil
	}
	wire := &guestproto.Disk{Lun: d.LUN, Device: d.Device, Filesystem: d.Filesystem, ReadOnly: d.ReadOnly}
	if v := d.Verity; v != nil {
		wire.Verity = &guestproto.Verity{RootHash: v.RootHash, Salt: v.Salt, DataBlocks: v.DataBlocks}
	}
	return wire
}

func wireSize(s *Size) *guestproto.Terminal {
	if s == nil {
		return nil
	}
	return &guestproto.Terminal{Rows: uint32(s.Rows), Columns: uint32(s.Columns)}
}
