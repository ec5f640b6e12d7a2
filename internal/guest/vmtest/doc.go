// Package vmtest tests host client and agent against each other in real
// machines. It has no code but tests.
//
// They need root, and an extracted stage1 image named by RKT_TEST_IMAGE, as
// "make stage1-dev" leaves it; "make test-vm" runs them.
package vmtest
