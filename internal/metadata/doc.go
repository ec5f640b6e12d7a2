// Package metadata is what a pod's supervisor and the metadata service have in
// common: registrations. A registration says which pod may ask the service, from
// where and with which token, and what the answers are.
//
// Registrations are files below a directory of the running system, and all that
// the service knows is in them: it may be killed and started again at any time. A
// pod is registered as long as its file is there. Supervisors write it when the
// pod's networks are up and remove it before they are taken down, so that nobody
// else can have the pod's address by then; what was killed is undone by the
// collector. The service's socket only tells the service of a new file and waits
// until it has seen it.
package metadata
