// Package guestproto is the control protocol between a pod's supervisor on the
// host and the agent inside the machine: messages and calls as generated from
// guest.proto, and the limits both sides hold each other to.
//
// Calls go one way, from the supervisor to the agent, over ttrpc on one byte
// stream. The stdio of apps goes over a second stream, see package mux.
package guestproto

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-ttrpc_out=. --go-ttrpc_opt=paths=source_relative guest.proto

// Version is the protocol's version. An agent and a supervisor of different
// versions refuse each other; both come out of the same stage1 image.
const Version = 1

// HostMount is the file system of a Disk that is no disk but a mount which the
// host of a container has made and passes on under the name in Disk.device. See
// package link.
const HostMount = "host-mount"

// Limits that both sides enforce.
const (
	// MaxMessage is the most bytes one control message may have.
	MaxMessage = 1 << 20
	// MaxApps is the most apps one machine may have over its life.
	MaxApps = 256
	// MaxPrograms is the most programs that may run beside the apps at a time.
	MaxPrograms = 64
	// MaxText is the most bytes of a message for people that are kept.
	MaxText = 4 << 10
)
