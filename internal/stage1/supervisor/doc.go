// Package supervisor runs one pod in one machine, from the files that rkt left
// in the pod's directory to the exit status. It is the same for every flavour
// that puts apps into a machine with a guest agent; what differs is behind
// Launcher and Machine.
//
// The supervisor is the parent of the machine for the machine's whole life.
// If it dies the machine dies, and with them goes the pod's lock.
package supervisor
