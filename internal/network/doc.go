// Package network puts a pod on networks. It makes a network namespace of the
// pod's own, has CNI plugins fill it, tells what they left there, and undoes
// all of it.
//
// The plugins are programs, found in the directories of the host and of the
// stage1 image; configurations are those of the CNI project, lists and single
// ones, below the local configuration directory's net.d, plus a few built in.
//
// Everything is written down in the pod's directory before it is done, with a
// copy of the configuration. So Teardown, which may be called by another
// process, any number of times and after any crash, needs nothing else: a
// configuration that has changed meanwhile does not matter, and where the
// namespace has vanished a stand-in takes its place, because plugins remove
// their rules by the addresses that they find there.
//
// Source of formats: CNI specification 1.1.0; rkt 1.30 for the names of
// networks and where they are looked for.
package network
