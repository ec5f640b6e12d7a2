// Package vm holds the tests that prove rkt with real virtual machines: built
// programs, real images and keys, nothing replaced.
//
//	RKT_TEST_BIN=DIR RKT_TEST_FAULT_BIN=DIR go test ./test/vm
//
// RKT_TEST_BIN is the directory with rkt and stage1-kvm.aci, RKT_TEST_FAULT_BIN
// the one with the same built with the tag "fault". The tests run as root. What
// is missing makes them fail, never skip.
//
// Each test has directories of its own, and fails if rkt gc leaves a process,
// mount, loop device, control group or file behind.
//
// With -soak what depends on timing is repeated many times.
package vm
