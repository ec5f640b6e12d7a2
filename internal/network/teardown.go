package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"

	"rkt/internal/fault"
	"rkt/internal/linux"
)

// Teardown undoes all that Setup did for the pod in the working directory, or
// began to do. It may be called any number of times. What it could not undo is
// an error, and still there for another call.
func Teardown(ctx context.Context, uuid string, lock *os.File) error {
	r, err := readRecord()
	if err != nil {
		return err
	}
	namespace, err := filepath.Abs(namespaceFile)
	if err != nil {
		return err
	}
	runner := &runner{lock: lock, timeout: pluginTimeout}
	if len(r.Attachments) > 0 {
		if err := r.standIn(runner, uuid, namespace); err != nil {
			return fmt.Errorf("replace the network namespace: %w", err)
		}
	}
	var failed []error
	for i := len(r.Attachments) - 1; i >= 0; i-- {
		if err := r.Attachments[i].remove(ctx, runner, uuid, namespace); err != nil {
			failed = append(failed, fmt.Errorf("network %q: %w", r.Attachments[i].Name, err))
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	fault.Point("network.unmount.before")
	if err := linux.RemoveNetNamespace(innerFile); err != nil {
		return fmt.Errorf("remove the network namespace inside: %w", err)
	}
	fault.Point("network.unmount.inside")
	if err := linux.RemoveNetNamespace(namespaceFile); err != nil {
		return fmt.Errorf("remove the network namespace: %w", err)
	}
	fault.Point("network.unmount.after")
	// The record goes first: without it there is nothing to undo.
	if err := os.Remove(recordFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fault.Point("network.record.removed")
	return os.RemoveAll(recordDir)
}

// remove has the plugins of one network undo their work.
func (a *attachment) remove(ctx context.Context, runner *runner, uuid, namespace string) error {
	rt, err := a.runtime(uuid, namespace)
	if err != nil {
		return err
	}
	fault.Point("network.del.before")
	err = a.cni(runner).DelNetworkList(ctx, a.list, rt)
	fault.Point("network.del.after")
	return err
}

// standIn makes a namespace with the addresses that the pod had, if its own is
// gone. Plugins find out from them which rules of the host they have to remove.
func (r *record) standIn(runner *runner, uuid, namespace string) error {
	there, err := linux.IsNetNamespace(namespaceFile)
	if err != nil || there {
		return err
	}
	fault.Point("network.stand-in.before")
	err = linux.MakeNetNamespace(namespaceFile, func() error {
		if err := prepareNamespace(); err != nil {
			return err
		}
		for _, a := range r.Attachments {
			if err := a.pretend(runner, uuid, namespace); err != nil {
				return fmt.Errorf("network %q: %w", a.Name, err)
			}
		}
		return nil
	})
	fault.Point("network.stand-in.after")
	return err
}

// pretend makes an interface with the addresses that the plugins once gave out.
func (a *attachment) pretend(runner *runner, uuid, namespace string) error {
	rt, err := a.runtime(uuid, namespace)
	if err != nil {
		return err
	}
	cached, err := a.cni(runner).GetNetworkListCachedResult(a.list, rt)
	if err != nil || cached == nil {
		return nil //nolint:nilerr // there never was a result
	}
	result, err := types100.NewResultFromResult(cached)
	if err != nil {
		return nil //nolint:nilerr // one of which nobody can say anything
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = a.Interface
	link := &netlink.Veth{LinkAttrs: attrs, PeerName: "peer-" + a.Interface}
	if err := netlink.LinkAdd(link); err != nil {
		return err
	}
	for _, ip := range result.IPs {
		address := &netlink.Addr{IPNet: &net.IPNet{IP: ip.Address.IP, Mask: ip.Address.Mask}}
		if err := netlink.AddrAdd(link, address); err != nil {
			return fmt.Errorf("address %s: %w", &ip.Address, err)
		}
	}
	return nil
}
