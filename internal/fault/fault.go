// Package fault marks the places where a crash would hurt most: before and
// after each rename, mount, process start and call to the guest.
//
// In a normal build every mark compiles to nothing. Built with the tag
// "fault", a process whose environment names a point in RKT_FAULT kills itself
// there with SIGKILL, at once or, with RKT_FAULT=POINT#N, the Nth time, and one with RKT_FAULT_LOG=FILE appends the name of every
// point it passes, so that a test can find all points and then kill at each.
package fault
