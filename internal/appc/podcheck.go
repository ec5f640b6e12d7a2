package appc

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

func (m *PodManifest) validate() error {
	return first(
		at("acVersion", checkVersion(m.ACVersion)),
		checkKind(m.ACKind, PodManifestKind),
		each("apps", m.Apps, RuntimeApp.validate),
		at("apps", m.checkNames()),
		each("volumes", m.Volumes, Volume.Validate),
		unique("volumes", m.Volumes, func(v Volume) string { return string(v.Name) }),
		m.Isolators.validate(),
		m.Annotations.validate(),
		each("ports", m.Ports, ExposedPort.validate),
	)
}

func (m *PodManifest) checkNames() error {
	seen := make(map[ACName]bool, len(m.Apps))
	for _, app := range m.Apps {
		if seen[app.Name] {
			return fmt.Errorf("multiple apps with same name %s", app.Name)
		}
		seen[app.Name] = true
	}
	return nil
}

func (a RuntimeApp) validate() error {
	var missing error
	if a.Image.ID == "" {
		missing = fmt.Errorf("no image ID for app %q", a.Name)
	}
	if err := first(
		at("name", checkACName(a.Name)),
		at("image", missing),
		at("image", a.Image.validate()),
		each("mounts", a.Mounts, Mount.validate),
		a.Annotations.validate(),
	); err != nil {
		return err
	}
	if a.App != nil {
		return at("app", a.App.validate())
	}
	return nil
}

func (i RuntimeImage) validate() error {
	var nameErr error
	if i.Name != nil {
		nameErr = checkIdentifier(*i.Name)
	}
	_, idErr := ParseHash(string(i.ID))
	return first(at("name", nameErr), at("id", idErr), i.Labels.validate())
}

func (m Mount) validate() error {
	if err := first(at("volume", checkACName(m.Volume)), at("path", checkPath(m.Path))); err != nil {
		return err
	}
	if m.AppVolume != nil {
		return at("appVolume", m.AppVolume.Validate())
	}
	return nil
}

// Validate checks one volume.
func (v Volume) Validate() error {
	if err := at("name", checkACName(v.Name)); err != nil {
		return err
	}
	switch v.Kind {
	case VolumeHost:
		return v.validateHost()
	case VolumeEmpty:
		return v.validateEmpty()
	default:
		return at("kind", errors.New(`unrecognized volume kind: should be one of "empty", "host"`))
	}
}

func (v Volume) validateHost() error {
	switch {
	case v.Mode != nil:
		return at("mode", errors.New("mode for host volume cannot be set"))
	case v.UID != nil:
		return at("uid", errors.New("uid for host volume cannot be set"))
	case v.GID != nil:
		return at("gid", errors.New("gid for host volume cannot be set"))
	case checkPath(v.Source) != nil:
		return at("source", errors.New("source for host volume must be absolute path"))
	}
	return nil
}

func (v Volume) validateEmpty() error {
	if v.Source != "" {
		return at("source", errors.New("source for empty volume must be empty"))
	}
	if v.Mode != nil {
		if mode, err := strconv.ParseUint(*v.Mode, 8, 32); err != nil || mode > 0o7777 {
			return at("mode", fmt.Errorf("%q is not an octal mode", *v.Mode))
		}
	}
	for _, id := range []struct {
		field string
		value *int
	}{{"uid", v.UID}, {"gid", v.GID}} {
		if id.value != nil && checkGID(*id.value) != nil {
			return at(id.field, fmt.Errorf("%d is not a user or group id", *id.value))
		}
	}
	return nil
}

func (p ExposedPort) validate() error {
	var portErr, ipErr error
	if p.HostPort < 1 || p.HostPort > maxPort {
		portErr = fmt.Errorf("must be from 1 to %d", maxPort)
	}
	if p.HostIP != "" {
		_, ipErr = netip.ParseAddr(p.HostIP)
	}
	if err := first(at("name", checkACName(p.Name)), at("hostPort", portErr), at("hostIP", ipErr)); err != nil {
		return err
	}
	if p.PodPort != nil {
		return at("podPort", p.PodPort.validate())
	}
	return nil
}
