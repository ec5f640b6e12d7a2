// Package fly runs one app on the host without isolation: in its own root
// directory, and otherwise like a program that root has started. Only its mounts
// are its own.
package fly
