// Package archtest holds tests of the project's shape: who may import whom, and
// that what must not be in a program isn't. It has no code of its own.
package archtest
