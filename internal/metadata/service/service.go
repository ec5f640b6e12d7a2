// Package service answers apps' questions about their pod over HTTP: manifests,
// annotations, and whether a text is signed by a pod of this host.
//
// It listens on the gateways of registered pods and nowhere else. Those who ask
// are hostile: a connection is only taken from an address of a registered pod,
// each has a few of them, and everything that is read is bounded in size and time.
//
// Source of paths and answers: rkt 1.30, which called it the metadata service.
package service

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"rkt/internal/errhint"
	"rkt/internal/linux"
	"rkt/internal/metadata"
)

// Service is open: registered pods can be served.
type Service struct {
	dir    metadata.Directory
	port   uint16
	key    []byte // for signatures
	notify func(line string)
	lock   *os.File
	watch  *linux.Watch
	door   *door

	syncing   sync.Mutex // one at a time
	mu        sync.Mutex
	pods      map[string]*metadata.Registration // by UUID
	listeners map[netip.Addr]*listener          // by gateway
}

// Open makes the service that of a directory, and returns an error if there is
// one already. Notify is told of what goes wrong later.
func Open(dir metadata.Directory, port uint16, notify func(line string)) (*Service, error) {
	if err := dir.Make(); err != nil {
		return nil, err
	}
	s := &Service{
		dir: dir, port: port, notify: notify,
		pods: make(map[string]*metadata.Registration), listeners: make(map[netip.Addr]*listener),
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Service) open() error {
	var err error
	if s.lock, err = os.OpenFile(string(s.dir)+"/metadata-svc.lock", os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	switch locked, err := linux.TryLockExclusive(s.lock); {
	case err != nil:
		return err
	case !locked:
		return errhint.With(errors.New("there is a metadata service already"), "one serves all pods")
	}
	if s.key, err = signingKey(s.dir); err != nil {
		return fmt.Errorf("key for signatures: %w", err)
	}
	if s.watch, err = linux.NewWatch(); err != nil {
		return err
	}
	if err := s.watch.Add(s.dir.Registrations()); err != nil {
		return err
	}
	s.door, err = openDoor(s.dir.Socket())
	return err
}

// Serve serves until the context is done, which is no error.
func (s *Service) Serve(asked context.Context) error {
	s.sync()
	ctx, cancel := context.WithCancelCause(asked)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel(nil)
	context.AfterFunc(ctx, func() { s.door.Close() })
	working.Go(func() { cancel(s.door.serve(s.answer)) })
	for {
		switch err := s.watch.Wait(ctx); {
		case asked.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		s.sync()
	}
}

// Close gives everything back. Registrations stay.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for gateway, l := range s.listeners {
		l.close()
		delete(s.listeners, gateway)
	}
	if s.door != nil {
		s.door.Close()
	}
	var err error
	if s.watch != nil {
		err = s.watch.Close()
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// answer says whether a pod is served, on the service's socket.
func (s *Service) answer(pod string) string {
	failed := s.sync()
	if pod == "" {
		return fmt.Sprintf("%s%d", metadata.Serving, s.port)
	}
	s.mu.Lock()
	r, known := s.pods[pod]
	s.mu.Unlock()
	if !known {
		return metadata.Failing + "the pod's registration is not there"
	}
	if err := failed[r.Gateway]; err != nil {
		return metadata.Failing + err.Error()
	}
	return fmt.Sprintf("%s%d", metadata.Serving, s.port)
}

// sync takes over what is registered now: who may ask, and where. It returns the
// gateways that can't be listened on.
func (s *Service) sync() (failed map[netip.Addr]error) {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if err := s.read(); err != nil {
		s.notify("read registrations: " + err.Error())
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	failed = make(map[netip.Addr]error)
	wanted := make(map[netip.Addr]bool)
	for _, r := range s.pods {
		wanted[r.Gateway] = true
		if s.listeners[r.Gateway] != nil || failed[r.Gateway] != nil {
			continue
		}
		l, err := s.listen(r.Gateway)
		if err != nil {
			failed[r.Gateway] = err
			s.notify(err.Error())
			continue
		}
		s.listeners[r.Gateway] = l
	}
	for gateway, l := range s.listeners {
		if !wanted[gateway] {
			l.close()
			delete(s.listeners, gateway)
		}
	}
	return failed
}

// read takes over registrations that are new, and forgets those that are gone. A
// file never changes.
func (s *Service) read() error {
	names, err := s.dir.Pods()
	if err != nil {
		return err
	}
	there := make(map[string]bool)
	for _, pod := range names {
		there[pod] = true
		s.mu.Lock()
		known := s.pods[pod] != nil
		s.mu.Unlock()
		if known {
			continue
		}
		r, err := s.dir.Get(pod)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			s.notify("a registration that is passed over: " + err.Error())
			continue
		}
		s.mu.Lock()
		s.pods[pod] = r
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for pod := range s.pods {
		if !there[pod] {
			delete(s.pods, pod)
		}
	}
	return nil
}

// at returns the pods that ask from an address, as long as they are registered.
func (s *Service) at(source netip.Addr) []*metadata.Registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*metadata.Registration
	for _, r := range s.pods {
		for _, own := range r.Sources {
			if own == source {
				found = append(found, r)
				break
			}
		}
	}
	return found
}
