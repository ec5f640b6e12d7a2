package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"rkt/internal/errhint"
	"rkt/internal/metadata"
	"rkt/internal/stage1"
)

// metadataService is where the pod's apps ask about it.
type metadataService struct {
	port uint16 // 0 if the pod is not registered
	url  string
}

// findMetadataService asks for the service's port, if the pod is to be registered.
func (r *run) findMetadataService(ctx context.Context) (err error) {
	if !r.args.Register {
		return nil
	}
	r.metadata.port, err = metadata.DefaultDirectory.Ask(ctx, "")
	return err
}

// register makes the pod known to the metadata service. What is undone by
// disconnect is begun only when nothing can be wrong with it any more.
func (r *run) register(ctx context.Context) error {
	if !r.args.Register {
		return nil
	}
	registration, err := r.registration()
	if err != nil {
		return fmt.Errorf("register with the metadata service: %w", err)
	}
	if err := metadata.DefaultDirectory.Add(registration); err != nil {
		return fmt.Errorf("register with the metadata service: %w", err)
	}
	r.metadata.port, err = metadata.DefaultDirectory.Ask(ctx, r.pod.uuid)
	r.metadata.url = registration.URL(r.metadata.port)
	return err
}

func (r *run) registration() (*metadata.Registration, error) {
	gateway, sources, err := r.addresses()
	if err != nil {
		return nil, err
	}
	made := &metadata.Registration{
		UUID: r.pod.uuid, Token: metadata.NewToken(), Gateway: gateway, Sources: sources,
		Images: make(map[string]json.RawMessage),
	}
	if made.Pod, err = readFile(stage1.PodManifestFile); err != nil {
		return nil, err
	}
	for _, app := range r.pod.apps {
		name := string(app.Name)
		if made.Images[name], err = readFile(stage1.AppManifestFile(name)); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// addresses returns where the pod asks, and from where.
func (r *run) addresses() (gateway netip.Addr, sources []netip.Addr, err error) {
	if r.network == nil {
		return gateway, nil, errors.New("the pod has no network of its own")
	}
	for _, i := range r.network.Interfaces {
		for _, a := range i.Addresses {
			if a.Addr().Is4() {
				sources = append(sources, a.Addr())
			}
		}
	}
	gateway = r.network.Gateway
	return gateway, sources, hostHas(gateway)
}

// hostHas makes sure that a gateway is this host. Another could be asked anything.
func hostHas(gateway netip.Addr) error {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(own, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr() == gateway
	}) {
		return errhint.With(errors.New("this host is not the gateway of the pod's network"),
			"a bridge needs \"isGateway\"; other kinds of networks have no gateway here")
	}
	return nil
}
