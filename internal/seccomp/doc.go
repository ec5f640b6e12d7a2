// Package seccomp turns what isolators say about system calls into filters. It
// does no input or output.
package seccomp
